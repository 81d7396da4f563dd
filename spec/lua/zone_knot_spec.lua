-- zone:answer agrees with knot, which serves the same zone file.
require("posix.stdlib").setenv("LD_PRELOAD", nil) -- a sanitizer's library is ours alone
local dns = require "dns"
local net = require "spec.support.net"
local questions = require "spec.support.zone_questions"
local scope = require "spec.support.scope"
local upstream = require "spec.support.upstream"

local function line(record)
    return record.type ~= dns.types.OPT and record:to_text():lower() or nil
end

local function summary(message)
    return questions.summary({
        rcode = dns.response_codes.to_str(message.response_code),
        aa = message.authoritative_answer,
        answers = message.answers,
        authorities = message.authorities,
        additionals = message.additionals,
    }, line)
end

describe("zone:answer", function()
    scope.manage()

    it("agrees with knot on every question", function()
        local knot = upstream.knot(questions.text())
        local zone = assert(dns.Zone.load(questions.PATH))
        local client = net.udp(knot.port)
        local asked = 0
        for _, question in ipairs(questions.all()) do
            local query = dns.DNSMessage.make_query(question.name, question.type)
            query.edns = { udp_payload_size = 4096 }
            local theirs = dns.DNSMessage.unpack(assert(client:ask(query.packed)))
            local mine = dns.DNSMessage.unpack(assert(zone:answer(query)).packed)
            assert.equal(query.id, mine.id)
            assert.is_false(mine.query or mine.truncation or mine.recursion_available)
            assert.is_true(mine.recursion_desired)
            assert.is_true(mine.question == query.question)
            assert.equal(query.question.original_name, mine.question.original_name)
            questions.check(question, summary(mine), summary(theirs))
            asked = asked + 1
        end
        assert.is_true(asked >= 500, asked)
    end)
end)
