-- rate_limit.lua
function load(loader)
    loader:add_option("most", "int", 100, "queries that one client may ask")
    loader:add_option("per", "number", 1, "in so many seconds")
end

function dns_request(flow)
    local key = "rate " .. flow.client_conn.address
    local count, reason = shared.incr(key, 1, 0, ctx.options.per)
    if not count then
        return log.warn("not counted: %s", reason) -- Redis is away: better to answer than not
    end
    if count > ctx.options.most then
        flow.response = flow.request:fail("REFUSED")
    end
end
