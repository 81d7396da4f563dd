-- split_horizon_test.lua
local addon = test.load "split_horizon.lua"

local function address(client, name)
    test.upstream { ["*"] = "192.0.2.1" }
    return addon:run(test.flow { name = name, client = client }).response.answers[1].ipv4_address
end

function test_inside_and_outside_see_other_addresses()
    assert(address("10.1.2.3", "example.com") == "10.0.0.80")
    assert(address("fd00::7", "mail.example.com") == "10.0.0.25")
    assert(address("198.51.100.7", "example.com") == "192.0.2.1")
end

function test_other_names_are_the_same_for_all()
    assert(address("10.1.2.3", "www.example.com") == "192.0.2.1")
end
