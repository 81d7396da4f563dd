-- Without scripts, and with scripts that only read, the client gets the server's bytes.
local net = require "spec.support.net"
local proxy = require "spec.support.proxy"
local scope = require "spec.support.scope"
local upstream = require "spec.support.upstream"
local wire = require "spec.support.wire"

-- Reads whatever an object of the API has to give; unpacking what it packs must give an equal message.
local READER = [[
local RECORD = {"name", "original_name", "type", "class_", "ttl", "data", "text", "ipv4_address", "ipv6_address",
    "domain_name", "https_alpn", "https_ech", "rdata", "strings"}
local MESSAGE = {"id", "query", "op_code", "authoritative_answer", "truncation", "recursion_desired",
    "recursion_available", "reserved", "authentic_data", "checking_disabled", "response_code", "size", "timestamp",
    "question", "edns", "packed", "content"}
local seen = 0

local function read_message(m)
    for _, property in ipairs(MESSAGE) do local _ = m[property] end
    for _, q in ipairs(m.questions) do
        local _ = q.name .. q.original_name .. q.type .. q.class_ .. tostring(q) .. dns.json.encode(q:to_json())
    end
    for _, section in ipairs {"answers", "authorities", "additionals"} do
        for _, record in ipairs(m[section]) do
            for _, property in ipairs(RECORD) do local _ = record[property] end
            local _ = tostring(record) .. dns.json.encode(record:to_json())
            if record.type ~= dns.types.OPT then
                assert(dns.ResourceRecord.from_text(record:to_text()) == record, "text form of " .. record:to_text())
                assert(dns.ResourceRecord.from_json(record:to_json()) == record, "JSON of " .. record:to_text())
            end
            seen = seen + 1
        end
    end
    assert(dns.DNSMessage.unpack(m.packed) == m, "unpacked: another message")
    assert(dns.DNSMessage.from_json(m:to_json()) == m, "from JSON: another message")
    local _ = tostring(m) .. tostring(m:copy())
end

function dns_request(flow) read_message(flow.request) end
function dns_response(flow) read_message(flow.response) end
function done() log.info("read %d records", seen) end
]]

describe("what the upstream answers", function()
    scope.manage()
    local zone, knot, nsd, questions

    setup(function()
        zone = upstream.signed_zone()
        knot, nsd = upstream.knot(zone), upstream.nsd(zone)
        questions = upstream.records_of(zone)
        for _, name in ipairs { "a.wild.example.com.", "no.such.name.example.com.", "x.dname.example.com.", "child.example.com.",
            "WWW.eXaMpLe.CoM.", "below.child.example.com." } do
            for _, kind in ipairs { "A", "TXT", "ANY", "TYPE65281" } do
                questions[#questions + 1] = { name = name, type = kind }
            end
        end
        for _, kind in ipairs { "A", "NS", "CNAME", "SOA", "PTR", "MX", "TXT", "AAAA", "SRV", "NAPTR", "DNAME", "DS", "SSHFP",
            "RRSIG", "NSEC", "DNSKEY", "TLSA", "SVCB", "HTTPS", "CAA" } do
            assert(zone:match("%sIN%s+" .. kind .. "%s"), "the zone has no " .. kind)
        end
        assert(#questions > 100)
    end)

    -- Asks server and proxy the same bytes for every name and type of the zone.
    local function compare(server, moondns, transport, options)
        local direct, through = net[transport](server.port), net[transport](moondns.port)
        local answers = 0
        for _, question in ipairs(questions) do
            local query = wire.query(question.name, question.type, options)
            local expected, got = direct:ask(query), through:ask(query)
            local what = ("%s %s over %s"):format(question.name, question.type, transport)
            assert(got, "no answer: " .. what)
            assert.equal(wire.hex(expected), wire.hex(got), what)
            answers = answers + #wire.parse(got).answers
        end
        assert(answers > 100)
    end

    local DNSSEC = { edns = { payload = 4096, dnssec = true } }
    -- Without a scheme a server is asked over UDP, and nsd says less there: its TCP answers are had over TCP.
    local ways = {
        { "udp", DNSSEC, "over UDP with EDNS and DO" },
        { "udp", {}, "over UDP without EDNS" },
        { "tcp", DNSSEC, "over TCP with EDNS and DO" },
        { "tcp", {}, "over TCP without EDNS" },
    }
    for _, way in ipairs(ways) do
        local transport, options, what = unpack(way)
        it("passes byte for byte, " .. what .. ", from knot", function()
            compare(knot, proxy.start { upstream = knot }, transport, options)
        end)

        it("passes byte for byte, " .. what .. ", from nsd", function()
            compare(nsd, proxy.start { upstream = transport .. "://127.0.0.1:" .. nsd.port }, transport, options)
        end)

        it("passes byte for byte, " .. what .. ", when a script reads everything", function()
            local moondns = proxy.start { upstream = knot, code = READER }
            compare(knot, moondns, transport, options)
            assert.is_nil(moondns:err():match "traceback", moondns:err())
            moondns:stop()
            assert.is_true(tonumber((moondns:wait_output("read (%d+) records", "err"))) > 100)
        end)
    end

    it("passes byte for byte when both clients and upstream use TCP", function()
        compare(knot, proxy.start { upstream = "tcp://127.0.0.1:" .. knot.port }, "tcp", DNSSEC)
    end)
end)
