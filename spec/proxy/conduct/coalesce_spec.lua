-- --coalesce: identical questions in flight are asked once (RFC 5452 section 5).
local net = require "spec.support.net"
local proxy = require "spec.support.proxy"
local scope = require "spec.support.scope"
local wire = require "spec.support.wire"

local SERVFAIL = wire.rcodes.SERVFAIL

local function answer_to(query, address)
    local name = wire.parse(query).questions[1].name
    return wire.answer(query, { wire.record(name, "A", wire.ipv4(address or "192.0.2.7")) })
end

describe("--coalesce", function()
    scope.manage()
    local server, moondns

    before_each(function()
        server = net.server()
    end)

    local function start(options)
        options = options or {}
        moondns = proxy.start { upstream = server, code = options.code, args = { "--timeout", options.timeout or "5",
            "--retries", "0", options.off and "-v" or "--coalesce" } }
    end

    -- Clients that each send one of these queries, one after the other, so that they come in this order.
    local function send(queries, transport)
        local clients = {}
        for i, query in ipairs(queries) do
            clients[i] = moondns[transport or "udp"](moondns)
            clients[i]:send(query)
        end
        return clients
    end

    local function same(count, options)
        local queries = {}
        for i = 1, count do
            options = options or {}
            queries[i] = wire.query("a.example", "A", { id = i, flags = options.flags, edns = options.edns })
        end
        return queries
    end

    -- Waits until the proxy has taken all that was sent before.
    local function settle()
        local client = moondns:udp()
        client:send(wire.query("settle.example", "A"))
        local received, reply
        repeat
            received, reply = assert(server:receive())
        until wire.parse(received).questions[1].name == "settle.example"
        reply(answer_to(received))
        assert.truthy(client:receive())
    end

    it("asks once, and each client gets the answer with its own id", function()
        start()
        local clients = send(same(20))
        local received, reply = assert(server:receive())
        settle()
        reply(answer_to(received))
        for i, client in ipairs(clients) do
            local answer = wire.parse(assert(client:receive()))
            assert.same({ i, wire.ipv4 "192.0.2.7" }, { answer.id, answer.answers[1].data })
        end
        assert.is_nil(server:receive(0))
        send(same(1)) -- and anew once that is over
        assert.truthy(server:receive())
    end)

    it("is off by default", function()
        start { off = true }
        send(same(3))
        for _ = 1, 3 do
            assert.truthy(server:receive())
        end
    end)

    it("asks for each where anything differs: spelling, type, class, flags, EDNS, options, transport", function()
        start()
        local subnet, cookie = "\0\8\0\7\0\1\24\0\192\0\2", "\0\10\0\8abcdefgh"
        local queries = {
            wire.query("a.example", "A"), wire.query("A.example", "A"), wire.query("a.example", "AAAA"),
            wire.query("a.example", "A", { class = 3 }), wire.query("a.example", "A", { flags = 0 }),
            wire.query("a.example", "A", { flags = 0x0110 }), wire.query("a.example", "A", { flags = 0x0120 }),
            wire.query("a.example", "A", { edns = true }), wire.query("a.example", "A", { edns = { dnssec = true } }),
            wire.query("a.example", "A", { edns = { data = subnet } }),
            wire.query("a.example", "A", { edns = { data = cookie } }),
        }
        send(queries)
        for _ = 1, #queries do
            assert.truthy(server:receive(5))
        end
        send({ queries[1] }, "tcp")
        assert.truthy(server:receive(5))
    end)

    it("leaves alone what is no plain question: other op codes, signatures, transfers", function()
        start()
        local question = wire.question("a.example", "A")
        local tsig = wire.record("key", 250, "\0", 0, 255)
        local odd = {
            wire.message(1, 4 * 2048, { question }), wire.message(1, 0x100, { question }, nil, nil, { tsig }),
            wire.query("a.example", 251), wire.query("a.example", 249),
        }
        for _, query in ipairs(odd) do
            send { query, query }
            for _ = 1, 2 do
                assert.truthy(server:receive(5))
            end
        end
    end)

    it("runs the hooks of each, and what one script made of its answer is not the others'", function()
        start { code = [[
            function dns_request(flow) flow.metadata.id = flow.request.id end
            function dns_response(flow)
                assert(flow.metadata.id == flow.request.id)
                if flow.request.id == 1 then flow.response = flow.request:fail("REFUSED") end
                if flow.request.id == 2 then flow:kill() end
                if flow.request.id == 3 then sleep(0.05) end
                log.info("response %d from %d", flow.request.id, flow.server_conn.port)
            end]] }
        local clients = send(same(4))
        local received, reply = assert(server:receive())
        settle()
        reply(answer_to(received))
        assert.equal(wire.rcodes.REFUSED, wire.parse(assert(clients[1]:receive())).rcode)
        for i = 3, 4 do
            assert.equal(wire.ipv4 "192.0.2.7", wire.parse(assert(clients[i]:receive())).answers[1].data)
        end
        for i = 1, 4 do
            moondns:wait_output("response " .. i .. " from " .. server.port, "err")
        end
        assert.is_nil(clients[2]:receive(0.01))
    end)

    it("fails all where the one fails, each with its own error hook", function()
        start { timeout = "0.3", code = [[
            function dns_error(flow)
                log.info("%d: %s", flow.request.id, flow.error.msg)
                if flow.request.id == 2 then flow.response = flow.request:fail("REFUSED") end
            end]] }
        local clients = send(same(3))
        for i, client in ipairs(clients) do
            assert.equal(i == 2 and wire.rcodes.REFUSED or SERVFAIL, wire.parse(assert(client:receive())).rcode)
            moondns:wait_output(i .. ": time%-out", "err")
        end
        assert.truthy(server:receive(0))
        assert.is_nil(server:receive(0))
    end)

    it("goes on with the others where the one that asks is killed", function()
        start { code = [[
            function dns_request(flow)
                if flow.request.id == 1 then timer.after(0.01, function() flow:kill() log.info("killed") end) end
            end]] }
        local clients = send(same(3))
        local received, reply = assert(server:receive())
        settle()
        moondns:wait_output("killed", "err")
        reply(answer_to(received, "192.0.2.66"))
        received, reply = assert(server:receive())
        reply(answer_to(received))
        for i = 2, 3 do
            assert.equal(wire.ipv4 "192.0.2.7", wire.parse(assert(clients[i]:receive())).answers[1].data)
        end
        assert.is_nil(server:receive(0))
    end)

    it("asks once over TCP too, where the answer was cut", function()
        start()
        local clients = send(same(5), "tcp")
        local received, reply = assert(server:receive())
        settle()
        reply(wire.answer(received, {}, { tc = true }))
        local stream = assert(server:accept())
        stream:send(answer_to(assert(stream:receive())))
        for _, client in ipairs(clients) do
            assert.equal(1, #wire.parse(assert(client:receive())).answers)
        end
        assert.is_nil(stream:receive(0.01))
    end)

    it("ends with the proxy, answered or not", function()
        start { timeout = "30" }
        send(same(5))
        assert.truthy(server:receive())
        moondns:stop_at_once()
    end)
end)
