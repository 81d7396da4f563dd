-- RFC 5625, DNS proxy implementation guidelines: what a proxy does not need to understand passes.
local files = require "spec.support.files"
local net = require "spec.support.net"
local process = require "spec.support.process"
local proxy = require "spec.support.proxy"
local scope = require "spec.support.scope"
local upstream = require "spec.support.upstream"
local wire = require "spec.support.wire"

describe("RFC 5625", function()
    scope.manage()
    local server, moondns

    setup(function()
        server = net.server()
        moondns = proxy.start { upstream = "udp://127.0.0.1:" .. server.port, args = { "--flow-detail", "0" } }
    end)

    -- The query must arrive, and the answer come back, byte for byte but for the id.
    local function assert_transparent(query, answer)
        local client = moondns:udp()
        client:send(query)
        local received, reply = assert(server:receive())
        assert.equal(wire.hex(query:sub(3)), wire.hex(received:sub(3)))
        answer = answer and received:sub(1, 2) .. answer:sub(3) or received:sub(1, 2) .. "\128\0" .. received:sub(5)
        reply(answer)
        assert.equal(wire.hex(query:sub(1, 2) .. answer:sub(3)), wire.hex(assert(client:receive())))
    end

    it("section 4.1: flags pass in both directions, those without a meaning too", function()
        local question = { wire.question("a.example", "A") }
        for bit_number = 0, 14 do
            local flags = 2 ^ bit_number
            assert_transparent(wire.message(7, flags, question), wire.message(7, 0x8000 + flags, question))
        end
        assert_transparent(wire.message(7, 0x07ff, question), wire.message(7, 0x87f0, question))
    end)

    it("section 4.1: unexpected records pass: answers in a query, several OPT in an answer's other sections", function()
        local record = wire.record("a.example", "A", "\1\2\3\4")
        assert_transparent(wire.message(7, 0x0100, { wire.question("a.example", "A") }, { record }, { record }, { record }))
        assert_transparent(wire.query("a.example", "A"),
            wire.message(0, 0x8000, { wire.question("a.example", "A") }, { record, record }, { record }, { record }))
    end)

    it("section 4.2: compressed names pass wherever they point back to", function()
        local question = wire.question("a.b.example", "CNAME")
        local names = { "\192\12", "\192\14", "\1x\192\14", "\192\24", "\192\16", "\0" }
        for _, owner in ipairs(names) do
            for _, target in ipairs(names) do
                local answer = wire.message(0, 0x8180, { question },
                    { owner .. "\0\5\0\1\0\0\0\1" .. wire.u16(#target) .. target })
                assert_transparent(wire.query("a.b.example", "CNAME"), answer)
            end
        end
    end)

    it("section 4.3: unknown types and classes pass, asked for and answered", function()
        for _, kind in ipairs { 0, 100, 259, 1234, 65280, 65534, 65535 } do
            for _, class in ipairs { 1, 3, 4, 42, 254, 255, 65535 } do
                local record = wire.record("a.example", kind, ("\192\255"):rep(20), 1, class)
                assert_transparent(wire.query("a.example", kind, { class = class }),
                    wire.message(0, 0x8180, { wire.question("a.example", kind, class) }, { record }))
            end
        end
    end)

    it("section 4.4: queries and answers of more than 512 bytes pass", function()
        local long = ("a"):rep(60)
        local options = "\253\233" .. wire.u16(1000) .. ("x"):rep(1000)
        local query = wire.query(long .. "." .. long .. "." .. long .. ".example", "TXT", { edns = { payload = 4096, data = options } })
        assert.is_true(#query > 1000)
        local records = {}
        for i = 1, 45 do
            records[i] = wire.record("a.example", "TXT", "\50" .. ("x"):rep(50))
        end
        assert_transparent(query, wire.message(0, 0x8180,
            { wire.question(long .. "." .. long .. "." .. long .. ".example", "TXT") }, records, nil, { wire.opt() }))
    end)

    it("section 4.4.1: TC passes, with what there is; TCP is served", function()
        local record = wire.record("a.example", "A", "\1\2\3\4")
        assert_transparent(wire.query("a.example", "A"),
            wire.message(0, 0x8380, { wire.question("a.example", "A") }, { record }))
        local client = moondns:tcp()
        client:send(wire.query("a.example", "A", { id = 9 }))
        local received, reply = server:receive()
        reply(wire.answer(received, { record }))
        assert.equal(9, wire.parse(assert(client:receive())).id)
    end)

    it("section 4.4.2: EDNS passes: sizes, DO, options known and unknown, in any order", function()
        local options = "\0\8\0\7\0\1\24\0\192\0\2" .. "\0\3\0\0" .. "\255\254\0\3abc" .. "\0\10\0\8abcdefgh" .. "\0\0\0\0"
        for _, size in ipairs { 0, 512, 1232, 4096, 65535 } do
            assert_transparent(wire.query("a.example", "A", { edns = { payload = size, dnssec = size > 1232, data = options } }))
        end
    end)

    it("section 4.4.3: answers that fill many fragments pass, up to what the client takes", function()
        local records = {}
        for i = 1, 240 do
            records[i] = wire.record("a.example", "TXT", "\250" .. ("x"):rep(250))
        end
        local answer = wire.message(0, 0x8180, { wire.question("a.example", "TXT") }, records, nil, { wire.opt() })
        assert.is_true(#answer > 60000)
        assert_transparent(wire.query("a.example", "TXT", { edns = { payload = 65535 } }), answer)
    end)

    describe("section 4.5, TSIG", function()
        local knot

        setup(function()
            knot = upstream.knot()
        end)

        local function dig(port, arguments)
            return process.run({ "dig", "-r", "@127.0.0.1", "-p", tostring(port), "-y", upstream.KEY, "example.com",
                unpack(arguments) }).out
        end

        it("signed queries and answers pass; dig and the server verify them", function()
            local through = proxy.start { upstream = knot }
            for _, how in ipairs { "+notcp", "+tcp" } do
                local text = dig(through.port, { "SOA", how, "+keepalive" })
                assert.truthy(text:find("status: NOERROR", 1, true), text)
                assert.truthy(text:find("TSIG PSEUDOSECTION", 1, true), text)
                assert.is_nil(text:find("verify", 1, true), text)
            end
        end)

        it("and would tell, had a script changed anything", function()
            local through = proxy.start { upstream = knot, code = [[
                function dns_response(flow) flow.response.authorities = {} flow.response.authoritative_answer = false end]] }
            assert.truthy(dig(through.port, { "SOA" }):find("verify failure", 1, true))
        end)

        it("a signed UPDATE passes", function()
            local own = upstream.knot()
            local through = proxy.start { upstream = own }
            local commands = files.temp_file("update", ([[
server 127.0.0.1 %d
zone example.com
update add new.example.com 60 A 192.0.2.99
send
]]):format(through.port))
            local result = process.run { "nsupdate", "-y", upstream.KEY, commands }
            assert.equal(0, result.code, result.out .. result.err)
            assert.equal("192.0.2.99", through:dig("new.example.com").answers[1].data)
        end)

        it("an option of one connection stays in a signed message, as it could not be taken out", function()
            local tsig = wire.record("key", 250, wire.name "hmac-sha256" .. ("\0"):rep(16), 0, 255)
            local keepalive = wire.opt { data = "\0\11\0\0" }
            assert_transparent(wire.message(7, 0x0100, { wire.question("a.example", "A") }, nil, nil, { keepalive, tsig }))
        end)
    end)

    it("section 6.2: it listens on the loopback unless told otherwise", function()
        assert.truthy(proxy.run({ "--options" }).out:find("127.0.0.1:5300", 1, true))
    end)
end)
