local dig = require "spec.support.dig"
local net = require "spec.support.net"
local proxy = require "spec.support.proxy"
local scope = require "spec.support.scope"
local upstream = require "spec.support.upstream"

describe("scripts/block.lua", function()
    scope.manage()
    local moondns

    setup(function()
        moondns = proxy.start { script = "scripts/block.lua", upstream = upstream.knot() }
    end)

    for _, how in ipairs { "+notcp", "+tcp" } do
        it("says that names with malware in them do not exist, " .. how, function()
            for _, name in ipairs { "malware.example.com", "www.MALWARE-site.example", "xmalwarex" } do
                local answer = moondns:dig(name .. " " .. how)
                assert.equal("NXDOMAIN", answer.rcode)
                assert.equal(name .. ".", answer.question.name)
                assert.equal(0, #answer.answers)
            end
        end)

        it("lets other names through, " .. how, function()
            local answer = moondns:dig("www.eXaMpLe.CoM " .. how)
            assert.equal("www.eXaMpLe.CoM.", answer.question.name)
            assert.same({ "example.com.", "192.0.2.1" }, dig.data(answer))
        end)
    end

    it("does not ask the upstream for them", function()
        local server = net.server()
        local own = proxy.start { script = "scripts/block.lua", upstream = server }
        assert.equal("NXDOMAIN", own:dig("malware.example.com").rcode)
        assert.is_nil(server:receive(0))
    end)
end)
