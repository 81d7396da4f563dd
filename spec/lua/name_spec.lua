-- dns.name and dns.idna, on dns.so.
local dns = require "dns"
local raises = require "spec.support.raises"

describe("dns.name", function()
    it("knows what lies below what", function()
        local below = dns.name.is_subdomain
        assert.is_true(below("www.example.com", "example.com"))
        assert.is_true(below("WWW.Example.com.", "example.COM"))
        assert.is_true(below("example.com", "example.com"))
        assert.is_true(below("example.com", "."))
        assert.is_true(below(".", "."))
        assert.is_false(below("com", "example.com"))
        assert.is_false(below("badexample.com", "example.com"))
        assert.is_false(below([[a\.example.com]], "example.com"))
        assert.is_true(below("bücher.example", "xn--bcher-kva.example"))
    end)

    it("climbs to the parent", function()
        assert.equal("example.com", dns.name.parent "WWW.Example.com")
        assert.equal(".", dns.name.parent "com")
        assert.is_nil(dns.name.parent ".")
        assert.is_nil(dns.name.parent "")
        assert.equal("b", dns.name.parent [[a\.x.b]])
    end)

    it("takes names apart", function()
        assert.same({ "www", "example", "com" }, dns.name.labels "www.Example.com.")
        assert.same({}, dns.name.labels ".")
        assert.same({ [[a\.x]], "b" }, dns.name.labels [[a\.x.b]])
        assert.same({ ("x"):rep(63) }, dns.name.labels(("x"):rep(63)))
    end)

    it("reverses addresses", function()
        assert.equal("1.2.0.192.in-addr.arpa", dns.name.reverse "192.0.2.1")
        assert.equal("255.255.255.255.in-addr.arpa", dns.name.reverse "255.255.255.255")
        assert.equal(("1" .. (".0"):rep(23) .. ".8.b.d.0.1.0.0.2.ip6.arpa"), dns.name.reverse "2001:db8::1")
    end)

    it("raises for what is no name or address", function()
        raises("dns.name.parent: domain name expected, got nil", function() dns.name.parent() end)
        raises("dns.name.is_subdomain: domain name expected, got 7", function() dns.name.is_subdomain("a", 7) end)
        raises("dns.name.labels: domain name expected, got 'a..b' (empty label)", function() dns.name.labels "a..b" end)
        raises("dns.name.reverse: IP address expected, got '1.2.3'", function() dns.name.reverse "1.2.3" end)
        raises("dns.name.reverse: IP address expected, got 'fe80::1%lo'", function() dns.name.reverse "fe80::1%lo" end)
    end)
end)

describe("dns.idna", function()
    it("goes to A-labels and back", function()
        assert.equal("xn--bcher-kva.example", dns.idna.to_ascii "bücher.example")
        assert.equal("bücher.example", dns.idna.to_unicode "xn--bcher-kva.example")
        assert.equal("plain.example", dns.idna.to_ascii "plain.example")
        assert.equal("xn--strae-oqa.example", dns.idna.to_ascii "straße.example")
        assert.equal("bücher.Example", dns.idna.to_unicode "XN--BCHER-KVA.Example")
        assert.equal("_x.example", dns.idna.to_unicode "_x.example")
        for _, name in ipairs { "日本語.jp", "пример.испытание", "ελληνικά.gr" } do
            assert.equal(name, dns.idna.to_unicode(dns.idna.to_ascii(name)))
        end
    end)

    it("leaves what is no valid A-label", function()
        assert.equal("xn--a.example", dns.idna.to_unicode "xn--a.example")
    end)

    it("raises for what cannot be", function()
        raises("dns.idna.to_ascii: string expected, got 7", function() dns.idna.to_ascii(7) end)
        assert.is_false((pcall(dns.idna.to_ascii, "\255.example")))
        assert.is_false((pcall(dns.idna.to_ascii, ("ü"):rep(64) .. ".example")))
    end)

    it("is done wherever a name is given", function()
        local RR, given, name = dns.ResourceRecord, "bücher.example", "xn--bcher-kva.example"
        local question, alias = dns.Question("a", "A"), RR.CNAME("a", "b")
        question.name, alias.domain_name = given, given
        local message = dns.DNSMessage { edns = { options = { { report_channel = { agent_domain = given } } } } }
        local soa = { mname = given, rname = given, serial = 1, refresh = 1, retry = 1, expire = 1, minimum = 1 }
        for place, read in pairs {
            ["Question"] = dns.Question(given, "A").name, ["Question.name"] = question.name,
            ["Question.from_json"] = dns.Question.from_json({ name = given, type = "A" }).name,
            ["make_query"] = dns.DNSMessage.make_query(given, "A").question.name,
            ["ResourceRecord"] = RR(given, "A", "IN", 60, "").name, ["domain_name"] = alias.domain_name,
            ["A"] = RR.A(given, "192.0.2.1").name, ["CNAME"] = RR.CNAME("a", given).domain_name,
            ["MX"] = RR.MX("a", 1, given).rdata.exchange, ["SRV"] = RR.SRV("a", 1, 2, 3, given).rdata.target,
            ["SOA"] = RR.SOA("a", soa).rdata.rname, ["HTTPSRecord"] = dns.HTTPSRecord(1, given, {}).target_name,
            ["from_text owner"] = RR.from_text(given .. " A 192.0.2.1").name,
            ["from_text data"] = RR.from_text("a MX 1 " .. given).rdata.exchange,
            ["from_json"] = RR.from_json({ name = "a", type = "CNAME", data = given }).domain_name,
            ["edns"] = message.edns.options[1].report_channel.agent_domain,
            ["DomainSet"] = dns.DomainSet({ given }):match("a." .. given), ["parent"] = dns.name.parent("x." .. given),
        } do
            assert.equal(name, read, place)
        end
        assert.is_true(dns.name.is_subdomain("x." .. given, name))
    end)

    it("turns names with labels of other kinds and a final dot into A-labels", function()
        assert.equal("_dmarc.xn--bcher-kva.example", dns.idna.to_ascii "_dmarc.bücher.example")
        assert.equal("_dmarc.xn--bcher-kva.example.", dns.idna.to_ascii "_dmarc.bücher.example.")
        assert.equal("_dmarc.xn--bcher-kva.example", dns.Question("_dmarc.bücher.example.", "TXT").name)
    end)
end)
