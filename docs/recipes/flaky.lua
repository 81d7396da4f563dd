-- flaky.lua
function load(loader)
    loader:add_option("seed", "int", 1, "the same seed gives the same run")
    loader:add_option("lost", "number", 0.2, "share of queries without an answer")
    loader:add_option("failed", "number", 0.2, "share of SERVFAIL")
    loader:add_option("delay", "number", 0.5, "seconds that answers take at the most")
end

local random

function configure(updated)
    random = dns.random(ctx.options.seed)
end

function dns_response(flow)
    local luck, delay = random:number(), random:number() * ctx.options.delay
    if luck < ctx.options.lost then
        return flow:drop()
    elseif luck < ctx.options.lost + ctx.options.failed then
        flow.response = flow.request:fail("SERVFAIL")
    end
    flow:delay(delay)
end
