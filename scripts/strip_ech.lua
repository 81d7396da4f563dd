-- Takes Encrypted Client Hello and HTTP/3 out of HTTPS and SVCB records, so that browsers show the name they ask for in
-- their TLS handshake and stay on TCP, where a man in the middle can follow.
--
--   moondns -s scripts/strip_ech.lua
--   dig @127.0.0.1 -p 5300 cloudflare-ech.com HTTPS     → no ech=, no h3 in alpn=
--
-- What else the records hold is left as it came.

local function is_http3(protocol)
    return protocol == "h3" or protocol:find("^h3%-") ~= nil
end

-- The protocols but HTTP/3; nil when none is left.
local function without_http3(protocols)
    local kept = {}
    for _, protocol in ipairs(protocols) do
        if not is_http3(protocol) then
            kept[#kept + 1] = protocol
        end
    end
    return kept[1] and kept or nil
end

function dns_response(flow)
    for _, record in ipairs(flow.response and flow.response.answers or {}) do
        if record.type == dns.types.HTTPS or record.type == dns.types.SVCB then
            if record.https_ech then
                record.https_ech = nil
            end
            if record.https_alpn then
                record.https_alpn = without_http3(record.https_alpn)
            end
        end
    end
end
