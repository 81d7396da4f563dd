local dig = require "spec.support.dig"
local proxy = require "spec.support.proxy"
local scope = require "spec.support.scope"
local upstream = require "spec.support.upstream"

describe("scripts/zone.lua", function()
    scope.manage()
    local moondns

    setup(function()
        moondns = proxy.start { script = "scripts/zone.lua", upstream = upstream.knot() }
    end)

    for _, how in ipairs { "+notcp", "+tcp" } do
        it("answers for its zone, " .. how, function()
            assert.same({ "192.0.2.80" }, dig.data(moondns:dig("API.shop.example " .. how)))
            assert.same({ "2001:db8::80" }, dig.data(moondns:dig("api.shop.example AAAA " .. how)))
            assert.same({ "eu.cdn.example." }, dig.data(moondns:dig("a.b.eu.shop.example " .. how)))
            local mail = moondns:dig("shop.example MX " .. how)
            assert.same({ "10 mail.shop.example." }, dig.data(mail))
            assert.equal("192.0.2.25", mail.additionals[1].data)
        end)

        it("says no with its SOA record, " .. how, function()
            for name, code in pairs { ["nothing.shop.example"] = "NXDOMAIN", ["eu.shop.example"] = "NOERROR" } do
                local answer = moondns:dig(name .. " " .. how)
                assert.same({ code, 0 }, { answer.rcode, #answer.answers })
                assert.same({ "SOA", 30 }, { answer.authorities[1].type, answer.authorities[1].ttl })
            end
        end)

        it("lets everything else through, " .. how, function()
            assert.same({ "192.0.2.1" }, dig.data(moondns:dig("example.com " .. how)))
        end)
    end
end)
