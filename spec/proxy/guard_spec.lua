-- Nothing that a script does ends the proxy or holds it up for long.
local proxy = require "spec.support.proxy"
local scope = require "spec.support.scope"
local wait = require "spec.support.wait"
local wire = require "spec.support.wire"

local ANSWER = [[
    local function answer(flow) flow.response = flow.request:succeed{dns.ResourceRecord.A(flow.request.question.name, "192.0.2.9")} end
]]

describe("the guard", function()
    scope.manage()

    local function start(code, args)
        return proxy.start { code = ANSWER .. code, args = args }
    end

    local function assert_serves(moondns, name)
        local answer = wire.parse(assert(moondns:udp():ask(wire.query(name or "good.example", "A"))))
        assert.equal(0, answer.rcode)
        assert.equal(wire.ipv4 "192.0.2.9", answer.answers[1].data)
    end

    it("cuts an endless loop off, names its line, and answers the others", function()
        local moondns = start([[
            function dns_request(flow)
                if flow.request.question.name == "loop.example" then
                    while true do end
                end
                answer(flow)
            end]], { "--hook-timeout", "0.3" })
        local looping, other = moondns:udp(), moondns:udp()
        looping:send(wire.query("loop.example", "A"))
        assert.equal(0, wire.parse(assert(other:ask(wire.query("good.example", "A")))).rcode)
        assert.equal(wire.rcodes.SERVFAIL, wire.parse(assert(looping:receive())).rcode)
        moondns:wait_output("script%.lua:4: ", "err")
        assert_serves(moondns)
    end)

    it("cannot be swallowed by pcall", function()
        local moondns = start([[
            function dns_request(flow)
                if flow.request.question.name == "loop.example" then
                    while true do pcall(function() while true do end end) end
                end
                answer(flow)
            end]], { "--hook-timeout", "0.3" })
        assert.equal(wire.rcodes.SERVFAIL, wire.parse(assert(moondns:udp():ask(wire.query("loop.example", "A")))).rcode)
        assert_serves(moondns)
    end)

    local SWALLOWERS = {
        ["xpcall"] = "xpcall(forever, debug.traceback)",
        ["a handler of xpcall that loops"] = "xpcall(forever, forever)",
        ["a coroutine"] = "coroutine.resume(coroutine.create(forever))",
        ["coroutine.wrap"] = "pcall(coroutine.wrap(forever))",
    }
    for what, call in pairs(SWALLOWERS) do
        it("cannot be swallowed by " .. what, function()
            local moondns = start(([[
                local function forever() while true do end end
                function dns_request(flow)
                    if flow.request.question.name == "loop.example" then
                        while true do %s end
                    end
                    answer(flow)
                end]]):format(call), { "--hook-timeout", "0.3" })
            assert.equal(wire.rcodes.SERVFAIL, wire.parse(assert(moondns:udp():ask(wire.query("loop.example", "A")))).rcode)
            assert_serves(moondns)
        end)
    end

    it("caps a script's memory", function()
        local moondns = start([[
            function dns_request(flow)
                if flow.request.question.name == "hungry.example" then
                    local hoard = {}
                    while true do hoard[#hoard + 1] = ("x"):rep(1000000) .. #hoard end
                end
                answer(flow)
            end]], { "--script-memory", "64", "--hook-timeout", "20" })
        assert.equal(wire.rcodes.SERVFAIL, wire.parse(assert(moondns:udp():ask(wire.query("hungry.example", "A")))).rcode)
        moondns:wait_output("memory", "err")
        assert_serves(moondns)
    end)

    it("tells of memory that is used up once a second at the most", function()
        local moondns = start([[
            function dns_request(flow)
                local hoard = ("x"):rep(2 ^ 27)
            end]], { "--script-memory", "64" })
        local client, began, asked = moondns:udp(), wait.now(), 0
        repeat
            assert.equal(wire.rcodes.SERVFAIL, wire.parse(assert(client:ask(wire.query("hungry.example", "A")))).rcode)
            asked = asked + 1
        until asked >= 20 and moondns:err():find "was used up"
        local _, told = moondns:err():gsub("the scripts' memory was used up", "")
        assert.is_true(told <= 1 + wait.now() - began, told .. " lines")
    end)

    it("lets os.exit raise", function()
        local moondns = start [[
            function dns_request(flow)
                if flow.request.question.name == "exit.example" then
                    os.exit(0)
                end
                answer(flow)
            end]]
        assert.equal(wire.rcodes.SERVFAIL, wire.parse(assert(moondns:udp():ask(wire.query("exit.example", "A")))).rcode)
        moondns:wait_output("os%.exit", "err")
        assert_serves(moondns)
    end)

    it("logs a hook that raises with file, line and traceback, and goes on", function()
        local moondns = start [[
            local function deeper() error("on purpose") end
            function dns_request(flow)
                answer(flow)
                deeper()
            end]]
        assert_serves(moondns) -- the flow goes on as it then stands
        moondns:wait_output("script%.lua:2: on purpose", "err")
        moondns:wait_output("traceback", "err")
        moondns:wait_output("script%.lua:5: ", "err")
    end)

    it("logs an error of the same line once a second at the most", function()
        local moondns = start [[
            function dns_request(flow)
                answer(flow)
                error("again")
            end]]
        local client, started = moondns:udp(), wait.now()
        for _ = 1, 200 do
            assert(client:ask(wire.query("good.example", "A")))
        end
        local seconds = wait.now() - started
        moondns:wait_output("again", "err")
        local _, count = moondns:err():gsub("script%.lua:4: again", "")
        assert.is_true(count >= 1 and count <= 2 * (seconds + 2), count .. " reports in " .. seconds .. " seconds")
    end)

    it("cuts a script off that loops while it loads", function()
        local result = proxy.run { "-l", "127.0.0.1:" .. require("spec.support.ports").free(), "-u", "none",
            "--hook-timeout", "0.3", "-s", proxy.script "while true do end" }
        assert.equal(3, result.code)
        assert.truthy(result.err:match "script%.lua:1: ")
    end)

    local THROWERS = {
        ["loops"] = { "while true do end", "whose __tostring fails" },
        ["eats memory"] = { "local t = {}; while true do t[#t + 1] = ('x'):rep(1e6) .. #t end", "whose __tostring fails" },
        ["raises"] = { "error(setmetatable({}, getmetatable(self)))", "whose __tostring fails" },
        ["gives no text"] = { "return {}", "the error is a table" },
        ["is fine"] = { "return 'fine'", "fine" },
    }
    for what, case in pairs(THROWERS) do
        it("outlasts an error whose __tostring " .. what, function()
            local moondns = start(([[
                local function throw() error(setmetatable({}, { __tostring = function(self) %s end })) end
                timer.after(0, throw)
                function dns_request(flow)
                    if flow.request.question.name == "bad.example" then throw() end
                    if flow.request.question.name == "late.example" then sleep(0); throw() end
                    if flow.request.question.name == "logged.example" then
                        log.info(setmetatable({}, { __tostring = function() error("no text") end }))
                    end
                    answer(flow)
                end
                function done() throw() end]]):format(case[1]), { "--hook-timeout", "0.3", "--script-memory", "64" })
            for _, name in ipairs { "bad.example", "late.example", "logged.example" } do
                assert.equal(wire.rcodes.SERVFAIL, wire.parse(assert(moondns:udp():ask(wire.query(name, "A")))).rcode)
                assert_serves(moondns)
            end
            moondns:wait_output(case[2], "err")
            moondns:wait_output("script%.lua:%d+: no text", "err")
        end)
    end

    describe("says of a script that does not load", function()
        local function complaint(code, ...)
            local path = proxy.script(code)
            local result = proxy.run { "--check", "-s", path, ... }
            assert.equal(3, result.code)
            return result.err, path
        end

        it("whose memory was used up", function()
            local err, path = complaint("local t = {} while true do t[#t + 1] = ('x'):rep(1e6) .. #t end", "--script-memory", "32",
                "--hook-timeout", "20")
            assert.truthy(err:find("error: " .. path .. ": not enough memory", 1, true), err)
        end)

        it("the place once, though a coroutine passed the error on", function()
            local err, path = complaint("coroutine.wrap(function() while true do end end)()", "--hook-timeout", "0.2")
            assert.truthy(err:find("error: " .. path .. ":1: cut off after", 1, true), err)
        end)

        it("only what is the script's", function()
            local err, path = complaint "error('on purpose')"
            assert.truthy(err:find("error: " .. path .. ":1: on purpose\n", 1, true), err)
            assert.truthy(err:find("traceback", 1, true))
            assert.is_nil(err:find("dns.script", 1, true))
            err, path = complaint "x y"
            assert.truthy(err:find("error: " .. path .. ":1: ", 1, true), err)
            assert.is_nil(err:find("traceback", 1, true))
        end)

        it("that it is a folder, or compiled", function()
            local result = proxy.run { "--check", "-s", "/" }
            assert.equal(3, result.code)
            assert.truthy(result.err:find "error: /: a folder, not a file\n$")
            local err, path = complaint(string.dump(function() end))
            assert.truthy(err:find("error: " .. path .. ": compiled code, where a script is text\n", 1, true), err)
        end)
    end)
end)
