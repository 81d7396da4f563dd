-- The way to the upstreams, most of them played by the test.
local dig = require "spec.support.dig"
local net = require "spec.support.net"
local ports = require "spec.support.ports"
local proxy = require "spec.support.proxy"
local scope = require "spec.support.scope"
local upstream = require "spec.support.upstream"
local wait = require "spec.support.wait"
local wire = require "spec.support.wire"

local SERVFAIL = wire.rcodes.SERVFAIL

local function a_record(name, address)
    return wire.record(name, "A", wire.ipv4(address or "192.0.2.7"), 30)
end

-- Answers a query's bytes for any name with one A record.
local function answer_to(query, address, options)
    return wire.answer(query, { a_record(wire.parse(query).questions[1].name, address) }, options)
end

local function first_address(bytes)
    return wire.parse(bytes).answers[1].data
end

describe("upstreams", function()
    scope.manage()
    local server

    before_each(function()
        server = net.server()
    end)

    it("are asked with the client's bytes but for the id", function()
        local moondns = proxy.start { upstream = server }
        local client = moondns:udp()
        local query = wire.query("MiXeD.example", "HTTPS", { edns = { payload = 1400, dnssec = true, data = "\0\8\0\7\0\1\24\0\192\0\2" } })
        client:send(query)
        local received, reply = server:receive()
        assert.equal(wire.hex(query:sub(3)), wire.hex(received:sub(3)))
        local answer = wire.answer(received, {}, { additionals = { wire.opt() } })
        reply(answer)
        assert.equal(wire.hex(query:sub(1, 2) .. answer:sub(3)), wire.hex(client:receive()))
    end)

    it("see random ids from changing ports", function()
        local moondns = proxy.start { upstream = server }
        local ids, source_ports, ascending = {}, {}, 0
        local count_ids, count_ports, last = 0, 0, 0
        for i = 1, 100 do
            local client = moondns:udp()
            client:send(wire.query("n" .. i .. ".example", "A", { id = i }))
            local received, reply, port = server:receive()
            local id = wire.parse(received).id
            count_ids = count_ids + (ids[id] and 0 or 1)
            count_ports = count_ports + (source_ports[port] and 0 or 1)
            ascending = ascending + (id > last and 1 or 0)
            ids[id], source_ports[port], last = true, true, id
            reply(answer_to(received))
            assert.equal(i, wire.parse(assert(client:receive())).id)
        end
        assert.is_true(count_ids >= 95, count_ids .. " ids")
        assert.is_true(count_ports >= 2, count_ports .. " ports")
        assert.is_true(ascending > 20 and ascending < 80, ascending .. " of 100 ids were larger than the one before")
    end)

    it("answer many at once, in any order, and each client gets its own", function()
        local moondns = proxy.start { upstream = server }
        local clients, waiting = {}, {}
        for i = 1, 100 do
            clients[i] = moondns:udp()
            clients[i]:send(wire.query("n" .. i .. ".example", "A", { id = 7 }))
        end
        for i = 1, 100 do
            local received, reply = server:receive()
            waiting[i] = { received, reply }
        end
        for i = 100, 1, -1 do
            local received, reply = unpack(waiting[i])
            reply(answer_to(received, "192.0.2." .. wire.parse(received).questions[1].name:match "%d+"))
        end
        for i = 1, 100 do
            local answer = wire.parse(assert(clients[i]:receive()))
            assert.equal(7, answer.id)
            assert.equal(wire.ipv4("192.0.2." .. i), answer.answers[1].data)
        end
    end)

    it("that stay silent: SERVFAIL after the time-out, and the flow says so", function()
        local moondns = proxy.start { upstream = server, args = { "--timeout", "0.2", "--retries", "0" } }
        local answer = wire.parse(assert(moondns:udp():ask(wire.query("silent.example", "A"))))
        assert.equal(SERVFAIL, answer.rcode)
        assert.equal("silent.example", answer.questions[1].name)
        moondns:wait_output("<< SERVFAIL %(time%-out, 127%.0%.0%.1:" .. server.port .. "%)\n", "out")
    end)

    it("are tried in turn", function()
        local second = net.server()
        local moondns = proxy.start { upstream = { server, second }, args = { "--timeout", "0.3", "--retries", "1" } }
        local client = moondns:udp()
        client:send(wire.query("turn.example", "A"))
        assert(server:receive()) -- and says nothing
        local received, reply = second:receive()
        reply(answer_to(received, "192.0.2.2"))
        assert.equal(wire.ipv4 "192.0.2.2", first_address(assert(client:receive())))
        assert.is_nil(server:receive(0))
    end)

    it("are tried again when there is but one", function()
        local moondns = proxy.start { upstream = server, args = { "--timeout", "0.3", "--retries", "2" } }
        local client = moondns:udp()
        client:send(wire.query("again.example", "A"))
        local ids = {}
        for i = 1, 3 do
            local received, reply = server:receive()
            ids[i] = wire.parse(received).id
            if i == 3 then
                reply(answer_to(received))
            end
        end
        assert.equal(wire.ipv4 "192.0.2.7", first_address(assert(client:receive())))
    end)

    it("that are not there: the next one is asked at once", function()
        local moondns = proxy.start { upstream = { ports.free(), server }, args = { "--timeout", "10" } }
        local client, started = moondns:udp(), wait.now()
        client:send(wire.query("dead.example", "A"))
        local received, reply = server:receive(8)
        assert(received, "the next upstream was not asked before the time-out")
        reply(answer_to(received))
        assert.equal(wire.ipv4 "192.0.2.7", first_address(assert(client:receive())))
        assert.is_true(wait.now() - started < 9)
    end)

    it("that are not there at all: SERVFAIL at once", function()
        local moondns = proxy.start { upstream = ports.free(), args = { "--timeout", "10", "--retries", "1" } }
        local started = wait.now()
        assert.equal(SERVFAIL, wire.parse(assert(moondns:udp():ask(wire.query("dead.example", "A")))).rcode)
        assert.is_true(wait.now() - started < 9)
    end)

    it("none: SERVFAIL for what no script answers", function()
        local moondns = proxy.start { upstream = "none" }
        for _, client in ipairs { moondns:udp(), moondns:tcp() } do
            assert.equal(SERVFAIL, wire.parse(assert(client:ask(wire.query("nowhere.example", "A")))).rcode)
        end
    end)

    it("of a domain get its queries and no others", function()
        local corp, deeper = net.server(), net.server()
        local moondns = proxy.start {
            upstream = { "[/corp.example/]127.0.0.1:" .. corp.port, server, "[/deep.corp.example/]127.0.0.1:" .. deeper.port },
        }
        local expected = {
            ["corp.example"] = corp, ["www.CORP.example"] = corp, ["x.deep.corp.example"] = deeper,
            ["notcorp.example"] = server, ["example"] = server,
        }
        for name, asked in pairs(expected) do
            local client = moondns:udp()
            client:send(wire.query(name, "A"))
            local received, reply = asked:receive()
            assert(received, name .. " did not come")
            reply(answer_to(received))
            assert(client:receive())
        end
    end)

    it("may be set by a script for one query", function()
        local other = net.server()
        local moondns = proxy.start {
            upstream = server,
            code = ([[function dns_request(flow)
                if flow.request.question.name == "a.example" then flow.server_conn.address = "127.0.0.1:%d" end
                if flow.request.question.name == "b.example" then flow.server_conn.address = {"127.0.0.1", %d} end
            end]]):format(other.port, other.port),
        }
        for name, asked in pairs { ["a.example"] = other, ["b.example"] = other, ["c.example"] = server } do
            local client = moondns:udp()
            client:send(wire.query(name, "A"))
            local received, reply = asked:receive()
            assert(received, name .. " did not come: " .. moondns:err())
            reply(answer_to(received))
            assert(client:receive())
        end
    end)

    describe("that lie:", function()
        local FORGERIES = {
            ["another id"] = function(query, id)
                return answer_to(query, "192.0.2.66", { id = (id + 1) % 65536 })
            end,
            ["another name"] = function(query)
                return wire.answer(query, { a_record("evil.example", "192.0.2.66") },
                    { questions = { wire.question("evil.example", "A") } })
            end,
            ["another type"] = function(query)
                return wire.answer(query, {}, { questions = { wire.question("asked.example", "AAAA") } })
            end,
            ["another class"] = function(query)
                return wire.answer(query, {}, { questions = { wire.question("asked.example", "A", 3) } })
            end,
            ["a query"] = function(query)
                return query
            end,
            ["a scrap"] = function(query)
                return query:sub(1, 2) .. "\129"
            end,
        }
        for what, forge in pairs(FORGERIES) do
            it(what .. " is dropped, the true answer counts", function()
                local moondns = proxy.start { upstream = server, args = { "--timeout", "15", "--retries", "0" } }
                local client = moondns:udp()
                client:send(wire.query("asked.example", "A"))
                local received, reply = server:receive()
                reply(forge(received, wire.parse(received).id))
                reply(answer_to(received, "192.0.2.8"))
                assert.equal(wire.ipv4 "192.0.2.8", first_address(assert(client:receive())))
            end)
        end

        it("from another address is dropped", function()
            local moondns = proxy.start { upstream = server, args = { "--timeout", "15" } }
            local client, stranger = moondns:udp(), net.server()
            client:send(wire.query("asked.example", "A"))
            local received, reply, port = server:receive()
            stranger.udp:sendto(answer_to(received, "192.0.2.66"), "127.0.0.1", port)
            reply(answer_to(received, "192.0.2.8"))
            assert.equal(wire.ipv4 "192.0.2.8", first_address(assert(client:receive())))
        end)

        it("twice harms nobody", function()
            local moondns = proxy.start { upstream = server }
            local client = moondns:udp()
            for i = 1, 20 do
                client:send(wire.query("n" .. i .. ".example", "A", { id = i }))
                local received, reply = server:receive()
                reply(answer_to(received))
                reply(answer_to(received, "192.0.2.66"))
                local answer = wire.parse(assert(client:receive()))
                assert.same({ i, wire.ipv4 "192.0.2.7" }, { answer.id, answer.answers[1].data })
            end
        end)
    end)

    it("with malformed answers: the next one is asked", function()
        local second = net.server()
        local moondns = proxy.start { upstream = { server, second }, args = { "--timeout", "15", "--retries", "1" } }
        local client = moondns:udp()
        client:send(wire.query("bad.example", "A"))
        local received, reply = server:receive()
        reply(answer_to(received, "192.0.2.66") .. "trailing")
        received, reply = second:receive()
        reply(answer_to(assert(received, "the second was not asked"), "192.0.2.8"))
        assert.equal(wire.ipv4 "192.0.2.8", first_address(assert(client:receive())))
    end)

    it("cut an answer: a UDP client gets TC as it came", function()
        local moondns = proxy.start { upstream = server }
        local client = moondns:udp()
        client:send(wire.query("cut.example", "A"))
        local received, reply = server:receive()
        reply(wire.answer(received, {}, { tc = true }))
        local answer = wire.parse(assert(client:receive()))
        assert.is_true(answer.tc)
        assert.equal(0, #answer.answers)
        assert.is_nil(server:accept(0))
    end)

    it("cut an answer: for a TCP client they are asked again over TCP", function()
        local moondns = proxy.start { upstream = server }
        local client = moondns:tcp()
        client:send(wire.query("cut.example", "A", { id = 99 }))
        local received, reply = server:receive()
        reply(wire.answer(received, {}, { tc = true }))
        local stream = assert(server:accept())
        local again = assert(stream:receive())
        assert.equal(wire.hex(received:sub(3)), wire.hex(again:sub(3)))
        stream:send(answer_to(again, "192.0.2.9"))
        local answer = wire.parse(assert(client:receive()))
        assert.same({ 99, false, wire.ipv4 "192.0.2.9" }, { answer.id, answer.tc, answer.answers[1].data })
    end)

    it("over TCP alone are asked over TCP for UDP clients too", function()
        local moondns = proxy.start { upstream = "tcp://127.0.0.1:" .. server.port }
        local client = moondns:udp()
        client:send(wire.query("tcp.example", "A"))
        local stream = assert(server:accept())
        local received = assert(stream:receive())
        stream:send(answer_to(received))
        assert.equal(wire.ipv4 "192.0.2.7", first_address(assert(client:receive())))
        assert.is_nil(server:receive(0))
    end)

    it("that close a stream before they answer: the try is spent, another follows", function()
        local moondns = proxy.start { upstream = "tcp://127.0.0.1:" .. server.port, args = { "--timeout", "15", "--retries", "1" } }
        local client = moondns:udp()
        client:send(wire.query("closed.example", "A"))
        local stream = assert(server:accept())
        assert(stream:receive())
        stream:close()
        stream = assert(server:accept())
        stream:send(answer_to(assert(stream:receive())))
        assert.equal(wire.ipv4 "192.0.2.7", first_address(assert(client:receive())))
    end)

    it("answer a pipelining client as they can, not in the order it asked", function()
        local moondns = proxy.start { upstream = server }
        local client = moondns:tcp()
        for i = 1, 3 do
            client:send(wire.query("n" .. i .. ".example", "A", { id = i }))
        end
        local replies = {}
        for _ = 1, 3 do
            local received, reply = server:receive()
            replies[wire.parse(received).questions[1].name] = function()
                reply(answer_to(received))
            end
        end
        for _, i in ipairs { 2, 3, 1 } do
            replies["n" .. i .. ".example"]()
            assert.equal(i, wire.parse(assert(client:receive())).id)
        end
    end)

    it("do not see options that belong to the client's connection", function()
        local moondns = proxy.start { upstream = server }
        local keepalive, padding, subnet = "\0\11\0\0", "\0\12\0\4\0\0\0\0", "\0\8\0\7\0\1\24\0\192\0\2"
        local client = moondns:tcp()
        client:send(wire.query("options.example", "A", { edns = { data = keepalive .. subnet .. padding } }))
        local received, reply = server:receive()
        assert.equal(wire.hex(subnet), wire.hex(wire.parse(received).opt.data))
        reply(wire.answer(received, {}, { additionals = { wire.opt { data = padding .. subnet } } }))
        local own_keepalive = "\0\11\0\2\0\100"
        assert.equal(wire.hex(subnet .. own_keepalive), wire.hex(wire.parse(assert(client:receive())).opt.data))
    end)

    it("send OPT to a client that sent none: it is taken out", function()
        local moondns = proxy.start { upstream = server }
        local client = moondns:udp()
        client:send(wire.query("plain.example", "A"))
        local received, reply = server:receive()
        reply(answer_to(received, nil, { additionals = { wire.opt() } }))
        local answer = wire.parse(assert(client:receive()))
        assert.equal(0, #answer.additionals)
        assert.equal(1, #answer.answers)
    end)

    it("get the question that a script made of it, and the client gets its own back", function()
        local moondns = proxy.start {
            upstream = server,
            code = [[function dns_request(flow) flow.request.questions = {dns.Question("other.example", "A")} end]],
        }
        local client = moondns:udp()
        client:send(wire.query("aSked.example", "A"))
        local received, reply = server:receive()
        assert.equal("other.example", wire.parse(received).questions[1].name)
        reply(answer_to(received))
        local answer = wire.parse(assert(client:receive()))
        assert.equal("aSked.example", answer.questions[1].name)
        assert.equal("aSked.example", answer.answers[1].name)
    end)

    it("and clients on IPv6", function()
        local probe = require("socket").udp6()
        local has_ipv6 = probe:setsockname("::1", 0)
        probe:close()
        if not has_ipv6 then
            pending "this machine has no ::1"
            return
        end
        local port = ports.free()
        local moondns = proxy.start { listen = { "[::1]:" .. port, "127.0.0.1:" .. port }, port = port, upstream = upstream.knot() }
        for _, address in ipairs { "@::1", "@127.0.0.1" } do
            for _, how in ipairs { "+notcp", "+tcp" } do
                assert.same({ "192.0.2.1" }, dig.data(moondns:dig("example.com " .. address .. " " .. how)))
            end
        end
    end)
end)
