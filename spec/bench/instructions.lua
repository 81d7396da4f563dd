-- Instructions per query in user space, by the library that they are in, counted under callgrind once the proxy is warm.
local dns = require "dns"
local files = require "spec.support.files"
local ports = require "spec.support.ports"
local process = require "spec.support.process"
local scope = require "spec.support.scope"
local works = require "spec.bench.works"

local build, results_path = arg[1], arg[2]
local WARM_TIMES, TIMES = 1, 3 -- all names

local libraries = { { "moondns", "/moondns" }, { "LuaJIT", "/libluajit" }, { "libc", "/libc.so" }, { "libevent", "/libevent" } }

local function library_of(object)
    for _, library in ipairs(libraries) do
        if object:find(library[2], 1, true) then
            return library[1]
        end
    end
    return "others"
end

-- Sums up callgrind's file (its format is in Valgrind's manual): lines of cost belong to the object named last, but for
-- the one after each `calls=`, which counts what was called.
local function sums(path)
    local names, totals, object, called = {}, { all = 0 }, "", false
    for line in io.lines(path) do
        local id, name = line:match "^ob=%((%d+)%) ?(.*)"
        if id then
            names[id] = name ~= "" and name or names[id]
            object = library_of(names[id])
        elseif line:find("^cob=") then
            id, name = line:match "^cob=%((%d+)%) ?(.*)"
            names[id] = name ~= "" and name or names[id]
        elseif line:find("^calls=") then
            called = true
        else
            local cost = line:match "^[%d+*-]%S* (%d+)$"
            if cost and not called then
                totals[object] = (totals[object] or 0) + cost
                totals.all = totals.all + cost
            end
            called = called and not cost
        end
    end
    return totals
end

local function control(pid, switch)
    local result = process.run { "callgrind_control", "-i", switch, tostring(pid) }
    assert(result.code == 0, result.out .. result.err)
end

local function count(work, upstream)
    local port, out = ports.free(), files.temp_folder() .. "/counts"
    local command = { "valgrind", "--tool=callgrind", "--instr-atstart=no", "--callgrind-out-file=" .. out }
    for _, word in ipairs(works.moondns_command(build, work, port, upstream)) do
        command[#command + 1] = word
    end
    local proxy, queries = process.start(command), works.query_file(work)
    works.wait_ready(work, "moondns", work.expected, port)
    works.load(work, port, queries, { times = WARM_TIMES })
    control(proxy.pid, "on")
    local answered = works.load(work, port, queries, { times = TIMES }).answered
    control(proxy.pid, "off")
    proxy:stop(60)
    local row = sums(out)
    for library, instructions in pairs(row) do
        row[library] = instructions / answered
    end
    row.work = work.name
    return row
end

local function print_row(row)
    local parts = {}
    for _, library in ipairs(libraries) do
        parts[#parts + 1] = ("%8.0f"):format(row[library[1]] or 0)
    end
    print(("  %-10s %8.0f %s"):format(row.work, row.all, table.concat(parts, " ")))
end

local function run()
    local upstream, rows = ports.free(), {}
    works.start_upstream(build, upstream)
    print "Instructions a query, in user space:"
    print "  work            all  moondns   LuaJIT     libc libevent"
    for _, work in ipairs(works.chosen()) do
        rows[#rows + 1] = count(work, upstream)
        print_row(rows[#rows])
    end
    files.write(results_path, dns.json.encode(rows, { pretty = true }) .. "\n")
end

scope.run(run)
