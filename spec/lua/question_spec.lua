-- dns.Question, on dns.so.
local dns = require "dns"
local raises = require "spec.support.raises"

local function message_of(f, ...)
    local ok, message = pcall(f, ...)
    assert.is_false(ok)
    return message
end

describe("dns.Question", function()
    it("has name, type and class", function()
        local q = dns.Question("www.Example.com", "AAAA")
        assert.equal("www.example.com", q.name)
        assert.equal("www.Example.com", q.original_name)
        assert.equal(28, q.type)
        assert.equal(dns.types.AAAA, q.type)
        assert.equal(dns.classes.IN, q.class_)
        assert.equal(3, dns.Question("a", 1, "CH").class_)
        assert.equal(65280, dns.Question("a", "TYPE65280").type)
        assert.equal(65280, dns.Question("a", "type(65280)").type)
    end)

    it("takes names in every form", function()
        assert.equal("example.com", dns.Question("example.com.", "A").name)
        assert.equal(".", dns.Question("", "A").name)
        assert.equal(".", dns.Question(".", "A").name)
        assert.equal("xn--bcher-kva.example", dns.Question("bücher.example", "A").name)
        assert.equal([[a\.b.c\032d]], dns.Question([[a\.b.c\032d]], "A").name)
        assert.equal([[\000\255.x]], dns.Question([[\000\255.x]], "A").name)
    end)

    it("is set like it is made", function()
        local q = dns.Question("a", "A")
        q.name = "B.example."
        q.type = "mx"
        q.class_ = "CHAOS"
        assert.equal("b.example", q.name)
        assert.equal("B.example", q.original_name)
        assert.equal(15, q.type)
        assert.equal(3, q.class_)
        q.type, q.class_ = 65535, 0
        assert.equal(65535, q.type)
        assert.equal(0, q.class_)
        q.name = "b.example"
        assert.equal("b.example", q.original_name)
    end)

    it("keeps long names through collections", function()
        local long = ("x"):rep(63) .. "." .. ("y"):rep(63) .. "." .. ("z"):rep(63) .. "." .. ("w"):rep(61)
        local q = dns.Question("a", "A")
        q.name = long
        collectgarbage()
        collectgarbage()
        assert.equal(long, q.name)
        q.name = "short"
        assert.equal("short", q.name)
        q.name = long
        assert.equal(long, q.name)
    end)

    it("compares by what goes on the wire", function()
        assert.is_true(dns.Question("A.example", "A") == dns.Question("a.EXAMPLE", 1))
        assert.is_false(dns.Question("a", "A") == dns.Question("a", "AAAA"))
        assert.is_false(dns.Question("a", "A") == dns.Question("a", "A", "CH"))
        assert.is_false(dns.Question("a", "A") == dns.Question("b", "A"))
        assert.is_false(dns.Question("a", "A") == dns.ResourceRecord.A("a", "1.2.3.4"))
    end)

    it("prints as its name", function()
        assert.equal("www.example.com", tostring(dns.Question("WWW.example.com", "A")))
        assert.equal(".", tostring(dns.Question("", "NS")))
    end)

    it("goes to JSON and back", function()
        local q = dns.Question("WWW.example.com", "AAAA")
        local json = q:to_json()
        assert.same({ name = "www.example.com", type = "AAAA", class = "IN" }, json)
        assert.is_true(dns.Question.from_json(json) == q)
        local odd = dns.Question([[a\.b]], 65280, 42)
        assert.same({ name = [[a\.b]], type = "TYPE65280", class = "CLASS42" }, odd:to_json())
        assert.is_true(dns.Question.from_json(odd:to_json()) == odd)
        assert.truthy(message_of(dns.Question.from_json, { name = "a", type = "NOPE", class = "IN" }):find "Question.type")
        assert.truthy(message_of(dns.Question.from_json, "a"):find "table expected, got 'a'")
    end)

    it("raises with place, expectation and value", function()
        local q = dns.Question("a", "A")
        raises("Question.name: domain name expected, got nil", function() dns.Question() end)
        raises("Question.name: domain name expected, got 7", function() q.name = 7 end)
        raises("Question.type: type (name or integer from 0 to 65535) expected, got 'AAAAA' (did you mean 'AAAA'?)",
            function() dns.Question("a", "AAAAA") end)
        raises("Question.type: type (name or integer from 0 to 65535) expected, got 65536", function() q.type = 65536 end)
        raises("Question.type: type (name or integer from 0 to 65535) expected, got -1", function() q.type = -1 end)
        raises("Question.type: type (name or integer from 0 to 65535) expected, got 1.5", function() q.type = 1.5 end)
        raises("Question.type: type (name or integer from 0 to 65535) expected, got '7'", function() q.type = "7" end)
        raises("Question.class_: class (name or integer from 0 to 65535) expected, got true",
            function() q.class_ = true end)
        raises("Question has no property 'class' (did you mean 'class_'?)", function() return q.class end)
        raises("Question has no property 'class' (did you mean 'class_'?)", function() q.class = 1 end)
        raises("Question has no property 'zzz'", function() return q.zzz end)
        raises("Question has no property 1", function() return q[1] end)
        raises("Question.original_name: cannot be set", function() q.original_name = "x" end)
        raises("Question.to_json: cannot be set", function() q.to_json = 1 end)
        assert.equal("a", q.name)
        assert.equal(1, q.type)
    end)

    it("refuses names that cannot be", function()
        local function refused(name)
            assert.truthy(message_of(dns.Question, name, "A"):find("Question.name: domain name expected", 1, true), name)
        end
        refused "a b"
        refused "a..b"
        refused(".a")
        refused(("x"):rep(64))
        refused(("x."):rep(128))
        refused "a\\"
        refused "a\\999"
        refused "a\0b"
    end)

    it("tells how a method is called", function()
        local q = dns.Question("a", "A")
        raises("Question.to_json: Question expected as self, got nil (call the method with a colon)",
            function() q.to_json() end)
        raises("Question has no function 'from_jsn' (did you mean 'from_json'?)", function() dns.Question.from_jsn {} end)
    end)

    it("does not let foreign objects in", function()
        local q = dns.Question("a", "A")
        local index = debug.getmetatable(q).__index
        assert.is_false((pcall(index, io.stdout, "name")))
        assert.is_false((pcall(index, "text", "name")))
        assert.is_false((pcall(index, nil, "name")))
        assert.is_false((pcall(index, dns.ResourceRecord.A("a", "1.2.3.4"), "name")))
        assert.equal("Question", getmetatable(q))
        assert.is_false((pcall(setmetatable, q, {})))
    end)
end)
