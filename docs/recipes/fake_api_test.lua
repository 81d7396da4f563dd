-- fake_api_test.lua
local options = { fake = { "api.example.com=127.0.0.1", "v6.example.com=::1" }, strict = true }
local addon = test.load("fake_api.lua", options)

local function ask(name, type)
    return addon:run(test.flow { name = name, type = type }).response
end

function test_faked_hosts_and_what_is_below_them()
    assert(ask("API.example.com", "A").answers[1].ipv4_address == "127.0.0.1")
    assert(ask("v1.api.example.com", "A").answers[1].ipv4_address == "127.0.0.1")
    assert(ask("v6.example.com", "AAAA").answers[1].ipv6_address == "::1")
end

function test_other_types_are_empty()
    local response = ask("api.example.com", "AAAA")
    assert(response.response_code == 0 and #response.answers == 0)
end

function test_other_names_do_not_exist_when_strict()
    assert(ask("example.com", "A").response_code == dns.response_codes.NXDOMAIN)
end

function test_nonsense_is_refused()
    test.raises(test.load, "HOST=ADDRESS expected, got api", "fake_api.lua", { fake = { "api" } })
end
