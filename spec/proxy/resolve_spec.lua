-- Scripts that look names up: dns.resolve and dns.resolve_all, against a real server, and against one that is silent.
local files = require "spec.support.files"
local net = require "spec.support.net"
local proxy = require "spec.support.proxy"
local scope = require "spec.support.scope"
local upstream = require "spec.support.upstream"
local wait = require "spec.support.wait"
local wire = require "spec.support.wire"

describe("dns.resolve", function()
    scope.manage()

    local knot

    setup(function()
        knot = upstream.knot()
    end)

    local function start(code, options)
        options = options or {}
        options.code = proxy.ANSWERING .. code:gsub("KNOT", "127.0.0.1:" .. knot.port):gsub("PORT", knot.port)
        options.upstream = options.upstream or knot
        return proxy.start(options)
    end

    it("gives a hook the upstream's answer, unseen by hooks", function()
        local moondns = start [[
            function dns_request(flow)
                log.info("request %s", flow.request.question.name)
                local message, reason = dns.resolve("many.example.com", "A")
                assert(dns.typeof(message) == "DNSMessage" and reason == nil)
                assert(#message.answers == 3 and message.question.name == "many.example.com")
                assert(message.recursion_desired and message.timestamp)
                answer(flow, "192.0.2." .. #message.answers)
            end
            function dns_response(flow)
                log.info("response %s", flow.request.question.name)
                local missing = dns.resolve("nowhere.example.com", "A")
                flow.response.answers[1].ttl = missing.response_code == dns.response_codes.NXDOMAIN and 3 or 0
            end]]
        local answer = moondns:ask("a.example")
        assert.equal(wire.ipv4 "192.0.2.3", wire.only_data(answer))
        assert.equal(3, answer.answers[1].ttl)
        assert.is_nil(moondns:err():find("many.example.com", 1, true))
        assert.is_nil(moondns:out():find("many.example.com", 1, true))
    end)

    it("works in dns_error, and asks the server it is told to", function()
        local moondns = start([[
            local servers = { "KNOT", "udp://KNOT", "tcp://KNOT", { "127.0.0.1", PORT } }
            function dns_error(flow)
                assert(flow.error.msg == "no upstream")
                for _, server in ipairs(servers) do
                    local message = assert(dns.resolve("example.com", "A", { server = server }))
                    assert(message.answers[1].ipv4_address == "192.0.2.1")
                end
                answer(flow, "192.0.2.4")
            end]], { upstream = "none" })
        assert.equal(wire.ipv4 "192.0.2.4", wire.only_data(moondns:ask("a.example")))
    end)

    it("works in timers", function()
        local moondns = start [[
            function running()
                timer.after(0, function()
                    local message = dns.resolve("example.com", "MX")
                    sleep(0.01)
                    log.info("first %s, then %d", message.answers[1].rdata.exchange, #dns.resolve("many.example.com", 1).answers)
                end)
            end]]
        moondns:wait_output("first mail.example.com, then 3", "err")
    end)

    it("brings whole answers, whatever fits a datagram", function()
        local moondns = start [[
            function dns_request(flow)
                local cut = dns.resolve("large.example.com", "TXT", { server = "udp://KNOT" })
                local whole = dns.resolve("large.example.com", "TXT")
                assert(cut.truncation and not whole.truncation)
                answer(flow, "192.0.2." .. #whole.answers)
            end]]
        local answer = moondns:ask("a.example")
        local direct = wire.parse(assert(net.tcp(knot.port):ask(wire.query("large.example.com", "TXT"))))
        assert.equal(wire.ipv4("192.0.2." .. #direct.answers), wire.only_data(answer))
    end)

    it("asks the upstream of the name's domain, and the class it is told", function()
        local server = net.server()
        local moondns = start([[
            function dns_request(flow)
                dns.resolve("a.corp.example", "TXT", { class_ = "CH" })
                answer(flow)
            end]], { upstream = { "127.0.0.1:" .. knot.port, "[/corp.example/]127.0.0.1:" .. server.port } })
        local client = moondns:udp()
        client:send(wire.query("a.example", "A"))
        local query, reply = server:receive()
        local parsed = wire.parse(query)
        assert.equal("a.corp.example", parsed.questions[1].name)
        assert.equal(3, parsed.questions[1].class)
        assert.is_true(parsed.rd)
        assert.equal(1232, parsed.opt.class)
        assert.equal(0, parsed.opt.ttl)
        reply(wire.answer(query, {}))
        assert.equal(wire.ipv4 "192.0.2.9", wire.only_data(wire.parse(assert(client:receive()))))
    end)

    it("gives nil and the reason when nobody answers", function()
        local silent = net.server()
        local moondns = start(([[
            function dns_request(flow)
                local function show(...) log.info("got %s, %s", tostring((...)), tostring((select(2, ...)))) end
                show(dns.resolve("a.example", "A"))
                show(dns.resolve("b.example", "A", { server = "127.0.0.1:SILENT", timeout = 0.1 }))
                show(dns.resolve("c.example", "A", { server = "127.0.0.1:1" }))
                show(dns.resolve("d.example", "A", { server = "tls://127.0.0.1:SILENT" }))
                answer(flow)
            end]]):gsub("SILENT", silent.port), { upstream = "none" })
        assert.equal(wire.ipv4 "192.0.2.9", wire.only_data(moondns:ask("a.example")))
        assert.truthy(moondns:err():find("got nil, no upstream", 1, true))
        assert.truthy(moondns:err():find("got nil, time-out", 1, true))
        assert.truthy(moondns:err():find("got nil, connection refused", 1, true))
        local _, count = moondns:err():gsub("got nil, [^n]", "")
        assert.equal(3, count)
    end)

    it("says what is wrong with its arguments, and where nobody can wait", function()
        local moondns = start [[
            log.info("loading: %s", tostring(select(2, pcall(dns.resolve, "a.example", "A"))))
            function dns_request(flow)
                local function try(...) log.info("%s", tostring(select(2, pcall(...)))) end
                try(dns.resolve)
                try(dns.resolve, "a.example")
                try(dns.resolve, "a.example", "A", 7)
                try(dns.resolve, "a.example", "A", { sever = "9.9.9.9" })
                try(dns.resolve, "a.example", "A", { server = "nine" })
                try(dns.resolve, "a.example", "A", { timeout = 0 })
                try(dns.resolve, "a.example", "A", { timeout = "1" })
                try(dns.resolve_all, "a.example")
                try(dns.resolve_all, { { "a.example", "A" }, { "b.example", "AA" } })
                try(dns.resolve_all, { { "a.example", "A" }, "b.example" })
                try(dns.resolve_all, { { "a.example", "A", timout = 1 } })
                local own = coroutine.wrap(function() return pcall(dns.resolve, "a.example", "A") end)
                log.info("own: %s", tostring(select(2, own())))
                local object = setmetatable({}, { __index = function() return dns.resolve("example.com", "A") end })
                log.info("__index: %s", tostring(select(2, pcall(string.gsub, "x", "x", function() return object.x end))))
                local outside = dns.resolve("example.com", "A")
                answer(flow, outside.answers[1].ipv4_address)
            end]]
        assert.equal(wire.ipv4 "192.0.2.1", wire.only_data(moondns:ask("a.example")))
        for _, text in ipairs {
            "loading: dns.resolve: cannot wait while the script is loaded; running() can",
            "dns.resolve: domain name expected, got nil",
            "dns.resolve: type (name or integer from 0 to 65535) expected, got nil",
            "dns.resolve: table expected, got 7",
            "dns.resolve has no option 'sever' (did you mean 'server'?)",
            "dns.resolve: server: ",
            "dns.resolve: timeout: seconds (more than 0) expected, got 0",
            "dns.resolve: timeout: number expected, got '1'",
            "dns.resolve_all: table expected, got 'a.example'",
            "dns.resolve_all: question 2: type (name or integer from 0 to 65535) expected, got 'AA'",
            "dns.resolve_all: question 2: {name, type} expected, got 'b.example'",
            "dns.resolve_all: question 1 has no option 'timout' (did you mean 'timeout'?)",
            "own: dns.resolve: cannot wait in a coroutine of the script's own",
            "dns.resolve: cannot wait inside a function that C calls",
        } do
            assert.truthy(moondns:err():find(text, 1, true), text .. " is not in\n" .. moondns:err())
        end
    end)

    it("asks for several at once, whose answers come in the order asked", function()
        local server = net.server()
        local moondns = start([[
            function dns_request(flow)
                local none, no_reasons = dns.resolve_all {}
                assert(#none == 0 and #no_reasons == 0)
                local all, reasons = dns.resolve_all({
                    { "example.com", "A", server = "KNOT" },
                    { "a.example", "A" },
                    { "b.example", "A" },
                    { "c.example", "A", server = "127.0.0.1:1" },
                    { "example.com", "MX", server = "KNOT" },
                }, { timeout = 10 })
                assert(all[1].answers[1].ipv4_address == "192.0.2.1" and reasons[1] == nil)
                assert(all[4] == nil and reasons[4] == "connection refused", reasons[4])
                assert(#all[5].answers == 2)
                answer(flow, all[3].answers[1].ipv4_address)
            end]], { upstream = server })
        local client = moondns:udp()
        client:send(wire.query("x.example", "A"))
        local pending = {}
        for _ = 1, 2 do
            local query, reply = server:receive()
            pending[wire.parse(query).questions[1].name] = function(ip)
                local name = wire.parse(query).questions[1].name
                reply(wire.answer(query, { wire.record(name, "A", wire.ipv4(ip)) }))
            end
        end
        pending["b.example"] "192.0.2.22"
        pending["a.example"] "192.0.2.21"
        assert.equal(wire.ipv4 "192.0.2.22", wire.only_data(wire.parse(assert(client:receive()))))
    end)

    it("holds up nobody: 1,000 hooks that sleep and resolve", function()
        local moondns = start([[
            function dns_request(flow)
                local name = flow.request.question.name
                if name:find "^quick" then return answer(flow, "192.0.2.1") end
                sleep(1)
                local message = assert(dns.resolve(name:match "^%w+" .. ".wild.example.com", "A"))
                answer(flow, message.answers[1].ipv4_address)
            end]], { args = { "--flow-detail", "0" } })
        local clients, SOCKETS, EACH = {}, 20, 50
        local started = wait.now()
        for i = 1, SOCKETS do
            clients[i] = moondns:udp()
            for j = 1, EACH do
                clients[i]:send(wire.query(("slow%dx%d.example"):format(i, j), "A", { id = j }))
            end
            assert.equal(wire.ipv4 "192.0.2.1", wire.only_data(moondns:ask("quick" .. i .. ".example")))
        end
        for i = 1, 100 do
            assert.equal(wire.ipv4 "192.0.2.1", wire.only_data(moondns:ask("quicker" .. i .. ".example")))
        end
        for i = 1, SOCKETS do
            local seen, count = {}, 0
            for _ = 1, EACH do
                local answer = wire.parse(assert(clients[i]:receive()))
                assert.equal(wire.ipv4 "192.0.2.42", wire.only_data(answer))
                count = count + (seen[answer.id] and 0 or 1)
                seen[answer.id] = true
            end
            assert.equal(EACH, count)
        end
        assert.is_true(wait.now() - started >= 1)
    end)

    describe("during a wait", function()
        local silent

        before_each(function()
            silent = net.server()
        end)

        local WAITING = [[
            function dns_request(flow)
                if flow.request.question.name == "quick.example" then return answer(flow, "192.0.2.1") end
                local message, reason = dns.resolve("wait.example", "A", { server = "127.0.0.1:SILENT", timeout = 60 })
                answer(flow, message and message.answers[1].ipv4_address or "192.0.2.8")
            end]]

        local function waiting(client, code)
            local moondns = start(((code or WAITING):gsub("SILENT", silent.port)))
            local asking = moondns[client](moondns)
            asking:send(wire.query("slow.example", "A"))
            local query, reply = silent:receive()
            return moondns, asking, function(ip)
                reply(wire.answer(query, { wire.record("wait.example", "A", wire.ipv4(ip)) }))
            end
        end

        it("a reload leaves the hook the script it began with", function()
            local moondns, client, reply = waiting "udp"
            files.write(moondns.script, proxy.ANSWERING .. "function dns_request(flow) answer(flow, '192.0.2.2') end")
            moondns:wait_output("reloaded", "err")
            assert.equal(wire.ipv4 "192.0.2.2", wire.only_data(moondns:ask("slow.example")))
            reply "192.0.2.3"
            assert.equal(wire.ipv4 "192.0.2.3", wire.only_data(wire.parse(assert(client:receive()))))
        end)

        it("a reload ends a timer's", function()
            local moondns = start((([[
                function running()
                    timer.after(0, function()
                        dns.resolve("wait.example", "A", { server = "127.0.0.1:SILENT" })
                        log.info("in vain")
                    end)
                end]]):gsub("SILENT", silent.port)))
            local query, reply = silent:receive()
            files.write(moondns.script, proxy.ANSWERING .. "function dns_request(flow) answer(flow, '192.0.2.2') end")
            moondns:wait_output("reloaded", "err")
            reply(wire.answer(query, {}))
            assert.equal(wire.ipv4 "192.0.2.2", wire.only_data(moondns:ask("a.example")))
            assert.is_nil(moondns:err():find("in vain", 1, true))
        end)

        it("a client may go", function()
            local moondns, client, reply = waiting "tcp"
            client:close()
            assert.equal(wire.ipv4 "192.0.2.1", wire.only_data(moondns:ask("quick.example")))
            reply "192.0.2.3"
            assert.equal(wire.ipv4 "192.0.2.1", wire.only_data(moondns:ask("quick.example")))
        end)

        it("a stop lets the hook finish", function()
            local moondns, client, reply = waiting "udp"
            moondns:signal "TERM"
            reply "192.0.2.3"
            assert.equal(wire.ipv4 "192.0.2.3", wire.only_data(wire.parse(assert(client:receive()))))
            assert.equal(0, moondns:wait_end())
            moondns.expected_end = true
        end)

        it("a second stop ends it", function()
            local moondns = waiting "udp"
            moondns:signal "TERM"
            wait.eventually(function()
                return not pcall(function() moondns:tcp() end)
            end, "the listeners to close")
            moondns:signal "TERM"
            assert.equal(0, moondns:wait_end(4))
            moondns.expected_end = true
        end)

        it("a stop does not wait for a timer's", function()
            local moondns = start((([[
                function running()
                    timer.after(0, function() dns.resolve("wait.example", "A", { server = "127.0.0.1:SILENT", timeout = 60 }) end)
                end]]):gsub("SILENT", silent.port)))
            silent:receive()
            moondns:signal "TERM"
            assert.equal(0, moondns:wait_end(4))
            moondns.expected_end = true
        end)

        it("the upstream may die", function()
            local moondns, client = waiting("udp", (WAITING:gsub('"127', '"tcp://127'):gsub("timeout = 60", "timeout = 0.3")))
            silent.listener:close()
            assert.equal(wire.ipv4 "192.0.2.1", wire.only_data(moondns:ask("quick.example")))
            assert.equal(wire.ipv4 "192.0.2.8", wire.only_data(wire.parse(assert(client:receive()))))
        end)
    end)
end)
