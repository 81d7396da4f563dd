-- Questions to spec/support/answers.zone: what is there, and what is not in every way.
local files = require "spec.support.files"

local M = {}

M.ORIGIN = "example.com"
M.PATH = "spec/support/answers.zone"

-- AXFR and the like are left out (a server may refuse them in several ways), and ANY is one of them that both answer, but
-- one may give a part (RFC 8482).
local TYPES = {
    "A", "AAAA", "NS", "DS", "CNAME", "DNAME", "MX", "TXT", "SOA", "SRV", "HTTPS", "ANY", "RRSIG", "NSEC", "DNSKEY",
    "TYPE65280",
}

local MADE = {
    -- wildcards
    "foo.wild", "a.b.wild", "x.deep.wild", "wild", "q.wc", "a.q.wc", "q.wcout", "q.wcsub", "q.wcnx", "q.wcwild", "*.q.wild",
    "x.odd", "sub.x.odd", "*.odd", "y.sub.*.odd",
    -- names between names, and what is below names
    "ent", "c.ent", "b.c.ent", "zz.ent", "x.b.c.ent", "_tcp", "x._sip._tcp", "case", "MIXED.case", "a.c1", "nope.www",
    -- nothing
    "nope", "a.b.nope", "wwww", "ww",
    -- below delegations
    "below.sub", "a.below.sub", "q.nods", "deeper.nods", "x.deeper.nods", "x.outside",
    "x.wdel", "a.x.wdel", "*.wdel", "wdel", "a.in.wdel",
    -- below DNAMEs
    "x.dn", "host.dn", "HOST.dn", "cn.dn", "a.host.dn", "x.dnout", "a.x.dnout", "s.dnsub", "f.dnwild", "x.dloop1", "target",
}

local function owners()
    local seen, list = {}, {}
    local function add(name)
        if not seen[name] then
            seen[name] = true
            list[#list + 1] = name
        end
    end
    add(M.ORIGIN)
    for line in io.lines(M.PATH) do
        local owner = line:match "^([%w_*][^%s]*)%s"
        if owner then
            add(owner .. "." .. M.ORIGIN)
        end
    end
    for _, name in ipairs(MADE) do
        add(name .. "." .. M.ORIGIN)
    end
    return list
end

-- {{name, type}, …}, in an order that does not change.
function M.all()
    local list = {}
    for _, name in ipairs(owners()) do
        for _, kind in ipairs(TYPES) do
            list[#list + 1] = { name = name, type = kind }
        end
    end
    return list
end

function M.text()
    return files.read(M.PATH)
end

local SECTIONS = { "answers", "authorities", "additionals" }

-- An answer's code, AA bit and records, each once, as text that compares. `line` gives a record's line, nil for one that
-- does not count.
function M.summary(answer, line)
    local parts = { answer.rcode .. (answer.aa and " aa" or "") }
    for _, section in ipairs(SECTIONS) do
        local seen, lines = {}, {}
        for _, record in ipairs(answer[section]) do
            local text = line(record)
            if text and not seen[text] then
                seen[text] = true
                lines[#lines + 1] = "  " .. text
            end
        end
        table.sort(lines)
        parts[#parts + 1] = section .. ":\n" .. table.concat(lines, "\n")
    end
    return table.concat(parts, "\n")
end

-- Whether the servers agree on a question. `mine` and `theirs` are summaries.
function M.check(question, mine, theirs)
    local place = question.name .. " " .. question.type
    if question.type == "ANY" and mine:match "^NOERROR aa\nanswers:\n  " then
        -- Theirs is one of the sets there are (RFC 8482 section 4.1), ours all of them.
        local head = theirs:match "^(NOERROR aa\nanswers:\n.-)\nauthorities:"
        assert(head, place .. "\n" .. theirs)
        for record in head:gmatch "\n(  [^\n]+)" do
            assert(mine:find("\n" .. record .. "\n", 1, true), place .. ": no " .. record .. " in\n" .. mine)
        end
    else
        assert(mine == theirs, place .. "\nmoondns: " .. mine .. "\nknot: " .. theirs)
    end
end

return M
