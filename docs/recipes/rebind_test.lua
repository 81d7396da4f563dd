-- rebind_test.lua
local addon = test.load("rebind.lua", { name = "rebind.example" })

local function ask(client)
    local record = addon:run(test.flow { name = "rebind.example", client = client }).response.answers[1]
    assert(record.ttl == 0)
    return record.ipv4_address
end

function test_each_client_is_rebound_after_its_first_query()
    assert(ask "192.0.2.10" == "198.51.100.1")
    assert(ask "192.0.2.10" == "127.0.0.1")
    assert(ask "192.0.2.10" == "127.0.0.1")
    assert(ask "192.0.2.11" == "198.51.100.1")
end
