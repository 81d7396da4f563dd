-- Op codes other than QUERY: NOTIFY (RFC 1996), UPDATE (RFC 2136) and unknown ones pass, or get NOTIMP by choice
-- (--op-codes); DSO (RFC 8490) never passes.
local net = require "spec.support.net"
local proxy = require "spec.support.proxy"
local scope = require "spec.support.scope"
local wire = require "spec.support.wire"

local NOTIMP = wire.rcodes.NOTIMP
local STATUS, NOTIFY, UPDATE, DSO, UNKNOWN = 2, 4, 5, 6, 9

local function query_with(op_code, options)
    return wire.query("example.com", "SOA", { flags = op_code * 2048, id = options and options.id })
end

describe("op codes", function()
    scope.manage()
    local server

    before_each(function()
        server = net.server()
    end)

    local function assert_passes(moondns, query)
        local client = moondns:udp()
        client:send(query)
        local received, reply = assert(server:receive())
        assert.equal(wire.hex(query:sub(3)), wire.hex(received:sub(3)))
        reply(received:sub(1, 2) .. string.char(received:byte(3) + 128) .. "\0" .. received:sub(5))
        local answer = assert(client:receive())
        assert.equal(query:sub(1, 2), answer:sub(1, 2))
        assert.equal(0, wire.parse(answer).rcode)
    end

    local function assert_refused(moondns, query)
        for _, client in ipairs { moondns:udp(), moondns:tcp() } do
            local answer = assert(client:ask(query))
            assert.equal(query:sub(1, 2), answer:sub(1, 2))
            local parsed = wire.parse(answer)
            assert.same({ NOTIMP, wire.parse(query:sub(1, 4) .. ("\0"):rep(8)).opcode }, { parsed.rcode, parsed.opcode })
        end
        assert.is_nil(server:receive(0))
    end

    it("pass: RFC 1996 section 3.3 NOTIFY, RFC 2136 UPDATE, STATUS, unknown ones", function()
        local moondns = proxy.start { upstream = server }
        for _, op_code in ipairs { STATUS, NOTIFY, UPDATE, UNKNOWN } do
            assert_passes(moondns, query_with(op_code))
        end
    end)

    it("pass: RFC 2136 section 3.8 an UPDATE's answer may come without the question", function()
        local moondns = proxy.start { upstream = server }
        local update = wire.message(77, UPDATE * 2048, { wire.question("example.com", "SOA") }, nil,
            { wire.record("new.example.com", "A", wire.ipv4 "192.0.2.1") })
        local client = moondns:udp()
        client:send(update)
        local received, reply = server:receive()
        assert.equal(wire.hex(update:sub(3)), wire.hex(received:sub(3)))
        reply(wire.message(wire.parse(received).id, 0x8000 + UPDATE * 2048))
        assert.equal(77, wire.parse(assert(client:receive())).id)
    end)

    it("get NOTIMP where --op-codes leaves them out, unless a script answers", function()
        local moondns = proxy.start { upstream = server, args = { "--op-codes", "query,NOTIFY" }, code = [[
            function dns_request(flow)
                if flow.request.op_code == 2 then flow.response = flow.request:succeed {} end
            end]] }
        assert_passes(moondns, query_with(0))
        assert_passes(moondns, query_with(NOTIFY))
        assert_refused(moondns, query_with(UPDATE))
        assert_refused(moondns, query_with(UNKNOWN))
        assert.equal(0, wire.parse(assert(moondns:udp():ask(query_with(STATUS)))).rcode)
    end)

    it("are named wrongly: the message says what is expected", function()
        local result = proxy.run { "--op-codes", "query,nonsense" }
        assert.equal(2, result.code)
        assert.truthy(result.err:find("--op-codes: op codes joined by commas, or 'all' expected, got 'query,nonsense'", 1, true))
        result = proxy.run { "--op-codes", "dso" }
        assert.equal(2, result.code)
        assert.truthy(result.err:find("DSO cannot be sent on", 1, true), result.err)
    end)

    describe("RFC 8490", function()
        local keepalive = "\0\1\0\8\0\0\58\152\0\0\58\152" -- a DSO TLV

        it("section 5.1: DSO gets NOTIMP, with its own bytes behind the header or without", function()
            local moondns = proxy.start { upstream = server }
            assert_refused(moondns, wire.message(78, DSO * 2048))
            assert_refused(moondns, wire.message(79, DSO * 2048) .. keepalive)
        end)

        it("section 5.4.1: a message without an id wants no answer", function()
            local moondns = proxy.start { upstream = server }
            local client = moondns:tcp()
            client:send(wire.message(0, DSO * 2048) .. keepalive)
            assert.equal(80, wire.parse(assert(client:ask(wire.message(80, DSO * 2048)))).id)
        end)
    end)
end)
