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
local UNTIL_TOLD = 2100 -- until it is logged

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
    { "moreoptions", 'answer = { A(name, "192.0.2.1", { ttl = 1, tll = 2 }) }' },
    { "badoption", 'answer = { A(name, "192.0.2.1", { tll = 1 }) }' },
    { "badaddress", 'answer = { A(name, "192.0.2.256") }' },
    { "noaddress", 'answer = { A(name, "") }' },
    { "hole", 'local none = nil answer = { A(name, "192.0.2.1"), none, A(name, "192.0.2.2") }' },
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
    { "changed", 'local one, two = flow.request:fail(3), flow.request:fail(3) flow.response = two two.response_code = 5' },
    { "taken", 'flow.response = flow.request:succeed { A(name, "192.0.2.1") } flow.response = nil' },
    { "asked", 'flow.response = flow.request:succeed { A(name, "192.0.2.1") } flow.response.question.name = "else.example"' },
    { "wrong", "flow.response = 7" },
    { "counted", 'count = count + 1 answer = { A(name, "192.0.2." .. count % 250) }' },
    { "looked", 'local known = seen[name] seen[name] = true answer = { A(name, known and "192.0.2.1" or "192.0.2.2") }' },
}

-- Looks at its answers' records, so that all of them have a table.
local SHARES = { equal = true }

-- A script with one hook that knows all ways, or those in which nobody looks at the answers' records; with STOP in it.
local function script(stop, shares)
    local lines = { [[
        local A, count, seen = dns.ResourceRecord.A, 0, {}
        function dns_request(flow)
            local q = flow.request.question
            local name, answer = q.name, nil
            local way = name:match "^[^.]*"
    ]], stop }
    for i, way in ipairs(WAYS) do
        local code = not shares and way[2]:gsub("answer = (%b{})", "flow.response = flow.request:succeed %1") or way[2]
        if shares or not SHARES[way[1]] then
            lines[#lines + 1] = ('%s way == "%s" then %s'):format(i == 1 and "if" or "elseif", way[1], code)
        end
    end
    lines[#lines + 1] = "end if answer then flow.response = flow.request:succeed(answer) end end"
    return (table.concat(lines, "\n"):gsub(not shares and "if answer then [^\n]* end end$" or "$^", "end"))
end

-- The same for a hook that is alone, so that its code is rewritten: by the first label, which is all that it looks at.
local ALONE = {
    { "a", 'flow.response = flow.request:succeed { A(q.name, "192.0.2.1", { ttl = 300 }) }' },
    { "global", 'flow.response = flow.request:succeed { dns.ResourceRecord.A(q.name, "192.0.2.1", { ttl = 86400 }) }' },
    { "number", 'flow.response = flow.request:succeed { A(name, "192.0.2.2", 7) }' },
    { "default", "flow.response = flow.request:succeed { A(name, address) }" },
    { "aaaa", 'flow.response = flow.request:succeed { dns.ResourceRecord.AAAA(q.name, "2001:db8::1", { ttl = 0 }) }' },
    { "several", 'local r, why = A(q.name, "192.0.2.3", 7) if not why then flow.response = flow.request:succeed { r } end' },
    { "kind", 'if q.type == dns.types.A and q.class_ == 1 then flow.response = flow.request:succeed { A(q.name, "192.0.2.3", 1) } end' },
    { "both", 'flow.response = flow.request:succeed { A(name, "192.0.2.3"), dns.ResourceRecord.AAAA(name, "2001:db8::2") }' },
    { "other", 'flow.response = flow.request:succeed { A("other.example", "192.0.2.4") }' },
    { "original", 'flow.response = flow.request:succeed { A(q.original_name, "192.0.2.4") }' },
    { "joined", 'flow.response = flow.request:succeed { A(name, "192.0.2." .. #name) }' },
    { "late", 'local r = A(q.name, "192.0.2.8", 5) local answers = { r } local made = flow.request:succeed(answers) flow.response = made' },
    { "authority", 'flow.response = flow.request:succeed { A(q.name, "192.0.2.1") } flow.response.authoritative_answer = true' },
    { "rcode", 'local m = flow.request:succeed { A(q.name, "192.0.2.1") } m.response_code = 3 flow.response = m' },
    { "badrcode", 'local m = flow.request:succeed { A(q.name, "192.0.2.1") } flow.response = m m.response_code = name' },
    { "twice", 'local one = flow.request:succeed { A(q.name, "192.0.2.1") } local two = flow.request:succeed { A(q.name, "192.0.2.2", 9) } flow.response = two flow.response = one' },
    { "second", 'flow.response = flow.request:succeed { A(q.name, "192.0.2.1") } flow.response = flow.request:succeed { A(q.name, "192.0.2.2", 9) }' },
    { "failed", 'flow.response = flow.request:succeed { A(q.name, "192.0.2.1") } flow.response = flow.request:fail "REFUSED"' },
    { "after", 'local m = flow.request:fail(5) flow.response = flow.request:succeed { A(q.name, "192.0.2.1", 3) }' },
    { "taken", 'flow.response = flow.request:succeed { A(q.name, "192.0.2.1") } flow.response = nil' },
    { "refuse", 'if name:find("bb", 1, true) then flow.response = flow.request:fail(dns.response_codes.REFUSED) end' },
    { "word", 'local request = flow.request flow.response = request:fail "NXDOMAIN"' },
    { "small", 'flow.response = flow.request:fail "nxdomain"' },
    { "extended", 'flow.response = flow.request:fail "BADVERS"' },
    { "zero", "flow.response = flow.request:fail(0)" },
    { "nothing", "flow.response = flow.request:fail(nothing)" },
    { "killed", 'flow.response = flow.request:succeed { A(q.name, "192.0.2.1") } flow.response = 7' },
    { "none", "flow.response = flow.request:succeed {}" },
    { "forward", "" },
    { "badttl", 'flow.response = flow.request:succeed { A(q.name, "192.0.2.1", { ttl = -1 }) }' },
    { "badwords", 'flow.response = flow.request:succeed { A(q.name, "192.0.2.1", { ttl = "300" }) }' },
    { "badoption", 'flow.response = flow.request:succeed { A(q.name, "192.0.2.1", { ttl = 3, x = 1 }) }' },
    { "badaddress", 'flow.response = flow.request:succeed {\n A(q.name,\n "192.0.2.256",\n { ttl = 3 }) }' },
    { "badempty", 'flow.response = flow.request:succeed { A(q.name, "", 3) }' },
    { "badsix", 'flow.response = flow.request:succeed { A(q.name, "2001:db8::1", 3) }' },
    { "badfour", 'flow.response = flow.request:succeed { dns.ResourceRecord.AAAA(q.name, "192.0.2.1", 3) }' },
    { "badnil", "flow.response = flow.request:succeed { A(q.name, nothing, { ttl = 3 }) }" },
    { "badmethod", "name:sub(nothing) flow.response = flow.request:succeed { A(q.name, address) }" },
}

local function alone_script(stop)
    local lines = { [[
        local A, address, nothing = dns.ResourceRecord.A, "192.0.2.9"
        function dns_request(flow)
            local q = flow.request.question
            local name = q.name
    ]], stop }
    for i, way in ipairs(ALONE) do
        lines[#lines + 1] = ('%s name:sub(1, %d) == "%s." then %s'):format(i == 1 and "if" or "elseif", #way[1] + 1, way[1], way[2])
    end
    lines[#lines + 1] = "end end"
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

    local function start(code, args, environment)
        return proxy.start { code = code, args = args or { "--flow-detail", "0" }, environment = environment }
    end

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

    -- Asks a proxy with the one script and one with the other, which is not compiled, in all ways.
    local function compare(ways, code, interpreted, mistakes)
        local compiled = start(code, { "--flow-detail", "0", "-v" })
        local other = start(interpreted)
        local clients = { compiled:udp(), other:udp() }
        for i = 1, UNTIL_TOLD do
            ask(clients[1], "a.example", i)
        end
        compiled:wait_output("dns_request runs as machine code", "err")
        math.randomseed(7)
        for round = 1, 12 do
            for i = 1, #ways do
                local tail = ("b"):rep(round * 4) .. "." .. i .. ".example"
                local name = upper_some(ways[i][1] .. "." .. tail)
                local answer, expected = ask(clients[1], name, i), ask(clients[2], name, i)
                assert.equal(wire.hex(expected), wire.hex(answer), name)
            end
        end
        local expected, count = faults(other)
        assert.is_true(count >= mistakes, other:err())
        assert.same(expected, (faults(compiled)))
    end

    for _, shares in ipairs { true, false } do
        it("answer as others do, to the byte, and say the same of mistakes: answers with" .. (shares and "" or "out") .. " tables", function()
            compare(WAYS, script("", shares), script("for _ = 1, 0 do end", shares), 8)
        end)
    end

    it("answer as others do where they are rewritten", function()
        compare(ALONE, alone_script "", alone_script "for _ = 1, 0 do end", 10)
    end)

    -- Asks so often that the hook is compiled.
    local function start_compiled(code, args, environment)
        local moondns = start(code, args, environment)
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

    it("are those of clients that ask for nothing now and then, too", function()
        local moondns = start(proxy.ANSWER, { "--flow-detail", "0", "-v" })
        local client = moondns:udp()
        for i = 1, UNTIL_TOLD + 100 do
            ask(client, "many.example", i)
            if i > 70 and i % 50 == 0 then
                assert.equal(wire.rcodes.SERVFAIL, wire.parse(client:ask(wire.message(i, 0x0100, {}))).rcode)
            end
        end
        moondns:wait_output("dns_request runs as machine code", "err")
    end)

    it("are cut off where they call what does not end", function()
        local moondns, client = start_compiled([[
            local function forever() while true do end end
            local function again() return again() end
            function again() return again() end
            function dns_request(flow)
                if not flow then dns_request() dns_request() end
                local q = flow.request.question
                if q.name == "loop.example" then forever() end
                if q.name == "tail.example" then again() end
                if q.name == "own.example" then dns_request() end
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

    -- Each says when `report` is asked for what it kept of `a` and `b`; its answers are the others' too.
    local KEEPING = {
        { "the hook", "", "local record = A(name, address) kept[name] = record flow.response = flow.request:succeed { record }" },
        { "a function that it calls", "local function make(name, address) local record = A(name, address) kept[name] = record return record end",
            "flow.response = flow.request:succeed { make(name, address) }" },
        { "a metamethod", "local made = setmetatable({}, { __index = function(_, name) local record = A(name, '192.0.2.' .. #name) kept[name] = record return record end })",
            "local record = made[name] flow.response = flow.request:succeed { record }" },
    }
    for _, way in ipairs(KEEPING) do
        it("may keep records: " .. way[1], function()
            local _, client = start_compiled([[
                local A, kept = dns.ResourceRecord.A, {}
                ]] .. way[2] .. [[

                function dns_request(flow)
                    local name = flow.request.question.name
                    if name == "many.example" then
                        flow.response = flow.request:succeed { A(name, "192.0.2.1") }
                        return
                    end
                    if name == "report.example" then
                        flow.response = flow.request:succeed { kept["a.example"], kept["bb.example"] }
                        return
                    end
                    local address = "192.0.2." .. #name
                    ]] .. way[3] .. [[

                end]])
            for _, name in ipairs { "a.example", "bb.example", "ccc.example", "many.example", "ccc.example" } do
                ask(client, name)
            end
            local answers = wire.parse(ask(client, "report.example")).answers
            assert.same({ "a.example", "bb.example" }, { answers[1].name, answers[2].name })
            assert.same({ wire.ipv4 "192.0.2.9", wire.ipv4 "192.0.2.10" }, { answers[1].data, answers[2].data })
        end)
    end

    it("may go on with the table that they gave as answers", function()
        local _, client = start_compiled [[
            local A = dns.ResourceRecord.A
            function dns_request(flow)
                local name = flow.request.question.name
                local answers = { A(name, "192.0.2.1") }
                flow.response = flow.request:succeed(answers)
                if name == "more.example" then answers[2] = A(name, "192.0.2.2") end
                if name == "none.example" then answers[1] = nil end
            end]]
        for name, count in pairs { ["more.example"] = 2, ["none.example"] = 0, ["many.example"] = 1 } do
            assert.equal(count, #wire.parse(ask(client, name)).answers, name)
        end
    end)

    it("answer with a message of theirs, which dns_response may change", function()
        local _, client = start_compiled [[
            local own = dns.DNSMessage.make_query("own.example", "A"):succeed {}
            function dns_request(flow)
                local name = flow.request.question.name
                flow.response = name == "own.example" and own or flow.request:succeed {}
            end
            function dns_response(flow)
                if flow.request.question.name == "own.example" then
                    flow.response.authoritative_answer = not flow.response.authoritative_answer
                end
            end]]
        for i = 1, 4 do
            assert.equal(i % 2 == 1, wire.parse(ask(client, "own.example")).aa)
            ask(client, "many.example")
        end
    end)

    it("see what is done to them later: their environment, their variables", function()
        local _, client = start_compiled [[
            local address, other = "192.0.2.1", "192.0.2.2"
            local function change(name)
                if name == "variable.example" then
                    debug.upvaluejoin(dns_request, 2, function() return other end, 1)
                elseif name == "environment.example" then
                    setfenv(2, setmetatable({ ttl = 9 }, { __index = _G }))
                elseif name == "function.example" then
                    ttl = debug.getinfo(2, "f").func == dns_request and 7 or 8
                end
            end
            ttl = 5
            function dns_request(flow)
                local name = flow.request.question.name
                change(name)
                flow.response = flow.request:succeed { dns.ResourceRecord.A(name, address, ttl) }
            end]]
        local function answer(name)
            local record = wire.parse(ask(client, name)).answers[1]
            return { record.ttl, record.data }
        end
        assert.same({ 5, wire.ipv4 "192.0.2.1" }, answer "many.example")
        assert.same({ 7, wire.ipv4 "192.0.2.1" }, answer "function.example")
        assert.same({ 7, wire.ipv4 "192.0.2.2" }, answer "variable.example")
        assert.same({ 9, wire.ipv4 "192.0.2.2" }, answer "environment.example")
    end)

    it("alone are compiled: not what a module has LuaJIT load, not for those who ask", function()
        local folder = files.temp_folder()
        files.write(folder .. "/of_all.lua", 'return loadstring(string.dump(loadstring "while true do end"))')
        local moondns, client = start_compiled([[
            local forever = require "of_all"
            local fine, why = pcall(jit.attach, print, "bc")
            log.info(tostring(fine) .. ": " .. why)
            function dns_request(flow)
                if flow.request.question.name == "loop.example" then forever() end
                flow.response = flow.request:succeed {}
            end]], { "--hook-timeout", "0.1", "--flow-detail", "0" }, { LUA_PATH = folder .. "/?.lua;;" })
        ask(client, "loop.example")
        moondns:wait_output("cut off", "err")
        moondns:wait_output("false: [^\n]*jit.attach: what LuaJIT's compiler does is told with %-%-jit alone", "err")
    end)

    it("see another `dns`, and variables that are set from outside", function()
        local moondns, client = start_compiled [[
            local A, whole = dns.ResourceRecord.A, dns
            function dns_request(flow)
                local q = flow.request.question
                if q.type == dns.types.A then
                    flow.response = flow.request:succeed { dns.ResourceRecord.A(q.name, "192.0.2.1") }
                elseif q.type == dns.types.AAAA then
                    flow.response = flow.request:succeed { A(q.name, "192.0.2.1") }
                end
            end
            local function other(name) return whole.ResourceRecord.A(name, "192.0.2.2") end
            function dns_response(flow)
                local name = flow.request.question.name
                if name == "swap.example" then
                    dns = { types = whole.types, ResourceRecord = { A = other } }
                elseif name == "back.example" then
                    dns = whole
                elseif name == "variable.example" then
                    debug.setupvalue(dns_request, 1, other)
                end
            end]]
        local function address(name, kind)
            return wire.parse(assert(client:ask(wire.query(name, kind or "A")))).answers[1].data
        end
        for last, name in ipairs { "back.example", "swap.example", "back.example" } do
            ask(client, name)
            assert.equal(wire.ipv4(last == 2 and "192.0.2.2" or "192.0.2.1"), address "many.example")
        end
        assert.equal(wire.ipv4 "192.0.2.1", address("variable.example", "AAAA"))
        assert.equal(wire.ipv4 "192.0.2.2", address("many.example", "AAAA"))
        assert.equal("", moondns:out())
    end)

    it("show the answers that they are rewritten to make to others that ask", function()
        local spoof = [[
            function dns_request(flow)
                flow.response = flow.request:succeed { dns.ResourceRecord.A(flow.request.question.name, "192.0.2.1", { ttl = 5 }) }
            end]]
        local looks = [[
            local last
            function dns_request(flow)
                local response = flow.response
                if flow.request.question.name == "packed.example" then
                    response.response_code = #response.packed % 16
                elseif flow.request.question.name == "same.example" and response ~= last then
                    response.authoritative_answer = response.size == 46
                end
            end]]
        local changes = [[
            function dns_request(flow)
                local name = flow.request.question.name
                if name == "asked.example" then flow.request.question.name = "renamed.example" end
                if name == "typed.example" then flow.request.question.type = "AAAA" end
            end
            function dns_response(flow)
                local answer = flow.response.answers[1]
                if answer.name == "later.example" then answer.ttl = 77 end
            end]]
        local names = { "many.example", "packed.example", "same.example", "asked.example", "typed.example", "later.example" }
        local function answers_of(first)
            local scripts = {}
            for i, code in ipairs { changes, first, looks } do
                scripts[i] = files.temp_file(i .. ".lua", code)
            end
            local moondns = proxy.start { script = scripts, args = { "--flow-detail", "0" } }
            local client, found = moondns:udp(), {}
            for i = 1, ENOUGH do
                ask(client, "many.example", i)
            end
            for i = 1, 30 do
                local name = names[i % #names + 1]
                found[i] = name .. " " .. wire.hex(ask(client, name, i))
            end
            return found
        end
        assert.same(answers_of((spoof:gsub("%)\n", "%0for _ = 1, 0 do end\n", 1))), answers_of(spoof))
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
