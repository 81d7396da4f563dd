-- The runner of the fuzz targets, with targets that only pretend: a round, its resumption, findings, interruption. And the
-- targets themselves, with their seeds.
local dirent = require "posix.dirent"
local files = require "spec.support.files"
local process = require "spec.support.process"
local scope = require "spec.support.scope"
local stat = require "posix.sys.stat"
local wait = require "spec.support.wait"

-- Takes its time, learns one input; fails as long as FOLDER/broken-NAME is there.
local TARGET = [[
#!/bin/sh
folder=$(dirname "$0") name=$(basename "$0" _fuzz)
for argument; do
    case $argument in
    -max_total_time=*) seconds=${argument#*=} ;;
    -artifact_prefix=*) prefix=${argument#*=} ;;
    -merge=1) cp "$4"/* "$3"; exit ;;
    -*) ;;
    *) last=$argument ;;
    esac
done
echo "$name" >> "$folder/runs"
if [ -e "$folder/broken-$name" ]; then
    [ -z "$prefix" ] || echo bad > "${prefix}crash-0a1b"
    exit 77
fi
[ -n "$seconds" ] || exit 0
trap 'exit 72' TERM
sleep "$seconds" &
wait $!
echo new > "$last/$name-learnt"
echo "#2 NEW cov: 41 ft: 50"
echo "#9 DONE cov: 42 ft: 51"
echo "stat::number_of_executed_units: 1000"
]]

describe("make fuzz", function()
    scope.manage()
    local folder, work

    before_each(function()
        folder = files.temp_folder()
        work = folder .. "/work"
        files.make_folder(folder .. "/programs")
        for _, name in ipairs { "one", "two" } do
            local path = files.write(folder .. "/programs/" .. name .. "_fuzz", TARGET)
            stat.chmod(path, tonumber("755", 8))
        end
    end)

    local function start(environment)
        environment.FUZZ_SECONDS = environment.FUZZ_SECONDS or "1"
        environment.FUZZ_KEEP = false
        return process.start({ "spec/fuzz/run", folder .. "/programs", work }, { environment = environment })
    end

    local function run(environment)
        local started = start(environment)
        local code = started:wait_end(20)
        return { code = code, out = started:out(), err = started:err() }
    end

    -- The targets that ran since the last call, in order.
    local function runs()
        local path = folder .. "/programs/runs"
        local names = stat.stat(path) and files.read(path):gsub("\n", " ") or ""
        files.write(path, "")
        return names
    end

    it("runs each target and keeps what it learnt", function()
        local result = run { FUZZ_JOBS = "2" }
        assert.equal(0, result.code, result.err)
        for _, name in ipairs { "one", "two" } do
            assert.matches(name .. " +%d+ +%d+ +1000 +42 +1 +0\n", result.out)
            assert.equal("new\n", files.read(work .. "/corpus/" .. name .. "/" .. name .. "-learnt"))
            assert.is_nil(stat.stat("spec/fuzz/corpus/" .. name))
        end
        assert.truthy(result.out:find(files.read(work .. "/table"), 1, true))
    end)

    it("goes on with the target that has had the least time", function()
        assert.equal(0, run({ FUZZ_BUDGET = "1.1" }).code)
        assert.equal("one ", runs())
        assert.equal(0, run({ FUZZ_BUDGET = "1.1" }).code)
        assert.equal("two ", runs())
        assert.equal(0, run({ FUZZ_BUDGET = "1.1" }).code)
        assert.matches("^%l+ $", runs()) -- the next round has begun
    end)

    it("ends with code 1 where there is a finding, says how to repeat it, and sees when it is mended", function()
        files.write(folder .. "/programs/broken-one", "")
        local result = run { FUZZ_JOBS = "2" }
        assert.equal(1, result.code)
        local finding = work .. "/findings/one-crash-0a1b"
        assert.truthy(result.out:find(("again: %s/programs/one_fuzz %s\n"):format(folder, finding), 1, true), result.out)
        assert.matches("two +%d+ +%d+ +1000 ", result.out)
        runs()
        result = run { FUZZ_SECONDS = "2", FUZZ_BUDGET = "1.1", FUZZ_JOBS = "2" }
        assert.equal(1, result.code)
        assert.equal("one two ", runs())
        os.remove(folder .. "/programs/broken-one")
        result = run { FUZZ_BUDGET = "1.1" }
        assert.equal(0, result.code, result.out)
        assert.is_nil(stat.stat(finding))
        assert.equal("bad\n", files.read(work .. "/corpus/one/one-crash-0a1b"))
    end)

    it("counts what was done when it is interrupted", function()
        local started = start { FUZZ_SECONDS = "100" }
        wait.eventually(function()
            return stat.stat(folder .. "/programs/runs")
        end, "a target to start")
        started:signal "TERM"
        assert.equal(3, started:wait_end(20))
        assert.equal(100, tonumber(started:out():match "one, (%d+) seconds"))
        assert.matches("^one %d+%.%d ", files.read(work .. "/state"))
        assert.is_nil(started:out():find("two, ", 1, true))
    end)

    it("refuses what it cannot run", function()
        local result = process.run { "spec/fuzz/run", folder .. "/programs", work, "three" }
        assert.equal(2, result.code)
        assert.equal("there is no target three\n", result.err)
        for name in dirent.files(folder .. "/programs") do
            os.remove(folder .. "/programs/" .. name)
        end
        result = process.run { "spec/fuzz/run", folder .. "/programs", work }
        assert.equal(2, result.code)
    end)
end)

-- What a round has found and was mended is among them: it is not to come back.
describe("the seeds", function()
    scope.manage()

    for name in dirent.files "spec/fuzz/corpus" do
        if not name:find "^%." then
            it("of " .. name .. " pass", function()
                local target = os.getenv "MOONDNS_BUILD" .. "/debug/fuzz/" .. name .. "_fuzz"
                assert.truthy(stat.stat(target), target .. " is not there: cmake --build with --target fuzz_targets makes it")
                local argv = { target }
                for seed in dirent.files("spec/fuzz/corpus/" .. name) do
                    if not seed:find "^%." then
                        argv[#argv + 1] = "spec/fuzz/corpus/" .. name .. "/" .. seed
                    end
                end
                local result = process.run(argv)
                local last = result.out:match "([^\n]*)\n$"
                assert.equal(0, result.code, ("%s:\n%s"):format(last, result.err))
                assert.equal(#argv - 1, select(2, result.out:gsub("\n", "")))
            end)
        end
    end
end)
