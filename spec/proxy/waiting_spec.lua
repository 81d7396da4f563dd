-- Waiting: in every hook that can, and how a wait ends that nobody needs any more.
local files = require "spec.support.files"
local net = require "spec.support.net"
local proxy = require "spec.support.proxy"
local scope = require "spec.support.scope"
local wait = require "spec.support.wait"
local wire = require "spec.support.wire"

describe("a wait", function()
    scope.manage()

    local server

    before_each(function()
        server = net.server()
    end)

    -- Starts the proxy with the server as its upstream.
    local function start(code, options)
        options = options or {}
        options.code, options.upstream = code, server
        return proxy.start(options)
    end

    -- The server's next query by its name, and a function that answers it with an address.
    local function next_query()
        local query, reply = server:receive()
        return wire.parse(assert(query)).questions[1].name, function(ip)
            local name = wire.parse(query).questions[1].name
            reply(wire.answer(query, { wire.record(name, "A", wire.ipv4(ip)) }))
        end
    end

    local function ask(client, name)
        return wire.parse(assert(client:ask(wire.query(name, "A"))))
    end

    local ANSWER = [[
        local address
        local function find() address = assert(dns.resolve("first.example", "A")).answers[1].ipv4_address end
        function dns_request(flow)
            flow.response = flow.request:succeed { dns.ResourceRecord.A(flow.request.question.name, address or "192.0.2.1") }
        end
    ]]

    it("is ended by nobody else", function()
        local moondns = start [[
            local co
            function dns_request(flow)
                if flow.request.question.name == "first.example" then
                    co = coroutine.running()
                    flow.response = flow.request:succeed(assert(dns.resolve("other.example", "A")).answers)
                else
                    log.info("%s, %s", coroutine.status(co), select(2, coroutine.resume(co, "given")))
                    flow.response = flow.request:fail "REFUSED"
                end
            end]]
        local first = moondns:udp()
        first:send(wire.query("first.example", "A"))
        local _, reply = next_query()
        assert.equal(wire.rcodes.REFUSED, ask(moondns:udp(), "second.example").rcode)
        moondns:wait_output("suspended, cannot resume what a hook runs in", "err")
        reply "192.0.2.7"
        assert.equal(wire.ipv4 "192.0.2.7", wire.parse(assert(first:receive())).answers[1].data)
        assert.is_nil(moondns:err():find("error", 1, true), moondns:err())
    end)

    describe("in running", function()
        it("holds up no query, and gives the script what it looked for", function()
            local moondns = start(ANSWER .. [[
                function running()
                    sleep(0.01)
                    find()
                    log.info("found %s", address)
                end]])
            local name, reply = next_query()
            assert.equal("first.example", name)
            assert.equal(wire.ipv4 "192.0.2.1", ask(moondns:udp(), "a.example").answers[1].data)
            reply "192.0.2.7"
            moondns:wait_output("found 192.0.2.7", "err")
            assert.equal(wire.ipv4 "192.0.2.7", ask(moondns:udp(), "a.example").answers[1].data)
        end)

        it("lets hooks be defined behind it", function()
            local moondns = start [[
                function running()
                    dns.resolve("first.example", "A")
                    function dns_request(flow) flow.response = flow.request:fail("REFUSED") end
                    log.info("defined")
                end]]
            local _, reply = next_query()
            reply "192.0.2.7"
            moondns:wait_output("defined", "err")
            assert.equal(wire.rcodes.REFUSED, ask(moondns:udp(), "a.example").rcode)
        end)

        it("lets other addons run, and errors behind it name their line", function()
            local moondns = start [[
                local first, second = {}, {}
                function first:running() self.slept = sleep(0.01) error("too late") end
                function second:running() log.info("second: %s", tostring(self == second)) sleep(0.02) log.info("and on") end
                return { first, second }]]
            moondns:wait_output("second: true", "err")
            moondns:wait_output("script.lua:2: too late", "err")
            moondns:wait_output("and on", "err")
        end)

        it("ends with a reload", function()
            local moondns = start(ANSWER .. [[function running() find() log.info("in vain") end]])
            local _, reply = next_query()
            files.write(moondns.script, ANSWER .. [[function running() sleep(0.01) log.info("anew") end]])
            moondns:wait_output("anew", "err")
            reply "192.0.2.7"
            assert.equal(wire.ipv4 "192.0.2.1", ask(moondns:udp(), "a.example").answers[1].data)
            assert.is_nil(moondns:err():find("in vain", 1, true))
        end)

        it("does not delay a stop", function()
            local moondns = start [[function running() dns.resolve("first.example", "A", { timeout = 60 }) end]]
            next_query()
            moondns:signal "TERM"
            assert.equal(0, moondns:wait_end(4))
            moondns.expected_end = true
        end)
    end)

    it("in client_connected and client_disconnected holds up no query", function()
        local moondns = start(ANSWER .. [[
            function client_connected(conn)
                find()
                log.info("knows %s over %s", conn.address, conn.transport)
            end
            function client_disconnected(conn)
                sleep(0.01)
                log.info("misses %s", conn.address)
            end]])
        local client = moondns:tcp()
        local _, reply = next_query()
        assert.equal(wire.ipv4 "192.0.2.1", ask(client, "a.example").answers[1].data)
        reply "192.0.2.7"
        moondns:wait_output("knows 127.0.0.1 over tcp", "err")
        assert.equal(wire.ipv4 "192.0.2.7", ask(client, "a.example").answers[1].data)
        client:close()
        moondns:wait_output("misses 127.0.0.1", "err")
    end)

    describe("of a stream client that leaves", function()
        local GONE = "<< no answer .the client is gone"

        -- A proxy whose hook waits with this code behind a connection of its own, once for each name.
        local function waiting(code, names)
            local moondns = start([[
                function dns_request(flow)
                    local name = flow.request.question.name
                    if name:find "^quick" then
                        flow.response = flow.request:fail "REFUSED"
                        return
                    end
                    log.info("waits: %s", name)
                    ]] .. code .. [[
                    log.info("in vain")
                end
                function client_disconnected(conn) log.info("misses %d", conn.port) end]])
            local client = moondns:tcp()
            for _, name in ipairs(names or { "slow.example" }) do
                client:send(wire.query(name, "A"))
                moondns:wait_output("waits: " .. name, "err")
            end
            return moondns, client
        end

        local function expect_end(moondns, count)
            wait.eventually(function()
                local _, seen = moondns:out():gsub(GONE, "")
                return seen == count
            end, function()
                return count .. " flows to end, in\n" .. moondns:output()
            end, 4)
            moondns:wait_output("misses %d+", "err")
            assert.equal(wire.rcodes.REFUSED, ask(moondns:udp(), "quick.example").rcode)
            assert.is_nil(moondns:err():find("in vain", 1, true))
        end

        for what, code in pairs {
            ["sleep"] = "sleep(60)",
            ["dns.resolve"] = 'dns.resolve("other.example", "A", { timeout = 60 })',
            ["flow:intercept"] = "flow:intercept() do return end",
        } do
            it("ends: " .. what, function()
                local moondns, client = waiting(code)
                client:reset()
                expect_end(moondns, 1)
            end)
        end

        it("ends for all its queries, and for nobody else's", function()
            local moondns, client = waiting("sleep(name:find 'other' and 0.2 or 60) flow.response = flow.request:fail 'NXDOMAIN' do return end",
                { "one.example", "two.example", "three.example" })
            local other, udp = moondns:tcp(), moondns:udp()
            other:send(wire.query("other.example", "A"))
            udp:send(wire.query("another.example", "A"))
            moondns:wait_output("waits: other", "err")
            moondns:wait_output("waits: another", "err")
            client:reset()
            expect_end(moondns, 3)
            assert.equal(3, wire.parse(assert(other:receive())).rcode)
            assert.equal(3, wire.parse(assert(udp:receive())).rcode)
        end)

        it("goes on where the client has only closed its side", function()
            local moondns, client = waiting("sleep(0.1) flow.response = flow.request:fail 'NXDOMAIN' do return end")
            client:half_close()
            assert.equal(3, wire.parse(assert(client:receive())).rcode)
        end)
    end)

    it("of 1,000 hooks takes no longer than of one, and the memory they took comes back", function()
        local COUNT, SECONDS, MOST_SECONDS, BURSTS = 1000, 1, 60, 3
        local moondns = start(([[
            function dns_request(flow)
                local name = flow.request.question.name
                local kilobytes = name == "memory.example" and collectgarbage "count"
                if name:find "^slow" then sleep(SECONDS) end
                flow.response = flow.request:succeed { dns.ResourceRecord.TXT(name, kilobytes and tostring(kilobytes) or "slept") }
            end]]):gsub("SECONDS", SECONDS), { args = { "--flow-detail", "0" } })
        local client = moondns:udp()
        local function memory()
            local answer = wire.parse(assert(client:ask(wire.query("memory.example", "TXT"))))
            return tonumber(answer.answers[1].data:sub(2))
        end
        memory()
        local before, most = memory(), 0
        for _ = 1, BURSTS do
            local clients, started = {}, wait.now()
            for i = 1, COUNT do
                clients[i % 20] = clients[i % 20] or moondns:udp()
                clients[i % 20]:send(wire.query(("slow%d.example"):format(i), "TXT"))
            end
            memory()
            for i = 1, COUNT do
                assert(clients[i % 20]:receive())
            end
            most = math.max(most, memory())
            local took = wait.now() - started
            assert.is_true(took >= SECONDS and took < MOST_SECONDS, took .. " s")
        end
        assert.is_true(most > 3 * before, most .. " kB while they slept")
        wait.eventually(function()
            return memory() < 2 * before
        end, "the memory to come back")
    end)

    it("is refused in plain words where it cannot be", function()
        local moondns = start [[
            local function try(place) log.info("%s: %s", place, tostring(select(2, pcall(sleep, 1)))) end
            try "chunk"
            function load() try "load" end
            function configure() try "configure" end
            function done() try "done" end]]
        files.write(moondns.script, "function running() log.info('anew') end")
        moondns:wait_output("anew", "err")
        for _, text in ipairs {
            "chunk: sleep: cannot wait while the script is loaded; running() can",
            "load: sleep: cannot wait in load(); running() can",
            "configure: sleep: cannot wait in configure(); running() can",
            "done: sleep: cannot wait in done(): the script ends with it",
        } do
            assert.truthy(moondns:err():find(text, 1, true), text .. " is not in\n" .. moondns:err())
        end
    end)
end)
