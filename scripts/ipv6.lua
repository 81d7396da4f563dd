-- Answers AAAA of example.com with ::1.
--
--   moondns -s scripts/ipv6.lua
--   dig @127.0.0.1 -p 5300 example.com AAAA    → ::1
--
-- Other types of example.com, and other names, go to the upstream.

function dns_request(flow)
    local question = flow.request.question
    if question and question.name == "example.com" and question.type == dns.types.AAAA then
        flow.response = flow.request:succeed {
            dns.ResourceRecord.AAAA(question.name, "::1"),
        }
    end
end
