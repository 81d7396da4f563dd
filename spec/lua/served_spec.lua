-- Records of every type on real traffic: knot and nsd serve a zone with each record of spec/support/records.lua, read from its
-- text where the server knows the type; what they answer is unpacked here, and printed by dig and kdig.
local dns = require "dns"
local differences = require "spec.support.differences"
local dig = require "spec.support.dig"
local files = require "spec.support.files"
local net = require "spec.support.net"
local process = require "spec.support.process"
local scope = require "spec.support.scope"
local upstream = require "spec.support.upstream"
local wire = require "spec.support.wire"
local RR = dns.ResourceRecord

-- The sanitizer that dns.so needs is not for the programs that are started here.
require("posix.stdlib").setenv("LD_PRELOAD", nil)

-- No zone holds these: OPT, TKEY and TSIG belong to one message, and a zone has its own SOA; nobody is asked for NSEC3 (RFC
-- 5155 section 7.2.8).
local never_served = { SOA = true, OPT = true, TKEY = true, TSIG = true, NSEC3 = true }

-- What a server is given by number (RFC 3597): the types that it does not read by name, and single records.
local function set(words)
    local kinds = {}
    for word in words:gmatch "%S+" do
        kinds[word] = true
    end
    return kinds
end

local unread = {
    knot = {
        kinds = set [[AMTRELAY AVC BRID CLA DLV DOA DSYNC EID GPOS HHIT HIP IPN ISDN MB MD MF MG MR NIMLOC NINFO NSAP NSAP-PTR NULL
            NXT PX RESINFO RKEY SIG SINK TA TALINK WALLET WKS X25]],
        patterns = { "dohpath=", "ohttp", "^49664 3 5$" },
        unanswered = { RRSIG = true }, -- an answer to a question for RRSIG may be minimal (RFC 8482 section 7)
    },
    nsd = {
        kinds = set [[AMTRELAY BRID CLA DOA DSYNC EID GPOS HHIT HIP IPN NIMLOC NINFO NSAP-PTR RESINFO RKEY SINK TA TALINK WALLET]],
        patterns = { "ohttp", "^49664 3 5$", "TYPE0", "^a%.$", "^ANY ", "^10%.0%.0%.1 " },
        unanswered = {},
    },
}

local function is_unread(server, record)
    if unread[server].kinds[record.kind] then
        return true
    end
    for _, pattern in ipairs(unread[server].patterns) do
        if record.text:find(pattern) then
            return true
        end
    end
    return false
end

local function records_for(server)
    local records = {}
    for _, entry in ipairs(require "spec.support.records") do
        for i = 2, #entry do
            if not never_served[entry[1]] and not unread[server].unanswered[entry[1]] then
                local name = ("r%d.%s"):format(#records, upstream.ORIGIN)
                local rr = RR.from_text(("%s. 60 IN %s %s"):format(name, entry[1], entry[i]))
                records[#records + 1] = { kind = entry[1], text = entry[i], name = name, rr = rr }
            end
        end
    end
    return records
end

local function zone_for(server, records)
    local lines = { ("%s. 60 IN SOA ns. host. 1 7200 3600 1209600 300"):format(upstream.ORIGIN),
        ("%s. 60 IN NS ns."):format(upstream.ORIGIN) }
    for _, record in ipairs(records) do
        local data = record.rr.data
        lines[#lines + 1] = is_unread(server, record)
            and ("%s. 60 IN TYPE%d \\# %d %s"):format(record.name, record.rr.type, #data, wire.hex(data))
            or record.rr:to_text()
    end
    return table.concat(lines, "\n") .. "\n"
end

-- The record with this owner and type among all of the answer's.
local function find(message, record)
    for _, section in ipairs { message.answers, message.authorities } do
        for _, rr in ipairs(section) do
            if rr.name == record.name and rr.type == record.rr.type then
                return rr
            end
        end
    end
end

local function kind_number(record)
    return "TYPE" .. record.rr.type
end

-- dig reads its questions from a file, kdig from its arguments.
local function printed_by(program, port, records)
    local path = files.temp_folder() .. "/questions"
    local argv, lines = { program, "@127.0.0.1", "-p", tostring(port), "+norecurse" }, {}
    if program == "dig" then
        argv = { "dig", "-r", "@127.0.0.1", "-p", tostring(port), "+norecurse", "-f", path }
    end
    for _, record in ipairs(records) do
        lines[#lines + 1] = record.name .. " " .. kind_number(record)
        if program == "kdig" then
            argv[#argv + 1], argv[#argv + 2] = record.name, kind_number(record)
        end
    end
    files.write(path, table.concat(lines, "\n") .. "\n")
    local result = process.run(argv)
    local found = {}
    for line in result.out:gmatch "[^\n]+" do
        local name, kind, data = line:match "^(r%d+%.example%.com)%.%s+60%s+IN%s+(%S+)%s*(.*)$"
        if name then
            found[name] = { kind = kind, text = data }
        end
    end
    return found
end

local function plain(text)
    return (text:gsub("%s", ""):lower())
end

for _, name in ipairs { "knot", "nsd" } do
    describe("records served by " .. name, function()
        scope.manage()
        local server, records

        setup(function()
            records = records_for(name)
            server = upstream[name](zone_for(name, records))
        end)

        it("arrive byte for byte, and go out again", function()
            local client = net.tcp(server.port)
            for _, record in ipairs(records) do
                local query = dns.DNSMessage { questions = { dns.Question(record.name, record.rr.type) },
                    recursion_desired = false, edns = { udp_payload_size = 4096 } }
                local answer = assert(client:ask(query.packed))
                local message = dns.DNSMessage.unpack(answer)
                local rr = assert(find(message, record), record.kind .. " " .. record.text .. "\n" .. tostring(message))
                local what = record.kind .. " " .. record.text
                assert.equal(query.id, message.id)
                -- Servers write names in lower case where DNSSEC's canonical form has them so (RFC 4034 section 6.2).
                assert.equal(wire.hex(record.rr.data:lower()), wire.hex(rr.data:lower()), what)
                assert.equal(record.text:lower(), tostring(rr):lower())
                assert.same(record.rr.rdata, rr.rdata, what)
                message.answers = message.answers
                assert.is_true(dns.DNSMessage.unpack(message.packed) == message, what)
            end
        end)

        for _, program in ipairs { "dig", "kdig" } do
            it("are printed by " .. program .. " as they are here", function()
                local found, seen, wrong, compared = printed_by(program, server.port, records), {}, {}, 0
                for _, record in ipairs(records) do
                    local printed = found[record.name] or { kind = record.kind, text = "nothing" }
                    if printed.kind == record.kind and (printed.text:sub(1, 2) ~= "\\#" or record.kind == "NULL") then
                        compared = compared + 1
                        if plain(printed.text) ~= plain(record.text) then
                            seen[record.kind] = true
                            if not differences[program].text[record.kind] then
                                wrong[#wrong + 1] = ("%s %s: %s"):format(record.kind, record.text, printed.text)
                            end
                        end
                    end
                end
                assert.equal("", table.concat(wrong, "\n"))
                for kind in pairs(differences[program].text) do
                    assert.is_true(seen[kind] or unread[name].unanswered[kind], kind .. " is listed as different, and is not")
                end
                assert.is_true(compared > 150, compared)
            end)
        end
    end)
end
