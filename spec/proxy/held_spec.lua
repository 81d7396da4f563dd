-- flow:intercept has limits: how many flows are held, and for how long.
local proxy = require "spec.support.proxy"
local scope = require "spec.support.scope"
local wait = require "spec.support.wait"
local wire = require "spec.support.wire"

describe("held flows", function()
    scope.manage()

    local HOLDING = [[
        local held = {}
        local function answer(flow) flow.response = flow.request:succeed {
            dns.ResourceRecord.A(flow.request.question.name, "192.0.2.9") } end
        function dns_request(flow)
            local name = flow.request.question.name
            if name:find "^hold" then
                held[#held + 1] = flow
                flow:intercept()
            elseif name:find "^resume" then
                for _, flow in ipairs(held) do answer(flow); flow:resume() end
                answer(flow)
            else
                if name:find "^kill" then held[1]:kill() end
                answer(flow)
            end
        end
        function dns_error(flow) log.info("%s: %s", flow.request.question.name, flow.error.msg) end]]

    local function ask(moondns, name)
        local client = moondns:udp()
        client:send(wire.query(name, "A"))
        return function()
            return wire.parse(assert(client:receive()))
        end
    end

    it("fail when their time is over, those held for longest first", function()
        local moondns = proxy.start { code = HOLDING, args = { "--held-timeout", "0.3" } }
        local started = wait.now()
        local first = ask(moondns, "hold1.example")
        assert.equal(0, ask(moondns, "other.example")().rcode)
        local second = ask(moondns, "hold2.example")
        assert.equal(wire.rcodes.SERVFAIL, first().rcode)
        assert.is_true(wait.now() - started >= 0.3)
        assert.equal(wire.rcodes.SERVFAIL, second().rcode)
        moondns:wait_output("hold1.example: held for more than 0.3 s.*hold2.example: held for more than 0.3 s", "err")
        assert.equal(0, ask(moondns, "resume.example")().rcode) -- too late, and no harm
        local third = ask(moondns, "hold3.example")
        assert.equal(wire.rcodes.SERVFAIL, third().rcode)
    end)

    it("go on in time, or are killed, and then no time is kept for them", function()
        local moondns = proxy.start { code = HOLDING, args = { "--held-timeout", "20" } }
        local killed, held = ask(moondns, "hold1.example"), ask(moondns, "hold2.example")
        assert.equal(0, ask(moondns, "kill.example")().rcode)
        moondns:wait_output("hold1.example\n << killed", "out")
        assert.is_function(killed)
        assert.equal(0, ask(moondns, "resume.example")().rcode)
        assert.equal(0, held().rcode)
    end)

    it("are so many at the most; others fail", function()
        local moondns = proxy.start { code = HOLDING, args = { "--held-max", "2" } }
        local held = { ask(moondns, "hold1.example"), ask(moondns, "hold2.example") }
        assert.equal(wire.rcodes.SERVFAIL, ask(moondns, "hold3.example")().rcode)
        moondns:wait_output("hold3.example: too many flows are held", "err")
        assert.truthy(moondns:err():find("--held-max raises that", 1, true))
        assert.equal(0, ask(moondns, "resume.example")().rcode)
        assert.equal(0, held[1]().rcode)
        assert.equal(0, held[2]().rcode)
        local again = ask(moondns, "hold4.example")
        assert.equal(0, ask(moondns, "resume.example")().rcode)
        assert.equal(0, again().rcode)
    end)

    it("take so much memory at the most; others fail", function()
        local moondns = proxy.start { args = { "--held-memory", "1" }, code = [[
            local held, text = {}, ("x"):rep(50000)
            function dns_request(flow)
                local name = flow.request.question.name
                flow.response = flow.request:succeed { dns.ResourceRecord.TXT(name, text) }
                if name == "resume.example" then
                    for _, flow in ipairs(held) do flow:resume() end
                else
                    held[#held + 1] = flow
                    flow:intercept()
                end
            end
            function dns_error(flow) log.info("%s", flow.error.msg) end]] }
        local client, failed = moondns:tcp(), 0
        for i = 1, 40 do
            client:send(wire.query("hold.example", "TXT", { id = i }))
        end
        moondns:wait_output("held flows take too much memory", "err")
        assert(moondns:udp():ask(wire.query("resume.example", "TXT")))
        for _ = 1, 40 do
            failed = failed + (wire.parse(assert(client:receive())).rcode == wire.rcodes.SERVFAIL and 1 or 0)
        end
        assert.is_true(failed >= 20 and failed < 40, failed .. " failed")
        assert.truthy(moondns:err():find("--held-memory raises that", 1, true))
    end)

    it("fail whatever a script had set, unless dns_error answers", function()
        local moondns = proxy.start { args = { "--held-timeout", "0.1" }, code = [[
            function dns_response(flow) flow.response.answers = {}; flow:intercept() end
            function dns_request(flow) flow.response = flow.request:fail("REFUSED") end
            function dns_error(flow)
                if flow.request.question.name == "mine.example" then flow.response = flow.request:fail("NOTIMP") end
            end]] }
        assert.equal(wire.rcodes.SERVFAIL, ask(moondns, "a.example")().rcode)
        assert.equal(wire.rcodes.NOTIMP, ask(moondns, "mine.example")().rcode)
    end)

    it("end with the proxy", function()
        local moondns = proxy.start { code = HOLDING, args = { "--held-timeout", "0.5" } }
        local held = ask(moondns, "hold1.example")
        assert.equal(0, ask(moondns, "other.example")().rcode)
        moondns:signal "TERM"
        assert.equal(wire.rcodes.SERVFAIL, held().rcode)
        assert.equal(0, moondns:wait_end())
        moondns.expected_end = true
    end)
end)
