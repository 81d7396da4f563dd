-- fetched_blocklist.lua
function load(loader)
    loader:add_option("url", "str", "", "where the list is")
    loader:add_option("copy", "str", "blocklist.txt", "its last good copy, for when that cannot be reached")
    loader:add_option("hours", "number", 24, "how often it is fetched")
end

local blocked = dns.DomainSet()

local function use_copy()
    local set, reason = dns.DomainSet.load(ctx.options.copy)
    if not set then
        return log.warn("no list yet: %s", reason)
    end
    blocked = set
    log.info("%d domains are blocked", #blocked)
end

local function fetch()
    local answer, reason = http.get(ctx.options.url)
    if not answer or answer.status ~= 200 then
        return log.warn("the list stays as it is: %s", reason or answer.reason)
    end
    local file = assert(io.open(ctx.options.copy .. ".new", "wb"))
    assert(file:write(answer.body))
    assert(file:close())
    assert(os.rename(ctx.options.copy .. ".new", ctx.options.copy)) -- whole, or not at all
    use_copy()
end

function running()
    use_copy()
    timer.after(0, fetch)
    timer.every(ctx.options.hours * 3600, fetch)
end

function dns_request(flow)
    local question = flow.request.question
    if question and blocked:match(question.name) then
        flow.response = flow.request:fail("NXDOMAIN")
    end
end
