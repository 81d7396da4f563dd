-- split_horizon.lua
local inside = dns.AddressSet { "10.0.0.0/8", "192.168.0.0/16", "fd00::/8", "127.0.0.2" }

local internal_addresses = {
    ["example.com"] = "10.0.0.80",
    ["mail.example.com"] = "10.0.0.25",
}

function dns_request(flow)
    local question = flow.request.question
    local address = question and internal_addresses[question.name]
    if not address or not inside:match(flow.client_conn.address) then
        return
    end
    local answers = {}
    if question.type == dns.types.A then
        answers[1] = dns.ResourceRecord.A(question.name, address)
    end
    flow.response = flow.request:succeed(answers)
end
