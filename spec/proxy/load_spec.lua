-- Many queries at once from a real load generator: each is answered, and by the server that has the zone.
local files = require "spec.support.files"
local process = require "spec.support.process"
local proxy = require "spec.support.proxy"
local scope = require "spec.support.scope"
local upstream = require "spec.support.upstream"

describe("dnsperf", function()
    scope.manage()

    for _, mode in ipairs { "udp", "tcp" } do
        it("loses no query over " .. mode, function()
            local zone = upstream.signed_zone()
            local moondns = proxy.start {
                upstream = upstream.knot(zone),
                code = [[function dns_response(flow) assert(#flow.response.answers >= 0) end]],
                args = { "--flow-detail", "0" },
            }
            local lines = {}
            for _, record in ipairs(upstream.records_of(zone)) do
                if not record.name:find("\\", 1, true) then -- dnsperf knows no escapes
                    lines[#lines + 1] = record.name .. " " .. record.type
                end
            end
            local result = process.run {
                "dnsperf", "-s", "127.0.0.1", "-p", tostring(moondns.port), "-m", mode, "-d",
                files.temp_file("queries", table.concat(lines, "\n") .. "\n"), "-n", "20", "-c", "8", "-q", "100", "-D", "-t", "15",
            }
            assert.equal(0, result.code, result.err)
            assert.equal(20 * #lines, tonumber(result.out:match "Queries completed:%s+(%d+)"), result.out)
            assert.equal("0", result.out:match "Queries lost:%s+(%d+)", result.out)
            assert.equal("100.00", result.out:match "NOERROR %d+ %(([%d.]+)%%%)", result.out)
        end)
    end
end)
