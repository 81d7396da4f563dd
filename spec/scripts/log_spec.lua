local dig = require "spec.support.dig"
local proxy = require "spec.support.proxy"
local scope = require "spec.support.scope"
local upstream = require "spec.support.upstream"

describe("scripts/log.lua", function()
    scope.manage()
    local knot, moondns

    setup(function()
        knot = upstream.knot()
    end)

    before_each(function()
        moondns = proxy.start { script = "scripts/log.lua", upstream = knot }
    end)

    for _, how in ipairs { "+notcp", "+tcp" } do
        it("logs each query's name and type, " .. how, function()
            moondns:dig("eXaMpLe.CoM MX " .. how)
            moondns:wait_output("query example%.com MX\n", "err")
        end)

        it("logs each answer's address, " .. how, function()
            assert.same({ "192.0.2.101", "192.0.2.102", "192.0.2.103" }, dig.data(moondns:dig("many.example.com " .. how)))
            for _, address in ipairs { "192%.0%.2%.101", "192%.0%.2%.102", "192%.0%.2%.103" } do
                moondns:wait_output("answer many%.example%.com " .. address .. "\n", "err")
            end
            moondns:dig("example.com AAAA " .. how)
            moondns:wait_output("answer example%.com 2001:db8::1\n", "err")
        end)
    end

    it("changes nothing", function()
        local answer = moondns:dig "www.eXaMpLe.CoM"
        assert.equal("www.eXaMpLe.CoM.", answer.question.name)
        assert.same({ "example.com.", "192.0.2.1" }, dig.data(answer))
    end)
end)
