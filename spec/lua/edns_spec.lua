-- OPT as a message has it, and EDNS options by name, on dns.so.
local dns = require "dns"
local files = require "spec.support.files"
local raises = require "spec.support.raises"
local M, RR = dns.DNSMessage, dns.ResourceRecord

local function unhex(text)
    return (text:gsub("%s", ""):gsub("..", function(digits) return string.char(tonumber(digits, 16)) end))
end

-- Each option: its name, its fields, its data as its RFC has it, and OPT's text.
local options = {
    { "nsid", { nsid = "fra1" }, "66726131", 'NSID: "fra1"' },
    { "dau", { alg_codes = { 8, 13 } }, "080d", "DAU: 8 13" },
    { "dhu", { alg_codes = { 2 } }, "02", "DHU: 2" },
    { "n3u", { alg_codes = {} }, "", "N3U:" },
    { "client_subnet", { family = 1, source_prefix_length = 24, scope_prefix_length = 0, address = "192.0.2.0" },
        "0001 18 00 c00002", "CLIENT_SUBNET: 1 24 0 192.0.2.0" },
    { "client_subnet", { family = 2, source_prefix_length = 56, scope_prefix_length = 48, address = "2001:db8::" },
        "0002 38 30 20010db8000000", "CLIENT_SUBNET: 2 56 48 2001:db8::" },
    { "client_subnet", { family = 1, source_prefix_length = 0, scope_prefix_length = 0, address = "0.0.0.0" },
        "0001 00 00", "CLIENT_SUBNET: 1 0 0 0.0.0.0" },
    { "client_subnet", { family = 0, source_prefix_length = 0, scope_prefix_length = 0, address = "" },
        "0000 00 00", "CLIENT_SUBNET: 0 0 0" },
    { "expire", { expire = 604800 }, "00093a80", "EXPIRE: 604800" },
    { "expire", {}, "", "EXPIRE:" },
    { "cookie", { client_cookie = "\1\2\3\4\5\6\7\8" }, "0102030405060708", "COOKIE: 0102030405060708" },
    { "cookie", { client_cookie = "\1\2\3\4\5\6\7\8", server_cookie = "abcdefgh" }, "0102030405060708 6162636465666768",
        "COOKIE: 0102030405060708 6162636465666768" },
    { "tcp_keepalive", { timeout = 100 }, "0064", "TCP_KEEPALIVE: 100" },
    { "tcp_keepalive", {}, "", "TCP_KEEPALIVE:" },
    { "padding", { padding = "\0\0\0" }, "000000", "PADDING: 000000" },
    { "chain", { closest_trust_point = "example.com" }, "07 6578616d706c65 03 636f6d 00", "CHAIN: example.com." },
    { "key_tag", { key_tags = { 20326, 38696 } }, "4f66 9728", "KEY_TAG: 20326 38696" },
    { "ede", { info_code = 15, extra_text = 'by "us"' }, "000f 62792022757322", [[EDE: BLOCKED "by \"us\""]] },
    { "ede", { info_code = 65000 }, "fde8", "EDE: EDE65000" },
    { "report_channel", { agent_domain = "agent.example" }, "05 6167656e74 07 6578616d706c65 00",
        "REPORT_CHANNEL: agent.example." },
    { "zoneversion", { labelcount = 2, type = 0, version = "\120\1\2\3" }, "02 00 78010203", "ZONEVERSION: 2 0 78010203" },
    { "zoneversion", {}, "", "ZONEVERSION:" },
}

local function with(...)
    return M { edns = { options = { ... } } }
end

describe("EDNS options by name", function()
    it("are written as their RFCs have it, and read in both forms", function()
        for _, option in ipairs(options) do
            local name, fields, data, text = option[1], option[2], unhex(option[3]), option[4]
            local code = dns.edns_options[name:upper()]
            local m = with { [name] = fields }
            assert.equal(data, m.edns.options[1].data, text)
            assert.same({ { code = code, data = data, [name] = fields } }, m.edns.options, text)
            assert.same(m.edns, M.unpack(m.packed).edns, text)
            assert.same(m.edns.options, with({ code = code, data = data }).edns.options, text)
            assert.same(m.edns.options, m.additionals[1].rdata.options, text)
            assert.equal(text, tostring(m.additionals[1]))
            m.edns = m.edns
            assert.equal(data, m.edns.options[1].data, text)
        end
    end)

    it("come back from text and from JSON, all in one record", function()
        local list, texts = {}, {}
        for i, option in ipairs(options) do
            list[i], texts[i] = { [option[1]] = option[2] }, option[4]
        end
        list[#list + 1] = { code = 65001, data = "\1\255" }
        texts[#texts + 1] = "OPT65001:01ff"
        local m = with(unpack(list))
        local opt = m.additionals[1]
        assert.equal(table.concat(texts, " "), tostring(opt))
        assert.is_true(dns.ResourceRecord.from_text(opt:to_text()) == opt)
        assert.is_true(dns.ResourceRecord.from_json(opt:to_json()) == opt)
        assert.is_true(M.from_json(m:to_json()) == m)
        local data = opt.data
        opt.rdata = opt.rdata
        assert.equal(data, opt.data)
    end)

    it("take names for extended errors", function()
        local option = with({ ede = { info_code = "stale_answer" } }).edns.options[1]
        assert.same({ info_code = dns.ede.STALE_ANSWER }, option.ede)
        assert.equal("\0\3", option.data)
    end)

    it("work out a subnet's family, and cut its address", function()
        local function subnet(fields)
            return with({ client_subnet = fields }).edns.options[1].client_subnet
        end
        assert.same({ family = 1, source_prefix_length = 20, scope_prefix_length = 0, address = "192.0.0.0" },
            subnet { source_prefix_length = 20, address = "192.0.2.77" })
        assert.same({ family = 2, source_prefix_length = 33, scope_prefix_length = 0, address = "2001:db8:8000::" },
            subnet { source_prefix_length = 33, address = "2001:db8:ffff::1" })
    end)

    it("have no fields where the data does not fit", function()
        for _, entry in ipairs { { 15, "" }, { 15, "x" }, { 10, "1234567" }, { 10, "123456789" }, { 8, "\0\1\24\0\192\0" },
            { 8, "\0\1\24\0\192\0\2\1" }, { 8, "\0\1\23\0\192\0\255" }, { 8, "\0\3\0\0" }, { 8, "\0\1\33\0\1\2\3\4\5" },
            { 8, "\0\1\0\33" }, { 9, "\0" }, { 11, "\0" }, { 13, "\1a" }, { 14, "\1" }, { 18, "" }, { 19, "\1" }, { 1, "x" },
            { 65535, "x" } } do
            local m = with { code = entry[1], data = entry[2] }
            assert.same({ { code = entry[1], data = entry[2] } }, m.edns.options)
            local opt = m.additionals[1]
            assert.is_true(dns.ResourceRecord.from_text(opt:to_text()) == opt, tostring(opt))
        end
    end)

    it("may be changed by either form once they have been read", function()
        local m = with({ ede = { info_code = 15, extra_text = "a" } }, { nsid = { nsid = "x" } })
        local edns = m.edns
        edns.options[1].ede.extra_text = "b"
        m.edns = edns
        assert.same({ info_code = 15, extra_text = "b" }, m.edns.options[1].ede)
        edns = m.edns
        edns.options[1].data = "\0\17"
        edns.options[2].data = "y"
        m.edns = edns
        assert.same({ info_code = 17 }, m.edns.options[1].ede)
        assert.same({ nsid = "y" }, m.edns.options[2].nsid)
        raises("DNSMessage.edns.options[1]: data and nsid say different things",
            function() m.edns = { options = { { nsid = { nsid = "p" }, data = "q" } } } end)
    end)

    it("keep the case of names that were only read", function()
        local m = with { code = 13, data = "\7Example\0" }
        assert.equal("example", m.edns.options[1].chain.closest_trust_point)
        m.edns = m.edns
        assert.equal("\7Example\0", m.edns.options[1].data)
        local opt = m.additionals[1]
        opt.rdata = opt.rdata
        assert.equal("\0\13\0\9\7Example\0", opt.data)
    end)

    it("name what is wrong", function()
        local function wrong(expected, entry)
            raises("DNSMessage.edns.options[1]" .. expected, function() with(entry) end)
        end
        wrong(": ede: info_code: extended error, 0 to 65535 or its name expected, got 'x'", { ede = { info_code = "x" } })
        wrong(": ede: info_code: missing", { ede = { extra_text = "x" } })
        wrong(": ede: text: unknown field", { ede = { info_code = 1, text = "x" } })
        wrong(": ede: table of fields expected, got 15", { ede = 15 })
        wrong(": code: the option's own code expected, got 3", { code = 3, ede = { info_code = 1 } })
        wrong(": cookie: client_cookie: cookie of 8 bytes expected, got '123'", { cookie = { client_cookie = "123" } })
        wrong(": client_subnet: address: address of the family, with at least source_prefix_length and scope_prefix_length bits expected, got '::1'",
            { client_subnet = { family = 1, source_prefix_length = 1, address = "::1" } })
        wrong(": client_subnet: address: address of the family, with at least source_prefix_length and scope_prefix_length bits expected",
            { client_subnet = { source_prefix_length = 24, scope_prefix_length = 33, address = "192.0.2.0" } })
        wrong(": zoneversion: type: missing", { zoneversion = { labelcount = 1 } })
        wrong(": key_tag: key_tags: integer from 0 to 65535 expected, got 65536", { key_tag = { key_tags = { 65536 } } })
        wrong(": key_tag: key_tags: integer from 0 to 65535 expected, got 1.5", { key_tag = { key_tags = { 1.5 } } })
        wrong(": key_tag: key_tags: integer from 0 to 65535 expected, got -1", { key_tag = { key_tags = { -1 } } })
        wrong(" has no property 'cookies' (did you mean 'cookie'?)", { cookies = {} })
        wrong(": ede: table of fields expected, got true", { ede = true })
        local ok, message = pcall(with, { ede = { info_code = 1 }, nsid = { nsid = "" } })
        assert.is_false(ok)
        assert.truthy(message:find("one option expected", 1, true), message)
        raises("DNSMessage.edns.options[1]: at most 65535 bytes of options expected, got table",
            function() with { padding = { padding = ("x"):rep(65532) } } end)
    end)

    it("are in the reference, each", function()
        local reference = files.read "docs/api.md"
        for _, option in ipairs(options) do
            assert.truthy(reference:find("\n| [^\n]*`" .. option[1] .. "`[^\n]*|"), option[1])
            for field in pairs(option[2]) do
                assert.truthy(reference:find("`" .. field .. "`", 1, true), option[1] .. "." .. field)
            end
        end
    end)
end)

describe("DNSMessage.edns", function()
    it("adds, reads, replaces and removes OPT", function()
        local m = M.make_query("a", "A")
        assert.is_nil(m.edns)
        m.edns = {}
        assert.same({ udp_payload_size = 1232, version = 0, dnssec_ok = false, options = {} }, m.edns)
        assert.equal(41, m.additionals[1].type)
        m.edns = { udp_payload_size = 4096, version = 1, dnssec_ok = true,
            options = { { code = 10, data = "12345678" }, { code = 3, data = "" } } }
        local u = M.unpack(m.packed)
        assert.same(m.edns, u.edns)
        assert.same({ udp_payload_size = 4096, version = 1, dnssec_ok = true, options = {
            { code = 10, data = "12345678", cookie = { client_cookie = "12345678" } },
            { code = 3, data = "", nsid = { nsid = "" } } } }, u.edns)
        assert.equal(1, #m.additionals)
        u.edns = nil
        assert.is_nil(u.edns)
        assert.equal(0, #u.additionals)
        assert.is_nil(M.unpack(u.packed).edns)
        u.edns = nil
    end)

    it("is a fresh table each time", function()
        local m = M { edns = {} }
        m.edns.dnssec_ok = true
        assert.is_false(m.edns.dnssec_ok)
    end)

    it("leaves other records where they are", function()
        local a, b = RR.A("a", "192.0.2.1"), RR.A("b", "192.0.2.2")
        local m = M { additionals = { a } }
        m.edns = {}
        table.insert(m.additionals, b)
        table.insert(m.additionals, m.additionals[2])
        m.edns = nil
        assert.same({ true, true, 2 }, { m.additionals[1] == a, m.additionals[2] == b, #m.additionals })
    end)

    it("holds the upper bits of the response code", function()
        local m = M { edns = {} }
        m.response_code = 3841
        assert.equal(3841, m.response_code)
        assert.equal(3841, M.unpack(m.packed).response_code)
        raises("DNSMessage.edns: cannot be removed while the response code is above 15", function() m.edns = nil end)
        m.edns = { udp_payload_size = 512 }
        assert.equal(3841, m.response_code)
        m.response_code = "NXDOMAIN"
        assert.equal(3, m.response_code)
        m.edns = nil
        assert.equal(3, m.response_code)
    end)

    it("raises for wrong fields and changes nothing", function()
        local m = M { edns = {} }
        raises("DNSMessage.edns.udp_payload_size: integer from 0 to 65535 expected, got 65536",
            function() m.edns = { udp_payload_size = 65536 } end)
        raises("DNSMessage.edns.version: integer from 0 to 255 expected, got 256", function() m.edns = { version = 256 } end)
        raises("DNSMessage.edns.dnssec_ok: boolean expected, got 1", function() m.edns = { dnssec_ok = 1 } end)
        raises("DNSMessage.edns.options: array of {code=, data=} expected, got 'x'",
            function() m.edns = { options = "x" } end)
        raises("DNSMessage.edns.options[1]: table expected, got 7", function() m.edns = { options = { 7 } } end)
        raises("DNSMessage.edns.options[2].code: integer from 0 to 65535 expected, got nil",
            function() m.edns = { options = { { code = 1, data = "" }, { data = "" } } } end)
        raises("DNSMessage.edns.options[1].data: string expected, got nil",
            function() m.edns = { options = { { code = 1 } } } end)
        raises("DNSMessage.edns.options[1] has no property 'dat' (did you mean 'data'?)",
            function() m.edns = { options = { { code = 1, dat = "" } } } end)
        raises("DNSMessage.edns has no property 'dnsec_ok' (did you mean 'dnssec_ok'?)",
            function() m.edns = { dnsec_ok = true } end)
        raises("DNSMessage.edns: table expected, got true", function() m.edns = true end)
        assert.same({ udp_payload_size = 1232, version = 0, dnssec_ok = false, options = {} }, m.edns)
        assert.equal(1, #m.additionals)
    end)
end)
