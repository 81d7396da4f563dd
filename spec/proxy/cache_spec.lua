-- The response cache between real clients and knot. What goes upstream is counted by a second proxy in between.
local dig = require "spec.support.dig"
local files = require "spec.support.files"
local proxy = require "spec.support.proxy"
local scope = require "spec.support.scope"
local upstream = require "spec.support.upstream"
local wait = require "spec.support.wait"
local wire = require "spec.support.wire"

local SHORT = "short 1 IN A 192.0.2.5\n"

-- Tells hits by an answer of its own, answers for what ends in "test", and flushes.
local SCRIPT = [[
function dns_request(flow)
    local name = flow.request.question.name
    flow.metadata.asked = name
    if name == "own.example.com" then
        flow.response = flow.request:succeed { dns.ResourceRecord.A(name, "192.0.2.200") }
    elseif name == "edited.example.com" then
        flow.request.questions[1].name = "www.example.com"
    elseif name == "flush.test" then
        flow.response = flow.request:succeed { dns.ResourceRecord.TXT(name, tostring(dns.cache.flush())) }
    elseif dns.name.is_subdomain(name, "flush.test") then
        local count = dns.cache.flush((name:gsub("%.flush%.test$", "")))
        flow.response = flow.request:succeed { dns.ResourceRecord.TXT(name, tostring(count)) }
    elseif name == "elsewhere.example.com" then
        flow.request.questions[1].name = "example.com"
        flow.server_conn.address = ctx.options.elsewhere
    end
end

function dns_response(flow)
    if flow.metadata.cache_hit then
        table.insert(flow.response.additionals, 1, dns.ResourceRecord.TXT("hit.test", flow.metadata.asked, 7))
    end
end

function load(loader)
    loader:add_option("elsewhere", "str", "", "where some go")
end
]]

-- The bytes with all TTLs but OPT's, and the id, as zeros.
local function without_times(bytes)
    local message = wire.parse(bytes)
    local masked = "\0\0" .. bytes:sub(3)
    for _, section in ipairs { "answers", "authorities", "additionals" } do
        for _, record in ipairs(message[section]) do
            local at = record.at
            while bytes:byte(at) > 0 and bytes:byte(at) < 192 do
                at = at + 1 + bytes:byte(at)
            end
            at = at + (bytes:byte(at) == 0 and 1 or 2) + 4
            if record.type ~= wire.types.OPT then
                masked = masked:sub(1, at - 1) .. "\0\0\0\0" .. masked:sub(at + 4)
            end
        end
    end
    return masked
end

describe("--cache", function()
    scope.manage()
    local knot, zone_text

    setup(function()
        zone_text = upstream.signed_zone()
        knot = upstream.knot(zone_text)
    end)

    local sentinels = 0

    -- A proxy with a cache, and what counts behind it: :upstream_queries().
    local function start(options)
        local behind = proxy.start { upstream = options.upstream or knot }
        local own = proxy.start { upstream = behind, code = options.code, args = options.args or { "--cache", 1000 } }
        -- One that is asked last, past the cache, says that the others have been printed.
        function own.upstream_queries()
            sentinels = sentinels + 1
            local name = "sentinel" .. sentinels .. ".example.com"
            behind:dig(name)
            behind:wait_output(name, "out")
            local _, count = behind:out():gsub("\n << ", "")
            local _, ours = behind:out():gsub("sentinel", "")
            return count - ours
        end
        return own
    end

    it("is off by default", function()
        local own = start { args = {} }
        own:dig "www.example.com"
        own:dig "www.example.com"
        assert.equal(2, own.upstream_queries())
    end)

    it("answers again without the upstream, over UDP and TCP, in the client's spelling", function()
        local own = start {}
        assert.same({ "example.com.", "192.0.2.1" }, dig.data(own:dig "www.example.com"))
        for _, how in ipairs { "www.example.com", "WWW.example.COM", "www.example.com +tcp", "wWw.example.com +tcp" } do
            local answer = own:dig(how)
            assert.same({ "example.com.", "192.0.2.1" }, dig.data(answer))
            assert.equal(how:match "%S+" .. ".", answer.question.name)
        end
        assert.equal(1, own.upstream_queries())
        own:wait_output("A www%.example%.com\n << [^\n]*192%.0%.2%.1 %(cache%)\n", "out")
    end)

    it("counts TTLs down, as dig sees it", function()
        local own = start {}
        assert.equal(300, own:dig("mail.example.com").answers[1].ttl)
        local last = 300
        wait.eventually(function()
            local ttl = own:dig("mail.example.com").answers[1].ttl
            assert(ttl <= last and ttl > 280, ttl)
            last = ttl
            return ttl <= 298
        end, "TTLs below 300")
        assert.equal(1, own.upstream_queries())
    end)

    it("asks again when the TTL is over", function()
        local own = start { upstream = upstream.knot(files.read(upstream.ZONE_PATH) .. SHORT) }
        assert.equal(1, own:dig("short.example.com").answers[1].ttl)
        wait.eventually(function()
            assert.equal(1, own:dig("short.example.com").answers[1].ttl)
            return own.upstream_queries() == 2
        end, "a second query")
    end)

    it("keeps that there is nothing", function()
        local own = start {}
        for _, what in ipairs { "nothing.example.com", "example.com SRV" } do
            local before = own.upstream_queries()
            local rcode = what:match "SRV" and "NOERROR" or "NXDOMAIN"
            assert.equal(rcode, own:dig(what).rcode)
            local answer = own:dig(what)
            assert.equal(rcode, answer.rcode)
            assert.equal("SOA", answer.authorities[1].type)
            assert.is_true(answer.authorities[1].ttl <= 300, answer.text) -- the SOA's minimum
            assert.equal(before + 1, own.upstream_queries())
        end
    end)

    it("keeps DO, CD and RD apart", function()
        local own = start {}
        local ways = { "+noedns", "+dnssec", "+edns", "+cdflag", "+dnssec +cdflag", "+norecurse", "+noadflag" }
        for round = 1, 2 do
            for _, how in ipairs(ways) do
                local answer = own:dig("example.com " .. how)
                assert.equal(how:find "dnssec" and 2 or 1, #answer.answers, how)
                assert.equal(how == "+noedns", not answer.edns, how)
                assert.equal(how ~= "+norecurse", answer.flags.rd == true, how)
            end
            assert.equal(#ways, own.upstream_queries(), "round " .. round)
        end
    end)

    it("keeps no failure", function()
        local own = start {}
        for _ = 1, 2 do
            assert.equal("REFUSED", own:dig("other.test").rcode)
        end
        assert.equal(2, own.upstream_queries())
    end)

    it("answers with the upstream's bytes, but for id and TTLs", function()
        local own = start {}
        local records = upstream.records_of(zone_text)
        assert.is_true(#records > 60)
        for _, edns in ipairs { false, { dnssec = true } } do
            local server, client = require("spec.support.net").tcp(knot.port), own:tcp()
            for _, record in ipairs(records) do
                local query = wire.query(record.name, record.type, { edns = edns })
                local what = record.name .. " " .. record.type
                local expected = without_times(assert(server:ask(query)))
                for _ = 1, 2 do
                    local answer = assert(client:ask(query))
                    assert.equal(query:sub(1, 2), answer:sub(1, 2))
                    assert.equal(wire.hex(expected), wire.hex(without_times(answer)), what)
                end
            end
        end
        own:wait_output("%(cache%)", "out")
        assert.is_true(own.upstream_queries() <= 2 * #records + 10) -- referrals are not kept
    end)

    it("cuts what is too large for a client", function()
        local own = start {}
        assert.is_false(wire.parse(assert(own:tcp():ask(wire.query("large.example.com", "TXT")))).tc)
        local before = own.upstream_queries()
        local bytes = assert(own:udp():ask(wire.query("large.example.com", "TXT")))
        assert.is_true(wire.parse(bytes).tc)
        assert.is_true(#bytes <= 512)
        assert.equal(before, own.upstream_queries())
    end)

    it("makes room by what was not asked for longest", function()
        local own = start { args = { "--cache", 2 } }
        own:dig "www.example.com"
        own:dig "mail.example.com"
        own:dig "www.example.com"
        own:dig "ns1.example.com"
        own:dig "www.example.com"
        assert.equal(3, own.upstream_queries())
        own:dig "mail.example.com"
        assert.equal(4, own.upstream_queries())
    end)

    describe("with a script", function()
        local own

        setup(function()
            local elsewhere = "elsewhere=127.0.0.1:" .. knot.port
            own = start { code = SCRIPT, args = { "--cache", 1000, "--set", elsewhere, "--log-json" } }
        end)

        before_each(function()
            own:dig "flush.test TXT"
        end)

        local function hit(answer)
            return answer.additionals[1] and answer.additionals[1].name == "hit.test." and answer.additionals[1].data
        end

        it("has the response hooks see hits", function()
            local before = own.upstream_queries()
            assert.is_falsy(hit(own:dig "www.example.com"))
            for _ = 1, 2 do
                assert.equal('"www.example.com"', hit(own:dig "www.example.com"))
            end
            assert.equal(before + 1, own.upstream_queries())
            own:wait_output('"cache_hit":%s?true', "out")
        end)

        it("keeps no answer of the script's", function()
            local before = own.upstream_queries()
            for _ = 1, 2 do
                local answer = own:dig "own.example.com"
                assert.same({ "192.0.2.200" }, dig.data(answer))
                assert.is_falsy(hit(answer))
            end
            assert.equal(before, own.upstream_queries())
        end)

        it("looks an edited query up as it goes upstream", function()
            local before = own.upstream_queries()
            own:dig "www.example.com"
            local answer = own:dig "Edited.example.com"
            assert.equal('"edited.example.com"', hit(answer))
            assert.equal("Edited.example.com.", answer.question.name)
            assert.same({ "example.com.", "192.0.2.1" }, dig.data(answer))
            assert.equal(before + 1, own.upstream_queries())
        end)

        it("leaves out what the script sends elsewhere", function()
            local before = own.upstream_queries()
            for _ = 1, 2 do
                local answer = own:dig "elsewhere.example.com"
                assert.same({ "192.0.2.1" }, dig.data(answer))
                assert.is_falsy(hit(answer))
            end
            assert.is_falsy(hit(own:dig "example.com"))
            assert.is_falsy(hit(own:dig "elsewhere.example.com"))
            assert.equal(before + 1, own.upstream_queries())
        end)

        it("flushes a name and those below, or all, and says how many", function()
            local names = { "www.example.com", "mail.example.com", "child.example.com", "example.com" }
            local function ask_all()
                local hits = {}
                for i, name in ipairs(names) do
                    hits[i] = hit(own:dig(name .. " AAAA")) and true or false
                end
                return hits
            end
            local function flush(name)
                return dig.data(own:dig(name .. "flush.test TXT"))[1]
            end
            ask_all()
            assert.same({ true, true, false, true }, ask_all()) -- the child is a referral
            assert.equal('"1"', flush "wWw.example.com.")
            assert.equal('"0"', flush "www.example.com.")
            assert.same({ false, true, false, true }, ask_all())
            assert.equal('"3"', flush "example.com.")
            assert.same({ false, false, false, false }, ask_all())
            assert.equal('"3"', flush "")
            assert.equal('"0"', flush "")
        end)
    end)

    it("tells of hits without a note of the script's, and after the flow has ended", function()
        local own = start { code = [[
            local last
            function dns_response(flow)
                log.info("now %s, before %s", tostring(flow.metadata.cache_hit), last and tostring(last.metadata.cache_hit) or "none")
                log.info("json %s", tostring(flow:to_json().metadata.cache_hit))
                last = flow
            end]] }
        local function said(text)
            own:wait_output(text, "err")
        end
        own:dig "www.example.com"
        said "now nil, before none.*json nil"
        own:dig "www.example.com"
        said "now true, before nil.*json true"
        own:dig "mail.example.com"
        said "now nil, before true.*json nil"
        own = start { code = [[
            local last
            function dns_response(flow)
                if last then log.info("the last one was %s", tostring(last.metadata.cache_hit)) end
                last = flow
            end]] }
        for _ = 1, 3 do
            own:dig "www.example.com"
        end
        said "the last one was nil.*the last one was true"
    end)

    it("that is off has nothing to flush, and names are checked", function()
        local own = start { args = {}, code = [[
            log.info("flushed %d", dns.cache.flush())
            function dns_request(flow)
                log.info("flushed %d", dns.cache.flush("example.com"))
                dns.cache.flush(7)
            end]] }
        own:wait_output("flushed 0", "err")
        own:dig "example.com"
        own:wait_output("flushed 0.*dns%.cache%.flush: domain name expected, got 7", "err")
    end)
end)
