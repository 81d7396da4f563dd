-- canary.lua
function load(loader)
    loader:add_option("name", "str", "www.example.com", "of the service")
    loader:add_option("old", "str", "192.0.2.1", "its address")
    loader:add_option("new", "str", "192.0.2.2", "that of the new version")
    loader:add_option("percent", "int", 10, "share of clients that get the new one")
end

-- A number from 0 to 99 for a text, always the same: a client stays with its version.
local function share(text)
    local hash = 5381
    for i = 1, #text do hash = (hash * 33 + text:byte(i)) % 4294967296 end
    return math.floor(hash * 0.6180339887498949 % 1 * 100)
end

function dns_request(flow)
    local question, options = flow.request.question, ctx.options
    if not question or question.name ~= options.name or question.type ~= dns.types.A then
        return
    end
    local is_new = share(flow.client_conn.address) < options.percent
    flow.comment = is_new and "canary" or ""
    flow.response = flow.request:succeed {
        dns.ResourceRecord.A(question.name, is_new and options.new or options.old, 30),
    }
end
