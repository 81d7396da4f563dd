local dig = require "spec.support.dig"
local files = require "spec.support.files"
local proxy = require "spec.support.proxy"
local scope = require "spec.support.scope"
local upstream = require "spec.support.upstream"

local HOSTS = [[
# names of this house
192.0.2.200  printer.example printer Printer-Alias.example
2001:db8::200 printer.example
192.0.2.201  printer.example   # a second address
127.0.0.1    localhost
::1          localhost
not-an-address broken.example
]]

describe("--hosts", function()
    scope.manage()
    local knot, moondns

    setup(function()
        knot = upstream.knot()
        moondns = proxy.start { upstream = knot, args = { "--hosts", files.temp_file("hosts", HOSTS) } }
    end)

    for _, how in ipairs { "+notcp", "+tcp" } do
        it("answers A and AAAA " .. how, function()
            local answer = moondns:dig("pRinter.example " .. how)
            assert.equal("pRinter.example.", answer.question.name)
            assert.same({ "192.0.2.200", "192.0.2.201" }, dig.data(answer))
            assert.same({ "2001:db8::200" }, dig.data(moondns:dig("printer.example AAAA " .. how)))
            assert.same({ "192.0.2.200" }, dig.data(moondns:dig("printer-alias.example " .. how)))
        end)

        it("answers PTR " .. how, function()
            assert.same({ "printer.example." }, dig.data(moondns:dig("-x 192.0.2.200 " .. how)))
            assert.same({ "printer.example." }, dig.data(moondns:dig("-x 2001:db8::200 " .. how)))
        end)

        it("says NOERROR without records for the other family " .. how, function()
            local answer = moondns:dig("printer-alias.example AAAA " .. how)
            assert.same({ "NOERROR", 0 }, { answer.rcode, #answer.answers })
        end)

        it("leaves the rest to the upstream " .. how, function()
            assert.same({ "192.0.2.1" }, dig.data(moondns:dig("example.com " .. how)))
            assert.equal(2, #dig.data(moondns:dig("example.com MX " .. how)))
        end)
    end

    it("names the line that it cannot read", function()
        moondns:wait_output("hosts:7", "err")
    end)

    it("comes after the request hooks, and the response hooks run", function()
        local own = proxy.start { upstream = knot, args = { "--hosts", files.temp_file("hosts", HOSTS) }, code = [[
            function dns_request(flow)
                if flow.request.question.name == "printer" then
                    flow.response = flow.request:succeed{dns.ResourceRecord.A("printer", "192.0.2.9")}
                end
            end
            function dns_response(flow)
                if flow.response.answers[1].ipv4_address == "192.0.2.200" then
                    flow.response.answers = {dns.ResourceRecord.A(flow.request.question.name, "192.0.2.10")}
                end
            end]] }
        assert.same({ "192.0.2.9" }, dig.data(own:dig "printer"))
        assert.same({ "192.0.2.10" }, dig.data(own:dig "printer.example"))
    end)

    it("is read again on HUP", function()
        local path = files.temp_file("hosts", HOSTS)
        local own = proxy.start { upstream = knot, args = { "--hosts", path } }
        assert.same({ "192.0.2.200" }, dig.data(own:dig "printer-alias.example"))
        files.write(path, "192.0.2.210 printer-alias.example\n")
        own:signal "HUP"
        require("spec.support.wait").eventually(function()
            return dig.data(own:dig "printer-alias.example")[1] == "192.0.2.210"
        end, "the new hosts file")
    end)

    it("that cannot be read ends the start with a message", function()
        local result = proxy.run { "-l", "127.0.0.1:" .. require("spec.support.ports").free(), "--hosts", "/no/such/hosts" }
        assert.is_true(result.code ~= 0)
        assert.truthy(result.err:find("/no/such/hosts", 1, true))
    end)
end)
