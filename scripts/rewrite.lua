-- Sets every IPv4 address in every answer to 127.0.0.1.
--
--   moondns -s scripts/rewrite.lua
--   dig @127.0.0.1 -p 5300 www.debian.org      → 127.0.0.1, names and TTLs as the upstream gave them
--
-- The other records of an answer (CNAMEs, say) stay as they are.

function dns_response(flow)
    for _, answer in ipairs(flow.response and flow.response.answers or {}) do
        if answer.type == dns.types.A then
            answer.ipv4_address = "127.0.0.1"
        end
    end
end
