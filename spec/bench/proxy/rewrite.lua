function dns_response(flow)
    for _, answer in ipairs(flow.response.answers) do
        if answer.type == dns.types.A then
            answer.ipv4_address = "127.0.0.1"
        end
    end
end
