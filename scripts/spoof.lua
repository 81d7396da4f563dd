-- Answers example.com with an address of your choice; everything else goes to the upstream.
--
--   moondns -s scripts/spoof.lua
--   dig @127.0.0.1 -p 5300 example.com        → 127.0.0.1, TTL 300
--
-- The flow in the terminal ends with "<< 127.0.0.1 (script spoof.lua)". Change the address below and save: the next dig
-- shows the new one.

function dns_request(flow)
    local question = flow.request.question
    if question and question.name == "example.com" and question.type == dns.types.A then
        flow.response = flow.request:succeed {
            dns.ResourceRecord.A(question.name, "127.0.0.1", 300),
        }
    end
end
