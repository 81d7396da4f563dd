-- CPU time per query, throughput and latency of the proxy, of the least that a C program can do (limit.c), and of
-- dnsdist: the same works, one after the other, in several rounds, so that what else the machine does falls on all alike.
-- The CPU time is that of the whole process, from the kernel's nanosecond clock of its threads.
local dns = require "dns"
local dnsdist = require "spec.bench.dnsdist"
local files = require "spec.support.files"
local ports = require "spec.support.ports"
local process = require "spec.support.process"
local scope = require "spec.support.scope"
local works = require "spec.bench.works"

local build, results_path = arg[1], arg[2]
local SECONDS = tonumber(os.getenv "BENCH_SECONDS") or 2
local ROUNDS = tonumber(os.getenv "BENCH_ROUNDS") or 3

-- --- who is measured ---

local LIMIT = build .. "/bench/limit"
local peers = { "limit", "moondns", "dnsdist", "dnsdist in Lua" }

local function limit_command(work, port, upstream)
    local arguments = {
        answer = { port, works.SPOOFED, 300 }, refuse = { port }, forward = { port, upstream }, relay = { port, upstream },
    }
    return { LIMIT, work.limit, unpack(arguments[work.limit]) }
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
        return works.moondns_command(build, work, port, upstream)
    end
    return dnsdist_command(work, peer == "dnsdist in Lua", port, upstream)
end

-- --- measuring ---

local function cpu_ns(pid)
    local total = 0
    for task in works.output_of(("ls /proc/%d/task"):format(pid)):gmatch "%d+" do
        local file = io.open(("/proc/%d/task/%s/schedstat"):format(pid, task))
        if file then
            total = total + file:read "*n"
            file:close()
        end
    end
    return total
end

-- User's and kernel's share in it, in ticks.
local function cpu_ticks(pid)
    local fields = {}
    for field in files.read(("/proc/%d/stat"):format(pid)):match("%) (.*)"):gmatch "%S+" do
        fields[#fields + 1] = field
    end
    return fields[12], fields[13]
end

local function measure(peer, work, upstream, queries)
    local port = ports.free()
    local command = command_of(peer, work, port, upstream)
    if not command then
        return nil
    end
    local plain = peer == "limit" and work.limit == "forward"
    local proxy = process.start(works.on_core(works.PROXY_CORE, command))
    works.wait_ready(work, peer, plain and works.REAL or work.expected, port)
    works.load(work, port, queries, { seconds = 0.3 })
    local before, user, kernel = cpu_ns(proxy.pid), cpu_ticks(proxy.pid)
    local result = works.load(work, port, queries, { seconds = SECONDS })
    local user_after, kernel_after = cpu_ticks(proxy.pid)
    result.cpu_us = (cpu_ns(proxy.pid) - before) / 1000 / result.answered
    result.kernel_share = (kernel_after - kernel) / (user_after - user + kernel_after - kernel)
    result.half_us, result.most_us = works.latencies(work, port, queries, SECONDS)
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
    for _, key in ipairs { "cpu_us", "kernel_share", "per_second", "latency_us", "lost", "half_us", "most_us" } do
        row[key] = median(results, key)
    end
    row.cpu_ratio = row.cpu_us / median(limit, "cpu_us")
    row.per_second_ratio = row.per_second / median(limit, "per_second")
    return row
end

local function print_row(row)
    print(("  %-16s %9.2f %8.2f %8.0f%% %12.0f %8.2f %9.0f %6.0f %8.0f %7.0f"):format(row.peer, row.cpu_us, row.cpu_ratio,
        row.kernel_share * 100, row.per_second, row.per_second_ratio, row.latency_us, row.lost,
        row.half_us, row.most_us))
end

local function print_table(rows)
    local last
    for _, row in ipairs(rows) do
        if row.work ~= last then
            for _, work in ipairs(works.works) do
                if work.name == row.work then
                    print(("\n%s: %s"):format(work.name, work.does))
                end
            end
            print(("  %-16s %9s %8s %9s %12s %8s %9s %6s %8s %7s"):format("", "CPU us/q", "/ limit", "in kernel", "queries/s",
                "/ limit", "avg us", "lost", "50 % us", "99 % us"))
            last = row.work
        end
        print_row(row)
    end
end

local function run()
    local upstream = ports.free()
    works.start_upstream(build, upstream)
    local results, rows = {}, {}
    for round = 1, ROUNDS do
        for _, work in ipairs(works.chosen()) do
            local queries = works.query_file(work)
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
    for _, work in ipairs(works.chosen()) do
        for _, peer in ipairs(peers) do
            local found = results[work.name][peer]
            if found then
                rows[#rows + 1] = summary(work, peer, found, results[work.name].limit)
            end
        end
    end
    print(("One core for each proxy, %d names, %d clients, %d queries outstanding, %d rounds of %g s; medians.\nThe last two columns: at %d queries a second, the time in which so many were answered."):format(
        works.NAMES, works.CLIENTS, works.OUTSTANDING, ROUNDS, SECONDS, works.PACE))
    print_table(rows)
    files.write(results_path, dns.json.encode(rows, { pretty = true }) .. "\n")
    print(("\nall of it: %s"):format(results_path))
end

scope.run(run)
