-- flow:resend: a bad answer is asked for elsewhere.
local net = require "spec.support.net"
local proxy = require "spec.support.proxy"
local scope = require "spec.support.scope"
local wire = require "spec.support.wire"

describe("flow:resend", function()
    scope.manage()

    local first, second

    before_each(function()
        first, second = net.server(), net.server()
    end)

    local function start(code, args)
        return proxy.start { upstream = first, code = code:gsub("SECOND", "127.0.0.1:" .. second.port), args = args }
    end

    -- The server's next query: answered with this code, or with this address.
    local function reply(server, given)
        local query, answer = server:receive()
        local name = wire.parse(query).questions[1].name
        if type(given) == "number" then
            answer(wire.answer(query, {}, { rcode = given }))
        else
            answer(wire.answer(query, { wire.record(name, "A", wire.ipv4(given)) }))
        end
        return wire.parse(query)
    end

    local function ask(moondns, name)
        local client = moondns:udp()
        client:send(wire.query(name or "a.example", "A", { id = 7 }))
        return function()
            local answer = wire.parse(assert(client:receive()))
            assert.equal(7, answer.id)
            return answer
        end
    end

    it("asks another upstream, and the hooks see what comes", function()
        local moondns = start [[
            function dns_response(flow)
                log.info("from %d: %d", flow.server_conn.port, flow.response.response_code)
                if flow.response.response_code == dns.response_codes.SERVFAIL then assert(flow:resend "SECOND") end
            end]]
        local answer = ask(moondns)
        reply(first, wire.rcodes.SERVFAIL)
        assert.equal("a.example", reply(second, "192.0.2.2").questions[1].name)
        assert.equal(wire.ipv4 "192.0.2.2", answer().answers[1].data)
        moondns:wait_output("from " .. first.port .. ": 2.*from " .. second.port .. ": 0", "err")
        moondns:wait_output("192.0.2.2 %(%d+ ms, 127.0.0.1:" .. second.port, "out")
    end)

    it("asks again when nobody answered, and the error is gone", function()
        local moondns = start([[
            function dns_error(flow) log.info("error %s", flow.error.msg); flow:resend("SECOND") end
            function dns_response(flow) log.info("now %s", tostring(flow.error)) end]], { "--timeout", "0.1", "--retries", "0" })
        local answer = ask(moondns)
        assert.is_truthy(first:receive())
        reply(second, "192.0.2.2")
        assert.equal(wire.ipv4 "192.0.2.2", answer().answers[1].data)
        moondns:wait_output("error time%-out.*now nil", "err")
    end)

    it("sends the request as it is changed; the client gets its own question back", function()
        local moondns = start [[
            function dns_response(flow)
                if flow.request.question.name == "a.example" then
                    flow.request.questions[1].name = "b.example"
                    flow:resend()
                end
            end]]
        local answer = ask(moondns)
        reply(first, wire.rcodes.NXDOMAIN)
        assert.equal("b.example", reply(first, "192.0.2.3").questions[1].name)
        local got = answer()
        assert.equal("a.example", got.questions[1].name)
        assert.equal("a.example", got.answers[1].name)
        assert.equal(0, got.rcode)
    end)

    it("outweighs a response that a script set, and is outweighed by an error", function()
        local moondns = start [[
            function dns_request(flow) flow.response = flow.request:fail("REFUSED") end
            function dns_response(flow)
                if flow.request.question.name == "error.example" then flow.error = "no" end
                if flow.response.response_code == dns.response_codes.REFUSED then flow:resend "SECOND" end
            end]]
        local answer = ask(moondns)
        reply(second, "192.0.2.4")
        assert.equal(wire.ipv4 "192.0.2.4", answer().answers[1].data)
        assert.equal(wire.rcodes.REFUSED, ask(moondns, "error.example")().rcode)
    end)

    it("ends after 8 times", function()
        local moondns = start [[
            local count = 0
            function dns_response(flow)
                count = count + 1
                local again, reason = flow:resend()
                if not again then log.info("%d: %s", count, reason) end
            end]]
        local answer = ask(moondns)
        for i = 1, 9 do
            reply(first, "192.0.2." .. i)
        end
        assert.equal(wire.ipv4 "192.0.2.9", answer().answers[1].data)
        moondns:wait_output("9: sent again 8 times already", "err")
    end)

    it("is for answers and errors of live flows", function()
        local moondns = start [[
            function dns_request(flow)
                log.info("%s", tostring(select(2, pcall(flow.resend, flow, "SECOND"))))
                log.info("%s", tostring(select(2, pcall(flow.resend, flow:copy(), "SECOND"))))
                flow.response = flow.request:fail("REFUSED")
            end
            function dns_response(flow) log.info("%s", tostring(select(2, pcall(flow.resend, flow, "nine")))) end]]
        assert.equal(wire.rcodes.REFUSED, ask(moondns)().rcode)
        moondns:wait_output("DNSFlow.resend: only dns_response and dns_error can send a query again", "err")
        moondns:wait_output("DNSFlow.resend: the flow is not live", "err")
        moondns:wait_output("DNSFlow.resend: IP address expected, got 'nine'", "err")
    end)
end)
