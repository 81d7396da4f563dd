-- Refuses names that have "malware" in them: they do not exist.
--
--   moondns -s scripts/block.lua
--   dig @127.0.0.1 -p 5300 malware.example     → status: NXDOMAIN
--
-- The upstream never hears of these names.

function dns_request(flow)
    local question = flow.request.question
    if question and question.name:find("malware", 1, true) then
        flow.response = flow.request:fail("NXDOMAIN")
    end
end
