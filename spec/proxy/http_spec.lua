-- http.get and http.request, against real servers.
local files = require "spec.support.files"
local http = require "spec.support.http"
local net = require "spec.support.net"
local proxy = require "spec.support.proxy"
local scope = require "spec.support.scope"
local upstream = require "spec.support.upstream"
local wait = require "spec.support.wait"
local wire = require "spec.support.wire"

-- What the code under test shows is in the log, a line each, behind "shown: ".
local PREPARE = proxy.ANSWERING .. [[
    local function show(...)
        local parts = {}
        for i = 1, select("#", ...) do parts[i] = tostring((select(i, ...))) end
        log.info("shown: %s", table.concat(parts, ", "))
    end
    -- What came, in short.
    local function fetch(...)
        local answer, why = http.get(...)
        if answer then show(answer.status, #answer.body <= 100 and answer.body or #answer.body) else show(nil, why) end
    end
    local URL, TLS = "http://127.0.0.1:PLAIN", "https://127.0.0.1:GOOD"
]]

describe("http", function()
    scope.manage()

    local authority, server, plain, good

    setup(function()
        authority = http.authority()
        server = http.serve(
            false,
            authority.sign("good", "DNS:good.example,DNS:*.wild.example,IP:127.0.0.1"),
            authority.sign("other", "DNS:other.example"),
            authority.sign("expired", "DNS:good.example,IP:127.0.0.1", -1),
            authority.self_signed("self", "DNS:good.example,IP:127.0.0.1"))
        plain, good = server.ports[1], server.ports[2]
    end)

    local NAMES = { "PLAIN", "GOOD", "OTHER", "EXPIRED", "SELF" }

    local function prepared(code)
        code = PREPARE .. code
        for i, name in ipairs(NAMES) do
            code = code:gsub(name, server.ports[i])
        end
        return code
    end

    local function start(code, options)
        options = options or {}
        options.code = prepared(code)
        options.environment = options.environment or { SSL_CERT_FILE = authority.path, SSL_CERT_DIR = "/nonexistent" }
        return proxy.start(options)
    end

    -- The lines that the code shows when it runs in `running`.
    local function shown(code, options)
        local moondns = start("function running()\n" .. code .. "\nlog.info('over') end", options)
        moondns:wait_output("over\n", "err")
        local lines = {}
        for line in moondns:err():gmatch "shown: ([^\n]*)" do
            lines[#lines + 1] = line
        end
        return lines, moondns
    end

    it("gives the status, the headers and the body", function()
        local lines = shown [[
            local answer = http.get(URL .. "/echo/a%20b?c=d#e")
            show(answer.status, answer.reason, answer.url == URL .. "/echo/a%20b?c=d")
            show(answer.headers["x-two"], answer.headers["x-empty"], answer.headers["content-length"] == tostring(#answer.body))
            show(answer.body:match "^[^\n]*")
            show(answer.body:match "host: ([^\n]*)", answer.body:match "user%-agent: (%w+)/")
            fetch(URL .. "/status/404")
            fetch(URL)
            fetch(URL .. "/sized/1000000")]]
        assert.same({
            "200, Fine, true", "a, b, , true", "GET /echo/a%20b?c=d", "127.0.0.1:" .. plain .. ", moondns",
            "404, ", "200, plain text", "200, 1000000",
        }, lines)
    end)

    it("sends methods, headers and bodies", function()
        local lines = shown [[
            local function echo(options)
                local answer, why = http.request(options)
                show((answer and answer.body or why):gsub("\n", ";"))
            end
            echo { url = URL .. "/echo", method = "post", body = "a=b\0c", headers = { ["X-Own"] = 7, Host = "other.example",
                ["x-list"] = { "one", "two" } } }
            for _, method in ipairs { "PUT", "DELETE", "PATCH", "OPTIONS" } do
                show(http.request { url = URL .. "/echo", method = method }.body:match "%u+")
            end
            local head = http.request { url = URL .. "/sized/50", method = "HEAD" }
            show(head.status, head.headers["content-length"], #head.body)]]
        assert.truthy(lines[1]:find("POST /echo;accept: */*;connection: keep-alive;content-length: 5;host: other.example;", 1, true), lines[1])
        assert.truthy(lines[1]:find("x-list: one|two;x-own: 7;;a=b\\x00c", 1, true) or lines[1]:find("x-list: two|one;x-own: 7;;a=b\\x00c", 1, true), lines[1])
        assert.same({ "PUT", "DELETE", "PATCH", "OPTIONS", "200, 50, 0" }, { unpack(lines, 2) })
    end)

    it("reads bodies of every kind, and refuses those that are not whole", function()
        local lines = shown [[
            for _, path in ipairs { "chunked", "until_close", "cut", "cut_chunk", "garbage", "endless_headers" } do fetch(URL .. "/" .. path) end
            for _, path in ipairs { "chunked", "cut", "cut_chunk" } do fetch(TLS .. "/" .. path) end]]
        assert.same({
            "200, in three parts", "200, plain text",
            "nil, the connection was closed before the answer was whole",
            "nil, the connection was closed before the answer was whole",
            "nil, the answer is not HTTP, or its headers are too large",
            "nil, the answer is not HTTP, or its headers are too large",
            "200, in three parts",
            "nil, the connection was closed before the answer was whole",
            "nil, the connection was closed before the answer was whole",
        }, lines)
    end)

    it("has limits: size, time, memory", function()
        local lines = shown([[
            fetch(URL .. "/sized/100", { max_size = 100 })
            fetch(URL .. "/sized/101", { max_size = 100 })
            fetch(URL .. "/endless", { max_size = 100000 })
            fetch(URL .. "/endless")
            fetch(URL .. "/sized/40000000")
            fetch(URL .. "/silent", { timeout = 0.1 })
            fetch(URL .. "/trickle", { timeout = 0.1 })
            fetch(TLS .. "/silent", { timeout = 0.5 })]], { args = { "--script-memory", "32" } })
        assert.equal("200, " .. ("x"):rep(100), lines[1])
        assert.same({ "nil, too large: more than 100 bytes", "nil, too large: more than 100000 bytes" }, { lines[2], lines[3] })
        assert.truthy(lines[4]:find("nil, too large: more than 3%d%d%d%d%d%d%d bytes"), lines[4])
        assert.truthy(lines[5]:find("nil, too large: more than 3%d%d%d%d%d%d%d bytes"), lines[5])
        assert.same({ "nil, time-out", "nil, time-out", "nil, time-out" }, { unpack(lines, 6) })
    end)

    it("says why there is no connection", function()
        local silent = net.server()
        local lines = shown(([[
            fetch("http://127.0.0.1:1/")
            fetch("https://127.0.0.1:1/")
            fetch("http://127.0.0.1:GOOD/")
            fetch("http://nowhere.example/")
            fetch("https://127.0.0.1:SILENT/", { timeout = 0.1 })]]):gsub("SILENT", silent.port), {})
        assert.same({ "nil, connection refused", "nil, connection refused" }, { lines[1], lines[2] })
        assert.truthy(lines[3]:find "^nil, the ", lines[3])
        assert.same({ "nil, nowhere.example: no upstream", "nil, time-out" }, { lines[4], lines[5] })
    end)

    describe("over TLS", function()
        it("takes a certificate that the system trusts and that is the host's, and no other", function()
            local lines = shown [[
                local function at(name, port, options)
                    options = options or {}
                    options.address = "127.0.0.1"
                    fetch(("https://%s:%d/"):format(name, port), options)
                end
                fetch(TLS)
                at("good.example", GOOD)
                at("gooD.Example.", GOOD)
                at("a.wild.example", GOOD)
                at("a.b.wild.example", GOOD)
                at("other.example", GOOD)
                fetch("https://127.0.0.1:OTHER/")
                at("other.example", OTHER)
                at("good.example", EXPIRED)
                at("good.example", SELF)
                at("good.example", SELF, { verify = false })
                at("other.example", EXPIRED, { verify = false })]]
            assert.same({
                "200, plain text", "200, plain text", "200, plain text", "200, plain text",
                "nil, certificate: hostname mismatch", "nil, certificate: hostname mismatch",
                "nil, certificate: IP address mismatch",
                "200, plain text",
                "nil, certificate: certificate has expired", "nil, certificate: self-signed certificate",
                "200, plain text", "200, plain text",
            }, lines)
        end)

        it("has read whom the system trusts before the first query, where a script fetches something", function()
            local trusted = files.temp_file("trusted.pem", files.read(authority.path))
            local moondns = start("function dns_request(flow) fetch(TLS) answer(flow) end",
                { environment = { SSL_CERT_FILE = trusted, SSL_CERT_DIR = "/nonexistent" } })
            os.remove(trusted)
            assert.truthy(moondns:udp():ask(wire.query("a.example", "A")))
            moondns:wait_output("shown: 200, plain text", "err")
        end)

        it("trusts whom it is told to", function()
            local lines = shown(([[
                fetch(TLS)
                fetch(TLS, { ca_file = "AUTHORITY" })
                fetch(TLS, { ca_file = "/nonexistent" })]]):gsub("AUTHORITY", authority.path), { environment = { SSL_CERT_FILE = "/dev/null" } })
            assert.equal("nil, certificate: unable to get local issuer certificate", lines[1])
            assert.equal("200, plain text", lines[2])
            assert.truthy(lines[3]:find "^nil, /nonexistent: ")
        end)
    end)

    it("follows redirects, so many, and never from https to http", function()
        local lines = shown [[
            fetch(URL .. "/count/5")
            fetch(URL .. "/count/6")
            fetch(URL .. "/count/6", { redirects = 6 })
            fetch(URL .. "/count/1", { redirects = 0 })
            fetch(URL .. "/to/302//to/302//to/302//to/302//to/302//to/302//")
            fetch(TLS .. "/to/302/" .. URL .. "/")
            fetch(URL .. "/to/302/" .. TLS .. "/")
            fetch(URL .. "/to/302/gopher://127.0.0.1/")
            local function lands(path, options)
                local answer = http.get(URL .. path, options)
                show(answer.body:match "^[^\n]*")
                return answer
            end
            lands "/to/301//echo/./a/../b?c"
            lands "/to/301/..%2F..%2F..%2Fecho/d%2520e?f"
            lands("/to/301///127.0.0.1:PLAIN/echo/g#h")
            lands("/to/302//echo", { method = "POST", body = "x" })
            lands("/to/303//echo", { method = "PUT", body = "x" })
            lands("/to/307//echo", { method = "POST", body = "x" })
            local private = { ["Authorization"] = "Basic eA==", ["Cookie"] = "c", ["X-Own"] = "y" }
            show(lands("/to/302//echo", { headers = private }).body:find("authorization", 1, true) ~= nil)
            show(lands("/to/302/http://localhost:PLAIN/echo", { headers = private }).body:find("authorization", 1, true) ~= nil)]]
        assert.same({
            "200, plain text", "nil, too many redirects", "200, plain text", "302, ", "nil, too many redirects",
            "nil, redirect from https to http", "200, plain text",
            "nil, redirect: a URL that begins with http:// or https:// expected",
            "GET /echo/b?c", "GET /echo/d%20e?f", "GET /echo/g", "GET /echo", "GET /echo", "POST /echo",
            "GET /echo", "true", "GET /echo", "false",
        }, lines)
    end)

    describe("connections", function()
        -- The numbers of the connections that brought these requests, in order.
        local function connections(path)
            local numbers = {}
            for number in server.process:out():gmatch("%u+ " .. path .. " by (%d+)") do
                numbers[#numbers + 1] = tonumber(number)
            end
            return numbers
        end

        local function same(numbers)
            for i = 2, #numbers do
                assert.equal(numbers[1], numbers[i])
            end
            return #numbers
        end

        it("are kept for the next request to the same place", function()
            local lines = shown [[
                for _, base in ipairs { URL, TLS } do
                    for i = 1, 3 do fetch(base .. "/echo/kept" .. (base == URL and "" or "tls")) end
                end
                http.request { url = URL .. "/echo/kept", method = "HEAD" }
                http.request { url = URL .. "/echo/kept", method = "POST", body = "x" }
                fetch(URL .. "/chunked") fetch(URL .. "/to/302//echo/kept")]]
            assert.equal(8, #lines)
            local numbers = connections "/echo/kept"
            assert.equal(6, #numbers)
            assert.equal(4, same { unpack(numbers, 1, 4) })
            assert.is_true(numbers[5] ~= numbers[1], "POST may not reach the server twice")
            assert.equal(3, same(connections "/echo/kepttls"))
            assert.equal(numbers[6], connections("/to/302//echo/kept")[1])
        end)

        it("are not kept: cut off, with more than an answer, closed by the server", function()
            local lines = shown [[
                for _, action in ipairs { "leaving", "closing", "more", "until_close", "cut" } do
                    for _ = 1, 2 do fetch(URL .. "/" .. action .. "/once") end
                    show(http.request { url = URL .. "/echo/once", method = "POST", body = "x" }.status)
                end]]
            local text = "200, plain text"
            local cut = "nil, the connection was closed before the answer was whole"
            assert.same({ text, text, "200", text, text, "200", text, text, "200", text, text, "200", cut, cut, "200" }, lines)
            for _, action in ipairs { "leaving", "closing", "more", "until_close", "cut" } do
                local numbers = connections("/" .. action .. "/once")
                assert.equal(2, #numbers)
                assert.is_true(numbers[1] < numbers[2], action)
            end
        end)

        it("serve nobody who asks otherwise: other certificates, no checks, another address", function()
            local lines = shown(([[
                fetch(TLS .. "/echo/apart")
                fetch(TLS .. "/echo/apart", { verify = false })
                fetch(TLS .. "/echo/apart", { ca_file = "AUTHORITY" })
                fetch("https://good.example:GOOD/echo/apart", { address = "127.0.0.1" })
                fetch("https://a.wild.example:GOOD/echo/apart", { address = "127.0.0.1" })
                fetch("https://good.example:GOOD/echo/apart", { address = "127.0.0.1:GOOD" })]]):gsub("AUTHORITY", authority.path), {})
            assert.equal(6, #lines)
            local seen = {}
            for _, number in ipairs(connections "/echo/apart") do
                assert.is_nil(seen[number])
                seen[number] = true
            end
            assert.equal(6, #connections "/echo/apart")
        end)

        it("are kept for a host up to four, and not for ever", function()
            local moondns = start [[
                local left = 8
                function running()
                    for _ = 1, left do
                        timer.after(0, function()
                            fetch(URL .. "/echo/many")
                            left = left - 1
                            if left == 0 then log.info("over") end
                        end)
                    end
                end]]
            moondns:wait_output("over\n", "err")
            local function ended()
                local count = 0
                for _, number in ipairs(connections "/echo/many") do
                    count = count + (server.process:out():find("over " .. number .. "\n", 1, true) and 1 or 0)
                end
                return count
            end
            wait.eventually(function() return #connections "/echo/many" == 8 end, "the server to tell of all")
            wait.eventually(function() return ended() >= 4 end, "four to be closed")
            assert.equal(4, ended())
            wait.eventually(function() return ended() == 8 end, "the others to be closed, after ten seconds")
        end)
    end)

    it("looks names up as clients would: hosts files, the upstream, or not at all", function()
        local hosts = files.temp_file("hosts", "127.0.0.1 listed.example\n")
        local knot = upstream.knot(files.read(upstream.ZONE_PATH)
            .. "http A 127.0.0.1\nalias-of-http CNAME http\nboth AAAA ::1\nboth A 127.0.0.1\nempty TXT none\n")
        local lines = shown([[
            fetch "http://listed.example:PLAIN/"
            fetch "http://http.example.com:PLAIN/"
            fetch "http://alias-of-http.example.com:PLAIN/"
            fetch "http://both.example.com:PLAIN/"
            fetch "http://empty.example.com:PLAIN/"
            fetch "http://missing.example.com:PLAIN/"
            fetch "http://localhost:PLAIN/"
            fetch "http://a.localhost:PLAIN/"
            fetch("http://missing.example.com:PLAIN/", { address = "127.0.0.1" })
            fetch("http://missing.example.com/", { address = "127.0.0.1:PLAIN" })
            show(http.get("http://http.example.com:PLAIN/echo").body:match "host: ([^\n]*)")]],
            { upstream = knot, args = { "--hosts", hosts } })
        assert.same({
            "200, plain text", "200, plain text", "200, plain text", "200, plain text",
            "nil, empty.example.com: it has no address", "nil, missing.example.com: NXDOMAIN",
            "200, plain text", "200, plain text", "200, plain text", "200, plain text", "http.example.com:" .. plain,
        }, lines)
    end)

    it("says what is wrong with its arguments", function()
        local lines = shown [[
            local function try(...) show((tostring(select(2, pcall(...))):gsub("^.-script.lua:%d+: ", ""))) end
            try(http.get)
            try(http.get, "ftp://a.example/")
            try(http.get, "a.example")
            try(http.get, "http:///")
            try(http.get, "http://a b/")
            try(http.get, "http://a.example:99999/")
            try(http.get, "http://user:secret@a.example/")
            try(http.get, URL, 7)
            try(http.get, URL, { metod = "GET" })
            try(http.get, URL, { method = "BREW" })
            try(http.get, URL, { timeout = 0 })
            try(http.get, URL, { max_size = 0 })
            try(http.get, URL, { redirects = -1 })
            try(http.get, URL, { verify = 1 })
            try(http.get, URL, { address = "a.example" })
            try(http.get, URL, { headers = { ["X-Own"] = "a\r\nX-More: b" } })
            try(http.get, URL, { headers = { ["X Own"] = "a" } })
            try(http.get, URL, { headers = { "X-Own: a" } })
            try(http.get, URL, { headers = { ["X-Own"] = true } })
            try(http.get, URL, { headers = { ["content-length"] = "7" } })
            try(http.request, URL)
            try(http.request, { method = "GET" })]]
        local expected = {
            "http.get: string expected, got nil",
            "http.get: a URL that begins with http:// or https:// expected",
            "http.get: a URL that begins with http:// or https:// expected",
            "http.get: the URL names no host",
            "http.get: no URL (blanks and the like are written as %20)",
            "http.get: ",
            "http.get: a URL with a user's name is not taken: give an Authorization header",
            "http.get: table expected, got 7",
            "http.get has no property 'metod' (did you mean 'method'?)",
            "http.get: method: GET, POST, HEAD, PUT, DELETE, PATCH or OPTIONS expected, got 'BREW'",
            "http.get: timeout: seconds (more than 0) expected, got 0",
            "http.get: max_size: integer from 1 to ",
            "http.get: redirects: integer from 0 to 100 expected, got -1",
            "http.get: verify: boolean expected, got 1",
            "http.get: address: ",
            "http.get: headers: the header X-Own may not hold control bytes such as line ends",
            "http.get: headers: a header's name is letters, digits and '-'",
            "http.get: headers: header names as keys expected, got 1",
            "http.get: headers: string expected, got true",
            "http.get: headers: the header Content-Length cannot be set",
            "http.request: table expected, got '",
            "http.request: url expected",
        }
        for i, text in ipairs(expected) do
            assert.equal(text, (lines[i] or ""):sub(1, #text))
        end
        assert.equal(#expected, #lines)
    end)

    describe("in the guide's examples", function()
        -- The script of this name in docs/scripting.md.
        local function example(name, wanted, given)
            local code = assert(files.read("docs/scripting.md"):match("```lua\n(%-%- " .. name .. "%.lua\n.-)```"), name)
            return (code:gsub(wanted, given))
        end

        local function rcode(moondns, name)
            return wire.parse(assert(moondns:udp():ask(wire.query(name, "A")))).rcode
        end

        it("brings a block list, again and again", function()
            local knot = upstream.knot()
            local moondns = proxy.start { code = example("hourly", "HOUR = 3600", "HOUR = 0.05"), upstream = knot,
                args = { "--set", "list=http://127.0.0.1:" .. plain .. "/block_list/hourly" } }
            moondns:wait_output("2 domains are blocked.*2 domains are blocked.*2 domains are blocked", "err")
            moondns:wait_output("http://127.0.0.1:" .. plain .. "/block_list/hourly:4: '/banner/': ", "err")
            assert.equal(3, rcode(moondns, "x.ads.example"))
            assert.equal(3, rcode(moondns, "tracker.example"))
            assert.equal(0, rcode(moondns, "example.com"))
        end)

        it("asks a policy service", function()
            local moondns = proxy.start { upstream = upstream.knot(),
                code = example("ask_policy", "127%.0%.0%.1:8181/v1/data/dns/allow", "127.0.0.1:" .. plain .. "/policy") }
            assert.equal(5, rcode(moondns, "bad.example.com"))
            assert.equal(0, rcode(moondns, "example.com"))
        end)
    end)

    it("holds up nobody: 1,000 hooks that ask a service, and one that does not", function()
        local moondns = start([[
            function dns_request(flow)
                local name = flow.request.question.name
                if name:find "^quick" then return answer(flow, "192.0.2.1") end
                local reply = assert(http.get(URL .. "/echo/" .. name, { timeout = 60 }))
                assert(reply.body:find(name, 1, true))
                answer(flow, "192.0.2.2")
            end]], { args = { "--flow-detail", "0" } })
        local clients, SOCKETS, EACH = {}, 20, 50
        for i = 1, SOCKETS do
            clients[i] = moondns:udp()
            for j = 1, EACH do
                clients[i]:send(wire.query(("n%dx%d.example"):format(i, j), "A", { id = j }))
            end
            local quick = wire.parse(assert(clients[i]:receive()))
            assert.truthy(quick)
        end
        assert.equal(wire.ipv4 "192.0.2.1", wire.parse(assert(moondns:udp():ask(wire.query("quick.example", "A")))).answers[1].data)
        for i = 1, SOCKETS do
            for _ = 2, EACH do
                local answer = wire.parse(assert(clients[i]:receive(60)))
                assert.equal(wire.ipv4 "192.0.2.2", answer.answers[1].data)
            end
        end
    end)

    describe("during a request", function()
        -- A proxy whose hook waits for the server, which has taken the request.
        local function waiting(client, path)
            local moondns = start((([[
                function dns_request(flow)
                    if flow.request.question.name == "quick.example" then return answer(flow, "192.0.2.1") end
                    local reply, why = http.get("BASEPATH", { timeout = 60 })
                    answer(flow, "192.0.2.8")
                end]]):gsub("PATH", path):gsub("BASE", path:find "secret" and "https://127.0.0.1:GOOD" or "http://127.0.0.1:PLAIN")))
            local asking = moondns[client](moondns)
            asking:send(wire.query("slow.example", "A"))
            server.process:wait_output("GET " .. path)
            return moondns, asking
        end

        local function left(path)
            server.process:wait_output("left " .. path)
        end

        it("a reload leaves the hook the script it began with", function()
            local moondns = waiting("udp", "/silent/reload")
            files.write(moondns.script, prepared "function dns_request(flow) answer(flow, '192.0.2.2') end")
            moondns:wait_output("reloaded", "err")
            assert.equal(wire.ipv4 "192.0.2.2", wire.parse(assert(moondns:udp():ask(wire.query("a.example", "A")))).answers[1].data)
            assert.is_nil(server.process:out():find("left /silent/reload", 1, true))
        end)

        it("a reload ends a timer's", function()
            local moondns = start [[function running() timer.after(0, function() http.get(URL .. "/silent/timer") end) end]]
            server.process:wait_output "GET /silent/timer"
            files.write(moondns.script, "-- nothing")
            moondns:wait_output("reloaded", "err")
            left "/silent/timer"
        end)

        it("a client that leaves ends it", function()
            local moondns, client = waiting("tcp", "/silent/client")
            client:reset()
            left "/silent/client"
            moondns:wait_output "the client is gone"
        end)

        it("a second stop ends it", function()
            local moondns = waiting("udp", "/silent/stop")
            moondns:signal "TERM"
            wait.eventually(function()
                return not pcall(function() moondns:tcp() end)
            end, "the listeners to close")
            moondns:signal "TERM"
            assert.equal(0, moondns:wait_end(4))
            moondns.expected_end = true
            left "/silent/stop"
        end)

        it("a stop does not wait for running's, in the clear or over TLS", function()
            local moondns = start [[
                function running()
                    timer.after(0, function() http.get(TLS .. "/trickle/secret") end)
                    http.get(URL .. "/silent/running")
                end]]
            server.process:wait_output "GET /silent/running"
            server.process:wait_output "GET /trickle/secret"
            moondns:signal "TERM"
            assert.equal(0, moondns:wait_end(4))
            moondns.expected_end = true
            left "/silent/running"
        end)

        it("requests wait for their turn, and that ends too", function()
            local moondns = start [[
                function dns_request(flow)
                    if flow.request.question.name == "quick.example" then return answer(flow, "192.0.2.1") end
                    local reply, why = http.get(URL .. "/silent/crowd", { timeout = 1 })
                    answer(flow, why == "time-out" and "192.0.2.3" or "192.0.2.4")
                end]]
            local clients, CLIENTS, EACH = {}, 10, 40 -- so few that the kernel holds what one of them sends and gets
            for i = 1, CLIENTS do
                clients[i] = moondns:udp()
                for id = 1, EACH do
                    clients[i]:send(wire.query("slow.example", "A", { id = id }))
                end
                assert.equal(wire.ipv4 "192.0.2.1", wire.parse(assert(moondns:udp():ask(wire.query("quick.example", "A")))).answers[1].data)
            end
            for i = 1, CLIENTS do
                for _ = 1, EACH do
                    assert.equal(wire.ipv4 "192.0.2.3", wire.parse(assert(clients[i]:receive())).answers[1].data)
                end
            end
        end)
    end)
end)
