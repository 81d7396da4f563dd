-- dns.sequence: one answer after the other.
local dns = require "dns"
local raises = require "spec.support.raises"
local test = require "dns.test"

describe("dns.sequence", function()
    -- What a query gets: addresses joined, a response code, "-" for nothing set.
    local function ask(sequence, name, kind, client)
        local flow = test.flow { name = name or "a.example", type = kind or "A", client = client }
        local answered = sequence(flow)
        if not flow.response then
            assert.is_false(answered)
            return "-"
        end
        assert.is_true(answered)
        if flow.response.response_code ~= 0 then
            return dns.response_codes.to_str(flow.response.response_code)
        end
        local list = {}
        for i, record in ipairs(flow.response.answers) do
            list[i] = tostring(record)
        end
        return table.concat(list, " ")
    end

    local function asks(sequence, count, ...)
        local list = {}
        for i = 1, count do
            list[i] = ask(sequence, ...)
        end
        return table.concat(list, ", ")
    end

    it("answers in order, and stays at the last", function()
        local sequence = dns.sequence { "192.0.2.1", "SERVFAIL", "192.0.2.3" }
        assert.equal("192.0.2.1, SERVFAIL, 192.0.2.3, 192.0.2.3", asks(sequence, 4))
        sequence:reset()
        assert.equal("192.0.2.1", ask(sequence))
        assert.equal("Sequence of 3", tostring(sequence))
    end)

    it("begins again, or forwards, when it is told", function()
        assert.equal("192.0.2.1, 192.0.2.2, 192.0.2.1", asks(dns.sequence { "192.0.2.1", "192.0.2.2", after = "repeat" }, 3))
        assert.equal("NXDOMAIN, -, -", asks(dns.sequence { "NXDOMAIN", after = "forward" }, 3))
    end)

    it("counts for each client, or each name", function()
        local by_client = dns.sequence { "192.0.2.1", "192.0.2.2", per = "client" }
        assert.equal("192.0.2.1", ask(by_client, "a.example", "A", "127.0.0.1"))
        assert.equal("192.0.2.1", ask(by_client, "a.example", "A", "127.0.0.2"))
        assert.equal("192.0.2.2", ask(by_client, "b.example", "A", "127.0.0.1"))
        local by_name = dns.sequence { "192.0.2.1", "192.0.2.2", per = "name" }
        assert.equal("192.0.2.1", ask(by_name, "a.example", "A", "127.0.0.1"))
        assert.equal("192.0.2.1", ask(by_name, "b.example", "A", "127.0.0.1"))
        assert.equal("192.0.2.2", ask(by_name, "A.Example", "A", "127.0.0.2"))
    end)

    it("does not move on for a question of another type than the address", function()
        local sequence = dns.sequence { "192.0.2.1", "2001:db8::1", { "192.0.2.2", "192.0.2.3", "2001:db8::2" } }
        assert.equal("", ask(sequence, nil, "AAAA"))
        assert.equal("192.0.2.1", ask(sequence))
        assert.equal("", ask(sequence))
        assert.equal("2001:db8::1", ask(sequence, nil, "AAAA"))
        assert.equal("192.0.2.2 192.0.2.3", ask(sequence))
        assert.equal("2001:db8::2", ask(sequence, nil, "AAAA"))
    end)

    it("takes records, messages and functions", function()
        local record = dns.ResourceRecord.MX("a.example", 10, "mx.example")
        local message = dns.DNSMessage.make_query("a.example", "A"):succeed { dns.ResourceRecord.A("a.example", "192.0.2.7") }
        local sequence = dns.sequence {
            record, { record, "192.0.2.1" }, message,
            function(flow) flow.response = flow.request:fail("REFUSED") end,
            function() return "192.0.2.9" end,
            function() end,
            "NOERROR",
        }
        assert.equal("10 mx.example.", ask(sequence, nil, "MX"))
        assert.equal("10 mx.example. 192.0.2.1", ask(sequence))
        assert.equal("192.0.2.7", ask(sequence))
        assert.equal("REFUSED, 192.0.2.9, -, ", asks(sequence, 4))
    end)

    it("keeps its messages whole", function()
        local message = dns.DNSMessage.make_query("a.example", "A"):succeed { dns.ResourceRecord.A("a.example", "192.0.2.7") }
        local sequence = dns.sequence { message }
        local flow = test.flow { name = "a.example" }
        sequence(flow)
        flow.response.answers = {}
        assert.equal("192.0.2.7", ask(sequence))
        assert.equal(1, #message.answers)
    end)

    it("remembers the newest 10,000 keys, and is bounded", function()
        local sequence = dns.sequence { "192.0.2.1", "192.0.2.2", per = "name" }
        for i = 1, 25000 do
            ask(sequence, "n" .. i .. ".example")
        end
        assert.equal("192.0.2.2", ask(sequence, "n24999.example"))
        assert.equal("192.0.2.1", ask(sequence, "n1.example"))
    end)

    it("says what is wrong", function()
        raises("dns.sequence: at least one answer expected", function() dns.sequence {} end)
        raises("dns.sequence: table expected, got '192.0.2.1'", function() dns.sequence "192.0.2.1" end)
        raises("dns.sequence has no option 'aftr' (did you mean 'after'?)", function() dns.sequence { "NXDOMAIN", aftr = "last" } end)
        raises("dns.sequence: after: 'forward', 'last', 'repeat' expected, got 'never'", function()
            dns.sequence { "NXDOMAIN", after = "never" }
        end)
        raises("dns.sequence: answer 2: address, response code up to 15, ResourceRecord or its text, array of those, DNSMessage or function"
            .. " expected, got 'nonsense'", function() dns.sequence { "NXDOMAIN", "nonsense" } end)
        raises("dns.sequence: answer 1[2]: address or ResourceRecord expected, got 7", function()
            dns.sequence { { "192.0.2.1", 7 } }
        end)
        raises("Sequence: DNSFlow expected, got nil", function() dns.sequence { "NXDOMAIN" } (nil) end)
        raises("Sequence has no property 'rest'", function() return dns.sequence { "NXDOMAIN" }.rest end)
    end)
end)
