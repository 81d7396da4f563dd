-- RFC 7766, DNS over TCP, and RFC 9210, its operation: connections are used again on both sides.
local net = require "spec.support.net"
local proxy = require "spec.support.proxy"
local scope = require "spec.support.scope"
local upstream = require "spec.support.upstream"
local wait = require "spec.support.wait"
local wire = require "spec.support.wire"

local COUNT = 40
local AXFR = 252

local function answer_to(query)
    local name = wire.parse(query).questions[1].name
    return wire.answer(query, { wire.record(name, "A", wire.ipv4("192.0.2." .. name:match "%d+")) })
end

local function query(number)
    return wire.query("n" .. number .. ".example", "A", { id = number })
end

-- The answers to n1.example to nCOUNT.example, in the order they come; each is the one to its own question.
local function collect(client, count)
    local order = {}
    for i = 1, count do
        local answer = wire.parse(assert(client:receive()))
        assert.equal("n" .. answer.id .. ".example", answer.questions[1].name)
        assert.equal(wire.ipv4("192.0.2." .. answer.id), answer.answers[1] and answer.answers[1].data)
        order[i] = answer.id
    end
    return order
end

describe("RFC 7766", function()
    scope.manage()
    local server

    before_each(function()
        server = net.server()
    end)

    local function start(options)
        options = options or {}
        return proxy.start { upstream = "tcp://127.0.0.1:" .. server.port,
            args = { "--timeout", "15", "--retries", options.retries or "0" } }
    end

    describe("section 6.2.1, with clients", function()
        it("connections are used again, and need not wait for an answer (section 6.2.1.1)", function()
            local client = start():tcp()
            local stream
            for round = 1, 3 do
                for i = 1, COUNT do
                    client:send(query(i))
                end
                stream = stream or assert(server:accept())
                for _ = 1, COUNT do
                    stream:send(answer_to(assert(stream:receive())))
                end
                collect(client, COUNT)
            end
        end)

        it("many messages in one segment, and one in many, are read (section 8)", function()
            local moondns = start()
            local client, bytes = moondns:tcp(), ""
            for i = 1, 3 do
                bytes = bytes .. wire.u16(#query(i)) .. query(i)
            end
            client:write(bytes)
            for byte in (wire.u16(#query(4)) .. query(4)):gmatch "." do
                client:write(byte)
            end
            local stream = assert(server:accept())
            for _ = 1, 4 do
                stream:send(answer_to(assert(stream:receive())))
            end
            collect(client, 4)
        end)
    end)

    it("section 7: answers come as they are there, and are told apart by id and question", function()
        local client = start():tcp()
        for i = 1, COUNT do
            client:send(query(i))
        end
        local stream, received = assert(server:accept()), {}
        for i = 1, COUNT do
            received[i] = assert(stream:receive())
        end
        for i = COUNT, 1, -1 do
            stream:send(answer_to(received[i]))
        end
        local order = collect(client, COUNT)
        assert.is_true(order[1] > order[COUNT])
    end)

    it("section 7: the same id twice on one connection gets both answers", function()
        local moondns = start()
        local client = moondns:tcp()
        client:send(wire.query("n1.example", "A", { id = 5 }))
        client:send(wire.query("n2.example", "A", { id = 5 }))
        local stream = assert(server:accept())
        for _ = 1, 2 do
            stream:send(answer_to(assert(stream:receive())))
        end
        local seen = {}
        for _ = 1, 2 do
            seen[wire.parse(assert(client:receive())).questions[1].name] = true
        end
        assert.same({ ["n1.example"] = true, ["n2.example"] = true }, seen)
    end)

    describe("section 6.2.1, with upstreams", function()
        it("one connection carries the queries of all clients", function()
            local moondns = start()
            local first, second = moondns:tcp(), moondns:udp()
            first:send(query(1))
            local stream = assert(server:accept())
            stream:send(answer_to(assert(stream:receive())))
            collect(first, 1)
            second:send(query(2))
            stream:send(answer_to(assert(stream:receive())))
            collect(second, 1)
            assert.is_nil(server:accept(0))
        end)

        it("section 6.2: a connection that is closed between queries is opened again, and no query is lost", function()
            local moondns = start()
            local client = moondns:udp()
            for i = 1, 5 do
                client:send(query(i))
                local stream = assert(server:accept())
                stream:send(answer_to(assert(stream:receive())))
                collect(client, 1)
                stream:close()
            end
        end)

        it("section 6.2: queries that a closed connection left unanswered are asked again on a new one", function()
            local client = start():tcp()
            for i = 1, COUNT do
                client:send(query(i))
            end
            local stream = assert(server:accept())
            for i = 1, COUNT / 2 do
                stream:send(answer_to(assert(stream:receive())))
            end
            stream:close()
            stream = assert(server:accept())
            for i = 1, COUNT / 2 do
                stream:send(answer_to(assert(stream:receive())))
            end
            collect(client, COUNT)
        end)

        it("section 6.2: a server that closes after each answer gets a connection for each query", function()
            local client = start():tcp()
            for i = 1, COUNT do
                client:send(query(i))
            end
            local answered = 0
            while answered < COUNT do
                local stream = assert(server:accept())
                local received = stream:receive()
                if received then -- else it was meant for a query that has been answered
                    stream:send(answer_to(received))
                    answered = answered + 1
                end
                stream:close()
            end
            collect(client, COUNT)
        end)

        for _, queries in ipairs { 1, 5, 30 } do
            it("section 6.2: nsd that takes " .. queries .. " on a connection answers all, of many at once", function()
                local nsd = upstream.nsd(nil, queries)
                local moondns = proxy.start { upstream = "tcp://127.0.0.1:" .. nsd.port,
                    args = { "--timeout", "15", "--retries", "0", "--flow-detail", "0" } }
                local client, sent = moondns:tcp(), 0
                local function send()
                    sent = sent + 1
                    client:send(wire.query("n" .. sent .. ".example.com", "A"))
                end
                for _ = 1, 200 do
                    send()
                end
                local rcodes = {}
                for _ = 1, 1200 do
                    local rcode = wire.parse(assert(client:receive())).rcode
                    rcodes[rcode] = (rcodes[rcode] or 0) + 1
                    if sent < 1200 then
                        send()
                    end
                end
                assert.same({ [wire.rcodes.NXDOMAIN] = 1200 }, rcodes)
            end)
        end

        -- Answers `count` queries, each on a connection of its own that it closes; those that are open already first.
        local function answer_each(streams, count, answer)
            for i = 1, count do
                local stream = streams[i] or assert(server:accept())
                stream:send(answer(assert(stream:receive())))
                stream:close()
            end
        end

        it("section 6.2: one that closes behind one answer, and is slow, answers more than may be connected", function()
            local client, streams = start():tcp(), {}
            for i = 1, 400 do
                client:send(wire.query("n" .. i .. ".example", "A"))
            end
            answer_each({}, 2, wire.answer) -- that is how it shows it
            for i = 1, 100 do
                streams[i] = assert(server:accept())
            end
            answer_each(streams, 398, wire.answer)
            for _ = 1, 400 do
                assert.equal(0, wire.parse(assert(client:receive())).rcode)
            end
        end)

        it("transfers from a slow server wait for others from there, and leave other servers to be asked", function()
            local good = net.server()
            local moondns = proxy.start { upstream = { good, "[/slow.example/]tcp://127.0.0.1:" .. server.port },
                args = { "--timeout", "30", "--retries", "0", "--flow-detail", "0" } }
            local function transferred(query)
                local name = wire.parse(query).questions[1].name
                local soa = wire.record(name, "SOA", wire.name "a." .. wire.name "b." .. ("\0\0\0\1"):rep(5))
                return wire.answer(query, { soa, soa })
            end
            local clients, streams = { moondns:tcp(), moondns:tcp(), moondns:tcp() }, {}
            for i = 1, 300 do
                clients[i % 2 + 1]:send(wire.query("n" .. i .. ".slow.example", AXFR))
            end
            for i = 1, 100 do
                streams[i] = assert(server:accept())
            end
            clients[3]:send(wire.query("good.example", AXFR))
            local stream = assert(good:accept())
            stream:send(transferred(assert(stream:receive())))
            assert.equal(0, wire.parse(assert(clients[3]:receive())).rcode)
            answer_each(streams, 300, transferred)
            for i = 1, 300 do
                assert.equal(0, wire.parse(assert(clients[i % 2 + 1]:receive())).rcode)
            end
        end)

        it("section 6.2: one that closes without an answer spends a try", function()
            local client = start({ retries = "1" }):udp()
            client:send(query(1))
            for _ = 1, 2 do
                local stream = assert(server:accept())
                assert.truthy(stream:receive())
                stream:close()
            end
            assert.equal(wire.rcodes.SERVFAIL, wire.parse(assert(client:receive())).rcode)
        end)
    end)

    describe("section 6.2.3", function()
        it("idle connections end, half-sent ones sooner; those in use stay", function()
            local moondns = proxy.start { upstream = server }
            local idle, half, used = moondns:tcp(), moondns:tcp(), moondns:tcp()
            local started = wait.now()
            half:write(wire.u16(100) .. "half")
            half:wait_closed(12)
            local half_seconds = wait.now() - started
            assert.is_true(half_seconds < 10, half_seconds .. " s")
            used:send(query(1))
            local received, reply = server:receive()
            reply(answer_to(received))
            collect(used, 1)
            idle:wait_closed(15)
            assert.is_true(wait.now() - started > half_seconds)
            used:send(query(2))
            received, reply = server:receive()
            reply(answer_to(received))
            collect(used, 1)
        end)

        it("half-closed clients get their answers, and then the end", function()
            local client = start():tcp()
            for i = 1, 3 do
                client:send(query(i))
            end
            client:half_close()
            local stream = assert(server:accept())
            for _ = 1, 3 do
                stream:send(answer_to(assert(stream:receive())))
            end
            collect(client, 3)
            client:wait_closed()
        end)

        it("an idle connection upstream is closed in the end", function()
            local client = start():udp()
            client:send(query(1))
            local stream = assert(server:accept())
            stream:send(answer_to(assert(stream:receive())))
            collect(client, 1)
            stream:wait_closed(15)
        end)
    end)
end)

describe("RFC 9210", function()
    scope.manage()

    it("section 4.1: TCP is served without being asked for", function()
        local moondns = proxy.start { code = [[function dns_request(flow) flow.response = flow.request:succeed {} end]] }
        assert.equal(0, wire.parse(assert(moondns:tcp():ask(wire.query("a.example", "A")))).rcode)
    end)

    it("section 4.2: a client that does not take its answers is closed, others are served", function()
        local moondns = proxy.start { code = [[
            local records = {}
            for i = 1, 200 do records[i] = dns.ResourceRecord.TXT("a.example", ("x"):rep(250)) end
            function dns_request(flow) flow.response = flow.request:succeed(records) end]] }
        local greedy, asked = moondns:tcp(), wire.query("a.example", "TXT")
        greedy.handle:settimeout(0.1)
        repeat
            local sent = greedy:write(wire.u16(#asked) .. asked)
        until not sent
        assert.equal(200, #wire.parse(assert(moondns:tcp():ask(asked))).answers)
        wait.eventually(function()
            local _, problem = greedy:write "x"
            return problem == "closed"
        end, "the end of the connection", 15)
    end)
end)
