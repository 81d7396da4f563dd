-- CPU time per query and throughput of the proxy, of the least that a C program can do (limit.c), and of dnsdist: the same
-- works, one after the other, in several rounds, so that what else the machine does falls on all alike. The CPU time is
-- that of the whole process, from the kernel's nanosecond clock of its threads.
local dns = require "dns"
local dnsdist = require "spec.bench.dnsdist"
local files = require "spec.support.files"
local ports = require "spec.support.ports"
local process = require "spec.support.process"
local scope = require "spec.support.scope"
local wait = require "spec.support.wait"

local build, results_path = arg[1], arg[2]
local SECONDS = tonumber(os.getenv "BENCH_SECONDS") or 2
local ROUNDS = tonumber(os.getenv "BENCH_ROUNDS") or 3
local NAMES, CLIENTS, OUTSTANDING = 10000, 16, 200
local LIMIT = build .. "/bench/limit"

local SPOOFED, REAL = "127.0.0.1", "192.0.2.1"

-- `limit` is the work of limit.c that a work is held against, where it is not the same as its own name says.
local works = {
    { name = "spoof", does = "a script answers every A query", limit = "answer", expected = SPOOFED, suffix = "example" },
    { name = "refuse", does = "a script answers NXDOMAIN for names with \"malware\"", limit = "refuse", expected = "",
        suffix = "malware.example" },
    { name = "forward", does = "forwarded, no script", limit = "forward", expected = REAL, suffix = "example" },
    { name = "rewrite", does = "forwarded, a script changes each A record of the answer", limit = "forward",
        expected = SPOOFED, suffix = "example" },
    { name = "count", does = "forwarded, a script counts names in a table", limit = "forward", expected = REAL,
        suffix = "example" },
    { name = "tcp", does = "forwarded, TCP clients", limit = "relay", expected = REAL, suffix = "example", mode = "tcp" },
}

-- --- who is measured ---

local peers = { "limit", "moondns", "dnsdist", "dnsdist in Lua" }

local function limit_command(work, port, upstream)
    local arguments = {
        answer = { port, SPOOFED, 300 }, refuse = { port }, forward = { port, upstream }, relay = { port, upstream },
    }
    return { LIMIT, work.limit, unpack(arguments[work.limit]) }
end

local function moondns_command(work, port, upstream)
    local script = "spec/bench/proxy/" .. work.name .. ".lua"
    local command = { build .. "/moondns", "-q", "-q", "--flow-detail", "0", "-l", "127.0.0.1:" .. port, "-u",
        "127.0.0.1:" .. upstream }
    local file = io.open(script)
    if file then
        file:close()
        command[#command + 1], command[#command + 2] = "-s", script
    end
    return command
end

local function dnsdist_command(work, in_lua, port, upstream)
    local text = process.exists "dnsdist" and dnsdist.configuration(work.name, in_lua, port, upstream)
    if text then
        return { "dnsdist", "--supervised", "--disable-syslog", "-C", files.temp_file("dnsdist.conf", text) }
    end
end

local function command_of(peer, work, port, upstream)
    if peer == "limit" then
        return limit_command(work, port, upstream)
    elseif peer == "moondns" then
        return moondns_command(work, port, upstream)
    end
    return dnsdist_command(work, peer == "dnsdist in Lua", port, upstream)
end

-- --- measuring ---

local function read_line(command)
    local pipe = assert(io.popen(command))
    local text = pipe:read "*a"
    pipe:close()
    return text
end

local cores = tonumber(read_line "nproc")

-- The proxy has one core, all else the others.
local function on_core(core, command)
    local text = {}
    for i, word in ipairs(command) do
        text[i] = tostring(word)
    end
    return cores > 1 and { "taskset", "-c", core, unpack(text) } or text
end

local PROXY_CORE, OTHER_CORES = "0", cores > 2 and "1-" .. cores - 1 or "1"

local function cpu_ns(pid)
    local total = 0
    for task in read_line(("ls /proc/%d/task"):format(pid)):gmatch "%d+" do
        local file = io.open(("/proc/%d/task/%s/schedstat"):format(pid, task))
        if file then
            total = total + file:read "*n"
            file:close()
        end
    end
    return total
end

local function query_file(work)
    local lines = {}
    for i = 1, NAMES do
        lines[i] = ("h%05d.%s A\n"):format(i, work.suffix)
    end
    return files.temp_file("queries", table.concat(lines))
end

local function wait_ready(work, peer, port)
    local command = ("dig +short +tries=1 +time=1 %s @127.0.0.1 -p %d ready.%s A 2>&1"):format(
        work.mode == "tcp" and "+tcp" or "+notcp", port, work.suffix)
    local expected = peer == "limit" and work.limit == "forward" and REAL or work.expected
    wait.eventually(function()
        local answer = read_line(command)
        return answer:gsub("%s", "") == expected or error(answer)
    end, peer .. " to do its work: " .. work.name)
end

local function load_it(work, port, queries, seconds)
    local result = process.run(on_core(OTHER_CORES, {
        "dnsperf", "-s", "127.0.0.1", "-p", port, "-d", queries, "-m", work.mode or "udp", "-l", seconds, "-c", CLIENTS, "-q",
        OUTSTANDING, "-T", 1,
    }), { timeout = seconds + 30 })
    local answered = tonumber(result.out:match "Queries completed:%s+(%d+)")
    assert(answered and answered > 0, result.out .. result.err)
    return {
        answered = answered,
        lost = tonumber(result.out:match "Queries lost:%s+(%d+)"),
        per_second = tonumber(result.out:match "Queries per second:%s+([%d.]+)"),
        latency_us = tonumber(result.out:match "Average Latency %(s%):%s+([%d.]+)") * 1e6,
    }
end

local function measure(peer, work, upstream, queries)
    local port = ports.free()
    local command = command_of(peer, work, port, upstream)
    if not command then
        return nil
    end
    local proxy = process.start(on_core(PROXY_CORE, command))
    wait_ready(work, peer, port)
    load_it(work, port, queries, 0.3)
    local before = cpu_ns(proxy.pid)
    local result = load_it(work, port, queries, SECONDS)
    result.cpu_us = (cpu_ns(proxy.pid) - before) / 1000 / result.answered
    proxy:signal "KILL"
    proxy:wait_end()
    return result
end

-- --- telling ---

local function median(results, key)
    local values = {}
    for i, result in ipairs(results) do
        values[i] = result[key]
    end
    table.sort(values)
    local middle = #values / 2
    return #values % 2 == 1 and values[middle + 0.5] or (values[middle] + values[middle + 1]) / 2
end

local function summary(work, peer, results, limit)
    local row = { work = work.name, peer = peer, rounds = #results, runs = results }
    for _, key in ipairs { "cpu_us", "per_second", "latency_us", "lost" } do
        row[key] = median(results, key)
    end
    row.cpu_ratio = row.cpu_us / median(limit, "cpu_us")
    row.per_second_ratio = row.per_second / median(limit, "per_second")
    return row
end

local function print_row(row)
    print(("  %-16s %9.2f %8.2f %12.0f %8.2f %9.0f %6.0f"):format(row.peer, row.cpu_us, row.cpu_ratio, row.per_second,
        row.per_second_ratio, row.latency_us, row.lost))
end

local function print_table(rows)
    local last
    for _, row in ipairs(rows) do
        if row.work ~= last then
            for _, work in ipairs(works) do
                if work.name == row.work then
                    print(("\n%s: %s"):format(work.name, work.does))
                end
            end
            print(("  %-16s %9s %8s %12s %8s %9s %6s"):format("", "CPU us/q", "/ limit", "queries/s", "/ limit", "avg us",
                "lost"))
            last = row.work
        end
        print_row(row)
    end
end

local function chosen()
    local wanted, list = os.getenv "BENCH_WORKS", {}
    for _, work in ipairs(works) do
        if not wanted or (" " .. wanted .. " "):find(" " .. work.name .. " ", 1, true) then
            list[#list + 1] = work
        end
    end
    return list
end

local function run()
    local upstream = ports.free()
    process.start(on_core(OTHER_CORES, { LIMIT, "answer", upstream, REAL, 0 }))
    process.start(on_core(OTHER_CORES, { LIMIT, "stream", upstream, REAL, 0 }))
    local results, rows = {}, {}
    for round = 1, ROUNDS do
        for _, work in ipairs(chosen()) do
            local queries = query_file(work)
            local of_work = results[work.name] or {}
            results[work.name] = of_work
            for _, peer in ipairs(peers) do
                local result = measure(peer, work, upstream, queries)
                if result then
                    io.stderr:write(("%d/%d %s, %s: %.2f us\n"):format(round, ROUNDS, work.name, peer, result.cpu_us))
                    of_work[peer] = of_work[peer] or {}
                    table.insert(of_work[peer], result)
                end
            end
        end
    end
    for _, work in ipairs(chosen()) do
        for _, peer in ipairs(peers) do
            local found = results[work.name][peer]
            if found then
                rows[#rows + 1] = summary(work, peer, found, results[work.name].limit)
            end
        end
    end
    print(("One core for each proxy, %d names, %d clients, %d queries outstanding, %d rounds of %g s; medians."):format(NAMES,
        CLIENTS, OUTSTANDING, ROUNDS, SECONDS))
    print_table(rows)
    files.write(results_path, dns.json.encode(rows, { pretty = true }) .. "\n")
    print(("\nall of it: %s"):format(results_path))
end

scope.run(run)
