-- Runs every example in README.md and docs/*.md. Their conventions:
--   ```lua      a complete script. `-- NAME.lua` in its first line names it for the commands that follow. It must load; one
--               that is called NAME_test.lua must pass `moondns test`, NAME_spec.lua busted.
--   ```console  commands after `$ `. `moondns …` stays, until the next one or the end of the page, unless it ends by itself;
--               whatever else is run to its end. The lines below a command must appear in what it prints, in that order;
--               blanks count as one, and ports of clients and milliseconds may differ.
--   ```sh       commands for a fresh machine: apt-get, and targets of the Makefile, which must exist.
-- Port 5300 stands for the proxy's, 9153 for that of its metrics.
-- Commands run in a folder that holds the page's scripts, with the test zone as upstream, and as what is 9.9.9.9 there.
local files = require "spec.support.files"
local ports = require "spec.support.ports"
local process = require "spec.support.process"
local proxy = require "spec.support.proxy"
local scope = require "spec.support.scope"
local upstream = require "spec.support.upstream"
local wait = require "spec.support.wait"

local function pages()
    local list = {}
    for path in io.popen("ls README.md docs/*.md"):lines() do
        list[#list + 1] = path
    end
    return list
end

local function blocks_of(path)
    local blocks, block, number = {}, nil, 0
    for line in io.lines(path) do
        number = number + 1
        local fence = line:match "^```(.*)$"
        if fence and block then
            block.text = table.concat(block, "\n") .. "\n"
            blocks[#blocks + 1], block = block, nil
        elseif fence then
            block = { kind = fence, place = path .. ":" .. number }
        elseif block then
            block[#block + 1] = line
        end
    end
    assert(not block, "a block without an end in " .. path)
    return blocks
end

local function normal(text)
    return (text:gsub("9%.9%.9%.9", "127.0.0.1:0"):gsub("(127%.0%.0%.1:)%d+", "%1PORT"):gsub("%d+ ms", "N ms"):gsub("%-p %d+", "-p PORT"):gsub("[ \t]+", " "))
end

-- The first of the expected lines that does not come, in this order, in the output; nil when all do.
local function missing_line(expected, output)
    local at = 1
    output = normal(output)
    for _, line in ipairs(expected) do
        local _, stop = output:find(normal(line), at, true)
        if not stop then
            return line
        end
        at = stop + 1
    end
end

describe("the examples of", function()
    scope.manage()
    local knot

    setup(function()
        knot = upstream.knot()
    end)

    for _, path in ipairs(pages()) do
        describe(path, function()
            local folder, port, metrics_port, running, expected

            setup(function()
                folder = files.temp_folder()
            end)

            local function check_running()
                if running then
                    wait.eventually(function()
                        return not missing_line(expected, running:err() .. running:out())
                            or not missing_line(expected, running:out() .. running:err())
                    end, function()
                        return ("'%s' among:\n%s"):format(missing_line(expected, running:err() .. running:out()), running:output())
                    end)
                    running:finish()
                    running = nil
                end
            end

            local function run_moondns(arguments, lines)
                check_running()
                port, metrics_port = ports.free(), ports.free()
                local argv = { proxy.binary, "-l", "127.0.0.1:" .. port, "-u", "127.0.0.1:" .. knot.port }
                for word in arguments:gmatch "%S+" do
                    argv[#argv + 1] = (word:gsub("9%.9%.9%.9", "127.0.0.1:" .. knot.port):gsub("^9153$", metrics_port))
                end
                local started = process.start(argv, { folder = folder })
                wait.eventually(function()
                    return started:output():find("listening on", 1, true) or started:ended()
                end, "moondns " .. arguments)
                if started:ended() then
                    assert.equal(0, started.code, started:output())
                    assert.is_nil(missing_line(lines, started:output()), started:output())
                else
                    running, expected = started, lines
                end
            end

            -- moondns test, moondns explain: they end by themselves. A page that shows a failing test says "not ok".
            local function run_subcommand(name, arguments, lines)
                local argv = { proxy.binary, name }
                if name == "explain" then
                    argv[3], argv[4] = "-u", "127.0.0.1:" .. knot.port
                end
                for word in arguments:gmatch "%S+" do
                    argv[#argv + 1] = word
                end
                local result = process.run(argv, { folder = folder })
                assert.equal(table.concat(lines, "\n"):find "not ok" and 4 or 0, result.code, result.out .. result.err)
                assert.is_nil(missing_line(lines, result.out), result.out)
            end

            local function run(command, lines)
                local arguments = command:match "^moondns%s*(.*)$"
                local subcommand, rest = (arguments or ""):match "^(%a+)%s*(.*)$"
                if subcommand == "test" or subcommand == "explain" then
                    return run_subcommand(subcommand, rest, lines)
                end
                if arguments then
                    return run_moondns(arguments, lines)
                end
                command = command:gsub("^dig ", "dig -r +tries=1 +time=15 "):gsub("%-p 5300", "-p " .. tostring(port))
                    :gsub(":9153", ":" .. tostring(metrics_port))
                local result = process.run({ "sh", "-c", command }, { folder = folder })
                assert.equal(0, result.code, result.err)
                assert.is_nil(missing_line(lines, result.out), command .. "\n" .. result.out)
            end

            -- A spec for busted, on dns.so.
            local function run_busted(name)
                local library = process.run({ "cc", "-print-file-name=libasan.so" }).out:match "%S+"
                local result = process.run({ "sh", "-c", "exec busted --lua=$(command -v luajit) " .. name }, {
                    folder = folder,
                    environment = {
                        LD_PRELOAD = library,
                        ASAN_OPTIONS = "detect_leaks=0",
                        LUA_CPATH = proxy.binary:match "^.*/" .. "?.so;;",
                    },
                })
                assert.equal(0, result.code, result.out .. result.err)
            end

            local RUN = {
                lua = function(block)
                    local name = block[1]:match "^%-%- ([%w_]+%.lua)$" or "example.lua"
                    files.write(folder .. "/" .. name, block.text)
                    if name:find "_spec%.lua$" then
                        return run_busted(name)
                    end
                    local arguments = name:find "_test%.lua$" and { "test", name } or { "--check", "-s", name }
                    local result = proxy.run(arguments, { folder = folder })
                    assert.equal(0, result.code, result.out .. result.err)
                end,
                console = function(block)
                    local command, lines
                    for _, line in ipairs(block) do
                        local next_command = line:match "^%$ (.*)$"
                        if next_command then
                            if command then
                                run(command, lines)
                            end
                            command, lines = next_command, {}
                        else
                            assert(lines, "no command first")[#lines + 1] = line
                        end
                    end
                    run(assert(command, "no command"), lines)
                end,
                sh = function(block)
                    for _, line in ipairs(block) do
                        for command in (line .. "&&"):gmatch "%s*(.-)%s*&&" do
                            local target = command:match "^make ?([%w=/ ]*)$"
                            if target then
                                assert.equal(0, process.run({ "sh", "-c", "make -n " .. target }).code, command)
                            else
                                assert.truthy(command:match "^apt%-get update$" or command:match "^apt%-get install %-y [%w ]+$", command)
                            end
                        end
                    end
                end,
            }

            it("do what they say", function()
                for _, block in ipairs(blocks_of(path)) do
                    if RUN[block.kind] then
                        local ok, problem = pcall(RUN[block.kind], block)
                        assert(ok, block.place .. ": " .. tostring(type(problem) == "table" and problem.message or problem))
                    end
                end
                check_running()
            end)
        end)
    end
end)
