-- dns.ResourceRecord: attributes, properties, factories, text and JSON; on dns.so.
local dns = require "dns"
local raises = require "spec.support.raises"
local RR = dns.ResourceRecord

local function hex(text)
    return (text:gsub("%x%x", function(two) return string.char(tonumber(two, 16)) end))
end

describe("dns.ResourceRecord", function()
    it("is made from its five attributes", function()
        local rr = RR("WWW.example.com.", "A", "IN", 300, "\1\2\3\4")
        assert.equal("www.example.com", rr.name)
        assert.equal("WWW.example.com", rr.original_name)
        assert.equal(1, rr.type)
        assert.equal(1, rr.class_)
        assert.equal(300, rr.ttl)
        assert.equal("\1\2\3\4", rr.data)
        assert.equal("1.2.3.4", tostring(rr))
        local short = RR("a", 65280, nil, nil, "")
        assert.equal(1, short.class_)
        assert.equal(60, short.ttl)
        assert.equal(60, RR.DEFAULT_TTL)
        assert.equal("", short.data)
    end)

    it("has attributes that are set", function()
        local rr = RR.A("a", "1.2.3.4")
        rr.name, rr.type, rr.class_, rr.ttl, rr.data = "B.example", "AAAA", "CH", 2147483647, ("\0"):rep(15) .. "\1"
        assert.equal("b.example", rr.name)
        assert.equal("B.example", rr.original_name)
        assert.equal(28, rr.type)
        assert.equal(3, rr.class_)
        assert.equal(2147483647, rr.ttl)
        assert.equal("::1", rr.ipv6_address)
    end)

    it("keeps long names and data through collections", function()
        local rr = RR.A("a", "1.2.3.4")
        local name = ("x"):rep(63) .. "." .. ("y"):rep(63) .. "." .. ("z"):rep(63) .. ".w"
        rr.name = name
        rr.type = "TXT"
        for length = 0, 65535, 4369 do
            local text = ("t"):rep(length - math.floor((length + 254) / 256))
            rr.text = text
            collectgarbage()
            assert.equal(text, rr.text)
            assert.equal(name, rr.name)
        end
        rr.data = "\1x"
        assert.equal("x", rr.text)
    end)

    it("reads a TTL beyond 2^31-1 as 0, but not OPT's", function()
        local wire = hex "000081800000000200000000" .. "\0" .. hex "0001000180000000" .. hex "000401020304" ..
            "\0" .. hex "00290001ff000000" .. hex "0000"
        local m = dns.DNSMessage.unpack(wire)
        assert.equal(0, m.answers[1].ttl)
        assert.equal(0xff000000, m.answers[2].ttl)
        m.answers[1].ttl = 0
        m.answers[2].ttl = 0xff000000
        assert.equal(wire, m.packed)
        m.answers[2].ttl = 0xfe000000
        assert.equal(0xfe000000, dns.DNSMessage.unpack(m.packed).answers[2].ttl)
    end)

    it("compares by what goes on the wire", function()
        assert.is_true(RR.A("A.b", "1.2.3.4") == RR.A("a.B", "1.2.3.4"))
        assert.is_false(RR.A("a", "1.2.3.4") == RR.A("a", "1.2.3.5"))
        assert.is_false(RR.A("a", "1.2.3.4") == RR.A("a", "1.2.3.4", 1))
        assert.is_false(RR.A("a", "1.2.3.4") == RR("a", "TYPE65280", "IN", 60, "\1\2\3\4"))
        assert.is_false(RR.A("a", "1.2.3.4") == RR("a", "A", "CH", 60, "\1\2\3\4"))
        assert.is_false(RR.A("a", "1.2.3.4") == RR.A("b", "1.2.3.4"))
    end)

    it("raises with place, expectation and value", function()
        local rr = RR.A("a", "1.2.3.4")
        raises("ResourceRecord.ttl: integer from 0 to 2147483647 expected, got 'soon'", function() rr.ttl = "soon" end)
        raises("ResourceRecord.ttl: integer from 0 to 2147483647 expected, got 2147483648", function() rr.ttl = 2 ^ 31 end)
        raises("ResourceRecord.ttl: integer from 0 to 2147483647 expected, got -1", function() rr.ttl = -1 end)
        raises("ResourceRecord.ttl: integer from 0 to 2147483647 expected, got '7'", function() rr.ttl = "7" end)
        raises("ResourceRecord.ttl: integer from 0 to 2147483647 expected, got nil", function() rr.ttl = nil end)
        raises("ResourceRecord.ttl: integer from 0 to 2147483647 expected, got table", function() rr.ttl = {} end)
        raises("ResourceRecord.ttl: integer from 0 to 2147483647 expected, got ResourceRecord", function() rr.ttl = rr end)
        raises("ResourceRecord.ttl: integer from 0 to 2147483647 expected, got nan", function() rr.ttl = 0 / 0 * -1 end)
        raises("ResourceRecord.ttl: integer from 0 to 2147483647 expected, got '" .. ("x"):rep(40) .. "…'",
            function() rr.ttl = ("x"):rep(41) end)
        raises([[ResourceRecord.ttl: integer from 0 to 2147483647 expected, got '\x1b[2J']],
            function() rr.ttl = "\27[2J" end)
        raises("ResourceRecord.data: string expected, got 7", function() rr.data = 7 end)
        raises("ResourceRecord.data: string expected, got nil", function() RR("a", "A") end)
        raises("ResourceRecord.data: at most 65535 bytes expected, got 65536", function() rr.data = ("x"):rep(65536) end)
        raises("ResourceRecord.data: at most 65535 bytes expected, got 65536",
            function() RR("a", "A", "IN", 1, ("x"):rep(65536)) end)
        raises("ResourceRecord has no property 'ipv4_adress' (did you mean 'ipv4_address'?)",
            function() return rr.ipv4_adress end)
        raises("ResourceRecord has no property 'class' (did you mean 'class_'?)", function() rr.class = 1 end)
        raises("ResourceRecord has no property 'tll' (did you mean 'ttl'?)", function() return rr.tll end)
        assert.equal("1.2.3.4", tostring(rr))
        assert.equal(60, rr.ttl)
    end)
end)

describe("ResourceRecord's factories", function()
    it("make records of class IN with a TTL of 60", function()
        for _, rr in ipairs {
            RR.A("a.example", "192.0.2.1"), RR.AAAA("a.example", "2001:db8::1"), RR.CNAME("a.example", "b.example"),
            RR.PTR("a.example", "b.example"), RR.TXT("a.example", "t"), RR.NS("a.example", "b.example"),
            RR.DNAME("a.example", "b.example"), RR.MX("a.example", 10, "mx.example"),
            RR.SRV("a.example", 1, 2, 443, "s.example"), RR.CAA("a.example", 0, "issue", "ca.example"),
            RR.HTTPS("a.example", dns.HTTPSRecord(1, ".")), RR.SVCB("a.example", dns.HTTPSRecord(1, ".")),
            RR.SOA("a.example", { mname = "ns.example", rname = "h.example", serial = 1, refresh = 2, retry = 3,
                expire = 4, minimum = 5 }),
        } do
            assert.equal("a.example", rr.name)
            assert.equal(60, rr.ttl)
            assert.equal(1, rr.class_)
        end
    end)

    it("make the data of their type", function()
        local function is(text, rr)
            assert.equal(text, rr:to_text())
        end
        is("a. 60 IN A 192.0.2.1", RR.A("a", "192.0.2.1"))
        is("a. 60 IN AAAA 2001:db8::1", RR.AAAA("a", "2001:DB8:0::1"))
        is("a. 60 IN CNAME B.", RR.CNAME("a", "B."))
        is("a. 60 IN PTR b.", RR.PTR("a", "b"))
        is("a. 60 IN NS .", RR.NS("a", "."))
        is("a. 60 IN DNAME b.", RR.DNAME("a", "b"))
        is('a. 60 IN TXT "x y"', RR.TXT("a", "x y"))
        is('a. 60 IN TXT "x" "y"', RR.TXT("a", { "x", "y" }))
        is("a. 60 IN MX 10 mx.example.", RR.MX("a", 10, "mx.example"))
        is("a. 60 IN SRV 1 2 443 s.example.", RR.SRV("a", 1, 2, 443, "s.example"))
        is('a. 60 IN CAA 128 issue "ca.example"', RR.CAA("a", 128, "issue", "ca.example"))
        is("a. 60 IN SOA ns. h. 1 2 3 4 5", RR.SOA("a",
            { mname = "ns", rname = "h", serial = 1, refresh = 2, retry = 3, expire = 4, minimum = 5 }))
        is('a. 60 IN HTTPS 1 . alpn="h2,h3"', RR.HTTPS("a", dns.HTTPSRecord(1, ".", { alpn = { "h2", "h3" } })))
        is("a. 60 IN SVCB 0 b.", RR.SVCB("a", dns.HTTPSRecord(0, "b")))
    end)

    it("take the TTL as a number or in a table", function()
        assert.equal(300, RR.A("a", "192.0.2.1", { ttl = 300 }).ttl)
        assert.equal(7, RR.A("a", "192.0.2.1", 7).ttl)
        assert.equal(60, RR.A("a", "192.0.2.1", {}).ttl)
        assert.equal(8, RR.MX("a", 1, "b", 8).ttl)
        assert.equal(9, RR.SRV("a", 1, 2, 3, "b", { ttl = 9 }).ttl)
        assert.equal(0, RR.TXT("a", "t", 0).ttl)
    end)

    it("split text at 255 bytes", function()
        assert.same({ "" }, RR.TXT("a", "").strings)
        assert.same({ ("x"):rep(255), "x" }, RR.TXT("a", ("x"):rep(256)).strings)
        assert.same({ ("x"):rep(255) }, RR.TXT("a", ("x"):rep(255)).strings)
        assert.same({ "a", ("x"):rep(255), "xx", "b" }, RR.TXT("a", { "a", ("x"):rep(257), "b" }).strings)
        assert.equal(("x"):rep(1000), RR.TXT("a", ("x"):rep(1000)).text)
    end)

    it("name the attribute that is wrong", function()
        raises("ResourceRecord.name: domain name expected, got 'a b' (character that must be escaped)",
            function() RR.A("a b", "192.0.2.1") end)
        raises("ResourceRecord.ipv4_address: IPv4 address expected, got '192.0.2.256'",
            function() RR.A("a", "192.0.2.256") end)
        raises("ResourceRecord.ipv4_address: IPv4 address expected, got '::1'", function() RR.A("a", "::1") end)
        raises("ResourceRecord.ipv4_address: IPv4 address expected, got nil", function() RR.A("a") end)
        raises("ResourceRecord.ipv6_address: IPv6 address expected, got '192.0.2.1'",
            function() RR.AAAA("a", "192.0.2.1") end)
        raises("ResourceRecord.ipv6_address: IPv6 address expected, got 'fe80::1%1'",
            function() RR.AAAA("a", "fe80::1%1") end)
        raises("ResourceRecord.domain_name: domain name expected, got 7", function() RR.CNAME("a", 7) end)
        raises("ResourceRecord.text: string expected, got 7", function() RR.TXT("a", 7) end)
        raises("ResourceRecord.strings[2]: string expected, got 7", function() RR.TXT("a", { "x", 7 }) end)
        raises("ResourceRecord.strings: array of at least one string expected, got table", function() RR.TXT("a", {}) end)
        raises("ResourceRecord.rdata: preference: integer from 0 to 65535 expected, got 'x'",
            function() RR.MX("a", "x", "b") end)
        raises("ResourceRecord.rdata: exchange: missing", function() RR.MX("a", 1) end)
        raises("ResourceRecord.ttl: integer from 0 to 2147483647 expected, got -1", function() RR.A("a", "192.0.2.1", -1) end)
        raises("ResourceRecord.ttl: integer from 0 to 2147483647 expected, got '5'",
            function() RR.A("a", "192.0.2.1", { ttl = "5" }) end)
        raises("ResourceRecord.A has no option 'tll' (did you mean 'ttl'?)",
            function() RR.A("a", "192.0.2.1", { tll = 1 }) end)
        raises("ResourceRecord.A: table or TTL as last argument expected, got '5'",
            function() RR.A("a", "192.0.2.1", "5") end)
        raises("ResourceRecord.HTTPS: HTTPSRecord expected, got table", function() RR.HTTPS("a", {}) end)
        raises("ResourceRecord has no function 'AAA' (did you mean 'AAAA'?)", function() RR.AAA("a", "::1") end)
    end)
end)

describe("ResourceRecord's properties", function()
    it("read and set what their type holds", function()
        local a = RR.A("a", "192.0.2.1")
        assert.equal("192.0.2.1", a.ipv4_address)
        a.ipv4_address = "192.0.2.2"
        assert.equal("\192\0\2\2", a.data)
        local aaaa = RR.AAAA("a", "2001:db8::1")
        aaaa.ipv6_address = "2001:DB8:0:0:0:0:0:2"
        assert.equal("2001:db8::2", aaaa.ipv6_address)
        for _, make in ipairs { "CNAME", "NS", "PTR", "DNAME" } do
            local rr = RR[make]("a", "B.example")
            assert.equal("b.example", rr.domain_name)
            assert.equal("\1B\7example\0", rr.data)
            rr.domain_name = "C."
            assert.equal("\1C\0", rr.data)
            assert.equal("c", rr.domain_name)
        end
        local txt = RR.TXT("a", "x")
        txt.text = "grüße"
        assert.equal("grüße", txt.text)
        txt.strings = { "a", "", "b" }
        assert.equal("ab", txt.text)
        assert.same({ "a", "", "b" }, txt.strings)
        txt.text = "\255\0"
        assert.equal("\255\0", txt.text)
        assert.equal("x", RR("a", "SPF", nil, nil, "\1x").text)
    end)

    it("read as nil elsewhere, and raise when set", function()
        local txt, a = RR.TXT("a", "x"), RR.A("a", "192.0.2.1")
        for _, property in ipairs { "ipv4_address", "ipv6_address", "domain_name", "https_alpn", "https_ech" } do
            assert.is_nil(txt[property])
            raises("ResourceRecord." .. property .. ": does not apply to TXT records", function() txt[property] = "x" end)
        end
        assert.is_nil(a.text)
        assert.is_nil(a.strings)
        raises("ResourceRecord.text: does not apply to A records", function() a.text = "x" end)
        raises("ResourceRecord.strings: does not apply to A records", function() a.strings = { "x" } end)
        raises("ResourceRecord.domain_name: does not apply to MX records",
            function() RR.MX("a", 1, "b").domain_name = "c" end)
    end)

    it("read as nil for data that does not fit, and can be set", function()
        local a = RR("a", "A", nil, nil, "\1\2\3")
        assert.is_nil(a.ipv4_address)
        assert.is_nil(a.rdata)
        assert.equal("0x010203 (invalid A data)", tostring(a))
        a.ipv4_address = "192.0.2.1"
        assert.equal("192.0.2.1", tostring(a))
        assert.is_nil(RR("a", "CNAME", nil, nil, "\1").domain_name)
        assert.is_nil(RR("a", "CNAME", nil, nil, "\0x").domain_name)
        assert.is_nil(RR("a", "CNAME", nil, nil, "\192\0").domain_name)
        assert.is_nil(RR("a", "TXT", nil, nil, "\5x").text)
        assert.is_nil(RR("a", "TXT", nil, nil, "").text)
        assert.is_nil(RR("a", "TXT", nil, nil, "\5x").strings)
        assert.is_nil(RR("a", "HTTPS", nil, nil, "\0").https_alpn)
    end)

    it("take any format for a type without a layout", function()
        for _, type in ipairs { "ANY", "TYPE65280" } do
            local rr = RR("a", type, nil, nil, "")
            rr.text = "x\255"
            assert.equal("x\255", rr.data)
            assert.equal("x\255", rr.text)
            assert.is_nil(rr.ipv4_address)
            rr.ipv4_address = "192.0.2.1"
            assert.equal("\192\0\2\1", rr.data)
            rr.ipv6_address = "::1"
            assert.equal("::1", rr.ipv6_address)
            rr.domain_name = "b.example"
            assert.equal("b.example", rr.domain_name)
            assert.equal("0x016207" .. "6578616d706c6500", tostring(rr))
            rr.data = "\0\1\0"
            rr.https_alpn = { "h2" }
            assert.same({ "h2" }, rr.https_alpn)
            rr.https_ech = "AAEC"
            assert.equal("AAEC", rr.https_ech)
            assert.is_nil(rr.rdata)
            assert.is_nil(rr.strings)
        end
        raises("ResourceRecord.rdata: does not apply to TYPE65280 records",
            function() RR("a", 65280, nil, nil, "").rdata = {} end)
    end)

    it("edit service parameters one by one", function()
        local rr = RR.HTTPS("a", dns.HTTPSRecord(1, "Svc.example", { port = 443, ipv4hint = { "192.0.2.1" } }))
        assert.is_nil(rr.https_alpn)
        assert.is_nil(rr.https_ech)
        rr.https_alpn = { "h2", "h3" }
        assert.same({ "h2", "h3" }, rr.https_alpn)
        rr.https_ech = "AAECAw=="
        assert.equal("AAECAw==", rr.https_ech)
        assert.equal('1 Svc.example. alpn="h2,h3" port=443 ipv4hint=192.0.2.1 ech=AAECAw==', tostring(rr))
        rr.https_alpn = { "h3" }
        rr.https_alpn = rr.https_alpn
        assert.same({ "h3" }, rr.https_alpn)
        rr.https_alpn = nil
        rr.https_ech = nil
        assert.equal("1 Svc.example. port=443 ipv4hint=192.0.2.1", tostring(rr))
        rr.https_ech = nil
        assert.is_nil(rr.https_ech)
    end)

    it("refuse wrong service parameters", function()
        local rr = RR.HTTPS("a", dns.HTTPSRecord(1, "."))
        raises("ResourceRecord.https_alpn: array of protocol ids expected, got 'h2'", function() rr.https_alpn = "h2" end)
        raises("ResourceRecord.https_alpn: array of protocol ids expected, got table", function() rr.https_alpn = {} end)
        raises("ResourceRecord.https_alpn[2]: protocol id of 1 to 255 bytes expected, got 7",
            function() rr.https_alpn = { "h2", 7 } end)
        raises("ResourceRecord.https_alpn[1]: protocol id of 1 to 255 bytes expected, got ''",
            function() rr.https_alpn = { "" } end)
        raises("ResourceRecord.https_ech: base64 text expected, got '!'", function() rr.https_ech = "!" end)
        raises("ResourceRecord.https_ech: base64 text expected, got 7", function() rr.https_ech = 7 end)
        assert.equal("1 .", tostring(rr))
        local broken = RR("a", "HTTPS", nil, nil, "\0")
        broken.https_ech = nil
        assert.equal("\0", broken.data)
        raises("ResourceRecord.https_alpn: the record's data is no valid SVCB data",
            function() broken.https_alpn = { "h2" } end)
    end)
end)

describe("ResourceRecord in text and JSON", function()
    it("reads the zone file's form", function()
        local rr = RR.from_text "www.Example.com. 300 IN A 192.0.2.1"
        assert.is_true(rr == RR.A("www.example.com", "192.0.2.1", 300))
        assert.equal("www.Example.com. 300 IN A 192.0.2.1", rr:to_text())
        assert.is_true(RR.from_text "a A 192.0.2.1" == RR.A("a", "192.0.2.1"))
        assert.is_true(RR.from_text "a. MX ( 10 ; first\n mx )" == RR.MX("a", 10, "mx"))
        assert.is_true(RR.from_text [[a TYPE65280 \# 2 ffee]] == RR("a", 65280, "IN", 60, "\255\238"))
        assert.is_false((pcall(RR.from_text, "a A 192.0.2")))
        assert.is_false((pcall(RR.from_text, "")))
        assert.is_false((pcall(RR.from_text, 7)))
    end)

    it("goes to JSON and back", function()
        assert.same({ name = "a", type = "A", class = "IN", ttl = 60, data = "192.0.2.1" }, RR.A("A", "192.0.2.1"):to_json())
        assert.same("b.example", RR.CNAME("a", "b.example"):to_json().data)
        assert.same("x y", RR.TXT("a", "x y"):to_json().data)
        assert.same({ "x", "y" }, RR.TXT("a", { "x", "y" }):to_json().data)
        assert.same({ priority = 1, target_name = ".", alpn = { "h2" }, key667 = "0x78" },
            RR.HTTPS("a", dns.HTTPSRecord(1, ".", { [1] = "\2h2", [667] = "x" })):to_json().data)
        for _, rr in ipairs {
            RR.A("a", "192.0.2.1"), RR.AAAA("a", "::1"), RR.CNAME("a", "."), RR.MX("a", 1, "b"), RR.TXT("a", ""),
            RR.TXT("a", "0x00"), RR.TXT("a", "\255\0"), RR.TXT("a", { "", "" }), RR("a", "A", "CH", 5, "\1"),
            RR("a", 65280, 42, 7, "x"), RR("a", "TXT", "IN", 1, ""), RR("a", "HTTPS", "IN", 1, "\0"),
            RR.SVCB("a", dns.HTTPSRecord(0, "b.example")), RR.CAA("a", 0, "issue", "x;y"),
            RR.HTTPS("a", dns.HTTPSRecord(1, ".", { [1] = "\2h2", [667] = "x", [3] = "\1\187" })),
        } do
            assert.is_true(RR.from_json(rr:to_json()) == rr, rr:to_text())
            local text = dns.json.encode(rr)
            assert.is_true(RR.from_json(dns.json.decode(text)) == rr, text)
        end
    end)

    it("names what is wrong in JSON", function()
        local ok, message = pcall(RR.from_json, { name = "a", type = "A", class = "IN", ttl = "soon", data = "192.0.2.1" })
        assert.is_false(ok)
        assert.equal("ResourceRecord.ttl: integer from 0 to 2147483647 expected, got 'soon'", message)
    end)
end)
