-- dig and kdig, what they print as tables.
local process = require "spec.support.process"

local M = {}

local SECTIONS = { ANSWER = "answers", AUTHORITY = "authorities", ADDITIONAL = "additionals" }

local function parse_record(line)
    local name, ttl, class, kind, data = line:match "^(%S+)%s+(%d+)%s+(%S+)%s+(%S+)%s*(.*)$"
    return name and { name = name, ttl = tonumber(ttl), class = class, type = kind, data = data, line = line }
end

-- {rcode =, id =, flags = {qr = true, …}, question = {name, class, type}, answers =, authorities =, additionals =, edns =,
-- code =, text =}; names as printed, with the final dot.
function M.parse(text)
    local answer = { text = text, answers = {}, authorities = {}, additionals = {}, flags = {} }
    answer.rcode = text:match "status: (%w+)"
    answer.id = tonumber(text:match "id: (%d+)")
    for flag in (text:match ";;%s+[Ff]lags: ([%w ]*);" or ""):gmatch "%w+" do
        answer.flags[flag] = true
    end
    answer.edns = text:match "EDNS: [^\n]*" or text:match "Version: [^\n]*"
    local section
    for line in text:gmatch "[^\n]+" do
        local heading = line:match "^;; (%w+) [A-Z]*SECTION:"
        if heading then
            section = heading
        elseif section == "QUESTION" and line:match "^;" then
            local name, class, kind = line:match "^;;?%s*(%S+)%s+(%S+)%s+(%S+)"
            answer.question = { name = name, class = class, type = kind }
            section = nil
        elseif SECTIONS[section] and not line:match "^;" then
            table.insert(answer[SECTIONS[section]], parse_record(line))
        end
    end
    return answer
end

local function ask(program, fixed, port, arguments)
    local argv = { program, unpack(fixed) }
    for word in arguments:gmatch "%S+" do
        argv[#argv + 1] = word
    end
    local result = process.run(argv)
    local answer = M.parse(result.out)
    answer.code = result.code
    return answer
end

-- dig(5300, "example.com AAAA +tcp"): one try; the address may be given as "@::1".
function M.dig(port, arguments)
    local server = arguments:match "@%S+" and {} or { "@127.0.0.1" }
    return ask("dig", { "-r", "-p", tostring(port), "+tries=1", "+time=15", unpack(server) }, port, arguments)
end

function M.kdig(port, arguments)
    return ask("kdig", { "@127.0.0.1", "-p", tostring(port), "+retry=0", "+time=15" }, port, arguments)
end

-- The data of the answers, in order; names in it in lower case, as a server may compress them onto the client's spelling.
function M.data(answer)
    local list = {}
    for i, record in ipairs(answer.answers) do
        local is_name = record.type == "CNAME" or record.type == "NS" or record.type == "PTR"
        list[i] = is_name and record.data:lower() or record.data
    end
    return list
end

return M
