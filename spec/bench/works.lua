-- What the measurements of the proxy share: the works, and how they are set going.
local files = require "spec.support.files"
local process = require "spec.support.process"
local wait = require "spec.support.wait"

local M = { NAMES = 10000, CLIENTS = 16, OUTSTANDING = 200, PACE = 5000, SPOOFED = "127.0.0.1", REAL = "192.0.2.1" }

-- `limit` is what limit.c does for a work to be held against.
M.works = {
    { name = "spoof", does = "a script answers every A query", limit = "answer", expected = M.SPOOFED, suffix = "example" },
    { name = "refuse", does = "a script answers NXDOMAIN for names with \"malware\"", limit = "refuse", expected = "",
        suffix = "malware.example" },
    { name = "forward", does = "forwarded, no script", limit = "forward", expected = M.REAL, suffix = "example" },
    { name = "rewrite", does = "forwarded, a script changes each A record of the answer", limit = "forward",
        expected = M.SPOOFED, suffix = "example" },
    { name = "count", does = "forwarded, a script counts names in a table", limit = "forward", expected = M.REAL,
        suffix = "example" },
    { name = "tcp", does = "forwarded, TCP clients", limit = "relay", expected = M.REAL, suffix = "example", mode = "tcp" },
}

-- Those named in BENCH_WORKS, or all.
function M.chosen()
    local wanted, list = os.getenv "BENCH_WORKS", {}
    for _, work in ipairs(M.works) do
        if not wanted or (" " .. wanted .. " "):find(" " .. work.name .. " ", 1, true) then
            list[#list + 1] = work
        end
    end
    return list
end

function M.moondns_command(build, work, port, upstream)
    local script = "spec/bench/proxy/" .. work.name .. ".lua"
    local command = { build .. "/moondns", "-q", "-q", "--flow-detail", "0", "-l", "127.0.0.1:" .. port, "-u",
        "127.0.0.1:" .. upstream }
    local file = io.open(script)
    if file then
        file:close()
        command[#command + 1], command[#command + 2] = "-s", script
    end
    for option in (os.getenv "BENCH_OPTIONS" or ""):gmatch "%S+" do
        command[#command + 1] = option
    end
    return command
end

function M.output_of(command)
    local pipe = assert(io.popen(command))
    local text = pipe:read "*a"
    pipe:close()
    return text
end

local cores = tonumber(M.output_of "nproc")
M.PROXY_CORE, M.OTHER_CORES = "0", cores > 2 and "1-" .. cores - 1 or "1"

-- The command with its words as text, on one core (or some) where there are several: the proxy has one to itself.
function M.on_core(core, command)
    local text = {}
    for i, word in ipairs(command) do
        text[i] = tostring(word)
    end
    return cores > 1 and { "taskset", "-c", core, unpack(text) } or text
end

-- limit.c as the server that is asked, over UDP and TCP.
function M.start_upstream(build, port)
    for _, work in ipairs { "answer", "stream" } do
        process.start(M.on_core(M.OTHER_CORES, { build .. "/bench/limit", work, port, M.REAL, 0 }))
    end
end

function M.query_file(work)
    local lines = {}
    for i = 1, M.NAMES do
        lines[i] = ("h%05d.%s A\n"):format(i, work.suffix)
    end
    return files.temp_file("queries", table.concat(lines))
end

-- Waits until it answers as the work has it.
function M.wait_ready(work, who, expected, port)
    local command = ("dig +short +tries=1 +time=1 %s @127.0.0.1 -p %d ready.%s A 2>&1"):format(
        work.mode == "tcp" and "+tcp" or "+notcp", port, work.suffix)
    wait.eventually(function()
        local answer = M.output_of(command)
        return answer:gsub("%s", "") == expected or error(answer)
    end, who .. " to do its work: " .. work.name)
end

local function dnsperf(work, port, queries, ...)
    return process.run(M.on_core(M.OTHER_CORES, {
        "dnsperf", "-s", "127.0.0.1", "-p", port, "-d", queries, "-m", work.mode or "udp", "-c", M.CLIENTS, "-q",
        M.OUTSTANDING, "-T", 1, ...,
    }), { timeout = 600 })
end

-- Queries for so many seconds, or (`times`) so many times all names.
function M.load(work, port, queries, limit)
    local result = dnsperf(work, port, queries, limit.times and "-n" or "-l", limit.times or limit.seconds)
    local answered = tonumber(result.out:match "Queries completed:%s+(%d+)")
    assert(answered and answered > 0, result.out .. result.err)
    return {
        answered = answered,
        lost = tonumber(result.out:match "Queries lost:%s+(%d+)"),
        per_second = tonumber(result.out:match "Queries per second:%s+([%d.]+)"),
        latency_us = tonumber(result.out:match "Average Latency %(s%):%s+([%d.]+)") * 1e6,
    }
end

-- How long answers take, in microseconds, at PACE queries a second: half of them, and 99 of 100, take no longer.
function M.latencies(work, port, queries, seconds)
    local result, took = dnsperf(work, port, queries, "-Q", M.PACE, "-l", seconds, "-v"), {}
    for time in result.out:gmatch "> %u+ %S+ A ([%d.]+)" do
        took[#took + 1] = tonumber(time) * 1e6
    end
    assert(#took > 0, result.out .. result.err)
    table.sort(took)
    return took[math.ceil(#took * 0.5)], took[math.ceil(#took * 0.99)]
end

return M
