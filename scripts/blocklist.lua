-- Refuses the names in block lists, and all names below them: they do not exist.
--
--   moondns -s scripts/blocklist.lua --set blocklist=ads.txt --set blocklist=allowed.txt
--   dig @127.0.0.1 -p 5300 tracker.ads.example     → status: NXDOMAIN, where ads.txt has ads.example
--
-- Lists are plain ones (a domain a line), hosts files, or rules like ||ads.example^, and all of them together are one set:
-- an exception such as @@||good.ads.example^ in one wins over the others. At the start the log tells how many domains there
-- are, and which lines could not be used. After a change to a list, `kill -HUP` makes the proxy read the lists again; a list
-- that cannot be read leaves the ones that were read before in place.

local blocked

function load(loader)
    loader:add_option("blocklist", "list", {}, "files with the domains that do not exist")
end

function configure(updated)
    if not updated.blocklist then
        return
    end
    local paths = ctx.options.blocklist
    local set = dns.DomainSet()
    if #paths > 0 then
        set = assert(dns.DomainSet.load(unpack(paths)))
    end
    blocked = set
    log.info("%d domains are blocked, %d lines could not be used", #blocked, blocked.skipped_count)
end

function dns_request(flow)
    local question = flow.request.question
    local entry = question and blocked:match(question.name)
    if entry then
        flow.comment = "blocked by " .. entry
        flow.response = flow.request:fail("NXDOMAIN")
    end
end
