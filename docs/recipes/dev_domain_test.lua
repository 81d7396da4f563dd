-- dev_domain_test.lua
local addon = test.load "dev_domain.lua"

local function answers(name, type)
    return addon:run(test.flow { name = name, type = type }).response.answers
end

function test_every_name_below_test_is_this_machine()
    assert(answers("shop.test", "A")[1].ipv4_address == "127.0.0.1")
    assert(answers("a.b.shop.test", "AAAA")[1].ipv6_address == "::1")
    assert(#answers("shop.test", "MX") == 0)
end

function test_others_are_forwarded()
    local upstream = test.upstream { ["example.com A"] = "192.0.2.1" }
    assert(answers("example.com", "A")[1].ipv4_address == "192.0.2.1")
    test.equal({ "example.com A" }, upstream.asked)
end
