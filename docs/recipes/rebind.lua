-- rebind.lua
function load(loader)
    loader:add_option("name", "str", "rebind.example", "whose address changes")
    loader:add_option("first", "str", "198.51.100.1", "what the first query of a client gets")
    loader:add_option("later", "str", "127.0.0.1", "and what all others get")
end

local answers

local function answer(address)
    return function(flow)
        local name = flow.request.question.name
        flow.response = flow.request:succeed { dns.ResourceRecord.A(name, address, 0) } -- TTL 0: ask again
    end
end

function configure(updated)
    answers = dns.sequence { answer(ctx.options.first), answer(ctx.options.later), per = "client" }
end

function dns_request(flow)
    local question = flow.request.question
    if question and question.type == dns.types.A and question.name == ctx.options.name then
        answers(flow)
    end
end
