local dig = require "spec.support.dig"
local files = require "spec.support.files"
local proxy = require "spec.support.proxy"
local scope = require "spec.support.scope"
local upstream = require "spec.support.upstream"

describe("scripts/spoof.lua", function()
    scope.manage()
    local knot, moondns

    setup(function()
        knot = upstream.knot()
        moondns = proxy.start { script = "scripts/spoof.lua", upstream = knot }
    end)

    for _, how in ipairs { "+notcp", "+tcp" } do
        it("answers example.com with 127.0.0.1 and TTL 300, " .. how, function()
            local answer = moondns:dig("example.com " .. how)
            assert.equal("NOERROR", answer.rcode)
            assert.is_true(answer.flags.qr and answer.flags.ra)
            assert.equal(1, #answer.answers)
            assert.same({ "example.com.", 300, "A", "127.0.0.1" }, {
                answer.answers[1].name, answer.answers[1].ttl, answer.answers[1].type, answer.answers[1].data,
            })
        end)

        it("keeps the case that was asked, " .. how, function()
            local answer = moondns:dig("eXaMpLe.CoM " .. how)
            assert.equal("eXaMpLe.CoM.", answer.question.name)
            assert.same({ "127.0.0.1" }, dig.data(answer))
        end)

        it("lets everything else through, " .. how, function()
            assert.same({ "2001:db8::1" }, dig.data(moondns:dig("example.com AAAA " .. how)))
            assert.same({ "192.0.2.25" }, dig.data(moondns:dig("mail.example.com " .. how)))
        end)
    end

    it("shows the flow", function()
        local own = proxy.start { script = "scripts/spoof.lua", upstream = knot }
        own:dig "example.com"
        own:wait_output("127%.0%.0%.1:%d+ A example%.com\n << 127%.0%.0%.1 %(script spoof%.lua%)\n", "out")
    end)

    it("answers anew when it was edited", function()
        local path = files.temp_file("spoof.lua", files.read "scripts/spoof.lua")
        local own = proxy.start { script = path, upstream = knot }
        assert.same({ "127.0.0.1" }, dig.data(own:dig "example.com"))
        files.write(path, (files.read(path):gsub('"127%.0%.0%.1"', '"127.0.0.2"')))
        require("spec.support.wait").eventually(function()
            return dig.data(own:dig "example.com")[1] == "127.0.0.2"
        end, "the edited script's answer")
    end)
end)
