-- fake_api.lua
function load(loader)
    loader:add_option("fake", "list", {}, "HOST=ADDRESS: hosts that are faked, and what is below them")
    loader:add_option("strict", "bool", false, "no other name exists")
end

local hosts, addresses

function configure(updated)
    hosts, addresses = dns.DomainSet(), {}
    for _, fake in ipairs(ctx.options.fake) do
        local host, address = fake:match "^(.-)=(.+)$"
        if not host then error("fake: HOST=ADDRESS expected, got " .. fake) end
        hosts:add(host)
        addresses[host:lower()] = address
    end
end

function dns_request(flow)
    local question = flow.request.question
    local host = question and hosts:match(question.name)
    if not host then
        if ctx.options.strict then flow.response = flow.request:fail("NXDOMAIN") end
        return
    end
    local address, answers = addresses[host], {}
    local wanted = address:find(":", 1, true) and dns.types.AAAA or dns.types.A
    if question.type == wanted then
        local make = wanted == dns.types.A and dns.ResourceRecord.A or dns.ResourceRecord.AAAA
        answers[1] = make(question.name, address, 0)
    end
    flow.response = flow.request:succeed(answers) -- empty for other types: the name exists
end
