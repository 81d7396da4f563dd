-- approval_test.lua
local addon = test.load "approval.lua"

local function ask(name, type)
    return addon:run(test.flow { name = name, type = type })
end

function test_waits_until_it_is_approved()
    test.upstream { ["example.com"] = "192.0.2.1" }
    local flow = ask "example.com"
    assert(flow.intercepted and not flow.response)
    assert(ask("example.com.approve.test", "TXT").response.answers[1].text == "example.com: approved, 1 waited")
    assert(flow.response.answers[1].ipv4_address == "192.0.2.1")
    assert(ask("example.com").response.answers[1].ipv4_address == "192.0.2.1")
end

function test_or_is_refused()
    local flow = ask "bad.example"
    ask("bad.example.refuse.test", "TXT")
    assert(test.rcode(flow) == "REFUSED")
    assert(test.rcode(ask "bad.example") == "REFUSED")
end
