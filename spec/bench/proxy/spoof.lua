function dns_request(flow)
    local q = flow.request.question
    if q and q.type == dns.types.A then
        flow.response = flow.request:succeed { dns.ResourceRecord.A(q.name, "127.0.0.1", { ttl = 300 }) }
    end
end
