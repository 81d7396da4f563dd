-- `moondns test`: what it finds, what it prints, how it ends.
local files = require "spec.support.files"
local process = require "spec.support.process"
local proxy = require "spec.support.proxy"
local scope = require "spec.support.scope"
local unistd = require "posix.unistd"

describe("moondns test", function()
    scope.manage()
    local folder

    before_each(function()
        folder = files.temp_folder()
    end)

    local function write(name, text)
        return files.write(folder .. "/" .. name, text)
    end

    local function run(...)
        return proxy.run({ "test", ... }, { folder = folder })
    end

    -- Runs one file of this text.
    local function run_text(text, ...)
        write("x_test.lua", text)
        return run(...)
    end

    local function finds(text, wanted)
        assert.truthy(text:find(wanted, 1, true), "no '" .. wanted .. "' in:\n" .. text)
    end

    it("runs the tests of all scripts in scripts/ in below two seconds", function()
        local begun = os.time()
        local result = proxy.run { "test", "scripts" }
        assert.equal(0, result.code, result.out)
        assert.is_true(os.time() - begun <= 2)
        for path in io.popen("ls scripts/*.lua"):lines() do
            finds(result.out, "scripts/tests/" .. path:match "([^/]+)%.lua$" .. "_test.lua: test_")
        end
    end)

    it("runs a folder once, wherever links lead", function()
        files.make_folder(folder .. "/deep")
        write("deep/c_spec.lua", "function test_c() end")
        for _, link in ipairs { "again", "deep/up" } do
            assert(unistd.link(folder, folder .. "/" .. link, true))
        end
        local result = run()
        assert.equal(0, result.code, result.err)
        assert.truthy(result.out:find "c_spec.lua: test_c\n1%.%.1\n", result.out)
    end)

    it("names tests on one line", function()
        local result = run_text [[_G["test_a\n# SKIP"] = function() end]]
        assert.equal(0, result.code, result.err)
        finds(result.out, "ok 1 - x_test.lua: test_a\\n\\# SKIP\n1..1\n")
    end)

    it("finds files by name, also in folders below, and prints TAP", function()
        files.make_folder(folder .. "/deep")
        files.make_folder(folder .. "/.hidden")
        write("b_test.lua", "function test_b() end function test_a() end function helper() error() end\ntest_no = 1")
        write("deep/c_spec.lua", "function test_c() end")
        write(".hidden/d_test.lua", "function test_d() end")
        write("e.lua", "error()")
        local result = run()
        assert.equal(0, result.code, result.err)
        assert.equal(table.concat({
            "TAP version 13",
            "ok 1 - b_test.lua: test_a",
            "ok 2 - b_test.lua: test_b",
            "ok 3 - deep/c_spec.lua: test_c",
            "1..3",
            "# 3 passed, 0 failed",
            "",
        }, "\n"), result.out)
        finds(run("deep").out, "ok 1 - deep/c_spec.lua: test_c\n1..1\n")
        finds(run("--filter", "_[bc]$", ".").out, "1..2\n")
        finds(run("--filter=_a", "b_test.lua").out, "ok 1 - b_test.lua: test_a\n1..1\n")
    end)

    it("has a world of its own for each test", function()
        write("s.lua", "count = 0; function dns_request() count = count + 1 log.info('%d %s', count, tostring(shared.incr('n', 1, 0))) end")
        local result = run_text [[
            local addon = test.load "s.lua"
            local runs = 0
            local function run()
                runs = runs + 1
                assert(runs == 1 and #addon.log == 0)
                addon:run(test.flow { name = "a.example" })
                assert(addon.log[1] == "1 1", addon.log[1])
                test.advance(100)
                assert(math.abs(os.time() - test.now()) <= 1 and not made)
                made = true
            end
            function test_one() run() end
            function test_two() run() end
            function test_has_what_scripts_have()
                sleep(2)
                for _, name in ipairs { "dns", "log", "ctx", "persist", "shared", "timer", "http", "metrics" } do assert(_G[name], name) end
                local done
                timer.after(1, function() done = true end)
                test.advance(1)
                assert(done and ctx.options.workers == 1)
            end
        ]]
        assert.equal(0, result.code, result.out)
    end)

    it("keeps what a file does before its tests: upstreams, timers, logs", function()
        write("s.lua", "ticks = 0; timer.every(1, function() ticks = ticks + 1 end) log.info 'loaded'")
        local result = run_text [[
            test.upstream { ["*"] = "192.0.2.1" }
            local addon = test.load "s.lua"
            local function check()
                test.equal({ "192.0.2.1" }, test.answers(addon:run(test.flow { name = "a.example" })))
                test.advance(2)
                test.equal(2, addon.globals.ticks)
            end
            function test_one() check() end
            function test_two() check() end
            function test_fails() assert(false) end
        ]]
        finds(result.out, "ok 1 - x_test.lua: test_one\nok 2 - x_test.lua: test_two\nnot ok 3")
        finds(result.out, '  log:\n    - "info: loaded"\n')
        finds(run("--filter", "fails").out, '  log:\n    - "info: loaded"\n')
    end)

    it("tells what failed: the expression, the values, the place, the log", function()
        write("s.lua", "function dns_request(flow) log.warn('look \\27here') flow.response = flow.request:fail('REFUSED') end")
        local result = run_text [[
            function test_code()
                local flow = test.load("s.lua"):run(test.flow { name = "a.example" })
                assert(test.rcode(flow) == "NXDOMAIN")
            end
            function test_equal() test.equal({ a = 1, 2 }, { a = 1, 3 }) end
            function test_raises() test.raises(error, "this", "that") end
            function test_nothing_raised() test.raises(print, "this") end
            function test_error() local x; x.y = 1 end
            function test_message() assert(false, "told") end
            function test_over_lines()
                local a = "x == y"
                assert(#a ==
                    ("(,")  :len(), nil)
            end
            function test_table() error { code = 1 } end
            function test_nil() error() end
        ]]
        assert.equal(4, result.code)
        finds(result.out, '  at: "x_test.lua:12"\n  expression: "#a == (\\"(,\\") :len()"\n  values:\n    "#a": "6"\n    "(\\"(,\\") :len()": "2"\n')
        finds(result.out, 'message: "{ code = 1 }"')
        finds(result.out, 'message: "(the error is a nil)"')
        finds(result.out, [[
not ok 1 - x_test.lua: test_code
  ---
  message: "assertion failed"
  at: "x_test.lua:3"
  expression: "test.rcode(flow) == \"NXDOMAIN\""
  values:
    "test.rcode(flow)": "\"REFUSED\""
  log:
    - "warn: look \\x1bhere"
  ...
]])
        finds(result.out, '    "first": "{ 2, a = 1 }"\n    "second": "{ 3, a = 1 }"\n')
        finds(result.out, '  at: "x_test.lua:6"\n  values:\n    "expected": "\\"this\\""\n    "raised": "\\"that\\""\n')
        finds(result.out, 'message: "nothing was raised"')
        finds(result.out, "message: \"attempt to index local 'x' (a nil value)\"\n  at: \"x_test.lua:8\"\n  traceback:\n")
        finds(result.out, 'message: "told"\n  at: "x_test.lua:9"\n')
        finds(result.out, "# 0 passed, 9 failed\n")
    end)

    it("writes JUnit's XML, escaped", function()
        local result = run_text([==[
            function test_good() end
            function test_bad() error("<&\"]]>\1\255") end
        ]==], "--junit", "report.xml")
        assert.equal(4, result.code)
        local xml = files.read(folder .. "/report.xml")
        finds(xml, '<testsuites tests="2" failures="1" errors="0">')
        finds(xml, '<testcase classname="x_test.lua" name="test_good" time="')
        finds(xml, '<failure message="&lt;&amp;&quot;]]&gt;\\x01\\xff">')
        local check = process.run { "python3", "-c", "import sys, xml.dom.minidom as m; m.parse(sys.argv[1])", folder .. "/report.xml" }
        assert.equal(0, check.code, check.err)
    end)

    it("says which file cannot be loaded, runs the others, ends with 3", function()
        write("a_test.lua", "function test_a() x y end")
        write("b_test.lua", "\nerror 'no luck'")
        write("c_test.lua", "function test_c() end")
        local result = run("--junit", "report.xml")
        assert.equal(3, result.code)
        finds(result.out, "not ok 1 - a_test.lua: cannot be loaded\n")
        finds(result.out, "a_test.lua:1")
        finds(result.out, 'message: "no luck"\n  at: "b_test.lua:2"')
        finds(result.out, "ok 3 - c_test.lua: test_c")
        finds(files.read(folder .. "/report.xml"), 'errors="2"')
    end)

    it("cuts off an endless test, and goes on", function()
        local result = run_text([[
            function test_endless() while true do pcall(function() end) end end
            function test_endless_hook()
                local file = io.open("s.lua", "w")
                file:write("function dns_request() while true do end end")
                file:close()
                test.load("s.lua"):run(test.flow { name = "a.example" })
            end
            function test_next() end
        ]], "--test-timeout", "0.2")
        assert.equal(4, result.code)
        finds(result.out, "not ok 1")
        finds(result.out, "cut off after 0.2 s of computing (--test-timeout)")
        finds(result.out, "not ok 2")
        finds(result.out, "ok 3 - x_test.lua: test_next")
    end)

    it("leaves busted's files to busted", function()
        write("x_spec.lua", "local x = require 'nowhere'\ndescribe('x', function() end)")
        write("y_spec.lua", "if true then describe('y', function() end) end")
        write("z_test.lua", "function test_z() end")
        local result = run()
        assert.equal(0, result.code, result.out)
        finds(result.out, "ok 1 - x_spec.lua # SKIP written for busted: run busted x_spec.lua\n")
        finds(result.out, "ok 2 - y_spec.lua # SKIP written for busted: run busted y_spec.lua\n")
        finds(result.out, "# 1 passed, 0 failed, 2 skipped\n")
    end)

    it("shows what tests print, and the seeds of random numbers", function()
        write("s.lua", "function load() dns.random(8) end")
        local result = run_text "function test_x() print('a', 1) log.warn('b\\27') dns.random(7) test.load 's.lua' end"
        assert.equal(0, result.code, result.out)
        finds(result.out, "# a  1\n# b\\x1b\n# dns.random: seed 7\n# dns.random: seed 8\nok 1")
    end)

    it("says what is wrong with its arguments, and when there is no test", function()
        for arguments, words in pairs {
            ["--filtr x"] = "unknown option '--filtr' (did you mean '--filter'?)",
            ["--filter"] = "--filter needs a value: --filter PATTERN",
            ["--filter ["] = "--filter: '[' is no Lua pattern",
            ["--test-timeout soon"] = "--test-timeout: seconds (more than 0) expected, got 'soon'",
            ["nowhere_test.lua"] = "nowhere_test.lua: No such file or directory",
            ["--junit no/where"] = "--junit: no/where: No such file or directory",
            [""] = "no test was run: tests are global functions test_",
        } do
            local list = {}
            for word in arguments:gmatch "%S+" do
                list[#list + 1] = word
            end
            local result = run(unpack(list))
            assert.equal(2, result.code, arguments)
            finds(result.err, words)
        end
        local help = run "--help"
        assert.equal(0, help.code)
        finds(help.out, "Usage: moondns test [OPTION...] [FILE|DIR...]")
    end)
end)
