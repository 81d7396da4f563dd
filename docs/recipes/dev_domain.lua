-- dev_domain.lua
local IPV4, IPV6 = "127.0.0.1", "::1"

function dns_request(flow)
    local question = flow.request.question
    if not question or not dns.name.is_subdomain(question.name, "test") then
        return
    end
    local answers = {}
    if question.type == dns.types.A then
        answers[1] = dns.ResourceRecord.A(question.name, IPV4)
    elseif question.type == dns.types.AAAA then
        answers[1] = dns.ResourceRecord.AAAA(question.name, IPV6)
    end
    flow.response = flow.request:succeed(answers)
end
