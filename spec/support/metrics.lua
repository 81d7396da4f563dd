-- Scrapes a proxy that was started with `--metrics 0`, and reads what comes with Prometheus's own parser.
local http = require "socket.http"
local ltn12 = require "ltn12"
local files = require "spec.support.files"
local process = require "spec.support.process"

local M = {}

M.OPENMETRICS = "application/openmetrics-text; version=1.0.0"

-- http://127.0.0.1:PORT
function M.base(moondns)
    return "http://" .. moondns:wait_output "metrics on http://([^/]+)/metrics"
end

-- {code, headers, body}
function M.request(url, options)
    options = options or {}
    local parts = {}
    local _, code, headers = http.request {
        url = url, method = options.method, headers = options.headers, sink = ltn12.sink.table(parts),
    }
    return { code = code, headers = headers, body = table.concat(parts) }
end

-- Passes a program the text; raises what it says when it objects.
local function check(argv, text)
    local path = files.temp_file("exposition", text)
    local result = process.run { "sh", "-c", 'path=$1; shift; exec "$@" <"$path"', "sh", path, unpack(argv) }
    assert(result.code == 0 and result.err == "", argv[1] .. ": " .. result.err .. result.out)
    return result.out
end

-- The samples of an exposition as a table: values["moondns_queries_total{transport=\"udp\",type=\"A\"}"] == 3; labels in
-- order of their names. promtool reads it as well, where it is there.
function M.parse(text, format)
    if format ~= "openmetrics" and process.exists "promtool" then
        check({ "promtool", "check", "metrics" }, text)
    end
    local values = {}
    for line in check({ "/usr/bin/python3", "spec/support/metrics.py", format or "text" }, text):gmatch "[^\n]+" do
        local name, value = line:match "^(.*) (%S+)$"
        values[name] = tonumber(value)
    end
    return values
end

-- Scrapes and parses.
function M.scrape(moondns, format)
    local headers = format == "openmetrics" and { Accept = M.OPENMETRICS } or nil
    local answer = M.request(M.base(moondns) .. "/metrics", { headers = headers })
    assert(answer.code == 200, tostring(answer.code))
    return M.parse(answer.body, format), answer
end

return M
