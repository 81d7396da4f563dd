-- Hooks that run as machine code do as all others.
local files = require "spec.support.files"
local net = require "spec.support.net"
local ports = require "spec.support.ports"
local process = require "spec.support.process"
local proxy = require "spec.support.proxy"
local scope = require "spec.support.scope"
local wait = require "spec.support.wait"
local wire = require "spec.support.wire"

local ENOUGH = 400 -- queries, for LuaJIT to compile a hook

-- What a hook does, by the first label of the question's name.
local WAYS = {
    { "a", 'answer = { A(name, "192.0.2.1", { ttl = 300 }) }' },
    { "number", 'answer = { A(name, "192.0.2.2", 77) }' },
    { "default", 'answer = { A(name, "192.0.2." .. #name % 250) }' },
    { "aaaa", 'answer = { dns.ResourceRecord.AAAA(name, "2001:db8::1", { ttl = 5 }) }' },
    { "both", 'answer = { A(name, "192.0.2.3"), dns.ResourceRecord.AAAA(name, "2001:db8::2") }' },
    { "other", 'answer = { A("other.example", "192.0.2.4") }' },
    { "original", 'answer = { A(q.original_name, "192.0.2.4") }' },
    { "alias", 'answer = { dns.ResourceRecord.CNAME(name, "to." .. name), A("to." .. name, "192.0.2.5") }' },
    { "text", 'answer = { dns.ResourceRecord.TXT(name, q.original_name) }' },
    { "none", "answer = {}" },
    { "code", "flow.response = flow.request:fail(dns.response_codes.REFUSED)" },
    { "word", 'flow.response = flow.request:fail "NXDOMAIN"' },
    { "small", 'flow.response = flow.request:fail "nxdomain"' },
    { "extended", 'flow.response = flow.request:fail "BADVERS"' },
    { "forward", "q.name = name" },
    { "fault", "error(name)" },
    { "badttl", 'answer = { A(name, "192.0.2.1", { ttl = -1 }) }' },
    { "badoption", 'answer = { A(name, "192.0.2.1", { tll = 1 }) }' },
    { "badaddress", 'answer = { A(name, "192.0.2.256") }' },
    { "badname", 'answer = { A("a..b", "192.0.2.1") }' },
    { "badanswer", 'answer = { "no record" }' },
    { "badcode", "flow.response = flow.request:fail(0)" },
    { "question", 'q.name = "changed." .. name answer = { A(q.name, "192.0.2.6") }' },
    { "type", 'q.type = "MX" answer = { A(name, "192.0.2.6") }' },
    { "header", 'flow.request.recursion_desired = false answer = { A(name, "192.0.2.7") }' },
    { "id", 'flow.request.id = 7 answer = { A(name, "192.0.2." .. flow.request.id) }' },
    { "flags", 'answer = { A(name, "192.0.2." .. (flow.request.recursion_desired and 1 or 2) .. "") }' },
    { "late", 'local r = A(name, "192.0.2.8") flow.response = flow.request:succeed { r } r.ttl = 9 r.ipv4_address = "192.0.2.9"' },
    { "renamed", 'local r = A(name, "192.0.2.8") flow.response = flow.request:succeed { r } r.name = ("x"):rep(40) .. ".example"' },
    { "typed", 'local r = A(name, "192.0.2.8") flow.response = flow.request:succeed { r } r.type = "TXT" r.data = "\\3abc"' },
    { "authority", 'flow.response = flow.request:succeed { A(name, "192.0.2.1") } flow.response.authoritative_answer = true' },
    { "rcode", 'flow.response = flow.request:succeed { A(name, "192.0.2.1") } flow.response.response_code = 3' },
    { "size", 'flow.response = flow.request:succeed { A(name, "192.0.2.1") } answer = { A(name, "192.0.2." .. flow.response.size) }' },
    { "packed", 'flow.response = flow.request:succeed { A(name, "192.0.2.1") } answer = { A(name, "192.0." .. #flow.response.packed .. ".1") }' },
    { "twice", 'local one = flow.request:succeed { A(name, "192.0.2.1") } local two = flow.request:fail(5) flow.response = two flow.response = one' },
    { "second", 'local one = flow.request:succeed { A(name, "192.0.2.1") } flow.response = one flow.response = flow.request:fail(5)' },
    { "equal", 'local one = flow.request:succeed { A(name, "192.0.2.1") } local two = flow.request:succeed { A(name, "192.0.2.1") } flow.response = two if one ~= two then flow.response = flow.request:fail(4) end' },
    { "taken", 'flow.response = flow.request:succeed { A(name, "192.0.2.1") } flow.response = nil' },
    { "asked", 'flow.response = flow.request:succeed { A(name, "192.0.2.1") } flow.response.question.name = "else.example"' },
    { "wrong", "flow.response = 7" },
    { "counted", 'count = count + 1 answer = { A(name, "192.0.2." .. count % 250) }' },
    { "looked", 'local known = seen[name] seen[name] = true answer = { A(name, known and "192.0.2.1" or "192.0.2.2") }' },
}

-- A script with one hook that knows all ways, and STOP in it.
local function script(stop)
    local lines = { [[
        local A, count, seen = dns.ResourceRecord.A, 0, {}
        local info_of = require("jit.util").funcinfo
        jit.attach(function(what, _, f)
            if what == "start" then log.info("compiling " .. info_of(f).loc) end
        end, "trace")
        function dns_request(flow)
            local q = flow.request.question
            local name, answer = q.name, nil
            local way = name:match "^[^.]*"
    ]], stop }
    for i, way in ipairs(WAYS) do
        lines[#lines + 1] = ('%s way == "%s" then %s'):format(i == 1 and "if" or "elseif", way[1], way[2])
    end
    lines[#lines + 1] = "end if answer then flow.response = flow.request:succeed(answer) end end"
    return table.concat(lines, "\n")
end

local function upper_some(name)
    return (name:gsub("%a", function(letter)
        return math.random(3) == 1 and letter:upper() or letter
    end))
end

local function ask(client, name, id)
    local reply, reason = client:ask(wire.query(name, "A", { id = id }))
    return assert(reply, name .. ": " .. tostring(reason))
end

describe("compiled hooks", function()
    scope.manage()

    local function start(code, args)
        return proxy.start { code = code, args = args or { "--flow-detail", "0" } }
    end

    it("answer as others do, to the byte, and say the same of mistakes", function()
        local compiled, other = start(script ""), start(script "for _ = 1, 0 do end")
        local clients = { compiled:udp(), other:udp() }
        for i = 1, ENOUGH do
            assert.equal(wire.hex(ask(clients[2], "a.example", i)), wire.hex(ask(clients[1], "a.example", i)))
        end
        compiled:wait_output("compiling %S*script.lua", "err")
        math.randomseed(7)
        for round = 1, 12 do
            for i = 1, #WAYS do
                local tail = ("b"):rep(round * 4) .. "." .. i .. ".example"
                local name = upper_some(WAYS[i][1] .. "." .. tail)
                local answer, expected = ask(clients[1], name, i), ask(clients[2], name, i)
                assert.equal(wire.hex(expected), wire.hex(answer), name)
            end
        end
        assert.is_nil(other:err():find "compiling %S*script.lua")
        -- What is said, once each: how often depends on the time, as a line is told of once a second.
        local function faults(moondns)
            local found, count = {}, 0
            for line in moondns:err():gmatch "[^\n]*error:[^\n]*" do
                local text = line:gsub("^.-error: ", ""):gsub("/%S*/", ""):gsub("b+%.", "b.")
                count = count + (found[text] and 0 or 1)
                found[text] = true
            end
            return found, count
        end
        local expected, count = faults(other)
        assert.is_true(count >= 8, other:err())
        assert.same(expected, (faults(compiled)))
    end)

    -- Asks so often that the hook is compiled.
    local function start_compiled(code, args)
        local moondns = start(code, args)
        local client = moondns:udp()
        for i = 1, ENOUGH do
            assert.equal(0, wire.parse(ask(client, "many.example", i)).rcode)
        end
        return moondns, client
    end

    it("wait as others do, and others are served meanwhile", function()
        local moondns, client = start_compiled [[
            function dns_request(flow)
                local q = flow.request.question
                local record = dns.ResourceRecord.A(q.name, "192.0.2." .. #q.name, 60)
                local answer = flow.request:succeed { record }
                if q.name == "slow.example" then
                    sleep(0.2)
                    record.ttl = 61
                end
                flow.response = answer
            end]]
        local slow = moondns:udp()
        slow:send(wire.query("slow.example", "A"))
        for i = 1, 300 do
            local name = ("x"):rep(i % 40 + 1) .. ".example"
            local answer = wire.parse(ask(client, name)).answers[1]
            assert.same({ name, wire.ipv4("192.0.2." .. #name), 60 }, { answer.name, answer.data, answer.ttl })
        end
        local late = wire.parse(assert(slow:receive())).answers[1]
        assert.same({ "slow.example", wire.ipv4 "192.0.2.12", 61 }, { late.name, late.data, late.ttl })
    end)

    it("are cut off where they call what does not end", function()
        local moondns, client = start_compiled([[
            local function forever() while true do end end
            local function again() return again() end
            function again() return again() end
            function dns_request(flow)
                local q = flow.request.question
                if q.name == "loop.example" then forever() end
                if q.name == "tail.example" then again() end
                if q.name == "own.example" then dns_request(flow) end
                flow.response = flow.request:succeed { dns.ResourceRecord.A(q.name, "192.0.2.1") }
            end]], { "--hook-timeout", "0.3", "--flow-detail", "0" })
        for _ = 1, 3 do
            for _, name in ipairs { "loop.example", "tail.example", "own.example" } do
                assert.equal(wire.rcodes.SERVFAIL, wire.parse(ask(client, name)).rcode)
                assert.equal(0, wire.parse(ask(client, "many.example")).rcode)
            end
        end
        moondns:wait_output("cut off", "err")
    end)

    it("keep the records that they keep", function()
        local moondns, client = start_compiled [[
            local kept = {}
            function dns_request(flow)
                local q = flow.request.question
                if q.name == "report.example" then
                    local a, b = kept["a.example"], kept["b.example"]
                    flow.response = flow.request:succeed { a, b }
                    return
                end
                local record = dns.ResourceRecord.A(q.name, "192.0.2." .. #q.name, 60)
                kept[q.name] = record
                flow.response = flow.request:succeed { record }
            end]]
        ask(client, "a.example")
        ask(client, "b.example")
        for i = 1, 200 do
            ask(client, ("c"):rep(i % 50 + 1) .. ".example")
        end
        local answers = wire.parse(ask(client, "report.example")).answers
        assert.same({ "a.example", "b.example" }, { answers[1].name, answers[2].name })
        assert.equal(wire.ipv4 "192.0.2.9", answers[1].data)
    end)

    it("are those of all scripts, tables of hooks too, and see what ones before them did", function()
        local first = files.temp_file("first.lua", [[
            local addon = { count = 0 }
            function addon:dns_request(flow)
                self.count = self.count + 1
                if flow.request.question.name == "one.example" then flow.response = flow.request:fail "NXDOMAIN" end
                flow.request.question.name = flow.request.question.name
            end
            return { addon }]])
        local second = files.temp_file("second.lua", [[
            function dns_request(flow)
                local response = flow.response
                if response then
                    response.authoritative_answer = true
                else
                    flow.response = flow.request:succeed { dns.ResourceRecord.A(flow.request.question.name, "192.0.2.1") }
                end
            end]])
        local moondns = proxy.start { script = { first, second }, args = { "--flow-detail", "0" } }
        local client = moondns:udp()
        for i = 1, ENOUGH do
            local answer = wire.parse(ask(client, i % 3 == 0 and "one.example" or "two.example"))
            assert.same({ i % 3 == 0 and 3 or 0, i % 3 == 0 }, { answer.rcode, answer.aa })
        end
    end)

    it("take new code with the next query", function()
        local code = [[
            function dns_request(flow)
                flow.response = flow.request:succeed { dns.ResourceRecord.A(flow.request.question.name, "192.0.2.VERSION") }
            end]]
        local path = files.temp_file("script.lua", (code:gsub("VERSION", "0")))
        local moondns = proxy.start { script = path, args = { "--flow-detail", "0" } }
        local client = moondns:udp()
        for version = 1, 3 do
            for i = 1, ENOUGH do
                ask(client, "many.example", i)
            end
            files.write(path, (code:gsub("VERSION", tostring(version))))
            wait.eventually(function()
                return wire.parse(ask(client, "many.example")).answers[1].data == wire.ipv4("192.0.2." .. version)
            end)
        end
    end)

    it("are not compiled where they are told to show what they hold, or cannot be", function()
        local lines = {}
        for i = 1, 200 do
            lines[i] = ("host%d.example A\n"):format(i)
        end
        local moondns = start [[
            local count = 0
            local function helper(name) count = count + 1 return name end
            function dns_request(flow)
                local name = helper(flow.request.question.name)
                flow.response = flow.request:succeed { dns.ResourceRecord.A(name, "192.0.2.1") }
            end]]
        local result = process.run {
            "dnsperf", "-s", "127.0.0.1", "-p", tostring(moondns.port), "-d", files.temp_file("queries", table.concat(lines)),
            "-n", "20", "-c", "4", "-q", "50", "-t", "15",
        }
        assert.equal("0", result.out:match "Queries lost:%s+(%d+)", result.out)
        assert.equal("4000 (100.00%)", result.out:match "NOERROR (%S+ %S+)", result.out)
    end)

    it("are interpreted where the system forbids to run what was written", function()
        -- PR_SET_MDWE, PR_MDWE_REFUSE_EXEC_GAIN (Linux 6.3)
        local launch = "import ctypes, os, sys\nif ctypes.CDLL(None).prctl(65, 1, 0, 0, 0): sys.exit(77)\nos.execv(sys.argv[1], sys.argv[1:])"
        if process.run({ "/usr/bin/python3", "-c", launch, "/bin/true" }).code == 77 then
            return pending "this system does not know how to"
        end
        for _, option in ipairs { "--tcp-idle-timeout=9", "--jit" } do
            local port = ports.free()
            local moondns = process.start { "/usr/bin/python3", "-c", launch, proxy.binary, "-l", "127.0.0.1:" .. port, "-u", "none",
                "-s", proxy.script(proxy.ANSWER), "--flow-detail", "0", option }
            moondns:wait_output("listening on", "err")
            local client = net.udp(port)
            for i = 1, ENOUGH do
                assert.equal(wire.ipv4 "192.0.2.9", wire.parse(ask(client, "many.example", i)).answers[1].data)
            end
            assert.equal(option == "--jit", moondns:err():find("--jit is off", 1, true) ~= nil)
            assert.equal(0, moondns:stop())
        end
    end)
end)
