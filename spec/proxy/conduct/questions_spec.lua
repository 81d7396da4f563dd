-- Odd questions, and those with RFCs of their own.
local net = require "spec.support.net"
local proxy = require "spec.support.proxy"
local scope = require "spec.support.scope"
local upstream = require "spec.support.upstream"
local wire = require "spec.support.wire"

local FORMERR = wire.rcodes.FORMERR
local CHAOS = 3

describe("questions", function()
    scope.manage()
    local server, moondns

    setup(function()
        server = net.server()
        moondns = proxy.start { upstream = server }
    end)

    -- Sends the query, has it answered with the options of wire.answer, gives the client's answer and the query that came.
    local function pass(query, options, records)
        local client = moondns:udp()
        client:send(query)
        local received, reply = assert(server:receive())
        reply(wire.answer(received, records or {}, options))
        return wire.parse(assert(client:receive())), wire.parse(received)
    end

    it("RFC 9619 section 4: more than one is FORMERR, none passes", function()
        local question = wire.question("a.example", "A")
        for _, client in ipairs { moondns:udp(), moondns:tcp() } do
            for count = 2, 3 do
                local questions = {}
                for i = 1, count do
                    questions[i] = question
                end
                assert.equal(FORMERR, wire.parse(assert(client:ask(wire.message(5, 0x0100, questions)))).rcode)
            end
        end
        assert.is_nil(server:receive(0))
        local client = moondns:udp()
        client:send(wire.message(5, 0x0100))
        local received, reply = assert(server:receive())
        reply(received:sub(1, 2) .. "\129\0" .. received:sub(5))
        assert.same({ 5, 0 }, { wire.parse(assert(client:receive())).id, #wire.parse(received).questions })
    end)

    it("RFC 8482 section 4: ANY passes, and so does an answer that says little", function()
        local hinfo = wire.record("a.example", 13, "\7RFC8482\0")
        local answer, asked = pass(wire.query("a.example", "ANY"), nil, { hinfo })
        assert.equal(wire.types.ANY, asked.questions[1].type)
        assert.same({ 13, "\7RFC8482\0" }, { answer.answers[1].type, answer.answers[1].data })
    end)

    it("RFC 8482 section 4.2: a script may answer ANY itself", function()
        local own = proxy.start { code = [[
            function dns_request(flow)
                if flow.request.question.type == dns.types.ANY then
                    flow.response = flow.request:succeed{dns.ResourceRecord.from_text(flow.request.question.name .. ' 60 IN HINFO RFC8482 ""')}
                end
            end]] }
        local answer = wire.parse(assert(own:udp():ask(wire.query("a.example", "ANY"))))
        assert.equal("\7RFC8482\0", answer.answers[1].data)
    end)

    it("of type 0, of meta types and classes pass", function()
        for _, kind in ipairs { 0, 128, 249, 251, 253, 254, 255 } do
            local answer, asked = pass(wire.query("a.example", kind, { class = kind == 255 and 255 or 1 }))
            assert.same({ kind, kind }, { answer.questions[1].type, asked.questions[1].type })
        end
    end)

    it("of class CH pass: version.bind is the upstream's", function()
        local answer, asked = pass(wire.query("version.bind", "TXT", { class = CHAOS }), nil,
            { wire.record("version.bind", "TXT", "\5knots", 0, CHAOS) })
        assert.same({ CHAOS, "\5knots" }, { asked.questions[1].class, answer.answers[1].data })
        local own = proxy.start { upstream = upstream.knot() }
        assert.truthy(own:dig("version.bind TXT CH").text:find("TXT", 1, true))
    end)

    it("for the root, and for the longest of names, pass", function()
        local longest = table.concat({ ("a"):rep(63), ("b"):rep(63), ("c"):rep(63), ("d"):rep(61) }, ".")
        for _, name in ipairs { ".", longest } do
            local answer = pass(wire.query(name, "NS"))
            assert.equal(name == "." and "" or name, answer.questions[1].name)
        end
    end)

    describe("RFC 7873 and RFC 9018, cookies,", function()
        local COOKIE = "\0\10\0\8abcdefgh"
        local FULL = "\0\10\0\24abcdefgh0123456789abcdef"

        it("RFC 7873 section 5: pass unchanged in both directions, over UDP and TCP", function()
            for _, transport in ipairs { "udp", "tcp" } do
                local client = moondns[transport](moondns)
                for sent, answered in pairs { [COOKIE] = FULL, [FULL] = FULL } do
                    client:send(wire.query("a.example", "A", { edns = { data = sent } }))
                    local received, reply = server:receive()
                    assert.equal(sent, wire.parse(received).opt.data)
                    reply(wire.answer(received, {}, { additionals = { wire.opt { data = answered } } }))
                    assert.equal(answered, wire.parse(assert(client:receive())).opt.data)
                end
            end
        end)

        it("RFC 7873 section 5.2.3: BADCOOKIE passes, and so does a malformed cookie", function()
            local answer = pass(wire.query("a.example", "A", { edns = { data = COOKIE } }),
                { rcode = 7, additionals = { wire.opt { rcode = 1, data = FULL } } })
            assert.same({ 23, FULL }, { answer.rcode, answer.opt.data })
            local _, asked = pass(wire.query("a.example", "A", { edns = { data = "\0\10\0\3abc" } }))
            assert.equal("\0\10\0\3abc", asked.opt.data)
        end)
    end)

    describe("RFC 2308, negative answers,", function()
        local SOA = wire.record("example", "SOA",
            wire.name "ns.example" .. wire.name "a.example" .. wire.u32(1):rep(4) .. wire.u32(300), 3600)

        it("sections 2.1 and 2.2: pass as they come", function()
            for _, rcode in ipairs { 0, 3 } do
                local answer = pass(wire.query("none.example", "A"), { rcode = rcode, authorities = { SOA } })
                assert.same({ rcode, 3600 }, { answer.rcode, answer.authorities[1].ttl })
            end
        end)

        it("sections 3 and 5: are kept by --cache for as long as the SOA says, and not without one", function()
            local cached = proxy.start { upstream = server, args = { "--cache", "100" } }
            for i, rcode in ipairs { 0, 3 } do
                local client, query = cached:udp(), wire.query("none" .. i .. ".example", "A")
                client:send(query)
                local received, reply = server:receive()
                reply(wire.answer(received, {}, { rcode = rcode, authorities = { SOA } }))
                assert.truthy(client:receive())
                local answer = wire.parse(assert(client:ask(query)))
                assert.equal(rcode, answer.rcode)
                assert.is_true(answer.authorities[1].ttl <= 300, answer.authorities[1].ttl .. " s")
                assert.is_nil(server:receive(0))
            end
            local client = cached:udp()
            for _ = 1, 2 do
                client:send(wire.query("no.soa.example", "A"))
                local received, reply = assert(server:receive())
                reply(wire.answer(received, {}, { rcode = 3 }))
                assert.truthy(client:receive())
            end
        end)
    end)
end)
