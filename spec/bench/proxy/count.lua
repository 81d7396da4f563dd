local seen = {}

function dns_request(flow)
    local q = flow.request.question
    if q and q.type == dns.types.A then
        seen[q.name] = (seen[q.name] or 0) + 1
    end
end
