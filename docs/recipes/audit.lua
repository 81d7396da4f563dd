-- audit.lua
local seen = persist("seen", {}) -- by "name type": outlives reloads

local function note(flow, outcome)
    local question = flow.request.question
    if not question then
        return
    end
    local key = question.name .. " " .. dns.types.to_str(question.type)
    local entry = seen[key] or { name = question.name, type = dns.types.to_str(question.type), count = 0 }
    entry.count, entry.outcome = entry.count + 1, outcome
    seen[key] = entry
    if entry.count == 1 then
        log.info("%s", dns.json.encode { new = key, outcome = outcome, client = flow.client_conn.address })
    end
end

function dns_response(flow)
    note(flow, dns.response_codes.to_str(flow.response.response_code))
end

function dns_error(flow)
    note(flow, flow.error.msg)
end

function done()
    local list = dns.json.array {}
    for _, entry in pairs(seen) do list[#list + 1] = entry end
    table.sort(list, function(a, b) return a.count > b.count or (a.count == b.count and a.name < b.name) end)
    local file = assert(io.open("audit.json", "w"))
    file:write(dns.json.encode(list, { pretty = true }), "\n")
    file:close()
end
