-- Limits: each holds, and none takes down the proxy.
local fcntl = require "posix.fcntl"
local stat = require "posix.sys.stat"
local unistd = require "posix.unistd"
local socket = require "socket"
local files = require "spec.support.files"
local metrics = require "spec.support.metrics"
local net = require "spec.support.net"
local ports = require "spec.support.ports"
local process = require "spec.support.process"
local proxy = require "spec.support.proxy"
local scope = require "spec.support.scope"
local wait = require "spec.support.wait"
local wire = require "spec.support.wire"

local REFUSED, SERVFAIL = wire.rcodes.REFUSED, wire.rcodes.SERVFAIL

local function query(name, id)
    return wire.query(name or "a.example", "A", { id = id or 1 })
end

-- A UDP client with an address of its own.
local function udp_from(address, moondns)
    local handle = socket.udp4()
    scope.on_end(function() handle:close() end)
    assert(handle:setsockname(address, 0))
    assert(handle:setpeername("127.0.0.1", moondns.port))
    handle:settimeout(wait.PATIENCE_SECONDS)
    return handle
end

local bursts = 0

-- Sends that many queries at once; the answers, parsed, that have come when a query of somebody else, sent behind them, is
-- answered; and how many seconds that took.
local function burst(handle, times, moondns)
    local started = wait.now()
    for i = 1, times do
        assert(handle:send(query("n" .. i .. ".example", i)))
    end
    bursts = bursts + 1
    local other = udp_from(("127.77.%d.1"):format(bursts), moondns)
    assert(other:send(query "last.example"))
    assert(other:receive(65535))
    local answers = {}
    handle:settimeout(0)
    for bytes in function() return handle:receive(65535) end do
        answers[#answers + 1] = wire.parse(bytes)
    end
    return answers, wait.now() - started
end

local function count(list, what)
    local found = 0
    for _, item in ipairs(list) do
        found = found + (what(item) and 1 or 0)
    end
    return found
end

local function is_served(answer)
    return #answer.answers == 1
end

describe("--rate-limit", function()
    scope.manage()

    it("answers TC beyond the rate, serves TCP, and each client has a rate of its own", function()
        local moondns = proxy.start { code = proxy.ANSWER, args = { "--rate-limit", "5" } }
        for _, address in ipairs { "127.0.0.1", "127.0.0.2" } do
            local answers, took = burst(udp_from(address, moondns), 40, moondns)
            assert.equal(40, #answers)
            local served = count(answers, is_served)
            assert.is_true(served >= 5 and served <= 6 + 5 * took, served .. " served")
            assert.equal(40 - served, count(answers, function(answer) return answer.tc and #answer.answers == 0 end))
        end
        local client = moondns:tcp()
        for i = 1, 20 do
            assert.is_true(is_served(wire.parse(client:ask(query(nil, i)))))
        end
        assert.same({ "192.0.2.9" }, { moondns:dig("a.example").answers[1].data }) -- dig heeds TC
    end)

    it("counts a network as one client, and lets the rate come back", function()
        local moondns = proxy.start { code = proxy.ANSWER, args = { "--rate-limit", "2/24", "--rate-limit-action", "drop" } }
        local began = wait.now()
        local answers, took = burst(udp_from("127.0.7.1", moondns), 5, moondns)
        assert.is_true(#answers >= 2 and #answers <= 2 + 2 * took, #answers .. " served")
        local more = #answers + #burst(udp_from("127.0.7.2", moondns), 5, moondns)
        assert.is_true(more <= 2 + 2 * (wait.now() - began), more .. " served in all")
        answers, took = burst(udp_from("127.0.8.1", moondns), 5, moondns)
        assert.is_true(#answers >= 2 and #answers <= 2 + 2 * took, #answers .. " served")
        local client = udp_from("127.0.7.3", moondns)
        wait.eventually(function()
            return #burst(client, 1, moondns) == 1
        end, "the rate to come back")
    end)

    it("can refuse, over TCP too, and the connection goes on", function()
        local moondns = proxy.start { code = proxy.ANSWER, args = { "--rate-limit", "3", "--rate-limit-action", "refuse" } }
        local answers, took = burst(udp_from("127.0.0.2", moondns), 20, moondns)
        assert.equal(20, #answers)
        local served = count(answers, is_served)
        assert.is_true(served >= 3 and served <= 4 + 3 * took, served .. " served")
        local text = moondns:dig("a.example -b 127.0.0.2").text
        local client, refused, began = moondns:tcp(), 0, wait.now()
        for i = 1, 20 do
            client:send(query(nil, i))
        end
        for _ = 1, 20 do
            refused = refused + (wire.parse(assert(client:receive())).rcode == REFUSED and 1 or 0)
        end
        assert.is_true(refused >= 16 - 3 * (wait.now() - began) and refused <= 17, refused .. " refused")
        assert.truthy(text:find "REFUSED" and text:find "too many queries from this client" or text:find "192.0.2.9", text)
    end)

    it("holds for all workers together", function()
        local moondns = proxy.start { code = proxy.ANSWER, args = { "--rate-limit", "10", "--rate-limit-action", "drop", "--workers", "4" } }
        local clients, served, began = {}, 0, wait.now()
        for i = 1, 12 do
            clients[i] = udp_from("127.0.0.9", moondns)
            for id = 1, 10 do
                assert(clients[i]:send(query(nil, id)))
            end
        end
        wait.eventually(function()
            for _, client in ipairs(clients) do
                client:settimeout(0)
                while client:receive(512) do
                    served = served + 1
                end
            end
            return served >= 10
        end, "what the rate allows")
        wait.sleep(0.05) -- for what is too many, if it should come
        for _, client in ipairs(clients) do
            while client:receive(512) do
                served = served + 1
            end
        end
        assert.is_true(served <= 25 + 10 * (wait.now() - began), served .. " served")
    end)

    it("says what it must be", function()
        for _, text in ipairs { "0", "x", "10/33", "10/24/129", "10/", "10/24/48/1", "-1", "2000000" } do
            local result = proxy.run { "--rate-limit", text }
            assert.equal(2, result.code, text)
            assert.truthy(result.err:find("--rate-limit: queries a second from 1 to 1000000", 1, true), result.err)
        end
    end)
end)

describe("limits of flows", function()
    scope.manage()

    it("--flows-max: further queries get SERVFAIL at once, but for what scripts answer; those in flight an answer", function()
        local server = net.server()
        local moondns = proxy.start { upstream = server, args = { "--flows-max", "2", "--timeout", "15" }, code = [[
            function dns_request(flow)
                if flow.request.question.name == "own.example" then flow.response = flow.request:fail "NXDOMAIN" end
            end]] }
        local clients, replies = {}, {}
        for i = 1, 2 do
            clients[i] = moondns:udp()
            clients[i]:send(query("n" .. i .. ".example", i))
            local bytes, reply = server:receive()
            replies[i] = function() reply(wire.answer(bytes, {})) end
        end
        local third = moondns:udp()
        local refused = wire.parse(assert(third:ask(wire.query("n3.example", "A", { id = 3, edns = true }))))
        assert.same({ 3, wire.rcodes.SERVFAIL, "n3.example" }, { refused.id, refused.rcode, refused.questions[1].name })
        assert.truthy(refused.opt.data:find("too many queries in flight", 1, true))
        assert.equal(wire.rcodes.SERVFAIL, wire.parse(assert(third:ask(query("n4.example", 4)))).rcode)
        assert.equal(wire.rcodes.NXDOMAIN, wire.parse(assert(third:ask(query("own.example", 5)))).rcode)
        assert.is_nil(server:receive(0))
        replies[1]()
        assert(clients[1]:receive())
        third:send(query("n3.example", 3))
        assert(server:receive())
        replies[2]()
        assert(clients[2]:receive())
    end)
end)

describe("limits of TCP", function()
    scope.manage()

    it("--tcp-connections: the one idle for longest makes room", function()
        local moondns = proxy.start { code = proxy.ANSWER, args = { "--tcp-connections", "3" } }
        local clients = {}
        for i = 1, 5 do
            clients[i] = moondns:tcp()
            assert(clients[i]:ask(query(nil, i)))
        end
        clients[1]:wait_closed()
        clients[2]:wait_closed()
        for i = 3, 5 do
            assert(clients[i]:ask(query(nil, i)))
        end
    end)

    it("--tcp-connections-per-client: one address does not crowd out others", function()
        local moondns = proxy.start { code = proxy.ANSWER, args = { "--tcp-connections-per-client", "2" } }
        local other = socket.tcp4()
        scope.on_end(function() other:close() end)
        assert(other:bind("127.0.0.2", 0))
        assert(other:connect("127.0.0.1", moondns.port))
        local clients = {}
        for i = 1, 4 do
            clients[i] = moondns:tcp()
            assert(clients[i]:ask(query(nil, i)))
        end
        clients[1]:wait_closed()
        clients[2]:wait_closed()
        assert(clients[3]:ask(query(nil, 3)))
        local bytes = query()
        other:send(wire.u16(#bytes) .. bytes)
        other:settimeout(wait.PATIENCE_SECONDS)
        assert(other:receive(2))
    end)

    it("--tcp-pipeline: no more queries are taken from a connection before one is answered", function()
        local server = net.server()
        local moondns = proxy.start { upstream = server, args = { "--tcp-pipeline", "2", "--timeout", "15" } }
        local client = moondns:tcp()
        for i = 1, 4 do
            client:send(query("n" .. i .. ".example", i))
        end
        local first, reply = server:receive()
        local second, reply_second = server:receive()
        assert.is_nil(server:receive(0.2))
        reply(wire.answer(first, {}))
        reply_second(wire.answer(second, {}))
        for _ = 1, 2 do
            local bytes, answer = server:receive()
            answer(wire.answer(assert(bytes), {}))
        end
        for _ = 1, 4 do
            assert(client:receive())
        end
    end)

    it("--tcp-memory: clients that take none of their many answers are closed, others get theirs", function()
        local moondns = proxy.start { args = { "--tcp-memory", "1", "--tcp-idle-timeout", "60", "--metrics", "0" }, code = [[
            local long = {}
            for i = 1, 200 do long[i] = ("x"):rep(255) end
            function dns_request(flow)
                flow.response = flow.request:succeed { dns.ResourceRecord.TXT(flow.request.question.name, long) }
            end]] }
        local questions = {}
        for i = 1, 256 do
            local bytes = query("long.example", i)
            questions[i] = wire.u16(#bytes) .. bytes
        end
        local greedy = {}
        for i = 1, 4 do
            greedy[i] = moondns:tcp()
            greedy[i]:write(table.concat(questions))
        end
        local base = metrics.base(moondns)
        wait.eventually(function()
            local evicted = metrics.request(base .. "/metrics").body:match 'event="evicted"} (%d+)'
            return tonumber(evicted) >= 2
        end, "connections are closed")
        local client = moondns:tcp()
        for i = 1, 3 do
            assert.is_true(#assert(client:ask(query("long.example", i))) > 50000)
        end
    end)

    it("--tcp-idle-timeout: one whose answer comes when it is looked at whether it takes answers gets it", function()
        local moondns = proxy.start { args = { "--tcp-idle-timeout", "1", "--hook-timeout", "9" }, code = [[
            function dns_request(flow)
                if flow.request.question.name == "busy.example" then
                    local enough = os.clock() + 1.5 -- the answer and that look come due meanwhile
                    repeat until os.clock() > enough
                else
                    sleep(0.65)
                end
                flow.response = flow.request:fail("NXDOMAIN")
            end]] }
        local waits, busy = moondns:tcp(), moondns:udp()
        waits:send(query("waits.example", 7))
        wait.sleep(0.6)
        assert(busy:ask(query "busy.example"))
        assert.equal(wire.rcodes.NXDOMAIN, wire.parse(assert(waits:receive())).rcode)
    end)

    it("--tcp-idle-timeout: idle connections are closed, half-sent ones sooner", function()
        local moondns = proxy.start { code = proxy.ANSWER, args = { "--tcp-idle-timeout", "2" } }
        local idle, half = moondns:tcp(), moondns:tcp()
        assert(idle:ask(query()))
        local began = wait.now()
        half:write "\0\50abc"
        half:wait_closed()
        assert.is_true(wait.now() - began >= 0.9)
        idle:wait_closed()
        assert.is_true(wait.now() - began >= 1.9)
    end)
end)

describe("file descriptors", function()
    scope.manage()

    it("that are too few for the limits: a warning says how many are needed, and how to get them", function()
        local port = ports.free()
        local moondns = process.start { "sh", "-c", 'ulimit -n 100; exec "$0" "$@"', proxy.binary, "-l", "127.0.0.1:" .. port, "-u", "none" }
        moondns:wait_output "listening on "
        assert.truthy(moondns:err():find("only 100 files may be open at one time, and --tcp-connections 10000 needs 10608: fewer connections are taken; "
            .. "'ulimit -n 10608' as root, or LimitNOFILE=10608 in a systemd unit, allows them", 1, true), moondns:err())
        local clients = {}
        for i = 1, 150 do
            clients[i] = net.tcp(port)
        end
        assert(clients[150]:ask(query()))
        assert(net.udp(port):ask(query()))
        moondns:stop()
    end)

    -- Seconds of processor time that a process has used.
    local function processor_time(pid)
        local user, system = files.read("/proc/" .. pid .. "/stat"):match "%) %S+ %S+ %S+ %S+ %S+ %S+ %S+ %S+ %S+ %S+ %S+ (%d+) (%d+)"
        return (user + system) / 100
    end

    local function limit_files(pid, most)
        local result = process.run { "prlimit", "--pid", tostring(pid), "--nofile=" .. most .. ":" }
        assert.equal(0, result.code, result.err)
    end

    it("that run out: TCP clients wait without work for the processor, UDP is served, and it ends by itself", function()
        local moondns = proxy.start { code = [[function dns_request(flow)
            if flow.request.question.name == "slow.example" then sleep(30) end
            flow.response = flow.request:succeed{}
        end]] }
        local busy = moondns:tcp()
        busy:send(query "slow.example") -- so that it cannot make room
        assert(moondns:udp():ask(query()))
        limit_files(moondns.pid, 3)
        local waiting = moondns:tcp()
        waiting:send(query())
        moondns:wait_output("TCP clients have to wait: too many open files; 1 connections are open", "err")
        local used, began = processor_time(moondns.pid), wait.now()
        local client = moondns:udp()
        repeat
            assert(client:ask(query()))
            wait.sleep(0.1)
        until wait.now() - began > 1.5
        assert.is_true(processor_time(moondns.pid) - used < 0.5)
        limit_files(moondns.pid, 1000)
        assert.equal(1, wire.parse(assert(waiting:receive(5))).id)
        assert.equal(1, select(2, moondns:err():gsub("have to wait", "")))
    end)
end)

describe("output that nobody reads", function()
    scope.manage()

    it("holds up no query and no stop; what was not printed is told", function()
        local port, path = ports.free(), files.temp_folder() .. "/pipe"
        assert(stat.mkfifo(path, tonumber("600", 8)))
        local reader = assert(fcntl.open(path, fcntl.O_RDWR + fcntl.O_NONBLOCK)) -- it reads nothing before it is told to
        scope.on_end(function() unistd.close(reader) end)
        local moondns = process.start { "sh", "-c", 'out=$1; shift; exec "$0" "$@" >"$out"', proxy.binary, path,
            "-l", "127.0.0.1:" .. port, "-u", "none", "--flow-detail", "3" }
        moondns:wait_output("listening on ", "err")
        local client, long = net.udp(port), (("x"):rep(60) .. "."):rep(4) .. "example"
        local function ask_until_told(times)
            wait.eventually(function()
                for i = 1, 200 do
                    assert(client:ask(query(long, i)))
                end
                return select(2, moondns:err():gsub("nobody reads standard output", "")) == times
            end, "a warning")
        end
        ask_until_told(1)
        assert(client:ask(query()))
        wait.eventually(function()
            unistd.read(reader, 65536)
            return moondns:err():find "warn: %d+ flows were not printed"
        end, "an end")
        ask_until_told(2)
        assert.equal(0, moondns:stop())
    end)
end)
