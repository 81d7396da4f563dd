-- RFC 5936 (AXFR) and RFC 1995 (IXFR): zone transfers are streams of many messages that pass one by one.
local files = require "spec.support.files"
local net = require "spec.support.net"
local process = require "spec.support.process"
local proxy = require "spec.support.proxy"
local scope = require "spec.support.scope"
local upstream = require "spec.support.upstream"
local wait = require "spec.support.wait"
local wire = require "spec.support.wire"

local RECORDS = 20000
local AXFR, IXFR = 252, 251

local function soa(serial)
    return wire.record("example.com", "SOA", wire.name "ns.example.com" .. wire.name "a.example.com" .. wire.u32(serial)
        .. wire.u32(1) .. wire.u32(1) .. wire.u32(1) .. wire.u32(1))
end

local function a_record(number)
    return wire.record("n" .. number .. ".example.com", "A", wire.u32(number))
end

local function zone_text(serial, count)
    local lines = { ("example.com. 3600 IN SOA ns.example.com. a.example.com. %d 3600 600 86400 60"):format(serial),
        "example.com. 3600 IN NS ns.example.com.", "ns.example.com. 3600 IN A 127.0.0.1" }
    for i = 1, count do
        lines[#lines + 1] = ("n%d.example.com. 60 IN TXT \"record %d of a zone that fills many messages\""):format(i, i)
    end
    return table.concat(lines, "\n") .. "\n"
end

-- The records that dig or kdig print, sorted.
local function transfer(program, port, arguments)
    local argv = { program, "@127.0.0.1", "-p", tostring(port) }
    for word in arguments:gmatch "%S+" do
        argv[#argv + 1] = word
    end
    local result = process.run(argv)
    local records = {}
    for line in result.out:gmatch "[^\n]+" do
        if not line:match "^;" then
            records[#records + 1] = line:gsub("%s+", " ")
        end
    end
    table.sort(records)
    return records, result.out .. result.err
end

describe("zone transfers", function()
    scope.manage()

    describe("from knot and nsd", function()
        local servers

        setup(function()
            servers = { knot = upstream.knot(zone_text(1, RECORDS)), nsd = upstream.nsd(zone_text(1, RECORDS)) }
        end)

        for _, name in ipairs { "knot", "nsd" } do
            it("RFC 5936 section 2.2: come whole to dig and kdig, from " .. name, function()
                local moondns = proxy.start { upstream = servers[name] }
                for _, program in ipairs { "dig", "kdig" } do
                    local arguments = program == "dig" and "-r example.com AXFR" or "example.com AXFR"
                    local expected = transfer(program, servers[name].port, arguments)
                    local got, text = transfer(program, moondns.port, arguments)
                    assert.is_true(#expected > RECORDS, text:sub(1, 1000))
                    assert.equal(table.concat(expected, "\n"), table.concat(got, "\n"))
                end
                moondns:wait_output("AXFR example.com\n << " .. RECORDS + 4 .. " records in %d+ messages %(%d+ ms, ", "out")
            end)
        end

        it("RFC 5936 section 4.2: over UDP the server says what it thinks of it", function()
            local moondns = proxy.start { upstream = servers.knot }
            local query = wire.query("example.com", AXFR)
            assert.equal(wire.hex(net.udp(servers.knot.port):ask(query)), wire.hex(moondns:udp():ask(query)))
        end)

        it("come through an upstream that is named as tcp://, and whatever else is asked meanwhile", function()
            local moondns = proxy.start { upstream = "tcp://127.0.0.1:" .. servers.nsd.port }
            local client = moondns:tcp()
            client:send(wire.query("example.com", AXFR, { id = 1 }))
            client:send(wire.query("n7.example.com", "TXT", { id = 2 }))
            local seen, ends = 0, 0
            repeat
                local message = wire.parse(assert(client:receive()))
                if message.id == 2 then
                    seen = seen + #message.answers
                else
                    for _, record in ipairs(message.answers) do
                        ends = ends + (record.type == wire.types.SOA and 1 or 0)
                    end
                end
            until ends == 2 and seen > 0
            assert.equal(1, seen)
        end)

        it("give response hooks each message, which may change it and wait", function()
            local moondns = proxy.start { upstream = servers.knot, code = [[
                local messages = 0
                function dns_response(flow)
                    messages = messages + 1
                    if messages == 3 then sleep(0.05) end
                    local kept = {}
                    for _, record in ipairs(flow.response.answers) do
                        if record.name ~= "n9999.example.com" then kept[#kept + 1] = record end
                    end
                    if #kept < #flow.response.answers then flow.response.answers = kept end
                end
                function done() log.info("saw %d messages", messages) end]] }
            local expected = transfer("dig", servers.knot.port, "-r example.com AXFR")
            local got, text = transfer("dig", moondns.port, "-r example.com AXFR")
            assert.equal(#expected - 1, #got, text:sub(-500))
            assert.is_nil(text:find("n9999.example.com", 1, true))
            moondns:stop()
            assert.is_true(tonumber((moondns:wait_output("saw (%d+) messages", "err"))) > 3)
        end)

        it("RFC 1995 section 4: differences, and a single SOA for who is up to date", function()
            local server = upstream.knot(zone_text(1, 300))
            local moondns = proxy.start { upstream = server }
            files.replace(server.zone_path, zone_text(5, 310))
            server.process:signal "HUP"
            wait.eventually(function()
                return transfer("kdig", server.port, "example.com SOA +short")[1]:match " 5 3600"
            end)
            for _, version in ipairs { 1, 5 } do
                local expected, direct = transfer("kdig", server.port, "example.com IXFR=" .. version)
                local got = transfer("kdig", moondns.port, "example.com IXFR=" .. version)
                assert.same(expected, got)
                assert.equal(version == 1 and 14 or 1, #got, direct)
            end
        end)

        it("RFC 8945: a signed transfer keeps its signatures", function()
            local moondns = proxy.start { upstream = servers.knot }
            local got, text = transfer("kdig", moondns.port, "-y " .. upstream.KEY .. " example.com AXFR +nocrypto")
            assert.is_true(#got > RECORDS, text:sub(-500))
            assert.is_nil(text:lower():find("tsig error", 1, true))
        end)
    end)

    describe("from a server of the test's", function()
        local server, moondns

        before_each(function()
            server = net.server()
        end)

        local function start(options)
            options = options or {}
            moondns = proxy.start { upstream = server, code = options.code,
                args = { "--timeout", options.timeout or "5", "--retries", "0" } }
        end

        -- A client that has asked for a transfer, the server's side of it, and a function that sends records as a message.
        local function ask(kind, authority)
            local client = moondns:tcp()
            client:send(wire.message(321, 0, { wire.question("example.com", kind or AXFR) }, nil, authority and { authority }))
            local stream = assert(server:accept())
            local query = assert(stream:receive())
            return client, stream, function(records, options)
                stream:send(wire.answer(query, records, options))
            end
        end

        local function receive(client)
            local answer = wire.parse(assert(client:receive()))
            assert.equal(321, answer.id)
            return #answer.answers, answer
        end

        local function records(from, count)
            local list = {}
            for i = 1, count do
                list[i] = a_record(from + i)
            end
            return list
        end

        -- The transfer is over: its connection upstream is closed.
        local function assert_over(stream)
            stream:wait_closed()
        end

        it("RFC 5936 section 2.2: pass message by message, as they come, and end with the second SOA", function()
            start()
            local client, stream, send = ask()
            send { soa(1) }
            assert.equal(1, (receive(client)))
            send(records(0, 100))
            assert.equal(100, (receive(client)))
            send { a_record(1), soa(1) }
            assert.equal(2, (receive(client)))
            assert_over(stream)
        end)

        it("end when the client leaves while a hook holds a message", function()
            start { code = [[
                function dns_response(flow)
                    log.info("has %d", #flow.response.answers)
                    if #flow.response.answers == 100 then sleep(60) end
                end]] }
            local client, stream, send = ask()
            send { soa(1) }
            receive(client)
            send(records(0, 100))
            moondns:wait_output("has 100", "err")
            client:reset()
            assert_over(stream)
            moondns:wait_output("the client is gone", "out")
        end)

        it("RFC 5936 section 2.2.1: later messages may lack the question", function()
            start()
            local client, stream, send = ask()
            send { soa(1), a_record(1) }
            send({ soa(1) }, { questions = {} })
            receive(client)
            local count, answer = receive(client)
            assert.same({ 1, 0 }, { count, #answer.questions })
            assert_over(stream)
        end)

        it("RFC 5936 section 2.2: an error ends it, at first or later", function()
            start()
            for _, first in ipairs { true, false } do
                local client, stream, send = ask()
                if not first then
                    send { soa(1), a_record(1) }
                    receive(client)
                end
                send({}, { rcode = wire.rcodes.REFUSED })
                local _, answer = receive(client)
                assert.equal(wire.rcodes.REFUSED, answer.rcode)
                assert_over(stream)
            end
        end)

        it("RFC 6891 section 6.2.2: a server that does not know EDNS is asked again without", function()
            start()
            for round = 1, 2 do
                local client = moondns:tcp()
                client:send(wire.message(321, 0, { wire.question("example.com", AXFR) }, nil, nil, { wire.opt() }))
                local stream = assert(server:accept())
                local query = assert(stream:receive())
                if round == 1 then -- it is known from then on
                    assert.truthy(wire.parse(query).opt)
                    stream:send(wire.answer(query, {}, { rcode = wire.rcodes.FORMERR }))
                    stream = assert(server:accept())
                    query = assert(stream:receive())
                end
                assert.is_nil(wire.parse(query).opt)
                stream:send(wire.answer(query, { soa(1), a_record(1) }))
                stream:send(wire.answer(query, { soa(1) }))
                for count = 2, 1, -1 do
                    local got, answer = receive(client)
                    assert.same({ count, true }, { got, answer.opt ~= nil })
                end
                assert_over(stream)
            end
        end)

        it("are spoiled by a script message by message: what it does is done to the one that its hook has", function()
            start { code = [[
                function dns_response(flow)
                    local name = flow.response.answers[1].name
                    if name == "n1.example.com" then flow:corrupt{cut = 5}; flow:duplicate()
                    elseif name == "n3.example.com" then flow:reset() end
                end]] }
            local client, stream, send = ask()
            send { soa(1) }
            receive(client)
            send { a_record(1) }
            local whole = #wire.answer(wire.query("example.com", AXFR), { a_record(1) })
            assert.equal(whole - 5, #client:receive())
            assert.equal(whole - 5, #client:receive())
            send { a_record(2) }
            assert.equal(1, (receive(client)))
            send { a_record(3) }
            local _, problem = client:receive()
            assert.truthy(problem == "closed" or problem == "Connection reset by peer", problem)
            assert_over(stream)
        end)

        it("RFC 1995 section 4: differences end with the newest SOA, not with those between", function()
            start()
            local client, stream, send = ask(IXFR, soa(1))
            send { soa(3), soa(1), a_record(1), soa(2), a_record(2) }
            send { soa(2), a_record(2), soa(3) }
            send { a_record(3), soa(3) }
            assert.same({ 5, 3, 2 }, { (receive(client)), (receive(client)), (receive(client)) })
            assert_over(stream)
        end)

        it("RFC 1995 section 2: one SOA ends it where the client is up to date, else more follows", function()
            start()
            local client, stream, send = ask(IXFR, soa(7))
            send { soa(7) }
            receive(client)
            assert_over(stream)
            client, stream, send = ask(IXFR, soa(6))
            send { soa(7) }
            receive(client)
            send { a_record(1), soa(7) }
            assert.equal(2, (receive(client)))
            assert_over(stream)
        end)

        it("that breaks off, or stays silent: SERVFAIL ends it, and the flow says so", function()
            start { timeout = "0.3" }
            local client, stream, send = ask()
            send { soa(1), a_record(1) }
            receive(client)
            stream:close()
            local _, answer = receive(client)
            assert.equal(wire.rcodes.SERVFAIL, answer.rcode)
            moondns:wait_output("AXFR example.com\n << SERVFAIL %(connection closed, ", "out")
            client, stream, send = ask()
            send { soa(1), a_record(1) }
            receive(client)
            _, answer = receive(client)
            assert.equal(wire.rcodes.SERVFAIL, answer.rcode)
            moondns:wait_output("AXFR example.com\n << SERVFAIL %(time%-out, ", "out")
            assert_over(stream)
        end)

        it("that breaks off while a hook has a message", function()
            start { code = [[
                local count = 0
                function dns_response(flow)
                    count = count + 1
                    log.info("message %d", count)
                    if count == 2 then sleep(0.2) end
                end]] }
            local client, stream, send = ask()
            send { soa(1), a_record(1) }
            receive(client)
            send { a_record(2) }
            moondns:wait_output("message 2", "err")
            stream:close()
            assert.equal(1, (receive(client)))
            local _, answer = receive(client)
            assert.equal(wire.rcodes.SERVFAIL, answer.rcode)
        end)

        it("that no client waits for any more is broken off", function()
            start()
            local client, stream, send = ask()
            send { soa(1), a_record(1) }
            receive(client)
            client:close()
            wait.eventually(function()
                local ok = pcall(send, { a_record(2) })
                return not ok
            end, "the end of the connection upstream")
        end)

        it("that never ends: a client that does not read holds it, and nobody else", function()
            start()
            local client, stream, send = ask()
            local records_each = records(0, 1000)
            send { soa(1) }
            stream.handle:settimeout(0.5)
            local sent, problem = 0, nil
            repeat
                local ok
                ok, problem = pcall(send, records_each)
                sent = sent + 1
            until not ok
            assert.truthy(tostring(problem):find("timeout", 1, true), problem)
            assert.is_true(sent < 2000, sent .. " messages taken")

            local other = moondns:udp()
            other:send(wire.query("other.example", "A"))
            local received, reply = server:receive()
            reply(wire.answer(received, {}))
            assert.is_truthy(other:receive())
            receive(client) -- and once it reads, it goes on
            for _ = 1, 100 do
                assert.equal(1000, (receive(client)))
            end
        end)

        it("are stopped by a script: killed, failed, answered otherwise; a cleared message is left out", function()
            start { code = [[
                function dns_response(flow)
                    local name = flow.response.answers[1].name
                    if name == "n1.example.com" then flow.response = nil
                    elseif name == "n2.example.com" then flow:kill()
                    elseif name == "n3.example.com" then flow.error = "enough"
                    elseif name == "n4.example.com" then flow.response = flow.request:fail("REFUSED") end
                end]] }
            for number, rcode in ipairs { false, false, wire.rcodes.SERVFAIL, wire.rcodes.REFUSED } do
                local client, stream, send = ask()
                send { soa(1), a_record(9) }
                receive(client)
                send { a_record(number) }
                if rcode then
                    assert.equal(rcode, (select(2, receive(client))).rcode)
                elseif number == 1 then
                    send { a_record(8), soa(1) }
                    assert.equal(2, (receive(client)))
                end
                assert_over(stream)
                assert.is_nil(client:receive(0.01))
            end
        end)
    end)
end)
