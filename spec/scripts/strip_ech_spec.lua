local dig = require "spec.support.dig"
local proxy = require "spec.support.proxy"
local scope = require "spec.support.scope"
local upstream = require "spec.support.upstream"

describe("scripts/strip_ech.lua", function()
    scope.manage()
    local knot, moondns

    setup(function()
        knot = upstream.knot()
        moondns = proxy.start { script = "scripts/strip_ech.lua", upstream = knot }
    end)

    for _, how in ipairs { "+notcp", "+tcp" } do
        it("takes ech and h3 out of HTTPS records and leaves the rest, " .. how, function()
            local before = dig.data(dig.dig(knot.port, "example.com HTTPS " .. how))
            assert.truthy(before[1]:find "ech=" and before[1]:find "h3")
            local answer = moondns:dig("eXaMpLe.CoM HTTPS " .. how)
            assert.equal("eXaMpLe.CoM.", answer.question.name)
            assert.same({ '1 . alpn="h2" ipv4hint=192.0.2.1,192.0.2.2 ipv6hint=2001:db8::1' }, dig.data(answer))
        end)

        it("takes drafts of h3 out of SVCB records, " .. how, function()
            local data = dig.data(moondns:dig("_8443._foo.api.example.com SVCB " .. how))
            assert.truthy(data[1]:find('alpn="h2" ', 1, true))
            assert.truthy(data[1]:find("key667=", 1, true))
        end)

        it("lets records without either pass byte for byte, " .. how, function()
            for _, name in ipairs { "svcb.example.com SVCB ", "example.com A ", "mail.example.com HTTPS " } do
                local direct = dig.dig(knot.port, name .. how)
                assert.same(direct.answers, moondns:dig(name .. how).answers)
            end
        end)
    end
end)
