-- canary_test.lua
local function new_of_1000(percent)
    local addon, count = test.load("canary.lua", { percent = percent }), 0
    for i = 1, 1000 do
        local client = ("10.0.%d.%d"):format(i / 250, i % 250)
        local flow = addon:run(test.flow { name = "www.example.com", client = client })
        local again = addon:run(test.flow { name = "www.example.com", client = client })
        assert(flow.response.answers[1] == again.response.answers[1])
        if flow.response.answers[1].ipv4_address == "192.0.2.2" then count = count + 1 end
    end
    return count
end

function test_so_many_clients_get_the_new_version_and_stay_with_it()
    assert(new_of_1000(0) == 0)
    local count = new_of_1000(20)
    assert(count > 150 and count < 250, count)
    assert(new_of_1000(100) == 1000)
end
