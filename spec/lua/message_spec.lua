-- dns.DNSMessage: attributes, answers, EDNS, errors; on dns.so. What packing does to changed messages: message_change_spec.
local dns = require "dns"
local raises = require "spec.support.raises"
local M, RR = dns.DNSMessage, dns.ResourceRecord

local function hex(text)
    return (text:gsub("%s+", ""):gsub("%x%x", function(two) return string.char(tonumber(two, 16)) end))
end

local sections = { "questions", "answers", "authorities", "additionals" }

describe("dns.DNSMessage", function()
    it("needs nothing to be made", function()
        for _, m in ipairs { M {}, M() } do
            assert.is_true(m.query)
            assert.is_true(m.recursion_desired)
            for _, name in ipairs { "authoritative_answer", "truncation", "recursion_available", "authentic_data",
                "checking_disabled" } do
                assert.is_false(m[name])
            end
            for _, name in ipairs { "op_code", "response_code", "reserved", "size" } do
                assert.equal(0, m[name])
            end
            for _, name in ipairs(sections) do
                assert.same({}, m[name])
            end
            assert.is_nil(m.timestamp)
            assert.is_nil(m.question)
            assert.is_nil(m.edns)
            assert.equal(12, #m.packed)
        end
    end)

    it("takes a random id", function()
        local seen, different = {}, 0
        for _ = 1, 64 do
            local id = M {}.id
            assert.is_true(id >= 0 and id <= 65535)
            different = different + (seen[id] and 0 or 1)
            seen[id] = true
        end
        assert.is_true(different > 50)
    end)

    it("takes every attribute in the table", function()
        local q, a, n, x = dns.Question("a", "A"), RR.A("a", "192.0.2.1"), RR.NS("a", "b"), RR.A("b", "192.0.2.2")
        local answers = { a }
        local m = M {
            id = 7, query = false, op_code = "NOTIFY", authoritative_answer = true, truncation = true,
            recursion_desired = false, recursion_available = true, authentic_data = true, checking_disabled = true,
            response_code = "NXDOMAIN", questions = { q }, answers = answers, authorities = { n }, additionals = { x },
            timestamp = 12.5,
        }
        assert.equal(7, m.id)
        assert.is_false(m.query)
        assert.equal(4, m.op_code)
        assert.is_true(m.authoritative_answer and m.truncation and m.recursion_available)
        assert.is_false(m.recursion_desired)
        assert.equal(3, m.reserved)
        assert.equal(3, m.response_code)
        assert.equal(q, m.question)
        assert.equal(answers, m.answers)
        assert.equal(12.5, m.timestamp)
        assert.equal(4 + 3 + 4, m.size)
        local u = M.unpack(m.packed, 1)
        assert.is_true(u == m)
        assert.equal(1, u.timestamp)
        assert.equal(4, M { reserved = 4 }.reserved)
        assert.equal(7, M { reserved = 4, authentic_data = true, checking_disabled = true }.reserved)
        assert.equal(3841, M { edns = {}, response_code = 3841 }.response_code)
    end)

    it("has a header that is set bit by bit", function()
        local m = M { id = 0 }
        m.id, m.op_code, m.response_code, m.reserved = 65535, 15, 15, 7
        assert.equal(hex "ffff 797f 0000 0000 0000 0000", m.packed)
        assert.is_true(m.authentic_data and m.checking_disabled)
        m.authentic_data = false
        assert.equal(5, m.reserved)
        m.checking_disabled = false
        assert.equal(4, m.reserved)
        for _, name in ipairs { "query", "authoritative_answer", "truncation", "recursion_desired",
            "recursion_available", "authentic_data", "checking_disabled" } do
            for _, value in ipairs { true, false, true } do
                m[name] = value
                assert.equal(value, m[name])
                assert.equal(value, M.unpack(m.packed)[name])
            end
        end
        m.op_code, m.response_code = "query", "servfail"
        assert.equal(0, m.op_code)
        assert.equal(2, m.response_code)
    end)

    it("makes queries", function()
        local m = M.make_query("www.Example.com", "AAAA")
        assert.equal("www.example.com", m.question.name)
        assert.equal(28, m.question.type)
        assert.equal(1, m.question.class_)
        assert.is_true(m.query and m.recursion_desired)
        assert.equal(3, M.make_query("a", "A", "CH").question.class_)
        assert.equal(hex "0100 0001 0000 0000 0000 0377777707 4578616d706c6503636f6d00 001c 0001", m.packed:sub(3))
        raises("Question.type: type (name or integer from 0 to 65535) expected, got nil", function() M.make_query "a" end)
    end)

    it("has plain arrays as sections, the same each time", function()
        local m = M.unpack(M { questions = { dns.Question("a", "A") },
            answers = { RR.A("a", "192.0.2.1"), RR.A("a", "192.0.2.2") } }.packed)
        for _, name in ipairs(sections) do
            assert.equal(m[name], m[name])
            local mine = {}
            m[name] = mine
            assert.equal(mine, m[name])
        end
        m.answers = { RR.A("a", "192.0.2.1") }
        table.insert(m.answers, RR.A("a", "192.0.2.2"))
        table.insert(m.answers, 1, RR.A("a", "192.0.2.3"))
        table.remove(m.answers, 2)
        collectgarbage()
        local seen = {}
        for _, rr in ipairs(m.answers) do
            seen[#seen + 1] = tostring(rr)
        end
        assert.same({ "192.0.2.3", "192.0.2.2" }, seen)
        assert.equal(2, #M.unpack(m.packed).answers)
    end)

    it("has a question only when there is just one", function()
        local m = M.make_query("a", "A")
        assert.equal(m.questions[1], m.question)
        assert.equal(m.question, m.question)
        local kept = m.question
        m = nil
        collectgarbage()
        assert.equal("a", kept.name)
        m = M {}
        assert.is_nil(m.question)
        m.questions = { dns.Question("a", "A"), dns.Question("b", "A") }
        assert.is_nil(m.question)
        assert.equal("b", M.unpack(m.packed).questions[2].name)
        assert.is_nil(M.unpack(m.packed).question)
        table.remove(m.questions)
        assert.equal("a", m.question.name)
        raises("DNSMessage.question: cannot be set", function() m.question = dns.Question("b", "A") end)
    end)

    it("keeps what was taken out of it", function()
        local m = M.unpack(M { answers = { RR.MX("a", 10, "mx.example") } }.packed)
        local rr, answers = m.answers[1], m.answers
        m = nil
        collectgarbage()
        collectgarbage()
        assert.equal("10 mx.example.", tostring(rr))
        assert.equal(rr, answers[1])
    end)

    it("prints its questions and records, one a line", function()
        local m = M { questions = { dns.Question("A.example", "A") }, answers = { RR.A("a", "192.0.2.1"), RR.MX("a", 1, "b") },
            authorities = { RR.NS("a", "b") }, additionals = { RR.TXT("a", "x\ny") } }
        assert.equal('a.example\n192.0.2.1\n1 b.\nb.\n"x\\010y"', tostring(m))
        assert.equal(tostring(m), tostring(M.unpack(m.packed)))
        assert.equal("", tostring(M {}))
        m.answers[2] = "oops"
        assert.truthy(tostring(m):find("answers[2]", 1, true))
    end)

    it("sums the length of its data", function()
        local m = M { answers = { RR.A("a", "192.0.2.1"), RR.MX("b.a", 1, "b.a") }, additionals = { RR.TXT("a", "xy") } }
        assert.equal(4 + 7 + 3, m.size)
        assert.equal(14, M.unpack(m.packed).size)
        m.answers[1] = 7
        raises("DNSMessage.size: answers[1]: ResourceRecord expected, got number", function() return m.size end)
    end)

    it("compares by what goes on the wire", function()
        local function make(name)
            return M { id = 1, questions = { dns.Question(name, "A") }, answers = { RR.A(name, "192.0.2.1") } }
        end
        local m = make "a.example"
        assert.is_true(m == make "A.example")
        assert.is_true(m == M.unpack(m.packed, 5))
        for _, change in ipairs {
            function(o) o.id = 2 end, function(o) o.query = false end, function(o) o.reserved = 1 end,
            function(o) o.question.type = "AAAA" end, function(o) o.answers = {} end,
            function(o) o.answers[1].ttl = 1 end, function(o) o.answers[1].name = "b" end,
            function(o) o.authorities = o.answers end, function(o) o.edns = {} end, function(o) o.answers[1] = 7 end,
        } do
            local other = make "a.example"
            assert.is_true(m == other)
            change(other)
            assert.is_false(m == other)
        end
    end)

    it("copies deeply, under a new id", function()
        local m = M { id = 1, questions = { dns.Question("a", "A") }, answers = { RR.A("a", "192.0.2.1") }, timestamp = 5 }
        local ids = {}
        for _ = 1, 8 do
            local copy = m:copy()
            ids[#ids + 1] = copy.id ~= 1 and true or nil
            assert.equal(5, copy.timestamp)
            copy.id = 1
            assert.is_true(copy == m)
            copy.answers[1].ttl = 9
            copy.question.name = "b"
            assert.is_false(copy == m)
        end
        assert.equal("a", m.question.name)
        assert.equal(60, m.answers[1].ttl)
        assert.is_true(#ids > 5)
    end)

    it("raises with place, expectation and value", function()
        local m = M {}
        raises("DNSMessage.id: integer from 0 to 65535 expected, got 65536", function() m.id = 65536 end)
        raises("DNSMessage.id: integer from 0 to 65535 expected, got 'x'", function() M { id = "x" } end)
        raises("DNSMessage.query: boolean expected, got 0", function() m.query = 0 end)
        raises("DNSMessage.truncation: boolean expected, got nil", function() m.truncation = nil end)
        raises("DNSMessage.op_code: op code (name or integer from 0 to 15) expected, got 16", function() m.op_code = 16 end)
        raises("DNSMessage.reserved: integer from 0 to 7 expected, got 8", function() m.reserved = 8 end)
        raises("DNSMessage.response_code: response code (name or integer from 0 to 4095) expected, got 4096",
            function() m.response_code = 4096 end)
        raises("DNSMessage.response_code: without edns, response code from 0 to 15 expected, got 16",
            function() m.response_code = 16 end)
        raises("DNSMessage.questions: array of Question expected, got nil", function() m.questions = nil end)
        raises("DNSMessage.answers: array of ResourceRecord expected, got 'x'", function() m.answers = "x" end)
        raises("DNSMessage.answers: array of ResourceRecord expected, got ResourceRecord",
            function() m.answers = RR.A("a", "192.0.2.1") end)
        raises("DNSMessage.timestamp: number expected, got 'x'", function() m.timestamp = "x" end)
        raises("DNSMessage.timestamp: seconds from 0 expected, got -1", function() m.timestamp = -1 end)
        raises("DNSMessage has no property 'anwsers' (did you mean 'answers'?)", function() M { anwsers = {} } end)
        raises("DNSMessage has no property 'answer' (did you mean 'answers'?)", function() return m.answer end)
        raises("DNSMessage has no property 'answer' (did you mean 'answers'?)", function() m.answer = {} end)
        raises("DNSMessage has no property 1", function() M { 7 } end)
        raises("DNSMessage: table expected, got 7", function() M(7) end)
        for _, name in ipairs { "packed", "content", "size", "fail" } do
            raises("DNSMessage." .. name .. ": cannot be set", function() m[name] = 1 end)
        end
        raises("DNSMessage.fail: DNSMessage expected as self, got 'NXDOMAIN' (call the method with a colon)",
            function() m.fail "NXDOMAIN" end)
        assert.equal(12, #m.packed)
    end)

    it("finds wrong elements on packing, and names them", function()
        local rr = RR.A("a", "192.0.2.1")
        local function packs(expected, m)
            raises("DNSMessage.packed: " .. expected, function() return m.packed end)
            raises("DNSMessage.copy: " .. expected, function() m:copy() end)
            raises("DNSMessage.to_json: " .. expected, function() m:to_json() end)
        end
        packs("answers[2]: ResourceRecord expected, got string", M { answers = { rr, "x" } })
        packs("questions[1]: Question expected, got ResourceRecord", M { questions = { rr } })
        packs("additionals[1]: ResourceRecord expected, got Question", M { additionals = { dns.Question("a", "A") } })
        packs("authorities: array of ResourceRecord expected, got a table with other keys", M { authorities = { a = rr } })
        local many = {}
        for i = 1, 258 do
            many[i] = RR.TXT("a", ("x"):rep(253))
        end
        packs("answers[247]: the message is longer than 65535 bytes", M { answers = many })
        raises("DNSMessage.succeed: questions[1]: Question expected, got string",
            function() M { questions = { "x" } }:succeed {} end)
    end)
end)

describe("DNSMessage.fail and succeed", function()
    local function query()
        local m = M.make_query("WWW.example.com", "A")
        m.op_code, m.reserved, m.authoritative_answer, m.truncation = "NOTIFY", 7, true, true
        m.answers = { RR.A("a", "192.0.2.1") }
        return m
    end

    it("make responses to the question", function()
        local m = query()
        local r = m:fail "NXDOMAIN"
        assert.equal(m.id, r.id)
        assert.is_false(r.query)
        assert.equal(4, r.op_code)
        assert.is_false(r.authoritative_answer or r.truncation or r.recursion_available or r.authentic_data)
        assert.is_true(r.recursion_desired and r.checking_disabled)
        assert.equal(3, r.response_code)
        assert.equal("WWW.example.com", r.question.original_name)
        assert.same({ {}, {}, {} }, { r.answers, r.authorities, r.additionals })
        assert.is_true(math.abs(r.timestamp - os.time()) < 5)
        local answers = { RR.A("www.example.com", "192.0.2.1") }
        local s = m:succeed(answers)
        assert.equal(0, s.response_code)
        assert.is_true(s.recursion_available)
        assert.equal(answers, s.answers)
        assert.equal("192.0.2.1", M.unpack(s.packed).answers[1].ipv4_address)
        assert.equal(5, m:fail(5).response_code)
        assert.equal(0, #m:succeed {}.answers)
    end)

    it("keep any number of questions, edited ones too", function()
        assert.equal(0, #M {}:fail("FORMERR").questions)
        local two = M.unpack(M { questions = { dns.Question("a.example", "A"), dns.Question("b.example", "MX") } }.packed)
        local r = two:fail "FORMERR"
        assert.same({ "a.example", "b.example" }, { r.questions[1].name, r.questions[2].name })
        assert.equal(2, #M.unpack(r.packed).questions)
        local m = M.make_query("a", "A")
        m.question.name = "b"
        local edited = m:succeed {}
        assert.equal("b", edited.question.name)
        m.question.name = "c"
        assert.equal("b", edited.question.name)
        edited.question.name = "d"
        assert.equal("c", m.question.name)
        assert.equal("d", M.unpack(edited.packed).question.name)
        m.questions = {}
        assert.is_nil(m:fail("SERVFAIL").question)
    end)

    it("share nothing with the message", function()
        local m = M.make_query("a", "A")
        local r = m:succeed {}
        r.question.name = "b"
        assert.equal("a", m.question.name)
        m.question.name = "c"
        assert.equal("b", r.question.name)
    end)

    it("put codes above 15 into OPT", function()
        local m = M.make_query("a", "A")
        raises("DNSMessage.fail: without edns, response code up to 15 expected, got 'BADVERS'",
            function() m:fail "BADVERS" end)
        m.edns = { dnssec_ok = true, options = { { code = 3, data = "x" } } }
        local r = m:fail "BADVERS"
        assert.equal(16, r.response_code)
        assert.same({ udp_payload_size = 1232, version = 0, dnssec_ok = true, options = {} }, r.edns)
        assert.equal(16, M.unpack(r.packed).response_code)
        assert.is_nil(m:fail("NXDOMAIN").edns)
        assert.is_nil(m:succeed({}).edns)
    end)

    it("raise for what is no answer", function()
        local m = M.make_query("a", "A")
        raises("DNSMessage.fail: response code of an error expected, got 0", function() m:fail(0) end)
        raises("DNSMessage.fail: response code of an error expected, got 'NOERROR'", function() m:fail "NOERROR" end)
        raises("DNSMessage.fail: response code (name or integer from 0 to 4095) expected, got 'NXDOMAINN' (did you mean 'NXDOMAIN'?)",
            function() m:fail "NXDOMAINN" end)
        raises("DNSMessage.fail: response code (name or integer from 0 to 4095) expected, got nil", function() m:fail() end)
        raises("DNSMessage.succeed: array of ResourceRecord expected, got nil", function() m:succeed() end)
        raises("DNSMessage.succeed: array of ResourceRecord expected, got ResourceRecord",
            function() m:succeed(RR.A("a", "192.0.2.1")) end)
    end)
end)

describe("DNSMessage.unpack", function()
    it("names what is wrong and where", function()
        local function malformed(expected, wire)
            raises("DNSMessage.unpack: " .. expected, function() M.unpack(wire) end)
        end
        local head = "0001 8180 0001 0001 0000 0000 016100 0001 0001 "
        malformed("header of 12 bytes expected, got 0 bytes", "")
        malformed("header of 12 bytes expected, got 11 bytes", ("\0"):rep(11))
        malformed("answer #1: name at offset 19 points forward", hex(head .. "c014 0001 0001 00000000 0004 01020304"))
        assert.is_false((pcall(M.unpack, hex(head .. "c00c 0001 0001 00000000 0004 010203"))))
        assert.is_false((pcall(M.unpack, hex(head .. "c00c 0001 0001 00000000 0004 01020304 00"))))
        assert.is_false((pcall(M.unpack, hex(head))))
        assert.is_true((pcall(M.unpack, hex(head .. "c00c 0001 0001 00000000 0004 01020304"))))
        raises("DNSMessage.unpack: string expected, got nil", function() M.unpack() end)
        raises("DNSMessage.timestamp: number expected, got 'x'", function() M.unpack(M {}.packed, "x") end)
    end)

    it("survives any bytes", function()
        local wire = M { questions = { dns.Question("a.example", "A") }, edns = {},
            answers = { RR.MX("a.example", 1, "b.example"), RR.TXT("a.example", "x") } }.packed
        local taken = 0
        for at = 1, #wire do
            for _, byte in ipairs { 0, 1, 63, 64, 192, 255 } do
                local ok, m = pcall(M.unpack, wire:sub(1, at - 1) .. string.char(byte) .. wire:sub(at + 1))
                if ok then
                    taken = taken + 1
                    local _ = tostring(m), m.size, m:to_json(), m.edns, m.question, m.response_code
                    for _, name in ipairs(sections) do
                        for _, element in ipairs(m[name]) do
                            local _ = element.name, tostring(element), element:to_json()
                        end
                    end
                    assert.is_true(M.unpack(m.packed) == m)
                end
            end
        end
        assert.is_true(taken > 100)
    end)
end)

describe("DNSMessage in JSON", function()
    it("has mitmproxy's keys", function()
        local m = M { id = 1, query = false, response_code = "NXDOMAIN", questions = { dns.Question("a", "A") },
            answers = { RR.A("a", "192.0.2.1") }, timestamp = 12.5 }
        assert.same({
            id = 1, query = false, op_code = "QUERY", authoritative_answer = false, truncation = false,
            recursion_desired = true, recursion_available = false, response_code = "NXDOMAIN", status_code = 404,
            reserved = 0, questions = { { name = "a", type = "A", class = "IN" } },
            answers = { { name = "a", type = "A", class = "IN", ttl = 60, data = "192.0.2.1" } }, authorities = {},
            additionals = {}, size = 4, timestamp = 12.5,
        }, m:to_json())
        assert.truthy(dns.json.encode(m):find('"authorities":[]', 1, true))
        assert.truthy(dns.json.encode(m:to_json()):find('"authorities":[]', 1, true))
    end)

    it("comes back equal", function()
        local m = M { id = 1, query = false, edns = { dnssec_ok = true, options = { { code = 3, data = "x" } } },
            response_code = 3841, reserved = 5, questions = { dns.Question("a", "A") }, answers = { RR.MX("a", 1, "B") },
            authorities = { RR.NS("a", "b") }, timestamp = 12.5 }
        local back = M.from_json(m:to_json())
        assert.is_true(back == m)
        assert.equal(12.5, back.timestamp)
        assert.is_true(M.from_json(dns.json.decode(dns.json.encode(m))) == m)
    end)

    it("names what is wrong in it", function()
        local json = M.make_query("a", "A"):to_json()
        json.id = "x"
        local ok, message = pcall(M.from_json, json)
        assert.is_false(ok)
        assert.truthy(message:find("DNSMessage.id: integer from 0 to 65535 expected, got 'x'", 1, true), message)
        assert.is_false((pcall(M.from_json, 7)))
    end)

    it("says of properties that are read-only that they cannot be given", function()
        raises("DNSMessage.size: cannot be given, as it is read-only", function() dns.DNSMessage { size = 5 } end)
        raises("DNSMessage.packed: cannot be given, as it is read-only", function() dns.DNSMessage { id = 1, packed = "" } end)
        raises("DNSMessage has no property 'sise'", function() dns.DNSMessage { sise = 5 } end)
        raises("DNSFlow.live: cannot be given, as it is read-only", function() dns.DNSFlow { live = true } end)
    end)
end)
