-- Several workers: what they share, and what reaches them as one.
local socket = require "socket"
local files = require "spec.support.files"
local process = require "spec.support.process"
local proxy = require "spec.support.proxy"
local scope = require "spec.support.scope"
local wait = require "spec.support.wait"
local wire = require "spec.support.wire"

-- Each worker has a number of its own, which outlives reloads.
local NUMBERED = [[
local me = persist("me", {})
me.number = me.number or shared.incr("workers", 1, 0)
]]

local function count(text, pattern)
    local _, found = text:gsub(pattern, "")
    return found
end

describe("two workers", function()
    scope.manage()
    local path, moondns

    local function start(text, options)
        path = files.temp_file("script.lua", text)
        options = options or {}
        local args = { "--workers", "2", "--flow-detail", "0" }
        for _, argument in ipairs(options.args or {}) do
            args[#args + 1] = argument
        end
        moondns = proxy.start { script = path, args = args, environment = options.environment }
    end

    local function ask(client, name)
        local answer = wire.parse(assert(client:ask(wire.query(name, "A"))))
        return answer.answers[1] and { answer.answers[1].data:byte(1, 4) }, answer
    end

    -- Clients that reach each of the workers.
    local function clients_of_each(name)
        local found = {}
        wait.eventually(function()
            local client = moondns:udp()
            local number = ask(client, name)[1]
            found[number] = found[number] or client
            return found[1] and found[2]
        end, "a client of each worker")
        return found
    end

    it("count exactly in shared, under load", function()
        local QUERIES = 20000
        start(NUMBERED .. [[
            function dns_request(flow)
                local name = flow.request.question.name
                local total
                if name == "count.example" then
                    total = shared.get("total")
                else
                    total = shared.incr("total", 1, 0)
                    shared.incr("worker" .. me.number, 1, 0)
                end
                flow.response = flow.request:succeed {
                    dns.ResourceRecord.A(name, ("%d.%d.%d.%d"):format(shared.get("worker1") and shared.get("worker2") and 1 or 0,
                        math.floor(total / 65536), math.floor(total / 256) % 256, total % 256)) }
            end]])
        local result = process.run {
            "dnsperf", "-s", "127.0.0.1", "-p", tostring(moondns.port), "-c", "32", "-q", "200", "-n", tostring(QUERIES / 2),
            "-t", "15", "-d", files.temp_file("queries", "a.example A\nb.example A\n"),
        }
        assert.equal(0, result.code, result.err)
        assert.equal(QUERIES, tonumber(result.out:match "Queries completed:%s+(%d+)"), result.out)
        local got = ask(moondns:udp(), "count.example")
        assert.equal(QUERIES, got[2] * 65536 + got[3] * 256 + got[4])
        assert.equal(1, got[1]) -- each of them has counted
    end)

    it("see each other's values, and their end", function()
        start(NUMBERED .. [[
            function dns_request(flow)
                local name, result = flow.request.question.name, 0
                if name == "set.example" then
                    result = shared.set("key", "value", 0.3) and 1
                elseif name == "get.example" then
                    result = shared.get("key") == "value" and 1 or 0
                elseif name == "add.example" then
                    result = shared.add("once", true) and 1 or 0
                end
                flow.response = flow.request:succeed { dns.ResourceRecord.A(name, me.number .. ".0.0." .. result) }
            end]])
        local clients = clients_of_each "who.example"
        assert.equal(0, ask(clients[1], "get.example")[4])
        assert.equal(1, ask(clients[1], "add.example")[4])
        assert.equal(0, ask(clients[2], "add.example")[4])
        wait.eventually(function()
            assert.equal(1, ask(clients[1], "set.example")[4])
            return ask(clients[2], "get.example")[4] == 1
        end, "the value at the other worker") -- it lives for less than a busy machine may take
        wait.eventually(function() return ask(clients[2], "get.example")[4] == 0 end, "the value's end")
    end)

    it("keep shared within its limit", function()
        start([[
            local text = ("x"):rep(10000)
            for i = 1, 1000 do assert(shared.set("key" .. i, text)) end
            local kept = #shared.keys("key")
            log.info("kept %s", kept > 50 and kept < 105)
            log.info("last %s", tostring(shared.get("key1000") == text))
            log.info("huge %s %s", tostring((shared.set("huge", ("x"):rep(2 ^ 20)))), tostring(select(2, shared.set("huge", ("x"):rep(2 ^ 20)))))
        ]], { args = { "--shared-memory", "1" } })
        moondns:wait_output "kept true.-last true.-huge nil no memory"
    end)

    -- The script of a version: it answers with it, and has an option of its own that no other version knows. One worker is
    -- slow, so that queries wait in line there when the switch comes.
    local function version(number)
        return NUMBERED .. ([[
            function load(loader) loader:add_option("version_%d", "int", %d, "") end
            function dns_request(flow)
                local number, began = ctx.options.version_%d, os.clock()
                while me.number == 2 and os.clock() < began + 0.002 do end
                flow.response = flow.request:succeed { dns.ResourceRecord.A(flow.request.question.name,
                    ("%%d.0.%%d.%%d"):format(me.number, math.floor(number / 256), number %% 256)) }
            end]]):format(number, number, number)
    end

    for how, reload in pairs { ["edited"] = false, ["told to by HUP"] = true } do
        it("take up a new script as one, " .. how .. ": no answer is older than one that was there before its query", function()
            local CLIENTS, PROBES, RELOADS = 16, 16, 50
            start(version(0), { args = reload and { "--no-reload" } or {} })
            local newest, answers, seen = 0, 0, {}
            local handles, clients, probes, is_probe, asked = {}, {}, {}, {}, {}
            local function send(client)
                asked[client] = newest
                client:send(wire.query("x.example", "A"))
            end
            local function take(client)
                local message = wire.parse(assert(client:receive(0)))
                local record = assert(message.answers[1], "no answer, but code " .. message.rcode .. "\n" .. moondns:err())
                local worker, _, high, low = record.data:byte(1, 4)
                local got = high * 256 + low
                assert.is_true(got >= asked[client], ("%d after %d"):format(got, asked[client]))
                asked[client], seen[worker], answers = nil, true, answers + 1
                if got > newest then -- from now on nobody may answer with less
                    newest = got
                    for _, probe in ipairs(probes) do
                        if not asked[probe] then
                            send(probe)
                        end
                    end
                end
            end
            for i = 1, CLIENTS + PROBES do
                local client = moondns:udp()
                handles[i], clients[client.handle] = client.handle, client
                if i > CLIENTS then
                    probes[#probes + 1], is_probe[client] = client, true
                else
                    send(client)
                end
            end
            for target = 1, RELOADS do
                files.replace(path, version(target))
                if reload then
                    moondns:signal "HUP"
                end
                local deadline = wait.now() + wait.PATIENCE_SECONDS
                repeat
                    for _, handle in ipairs(socket.select(handles, nil, 1)) do
                        local client = clients[handle]
                        take(client)
                        if not is_probe[client] then
                            send(client)
                        end
                    end
                until newest == target or wait.now() > deadline
                assert.equal(target, newest, moondns:err())
            end
            assert.is_true(seen[1] and seen[2])
            assert.is_true(answers > RELOADS * CLIENTS / 4)
            assert.equal(RELOADS, count(moondns:err(), "script.lua: reloaded")) -- told once, not by each worker
        end)
    end

    it("take up new lists as one, when told to by HUP", function()
        local ROUNDS = 30
        local hosts = files.temp_file("hosts", "10.0.0.0 x.example\n")
        moondns = proxy.start { args = { "--workers", "2", "--flow-detail", "0", "--hosts", hosts },
            code = "function dns_request(flow) end" }
        local clients, newest, older = {}, 0, {}
        for i = 1, 16 do
            clients[i] = moondns:udp()
        end
        for round = 1, ROUNDS do
            files.replace(hosts, ("10.0.0.%d x.example\n"):format(round))
            moondns:signal "HUP"
            wait.eventually(function()
                for _, client in ipairs(clients) do
                    local got = ask(client, "x.example")[4]
                    if got < newest then
                        older[#older + 1] = ("%d after %d"):format(got, newest)
                    end
                    newest = math.max(newest, got)
                end
                return newest == round
            end, "the list of round " .. round)
        end
        assert.same({}, older)
    end)

    it("all keep the old script when one of them cannot load the new one, and say so once", function()
        start(version(0))
        files.replace(path, [[if shared.incr("loaded", 1, 0) == 2 then error "not here" end]] .. "\n" .. version(1))
        moondns:wait_output("not every worker could load", "err")
        local clients = clients_of_each "x.example"
        for worker = 1, 2 do
            assert.same({ worker, 0, 0, 0 }, (ask(clients[worker], "x.example")))
        end
        assert.equal(1, count(moondns:err(), "script.lua:1: not here"))
        files.replace(path, version(2))
        wait.eventually(function()
            return ask(clients[1], "x.example")[4] == 2
        end, "the next version")
        assert.same({ 2, 0, 0, 2 }, (ask(clients[2], "x.example")))
    end)

    it("say once what is wrong with a script", function()
        start(version(0))
        files.replace(path, "function dns_request(flow) this is no Lua end")
        moondns:wait_output("the version that was loaded before stays", "err")
        files.replace(path, version(1))
        moondns:wait_output("script.lua: reloaded", "err")
        assert.equal(1, count(moondns:err(), "script.lua:1: "))
        assert.equal(1, count(moondns:err(), "the version that was loaded before stays"))
    end)

    it("log a hook's error once a second, whoever has it", function()
        start(NUMBERED .. [[
            function dns_request(flow)
                flow.response = flow.request:succeed { dns.ResourceRecord.A(flow.request.question.name, me.number .. ".0.0.0") }
                if flow.request.question.name == "raise.example" then error "in a hook" end
            end]])
        local clients = clients_of_each "x.example"
        local began = wait.now()
        for worker = 1, 2 do
            ask(clients[worker], "raise.example")
        end
        local logged = count(moondns:err(), "in a hook")
        assert.is_true(logged == 1 or wait.now() - began > 1, logged .. " times")
    end)

    it("run load, running and done each, and both answer what is in flight when they end", function()
        start([[
            log.info("loaded")
            function running() log.info("runs") end
            function done() log.info("done") end
            function dns_request(flow)
                log.info("asked")
                sleep(0.5)
                flow.response = flow.request:fail("REFUSED")
            end]])
        moondns.expected_end = true
        local clients = {}
        for i = 1, 16 do
            clients[i] = moondns:udp()
            clients[i]:send(wire.query("x.example", "A"))
        end
        wait.eventually(function() return count(moondns:err(), "asked\n") == 16 end, "16 queries under way")
        moondns:signal "TERM"
        for i = 1, 16 do
            assert.equal(5, wire.parse(assert(clients[i]:receive())).rcode)
        end
        assert.equal(0, moondns:wait_end())
        for _, word in ipairs { "loaded", "runs", "done" } do
            assert.equal(2, count(moondns:err(), word .. "\n"), moondns:err())
        end
    end)

    it("end while they reload", function()
        start(version(0))
        moondns.expected_end = true
        for i = 1, 5 do
            files.replace(path, version(i))
            moondns:signal "HUP"
        end
        moondns:signal "TERM"
        assert.equal(0, moondns:wait_end())
    end)
end)

describe("--workers auto", function()
    scope.manage()

    it("makes one for each core", function()
        local moondns = proxy.start { code = [[log.info("one more")]], args = { "--workers", "auto" } }
        local cores = tonumber(process.run({ "nproc" }).out)
        assert.equal(cores, count(moondns:err(), "one more\n"))
    end)
end)
