-- DNS messages as bytes, made and read apart from the codec under test: RFC 1035 and EDNS, as much as the specs need.
local bit = require "bit"

local M = {}

M.types = {
    A = 1, NS = 2, CNAME = 5, SOA = 6, PTR = 12, MX = 15, TXT = 16, AAAA = 28, SRV = 33, NAPTR = 35, DNAME = 39, OPT = 41,
    DS = 43, SSHFP = 44, RRSIG = 46, NSEC = 47, DNSKEY = 48, NSEC3 = 50, NSEC3PARAM = 51, TLSA = 52, SVCB = 64, HTTPS = 65,
    ANY = 255, CAA = 257,
}
M.rcodes = { NOERROR = 0, FORMERR = 1, SERVFAIL = 2, NXDOMAIN = 3, NOTIMP = 4, REFUSED = 5 }

function M.u16(value)
    return string.char(bit.rshift(value, 8) % 256, value % 256)
end

function M.u32(value)
    return M.u16(math.floor(value / 65536)) .. M.u16(value % 65536)
end

local function read_u16(bytes, at)
    local high, low = bytes:byte(at, at + 1)
    return high * 256 + low
end

-- A name in its zone file form (escapes too), uncompressed.
function M.name(text)
    local labels, label = {}, ""
    local at = 1
    while at <= #text do
        local code = text:match("^\\(%d%d%d)", at)
        local escaped = text:match("^\\(.)", at)
        local char = code and string.char(tonumber(code)) or escaped or text:sub(at, at)
        at = at + (code and 4 or escaped and 2 or 1)
        if char == "." and not escaped then
            labels[#labels + 1] = label ~= "" and string.char(#label) .. label or nil
            label = ""
        else
            label = label .. char
        end
    end
    labels[#labels + 1] = label ~= "" and string.char(#label) .. label or nil
    return table.concat(labels) .. "\0"
end

-- Bytes as hexadecimal digits, so that a failed comparison can be read.
function M.hex(bytes)
    return (bytes:gsub(".", function(char)
        return ("%02x"):format(char:byte())
    end))
end

local function type_number(kind)
    return M.types[kind] or tonumber(kind) or tonumber((kind:match "^TYPE(%d+)$")) or error("type " .. tostring(kind))
end
M.type_number = type_number

function M.question(name, kind, class)
    return M.name(name) .. M.u16(type_number(kind)) .. M.u16(class or 1)
end

function M.record(name, kind, data, ttl, class)
    return M.question(name, kind, class) .. M.u32(ttl or 60) .. M.u16(#data) .. data
end

-- OPT: fields payload (1232), rcode (upper bits), version, dnssec (boolean), data (options as bytes).
function M.opt(fields)
    fields = fields or {}
    return "\0" .. M.u16(41) .. M.u16(fields.payload or 1232) .. string.char(fields.rcode or 0, fields.version or 0)
        .. M.u16(fields.dnssec and 0x8000 or 0) .. M.u16(#(fields.data or "")) .. (fields.data or "")
end

-- A message of sections that are lists of encoded records. `flags` is the header's second word.
function M.message(id, flags, questions, answers, authorities, additionals)
    local sections = { questions or {}, answers or {}, authorities or {}, additionals or {} }
    local parts = { M.u16(id), M.u16(flags) }
    for _, section in ipairs(sections) do
        parts[#parts + 1] = M.u16(#section)
    end
    for _, section in ipairs(sections) do
        parts[#parts + 1] = table.concat(section)
    end
    return table.concat(parts)
end

local next_id = 4000

-- A query. Options: id, flags (0x0100: RD), edns (true, or the fields of OPT), class.
function M.query(name, kind, options)
    options = options or {}
    next_id = next_id % 65535 + 1
    local opt = options.edns and { M.opt(type(options.edns) == "table" and options.edns or nil) }
    return M.message(options.id or next_id, options.flags or 0x0100, { M.question(name, kind, options.class) }, nil, nil, opt)
end

local function read_name(bytes, at, depth)
    assert((depth or 0) < 128, "names that go in circles")
    local labels = {}
    while true do
        local length = assert(bytes:byte(at), "a name that ends too soon")
        if length >= 192 then
            local target = (length - 192) * 256 + bytes:byte(at + 1) + 1
            assert(target < at, "a pointer that does not point back")
            local rest = read_name(bytes, target, (depth or 0) + 1)
            labels[#labels + 1] = rest ~= "" and rest or nil
            return table.concat(labels, "."), at + 2
        elseif length == 0 then
            return table.concat(labels, "."), at + 1
        end
        labels[#labels + 1] = bytes:sub(at + 1, at + length)
        at = at + 1 + length
    end
end

local function read_record(bytes, at)
    local record = { at = at }
    record.name, at = read_name(bytes, at)
    record.type, record.class = read_u16(bytes, at), read_u16(bytes, at + 2)
    record.ttl = read_u16(bytes, at + 4) * 65536 + read_u16(bytes, at + 6)
    local length = read_u16(bytes, at + 8)
    record.data = bytes:sub(at + 10, at + 9 + length)
    assert(#record.data == length, "a record that ends too soon")
    return record, at + 10 + length
end

-- Reads a message: id, flags by name, rcode, opcode, and the sections; raises when it is not whole, or has bytes too many.
function M.parse(bytes)
    assert(#bytes >= 12, "too short for a header")
    local flags = read_u16(bytes, 3)
    local message = {
        id = read_u16(bytes, 1), rcode = flags % 16, opcode = bit.band(bit.rshift(flags, 11), 15),
        qr = bit.band(flags, 0x8000) ~= 0, aa = bit.band(flags, 0x400) ~= 0, tc = bit.band(flags, 0x200) ~= 0,
        rd = bit.band(flags, 0x100) ~= 0, ra = bit.band(flags, 0x80) ~= 0, ad = bit.band(flags, 0x20) ~= 0,
        cd = bit.band(flags, 0x10) ~= 0, questions = {}, answers = {}, authorities = {}, additionals = {},
    }
    local at = 13
    for i = 1, read_u16(bytes, 5) do
        local question = {}
        question.name, at = read_name(bytes, at)
        question.type, question.class = read_u16(bytes, at), read_u16(bytes, at + 2)
        message.questions[i], at = question, at + 4
    end
    for number, section in ipairs { "answers", "authorities", "additionals" } do
        for i = 1, read_u16(bytes, 5 + 2 * number) do
            message[section][i], at = read_record(bytes, at)
            if message[section][i].type == 41 then
                local opt = message[section][i]
                message.opt = opt
                message.rcode = message.rcode + math.floor(opt.ttl / 2 ^ 24) * 16
            end
        end
    end
    assert(at == #bytes + 1, "bytes after the end")
    return message
end

-- An answer to a query's bytes: its id and question, the records given (encoded), QR and RA set. Options: rcode, tc, id,
-- questions, additionals.
function M.answer(query, answers, options)
    options = options or {}
    local parsed = M.parse(query)
    local flags = 0x8180 + (options.tc and 0x200 or 0) + (options.rcode or 0)
    local question = parsed.questions[1]
    local questions = options.questions or { M.question(question.name, question.type, question.class) }
    return M.message(options.id or parsed.id, flags, questions, answers, options.authorities, options.additionals)
end

-- The data of the one answer that a parsed message has.
function M.only_data(answer)
    assert(#answer.answers == 1, #answer.answers .. " answers")
    return answer.answers[1].data
end

function M.ipv4(text)
    return (text:gsub("(%d+)%.?", function(number)
        return string.char(tonumber(number))
    end))
end

return M
