-- ResourceRecord.rdata: the data by field, on dns.so.
local dns = require "dns"
local raises = require "spec.support.raises"
local RR = dns.ResourceRecord

-- One record of each type that has a layout of its own, in the zone file's form.
local records = {
    "a. 60 IN A 192.0.2.1",
    "a. 60 IN NS b.",
    "a. 60 IN CNAME b.",
    "a. 60 IN SOA ns.example. host.example. 2024010101 7200 900 1209600 300",
    "a. 60 IN PTR b.",
    'a. 60 IN HINFO "cpu" "os"',
    "a. 60 IN MINFO b. c.",
    "a. 60 IN MX 10 mx.example.",
    'a. 60 IN TXT "x" "y z"',
    "a. 60 IN RP b. c.",
    "a. 60 IN AFSDB 1 b.",
    "a. 60 IN AAAA 2001:db8::1",
    "a. 60 IN SRV 1 2 443 s.example.",
    [[a. 60 IN NAPTR 100 10 "u" "E2U+sip" "!^.*$!sip:info@example.com!" .]],
    "a. 60 IN KX 1 b.",
    "a. 60 IN DNAME b.",
    "a. 60 IN DS 60485 5 1 2bb183af5f22588179a53b0a98631fad1a292118",
    "a. 60 IN SSHFP 2 1 123456789abcdef67890123456789abcdef67890",
    "a. 60 IN RRSIG A 13 2 3600 20240201000000 20240101000000 12345 example. AAECAwQ=",
    "a. 60 IN NSEC b. A MX RRSIG NSEC TYPE1234",
    "a. 60 IN DNSKEY 257 3 13 AAECAwQ=",
    "a. 60 IN NSEC3 1 1 12 aabbccdd 2t7b4g4vsa5smi47k61mv5bv1a22bojr A RRSIG",
    "a. 60 IN NSEC3PARAM 1 0 12 aabbccdd",
    "a. 60 IN TLSA 3 1 1 0102030405060708090a0b0c0d0e0f10",
    "a. 60 IN CAA 0 issue \"ca.example\"",
    "a. 60 IN HTTPS 1 . alpn=\"h2\" port=8443",
    "a. 60 IN SVCB 0 b.",
    "a. 60 IN URI 10 1 \"https://example.com/\"",
    "a. 60 IN LOC 52 22 23.000 N 4 53 32.000 E -2.00m 0.00m 10000m 10m",
    "a. 60 IN APL 1:192.168.32.0/21 !1:192.168.38.0/28",
}

describe("ResourceRecord.rdata", function()
    it("gives fields by name and takes them back, for every layout", function()
        for _, text in ipairs(records) do
            local rr = RR.from_text(text)
            local fields = rr.rdata
            assert.equal("table", type(fields), text)
            assert.truthy(next(fields), text)
            local other = RR("a", rr.type, "IN", 60, "")
            collectgarbage()
            other.rdata = fields
            assert.is_true(other == rr, text)
            assert.same(fields, other.rdata, text)
        end
    end)

    it("may be empty", function()
        local m = dns.DNSMessage { edns = {} }
        local opt = m.additionals[1]
        assert.same({ options = {} }, opt.rdata)
        opt.rdata = opt.rdata
        assert.equal("", opt.data)
        opt.rdata = { options = { { code = 3, data = "x" } } }
        assert.equal("\0\3\0\1x", opt.data)
        opt.rdata = { options = {} }
        assert.equal("", opt.data)
    end)

    it("names the fields as the RFCs do", function()
        assert.same({ address = "192.0.2.1" }, RR.A("a", "192.0.2.1").rdata)
        assert.same({ preference = 10, exchange = "mx.example" }, RR.MX("a", 10, "MX.example").rdata)
        assert.same({ priority = 1, weight = 2, port = 3, target = "t" }, RR.SRV("a", 1, 2, 3, "t").rdata)
        assert.same({ flags = 0, tag = "issue", value = "ca" }, RR.CAA("a", 0, "issue", "ca").rdata)
        assert.same({ strings = { "x", "y" } }, RR.TXT("a", { "x", "y" }).rdata)
        assert.same({ key_tag = 1, algorithm = 8, digest_type = 2, digest = "\171\205" },
            RR.from_text("a DS 1 8 2 abcd").rdata)
        local rrsig = RR.from_text(records[19]).rdata
        assert.equal(1, rrsig.type_covered)
        assert.equal(1706745600, rrsig.signature_expiration)
        assert.equal("example", rrsig.signers_name)
        assert.equal("\0\1\2\3\4", rrsig.signature)
    end)

    it("is a fresh table each time", function()
        local rr = RR.MX("a", 10, "mx")
        local fields = rr.rdata
        fields.preference = 20
        assert.equal(10, rr.rdata.preference)
        rr.rdata = fields
        assert.equal(20, rr.rdata.preference)
        assert.equal("20 mx.", tostring(rr))
    end)

    it("holds service parameters by number", function()
        local rr = RR.HTTPS("a", dns.HTTPSRecord(1, ".", { alpn = { "h2" } }))
        assert.same({ priority = 1, target_name = ".", params = { [1] = "\2h2" } }, rr.rdata)
        rr.rdata = rr.rdata
        assert.equal('1 . alpn="h2"', tostring(rr))
        rr.rdata = { priority = 0, target_name = "b", params = {} }
        assert.equal("0 b.", tostring(rr))
    end)

    it("keeps the case of names that were only read", function()
        local rr = RR.MX("a", 10, "MX.Example")
        local data = rr.data
        rr.rdata = rr.rdata
        assert.equal(data, rr.data)
        rr.rdata = { preference = 10, exchange = "mX.example" }
        assert.equal("10 mX.example.", tostring(rr))
    end)

    it("has lists that are arrays in JSON, empty ones too", function()
        assert.equal('{"next_domain_name":"b","types":[]}', dns.json.encode(RR.from_text("a NSEC b").rdata))
        assert.equal('{"prefixes":[]}', dns.json.encode(RR("a", "APL", "IN", 60, "").rdata))
        local m = dns.DNSMessage { edns = { options = { { key_tag = { key_tags = {} } } } } }
        local key_tag = m.additionals[1].rdata.options[1].key_tag
        assert.equal('{"key_tags":[]}', dns.json.encode(key_tag))
    end)

    it("leaves what came as it came, though it could not be set", function()
        for _, data in ipairs { "\0\1\0\255\255\0\0", "\0\1\0\0\7\0\2/q" } do
            local rr = RR("a", "HTTPS", "IN", 60, data)
            assert.equal(data, rr.data)
            assert.is_nil(rr.rdata)
            assert.is_true(RR.from_text(rr:to_text()) == rr)
        end
    end)

    it("names the field that is wrong", function()
        local rr = RR.MX("a", 10, "mx")
        raises("ResourceRecord.rdata: preference: integer from 0 to 65535 expected, got 65536",
            function() rr.rdata = { preference = 65536, exchange = "mx" } end)
        raises("ResourceRecord.rdata: preference: integer from 0 to 65535 expected, got -1",
            function() rr.rdata = { preference = -1, exchange = "mx" } end)
        raises("ResourceRecord.rdata: preference: integer from 0 to 65535 expected, got 1.5",
            function() rr.rdata = { preference = 1.5, exchange = "mx" } end)
        raises("ResourceRecord.rdata: preference: integer from 0 to 65535 expected, got true",
            function() rr.rdata = { preference = true, exchange = "mx" } end)
        raises("ResourceRecord.rdata: table expected, got 'x'", function() rr.rdata = "x" end)
        raises("ResourceRecord.rdata: table expected, got nil", function() rr.rdata = nil end)
        for _, fields in ipairs { {}, { preference = 1 }, { exchange = "mx" }, { preference = 1, exchange = "mx", more = 1 },
            { preference = 1, exchange = "a b" }, { preference = 1, exchange = 7 }, { preference = "1", exchange = "mx" },
            { preference = {}, exchange = "mx" }, { 1, "mx" } } do
            local ok, message = pcall(function() rr.rdata = fields end)
            assert.is_false(ok)
            assert.truthy(message:find("ResourceRecord.rdata: ", 1, true), message)
        end
        for _, wrong in ipairs {
            { "latitude", 5, "integer from 1823483648 to 2471483648 expected, got 5" },
            { "longitude", 4e9, "integer from 1499483648 to 2795483648 expected, got 4000000000" },
            { "version", 1, "0 expected, got 1" },
            { "vert_pre", 0xab, "16 times a digit and a power of ten, both up to 9, expected, got 171" },
            { "altitude", 0.5, "integer from 0 to 4294967295 expected, got 0.5" },
        } do
            local loc = RR.from_text("a LOC 1 N 0 E 0")
            local where = loc.rdata
            where[wrong[1]] = wrong[2]
            raises("ResourceRecord.rdata: " .. wrong[1] .. ": " .. wrong[3], function() loc.rdata = where end)
        end
        local https = RR.from_text("a HTTPS 1 .")
        for _, wrong in ipairs {
            { { [65535] = "x" }, "key65535 is reserved: key0 to key65534 expected" },
            { { key07 = "/" }, "service parameter key expected, got 'key07'" },
            { { dohpath = "/q" }, "dohpath: URI template in UTF-8 with {?dns} expected" },
            { { [7] = "/\200{?dns}" }, "dohpath: URI template in UTF-8 with {?dns} expected" },
            { { port = 1.5 }, "port: integer from 0 to 65535 expected, got 1.5" },
        } do
            raises("ResourceRecord.rdata: params: " .. wrong[2],
                function() https.rdata = { priority = 1, target_name = ".", params = wrong[1] } end)
        end
        local deep = {}
        deep.x = deep
        assert.is_false((pcall(function() rr.rdata = deep end)))
        assert.equal("10 mx.", tostring(rr))
    end)

    it("takes the names of protocols and services in WKS records, and gives numbers", function()
        local rr = dns.ResourceRecord.from_text "a. WKS 10.0.0.1 TCP smtp Domain 80 ftp-data"
        assert.equal("10.0.0.1 6 20 25 53 80", tostring(rr))
        rr.rdata = { address = "10.0.0.1", protocol = "udp", ports = { "ntp", 53 } }
        assert.equal("10.0.0.1 17 53 123", tostring(rr))
    end)

    it("has the layouts of addresses, services and the like in class IN alone, and in those that stand for a zone's", function()
        for _, text in ipairs { "A 192.0.2.1", "AAAA 2001:db8::1", "SRV 1 2 3 b.", "WKS 10.0.0.1 6 25", "SVCB 1 b.", "KX 1 b." } do
            local data = RR.from_text("a " .. text).data
            for _, class in ipairs { "NONE", "ANY" } do
                assert.equal(data, RR.from_text(("a %s %s"):format(class, text)).data)
            end
            for _, class in ipairs { "CH", "HS", "CLASS42" } do
                raises("ResourceRecord.from_text: \\# LENGTH HEX expected for data of this type and class", function() RR.from_text(("a %s %s"):format(class, text)) end)
                local rr = RR("a", text:match "%u+", class, 60, data)
                assert.is_nil(rr.rdata)
                assert.truthy(tostring(rr):find "^0x%x+$")
                assert.truthy(rr:to_text():find(" \\# " .. #data .. " ", 1, true))
                assert.is_true(RR.from_json(rr:to_json()) == rr and RR.from_text(rr:to_text()) == rr)
            end
        end
        for _, text in ipairs { "NS b.", 'TXT "x"', "MX 1 b.", "SOA b. c. 1 2 3 4 5" } do
            assert.equal("a. 60 CH " .. text, RR.from_text("a CH " .. text):to_text())
        end
    end)

    it("passes data of such a type in another class as it came, whatever in it looks like a name", function()
        local chaos = "\1a\192\12\0\1" -- a name and a 16-bit address (RFC 1035 section 3.4.1), compressed
        for _, kind in ipairs { "A", "SRV", "PX" } do
            local message = dns.DNSMessage { questions = { dns.Question("b.example", kind, "CH") }, answers = { RR("b.example", kind, "CH", 60, chaos) } }
            local read = dns.DNSMessage.unpack(message.packed)
            assert.equal(chaos, read.answers[1].data)
            assert.equal(message.packed, read.packed)
        end
    end)
end)
