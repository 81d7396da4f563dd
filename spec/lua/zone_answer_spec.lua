-- Answers of a dns.Zone, on dns.so, that no server is asked for.
local dns = require "dns"

local SOA = "@ SOA ns admin 1 2 3 4 5\n"

local function ask(zone, name, kind)
    return zone:answer(dns.DNSMessage.make_query(name, kind))
end

-- Code, answers and authorities in short.
local function short(message)
    local function lines(records)
        local list = {}
        for i, record in ipairs(records) do
            list[i] = record.name .. " " .. dns.types.to_str(record.type) .. " " .. tostring(record)
        end
        return list
    end
    return dns.response_codes.to_str(message.response_code), lines(message.answers), lines(message.authorities)
end

describe("dns.Zone.answer", function()
    local zone = assert(dns.Zone.parse([[
$ORIGIN example.
$TTL 60
@ 300 SOA ns admin 1 2 3 4 30
  NS ns
ns A 192.0.2.1
www A 192.0.2.2
alias CNAME www
*.wild TXT found
long DNAME ]] .. ("a"):rep(63) .. "." .. ("b"):rep(63) .. "\n"))

    it("is a new message for the query", function()
        local query = dns.DNSMessage.make_query("WWW.Example", "A")
        local answer = zone:answer(query)
        assert.equal("DNSMessage", dns.typeof(answer))
        assert.equal(query.id, answer.id)
        assert.equal("WWW.Example", answer.question.original_name)
        assert.same({ false, true, false, false, true }, {
            answer.query, answer.authoritative_answer, answer.truncation, answer.recursion_available, answer.recursion_desired,
        })
        assert.same({ "NOERROR", { "www.example A 192.0.2.2" }, {} }, { short(answer) })
        assert.is_nil(answer.edns)
        answer.answers[1].ttl = 1
        assert.equal(60, zone:answer(query).answers[1].ttl)
        assert.is_true(dns.DNSMessage.unpack(zone:answer(query).packed) == zone:answer(query))
    end)

    it("takes over RD, CD, and EDNS with DO", function()
        local query = dns.DNSMessage.make_query("www.example", "A")
        query.recursion_desired, query.checking_disabled = false, true
        query.edns = { dnssec_ok = true, udp_payload_size = 4096 }
        local answer = zone:answer(query)
        assert.same({ false, true }, { answer.recursion_desired, answer.checking_disabled })
        assert.same({ true, 1232 }, { answer.edns.dnssec_ok, answer.edns.udp_payload_size })
    end)

    it("is the same for a message that came and for one that was changed", function()
        local query = dns.DNSMessage.unpack(dns.DNSMessage.make_query("nothing.example", "A").packed)
        assert.equal(dns.response_codes.NXDOMAIN, zone:answer(query).response_code)
        query.questions[1].name = "alias.example"
        assert.same({ "NOERROR", { "alias.example CNAME www.example.", "www.example A 192.0.2.2" }, {} }, { short(zone:answer(query)) })
    end)

    it("says no with the SOA record, for as long as its minimum says", function()
        for _, name in ipairs { "nothing.example", "www.example" } do
            local answer = ask(zone, name, "AAAA")
            assert.same({ {}, { "example SOA ns.example. admin.example. 1 2 3 4 30" } }, { select(2, short(answer)) })
            assert.equal(30, answer.authorities[1].ttl)
        end
        assert.equal(300, ask(zone, "example", "SOA").answers[1].ttl)
    end)

    it("says YXDOMAIN where a DNAME makes too long a name (RFC 6672 section 2.2)", function()
        local name = ("x"):rep(63) .. "." .. ("y"):rep(63) .. ".long.example"
        local code, answers = short(ask(zone, name, "A"))
        assert.same({ "YXDOMAIN", 1 }, { code, #answers })
        assert.equal("NXDOMAIN", (short(ask(zone, "x.long.example", "A"))))
    end)

    it("refuses whole zones", function()
        for _, kind in ipairs { "AXFR", "IXFR" } do
            local answer = ask(zone, "example", kind)
            assert.same({ "REFUSED", {}, {} }, { short(answer) })
            assert.is_false(answer.authoritative_answer)
        end
    end)

    it("gives all there is for ANY", function()
        assert.equal(2, #ask(zone, "example", "ANY").answers)
        assert.same({ "NOERROR", { 'x.wild.example TXT "found"' }, {} }, { short(ask(zone, "x.wild.example", "ANY")) })
    end)

    it("is nil for what is not the zone's", function()
        assert.is_nil(ask(zone, "other", "A"))
        assert.is_nil(ask(zone, "myexample", "A"))
        assert.is_nil(ask(zone, ".", "NS"))
        assert.is_nil(zone:answer(dns.DNSMessage.make_query("www.example", "A", "CH")))
        assert.is_nil(zone:answer(dns.DNSMessage {}))
        local two = dns.DNSMessage.make_query("www.example", "A")
        table.insert(two.questions, two.questions[1])
        assert.is_nil(zone:answer(two))
        local update = dns.DNSMessage.make_query("www.example", "A")
        update.op_code = "UPDATE"
        assert.is_nil(zone:answer(update))
        assert.is_nil(zone:answer(zone:answer(dns.DNSMessage.make_query("www.example", "A"))))
    end)

    it("of the root zone is for every name", function()
        local root = assert(dns.Zone.parse(". SOA a. b. 1 2 3 4 5\ncom. NS ns.com.\nns.com. A 192.0.2.1\n"))
        assert.equal(".", root.origin)
        assert.same({ "NOERROR", {}, { "com NS ns.com." } }, { short(ask(root, "www.example.com", "A")) })
        assert.equal("NXDOMAIN", (short(ask(root, "org", "A"))))
        assert.equal("NOERROR", (short(ask(root, ".", "SOA"))))
    end)

    it("follows 20 CNAMEs in a row, and ends there", function()
        local lines = { SOA }
        for i = 1, 25 do
            lines[#lines + 1] = ("c%d CNAME c%d\n"):format(i, i + 1)
        end
        local chain = assert(dns.Zone.parse(table.concat(lines), "example"))
        local answer = ask(chain, "c1.example", "A")
        assert.equal(20, #answer.answers)
        assert.same({ "NOERROR", "c20.example" }, { (short(answer)), answer.answers[20].name })
        assert.equal("NXDOMAIN", (short(ask(chain, "c20.example", "A"))))
    end)

    it("says BADVERS for EDNS of a version above 0 (RFC 6891 section 6.1.3)", function()
        for _, kind in ipairs { "A", "AXFR" } do
            local query = dns.DNSMessage.make_query("www.example", kind)
            query.edns = { version = 1 }
            local answer = dns.DNSMessage.unpack(zone:answer(query).packed)
            assert.same({ "BADVERS", {}, {} }, { short(answer) })
            assert.same({ 0, false, 1 }, { answer.edns.version, answer.authoritative_answer, #answer.questions })
        end
    end)

    it("refers with all glue there is", function()
        local lines = { SOA }
        for i = 1, 900 do
            lines[#lines + 1] = ("sub NS n%d.sub\nn%d.sub A 192.0.2.1\nn%d.sub AAAA 2001:db8::1\n"):format(i, i, i)
        end
        local answer = ask(assert(dns.Zone.parse(table.concat(lines), "example")), "x.sub.example", "A")
        assert.same({ 900, 1800, false }, { #answer.authorities, #answer.additionals, answer.truncation })
    end)

    it("says TC when glue that is needed does not fit, not for other addresses (RFC 9471 section 3)", function()
        local function refer(below)
            local lines = { SOA }
            for i = 1, 2200 do
                local owner = ("n%d%s"):format(i, i <= below and ".sub" or "")
                lines[#lines + 1] = ("sub NS %s\n%s AAAA 2001:db8::1\n"):format(owner, owner)
            end
            local zone = assert(dns.Zone.parse(table.concat(lines), "example"))
            local answer = ask(zone, "x.sub.example", "A")
            assert.equal(2200, #answer.authorities)
            assert.is_true(#answer.additionals < 2200 and #answer.additionals > 500)
            return answer.truncation
        end
        assert.is_true(refer(2200))
        assert.is_false(refer(100))
    end)

    it("is cut with TC at what a message holds", function()
        local lines = { SOA }
        for i = 1, 3000 do
            lines[#lines + 1] = ("many TXT %s%d\n"):format(("x"):rep(30), i)
        end
        local many = assert(dns.Zone.parse(table.concat(lines), "example"))
        local query = dns.DNSMessage.make_query("many.example", "TXT")
        query.edns = {}
        local answer = zone and many:answer(query)
        assert.is_true(answer.truncation)
        assert.truthy(answer.edns)
        assert.is_true(#answer.packed <= 65535 and #answer.packed > 65000)
    end)

    it("is of the zone as it was read: what is put into the array changes nothing", function()
        local zone = assert(dns.Zone.parse(SOA .. "www A 192.0.2.1\n", "example"))
        zone[2].data = "192.0.2.9"
        zone[1] = "x"
        assert.same({ "NOERROR", { "www.example A 192.0.2.1" }, {} }, { short(ask(zone, "www.example", "A")) })
        assert.equal("NXDOMAIN", (short(ask(zone, "no.example", "A"))))
        assert.equal("example", zone.origin)
        assert.equal(2, #zone)
    end)

    it("adds each address once, of however many names", function()
        local lines = { "$ORIGIN example.\n@ 60 SOA ns. h. 1 2 3 4 5\n@ NS ns.other.\n*.wild A 192.0.2.9\n" }
        for i = 1, 200 do
            lines[#lines + 1] = ("@ MX 1 m%d\n@ MX 2 M%d\nm%d A 192.0.2.%d\nm%d AAAA ::%x\n"):format(i, i, i, i % 250, i, i)
            lines[#lines + 1] = ("@ MX 1 w%d.wild\n@ MX 2 w%d.WILD\n"):format(i, i)
        end
        local answer = dns.Zone.parse(table.concat(lines), "example"):answer(dns.DNSMessage.make_query("example", "MX"))
        assert.equal(800, #answer.answers)
        local counts, names = {}, 0
        for _, record in ipairs(answer.additionals) do
            local key = record.name .. " " .. record.type
            counts[key] = (counts[key] or 0) + 1
            names = names + 1
            assert.equal(1, counts[key], key)
        end
        assert.equal(600, names)
    end)
end)
