-- rate_limit_test.lua
local addon = test.load("rate_limit.lua", { most = 2, per = 10 })

local function codes(client, count)
    test.upstream { ["*"] = "192.0.2.1" }
    local list = {}
    for i = 1, count do
        list[i] = test.rcode(addon:run(test.flow { name = "example.com", client = client }))
    end
    return table.concat(list, " ")
end

function test_each_client_has_its_share()
    assert(codes("192.0.2.10", 3) == "NOERROR NOERROR REFUSED")
    assert(codes("192.0.2.11", 1) == "NOERROR")
end

function test_the_count_begins_again()
    codes("192.0.2.10", 3)
    test.advance(11)
    assert(codes("192.0.2.10", 1) == "NOERROR")
end
