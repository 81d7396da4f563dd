-- shared in Redis: several instances have it in common, through a real redis-server.
local files = require "spec.support.files"
local metrics = require "spec.support.metrics"
local net = require "spec.support.net"
local process = require "spec.support.process"
local proxy = require "spec.support.proxy"
local redis = require "spec.support.redis"
local scope = require "spec.support.scope"
local wait = require "spec.support.wait"
local wire = require "spec.support.wire"

local ANSWER = [[
    local function answer(flow, ip)
        flow.response = flow.request:succeed { dns.ResourceRecord.A(flow.request.question.name, ip or "192.0.2.1") }
    end
    local function show(...) log.info("got %s, %s", tostring((...)), tostring((select(2, ...)))) end
]]

-- Counts each query; "away" answers say what shared.incr did not give.
local COUNT = ANSWER .. [[
    function dns_request(flow)
        local total, reason = shared.incr("total", 1, 0)
        answer(flow, total and "192.0.2.1" or "192.0.2.2")
        if not total then log.debug("%s", reason) end
    end]]

describe("shared in Redis", function()
    scope.manage()

    local server

    setup(function()
        server = redis.start()
    end)

    before_each(function()
        server:ask "FLUSHALL"
    end)

    local function start(code, options)
        options = options or {}
        return proxy.start {
            code = code,
            args = { "--shared", options.url or server.url, "--flow-detail", "0", unpack(options.args or {}) },
        }
    end

    local function ask(moondns, name, timeout)
        local bytes = assert(moondns:udp():ask(wire.query(name or "a.example", "A"), timeout))
        local answer = wire.parse(bytes)
        return answer.answers[1] and table.concat({ answer.answers[1].data:byte(1, 4) }, ".") or answer.rcode
    end

    -- Runs `code` in a hook of its own proxy, and expects no error.
    local function in_hook(code, options)
        local moondns = start(ANSWER .. "function dns_request(flow)\n" .. code .. "\nanswer(flow) end", options)
        assert.equal("192.0.2.1", ask(moondns), moondns:err())
        return moondns
    end

    it("keeps strings, numbers and booleans of every kind", function()
        in_hook [[
            local values = { "", "text", "5", "-1.5e3", "'quoted", "true", "false", "inf", "nan", " 5", "0x10", "\0\255\r\n bytes",
                ("long"):rep(50000), 0, -1.5, 0.1, 1 / 3, 2 ^ 60, 1e300, math.huge, -math.huge, true, false }
            for _, key in ipairs { "key", "", "\0\255\r\n *[?]", ("k"):rep(10000) } do
                for _, value in ipairs(values) do
                    assert(shared.set(key, value) == true)
                    local got, more = shared.get(key)
                    assert(got == value and type(got) == type(value) and more == nil, tostring(value))
                end
            end
            shared.set("nan", 0 / 0)
            local nan = shared.get "nan"
            assert(nan ~= nan)
            assert(select("#", shared.get "nothing") == 1 and shared.get "nothing" == nil)
        ]]
    end)

    it("does with each call what the store in memory does", function()
        local code = [[
            assert(shared.delete("key") == false)
            shared.set("key", 1)
            assert(shared.delete("key") == true and shared.get "key" == nil)
            shared.set("key", 1)
            assert(shared.set("key", nil) == true and shared.get "key" == nil and shared.set("key", nil) == true)
            assert(shared.add("key", 1) == true and shared.add("key", 2) == false and shared.get "key" == 1)
            local none, reason = shared.incr("count", 1)
            assert(none == nil and reason == "not found")
            assert(shared.incr("count", 1, 0) == 1 and shared.incr("count", 41, 7) == 42 and shared.incr("count", -2) == 40)
            assert(shared.incr("tenth", 0.1, 0.2) == 0.1 + 0.2 and shared.get "tenth" == 0.1 + 0.2)
            assert(shared.incr("large", 1, 2 ^ 53 - 2) == 2 ^ 53 - 1 and shared.incr("large", 2 ^ 60) == 2 ^ 60 + 2 ^ 53)
            assert(shared.incr("huge", math.huge, 0) == math.huge and shared.incr("huge", 1) == math.huge)
            for _, value in ipairs { "text", "5", true } do
                shared.set("other", value)
                none, reason = shared.incr("other", 1, 0)
                assert(none == nil and reason == "not a number" and shared.get "other" == value)
            end
            for i = 1, 3000 do shared.set("many*" .. i, true) end
            shared.set("many", true)
            assert(#shared.keys "many*" == 3000 and #shared.keys "many" == 3001 and #shared.keys "none" == 0)
            assert(#shared.keys() == 3007 and shared.keys("count")[1] == "count")
        ]]
        in_hook(code)
        in_hook(code, { url = "memory" })
    end)

    it("keeps times to live", function()
        in_hook [[
            shared.set("short", 1, 0.15)
            shared.add("added", 1, 0.15)
            shared.incr("counted", 1, 0, 0.15)
            shared.incr("counted", 1, 0, 100)
            shared.set("renewed", 1, 0.15)
            shared.set("renewed", 2)
            assert(shared.get "short" == 1 and shared.get "added" == 1 and shared.get "counted" == 2)
            sleep(0.2)
            assert(shared.get "short" == nil and shared.get "added" == nil and shared.get "counted" == nil)
            assert(shared.get "renewed" == 2)
            shared.set("long", 1, 1e12)
            assert(shared.get "long" == 1)
        ]]
    end)

    it("is readable for others, and reads what they write", function()
        server:ask("SET", "moondns:limit", "5")
        server:ask("SET", "moondns:text", "hello")
        server:ask("SET", "moondns:on", "true")
        server:ask("LPUSH", "moondns:list", "a")
        server:ask("SET", "elsewhere", "1")
        local moondns = in_hook [[
            assert(shared.get "limit" == 5 and shared.get "text" == "hello" and shared.get "on" == true)
            shared.set("n", 2.5) shared.set("s", "5") shared.set("t", "plain") shared.set("b", false)
            show(shared.get "list")
            assert(#shared.keys() == 8)
        ]]
        assert.equal("2.5\n", server:ask("GET", "moondns:n"))
        assert.equal("'5\n", server:ask("GET", "moondns:s"))
        assert.equal("plain\n", server:ask("GET", "moondns:t"))
        assert.equal("false\n", server:ask("GET", "moondns:b"))
        assert.truthy(moondns:err():find "got nil, WRONGTYPE")
    end)

    it("refuses what is too large", function()
        local moondns = in_hook [[
            show(shared.set("large", ("x"):rep(4 * 2 ^ 20)))
            show(shared.get(("k"):rep(4 * 2 ^ 20 + 1)))
        ]]
        local _, count = moondns:err():gsub("got nil, a key with its value can have 4 MiB at most", "")
        assert.equal(2, count)
    end)

    it("takes a user, a password, a database, a prefix and a Unix socket", function()
        local folder = files.temp_folder()
        local guarded = redis.start { "--requirepass", "all:@/ open", "--unixsocket", folder .. "/redis.sock" }
        guarded:ask("-a", "all:@/ open", "ACL", "SETUSER", "app", "on", ">p%w", "~ci:*", "+@all")
        local set = "assert(shared.set('key', 7)) assert(shared.keys('k')[1] == 'key')"
        local host = "127.0.0.1:" .. guarded.port
        in_hook(set, { url = "redis://:all%3a%40%2F%20open@" .. host .. "/3" })
        in_hook(set, { url = "redis://app:p%25w@" .. host .. "?prefix=ci:" })
        in_hook(set, { url = "redis+unix://:all%3A%40%2F%20open@" .. folder .. "/redis.sock?db=4&prefix=%2a" })
        local function get(...)
            return guarded:ask("-a", "all:@/ open", "--no-auth-warning", ...)
        end
        assert.equal("7\n", get("-n", "3", "GET", "moondns:key"))
        assert.equal("7\n", get("GET", "ci:key"))
        assert.equal("7\n", get("-n", "4", "GET", "*key"))
        local moondns = in_hook("show(shared.get 'key')", { url = "redis://:wrong@" .. host })
        assert.truthy(moondns:err():find("got nil, Redis at " .. host .. " is away: WRONGPASS", 1, true))
        assert.is_nil(moondns:err():find(":wrong", 1, true))
    end)

    it("looks hosts up without keeping queries waiting", function()
        in_hook("assert(shared.set('key', 1))", { url = "redis://localhost:" .. server.port })
        local moondns = in_hook("show(shared.get 'key')", { url = "redis://no-such-host.invalid" })
        assert.truthy(moondns:err():find "got nil, Redis at no%-such%-host%.invalid:6379 ")
    end)

    it("works in timers, and says where it cannot wait", function()
        local moondns = start [[
            local function why(f) log.info("%s", tostring(select(2, pcall(f)))) end
            why(function() return shared.get "key" end)
            function configure() why(function() shared.set("key", 1) end) end
            function running()
                timer.after(0, function()
                    shared.set("key", 7)
                    log.info("the timer got %d", shared.get "key")
                    why(function() return ("x"):gsub("x", function() return shared.get "key" end) end)
                    log.info("%s", tostring(select(2, coroutine.resume(coroutine.create(function() return shared.keys() end)))))
                end)
            end]]
        moondns:wait_output("shared.keys: cannot wait in a coroutine of the script's own", "err")
        local err = moondns:err()
        assert.truthy(err:find("the timer got 7", 1, true))
        assert.truthy(err:find("shared.get: cannot wait while the script is loaded", 1, true), err)
        assert.truthy(err:find("shared.set: cannot wait in configure()", 1, true), err)
        assert.truthy(err:find("shared.get: cannot wait inside a function that C calls", 1, true), err)
    end)

    it("is refused with an address that is none, in words", function()
        for url, words in pairs {
            ["redis:/127.0.0.1"] = "memory, or redis://[[USER]:PASSWORD@]HOST[:PORT][/DATABASE] expected",
            ["http://127.0.0.1"] = "expected, got 'http://'",
            ["rediss://127.0.0.1"] = "rediss:// (TLS) is not there: use redis:// through a tunnel",
            ["redis://127.0.0.1:0"] = "port from 1 to 65535 expected, got '0'",
            ["redis://127.0.0.1:port"] = "port from 1 to 65535 expected, got 'port'",
            ["redis://127.0.0.1/x"] = "number of a database expected, got 'x'",
            ["redis://::1"] = "an IPv6 address in brackets",
            ["redis://[::x]"] = "IPv6 address expected, got '::x'",
            ["redis://"] = "HOST or HOST:PORT",
            ["redis://:@127.0.0.1"] = "a password expected before the '@'",
            ["redis://:%zz@127.0.0.1"] = "%XX with two hexadecimal digits",
            ["redis://127.0.0.1?perfix=a"] = "prefix=TEXT or db=NUMBER behind the '?' expected, got 'perfix'",
            ["unix://relative"] = "path that begins with /",
        } do
            local result = proxy.run { "-u", "none", "--shared", url }
            assert.equal(2, result.code, url)
            assert.truthy(result.err:find("--shared: ", 1, true), result.err)
            assert.truthy(result.err:find(words, 1, true), url .. ": " .. result.err)
        end
        local secret = proxy.run { "-u", "none", "--shared", "radis://:secret@127.0.0.1" }
        assert.equal(2, secret.code)
        assert.is_nil(secret.err:find("secret", 1, true))
        local shown = proxy.run { "--options", "--shared", "redis://me:secret@127.0.0.1/2" }
        assert.truthy(shown.out:find("redis://me:***@127.0.0.1:6379/2", 1, true), shown.out)
        assert.is_nil(shown.out:find("secret", 1, true))
    end)

    it("counts exactly for two instances with two workers each", function()
        local QUERIES = 5000
        local instances, clients = {}, {}
        for i = 1, 2 do
            instances[i] = start(COUNT, { args = { "--workers", "2" } })
        end
        local queries = files.temp_file("queries", "a.example A\n")
        for i, moondns in ipairs(instances) do
            clients[i] = process.start { "dnsperf", "-s", "127.0.0.1", "-p", tostring(moondns.port), "-c", "8", "-q", "100", "-n",
                tostring(QUERIES), "-t", "15", "-d", queries }
        end
        for _, client in ipairs(clients) do
            assert.equal(0, client:wait_end(60), client:output())
            assert.equal(QUERIES, tonumber(client:out():match "Queries completed:%s+(%d+)"), client:out())
        end
        assert.equal(2 * QUERIES .. "\n", server:ask("GET", "moondns:total"))
    end)

    it("may be away at the start, which is a warning", function()
        local away = redis.start()
        away:kill()
        local moondns = start(COUNT, { url = away.url })
        moondns:wait_output("warn: shared: Redis at 127.0.0.1:" .. away.port .. " is away: Connection refused", "err")
        assert.equal("192.0.2.2", ask(moondns))
        away:start_again()
        moondns:wait_output("Redis at 127.0.0.1:" .. away.port .. " is there again", "err")
        assert.equal("192.0.2.1", ask(moondns))
    end)

    it("tells in the metrics of its calls, and whether it is there", function()
        local own = redis.start()
        local moondns = start(COUNT, { url = own.url, args = { "--metrics", "0", "--workers", "2" } })
        for _ = 1, 5 do
            assert.equal("192.0.2.1", ask(moondns))
        end
        local values = metrics.scrape(moondns)
        assert.same({ 5, 0 }, { values['moondns_redis_calls_total{result="ok"}'], values['moondns_redis_calls_total{result="failed"}'] })
        wait.eventually(function() return metrics.scrape(moondns).moondns_redis_up == 1 end, "both workers to reach it")
        own:kill()
        wait.eventually(function() return metrics.scrape(moondns).moondns_redis_up == 0 end, "the workers to find it gone")
        wait.eventually(function() return ask(moondns) == "192.0.2.2" end, "a call that fails")
        values = metrics.scrape(moondns)
        assert.is_true(values['moondns_redis_calls_total{result="failed"}'] >= 1)
    end)

    it("may be killed and started again under load: every query is answered", function()
        local mortal = redis.start()
        local moondns = start(COUNT, { url = mortal.url, args = { "--workers", "2" } })
        wait.eventually(function()
            return ask(moondns) == "192.0.2.1"
        end, "a count")
        local client = process.start { "dnsperf", "-s", "127.0.0.1", "-p", tostring(moondns.port), "-c", "4", "-q", "50", "-Q",
            "1000", "-l", "4", "-t", "5", "-d", files.temp_file("queries", "a.example A\n") }
        client:wait_output "Started at"
        mortal:kill()
        moondns:wait_output("warn: shared: Redis at", "err")
        assert.equal("192.0.2.2", ask(moondns, nil, 5))
        mortal:start_again()
        moondns:wait_output("is there again", "err")
        wait.eventually(function()
            return ask(moondns) == "192.0.2.1"
        end, "a count")
        assert.equal(0, client:wait_end(30), client:output())
        local sent, lost = client:out():match "Queries sent:%s+(%d+)", client:out():match "Queries lost:%s+(%d+)"
        assert.is_true(tonumber(sent) > 1000, client:out())
        assert.equal("0", lost)
        assert.is_true(tonumber((mortal:ask("GET", "moondns:total"):match "%d+")) > 0)
    end)

    it("may stop answering: calls end in half a second, those after them at once", function()
        local frozen = redis.start()
        local moondns = start(COUNT, { url = frozen.url })
        wait.eventually(function()
            return ask(moondns) == "192.0.2.1"
        end, "a count")
        frozen.process:signal "STOP"
        local begun = wait.now()
        assert.equal("192.0.2.2", ask(moondns))
        assert.is_true(wait.now() - begun >= 0.4)
        begun = wait.now()
        for _ = 1, 20 do
            assert.equal("192.0.2.2", ask(moondns))
        end
        assert.is_true(wait.now() - begun < 9) -- not 20 times half a second
        moondns:wait_output("is away: it does not answer", "err")
        frozen.process:signal "CONT"
        moondns:wait_output("is there again", "err")
        assert.equal("192.0.2.1", ask(moondns))
    end)

    it("ends waiting calls with a client, a reload and the proxy itself", function()
        local silent = net.server() -- connections are accepted, and nothing is said
        local path = files.temp_file("script.lua", COUNT)
        local moondns = proxy.start { script = path, args = { "--shared", "redis://127.0.0.1:" .. silent.port } }
        local stream, datagrams = moondns:tcp(), moondns:udp()
        for _ = 1, 50 do
            stream:send(wire.query("gone.example", "A"))
            datagrams:send(wire.query("a.example", "A"))
        end
        stream:close()
        files.replace(path, COUNT .. " -- again")
        moondns:wait_output("reloaded", "err")
        for _ = 1, 50 do
            assert.equal(wire.ipv4 "192.0.2.2", wire.parse(assert(datagrams:receive())).answers[1].data)
        end
        local fresh = start(COUNT, { url = "redis://127.0.0.1:" .. silent.port })
        local client = fresh:udp()
        client:send(wire.query("a.example", "A"))
        fresh:wait_output("listening", "err")
        fresh:signal "TERM"
        fresh:signal "TERM"
        assert.equal(0, fresh:wait_end())
    end)
end)
