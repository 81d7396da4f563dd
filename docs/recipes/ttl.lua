-- ttl.lua
function load(loader)
    loader:add_option("least", "int", 60, "no record lives shorter, in seconds")
    loader:add_option("most", "int", 600, "and none longer")
end

function configure(updated)
    if ctx.options.least > ctx.options.most then error("least: more than most") end
end

function dns_response(flow)
    local response = flow.response
    for _, section in ipairs { response.answers, response.authorities, response.additionals } do
        for _, record in ipairs(section) do
            if record.type ~= dns.types.OPT then
                record.ttl = math.max(ctx.options.least, math.min(record.ttl, ctx.options.most))
            end
        end
    end
end
