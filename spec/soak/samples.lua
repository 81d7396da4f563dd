-- What a process takes, from /proc and its metrics; and whether that stays the same.
local dirent = require "posix.dirent"
local files = require "spec.support.files"
local metrics = require "spec.support.metrics"

local M = {}

M.COLUMNS = { "second", "rss_kb", "fds", "threads", "cpu_seconds", "lua_kb", "flows", "reloads_failed", "overload" }

local function count_entries(path)
    local count = -2
    for _ in dirent.files(path) do
        count = count + 1
    end
    return count
end

local function cpu_seconds(pid)
    local fields = {}
    for field in files.read(("/proc/%d/stat"):format(pid)):match("%) (.*)"):gmatch "%S+" do
        fields[#fields + 1] = field
    end
    return (fields[12] + fields[13]) / 100
end

local function sum_of(text, name)
    local sum = 0
    for value in text:gmatch("\n" .. name:gsub("%p", "%%%0") .. "%S* (%S+)") do
        sum = sum + tonumber(value)
    end
    return sum
end

function M.fds(pid)
    return count_entries(("/proc/%d/fd"):format(pid))
end

function M.take(pid, metrics_base, second)
    local text = "\n" .. assert(metrics.request(metrics_base .. "/metrics").body)
    return {
        second = second,
        rss_kb = tonumber(files.read(("/proc/%d/smaps_rollup"):format(pid)):match "Rss:%s+(%d+)"),
        fds = M.fds(pid),
        threads = count_entries(("/proc/%d/task"):format(pid)),
        cpu_seconds = cpu_seconds(pid),
        lua_kb = math.floor(sum_of(text, "moondns_lua_memory_bytes") / 1024),
        flows = sum_of(text, "moondns_flows_in_flight"),
        reloads_failed = sum_of(text, 'moondns_reloads_total{result="failed"}'),
        overload = sum_of(text, 'moondns_dropped_total{reason="overload"}'),
    }
end

-- What the kernel dropped because 127.0.0.1's UDP port was not read in time.
function M.kernel_drops(port)
    local drops = 0
    for line in io.lines "/proc/net/udp" do
        local address, dropped = line:match "^%s*%d+: (%S+) .* (%d+)%s*$"
        if address == ("0100007F:%04X"):format(port) then
            drops = drops + tonumber(dropped)
        end
    end
    return drops
end

-- What it dropped of all packets on their way, before any socket, because a processor had too much to do; by whoever.
function M.backlog_drops()
    local drops = 0
    for line in io.lines "/proc/net/softnet_stat" do
        drops = drops + tonumber(line:match "^%x+ (%x+)", 16)
    end
    return drops
end

function M.csv(samples)
    local lines = { table.concat(M.COLUMNS, ",") }
    for _, sample in ipairs(samples) do
        local row = {}
        for i, column in ipairs(M.COLUMNS) do
            row[i] = tostring(sample[column])
        end
        lines[#lines + 1] = table.concat(row, ",")
    end
    return table.concat(lines, "\n") .. "\n"
end

-- The maxima of a column in both halves of what comes after `warm` seconds; nil where a half is shorter than `least`.
function M.halves(samples, column, warm, least)
    local half = (samples[#samples].second - warm) / 2
    local maxima = { 0, 0 }
    for _, sample in ipairs(samples) do
        if sample.second >= warm then
            local which = sample.second <= warm + half and 1 or 2
            maxima[which] = math.max(maxima[which], sample[column])
        end
    end
    if half >= least then
        return maxima[1], maxima[2]
    end
end

return M
