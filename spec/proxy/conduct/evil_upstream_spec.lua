-- An upstream that means harm, or is broken: no client gets a false answer, and nobody is stopped.
local net = require "spec.support.net"
local proxy = require "spec.support.proxy"
local scope = require "spec.support.scope"
local wait = require "spec.support.wait"
local wire = require "spec.support.wire"

local SERVFAIL = wire.rcodes.SERVFAIL
local GOOD = wire.ipv4 "192.0.2.1"
local UNANSWERED = 10000
local AT_ONCE = 100 -- fewer than a socket's buffer holds

describe("an evil upstream", function()
    scope.manage()
    local server

    before_each(function()
        server = net.server()
    end)

    local function start(options)
        options = options or {}
        return proxy.start { upstream = options.upstream or server, args = { "--timeout", options.timeout or "5", "--retries",
            options.retries or "0", "--flow-detail", "0" } }
    end

    local function good(query)
        local name = wire.parse(query).questions[1].name
        return wire.answer(query, { wire.record(name, "A", GOOD) })
    end

    -- Answers one question well, and soon.
    local function assert_serves(moondns)
        local client = moondns:udp()
        client:send(wire.query("good.example", "A"))
        local received, reply
        repeat
            received, reply = assert(server:receive())
        until wire.parse(received).questions[1].name == "good.example"
        local started = wait.now()
        reply(good(received))
        local answer = wire.parse(assert(client:receive()))
        assert.same({ 0, GOOD }, { answer.rcode, answer.answers[1].data })
        assert.is_true(wait.now() - started < 4) -- no time-out
    end

    -- What its answer may be made of: each gives the bytes for a query.
    local function damaged(query, from, to, by)
        local answer = good(query)
        return answer:sub(1, from - 1) .. by .. answer:sub(to + 1)
    end

    local spoilt = {
        ["is cut"] = function(query)
            return good(query):sub(1, -2)
        end,
        ["is cut behind the question"] = function(query)
            return good(query):sub(1, #query)
        end,
        ["has bytes too many"] = function(query)
            return good(query) .. ("x"):rep(100)
        end,
        ["has a name that points to itself"] = function(query)
            return wire.answer(query, { "\192" .. string.char(#query) .. "\0\1\0\1\0\0\0\60\0\4" .. GOOD })
        end,
        ["has a name that points forward"] = function(query)
            return wire.answer(query, { "\192\255\0\1\0\1\0\0\0\60\0\4" .. GOOD })
        end,
        ["has names that point in circles within their data"] = function(query)
            return wire.answer(query, { "\192\12\0\5\0\1\0\0\0\60\0\4\1x\192" .. string.char(#query + 12) })
        end,
        ["has a label of a kind that is not"] = function(query)
            return wire.answer(query, { "\128a\0\0\1\0\1\0\0\0\60\0\4" .. GOOD })
        end,
        ["promises more records than there are"] = function(query)
            return damaged(query, 7, 8, "\255\255")
        end,
        ["has data longer than itself"] = function(query)
            return wire.answer(query, { "\192\12\0\1\0\1\0\0\0\60\255\255" .. GOOD })
        end,
    }

    for what, make in pairs(spoilt) do
        it("whose answer " .. what .. " spends the try, over UDP and TCP", function()
            local moondns = start()
            local client = moondns:udp()
            client:send(wire.query("bad.example", "A"))
            local received, reply = assert(server:receive())
            reply(make(received))
            assert.equal(SERVFAIL, wire.parse(assert(client:receive())).rcode)
            assert_serves(moondns)

            local over_tcp = start { upstream = "tcp://127.0.0.1:" .. server.port }
            client = over_tcp:udp()
            client:send(wire.query("bad.example", "A"))
            local stream = assert(server:accept())
            stream:send(make(assert(stream:receive())))
            assert.equal(SERVFAIL, wire.parse(assert(client:receive())).rcode)
            client:send(wire.query("good.example", "A"))
            stream:send(good(assert(stream:receive())))
            assert.equal(GOOD, wire.parse(assert(client:receive())).answers[1].data)
        end)
    end

    it("that sends garbage of any length is not heard, and its good answer is", function()
        local moondns = start()
        local client = moondns:udp()
        client:send(wire.query("a.example", "A"))
        local received, reply = assert(server:receive())
        for length = 0, 60 do
            reply(("\255"):rep(length))
            reply(received:sub(1, 2) .. ("\0"):rep(length))
            reply(received:sub(1, 2) .. "\129\128" .. ("\255"):rep(length))
        end
        reply(good(received))
        assert.equal(GOOD, wire.parse(assert(client:receive())).answers[1].data)
        assert_serves(moondns)
    end)

    it("whose answers are as large as can be, and larger than their clients take", function()
        local moondns = start()
        local records = {}
        for i = 1, 3000 do
            records[i] = wire.record("a.example", "A", GOOD)
        end
        local client = moondns:udp()
        client:send(wire.query("a.example", "A"))
        local received, reply = assert(server:receive())
        reply(wire.answer(received, { unpack(records, 1, 2400) }))
        local bytes = assert(client:receive())
        assert.is_true(#bytes <= 512)
        assert.is_true(wire.parse(bytes).tc)
        assert_serves(moondns)
    end)

    it("that says TC for ever gets no more than one question more, over TCP", function()
        local moondns = start()
        local client = moondns:tcp()
        client:send(wire.query("a.example", "A"))
        local received, reply = assert(server:receive())
        reply(wire.answer(received, {}, { tc = true }))
        local stream = assert(server:accept())
        stream:send(wire.answer(assert(stream:receive()), {}, { tc = true }))
        assert.is_true(wire.parse(assert(client:receive())).tc)
        assert.is_nil(stream:receive(0.01))
        assert.is_nil(server:receive(0))
        assert_serves(moondns)
    end)

    it("whose answers trickle, byte by byte, delays nothing but them", function()
        local moondns = start { upstream = { "tcp://127.0.0.1:" .. server.port, "[/good.example/]127.0.0.1:" .. server.port } }
        local client = moondns:udp()
        client:send(wire.query("a.example", "A"))
        local stream = assert(server:accept())
        local answer = good(assert(stream:receive()))
        for byte in (wire.u16(#answer) .. answer):gmatch "." do
            stream:write(byte)
            if byte == "\192" then
                assert_serves(moondns)
            end
        end
        assert.equal(GOOD, wire.parse(assert(client:receive())).answers[1].data)
    end)

    it("that begins frames and never ends them, or sends empty ones: the try is spent", function()
        local moondns = start { upstream = "tcp://127.0.0.1:" .. server.port, timeout = "0.3" }
        for _, bytes in ipairs { "\255\255" .. ("x"):rep(1000), "\0\0" } do
            local client = moondns:udp()
            client:send(wire.query("a.example", "A"))
            local stream = assert(server:accept())
            assert.truthy(stream:receive())
            stream:write(bytes)
            assert.equal(SERVFAIL, wire.parse(assert(client:receive())).rcode)
            stream:close()
        end
        local client = moondns:udp()
        wait.eventually(function()
            client:send(wire.query("good.example", "A"))
            local stream = assert(server:accept(1))
            stream:send(good(assert(stream:receive(1))))
            return wire.parse(assert(client:receive(1))).rcode == 0
        end)
    end)

    it("that floods with answers nobody asked for stops nobody", function()
        local moondns = start()
        local client = moondns:udp()
        client:send(wire.query("a.example", "A"))
        local received, reply = assert(server:receive())
        for id = 0, 20000 do
            reply(wire.u16(id) .. "\129\128" .. received:sub(5))
            if id % 1000 == 0 then
                assert_serves(moondns)
            end
        end
        assert.truthy(client:receive()) -- one of them had its id
    end)

    it("that never answers " .. UNANSWERED .. " queries leaves others answered within a second", function()
        local moondns = start { timeout = "30" }
        local silent = {}
        for i = 1, 20 do
            silent[i] = moondns:udp()
        end
        for i = 1, UNANSWERED do
            silent[i % #silent + 1]:send(wire.query("silent" .. i .. ".example", "A"))
            if i % AT_ONCE == 0 then
                for _ = 1, AT_ONCE do
                    assert(server:receive())
                end
            end
            if i % 1000 == 0 then
                assert_serves(moondns)
            end
        end
        for _ = 1, 20 do
            assert_serves(moondns)
        end
        moondns:stop_at_once()
    end)
end)
