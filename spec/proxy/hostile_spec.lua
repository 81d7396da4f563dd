-- Bytes that no honest client sends. After each of them the next good query is answered.
local proxy = require "spec.support.proxy"
local scope = require "spec.support.scope"
local wait = require "spec.support.wait"
local wire = require "spec.support.wire"

local ANSWER = [[
function dns_request(flow)
    local q = flow.request.question
    flow.response = flow.request:succeed(q and {dns.ResourceRecord.A(q.name, "192.0.2.9")} or {})
end]]

local QUESTION = wire.question("bad.example", "A")
local FORMERR = wire.rcodes.FORMERR
local BADVERS = 16

describe("hostile input", function()
    scope.manage()
    local moondns

    setup(function()
        moondns = proxy.start { code = ANSWER }
    end)

    local function assert_serves(client)
        client = client or moondns:udp()
        local query = wire.query("good.example", "A")
        local answer = wire.parse(assert(client:ask(query)))
        assert.equal(wire.parse(query).id, answer.id)
        assert.equal(wire.ipv4 "192.0.2.9", answer.answers[1].data)
    end

    -- Sends bytes and then a good query from the same socket: the answer to the good one must be the first that comes.
    local function assert_silence(bytes)
        local client = moondns:udp()
        client:send(bytes)
        assert_serves(client)
    end

    local function assert_error(rcode, bytes)
        for _, client in ipairs { moondns:udp(), moondns:tcp() } do
            local answer = wire.parse(assert(client:ask(bytes)))
            assert.equal(rcode, answer.rcode)
            assert.equal(bytes:byte(1) * 256 + bytes:byte(2), answer.id)
            assert.is_true(answer.qr)
            assert.equal(0, #answer.answers)
        end
        assert_serves()
    end

    describe("over UDP", function()
        it("is met with silence when it is shorter than a header", function()
            for length = 0, 11 do
                assert_silence(wire.query("bad.example", "A"):sub(1, length))
            end
        end)

        it("is met with silence when it is an answer", function()
            assert_silence(wire.message(1, 0x8180, { QUESTION }))
            assert_silence(wire.message(1, 0x8181, { QUESTION }))
            assert_silence(wire.message(1, 0xffff))
        end)

        it("is FORMERR with bytes after the end", function()
            assert_error(FORMERR, wire.query("bad.example", "A") .. "x")
            assert_error(FORMERR, wire.query("bad.example", "A", { edns = true }) .. "\0")
        end)

        it("is FORMERR with two questions, with and without a second one", function()
            assert_error(FORMERR, wire.message(77, 0x0100, { QUESTION, QUESTION }))
        end)

        it("is FORMERR when records are promised that do not come", function()
            for word = 7, 11, 2 do
                local query = wire.query("bad.example", "A", { id = 78 })
                assert_error(FORMERR, query:sub(1, word - 1) .. "\0\1" .. query:sub(word + 2))
                assert_error(FORMERR, query:sub(1, word - 1) .. "\255\255" .. query:sub(word + 2))
            end
        end)

        it("is FORMERR when a record is cut or its length lies", function()
            local record = wire.record("bad.example", "A", wire.ipv4 "192.0.2.1")
            local query = wire.message(79, 0x0100, { QUESTION }, nil, nil, { record })
            for cut = 1, #record - 1 do
                local answer = wire.parse(assert(moondns:udp():ask(query:sub(1, #query - cut))))
                assert.equal(FORMERR, answer.rcode)
            end
            assert_serves()
        end)

        it("is FORMERR with two OPT records", function()
            assert_error(FORMERR, wire.message(80, 0x0100, { QUESTION }, nil, nil, { wire.opt(), wire.opt() }))
        end)

        it("is BADVERS with an EDNS version above 0", function()
            local query = wire.message(81, 0x0100, { QUESTION }, nil, nil, { wire.opt { version = 1 } })
            for _, client in ipairs { moondns:udp(), moondns:tcp() } do
                local answer = wire.parse(assert(client:ask(query)))
                assert.equal(BADVERS, answer.rcode)
                assert.truthy(answer.opt)
            end
            assert_serves()
        end)

        it("passes without a question", function()
            local answer = wire.parse(assert(moondns:udp():ask(wire.message(82, 0x0100))))
            assert.same({ 82, 0, 0 }, { answer.id, answer.rcode, #answer.questions })
        end)

        it("never crashes on names that go in circles, forward or on for too long", function()
            local header = wire.message(83, 0x0100):sub(1, 4) .. "\0\1\0\0\0\0\0\0"
            local names = {
                "\192\12", "\192\13", "\192\255", "\255\255", "\1a\192\12", "\64" .. ("a"):rep(64) .. "\0",
                "\128a\0", ("\1a"):rep(128) .. "\0", ("\63" .. ("a"):rep(63)):rep(4) .. "\0", "\63a", "\3abc",
            }
            for _, name in ipairs(names) do
                local client = moondns:udp()
                client:send(header .. name .. "\0\1\0\1")
                client:send(wire.query("good.example", "A", { id = 84 }))
                local answer = assert(client:receive())
                if answer:sub(1, 2) ~= "\0\84" then
                    assert.equal(FORMERR, answer:byte(4) % 16)
                    answer = assert(client:receive())
                end
                assert.equal("\0\84", answer:sub(1, 2))
            end
        end)

        it("keeps serving through every byte of a query turned over", function()
            local client = moondns:udp()
            local query = wire.query("good.example", "A", { id = 85, edns = true })
            for at = 1, #query do
                for _, byte in ipairs { 0, 1, 64, 127, 128, 192, 255 } do
                    client:send(query:sub(1, at - 1) .. string.char(byte) .. query:sub(at + 1))
                end
                client:send(wire.query("good.example", "A", { id = 20000 + at }))
                wait.eventually(function()
                    local answer = client:receive()
                    return answer and wire.parse(answer).id == 20000 + at
                end)
            end
        end)
    end)

    describe("over TCP", function()
        it("of length zero closes the connection", function()
            local client = moondns:tcp()
            client:write "\0\0"
            client:wait_closed()
            assert_serves(moondns:tcp())
        end)

        it("that is shorter than a header closes the connection or is ignored", function()
            local client = moondns:tcp()
            client:write "\0\3abc"
            local answer, problem = client:ask(wire.query("good.example", "A"), 5)
            assert(answer or problem == "closed", problem)
            assert_serves(moondns:tcp())
        end)

        it("that comes byte by byte is put together", function()
            local client = moondns:tcp()
            local query = wire.query("good.example", "A")
            for byte in (wire.u16(#query) .. query):gmatch "." do
                client:write(byte)
            end
            assert.equal(0, wire.parse(assert(client:receive())).rcode)
        end)

        it("half-sent holds nobody up", function()
            local client = moondns:tcp()
            client:write(wire.u16(100) .. "half")
            assert_serves(moondns:tcp())
            assert_serves()
            client:close()
            assert_serves(moondns:tcp())
        end)

        it("half-closed still gets its answers", function()
            local client = moondns:tcp()
            client:send(wire.query("good.example", "A", { id = 86 }))
            client:send(wire.query("good.example", "AAAA", { id = 87 }))
            client:half_close()
            local ids = {}
            for _ = 1, 2 do
                ids[wire.parse(assert(client:receive())).id] = true
            end
            assert.same({ [86] = true, [87] = true }, ids)
            client:wait_closed()
        end)

        it("gone before its answer harms nobody", function()
            for _ = 1, 20 do
                local client = moondns:tcp()
                client:send(wire.query("good.example", "A"))
                client:close()
            end
            assert_serves()
        end)

        it("bad in one message leaves the good one before it answered", function()
            local client = moondns:tcp()
            client:send(wire.query("good.example", "A", { id = 88 }))
            client:write "\0\0"
            assert.equal(88, wire.parse(assert(client:receive())).id)
            client:wait_closed()
        end)
    end)
end)
