-- RFC 7828, the edns-tcp-keepalive option: it belongs to one connection, so the proxy speaks it with its clients and with
-- its upstreams, and passes none on, either way.
local net = require "spec.support.net"
local proxy = require "spec.support.proxy"
local scope = require "spec.support.scope"
local wire = require "spec.support.wire"

local KEEPALIVE, TEN_SECONDS = "\0\11\0\0", "\0\11\0\2\0\100"
local COOKIE = "\0\10\0\8abcdefgh"

describe("RFC 7828", function()
    scope.manage()
    local server, moondns

    before_each(function()
        server = net.server()
        moondns = proxy.start { upstream = server, code = [[
            function dns_request(flow)
                if flow.request.question.name == "own.example" then flow.response = flow.request:succeed {} end
            end]] }
    end)

    -- The options that the client gets and those that came upstream.
    local function pass(client, options, answered)
        client:send(wire.query("a.example", "A", { edns = { data = options } }))
        local received, reply = server:receive()
        reply(wire.answer(received, {}, { additionals = { wire.opt { data = answered } } }))
        return wire.parse(assert(client:receive())).opt.data, wire.parse(received).opt.data
    end

    it("section 3.3.2: a TCP client that sends it is told how long it may stay idle", function()
        assert.equal(TEN_SECONDS, (pass(moondns:tcp(), KEEPALIVE, "")))
        assert.equal(COOKIE .. TEN_SECONDS, (pass(moondns:tcp(), KEEPALIVE .. COOKIE, COOKIE)))
        local answer = wire.parse(assert(moondns:tcp():ask(wire.query("own.example", "A", { edns = { data = KEEPALIVE } }))))
        assert.equal(TEN_SECONDS, answer.opt.data)
    end)

    it("section 3.3.2: one that does not is not", function()
        assert.equal(COOKIE, (pass(moondns:tcp(), COOKIE, COOKIE)))
    end)

    it("section 3.2.1: it is ignored over UDP", function()
        local got, asked = pass(moondns:udp(), KEEPALIVE .. COOKIE, COOKIE)
        assert.same({ COOKIE, COOKIE }, { got, asked })
    end)

    it("section 5: none passes, to the upstream or from it", function()
        local got, asked = pass(moondns:tcp(), KEEPALIVE .. COOKIE, "\0\11\0\2\1\1" .. COOKIE)
        assert.equal(COOKIE, asked)
        assert.equal(COOKIE .. TEN_SECONDS, got)
    end)

    describe("towards an upstream over TCP", function()
        local client

        before_each(function()
            moondns = proxy.start { upstream = "tcp://127.0.0.1:" .. server.port }
            client = moondns:tcp()
        end)

        local function ask(name, edns)
            client:send(wire.query(name, "A", { edns = edns }))
        end

        -- Answers what comes over the stream; gives the options that it has (nil: it has no OPT).
        local function answer(stream, options)
            local received = assert(stream:receive())
            stream:send(wire.answer(received, {}, { additionals = options and { wire.opt { data = options } } }))
            local opt = wire.parse(received).opt
            return opt and opt.data
        end

        it("section 3.2.1: a query with OPT says that the connection is to be kept, until one was answered", function()
            ask("a.example")
            ask("b.example", { data = COOKIE })
            ask("c.example", true)
            local stream = assert(server:accept())
            assert.is_nil(answer(stream))
            assert.equal(COOKIE .. KEEPALIVE, answer(stream, COOKIE))
            assert.equal(KEEPALIVE, answer(stream, TEN_SECONDS))
            for _ = 1, 3 do
                assert.truthy(client:receive())
            end
            ask("d.example", true)
            assert.equal("", answer(stream, ""))
            assert.equal("", wire.parse(assert(client:receive())).opt.data)
        end)

        it("section 3.2.2: it is closed before the server's time is over", function()
            ask("a.example", true)
            local stream = assert(server:accept())
            answer(stream, "\0\11\0\2\0\20")
            client:receive()
            stream:wait_closed(5) -- and not after ten seconds
            ask("b.example", true)
            assert.equal(KEEPALIVE, answer(assert(server:accept()), ""))
        end)

        it("section 3.2.2: a time of 0 ends it as soon as what was asked is answered", function()
            ask("a.example", true)
            ask("b.example", true)
            local stream = assert(server:accept())
            answer(stream, "\0\11\0\2\0\0")
            assert.truthy(client:receive())
            ask("c.example", true)
            answer(assert(server:accept()), "")
            assert.equal("c.example", wire.parse(assert(client:receive())).questions[1].name)
            answer(stream, "")
            assert.equal("b.example", wire.parse(assert(client:receive())).questions[1].name)
            stream:wait_closed(2)
        end)
    end)
end)
