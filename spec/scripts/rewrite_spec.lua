local dig = require "spec.support.dig"
local proxy = require "spec.support.proxy"
local scope = require "spec.support.scope"
local upstream = require "spec.support.upstream"

describe("scripts/rewrite.lua", function()
    scope.manage()
    local knot, moondns

    setup(function()
        knot = upstream.knot()
        moondns = proxy.start { script = "scripts/rewrite.lua", upstream = knot }
    end)

    for _, how in ipairs { "+notcp", "+tcp" } do
        it("sets every A answer to 127.0.0.1, " .. how, function()
            assert.same({ "127.0.0.1", "127.0.0.1", "127.0.0.1" }, dig.data(moondns:dig("many.example.com " .. how)))
        end)

        it("leaves the rest of the answer as it came, " .. how, function()
            local direct, rewritten = dig.dig(knot.port, "WWW.eXaMpLe.CoM " .. how), moondns:dig("WWW.eXaMpLe.CoM " .. how)
            assert.equal("WWW.eXaMpLe.CoM.", rewritten.question.name)
            assert.same(direct.flags, rewritten.flags)
            assert.same({ "example.com.", "127.0.0.1" }, dig.data(rewritten))
            assert.equal(direct.answers[1].line, rewritten.answers[1].line)
            assert.equal(direct.answers[2].ttl, rewritten.answers[2].ttl)
        end)

        it("touches no other type, " .. how, function()
            assert.same({ "2001:db8::1" }, dig.data(moondns:dig("example.com AAAA " .. how)))
        end)
    end
end)
