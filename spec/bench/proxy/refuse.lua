function dns_request(flow)
    local q = flow.request.question
    if q and q.name:find("malware", 1, true) then
        flow.response = flow.request:fail "NXDOMAIN"
    end
end
