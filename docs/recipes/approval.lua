-- approval.lua
-- New names wait until somebody asks for the TXT record of NAME.approve.test (or NAME.refuse.test).
local decided = persist("decided", { ["approve.test"] = true, ["refuse.test"] = true })
local waiting = {} -- by name: the flows that are held

local function decide(flow, name, approved)
    local held = waiting[name] or {}
    waiting[name], decided[name] = nil, approved
    for _, each in ipairs(held) do
        if not approved then each.response = each.request:fail("REFUSED") end
        each:resume()
    end
    local text = ("%s: %s, %d waited"):format(name, approved and "approved" or "refused", #held)
    flow.response = flow.request:succeed { dns.ResourceRecord.TXT(flow.request.question.name, text, 0) }
end

function dns_request(flow)
    local name = flow.request.question and flow.request.question.name or "."
    local subject, word = name:match "^(.+)%.(%a+)%.test$"
    if word == "approve" or word == "refuse" then
        return decide(flow, subject, word == "approve")
    elseif decided[name] == false then
        flow.response = flow.request:fail("REFUSED")
    elseif decided[name] == nil then
        log.info("%s waits: dig %s.approve.test TXT", name, name)
        waiting[name] = waiting[name] or {}
        table.insert(waiting[name], flow)
        flow:intercept() -- for --held-timeout at the most
    end
end
