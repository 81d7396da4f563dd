-- What packing does with a message: unchanged ones give the very bytes they came with, on dns.so.
local dns = require "dns"
local raises = require "spec.support.raises"
local M, RR = dns.DNSMessage, dns.ResourceRecord

local function hex(text)
    return (text:gsub("%s+", ""):gsub("%x%x", function(two) return string.char(tonumber(two, 16)) end))
end

-- No name in it is compressed, so that packing it anew gives other bytes.
local wire = hex [[
    0001 8180 0001 0003 0000 0001
    034d6158 076578616d706c65 00 000f 0001
    034d6178 076578616d706c65 00 000f 0001 0000012c 000f 000a 034d5831 076578616d706c65 00
    034d6178 076578616d706c65 00 0001 0001 0000012c 0004 01020304
    034d6178 076578616d706c65 00 0001 0001 ffffffff 0003 010203
    00 0029 04d0 00008000 0006 0003 0002 6162]]

local properties = { "name", "original_name", "type", "class_", "ttl", "data", "text", "strings", "ipv4_address",
    "ipv6_address", "domain_name", "https_alpn", "https_ech", "rdata" }
local sections = { "questions", "answers", "authorities", "additionals" }

local function read_all(m)
    local _ = tostring(m), m.size, m.edns, m.question and m.question.name, m.response_code, m:to_json()
    for _, section in ipairs { "answers", "authorities", "additionals" } do
        for _, rr in ipairs(m[section]) do
            for _, property in ipairs(properties) do
                _ = rr[property]
            end
            _ = tostring(rr), rr:to_text(), rr:to_json()
        end
    end
end

local function unchanged(change)
    local m = M.unpack(wire)
    change(m)
    collectgarbage()
    assert.is_true(m.packed == wire)
    assert.equal(m.packed, m.content)
end

-- The message is another one, packed shorter, and reads back equal.
local function changed(change)
    local m = M.unpack(wire)
    change(m)
    collectgarbage()
    local packed = m.packed
    assert.is_false(packed == wire)
    assert.is_true(M.unpack(packed) == m)
    return m, packed
end

describe("a message that nobody changed", function()
    it("packs to its very bytes", function()
        unchanged(function() end)
    end)

    it("stays so when all of it is read", function()
        unchanged(read_all)
    end)

    it("stays so when values are set that it has", function()
        unchanged(function(m)
            for _, name in ipairs { "id", "query", "op_code", "authoritative_answer", "truncation", "recursion_desired",
                "recursion_available", "authentic_data", "checking_disabled", "reserved", "response_code", "edns",
                "timestamp", "questions", "answers", "authorities", "additionals" } do
                m[name] = m[name]
            end
            m.question.type, m.question.class_ = m.question.type, m.question.class_
            m.question.name = m.question.original_name
            for _, rr in ipairs(m.answers) do
                rr.name = rr.original_name
                rr.type, rr.class_, rr.ttl, rr.data = rr.type, rr.class_, rr.ttl, rr.data
                if rr.rdata then
                    rr.rdata = rr.rdata
                end
                if rr.ipv4_address then
                    rr.ipv4_address = rr.ipv4_address
                end
            end
        end)
    end)

    it("stays so when a section is another table with the same records", function()
        unchanged(function(m)
            m.answers = { unpack(m.answers) }
            m.questions = { m.question }
            local first = table.remove(m.answers, 1)
            table.insert(m.answers, 1, first)
        end)
    end)

    it("has its header edits patched in", function()
        local m = M.unpack(wire)
        read_all(m)
        m.id, m.truncation, m.response_code = 0xabcd, true, "SERVFAIL"
        assert.is_true(m.packed == hex "abcd 8382" .. wire:sub(5))
        m.id, m.truncation, m.response_code = 1, false, 0
        assert.is_true(m.packed == wire)
    end)
end)

describe("a changed message", function()
    it("is packed anew, with compression, and reads back equal", function()
        local m, packed = changed(function(m) m.answers[2].ttl = 7 end)
        assert.is_true(#packed < #wire)
        local back = M.unpack(packed)
        assert.equal(7, back.answers[2].ttl)
        assert.equal("MaX.example", back.question.original_name)
        assert.equal("Max.example", back.answers[1].original_name)
        assert.equal(m.answers[1].data, back.answers[1].data)
        assert.equal("\1\2\3", back.answers[3].data)
        assert.same(m.edns, back.edns)
    end)

    it("keeps what it does not touch byte for byte", function()
        local _, packed = changed(function(m) m.question.type = "ANY" end)
        assert.truthy(packed:find(hex "ffffffff 0003 010203", 1, true))
        assert.truthy(packed:find("\3MaX\7example\0", 1, true))
        assert.truthy(packed:find("\3Max", 1, true))
        assert.truthy(packed:find("\3MX1", 1, true))
    end)

    it("notices every kind of change", function()
        for _, change in ipairs {
            function(m) m.question.name = "max.example" end,
            function(m) m.question.class_ = "CH" end,
            function(m) m.questions = {} end,
            function(m) m.questions[2] = dns.Question("b", "A") end,
            function(m) m.questions = { dns.Question("MaX.example", "MX") } end,
            function(m) m.answers[1].name = "max.example" end,
            function(m) m.answers[1].type = "AFSDB" end,
            function(m) m.answers[1].class_ = "CH" end,
            function(m) m.answers[1].data = "" end,
            function(m) m.answers[2].data = ("x"):rep(1000) end,
            function(m) m.answers[1].rdata = { preference = 11, exchange = "mx1.example" } end,
            function(m) m.answers[2].ipv4_address = "192.0.2.1" end,
            function(m) m.answers[3].ttl = 1 end,
            function(m) table.remove(m.answers) end,
            function(m) table.insert(m.answers, RR.A("a", "192.0.2.1")) end,
            function(m) m.answers[1], m.answers[2] = m.answers[2], m.answers[1] end,
            function(m) m.answers[2] = m.answers[3] end,
            function(m) m.answers, m.authorities = m.authorities, m.answers end,
            function(m) m.edns = nil end,
            function(m) m.edns = { udp_payload_size = 4096 } end,
            function(m) m.additionals[1].data = "" end,
            function(m) m.response_code = 16 end,
            function(m)
                local rr = m.answers[1]
                m.answers = {}
                rr.ttl = 5
                m.authorities = { rr }
            end,
        } do
            local m = changed(change)
            assert.equal(1, m.id)
        end
    end)

    it("notices records of another message in the same place", function()
        local other = M.unpack(wire)
        changed(function(m) m.answers = other.answers end)
        changed(function(m) m.questions = other.questions end)
        local a = M.unpack(wire)
        local b = M.unpack(a.packed)
        a.answers[2].ipv4_address = "192.0.2.9"
        b.answers = a.answers
        assert.equal("192.0.2.9", M.unpack(b.packed).answers[2].ipv4_address)
    end)

    it("notices the question in whatever way it was come by", function()
        for _, change in ipairs {
            function(m, q) q.name, m.questions = "max.example", { q } end,
            function(m, q) m.questions, q.name = { q }, "max.example" end,
            function(m, q) m.questions[1] = nil; q.name, m.questions[1] = "max.example", q end,
            function(m, q) table.insert(m.questions, q) end,
            function(_, _, table_of_it) table_of_it[1] = dns.Question("b", "A") end,
            function(_, q, table_of_it) table_of_it[1], q.type = q, "A" end,
        } do
            changed(function(m) change(m, m.question, m.questions) end)
        end
        unchanged(function(m) m.questions = { m.question, nil } end)
        unchanged(function(m) m.questions[1] = m.question end)
        local other = M.unpack(wire)
        changed(function(m) m.questions = { other.question } end)
        changed(function(m)
            local q = other.question
            m.questions = { q }
            assert.equal(1, #other.questions)
        end)
    end)

    it("follows what is changed after packing", function()
        local m = M.unpack(wire)
        local rr = m.answers[2]
        for i = 1, 20 do
            rr.ttl = i
            assert.equal(i, M.unpack(m.packed).answers[2].ttl)
        end
    end)

    it("compresses names, in data only those of RFC 1035's types, and only letter for letter", function()
        local name = "www.example.com"
        local m = M { id = 0, questions = { dns.Question(name, "MX") },
            answers = { RR.MX(name, 1, name), RR.SRV(name, 1, 2, 3, name), RR.A("WWW.example.com", "192.0.2.1") } }
        local packed = m.packed
        local _, count = packed:gsub("\3www\7example\3com", "")
        assert.equal(2, count) -- the question, and SRV's target
        assert.truthy(packed:find("\3WWW\192", 1, true))
        assert.is_true(M.unpack(packed) == m)
    end)
end)

describe("memory", function()
    it("comes back: messages hold none that the collector cannot see", function()
        local function work(n)
            for _ = 1, n do
                local m = M.unpack(wire)
                read_all(m)
                m.answers[1].data = "\0\10\0" .. ("x"):rep(2000)
                m.answers[2].name = ("x."):rep(100)
                local r = m:succeed { RR.TXT("a", ("y"):rep(3000)) }
                local _ = r.packed, m.packed, m:copy(), dns.json.encode(r)
                pcall(M.unpack, wire:sub(1, 60))
                pcall(function() m.answers[1].rdata = { preference = 1 } end)
                pcall(function() m.edns = { options = { { code = 1, data = ("z"):rep(1000) }, 7 } } end)
                pcall(dns.json.encode, { m, print })
                pcall(M.from_json, { questions = 7 })
            end
            collectgarbage()
            collectgarbage()
            return collectgarbage "count"
        end
        work(50)
        local before = work(50)
        local after = work(500)
        assert.is_true(after < before + 100, before .. " KB before, " .. after .. " KB after")
    end)

    it("refuses data in which a reader would find no name, or another one", function()
        local bad = { CNAME = "\192\12", NS = "\177\186N", SRV = "123456\192\12", MX = "\0\10\1a", RP = "\1a\0\5ab" }
        for type, data in pairs(bad) do
            local m = M { questions = { dns.Question("evil.example", "A") }, answers = { RR.A("a", "192.0.2.1") } }
            table.insert(m.answers, RR("a", type, "IN", 60, data))
            raises(("DNSMessage.packed: answers[2]: record data of %s: domain name expected"):format(type), function()
                return m.packed
            end)
            raises("DNSMessage.answers[1]: data: domain name expected", function()
                M.from_json { answers = { RR("a", type, "IN", 60, data):to_json() } }
            end)
        end
    end)

    it("unpacks to an equal one, whatever the data", function()
        local types, packed = {}, 0
        for _, number in pairs(dns.types) do
            types[#types + 1] = type(number) == "number" and number or nil
        end
        local bytes = { 0, 0, 1, 1, 2, 97, 192, 12, 177, 255 }
        math.randomseed(7)
        for _ = 1, 20000 do
            local data = {}
            for i = 1, math.random(0, 12) do
                data[i] = string.char(bytes[math.random(#bytes)])
            end
            local m = M { questions = { dns.Question("evil.example", "A") } }
            m.answers[1] = RR("a", types[math.random(#types)], "IN", 60, table.concat(data))
            local ok, wire = pcall(function() return m.packed end)
            if ok then
                packed = packed + 1
                assert.equal(m, M.unpack(wire), tostring(m))
            end
        end
        assert.is_true(packed > 10000)
    end)

    it("is not outlived by what points into it", function()
        local kept = {}
        for i = 1, 200 do
            local m = M.unpack(wire)
            kept[i] = i % 2 == 0 and m.answers[1] or m.question
            m.answers[1].data = ("x"):rep(i)
            if i % 10 == 0 then
                collectgarbage()
            end
        end
        collectgarbage()
        for i = 1, 200 do
            if i % 2 == 0 then
                assert.equal(("x"):rep(i), kept[i].data)
            else
                assert.equal("max.example", kept[i].name)
            end
        end
    end)
end)
