local dig = require "spec.support.dig"
local proxy = require "spec.support.proxy"
local scope = require "spec.support.scope"
local upstream = require "spec.support.upstream"

describe("scripts/ipv6.lua", function()
    scope.manage()
    local moondns

    setup(function()
        moondns = proxy.start { script = "scripts/ipv6.lua", upstream = upstream.knot() }
    end)

    for _, how in ipairs { "+notcp", "+tcp" } do
        it("answers AAAA of example.com with ::1, " .. how, function()
            local answer = moondns:dig("eXaMpLe.CoM AAAA " .. how)
            assert.equal("NOERROR", answer.rcode)
            assert.equal("eXaMpLe.CoM.", answer.question.name)
            assert.same({ "::1" }, dig.data(answer))
            assert.equal(60, answer.answers[1].ttl)
        end)

        it("lets everything else through, " .. how, function()
            assert.same({ "192.0.2.1" }, dig.data(moondns:dig("example.com A " .. how)))
            assert.same({ "2001:db8::53" }, dig.data(moondns:dig("ns1.example.com AAAA " .. how)))
        end)
    end
end)
