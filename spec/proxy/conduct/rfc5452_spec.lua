-- RFC 5452, measures against forged answers.
local socket = require "socket"
local crossing = require "spec.support.crossing"
local net = require "spec.support.net"
local proxy = require "spec.support.proxy"
local scope = require "spec.support.scope"
local wire = require "spec.support.wire"

local CROSSING_QUERIES, CROSSING_CLIENTS = 20000, 50
local GOOD, FORGED = wire.ipv4 "192.0.2.1", wire.ipv4 "192.0.2.66"

describe("RFC 5452", function()
    scope.manage()
    local server

    before_each(function()
        server = net.server()
    end)

    describe("section 9.1", function()
        local moondns

        before_each(function()
            moondns = proxy.start { upstream = server, args = { "--timeout", "10", "--retries", "0" } }
        end)

        local function answer(query, data, options)
            return wire.answer(query, { wire.record("a.example", "A", data) }, options)
        end

        -- What `forge(query, reply, port)` sends is not taken; the good answer after it is.
        local function assert_refused(forge)
            local client = moondns:udp()
            client:send(wire.query("a.example", "A", { id = 7 }))
            local query, reply, port = assert(server:receive())
            forge(query, reply, port)
            reply(answer(query, GOOD))
            local got = wire.parse(assert(client:receive()))
            assert.same({ 7, GOOD }, { got.id, got.answers[1].data })
            assert.is_nil(client:receive(0.01))
        end

        it("section 4.2: another question, in name, type, class or number, is not taken", function()
            local questions = {
                { wire.question("b.example", "A") }, { wire.question("a.example.evil", "A") }, { wire.question("a.example", "AAAA") },
                { wire.question("a.example", "A", 3) }, {},
                { wire.question("a.example", "A"), wire.question("a.example", "A") },
            }
            for _, asked in ipairs(questions) do
                assert_refused(function(query, reply)
                    reply(answer(query, FORGED, { questions = asked }))
                end)
            end
        end)

        it("section 4.3: another id is not taken", function()
            assert_refused(function(query, reply)
                local id = wire.parse(query).id
                for _, other in ipairs { id + 1, id - 1, 0, 65535, id + 256, 7 } do
                    if other % 65536 ~= id then
                        reply(answer(query, FORGED, { id = other % 65536 }))
                    end
                end
            end)
        end)

        it("section 4.4: another source, in address or port, is not taken", function()
            for _, address in ipairs { "127.0.0.1", "127.0.0.2" } do
                assert_refused(function(query, _, port)
                    local forger = socket.udp4()
                    assert(forger:setsockname(address, address == "127.0.0.1" and 0 or server.port))
                    assert(forger:sendto(answer(query, FORGED), "127.0.0.1", port))
                    forger:close()
                end)
            end
        end)

        it("section 4.5: another port of ours is not taken, though it asked the same server", function()
            local first = moondns:udp()
            first:send(wire.query("first.example", "A"))
            local _, _, other_port = assert(server:receive())
            assert_refused(function(query, _, port)
                if port ~= other_port then
                    assert(server.udp:sendto(answer(query, FORGED), "127.0.0.1", other_port))
                end
            end)
        end)

        it("a query, another op code, is not taken for an answer", function()
            assert_refused(function(query, reply)
                local forged = answer(query, FORGED)
                reply(forged:sub(1, 2) .. "\1" .. forged:sub(4))
                reply(forged:sub(1, 2) .. "\161" .. forged:sub(4))
            end)
        end)

        it("a second answer, and one that comes late, reach nobody", function()
            local client = moondns:udp()
            client:send(wire.query("a.example", "A"))
            local query, reply = server:receive()
            reply(answer(query, GOOD))
            assert.equal(GOOD, wire.parse(assert(client:receive())).answers[1].data)
            for _ = 1, 20 do
                reply(answer(query, FORGED))
            end
            assert_refused(function(_, again)
                again(answer(query, FORGED))
            end)
        end)
    end)

    it("sections 4.3 and 9.2: 300 queries have 285 ids or more, no step between them is repeated ten times, and 250 ports or more", function()
        local moondns = proxy.start { upstream = server, args = { "--flow-detail", "0" } }
        local client, ids, ports, steps, last = moondns:udp(), {}, {}, {}, 0
        local id_count, port_count = 0, 0
        for i = 1, 300 do
            client:send(wire.query("n" .. i .. ".example", "A"))
            local query, reply, port = assert(server:receive())
            local id = wire.parse(query).id
            id_count = id_count + (ids[id] and 0 or 1)
            port_count = port_count + (ports[port] and 0 or 1)
            ids[id], ports[port] = true, true
            local step = (id - last) % 65536
            steps[step], last = (steps[step] or 0) + 1, id
            assert.is_true(steps[step] < 10, "step " .. step)
            reply(wire.answer(query, {}))
            assert.truthy(client:receive())
            socket.sleep(0.011) -- a client's own pace; at more than a hundred queries a second sockets are shared
        end
        assert.is_true(id_count >= 285, id_count .. " ids")
        assert.is_true(port_count >= 250, port_count .. " ports")
    end)

    it("section 4.3: no port is an upstream's, which could not come back to it on this machine", function()
        local FIRST, COUNT = 20000, 2500
        local upstreams = { server }
        for i = 1, COUNT do
            upstreams[i + 1] = "[/away.example/]127.0.0.1:" .. FIRST + i - 1
        end
        local moondns = proxy.start { upstream = upstreams, args = { "--flow-detail", "0" } }
        local client, ports, count = moondns:udp(), {}, 0
        for i = 1, 150 do
            client:send(wire.query("n" .. i .. ".example", "A"))
            local query, reply, port = assert(server:receive())
            assert.is_false(port >= FIRST and port < FIRST + COUNT and port ~= server.port, "port " .. port)
            count = count + (ports[port] and 0 or 1)
            ports[port] = true
            reply(wire.answer(query, {}))
            assert.truthy(client:receive())
            socket.sleep(0.011) -- a port for each query
        end
        assert.is_true(count >= 100, count .. " ports")
    end)

    it("section 9.1: " .. CROSSING_QUERIES .. " queries of one id with answers in random order, none crossed", function()
        local moondns = proxy.start { upstream = server, args = { "--flow-detail", "0" } }
        assert.equal(CROSSING_QUERIES, crossing.run(moondns.port, server, CROSSING_QUERIES, CROSSING_CLIENTS))
    end)
end)
