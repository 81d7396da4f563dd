-- Answers that a script spoils on purpose, as clients see them: dig, kdig and plain sockets.
local files = require "spec.support.files"
local net = require "spec.support.net"
local process = require "spec.support.process"
local proxy = require "spec.support.proxy"
local scope = require "spec.support.scope"
local unistd = require "posix.unistd"
local wait = require "spec.support.wait"
local wire = require "spec.support.wire"

local NAME, IP = "a.example", "192.0.2.9"

describe("a script", function()
    scope.manage()

    -- A proxy whose script answers every query and then does this to the flow.
    local function start(code, options)
        options = options or {}
        options.code = ([[
            local function answer(flow, ip)
                flow.response = flow.request:succeed { dns.ResourceRecord.A(flow.request.question.name, ip or "IP") }
            end
            function dns_request(flow)
                answer(flow)
                CODE
            end]]):gsub("IP", IP):gsub("CODE", (code:gsub("%%", "%%%%")))
        return proxy.start(options)
    end

    local function query(options)
        return wire.query(NAME, "A", options)
    end

    local function good(bytes, id)
        local answer = wire.parse(assert(bytes))
        assert.equal(id, answer.id)
        assert.equal(wire.ipv4(IP), answer.answers[1].data)
        return answer
    end

    it("delays an answer, and holds up nobody meanwhile", function()
        local moondns = start [[if flow.request.question.name == "a.example" then flow:delay(0.5) end]]
        local client, other = moondns:udp(), moondns:udp()
        local started = wait.now()
        client:send(query { id = 7 })
        assert.equal(1, #wire.parse(assert(other:ask(wire.query("b.example", "A")))).answers)
        good(client:receive(), 7)
        assert.is_true(wait.now() - started >= 0.5)
        assert.equal("NOERROR", moondns:dig(NAME).rcode)
    end)

    it("delays an answer by another time each, and the sooner go first", function()
        local moondns = start [[flow:delay(tonumber(flow.request.question.name:match "%d+") / 1000)]]
        local client = moondns:udp()
        for _, ms in ipairs { 400, 100, 300, 200, 0 } do
            client:send(wire.query(ms .. ".example", "A"))
        end
        for _, ms in ipairs { 0, 100, 200, 300, 400 } do
            assert.equal(ms .. ".example", wire.parse(assert(client:receive())).questions[1].name)
        end
    end)

    it("kills what it delayed", function()
        local moondns = start [[
            if kept then kept:kill() else kept = flow; flow:delay(0.2) end]]
        local client = moondns:udp()
        client:send(query { id = 7 })
        client:send(query { id = 8 })
        good(client:receive(), 8)
        moondns:wait_output("<< killed", "out")
    end)

    it("does not delay the end with what it delays, beyond the drain", function()
        local moondns = start "flow:delay(0.3)"
        local client = moondns:udp()
        client:send(query { id = 7 })
        assert.equal("NOERROR", moondns:dig(NAME).rcode)
        client:send(query { id = 9 })
        moondns:signal "TERM"
        good(client:receive(), 7)
        assert.equal(0, moondns:wait_end())
        moondns.expected_end = true
    end)

    it("drops an answer, and nothing has failed", function()
        local moondns = start [[
            if flow.request.question.name == "a.example" then
                flow:drop()
                log.info("error: %s, live: %s", tostring(flow.error), tostring(flow.live))
            end]]
        local client = moondns:udp()
        client:send(query())
        moondns:wait_output("error: nil, live: false", "err")
        moondns:wait_output("A a.example\n << dropped\n", "out")
        assert.equal(9, moondns:dig(NAME .. " +timeout=1").code) -- no reply from server
        local stream = moondns:tcp()
        stream:send(query())
        stream:send(wire.query("b.example", "A", { id = 5 }))
        good(stream:receive(), 5)
    end)

    it("truncates an answer; dig asks again over TCP", function()
        local moondns = start [[if flow.client_conn.transport == "udp" then flow:truncate() end]]
        local answer = wire.parse(assert(moondns:udp():ask(query { id = 7, edns = true })))
        assert.is_true(answer.tc)
        assert.equal(0, #answer.answers)
        assert.equal(NAME, answer.questions[1].name)
        assert.is_truthy(answer.opt)
        assert.equal(1, #moondns:kdig(NAME .. " A").answers)
        local ignoring = moondns:dig(NAME .. " +ignore")
        assert.is_true(ignoring.flags.tc)
        assert.equal(0, #ignoring.answers)
        local retried = moondns:dig(NAME)
        assert.truthy(retried.text:find("Truncated, retrying in TCP mode", 1, true))
        assert.equal(IP, retried.answers[1].data)
    end)

    it("truncates over a stream too", function()
        local moondns = start "flow:truncate()"
        assert.is_true(wire.parse(assert(moondns:tcp():ask(query()))).tc)
    end)

    it("sends an answer several times", function()
        local moondns = start "flow:duplicate(2)"
        for _, client in ipairs { moondns:udp(), moondns:tcp() } do
            client:send(query { id = 7 })
            for _ = 1, 3 do
                good(client:receive(), 7)
            end
            client:send(query { id = 8 })
            good(client:receive(), 8)
        end
        assert.equal(IP, moondns:dig(NAME).answers[1].data)
    end)

    describe("corrupts", function()
        it("the id: dig takes it for another's", function()
            local moondns = start "flow:corrupt { id = true }"
            local answer = wire.parse(assert(moondns:udp():ask(query { id = 7 })))
            assert.equal(0xffff - 7, answer.id)
            local seen = moondns:dig(NAME .. " +timeout=1")
            assert.truthy(seen.text:find("ID mismatch", 1, true), seen.text)
        end)

        it("the question: dig sees the mismatch", function()
            local moondns = start "flow:corrupt { question = true }"
            assert.equal("x.example", wire.parse(assert(moondns:udp():ask(query()))).questions[1].name)
            local seen = moondns:dig(NAME .. " +timeout=1")
            assert.truthy(seen.text:find("Question section mismatch", 1, true), seen.text)
        end)

        it("by cutting bytes off", function()
            local moondns = start "flow:corrupt { cut = 3 }"
            local bytes = assert(moondns:udp():ask(query()))
            assert.is_false(pcall(wire.parse, bytes))
            assert.equal(#wire.answer(query(), { wire.record(NAME, "A", wire.ipv4(IP)) }), #bytes + 3 + #wire.name(NAME) - 2)
            local seen = moondns:dig(NAME .. " +timeout=1")
            assert.truthy(seen.text:find("malformed", 1, true), seen.text)
            assert.equal(0, #moondns:kdig(NAME .. " +timeout=1").answers)
        end)

        it("by cutting all off", function()
            local moondns = start "flow:corrupt { cut = 65535 }"
            assert.equal("", moondns:udp():ask(query()))
            local stream = moondns:tcp()
            stream:send(query())
            assert.equal("\0\0", stream.handle:receive(2))
        end)

        it("with bytes behind the end", function()
            local moondns = start [[
                flow:corrupt { trailing = flow.request.question.name == "a.example" and 3 or "abc" }]]
            assert.equal("\0\0\0", assert(moondns:udp():ask(query())):sub(-3))
            assert.equal("abc", assert(moondns:udp():ask(wire.query("b.example", "A"))):sub(-3))
            assert.truthy(moondns:dig(NAME).text:find("extra bytes at end", 1, true))
        end)

        it("with a name that points to itself", function()
            local moondns = start "flow:corrupt { loop = true }"
            local bytes = assert(moondns:udp():ask(query()))
            local at = 12 + #wire.name(NAME) + 4
            assert.equal(wire.u16(0xc000 + at), bytes:sub(at + 1, at + 2))
            local seen = moondns:dig(NAME .. " +timeout=1")
            assert.truthy(seen.text:find("bad compression pointer", 1, true), seen.text)
            assert.equal(0, #moondns:kdig(NAME .. " +timeout=1").answers)
        end)

        it("into bytes of its own", function()
            local moondns = start [[flow:corrupt { raw = "no message", trailing = "!" }]]
            assert.equal("no message!", moondns:udp():ask(query()))
            assert.equal("no message!", moondns:tcp():ask(query()))
        end)

        it("never beyond what a message may hold", function()
            local moondns = start [[flow:corrupt { raw = ("r"):rep(65535), trailing = 65535 }]]
            local bytes = assert(moondns:tcp():ask(query()))
            assert.equal(("r"):rep(65535), bytes)
        end)
    end)

    it("spoils the upstream's answers and failures alike", function()
        local server = net.server()
        local moondns = proxy.start {
            upstream = server,
            args = { "--timeout", "0.1", "--retries", "0" },
            code = [[
                function dns_response(flow) flow:corrupt { trailing = "up" } end
                function dns_error(flow) flow:corrupt { trailing = "down" } end]],
        }
        local client = moondns:udp()
        client:send(query())
        local asked, reply = server:receive()
        reply(wire.answer(asked, {}))
        assert.equal("up", assert(client:receive()):sub(-2))
        client:send(query())
        assert.equal("down", assert(client:receive()):sub(-4))
    end)

    it("resets a client's connection", function()
        local moondns = start [[if flow.request.question.name == "a.example" then flow:reset() end]]
        local client = moondns:tcp()
        client:send(query())
        client:wait_closed()
        local seen = moondns:dig(NAME .. " +tcp +timeout=1")
        assert.truthy(seen.text:find("connection reset", 1, true), seen.text)
        assert.equal("NOERROR", moondns:dig("b.example +tcp").rcode)
        assert.equal(9, moondns:dig(NAME .. " +timeout=1").code)
    end)

    it("gives an answer away byte by byte", function()
        local moondns = start "flow:drip(100)"
        local client = moondns:tcp()
        local started = wait.now()
        good(client:ask(query { id = 7 }), 7)
        assert.is_true(wait.now() - started >= 0.3)
        assert.equal(IP, moondns:dig(NAME .. " +tcp").answers[1].data)
        assert.equal(IP, moondns:dig(NAME).answers[1].data)
    end)

    it("gives it away whole, however slowly: the client is not taken for one that does not read", function()
        local moondns = start("flow:drip(12)", { args = { "--tcp-idle-timeout", "2" } })
        local client = moondns:tcp()
        local started = wait.now()
        good(client:ask(query { id = 7 }), 7)
        assert.is_true(wait.now() - started >= 2.5)
    end)

    -- glibc asks port 53 of the servers in /etc/resolv.conf, and only where there is an address that is not the loopback's:
    -- all are its own in a namespace of its own.
    -- What runs there stops at once where it is not in one, before it changes anything: $0 and $1 are the test's own.
    local GUARD = [[
        [ "$(readlink /proc/self/ns/mnt)" != "$0" ] && [ "$(readlink /proc/self/ns/net)" != "$1" ] || exit 99
        shift
    ]]

    local function in_namespace(code, ...)
        local argv = { "unshare", "--user", "--map-root-user", "--net", "--mount", "sh", "-c", GUARD .. code,
            unistd.readlink "/proc/self/ns/mnt", unistd.readlink "/proc/self/ns/net" }
        for i = 1, select("#", ...) do
            argv[#argv + 1] = (select(i, ...))
        end
        return process.run(argv)
    end

    local test = in_namespace("true").code == 0 and it or pending

    test("is seen by getaddrinfo", function()
        local script = proxy.script(([[
            local seen = {}
            function dns_request(flow)
                local name = flow.request.question.name
                local what = name:match "^[^.]+"
                local first = not seen[name]
                seen[name] = true
                flow.response = flow.request:succeed { dns.ResourceRecord.A(name, "IP") }
                if what == "delay" then flow:delay(0.2)
                elseif what == "truncate" and flow.client_conn.transport == "udp" then flow:truncate()
                elseif what == "duplicate" then flow:duplicate(3)
                elseif what == "once" then if first then flow:drop() end
                elseif what == "never" then flow:drop()
                elseif what == "id" or what == "question" or what == "loop" then flow:corrupt { [what] = true }
                elseif what == "cut" then flow:corrupt { cut = 20 }
                end
            end]]):gsub("IP", IP))
        local names = { "plain", "delay", "truncate", "duplicate", "once", "never", "id", "question", "loop", "cut" }
        local result = in_namespace(([[
            ip link set lo up && ip addr add 192.0.2.200/32 dev lo || exit 1
            mount --bind "$3" /etc/resolv.conf && mount --bind "$4" /etc/nsswitch.conf || exit 1
            "$1" -l 127.0.0.1:53 -u none -s "$2" >/dev/null 2>"$5" & proxy=$!
            until grep -q listening "$5"; do kill -0 $proxy || exit 1; sleep 0.1; done
            for name in NAMES; do echo $name $(getent ahostsv4 $name.example | grep -m1 -o '^[0-9.]*'); done
            kill $proxy && wait $proxy]]):gsub("NAMES", table.concat(names, " ")), proxy.binary, script,
            files.temp_file("resolv.conf", "nameserver 127.0.0.1\noptions timeout:1 attempts:2\n"),
            files.temp_file("nsswitch.conf", "hosts: dns\n"), files.temp_file("log", ""))
        assert.equal(0, result.code, result.err)
        local seen = {}
        for name, address in result.out:gmatch "(%w+) ?([%d.]*)\n" do
            seen[name] = address
        end
        for i, name in ipairs(names) do
            assert.equal(i <= 5 and IP or "", seen[name], name .. " in\n" .. result.out)
        end
    end)

    it("is told what is wrong with what it asks for", function()
        local moondns = start [[
            local function try(method, ...) log.info("%s", tostring(select(2, pcall(flow[method], flow, ...)))) end
            try("delay")
            try("delay", -1)
            try("duplicate", 101)
            try("corrupt")
            try("corrupt", { idd = true })
            try("corrupt", { id = 1 })
            try("corrupt", { cut = -1 })
            try("corrupt", { trailing = true })
            try("corrupt", { raw = ("r"):rep(65536) })
            try("drip", 0)
            local copy = flow:copy()
            log.info("%s", tostring(select(2, pcall(copy.delay, copy, 1))))
        ]]
        assert.equal(IP, moondns:dig(NAME).answers[1].data)
        for _, text in ipairs {
            "DNSFlow.delay: number expected, got nil",
            "DNSFlow.delay: seconds (0 or more) expected, got -1",
            "DNSFlow.duplicate: integer from 0 to 100 expected, got 101",
            "DNSFlow.corrupt: table expected, got nil",
            "DNSFlow.corrupt has no property 'idd' (did you mean 'id'?)",
            "DNSFlow.corrupt: id: boolean expected, got 1",
            "DNSFlow.corrupt: cut: integer from 0 to 65535 expected, got -1",
            "DNSFlow.corrupt: trailing: ",
            "DNSFlow.corrupt: raw: at most 65535 bytes can be sent",
            "DNSFlow.drip: integer from 1 to 1000000000 expected, got 0",
            "DNSFlow.delay: the flow is not live",
        } do
            assert.truthy(moondns:err():find(text, 1, true), text .. " is not in\n" .. moondns:err())
        end
    end)
end)
