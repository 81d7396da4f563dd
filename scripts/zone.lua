-- Test fixtures as a zone: answers for shop.example as its authoritative server would.
--
--   moondns -s scripts/zone.lua
--   dig @127.0.0.1 -p 5300 api.shop.example           → 192.0.2.80
--   dig @127.0.0.1 -p 5300 a.b.eu.shop.example        → the wildcard: eu.cdn.example
--   dig @127.0.0.1 -p 5300 nothing.shop.example       → status: NXDOMAIN, with the SOA record
--
-- All other names go to the upstream. `moondns --zone FILE` serves a zone file without any script.

local zone = assert(dns.Zone.parse [[
$ORIGIN shop.example.
$TTL 60
@     SOA ns admin 1 1h 10m 1w 30
      NS  ns
      MX  10 mail
ns    A   192.0.2.53
api   A   192.0.2.80
      AAAA 2001:db8::80
mail  A   192.0.2.25
*.eu  CNAME eu.cdn.example.
]])

function dns_request(flow)
    flow.response = zone:answer(flow.request) -- nil for a name outside the zone: it is forwarded
end
