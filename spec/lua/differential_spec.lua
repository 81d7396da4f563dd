-- Record data as other codecs have it: dnspython (2.3) and ldns (1.8), for every record of spec/support/records.lua.
local dns = require "dns"
local differences = require "spec.support.differences"
local files = require "spec.support.files"
local process = require "spec.support.process"
local scope = require "spec.support.scope"
local wire = require "spec.support.wire"
local RR = dns.ResourceRecord

-- What dnspython calls the fields that have other names there.
local attributes = {
    NS = { nsdname = "target" }, CNAME = { cname = "target" }, PTR = { ptrdname = "target" }, ["NSAP-PTR"] = { owner = "target" },
    WKS = { ports = "bitmap" }, RP = { mbox_dname = "mbox", txt_dname = "txt" }, KX = { exchanger = "exchange" },
    AFSDB = { subtype = "preference", hostname = "exchange" }, RT = { intermediate_host = "exchange" },
    X25 = { psdn_address = "address" }, ISDN = { isdn_address = "address", sa = "subaddress" }, NSAP = { nsap = "address" },
    NAPTR = { services = "service" }, CERT = { type = "certificate_type" }, APL = { prefixes = "items" },
    IPSECKEY = { public_key = "key" }, DNSKEY = { public_key = "key" }, CDNSKEY = { public_key = "key" },
    OPENPGPKEY = { public_key = "key" }, DHCID = { digest = "data" },
    RRSIG = { signature_expiration = "expiration", signature_inception = "inception", signers_name = "signer" },
    NSEC = { next_domain_name = "next", types = "windows" }, CSYNC = { soa_serial = "serial", types = "windows" },
    NSEC3 = { hash_algorithm = "algorithm", next_hashed_owner_name = "next", types = "windows" },
    NSEC3PARAM = { hash_algorithm = "algorithm" },
    TLSA = { certificate_usage = "usage", matching_type = "mtype", certificate_association_data = "cert" },
    SMIMEA = { certificate_usage = "usage", matching_type = "mtype", certificate_association_data = "cert" },
    HIP = { pk_algorithm = "algorithm", public_key = "key", rendezvous_servers = "servers" }, NINFO = { zs_data = "strings" },
    SVCB = { target_name = "target" }, HTTPS = { target_name = "target" }, NID = { node_id = "nodeid" },
    EUI48 = { address = "eui" }, EUI64 = { address = "eui" }, TKEY = { key_data = "key", other_data = "other" }, TSIG = { algorithm_name = "algorithm", other_data = "other" },
}

local function bits(list, hex, base)
    local at = 0
    for digits in hex:gmatch ".." do
        local byte = tonumber(digits, 16)
        for bit = 0, 7 do
            if math.floor(byte / 2 ^ (7 - bit)) % 2 == 1 then
                list[#list + 1] = base + at * 8 + bit
            end
        end
        at = at + 1
    end
    return list
end

-- dnspython's form of a bit map as the list of numbers in it.
local function numbers(value)
    local list = {}
    if type(value) == "string" then
        return bits(list, value, 0)
    end
    for _, window in ipairs(value) do
        bits(list, window[2], window[1] * 256)
    end
    return list
end

-- Whether a field has the value that dnspython has: bytes are hex there.
local function same(ours, theirs)
    if type(ours) ~= "table" then
        return ours == theirs or (type(ours) == "string" and wire.hex(ours) == theirs)
    end
    if type(theirs) ~= "table" then
        return false
    end
    local left = 0
    for _ in pairs(theirs) do
        left = left + 1
    end
    for key, value in pairs(ours) do
        local their = theirs[key]
        if their == nil then
            their = theirs[tostring(key)] -- service parameters
        end
        if not same(value, their) then
            return false
        end
        left = left - 1
    end
    return left == 0
end

local function same_fields(kind, fields, theirs)
    for name, value in pairs(fields) do
        local other = (attributes[kind] or {})[name] or name
        local their = theirs[other]
        if other == "windows" or other == "bitmap" then
            their = numbers(their)
        elseif other == "eui" then
            their = their:gsub("..", "%0-"):sub(1, -2)
        elseif their == dns.json.null then
            their = "." -- no gateway
        end
        if not same(value, their) then
            return false, ("%s: %s, %s"):format(name, tostring(value), tostring(their))
        end
    end
    return true
end

-- Every record once: {kind =, text =, rr =, dnspython =, ldns =}.
local function ask_peers()
    local records, lines = {}, {}
    for _, entry in ipairs(require "spec.support.records") do
        for i = 2, #entry do
            local rr = RR.from_text("a. 60 IN " .. entry[1] .. " " .. entry[i])
            records[#records + 1] = { kind = entry[1], text = entry[i], rr = rr }
            lines[#lines + 1] = ("%d\t%s\t%s\t%s\n"):format(rr.type, entry[1], wire.hex(rr.data), entry[i])
        end
    end
    local path = files.temp_folder() .. "/records"
    files.write(path, table.concat(lines))
    local answer = process.run({ "/usr/bin/python3", "spec/support/peer.py", path }, { environment = { LD_PRELOAD = false } })
    assert(answer.code == 0, answer.err)
    local at = 0
    for line in answer.out:gmatch "[^\n]+" do
        at = at + 1
        local peers = assert(dns.json.decode(line))
        records[at].dnspython, records[at].ldns = peers.dnspython, peers.ldns
    end
    assert(at == #records, answer.err)
    return records
end

-- Blanks stand where they like, and ldns says more in comments.
local function plain_text(text)
    return (text:gsub(" *;{.*$", ""):gsub("%s+", " "):gsub(" $", ""))
end

describe("record data", function()
    scope.manage()
    local records

    setup(function()
        records = ask_peers()
    end)

    -- Compares one aspect with one peer; `look` gives whether they agree, and what they say.
    local function compare(peer, aspect, look)
        local listed, seen, compared = differences[peer][aspect], {}, 0
        for _, record in ipairs(records) do
            local theirs = record[peer]
            if theirs.known and (aspect ~= "fields" or theirs.fields) and not (theirs.text == nil and differences[peer].refused[record.kind]) then
                local agree, what = look(record, theirs)
                compared = compared + 1
                if not agree then
                    seen[record.kind] = true
                    assert.truthy(listed[record.kind], ("%s %s: %s"):format(record.kind, record.text, what))
                end
            end
        end
        for kind in pairs(listed) do
            assert.is_true(seen[kind], kind .. " is listed as different, and is not")
        end
        return compared
    end

    it("is there for every type with a layout, three times or more", function()
        local count = {}
        for _, record in ipairs(records) do
            assert.equal(record.text, tostring(record.rr))
            assert.truthy(record.rr.rdata, record.kind)
            count[record.kind] = (count[record.kind] or 0) + 1
        end
        for name, number in pairs(dns.types) do
            if type(number) == "number" and RR("a", number, "IN", 60, ""):to_json().data:find "invalid" then
                assert.is_true((count[dns.types.to_str(number)] or 0) >= 3, name)
            end
        end
    end)

    it("comes back from text, JSON and fields", function()
        for _, record in ipairs(records) do
            local rr, text = record.rr, record.kind .. " " .. record.text
            assert.is_true(RR.from_text(rr:to_text()) == rr, text)
            assert.is_true(RR.from_json(rr:to_json()) == rr, text)
            assert.is_true(RR.from_json(dns.json.decode(dns.json.encode(rr))) == rr, text)
            local data = rr.data
            rr.rdata = rr.rdata
            assert.equal(wire.hex(data), wire.hex(rr.data), text)
            local other = RR("a", rr.type, "IN", 60, "")
            other.rdata = rr.rdata
            assert.equal(wire.hex(data:lower()), wire.hex(other.data:lower()), text)
        end
    end)

    it("has dnspython's text", function()
        local compared = compare("dnspython", "text", function(record, theirs)
            return plain_text(theirs.text or "") == record.text, theirs.text or "refused"
        end)
        assert.is_true(compared > 190, compared)
    end)

    it("has dnspython's bytes for its text", function()
        compare("dnspython", "data", function(record, theirs)
            return theirs.data == wire.hex(record.rr.data), theirs.data or "refused"
        end)
    end)

    it("has dnspython's fields", function()
        compare("dnspython", "fields", function(record, theirs)
            return same_fields(record.kind, record.rr.rdata, theirs.fields)
        end)
    end)

    it("has ldns's text", function()
        local compared = compare("ldns", "text", function(record, theirs)
            return plain_text(theirs.text or "") == record.text, theirs.text or "refused"
        end)
        assert.is_true(compared > 170, compared)
    end)

    it("has ldns's bytes for its text", function()
        compare("ldns", "data", function(record, theirs)
            return theirs.data == wire.hex(record.rr.data), theirs.data or "refused"
        end)
    end)
end)

describe("docs/codec.md", function()
    local page = files.read "docs/codec.md"

    it("names the fields of every type", function()
        for _, entry in ipairs(require "spec.support.records") do
            local row = assert(page:match("\n| " .. entry[1]:gsub("%-", "%%-") .. " | (%[?`[^\n]*)|"), entry[1])
            for field in pairs(RR.from_text("a. 60 IN " .. entry[1] .. " " .. entry[2]).rdata) do
                assert.truthy(row:find("`" .. field .. "`", 1, true), entry[1] .. "." .. field)
            end
        end
    end)

    it("has every difference to other codecs", function()
        local names = { text = "text", data = "bytes", fields = "fields", refused = "data" }
        for peer, aspects in pairs(differences) do
            for aspect, kinds in pairs(aspects) do
                for kind, what in pairs(kinds) do
                    local row = ("| %s | %s | %s | %s |"):format(kind, peer, names[aspect], (what:gsub("\\", "\\\\")))
                    assert.truthy(page:find(row, 1, true), row)
                end
            end
        end
    end)
end)
