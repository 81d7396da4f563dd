-- Options while the proxy runs: config files that are read again at SIGHUP, and scripts that assign to ctx.options.
local files = require "spec.support.files"
local proxy = require "spec.support.proxy"
local scope = require "spec.support.scope"
local wait = require "spec.support.wait"
local wire = require "spec.support.wire"

-- Says what it is configured with; answers 192.0.2.`last`.
local SCRIPT = [[
    function load(loader)
        loader:add_option("last", "int", 1, "last byte of the answer")
        loader:add_option("names", "list", {}, "names")
        loader:add_option("common", "str", "c", "of both scripts")
    end
    function configure(updated)
        if ctx.options.last > 200 then error("last: too large") end
        local o = ctx.options
        log.info("NAME configured: %s last=%d names=%s common=%s timeout=%g%s", updated.last and "last" or "no last", o.last,
            table.concat(o.names, "+"), o.common, o.timeout, updated.common and " common" or "")
    end
    function dns_request(flow)
        flow.response = flow.request:succeed { dns.ResourceRecord.A(flow.request.question.name, "192.0.2." .. ctx.options.last) }
    end]]

local OTHER = [[
    function load(loader) loader:add_option("common", "str", "c", "of both scripts") end
    function configure(updated)
        if ctx.options.common == "bad" then error("common: not that") end
        log.info("other configured: %s", ctx.options.common)
    end]]

describe("a config file", function()
    scope.manage()
    local config, moondns

    local function start(text, args, workers)
        config = files.temp_file("config.json", text)
        moondns = proxy.start {
            script = { proxy.script((SCRIPT:gsub("NAME", "first"))), proxy.script(OTHER) },
            args = { "--config", config, "--workers", workers or 1, unpack(args or {}) },
        }
    end

    local function last_byte()
        return wire.parse(assert(moondns:udp():ask(wire.query("a.example", "A")))).answers[1].data:byte(4)
    end

    -- Rewrites the file and sends HUP; waits for a line of the log behind what it has already.
    local function change(text, pattern)
        local before = #moondns:err()
        files.write(config, text)
        moondns:signal "HUP"
        wait.eventually(function()
            return moondns:err():find(pattern, before)
        end, function()
            return pattern .. " in:\n" .. moondns:err():sub(before)
        end)
        return moondns:err():sub(before)
    end

    local REFUSED = "the new values are refused; options and scripts stay as they are"

    it("is read again at SIGHUP: scripts are configured with the new values", function()
        start [[{"set": {"last": 7, "names": ["a", "b"]}, "timeout": 1}]]
        moondns:wait_output("first configured: last last=7 names=a%+b common=c timeout=1", "err")
        assert.equal(7, last_byte())
        local err = change([[{"set": {"last": 8, "names": "c", "common": "d"}, "timeout": 0.5}]], "the new values count")
        assert.truthy(err:find("set, timeout: the new values count", 1, true), err)
        assert.truthy(err:find("first configured: last last=8 names=c common=d timeout=0.5 common", 1, true), err)
        assert.truthy(err:find("other configured: d", 1, true), err)
        assert.equal(8, last_byte())
        err = change("{}", "the new values count")
        assert.truthy(err:find("first configured: last last=1 names= common=c timeout=2", 1, true), err)
        assert.equal(1, last_byte())
    end)

    it("leaves all as it was when a script refuses, a value does not fit, or there is no such option", function()
        start [[{"set": {"last": 7}}]]
        local err = change([[{"set": {"last": 250, "common": "new"}}]], REFUSED)
        assert.truthy(err:find("last: too large", 1, true), err)
        err = change([[{"set": {"last": 8, "common": "bad"}}]], REFUSED)
        assert.truthy(err:find("common: not that", 1, true), err)
        err = change([[{"set": {"last": "x"}}]], REFUSED)
        assert.truthy(err:find("--set last: int expected, got 'x'", 1, true), err)
        err = change([[{"set": {"lust": 9}}]], REFUSED)
        assert.truthy(err:find("no script declares such an option (did you mean 'last'?)", 1, true), err)
        err = change([[{"timeout": -1, "set": {"last": 9}}]], "the options stay as they are")
        assert.truthy(err:find(config .. ": timeout: seconds from 0.000001 to 31622400 (366 days) expected", 1, true), err)
        err = change([[{"set": {"last": 9}]], "the options stay as they are")
        assert.truthy(err:find("the JSON ends too early", 1, true), err)
        assert.equal(7, last_byte())
        change([[{"set": {"last": 9}}]], "the new values count")
        assert.equal(9, last_byte())
    end)

    it("does not win against the command line", function()
        start([[{"set": {"last": 7}, "timeout": 1}]], { "--set", "last=3", "--timeout", "4" })
        assert.equal(3, last_byte())
        change([[{"set": {"last": 8}, "timeout": 2, "retries": 5}]], "retries: the new values count")
        assert.equal(3, last_byte())
        assert.truthy(moondns:err():match "first configured.*first configured: last last=3 names= common=c timeout=4")
    end)

    it("names the options that need a restart", function()
        start [[{"retries": 1}]]
        local err = change([[{"cache": 100, "hosts": "/etc/hosts", "retries": 2}]], "the new values count")
        assert.truthy(err:find("warn: hosts, cache: a new value needs a restart", 1, true)
            or err:find("warn: cache, hosts: a new value needs a restart", 1, true), err)
    end)

    it("reaches all workers as one", function()
        start([[{"set": {"last": 7}}]], nil, 2)
        local clients = {}
        for i = 1, 20 do
            clients[i] = moondns:udp()
        end
        local function bytes()
            local seen = {}
            for _, client in ipairs(clients) do
                seen[wire.parse(assert(client:ask(wire.query("a.example", "A")))).answers[1].data:byte(4)] = true
            end
            return seen
        end
        assert.same({ [7] = true }, bytes())
        change([[{"set": {"last": 8}, "hook-timeout": 0.2}]], "the new values count")
        assert.same({ [8] = true }, bytes())
        change([[{"set": {"last": 250}}]], REFUSED)
        assert.same({ [8] = true }, bytes())
    end)

    it("changes how long hooks may compute, and how long and often upstreams are asked", function()
        config = files.temp_file("config.json", "{}")
        moondns = proxy.start {
            code = [[function dns_request(flow)
                if flow.request.question.name ~= "endless.example" then return end
                while true do end
            end]],
            upstream = "127.0.0.1:1",
            args = { "--config", config },
        }
        change([[{"hook-timeout": 0.05, "retries": 0, "held-max": 1, "held-memory": 1}]], "the new values count")
        moondns:udp():ask(wire.query("endless.example", "A"))
        moondns:wait_output("cut off after 0.05", "err")
    end)
end)

describe("ctx.options", function()
    scope.manage()

    it("has its values in all workers, whichever set them last", function()
        local moondns = proxy.start {
            code = [[
                function load(loader)
                    loader:add_option("text", "str", "none", "")
                    loader:add_option("list", "list", {}, "")
                    loader:add_option("number", "number", 0.5, "")
                    loader:add_option("flag", "bool", false, "")
                end
                function configure(updated)
                    if ctx.options.text == "bad" then error("not that") end
                end
                function dns_request(flow)
                    local o, name = ctx.options, flow.request.question.name
                    local value = name:match "^set%-(.-)%."
                    if value then
                        o.list = { value, "", "3:a\0b" }
                        o.number = 1 / 3
                        o.flag = true
                        pcall(function() o.text = value end)
                    end
                    flow.response = flow.request:succeed { dns.ResourceRecord.TXT(name, table.concat({ o.text, #o.list,
                        (o.list[1] or "-"), (o.list[3] or "-"), tostring(o.number == 1 / 3), tostring(o.flag) }, ",")) }
                end]],
            args = { "--workers", "3" },
        }
        local clients = {}
        for i = 1, 30 do
            clients[i] = moondns:udp()
        end
        local function seen()
            local all, last = {}, nil
            for _, client in ipairs(clients) do
                last = wire.parse(assert(client:ask(wire.query("a.example", "TXT")))).answers[1].data:sub(2)
                all[last] = true
            end
            return next(all, next(all)) == nil and last
        end
        assert.equal("none,0,-,-,false,false", seen())
        for i = 1, 3 do
            assert(clients[i]:ask(wire.query("set-v" .. i .. ".example", "TXT")))
            wait.eventually(function()
                return seen() == ("v%d,3,v%d,3:a\0b,true,true"):format(i, i)
            end, "v" .. i)
        end
        assert(clients[1]:ask(wire.query("set-bad.example", "TXT")))
        wait.eventually(function()
            return seen() == "v3,3,bad,3:a\0b,true,true"
        end, "what was not refused")
    end)

    it("configures the other scripts too, and keeps what one refuses", function()
        local setter = [[
            function dns_request(flow)
                local value = flow.request.question.name:match "^[^.]+"
                log.info("%s: %s", value, tostring((select(2, pcall(function() ctx.options.common = value end)))))
                flow.response = flow.request:succeed { dns.ResourceRecord.TXT(flow.request.question.name, ctx.options.common) }
            end]]
        local moondns = proxy.start {
            script = { proxy.script((SCRIPT:gsub("NAME", "first"))), proxy.script(OTHER), proxy.script(setter) },
        }
        local function set(value)
            return wire.parse(assert(moondns:udp():ask(wire.query(value .. ".example", "TXT")))).answers[1].data:sub(2)
        end
        assert.equal("fine", set "fine")
        assert.truthy(moondns:err():find("first configured: no last last=1 names= common=fine timeout=2 common", 1, true))
        assert.truthy(moondns:err():find("other configured: fine", 1, true))
        assert.equal("fine", set "bad")
        assert.truthy(moondns:err():match "bad: [^\n]*common: not that")
        -- the first script had taken it, and has taken it back
        assert.truthy(moondns:err():match "common=bad.-first configured: no last last=1 names= common=fine")
        assert.truthy(moondns:err():match "common=bad.-other configured: fine")
    end)
end)
