-- A message that a script changed is packed anew, with compression, and every reader of DNS finds the same in it.
local dig = require "spec.support.dig"
local process = require "spec.support.process"
local proxy = require "spec.support.proxy"
local scope = require "spec.support.scope"
local upstream = require "spec.support.upstream"
local wire = require "spec.support.wire"

-- Reads an answer with dnspython: one record a line, as owner, TTL, type and data.
local DNSPYTHON = [[
import sys
import dns.message, dns.query, dns.rdatatype
name, kind, port, transport = sys.argv[1:]
query = dns.message.make_query(name, kind, use_edns=0, payload=4096)
ask = dns.query.tcp if transport == "tcp" else dns.query.udp
answer = ask(query, "127.0.0.1", port=int(port), timeout=15)
for rrset in answer.answer:
    for rdata in rrset:
        print(rrset.name, rrset.ttl, dns.rdatatype.to_text(rrset.rdtype), rdata.to_text(), sep="\t")
]]

-- Adds one record of each kind to what the upstream said, and changes its TTLs.
local EDITING = [[
function dns_response(flow)
    local R, name = dns.ResourceRecord, flow.request.question.original_name
    for _, answer in ipairs(flow.response.answers) do
        answer.ttl = 77
    end
    for _, answer in ipairs {
        R.A(name, "192.0.2.50", 77), R.AAAA(name, "2001:db8::50", 77), R.MX(name, 5, "mail." .. name, 77),
        R.TXT(name, {"one", "two words"}, 77), R.SRV(name, 1, 2, 3, "srv." .. name, 77), R.NS(name, "ns." .. name, 77),
        R.CAA(name, 0, "issue", "ca.example.net", 77), R.PTR(name, "ptr.Example.NET", 77),
        R.from_text(name .. " 77 IN NAPTR 10 20 \"u\" \"E2U+sip\" \"!^.*$!sip:x@example.com!\" ."),
        R.from_text(name .. " 77 IN TLSA 3 1 1 d2abde240d7cd3ee6b4b28c54df034b97983a1d16e8a410e4561cb106618e971"),
        R.from_text(name .. " 77 IN SSHFP 2 1 123456789abcdef67890123456789abcdef67890"),
        R.from_text(name .. " 77 IN DS 60485 5 1 2bb183af5f22588179a53b0a98631fad1a292118"),
        R.HTTPS(name, dns.HTTPSRecord(1, ".", {alpn = {"h2"}, port = 8443, ipv4hint = {"192.0.2.51"}}), 77),
    } do
        table.insert(flow.response.answers, answer)
    end
end]]

describe("a message changed by a script", function()
    scope.manage()
    local knot, moondns

    setup(function()
        knot = upstream.knot()
        moondns = proxy.start { upstream = knot, code = EDITING }
    end)

    -- Owner, TTL, type and data, in a form that the readers' habits of printing do not tell apart.
    local function normal(name, ttl, kind, data)
        local hex_blocks = data:gsub("(%x%x%x%x%x%x+) (%x+)$", "%1%2")
        return (table.concat({ name, ttl, kind, hex_blocks }, " "):lower():gsub('"', ""):gsub(" +$", ""))
    end

    local function normal_answers(answer)
        local list = {}
        for i, record in ipairs(answer.answers) do
            list[i] = normal(record.name, record.ttl, record.type, record.data)
        end
        table.sort(list)
        return list
    end

    local function dnspython(name, kind, transport)
        local result = process.run { "/usr/bin/python3", "-c", DNSPYTHON, name, kind, tostring(moondns.port), transport }
        assert.equal(0, result.code, result.err)
        local list = {}
        for owner, ttl, record_kind, data in result.out:gmatch "([^\t\n]+)\t([^\t\n]+)\t([^\t\n]+)\t([^\n]+)" do
            list[#list + 1] = normal(owner, ttl, record_kind, data)
        end
        table.sort(list)
        return list
    end

    for _, transport in ipairs { "notcp", "tcp" } do
        for _, question in ipairs { "many.example.com A", "mail.example.com A", "texts.example.com TXT", "_sip._tcp.example.com SRV" } do
            it(("reads the same in dig, kdig and dnspython: %s +%s"):format(question, transport), function()
                local name, kind = question:match "(%S+) (%S+)"
                local seen = normal_answers(moondns:dig(question .. " +bufsize=4096 +" .. transport))
                assert.is_true(#seen >= 14, #seen .. " records")
                local text = table.concat(seen, "\n")
                assert.truthy(text:find(name .. ". 77 mx 5 mail." .. name .. ".", 1, true), text)
                assert.same(seen, normal_answers(moondns:kdig(question .. " +bufsize=4096 +" .. transport)))
                assert.same(seen, dnspython(name, kind, transport))
            end)
        end
    end

    it("is compressed", function()
        local bytes = assert(moondns:tcp():ask(wire.query("many.example.com", "A")))
        local answer = wire.parse(bytes)
        local _, occurrences = bytes:gsub("\7example\3com", "")
        -- once in the question; DNS forbids to compress it in SRV (RFC 2782)
        assert.is_true(occurrences <= 2, occurrences .. " times spelt out")
        for _, record in ipairs(answer.answers) do
            assert.is_true(bytes:byte(record.at) >= 192, "an owner that is spelt out")
        end
    end)

    it("keeps the records that nobody touched byte for byte", function()
        local query = wire.query("example.com", "RRSIG", { edns = { dnssec = true, payload = 4096 } })
        local direct = wire.parse(require("spec.support.net").tcp(knot.port):ask(query))
        local own = proxy.start { upstream = knot, code = [[
            function dns_response(flow)
                table.insert(flow.response.additionals, 1, dns.ResourceRecord.A("added.example", "192.0.2.50"))
            end]] }
        local edited = wire.parse(assert(own:tcp():ask(query)))
        assert.equal(#direct.answers, #edited.answers)
        for i, record in ipairs(direct.answers) do
            assert.same({ record.name, record.ttl, wire.hex(record.data) },
                { edited.answers[i].name, edited.answers[i].ttl, wire.hex(edited.answers[i].data) })
        end
        assert.equal(#direct.additionals + 1, #edited.additionals)
    end)

    it("that goes upstream is what the upstream gets", function()
        local server = require("spec.support.net").server()
        local own = proxy.start { upstream = server, code = [[
            function dns_request(flow)
                flow.request.recursion_desired = false
                flow.request.edns = {udp_payload_size = 1400, dnssec_ok = true}
                flow.request.checking_disabled = true
            end]] }
        own:udp():send(wire.query("x.example", "A"))
        local got = wire.parse((server:receive()))
        assert.same({ false, true, 1400, 2 ^ 15 }, { got.rd, got.cd, got.opt.class, got.opt.ttl })
    end)
end)
