-- What a UDP client can take, and what it gets when an answer is larger.
local dig = require "spec.support.dig"
local net = require "spec.support.net"
local proxy = require "spec.support.proxy"
local scope = require "spec.support.scope"
local wire = require "spec.support.wire"

local PLAIN_MAX = 512 -- RFC 1035 section 4.2.1
local COUNT = 60

local SCRIPT = ([[
function dns_request(flow)
    local q, answers = flow.request.question, {}
    for i = 1, %d do
        answers[i] = dns.ResourceRecord.TXT(q.name, ("x"):rep(50) .. i)
    end
    flow.response = flow.request:succeed(answers)
end]]):format(COUNT)

describe("an answer that is larger than its client can take", function()
    scope.manage()
    local moondns

    setup(function()
        moondns = proxy.start { code = SCRIPT }
    end)

    local function assert_cut(answer, bytes, most)
        assert.is_true(#bytes <= most, #bytes .. " bytes")
        assert.is_true(answer.tc)
        assert.is_true(#answer.answers < COUNT)
        -- one more record would not have fitted
        local record = 12 + #wire.name "large.example" + 10
        assert.is_true(#bytes + record + 60 > most or #answer.answers == 0, #bytes .. " bytes of " .. most)
        for i, record_read in ipairs(answer.answers) do
            assert.equal(("x"):rep(50) .. i, record_read.data:sub(2))
        end
    end

    it("ends on a record and has TC, for a client without EDNS", function()
        local bytes = assert(moondns:udp():ask(wire.query("large.example", "TXT")))
        local answer = wire.parse(bytes)
        assert_cut(answer, bytes, PLAIN_MAX)
        assert.is_true(#answer.answers > 0)
        assert.is_nil(answer.opt)
    end)

    for _, size in ipairs { 0, 100, 511, 512, 513, 800, 1232, 2000 } do
        it("fits " .. size .. " bytes of EDNS and keeps OPT", function()
            local bytes = assert(moondns:udp():ask(wire.query("large.example", "TXT", { edns = { payload = size } })))
            local answer = wire.parse(bytes)
            assert_cut(answer, bytes, math.max(size, PLAIN_MAX))
            assert.truthy(answer.opt)
        end)
    end

    it("comes whole where it fits", function()
        local answer = wire.parse(assert(moondns:udp():ask(wire.query("large.example", "TXT", { edns = { payload = 65000 } }))))
        assert.is_false(answer.tc)
        assert.equal(COUNT, #answer.answers)
    end)

    it("comes whole over TCP, which dig turns to by itself", function()
        local answer = wire.parse(assert(moondns:tcp():ask(wire.query("large.example", "TXT"))))
        assert.is_false(answer.tc)
        assert.equal(COUNT, #answer.answers)
        answer = moondns:dig "large.example TXT"
        assert.truthy(answer.text:find("Truncated, retrying in TCP mode", 1, true))
        assert.equal(COUNT, #dig.data(answer))
    end)

    it("is cut when it comes from an upstream over TCP", function()
        local server = net.server()
        local own = proxy.start { upstream = "tcp://127.0.0.1:" .. server.port }
        local client = own:udp()
        client:send(wire.query("large.example", "TXT"))
        local stream = assert(server:accept())
        local records = {}
        for i = 1, COUNT do
            records[i] = wire.record("large.example", "TXT", "\52" .. ("x"):rep(50) .. string.char(48 + i / 10, 48 + i % 10))
        end
        stream:send(wire.answer(assert(stream:receive()), records))
        local bytes = assert(client:receive())
        local answer = wire.parse(bytes)
        assert.is_true(#bytes <= PLAIN_MAX)
        assert.is_true(answer.tc)
        for i, record in ipairs(answer.answers) do
            assert.equal(wire.hex(wire.parse(wire.message(1, 0, {}, { records[i] })).answers[1].data), wire.hex(record.data))
        end
    end)

    it("over 65,535 bytes is logged and becomes SERVFAIL", function()
        local own = proxy.start { code = [[
            function dns_request(flow)
                local answers = {}
                for i = 1, 300 do answers[i] = dns.ResourceRecord.TXT("x.example", ("x"):rep(250)) end
                flow.response = flow.request:succeed(answers)
            end]] }
        assert.equal(wire.rcodes.SERVFAIL, wire.parse(assert(own:tcp():ask(wire.query("x.example", "TXT")))).rcode)
        own:wait_output("65,?535", "err")
    end)
end)
