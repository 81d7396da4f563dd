-- dns.json, on dns.so.
local dns = require "dns"
local raises = require "spec.support.raises"
local json = dns.json

describe("dns.json.encode", function()
    it("writes values", function()
        assert.equal("1", json.encode(1))
        assert.equal("1.5", json.encode(1.5))
        assert.equal("4294967295", json.encode(4294967295))
        assert.equal("-1", json.encode(-1))
        assert.equal("true", json.encode(true))
        assert.equal("null", json.encode(nil))
        assert.equal("null", json.encode(json.null))
        assert.equal([["a\"b\\c\n"]], json.encode "a\"b\\c\n")
        assert.equal([["grüße"]], json.encode "grüße")
    end)

    it("writes numbers exactly", function()
        assert.equal("9007199254740991", json.encode(2 ^ 53 - 1))
        assert.equal("-9007199254740992", json.encode(-2 ^ 53))
        assert.equal("[1000000000000000,1234567890123456]", json.encode { 1e15, 1234567890123456 })
        assert.equal("0.1", json.encode(0.1))
        for _, number in ipairs { 2 ^ 53 - 1, 0.1 + 0.2, 1 / 3, 1e300, 5e-324, 1700000000.123456, 2 ^ 63, -1e22 } do
            assert.equal(number, json.decode(json.encode(number)))
        end
    end)

    it("tells arrays from objects", function()
        assert.equal("[1,2,3]", json.encode { 1, 2, 3 })
        assert.equal("{}", json.encode {})
        assert.equal("[]", json.encode(json.array {}))
        assert.equal([=[[{"a":[]}]]=], json.encode { { a = json.array {} } })
        local marked = json.array { 1 }
        marked[2] = 2
        assert.equal("[1,2]", json.encode(marked))
    end)

    it("writes keys in order", function()
        assert.equal([[{"a":1,"b":2,"c":{"x":1,"y":2}}]], json.encode { c = { y = 2, x = 1 }, b = 2, a = 1 })
        local many = {}
        for i = 1, 200 do
            many[("k%03d"):format(i)] = i
        end
        local text = json.encode(many)
        assert.equal('{"k001":1,"k002":2', text:sub(1, 18))
        assert.same(many, json.decode(text))
    end)

    it("writes for people when asked to", function()
        assert.equal("{\n\t\"a\":\t1\n}", json.encode({ a = 1 }, { pretty = true }))
        assert.equal('{"a":1}', json.encode({ a = 1 }, { pretty = false }))
        assert.equal('{"a":1}', json.encode({ a = 1 }, {}))
    end)

    it("writes the codec's objects through their to_json", function()
        local q = dns.Question("a", "A")
        assert.same(q:to_json(), json.decode(json.encode(q)))
        assert.same({ q:to_json() }, json.decode(json.encode { q }))
        local m = dns.DNSMessage.make_query("a", "A")
        assert.same(m:to_json(), json.decode(json.encode(m)))
    end)

    it("holds any bytes", function()
        assert.equal([["a\u0001\"\\"]], json.encode "a\1\"\\")
        assert.equal('"x\239\191\189y"', json.encode "x\255y")
        assert.equal('"\239\191\189\239\191\189"', json.encode "\192\128")
    end)

    it("raises for what JSON cannot hold", function()
        raises("dns.json.encode: function cannot be JSON", function() json.encode(print) end)
        raises("dns.json.encode: userdata cannot be JSON", function() json.encode { io.stdout } end)
        raises("dns.json.encode: JSON has no number inf", function() json.encode(1 / 0) end)
        raises("dns.json.encode: JSON has no number nan", function() json.encode { x = -(0 / 0) } end)
        raises("dns.json.encode: a table needs either the keys 1 to n or text keys to be JSON",
            function() json.encode { 1, a = 2 } end)
        raises("dns.json.encode: a table needs either the keys 1 to n or text keys to be JSON",
            function() json.encode { [3] = 1 } end)
        raises("dns.json.encode: text with a zero byte cannot be JSON", function() json.encode { "a\0b" } end)
        raises("dns.json.encode: a key with a zero byte cannot be JSON", function() json.encode { ["a\0b"] = 1 } end)
        local flow = dns.DNSFlow { request = dns.DNSMessage {} }
        flow.metadata.f = flow
        raises("dns.json.encode: metadata: the flow refers to itself", function() json.encode { flow } end)
        raises("DNSFlow.to_json: metadata: the flow refers to itself", function() flow:to_json() end)
        flow.metadata.f = nil
        assert.is_string(json.encode { flow, flow })
        local loop = {}
        loop.x = loop
        raises("dns.json.encode: nested deeper than 100 levels", function() json.encode(loop) end)
        raises("dns.json.encode has no property 'prety' (did you mean 'pretty'?)",
            function() json.encode(1, { prety = true }) end)
        raises("dns.json.encode: pretty: boolean expected, got 1", function() json.encode(1, { pretty = 1 }) end)
        local m = dns.DNSMessage { answers = { 7 } }
        raises("dns.json.encode: answers[1]: ResourceRecord expected, got number", function() json.encode(m) end)
    end)
end)

describe("dns.json.decode", function()
    it("reads values", function()
        assert.same({ a = 1, b = { true, false }, c = "x" }, json.decode [[{"a":1,"b":[true,false],"c":"x"}]])
        assert.equal(json.null, json.decode "null")
        assert.equal(json.null, json.decode('[null]')[1])
        assert.equal("ü", json.decode [["\u00fc"]])
        assert.equal(" 1", " " .. json.decode " 1 ")
        assert.same({ -0.5e3, 0, 10, 1E2, { {} }, "\t/\\" },
            json.decode '\239\187\191 [-0.5e3, 0,10 ,1E+2,\r\n[{}],"\\t\\/\\\\"]\t')
        assert.equal(9007199254740991, json.decode "9007199254740991")
        local deep = json.decode(("["):rep(999) .. ("]"):rep(999))
        assert.equal(1, #deep)
    end)

    it("keeps empty arrays and objects apart", function()
        assert.equal([=[{"a":[],"b":{}}]=], json.encode(json.decode [=[{"b":{}, "a":[]}]=]))
    end)

    it("gives nil and the reason for bad text", function()
        for _, text in ipairs { "", "{", "[1,", "nul", "1 2", "{\"a\"}", "\"a", "[1]x", ("["):rep(2000) } do
            local value, reason = json.decode(text)
            assert.is_nil(value)
            assert.equal("string", type(reason))
        end
        local broken = {
            ["[1]x"] = "JSON is broken at byte 4: only one value expected",
            ["1\0"] = "JSON is broken at byte 2: only one value expected",
            ["\0"] = "JSON is broken at byte 1",
            ['"a\0"'] = "JSON is broken at byte 3: a control character in a string must be escaped",
            ['"\\u0000"'] = "JSON is broken at byte 2: a string cannot hold a zero byte",
            ['{"\\u0000":1}'] = "JSON is broken at byte 3: a string cannot hold a zero byte",
            ["01"] = "JSON is broken at byte 1: a number does not begin with 0",
            ["[-01]"] = "JSON is broken at byte 3: a number does not begin with 0",
            ["[1.]"] = "JSON is broken at byte 4: digit expected",
            ["[1e]"] = "JSON is broken at byte 4: digit expected",
            ["1."] = "JSON ends too early",
            ["+1"] = "JSON is broken at byte 1",
            ["-"] = "JSON ends too early",
            [".5"] = "JSON is broken at byte 1",
            ['"a\nb"'] = "JSON is broken at byte 3: a control character in a string must be escaped",
            ['"\\x"'] = "JSON is broken at byte 3: no such escape",
            ['"\\u12"'] = "JSON is broken at byte 6: four hexadecimal digits expected",
            ["1e999"] = "JSON is broken at byte 1: the number is too large",
            ["[1,]"] = "JSON is broken at byte 4",
            ['{"a":1,}'] = "JSON is broken at byte 8: key in double quotes expected",
            ['{"a" 1}'] = "JSON is broken at byte 6: ':' expected",
            ["[1\t1\n1}"] = "JSON is broken at byte 4",
            ["tru"] = "JSON ends too early",
            ["truth"] = "JSON is broken at byte 4",
            ["[\f1]"] = "JSON is broken at byte 2",
            ["{"] = "JSON ends too early",
            [("["):rep(1001)] = "JSON is broken at byte 1001: nested too deeply",
        }
        for text, expected in pairs(broken) do
            local value, reason = json.decode(text)
            assert.is_nil(value, text)
            assert.equal(expected, reason, text)
        end
        assert.equal("JSON ends too early", select(2, json.decode "[1,"))
        assert.equal("JSON is broken at byte 4", select(2, json.decode "[1 x]"))
        raises("dns.json.decode: string expected, got 7", function() json.decode(7) end)
    end)
end)

describe("dns.json.array", function()
    it("marks the very table", function()
        local t = {}
        assert.equal(t, json.array(t))
        assert.equal(t, json.array(t))
        raises("dns.json.array: table expected, got nil", function() json.array() end)
        assert.is_false((pcall(json.array, setmetatable({}, {}))))
    end)

    it("keeps the data of TXT records, whatever bytes they hold", function()
        for _, data in ipairs { "\3a\0b", "\1\0", "\0", "\2\255\254", "\4\195\188ab", "\3a\200b\2hi", "\1\\", "\3\1\2\127",
            "\6\240\144\128\128ab", "\3\237\160\128", "\4\\000", "\0\0", "\0060x6162", "\3abc\0060x6162", "", "\5abc" } do
            local record = dns.ResourceRecord("a.example", "TXT", "IN", 60, data)
            assert.equal(record, dns.ResourceRecord.from_json(record:to_json()))
            assert.equal(record, dns.ResourceRecord.from_json(dns.json.decode(dns.json.encode(record))))
            local message = dns.DNSMessage { answers = { record } }
            assert.equal(message, dns.DNSMessage.from_json(dns.json.decode(dns.json.encode(message))))
        end
    end)
end)
