local dig = require "spec.support.dig"
local files = require "spec.support.files"
local net = require "spec.support.net"
local proxy = require "spec.support.proxy"
local scope = require "spec.support.scope"
local upstream = require "spec.support.upstream"

describe("scripts/blocklist.lua", function()
    scope.manage()
    local knot, folder

    setup(function()
        knot = upstream.knot()
    end)

    before_each(function()
        folder = files.temp_folder()
    end)

    local function list(name, text)
        return files.write(folder .. "/" .. name, text)
    end

    local function start(paths, server)
        local args = {}
        for _, path in ipairs(paths) do
            args[#args + 1] = "--set"
            args[#args + 1] = "blocklist=" .. path
        end
        return proxy.start { script = "scripts/blocklist.lua", upstream = server or knot, args = args }
    end

    for _, how in ipairs { "+notcp", "+tcp" } do
        it("says that listed names do not exist, " .. how, function()
            local moondns = start {
                list("ads.txt", "# ads\r\nads.example\r\n||mail.example.com^\n0.0.0.0 one.example two.example\n"),
                list("allowed.txt", "@@||good.ads.example^\n@@||www.example.com^\n"),
                list("more.txt", "example.com\n"),
            }
            moondns:wait_output "5 domains are blocked, 0 lines could not be used"
            for _, name in ipairs { "ads.example", "Tracker.ADS.example", "mail.example.com", "two.example", "example.com" } do
                local answer = moondns:dig(name .. " " .. how)
                assert.equal("NXDOMAIN", answer.rcode)
                assert.equal(name .. ".", answer.question.name)
                assert.equal(0, #answer.answers)
            end
            assert.same({ "example.com.", "192.0.2.1" }, dig.data(moondns:dig("www.eXaMpLe.CoM " .. how)))
        end)
    end

    it("does not ask the upstream for them, but for the exceptions", function()
        local server = net.server()
        local moondns = start({ list("ads.txt", "ads.example\n@@||good.ads.example^\n") }, server)
        assert.equal("NXDOMAIN", moondns:dig("x.ads.example").rcode)
        assert.is_nil(server:receive(0))
        moondns:udp():send(require("spec.support.wire").query("good.ads.example", "A"))
        assert.truthy(server:receive())
    end)

    it("tells of lines that it cannot use, and goes on", function()
        local path = list("ads.txt", "one.example\n/ads[0-9]+/\ntwo.example\n")
        local moondns = start { path }
        moondns:wait_output("ads%.txt:2: '/ads%[0%-9%]%+/': ", "err")
        moondns:wait_output "2 domains are blocked, 1 lines could not be used"
        assert.equal("NXDOMAIN", moondns:dig("two.example").rcode)
    end)

    it("reads the lists again on HUP", function()
        local path = list("ads.txt", "old.example\n")
        local moondns = start { path }
        assert.equal("NXDOMAIN", moondns:dig("old.example").rcode)
        assert.equal("NOERROR", moondns:dig("mail.example.com").rcode)
        list("ads.txt", "mail.example.com\nother.example\n")
        moondns:signal "HUP"
        moondns:wait_output "2 domains are blocked.-reloaded"
        assert.equal("NXDOMAIN", moondns:dig("mail.example.com").rcode)
    end)

    it("keeps what it has when a list is gone", function()
        local path = list("ads.txt", "mail.example.com\n")
        local moondns = start { path }
        assert(os.remove(path))
        moondns:signal "HUP"
        moondns:wait_output "cannot read .-ads%.txt: No such file or directory.-the version that was loaded before stays"
        assert.equal("NXDOMAIN", moondns:dig("mail.example.com").rcode)
    end)

    it("does not start with a list that is not there", function()
        local result = proxy.run { "-s", "scripts/blocklist.lua", "--set", "blocklist=/no/such/list", "-l", "127.0.0.1:0", "-u", "none" }
        assert.equal(3, result.code)
        assert.truthy(result.err:find("cannot read /no/such/list: No such file or directory", 1, true), result.err)
    end)

    it("blocks nothing without a list", function()
        assert.equal("NOERROR", start({}):dig("mail.example.com").rcode)
    end)
end)
