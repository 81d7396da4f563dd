-- RFC 6891, Extension Mechanisms for DNS (EDNS(0)), as a proxy keeps it on both sides.
local net = require "spec.support.net"
local proxy = require "spec.support.proxy"
local scope = require "spec.support.scope"
local wire = require "spec.support.wire"

local FORMERR, NOTIMP, BADVERS = wire.rcodes.FORMERR, wire.rcodes.NOTIMP, 16
local SUBNET = "\0\8\0\7\0\1\24\0\192\0\2"

local function answer_to(query, options)
    return wire.answer(query, { wire.record(wire.parse(query).questions[1].name, "A", wire.ipv4 "192.0.2.7") }, options)
end

describe("RFC 6891", function()
    scope.manage()
    local server, moondns

    before_each(function()
        server = net.server()
        moondns = proxy.start { upstream = server, args = { "--timeout", "5", "--retries", "0" } }
    end)

    -- Sends a query and answers what comes upstream by `answer(bytes)`; gives the client's answer and what came upstream.
    local function pass(query, answer)
        local client = moondns:udp()
        client:send(query)
        local received, reply = assert(server:receive())
        reply(answer(received))
        return wire.parse(assert(client:receive())), wire.parse(received)
    end

    it("section 6.1.1: an OPT is sent on as it came, and so is the answer's", function()
        local opt = { payload = 1400, dnssec = true, data = SUBNET }
        local got, asked = pass(wire.query("a.example", "A", { edns = opt }), function(query)
            return answer_to(query, { additionals = { wire.opt { payload = 1410, data = SUBNET } } })
        end)
        assert.same({ 1400, SUBNET }, { asked.opt.class, asked.opt.data })
        assert.same({ 1410, SUBNET }, { got.opt.class, got.opt.data })
    end)

    it("section 6.1.1: a client that sends no OPT gets none, and none is made for the upstream", function()
        local got, asked = pass(wire.query("a.example", "A"), function(query)
            return answer_to(query, { additionals = { wire.opt() } })
        end)
        assert.is_nil(asked.opt)
        assert.is_nil(got.opt)
    end)

    it("section 6.1.1: two OPT records are FORMERR", function()
        local question = wire.question("a.example", "A")
        local query = wire.message(9, 0x0100, { question }, nil, nil, { wire.opt(), wire.opt() })
        assert.equal(FORMERR, wire.parse(assert(moondns:udp():ask(query))).rcode)
        assert.is_nil(server:receive(0))
    end)

    it("section 6.1.2: an OPT that is not the root's is FORMERR", function()
        local query = wire.message(9, 0x0100, { wire.question("a.example", "A") }, nil, nil, { "\1x" .. wire.opt() })
        assert.equal(FORMERR, wire.parse(assert(moondns:udp():ask(query))).rcode)
        assert.is_nil(server:receive(0))
    end)

    it("section 6.1.2: an OPT whose options are cut off is FORMERR, and whole ones pass", function()
        local client = moondns:udp()
        for _, data in ipairs { "\0", "\0\10", "\0\10\0", "\0\10\0\1", "\0\10\0\8abcdefg", "\0\3\0\0x", SUBNET .. "\0\10", "\0\12\255\255" } do
            local answer = wire.parse(assert(client:ask(wire.query("a.example", "A", { edns = { data = data } }))))
            assert.equal(FORMERR, answer.rcode)
        end
        assert.is_nil(server:receive(0))
        for _, data in ipairs { "\0\3\0\0", "\0\3\0\0\255\1\0\1x" } do
            local _, asked = pass(wire.query("a.example", "A", { edns = { data = data } }), answer_to)
            assert.equal(data, asked.opt.data)
        end
    end)

    it("section 6.1.3: a version above 0 is BADVERS, with the version that is known", function()
        local answer = wire.parse(assert(moondns:udp():ask(wire.query("a.example", "A", { edns = { version = 1 } }))))
        assert.equal(BADVERS, answer.rcode)
        assert.equal(0, math.floor(answer.opt.ttl / 65536) % 256)
        assert.is_nil(server:receive(0))
    end)

    it("section 6.1.4: flags that are not known are sent on", function()
        local opt = "\0\0\41\4\208\0\0\64\1\0\0" -- Z bits 0x4001
        local query = wire.message(9, 0x0100, { wire.question("a.example", "A") }, nil, nil, { opt })
        local _, asked = pass(query, answer_to)
        assert.equal(0x4001, asked.opt.ttl % 65536)
    end)

    it("section 6.2.3: a size below 512 counts as 512", function()
        local records = {}
        for i = 1, 40 do
            records[i] = wire.record("a.example", "A", wire.ipv4("192.0.2." .. i))
        end
        local client = moondns:udp()
        client:send(wire.query("a.example", "A", { edns = { payload = 100 } }))
        local received, reply = server:receive()
        reply(wire.answer(received, records, { additionals = { wire.opt() } }))
        local bytes = assert(client:receive())
        assert.is_true(wire.parse(bytes).tc)
        assert.is_true(#bytes > 400 and #bytes <= 512, #bytes .. " bytes")
    end)

    for name, rcode in pairs { FORMERR = FORMERR, NOTIMP = NOTIMP } do
        it("section 6.2.2: " .. name .. " without OPT: asked again without OPT, and the server is known by it", function()
            local client = moondns:udp()
            client:send(wire.query("a.example", "A", { edns = { dnssec = true } }))
            local received, reply = server:receive()
            assert.truthy(wire.parse(received).opt)
            reply(wire.answer(received, {}, { rcode = rcode }))
            received, reply = server:receive()
            assert.is_nil(wire.parse(received).opt)
            reply(answer_to(received))
            local answer = wire.parse(assert(client:receive()))
            assert.same({ 0, 1 }, { answer.rcode, #answer.answers })
            assert.equal(0x8000, answer.opt.ttl) -- the client's OPT is answered, with its DO

            local _, asked = pass(wire.query("b.example", "A", { edns = true }), answer_to)
            assert.is_nil(asked.opt)
        end)
    end

    it("section 7: who dislikes one client's OPT is asked without for it alone, and keeps EDNS for all others", function()
        local client = moondns:udp()
        local odd_flags = wire.message(9, 0x0100, { wire.question("a.example", "A") }, nil, nil, { "\0\0\41\4\208\0\0\64\0\0\0" })
        local odd_record = wire.message(9, 0x0100, { wire.question("a.example", "A") }, nil, nil, { wire.record("x", "A", "abcd"), wire.opt() })
        local odd_option = wire.query("a.example", "A", { edns = { dnssec = true, data = "\0\10\0\1x" } }) -- a cookie of one byte
        for _, query in ipairs { odd_option, odd_flags, odd_record } do
            client:send(query)
            local received, reply = server:receive()
            assert.truthy(wire.parse(received).opt)
            reply(wire.answer(received, {}, { rcode = FORMERR }))
            received, reply = server:receive()
            assert.is_nil(wire.parse(received).opt)
            reply(answer_to(received))
            assert.equal(0, wire.parse(assert(client:receive())).rcode)

            local _, asked = pass(wire.query("a.example", "A", { edns = { dnssec = true } }), answer_to)
            assert.equal(0x8000, asked.opt.ttl)
        end
    end)

    it("section 7: an answer to a question asked without OPT for one client's sake is not kept for others", function()
        moondns = proxy.start { upstream = server, args = { "--cache", "10" } }
        local client = moondns:udp()
        client:send(wire.query("a.example", "A", { edns = { dnssec = true, data = "\0\10\0\1x" } }))
        for _, rcode in ipairs { FORMERR, 0 } do
            local received, reply = server:receive()
            reply(rcode == FORMERR and wire.answer(received, {}, { rcode = rcode }) or answer_to(received))
        end
        assert.equal(0, wire.parse(assert(client:receive())).rcode)
        local _, asked = pass(wire.query("a.example", "A", { edns = { dnssec = true } }), answer_to)
        assert.equal(0x8000, asked.opt.ttl)
    end)

    it("section 7: FORMERR with OPT is an answer like any other", function()
        local answer = pass(wire.query("a.example", "A", { edns = true }), function(query)
            return wire.answer(query, {}, { rcode = FORMERR, additionals = { wire.opt() } })
        end)
        assert.equal(FORMERR, answer.rcode)
        assert.is_nil(server:receive(0))
    end)

    it("section 7: FORMERR both ways is the answer, and the server is still asked with OPT", function()
        local client = moondns:udp()
        client:send(wire.query("a.example", "A", { edns = true }))
        for _ = 1, 2 do
            local received, reply = server:receive()
            reply(wire.answer(received, {}, { rcode = FORMERR }))
        end
        assert.equal(FORMERR, wire.parse(assert(client:receive())).rcode)
        local _, asked = pass(wire.query("b.example", "A", { edns = true }), answer_to)
        assert.truthy(asked.opt)
    end)

    it("section 7: a client without OPT gets FORMERR as it came", function()
        local answer = pass(wire.query("a.example", "A"), function(query)
            return wire.answer(query, {}, { rcode = FORMERR })
        end)
        assert.equal(FORMERR, answer.rcode)
        assert.is_nil(server:receive(0))
    end)

    it("section 7: whoever answers without OPT is passed on as such", function()
        assert.is_nil(pass(wire.query("a.example", "A", { edns = true }), answer_to).opt)
    end)
end)
