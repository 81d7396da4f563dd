-- Logs what is asked and what is answered.
--
--   moondns -s scripts/log.lua
--   dig @127.0.0.1 -p 5300 example.com
--
-- prints on standard error, beside the flows:
--   query example.com A
--   answer example.com 93.184.216.34

function dns_request(flow)
    for _, question in ipairs(flow.request.questions) do
        log.info("query %s %s", question.name, dns.types.to_str(question.type))
    end
end

function dns_response(flow)
    for _, answer in ipairs(flow.response and flow.response.answers or {}) do
        local address = answer.ipv4_address or answer.ipv6_address
        if address then
            log.info("answer %s %s", answer.name, address)
        end
    end
end
