-- second_opinion_test.lua
local addon = test.load("second_opinion.lua", { second = "192.0.2.9", lies = { "198.51.100.0/24" } })

-- The address that a client gets where the first server gives this answer; and the servers that were asked.
local function ask(first)
    local servers = {}
    test.upstream {
        ["example.com A"] = function(question, server)
            servers[#servers + 1] = server or "first"
            if server then return "192.0.2.1" end
            return first
        end,
    }
    local flow = addon:run(test.flow { name = "example.com" })
    return flow.response.answers[1].ipv4_address, #servers
end

function test_good_answers_stay()
    test.equal({ "192.0.2.7", 1 }, { ask "192.0.2.7" })
end

function test_failures_lies_and_silence_are_asked_elsewhere()
    for _, first in ipairs { "SERVFAIL", "REFUSED", "198.51.100.1", false } do
        test.equal({ "192.0.2.1", 2 }, { ask(first) })
    end
end
