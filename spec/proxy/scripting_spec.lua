-- What a running script can do with its flows, its options and time.
local files = require "spec.support.files"
local proxy = require "spec.support.proxy"
local scope = require "spec.support.scope"
local wait = require "spec.support.wait"
local wire = require "spec.support.wire"

describe("a script", function()
    scope.manage()

    local function start(code, args)
        return proxy.start { code = proxy.ANSWERING .. code, args = args }
    end

    describe("that keeps flows", function()
        it("can read them when they have ended, and changes nothing any more", function()
            local moondns = start [[
                local kept = {}
                function dns_request(flow)
                    local name = flow.request.question.name
                    if name ~= "look.example" then
                        kept[#kept + 1] = flow
                        answer(flow)
                        return
                    end
                    collectgarbage()
                    for i, old in ipairs(kept) do
                        assert(old.live == false and old.killable == false)
                        assert(old.request.question.name == "flow" .. i .. ".example")
                        assert(old.response.answers[1].ipv4_address == "192.0.2.9")
                        assert(old.client_conn.address == "127.0.0.1" and old.client_conn.transport == "udp")
                        assert(old.server_conn.address == nil)
                        assert(#old.id > 0 and old.id ~= flow.id)
                        assert(math.abs(old.timestamp_created - os.time()) < 100)
                        old.response = nil
                        old.error = "too late"
                        assert(not pcall(old.kill, old))
                    end
                    answer(flow, "192.0.2." .. #kept)
                end]]
            for i = 1, 5 do
                moondns:ask("flow" .. i .. ".example")
            end
            assert.equal(wire.ipv4 "192.0.2.5", wire.only_data(moondns:ask("look.example")))
        end)

        it("can read answers and errors that it never looked at", function()
            local moondns = start([[
                local kept = {}
                function dns_request(flow)
                    if flow.request.question.name == "look.example" then
                        assert(kept[1].response.answers[1].ipv4_address == "10.9.8.7")
                        assert(kept[2].error.msg == "no upstream", kept[2].error)
                        assert(kept[2].response.response_code == dns.response_codes.SERVFAIL)
                        answer(flow)
                    else
                        kept[#kept + 1] = flow
                    end
                end]], { "--hosts", files.temp_file("hosts", "10.9.8.7 local.example\n") })
            assert.equal(wire.ipv4 "10.9.8.7", wire.only_data(moondns:ask("local.example")))
            assert.equal(wire.rcodes.SERVFAIL, moondns:ask("nowhere.example").rcode)
            assert.equal(wire.ipv4 "192.0.2.9", wire.only_data(moondns:ask("look.example")))
        end)
    end)

    it("sees one and the same flow in all hooks, and what other scripts did to it", function()
        local first = proxy.script(proxy.ANSWERING .. [[
            function dns_request(flow) flow.metadata.first = true; seen = flow; answer(flow) end
            function dns_response(flow) log.info("same %s", tostring(rawequal(seen, flow))) end]])
        local second = proxy.script [[
            function dns_request(flow) log.info("metadata %s", tostring(flow.metadata.first)) end
            function dns_response(flow) flow.response.answers[1].ttl = 7 end]]
        local moondns = proxy.start { script = { first, second } }
        local answer = moondns:ask("a.example")
        assert.equal(7, answer.answers[1].ttl)
        moondns:wait_output("metadata true", "err")
        moondns:wait_output("same true", "err")
    end)

    it("is named as the one that set the response; a reader is not", function()
        local setter = files.temp_file("setter.lua", proxy.ANSWERING .. "function dns_request(flow) answer(flow) end")
        local reader = files.temp_file("reader.lua", [[
            function dns_request(flow) local r = flow.response end
            function dns_response(flow) log.info("%d", #flow.response.answers) end]])
        local moondns = proxy.start { script = { setter, reader } }
        moondns:ask("a.example")
        moondns:wait_output("%(script setter%.lua%)", "out")
    end)

    it("is named as the one that changed it", function()
        local reader = files.temp_file("reader.lua", "function dns_response(flow) local r = flow.response.answers end")
        local changer = files.temp_file("changer.lua", "function dns_response(flow) flow.response.answers[1].ttl = 1 end")
        local moondns = proxy.start { script = { reader, changer, reader },
            args = { "--hosts", files.temp_file("hosts", "10.9.8.7 local.example\n") } }
        moondns:ask("local.example")
        moondns:wait_output("%(script changer%.lua%)", "out")
    end)

    it("whose answer cannot be packed is told so; SERVFAIL goes out", function()
        local moondns = start [[
            function dns_request(flow)
                answer(flow)
                if flow.request.question.name == "bad.example" then flow.response.answers[2] = "no record" end
            end]]
        assert.equal(wire.rcodes.SERVFAIL, moondns:ask("bad.example").rcode)
        moondns:wait_output("answers%[2%]: ResourceRecord expected, got string", "err")
        assert.equal(0, moondns:ask("good.example").rcode)
    end)

    describe("that waits", function()
        it("holds up nobody", function()
            local moondns = start [[
                function dns_request(flow)
                    local name = flow.request.question.name
                    if name ~= "now.example" then sleep(0.3) end
                    answer(flow, name == "now.example" and "192.0.2.1" or "192.0.2.2")
                end]]
            local waiting = {}
            local started = wait.now()
            for i = 1, 50 do
                waiting[i] = moondns:udp()
                waiting[i]:send(wire.query("later" .. i .. ".example", "A"))
            end
            assert.equal(wire.ipv4 "192.0.2.1", wire.only_data(moondns:ask("now.example")))
            for i = 1, 50 do
                local answer = wire.parse(assert(waiting[i]:receive()))
                assert.equal(wire.ipv4 "192.0.2.2", wire.only_data(answer))
            end
            local took = wait.now() - started
            assert.is_true(took >= 0.3 and took < 10, "took " .. took)
        end)

        it("is told where it cannot", function()
            local moondns = start [[
                local loaded, why = pcall(sleep, 0)
                log.info("loading: %s", why)
                function dns_request(flow)
                    local _, own = coroutine.resume(coroutine.create(function() sleep(0) end))
                    log.info("own: %s", own)
                    local _, callback = pcall(string.gsub, "x", "x", function() sleep(0) end)
                    log.info("callback: %s", callback)
                    log.info("pcall: %s", tostring(pcall(sleep, 0)))
                    local _, negative = pcall(sleep, -1)
                    log.info("negative: %s", negative)
                    local _, yield = pcall(coroutine.yield)
                end]]
            moondns:ask("a.example")
            moondns:wait_output("loading: .*cannot wait while the script is loaded", "err")
            moondns:wait_output("own: .*cannot wait in a coroutine of the script's own", "err")
            moondns:wait_output("callback: .*cannot wait inside a function that C calls", "err")
            moondns:wait_output("pcall: true", "err")
            moondns:wait_output("negative: .*sleep: seconds %(0 or more%) expected, got %-1", "err")
            moondns:wait_output("coroutine.yield outside of a coroutine of the script's own", "err")
        end)

        it("ends with the script it began with", function()
            local moondns = start [[
                function dns_request(flow) log.info("began"); sleep(1); answer(flow, "192.0.2.1") end]]
            local client = moondns:udp()
            client:send(wire.query("slow.example", "A"))
            moondns:wait_output("began", "err")
            files.write(moondns.script, proxy.ANSWERING .. "function dns_request(flow) answer(flow, '192.0.2.2') end")
            moondns:wait_output("reloaded", "err")
            assert.equal(wire.ipv4 "192.0.2.2", wire.only_data(moondns:ask("quick.example")))
            assert.equal(wire.ipv4 "192.0.2.1", wire.only_data(wire.parse(assert(client:receive()))))
        end)
    end)

    it("holds flows until they are resumed or killed", function()
        local moondns = start [[
            local held = {}
            function dns_request(flow)
                local name = flow.request.question.name
                if name == "hold.example" or name == "kill.example" then
                    held[name] = flow
                    flow:intercept()
                    assert(flow.intercepted)
                elseif name == "go.example" then
                    answer(held["hold.example"], "192.0.2.3")
                    held["hold.example"]:resume()
                    held["kill.example"]:kill()
                    answer(flow)
                else
                    local count = 0
                    for _, flow in pairs(held) do count = count + (flow.intercepted and 1 or 0) end
                    answer(flow, "192.0.2." .. count)
                end
            end]]
        local held, killed = moondns:udp(), moondns:udp()
        held:send(wire.query("hold.example", "A"))
        killed:send(wire.query("kill.example", "A"))
        wait.eventually(function()
            return wire.only_data(moondns:ask("count.example")) == wire.ipv4 "192.0.2.2"
        end, "both to be held")
        assert.equal(0, moondns:ask("go.example").rcode)
        assert.equal(wire.ipv4 "192.0.2.3", wire.only_data(wire.parse(assert(held:receive()))))
        moondns:wait_output("kill.example\n << killed", "out")
        assert.equal(wire.ipv4 "192.0.2.0", wire.only_data(moondns:ask("count.example")))
    end)

    it("has timers, until it is reloaded", function()
        local moondns = start [[
            local count = 0
            function running()
                timer.after(0.01, function() log.info("once"); sleep(0.01); log.info("and later") end)
                local every
                every = timer.every(0.01, function()
                    count = count + 1
                    if count == 3 then every:cancel(); log.info("cancelled") end
                    if count > 3 then log.info("cancelled in vain") end
                end)
                timer.every(0.01, function() log.info("old tick") end)
            end]]
        moondns:wait_output("and later", "err")
        moondns:wait_output("cancelled", "err")
        files.write(moondns.script, "function running() timer.after(0.2, function() log.info('new tick') end) end")
        moondns:wait_output("new tick", "err")
        local after = moondns:err():match("reloaded(.*)$")
        assert.is_nil(after:find("old tick", 1, true))
        assert.is_nil(moondns:err():find("in vain", 1, true))
    end)

    it("has thousands of timers, and those that are due at once leave others their turn", function()
        local moondns = start [[
            local count, ticks, all = 0, 0, {}
            function running()
                for i = 1, 20000 do all[i] = timer.after(i % 2 == 0 and 0.2 or 60, function() count = count + 1 end) end
                timer.every(0, function() ticks = ticks + 1 end)
            end
            function dns_request(flow)
                for i = 1, #all, 2 do all[i]:cancel() end
                for _ = 1, 200 do
                    if count == 10000 and ticks > 3 then break end
                    sleep(0.05)
                end
                flow.response = flow.request:succeed { dns.ResourceRecord.A(flow.request.question.name, "192.0.2.1") }
                log.info("%d timers, %s", count, ticks > 3 and "many ticks" or ticks)
            end]]
        assert.equal(wire.ipv4 "192.0.2.1", wire.only_data(moondns:ask("count.example")))
        moondns:wait_output("10000 timers, many ticks", "err")
    end)

    describe("with options", function()
        local DECLARING = [[
            function load(loader)
                loader:add_option("ip", "str", "192.0.2.1", "the answer")
                loader:add_option("names", "list", {}, "which")
                loader:add_option("mode", { "on", "off" }, "on", "whether")
            end
            function configure(updated)
                if ctx.options.ip == "bad" then error("no such ip") end
                local names = {}
                for name in pairs(updated) do names[#names + 1] = name end
                table.sort(names)
                log.info("configure %s", table.concat(names, " "))
            end
            function dns_request(flow)
                local name = flow.request.question.name
                if name == "set.example" then ctx.options.ip = "192.0.2.7" end
                if name == "bad.example" then ctx.options.ip = "bad" end
                answer(flow, #ctx.options.names == 2 and ctx.options.mode == "off" and ctx.options.ip or nil)
            end]]

        it("gets them from --set, and may assign them", function()
            local moondns = start(DECLARING, { "--set", "ip=192.0.2.2", "--set", "names=a", "--set", "names=b", "--set", "mode=off" })
            moondns:wait_output("configure ip mode names", "err")
            assert.equal(wire.ipv4 "192.0.2.2", wire.only_data(moondns:ask("a.example")))
            assert.equal(wire.ipv4 "192.0.2.7", wire.only_data(moondns:ask("set.example")))
            moondns:wait_output("configure ip\n", "err")
            assert.equal(wire.rcodes.SERVFAIL, moondns:ask("bad.example").rcode)
            moondns:wait_output("no such ip", "err")
            assert.equal(wire.ipv4 "192.0.2.7", wire.only_data(moondns:ask("a.example")))
        end)

        it("keeps what it assigned when it is reloaded", function()
            local moondns = start(DECLARING, { "--set", "names=a", "--set", "names=b", "--set", "mode=off" })
            moondns:ask("set.example")
            files.write(moondns.script, proxy.ANSWERING .. "-- edited\n" .. DECLARING)
            moondns:wait_output("reloaded", "err")
            assert.equal(wire.ipv4 "192.0.2.7", wire.only_data(moondns:ask("a.example")))
        end)

        it("sees the proxy's own", function()
            local moondns = start([[
                log.info("timeout %s", tostring(ctx.options.timeout))
                log.info("set %s", tostring(select(2, pcall(function() ctx.options.timeout = 1 end))))]], { "--timeout", "1.5" })
            moondns:wait_output("timeout 1.5", "err")
            moondns:wait_output("set .*an option of the proxy's own cannot be set", "err")
        end)
    end)

    it("that breaks the libraries it is given breaks nobody else's, nor its own next edit", function()
        local BREAKING = [[
            string.format, table.concat, table.sort, os.time, setmetatable, pairs, tostring = nil
            setmetatable = nil
            function dns_request(flow) log.info("one %d", 1) end]]
        local one = files.temp_file("one.lua", BREAKING)
        local two = files.temp_file("two.lua", proxy.ANSWERING .. [[
            function dns_request(flow)
                print(string.format("%s", table.concat({ "t", "wo" })), ("%d"):format(2), tostring(os.time() > 0))
                answer(flow)
            end]])
        local moondns = proxy.start { script = { one, two } }
        assert.equal(wire.ipv4 "192.0.2.9", wire.only_data(moondns:ask("a.example")))
        moondns:wait_output("one 1", "err")
        moondns:wait_output("two\t2\ttrue", "err")
        files.write(one, BREAKING .. "\nlog.info('edited')")
        moondns:wait_output("edited", "err")
        moondns:wait_output("reloaded", "err")
        assert.equal(wire.ipv4 "192.0.2.9", wire.only_data(moondns:ask("a.example")))
    end)

    it("may take a module in that breaks the libraries of all: what moondns does in Lua goes on", function()
        local folder = files.temp_folder()
        files.write(folder .. "/breaking.lua", [[
            string.find, string.format, string.match, table.concat, table.insert, table.remove, table.sort = nil
            math.abs, math.huge, error, ipairs, next, tonumber, tostring = nil]])
        local script = proxy.script(proxy.ANSWERING .. [[
            require "breaking"
            local numbers, turn = dns.random(7), dns.sequence { "192.0.2.1", "192.0.2.2", per = "name" }
            function load(loader)
                loader:add_option("count", "int", 1, "how many")
                loader:add_option("names", "list", {}, "which")
            end
            function dns_request(flow)
                ctx.options.count = numbers:integer(5, 5)
                log.info("%d %s %s", ctx.options.count, table.concat(ctx.options.names, "+"), select(2, pcall(dns.random, "x")))
                turn(flow)
            end]])
        local moondns = proxy.start { script = script, args = { "--set", "names=a", "--set", "names=b" },
            environment = { LUA_PATH = folder .. "/?.lua;;" } }
        assert.equal(wire.ipv4 "192.0.2.1", wire.only_data(moondns:ask("a.example")))
        assert.equal(wire.ipv4 "192.0.2.2", wire.only_data(moondns:ask("a.example")))
        moondns:wait_output("5 a%+b .*dns.random: integer expected, got 'x'", "err")
        files.write(script, files.read(script) .. "\nlog.info('edited')")
        moondns:wait_output("edited.*reloaded", "err")
    end)

    it("cannot set what all scripts have in common in `dns`", function()
        local moondns = proxy.start { code = [[
            local function try(name, ...) log.warn(name .. ": " .. tostring(select(2, pcall(...)))) end
            try("set", function() dns.types.A = 28 end)
            try("rawset", rawset, dns.ResourceRecord, "A", print)
            try("rawset dns", rawset, dns, "types", {})
            try("own", rawset, {}, "A", 1)
        ]] }
        for _, text in ipairs { "set: .*dns%.types%.A: cannot be set", "rawset: .*dns%.ResourceRecord%.A: cannot be set",
            "rawset dns: .*dns%.types: cannot be set", "own: table" } do
            moondns:wait_output(text, "err")
        end
    end)

    it("may have a metatable on its globals, and a list of addons", function()
        local moondns = start [[
            setmetatable(_G, { __newindex = function(_, name) error("no global " .. name, 2) end })
            rawset(_G, "addons", { { dns_request = function(self, flow) answer(flow) end } })
            log.info("%s", select(2, pcall(function() misspelt = 1 end)))]]
        assert.equal(wire.ipv4 "192.0.2.9", wire.only_data(moondns:ask("a.example")))
        moondns:wait_output("no global misspelt", "err")
    end)
end)
