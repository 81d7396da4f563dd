-- dns.test: the fake upstream and the virtual clock, as any framework has them.
local addons = require "spec.support.addons"
local dns = require "dns"
local test = require "dns.test"
local load, raises = addons.load, addons.raises

addons.manage()

before_each(test.reset)

local function ask(addon, name, type_) return addon:run(test.flow { name = name, type = type_ }) end

describe("test.upstream", function()
    local function answers(given, name, type_)
        test.upstream(given)
        local flow = ask(load "", name, type_)
        return test.rcode(flow), test.answers(flow)
    end

    it("answers by name and type", function()
        local zone = {
            ["example.com A"] = "192.0.2.1", ["Example.com MX"] = { "example.com. 60 IN MX 10 mail.example.com." },
            ["both.example"] = { "192.0.2.2", "2001:db8::2" }, ["gone.example"] = "NXDOMAIN", ["bad.example"] = "SERVFAIL",
            ["record.example"] = dns.ResourceRecord.TXT("record.example", "x"), ["text.example"] = "text.example. 5 IN TXT y",
        }
        for question, wanted in pairs {
            ["example.com A"] = { "NOERROR", { "192.0.2.1" } }, ["EXAMPLE.com AAAA"] = { "NOERROR", {} },
            ["example.com MX"] = { "NOERROR", { "10 mail.example.com." } }, ["both.example A"] = { "NOERROR", { "192.0.2.2" } },
            ["both.example AAAA"] = { "NOERROR", { "2001:db8::2" } }, ["both.example TXT"] = { "NOERROR", {} },
            ["gone.example A"] = { "NXDOMAIN", {} }, ["bad.example A"] = { "SERVFAIL", {} },
            ["unheard.example A"] = { "NXDOMAIN", {} }, ["record.example TXT"] = { "NOERROR", { '"x"' } },
            ["text.example TXT"] = { "NOERROR", { '"y"' } },
        } do
            assert.same(wanted, { answers(zone, question:match "^(%S+) (%S+)$") }, question)
        end
    end)

    it("knows wildcards: the nearest, and one for all", function()
        local zone = { ["*"] = "REFUSED", ["*.example.com"] = "192.0.2.1", ["*.b.example.com A"] = "192.0.2.2", ["x.example.com"] = "192.0.2.3" }
        for name, wanted in pairs {
            ["a.example.com"] = "192.0.2.1", ["c.a.example.com"] = "192.0.2.1", ["a.b.example.com"] = "192.0.2.2",
            ["x.example.com"] = "192.0.2.3",
        } do
            assert.same({ wanted }, (select(2, answers(zone, name))), name)
        end
        assert.equal("REFUSED", (answers(zone, "example.com")))
        assert.equal("NOERROR", (answers(zone, "a.b.example.com", "AAAA")))
    end)

    it("calls functions, and takes whole messages", function()
        local asked
        local zone = {
            ["f.example"] = function(question, server)
                asked = { question.name, question.type, server }
                return "192.0.2.9"
            end,
            ["nil.example"] = function() end, ["no.example"] = function() return false end,
            ["m.example"] = dns.DNSMessage.make_query("m.example", "A"):succeed { dns.ResourceRecord.A("m.example", "192.0.2.5") },
        }
        assert.same({ "192.0.2.9" }, (select(2, answers(zone, "f.example"))))
        assert.same({ "f.example", 1 }, asked)
        assert.equal("NOERROR", (answers(zone, "nil.example")))
        local flow = ask(load "function dns_error(flow) log.info(flow.error.msg) end", "no.example")
        assert.equal("SERVFAIL", test.rcode(flow))
        flow = ask(load "", "m.example")
        assert.same({ "192.0.2.5" }, test.answers(flow))
        assert.equal(flow.request.id, flow.response.id)
    end)

    it("tells what was asked, and where", function()
        local server
        local upstream = test.upstream { ["*"] = function(_, given) server = given; return "192.0.2.1" end }
        local flow = ask(load "function dns_request(flow) flow.server_conn.address = '9.9.9.9:5353' end", "a.example", "AAAA")
        assert.same({ "a.example AAAA" }, upstream.asked)
        assert.equal("9.9.9.9:5353", server)
        assert.equal("9.9.9.9", flow.server_conn.address)
    end)

    it("comes after a flow's own answers", function()
        test.upstream { ["*"] = "192.0.2.1" }
        local flow = load(""):run(test.flow { name = "a.example", answers = { "a.example. 60 IN A 192.0.2.2" } })
        assert.same({ "192.0.2.2" }, test.answers(flow))
    end)

    it("is asked again by flow:resend, eight times at most", function()
        local servers = {}
        test.upstream { ["*"] = function(_, server)
            servers[#servers + 1] = server or "default"
            return #servers < 3 and "SERVFAIL" or "192.0.2.1"
        end }
        local addon = load [[
            function dns_response(flow)
                if flow.response.response_code ~= 0 then assert(flow:resend "9.9.9.9") end
            end]]
        assert.same({ "192.0.2.1" }, test.answers(ask(addon, "a.example")))
        assert.same({ "default", "9.9.9.9:53", "9.9.9.9:53" }, servers)
        addon = load "function dns_response(flow) local again, why = flow:resend() if not again then log.info(why) end end"
        ask(addon, "a.example")
        assert.same({ "sent again 8 times already" }, addon.log.info)
        addon = load "function dns_error(flow) log.info(flow.error.msg) flow:resend() end"
        test.upstream { ["*"] = (function() local n = 0 return function() n = n + 1 return n > 1 and "192.0.2.7" end end)() }
        assert.same({ "192.0.2.7" }, test.answers(ask(addon, "a.example")))
        assert.same({ "time-out" }, addon.log.info)
    end)

    it("refuses what is none", function()
        raises("test.upstream: table expected, got 'x'", test.upstream, "x")
        raises("test.upstream: %['a.example'%]: address, response code up to 15", test.upstream, { ["a.example"] = "nonsense" })
        raises("false expected, got 7", test.upstream, { ["a.example"] = 7 })
        raises("test.upstream: %['a.example'%]%[2%]: address or ResourceRecord expected, got 5", test.upstream, { ["a.example"] = { "192.0.2.1", 5 } })
        raises("test.upstream: %['a.example AX'%]: NAME or NAME TYPE expected as a key", test.upstream, { ["a.example AX"] = "192.0.2.1" })
        raises("NAME or NAME TYPE expected as a key, got 1", test.upstream, { "192.0.2.1" })
    end)
end)

describe("test.http", function()
    local FETCH = [[
        function dns_request(flow)
            local answer, why = http.get("https://a.example/" .. flow.request.question.name, { timeout = 3 })
            log.info("%s", answer and answer.status .. " " .. answer.body or why)
        end]]

    local function fetched(name)
        local addon = load(FETCH)
        ask(addon, name)
        assert.same({}, addon.log.error)
        return addon.log.info[1]
    end

    it("is what http.get brings", function()
        local before = test.now()
        local web = test.http {
            ["https://a.example/text"] = "body",
            ["https://a.example/table"] = { status = 404, body = "none" },
            ["https://a.example/silent"] = false,
            ["https://a.example/function"] = function(request) return request.method .. " " .. request.timeout end,
            ["https://a.example/failure"] = function() return nil, "connection refused" end,
        }
        assert.equal("200 body", fetched "text")
        assert.equal("404 none", fetched "table")
        assert.equal(before, test.now())
        assert.equal("time-out", fetched "silent")
        assert.equal(before + 3, test.now())
        assert.equal("200 GET 3", fetched "function")
        assert.equal("connection refused", fetched "failure")
        assert.equal("test.http has no answer for https://a.example/other", fetched "other")
        assert.equal("GET https://a.example/text", web.asked[1])
        test.http { ["*"] = "any" }
        assert.equal("200 any", fetched "other")
        test.reset()
        assert.equal("no connection", fetched "text")
    end)

    it("takes requests whole, and gives headers in lower case", function()
        local seen
        test.http { ["http://a.example/"] = function(request) seen = request return { headers = { ["X-Own"] = "y" } } end }
        local addon = load [[
            function running()
                local answer = http.request { url = "http://a.example/", method = "post", body = "b", headers = { X = "x" } }
                log.info(answer.headers["x-own"] .. answer.status .. answer.body)
            end]]
        assert.same({ "y200" }, addon.log.info)
        assert.same({ url = "http://a.example/", method = "POST", body = "b", headers = { X = "x" } }, seen)
    end)

    it("refuses what is none, as the proxy does", function()
        raises("test.http: table expected, got 'x'", test.http, "x")
        raises("test.http: %['http://a.example/'%]: string, table, function or false expected, got 7", test.http, { ["http://a.example/"] = 7 })
        raises("http.get: a URL that begins with http:// or https:// expected", load, "http.get 'a.example'")
        raises("http.get: cannot wait while the script is loaded", load, "http.get 'http://a.example'")
        raises("http.get has no 'metod' %(did you mean 'method'%?%)", load, "http.get('http://a.example', { metod = 'GET' })")
        raises("http.request: url: string expected, got nil", load, "http.request {}")
    end)
end)

describe("waiting under test", function()
    it("takes no time, and moves the clock: sleep", function()
        local addon = load [[
            function dns_request(flow)
                local before = os.time()
                sleep(90)
                log.info("%d %s", os.time() - before, os.date("!%H:%M", 0))
                flow.response = flow.request:fail "REFUSED"
            end]]
        local now = test.now()
        assert.equal("REFUSED", test.rcode(ask(addon, "a.example")))
        assert.equal(90, test.now() - now)
        assert.same({ "90 00:00" }, addon.log.info)
    end)

    it("asks the fake upstream: dns.resolve, dns.resolve_all", function()
        test.upstream { ["b.example A"] = "192.0.2.1", ["silent.example"] = false }
        local addon = load [[
            function dns_request(flow)
                log.info(tostring(dns.resolve("b.example", "A").answers[1]))
                local m, why = dns.resolve("silent.example", "A", { timeout = 0.5, server = "9.9.9.9" })
                log.info("%s %s", tostring(m), why)
                local all, failures = dns.resolve_all({ { "b.example", "A" }, { "silent.example", "A" }, { "c.example", "A" } }, { timeout = 3 })
                log.info("%s %s %d", tostring(all[1].answers[1]), failures[2], all[3].response_code)
            end
            function dns_response(flow) log.info(tostring(dns.resolve("c.example", "A").response_code)) end]]
        local now = test.now()
        ask(addon, "b.example")
        assert.same({}, addon.log.error)
        assert.same({ "192.0.2.1", "nil time-out", "192.0.2.1 time-out 3", "3" }, addon.log.info)
        assert.equal(3.5, test.now() - now)
    end)

    it("says so where there is no upstream, or no sense", function()
        local addon = load [[
            function dns_request(flow)
                log.info(select(2, dns.resolve("b.example", "A")))
                for _, f in ipairs {
                    function() dns.resolve("b..example", "A") end, function() dns.resolve("b.example", "AX") end,
                    function() dns.resolve("b.example", "A", { tiemout = 1 }) end, function() dns.resolve("b.example", "A", { timeout = 0 }) end,
                    function() dns.resolve_all { 7 } end, function() sleep(-1) end, function() timer.after(1) end,
                } do log.info(select(2, pcall(f))) end
            end]]
        ask(addon, "a.example")
        for i, pattern in ipairs {
            "^no upstream$", "^.-script.lua:4: dns.resolve: ", "^.-script.lua:4: dns.resolve: ", "dns.resolve has no 'tiemout' %(did you mean 'timeout'",
            "dns.resolve: timeout: seconds %(more than 0%) expected, got 0", "dns.resolve_all: question 1: {name, type} expected, got 7",
            "^.-script.lua:6: sleep: seconds %(0 or more%) expected, got %-1", "timer.after: function expected, got nil",
        } do
            assert.matches(pattern, addon.log.info[i])
        end
    end)

    it("cannot be everywhere, as in the proxy", function()
        raises("sleep: cannot wait while the script is loaded; running%(%) can", load, "sleep(1)")
        raises("sleep: cannot wait in load%(%); running%(%) can", load, "function load() sleep(1) end")
        raises("dns.resolve: cannot wait in configure", load, "function configure() dns.resolve('a.example', 'A') end")
        local addon = load [[
            function dns_request()
                log.info(select(2, coroutine.resume(coroutine.create(function() sleep(1) end))))
                log.info(select(2, pcall(string.gsub, "x", "x", function() sleep(1) end)))
                coroutine.yield()
            end
            function dns_response() end]]
        local flow = ask(addon, "a.example")
        assert.is_false(flow.live)
        assert.matches("sleep: cannot wait in a coroutine of the script's own", addon.log.info[1])
        assert.matches("sleep: cannot wait inside a function that C calls", addon.log.info[2])
        assert.matches("^coroutine.yield outside of a coroutine of the script's own\nstack traceback:.*script.lua:4", addon.log.error[1])
    end)

    it("can be in running", function()
        test.upstream { ["a.example"] = "192.0.2.1" }
        local addon = load "function running() address = tostring(dns.resolve('a.example', 'A').answers[1]) while true do sleep(60) log.info('tick') end end"
        assert.equal("192.0.2.1", addon.globals.address)
        test.advance(150)
        assert.same({ "tick", "tick" }, addon.log.info)
        raises("script.lua:1: no", load, "function running() error 'no' end")
    end)

    it("has its errors logged with the script's lines", function()
        local addon = load "function dns_request()\nsleep(1)\nlocal x = nil + 1\nend"
        ask(addon, "a.example")
        assert.matches("^[^\n]*script.lua:3: attempt to perform arithmetic on a nil value\nstack traceback:\n\t[^\n]*script.lua:3: in function", addon.log.error[1])
        assert.is_nil(addon.log.error[1]:find "dns%.")
    end)
end)

describe("test.advance", function()
    it("ends sleeps of flows that were started", function()
        local addon = load "function dns_request(flow) sleep(10) flow.response = flow.request:fail 'REFUSED' end"
        local first, second = addon:start(test.flow { name = "a.example" }), nil
        test.advance(5)
        second = addon:start(test.flow { name = "b.example" })
        test.advance(5)
        assert.is_false(first.live)
        assert.equal("REFUSED", test.rcode(first))
        assert.is_true(second.live)
        assert.is_nil(second.response)
        raises("addon:start: the flow is under way", addon.start, addon, second)
        assert.equal("REFUSED", test.rcode(addon:run(second)))
    end)

    it("fires timers", function()
        local addon = load [[
            count = 0
            local every = timer.every(10, function() count = count + 1 if count == 4 then error("four") end end)
            timer.after(15, function() sleep(1) log.info("after %d", count) end)
            timer.after(65, function() every:cancel() end)
            timer.after(5, function() log.info("never") end):cancel()]]
        test.advance(9.9)
        assert.equal(0, addon.globals.count)
        test.advance(50.1)
        assert.equal(6, addon.globals.count)
        test.advance(1000)
        assert.equal(6, addon.globals.count)
        assert.same({ "after 1" }, addon.log.info)
        assert.matches("script.lua:2: four", addon.log.error[1])
    end)

    it("moves the TTLs of shared, and what os.time tells", function()
        local addon = load [[
            shared.set("key", "value", 60)
            function dns_request() log.info("%s %s", tostring(shared.get "key"), os.date("!%Y-%m-%d")) end]]
        test.set_time(1e9)
        ask(addon, "a.example")
        test.advance(59)
        ask(addon, "a.example")
        test.advance(86400)
        ask(addon, "a.example")
        assert.same({ "value 2001-09-09", "value 2001-09-09", "nil 2001-09-10" }, addon.log.info)
        assert.equal(1e9 + 86459, test.flow({ name = "a.example" }).timestamp_created)
    end)

    it("is the test's affair", function()
        raises("test.advance: seconds %(0 or more%) expected, got %-1", test.advance, -1)
        raises("test.set_time: Unix seconds expected, got 'noon'", test.set_time, "noon")
        local addon = load "function dns_request() require('dns.test').advance(1) end"
        ask(addon, "a.example")
        assert.matches("test.advance: a script's hook runs", addon.log.error[1])
    end)
end)

describe("flows that are held under test", function()
    local HOLDS = [[
        function dns_request(flow) flow:intercept() kept = flow end
        function dns_response(flow) log.info("response") end
        function dns_error(flow) log.info(flow.error.msg) end]]

    it("go on once the test resumes them", function()
        test.upstream { ["*"] = "192.0.2.1" }
        local addon = load(HOLDS)
        local flow = ask(addon, "a.example")
        assert.is_true(flow.intercepted)
        flow:resume()
        assert.same({ "192.0.2.1" }, test.answers(addon:run(flow)))
        assert.same({ "response" }, addon.log.info)
        flow = ask(addon, "b.example")
        flow:kill()
        test.advance(0)
        assert.is_false(flow.live)
        assert.is_nil(flow.response)
    end)

    it("go on once the script resumes them", function()
        test.upstream { ["*"] = "192.0.2.1" }
        local addon = load(HOLDS .. " timer.every(1, function() if kept then kept:resume() end end)")
        local flow = ask(addon, "a.example")
        assert.is_true(flow.live)
        test.advance(1)
        assert.same({ "192.0.2.1" }, test.answers(flow))
    end)

    it("fail when they are held for too long", function()
        local addon = load(HOLDS)
        local flow = ask(addon, "a.example")
        test.advance(61)
        assert.equal("SERVFAIL", test.rcode(flow))
        assert.same({ "held for more than 60 s" }, addon.log.info)
    end)
end)

describe("what makes tests short", function()
    it("is test.equal, test.raises, test.rcode, test.answers", function()
        test.equal({ 1, { a = 2 } }, { 1, { a = 2 } })
        local ok, failure = pcall(test.equal, { 1 }, { 1, 2 }, "lists")
        assert.is_false(ok)
        assert.equal("lists\n  first: { 1 }\n  second: { 1, 2 }", tostring(failure):match ".-: (.*)")
        assert.equal("x1", test.raises(error, "^x%d", "x1", 0))
        assert.is_false(pcall(test.raises, error, "y", "x"))
        local flow = test.flow { name = "a.example" }
        assert.is_nil(test.rcode(flow))
        assert.is_nil(test.answers(flow))
    end)
end)

describe("test.load", function()
    it("finds a script beside the file that calls it", function()
        local file = assert(io.open(addons.folder .. "/caller.lua", "w"))
        file:write("local addon = require('dns.test').load '../" .. addons.folder:match "[^/]+$" .. "/script.lua' return addon")
        file:close()
        load "function dns_request() end"
        assert.is_function(dofile(addons.folder .. "/caller.lua").globals.dns_request)
    end)
end)
