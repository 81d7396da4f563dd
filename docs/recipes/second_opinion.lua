-- second_opinion.lua
function load(loader)
    loader:add_option("second", "str", "9.9.9.9", "who is asked when the first answer is bad")
    loader:add_option("lies", "list", {}, "addresses that no honest answer has (block pages, search pages)")
end

local lies

function configure(updated)
    lies = dns.AddressSet(ctx.options.lies)
end

local function is_bad(message)
    local code = message.response_code
    if code == dns.response_codes.SERVFAIL or code == dns.response_codes.REFUSED then
        return true
    end
    for _, record in ipairs(message.answers) do
        if record.type == dns.types.A and lies:match(record.ipv4_address) then return true end
    end
    return false
end

local function ask_second(flow, why)
    if flow.metadata.asked_second then
        return -- once is enough
    end
    flow.metadata.asked_second = true
    log.info("%s: %s, asking %s", flow.request.question.name, why, ctx.options.second)
    flow:resend(ctx.options.second)
end

function dns_response(flow)
    if is_bad(flow.response) then ask_second(flow, "a bad answer") end
end

function dns_error(flow)
    ask_second(flow, flow.error.msg)
end
