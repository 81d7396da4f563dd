-- Sets of a million entries: what sets_bench measures in C, and the same lookups through the Lua classes.
local dns = require "dns"
local files = require "spec.support.files"
local process = require "spec.support.process"
local scope = require "spec.support.scope"

local build, results_path = arg[1], arg[2]
local ROUNDS = 5

local classes = { domains = dns.DomainSet, ipv4 = dns.AddressSet, ipv6 = dns.AddressSet, ["ipv6-nested"] = dns.AddressSet }

local function lines_of(path)
    local lines = {}
    for line in io.lines(path) do
        lines[#lines + 1] = line
    end
    return lines
end

-- Nanoseconds of processor time for one call of set:match, the median of the rounds.
local function measure(set, queries)
    local rounds = {}
    for round = 1, ROUNDS do
        local start = os.clock()
        for i = 1, #queries do
            set:match(queries[i])
        end
        rounds[round] = (os.clock() - start) / #queries * 1e9
    end
    table.sort(rounds)
    return rounds[math.ceil(ROUNDS / 2)]
end

local function add_lua(row, folder)
    local path = folder .. "/" .. row.kind
    collectgarbage()
    local start = os.clock()
    local set = assert(classes[row.kind].load(path .. ".list"))
    row.lua_load_ms = (os.clock() - start) * 1e3
    assert(#set == row.entries)
    row.lua_hit_ns = measure(set, lines_of(path .. ".hit"))
    row.lua_miss_ns = measure(set, lines_of(path .. ".miss"))
end

local function run()
    local folder = files.temp_folder()
    local result = process.run({ build .. "/bench/sets_bench", folder, results_path }, { timeout = 300 })
    assert(result.code == 0, result.err)
    local rows = assert(dns.json.decode(files.read(results_path)))
    print "Nanoseconds a lookup (in C; through Lua), milliseconds to load a million lines:"
    print "  kind          entries   bytes each    load     hit    miss   Lua hit  Lua miss"
    for _, row in ipairs(rows) do
        add_lua(row, folder)
        print(("  %-12s %8d %12.1f %7.0f %7.0f %7.0f %9.0f %9.0f"):format(row.kind, row.entries, row.bytes_per_entry, row.load_ms,
            row.hit_ns, row.miss_ns, row.lua_hit_ns, row.lua_miss_ns))
    end
    files.write(results_path, dns.json.encode(rows, { pretty = true }) .. "\n")
end

scope.run(run)
