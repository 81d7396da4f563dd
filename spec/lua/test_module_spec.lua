-- dns.test: scripts under test without a proxy, on dns.so.
local addons = require "spec.support.addons"
local dns = require "dns"
local proxy = require "spec.support.proxy"
local test = require "dns.test"
local load, raises, write = addons.load, addons.raises, addons.write

addons.manage()

describe("test.flow", function()
    it("is a live flow with a client", function()
        local flow = test.flow { name = "Example.com", type = "AAAA", client = "192.0.2.7:4000" }
        assert.is_true(flow.live)
        assert.is_true(flow.killable)
        assert.equal("example.com", flow.request.question.name)
        assert.equal(dns.types.AAAA, flow.request.question.type)
        assert.equal("192.0.2.7", flow.client_conn.address)
        assert.equal(4000, flow.client_conn.port)
        assert.equal("2001:db8::1", test.flow({ name = "a", client = "2001:db8::1" }).client_conn.address)
        assert.is_nil(flow.response)
        assert.equal(dns.types.A, test.flow({ name = "a" }).request.question.type)
    end)

    it("takes only what it knows", function()
        raises("test.flow has no 'anwsers' %(did you mean 'answers'%?%)", test.flow, { name = "a", anwsers = {} })
        raises("test.flow: name expected", test.flow, {})
    end)
end)

describe("a script under test", function()
    it("answers", function()
        local addon = load [[
            function dns_request(flow)
              if flow.request.question.name == "spoof.example" then
                flow.response = flow.request:succeed { dns.ResourceRecord.A("spoof.example", "192.0.2.1", { ttl = 300 }) }
              end
            end]]
        local flow = addon:run(test.flow { name = "spoof.example" })
        assert.equal("192.0.2.1", flow.response.answers[1].ipv4_address)
        assert.is_false(flow.live)
        assert.is_nil(addon:run(test.flow { name = "other.example" }).response)
        assert.same({}, addon.log.error)
    end)

    it("sees what the upstream answers", function()
        local addon = load [[
            function dns_response(flow)
              log.info("from %s", flow.server_conn.address)
              for _, answer in ipairs(flow.response.answers) do answer.ipv4_address = "127.0.0.1" end
            end]]
        local flow = addon:run(test.flow { name = "a.example", answers = { "a.example. 60 IN A 192.0.2.1" } })
        assert.equal("127.0.0.1", flow.response.answers[1].ipv4_address)
        assert.same({ "from 192.0.2.53" }, { unpack(addon.log) })
    end)

    it("can send a query elsewhere, in dns_request", function()
        local addon = load [[
            function dns_request(flow) flow.server_conn.address = { "9.9.9.9", 5353 } end
            function dns_response(flow) flow.server_conn.address = "8.8.8.8" end]]
        local flow = addon:run(test.flow { name = "a.example", answers = {} })
        assert.equal("9.9.9.9", flow.server_conn.address)
        assert.equal(5353, flow.server_conn.port)
        assert.matches("only dns_request can send a query elsewhere", addon.log.error[1])
        for _, wrong in ipairs { "\"nowhere\"", "7", "{}", "{\"9.9.9.9\", 0}" } do
            local other = load("function dns_request(flow) flow.server_conn.address = " .. wrong .. " end")
            other:run(test.flow { name = "a.example" })
            assert.matches("Connection.address: ", other.log.error[1])
        end
    end)

    it("runs error hooks, then SERVFAIL", function()
        local addon = load [[
            function dns_request(flow) if flow.request.question.name == "mine.example" then flow.error = "mine" end end
            function dns_error(flow)
              log.warn(flow.error.msg)
              if flow.request.question.name == "saved.example" then flow.response = flow.request:succeed {} end
            end]]
        local function code(name, error) return addon:run(test.flow { name = name, error = error }).response.response_code end
        assert.equal(dns.response_codes.SERVFAIL, code("mine.example"))
        assert.equal(dns.response_codes.SERVFAIL, code("a.example", "time-out"))
        assert.equal(dns.response_codes.NOERROR, code("saved.example", "time-out"))
        assert.same({ "mine", "time-out", "time-out" }, addon.log.warn)
    end)

    it("kills and holds", function()
        local addon = load [[
            function dns_request(flow)
              if flow.request.question.name == "kill.example" then flow:kill() else flow:intercept() end
            end
            function dns_response(flow) log.info("response") end]]
        local flow = addon:run(test.flow { name = "kill.example", answers = {} })
        assert.is_nil(flow.response)
        assert.is_false(flow.live)
        assert.equal("Connection killed.", flow.error.msg)
        flow = addon:run(test.flow { name = "hold.example", answers = {} })
        assert.is_true(flow.intercepted)
        assert.is_true(flow.live)
        flow:resume()
        assert.is_false(flow.intercepted)
        assert.equal(0, #addon.log)
    end)

    it("may be several addons, with themselves as self", function()
        local addon = load [[
            local A, B = { name = "A" }, { name = "B" }
            function A:dns_request(flow) log.info("%s", self.name) end
            function B:dns_request(flow) log.info("%s", self.name) end
            function dns_request(flow) log.info("global") end
            return { A, B }]]
        addon:run(test.flow { name = "a.example" })
        assert.equal("global A B", table.concat(addon.log, " "))
    end)

    it("may be one addon with inherited hooks", function()
        local addon = load [[
            local Class = { dns_request = function(self) log.info(self.word) end }
            return setmetatable({ word = "inherited" }, { __index = Class })]]
        addon:run(test.flow { name = "a.example" })
        assert.same({ "inherited" }, addon.log.info)
    end)

    it("has its errors logged with place and traceback, and goes on", function()
        local addon = load [[
            local A = { dns_request = function(self, flow) local x = nil; return x.y end }
            local B = { dns_request = function(self, flow) flow.response = flow.request:fail("REFUSED") end }
            return { A, B }]]
        local flow = addon:run(test.flow { name = "a.example" })
        assert.equal(dns.response_codes.REFUSED, flow.response.response_code)
        assert.equal(1, #addon.log.error)
        assert.matches("script.lua:1: attempt to index local 'x'.*stack traceback", addon.log.error[1])
    end)

    it("logs as string.format and print do", function()
        local addon = load [[
            log.debug("100%"); log.info("%d%%", 5); log.warn(true); log.error(nil); print("a", nil, 1)]]
        assert.same({ "100%", "5%", "true", "nil", "a\tnil\t1" }, { unpack(addon.log) })
        assert.same({ "100%" }, addon.log.debug)
        assert.same({ "5%", "a\tnil\t1" }, addon.log.info)
    end)

    it("has globals of its own", function()
        local addon = load [[
            seen = (seen or 0) + 1
            function dns_request() _G.word = "w"; log.info(word) end]]
        local other = load "seen = (seen or 0) + 1"
        addon:run(test.flow { name = "a.example" })
        assert.equal(1, addon.globals.seen)
        assert.equal(1, other.globals.seen)
        assert.is_nil(rawget(_G, "seen"))
        assert.same({ "w" }, addon.log.info)
    end)

    it("keeps chunks that it compiles in its environment", function()
        local addon = load [[
            assert(loadstring("made = 1"))()
            assert(load(function() return nil end))
            local given = {}
            assert(_G.loadstring("x = 2"))()
            log.info("%d %d", made, x)]]
        assert.same({ "1 2" }, addon.log.info)
        assert.is_nil(rawget(_G, "made"))
    end)

    it("finds modules in its own addons.folder, whatever the working directory, in its environment", function()
        write("helper.lua", "helped = true; return { word = 'help', name = ... }")
        os.execute("mkdir -p " .. addons.folder .. "/deep")
        write("deep/init.lua", "return { log = log }")
        local addon = load [[
            local helper, deep = require "helper", require "deep"
            log.info("%s %s %s %s", helper.word, helper.name, tostring(helped), tostring(require("helper") == helper))
            deep.log.info("deep")
            log.info(tostring(require("dns") == dns))
            log.info(tostring(package.loaded.helper == helper))]]
        assert.same({ "help helper true true", "deep", "true", "true" }, addon.log.info)
        assert.is_nil(package.loaded.helper)
        raises("module 'no.such.module' not found", load, "require 'no.such.module'")
        write("broken.lua", "return +")
        raises("broken.lua:1: unexpected symbol", load, "require 'broken'")
    end)

    it("does not end the process", function()
        raises("os.exit: ", load, "os.exit()")
        assert.is_function(os.exit)
    end)

    it("keeps tables with persist", function()
        local addon = load [[
            local state = persist("state", { count = 1 })
            state.count = state.count + 1
            log.info("%d %d", state.count, persist("state").count)
            log.info(tostring(next(persist("other"))))]]
        assert.same({ "2 2", "nil" }, addon.log.info)
        raises("persist: name expected, got nil", load, "persist()")
        raises("persist: table expected, got number", load, "persist('x', 7)")
    end)

    it("fails to load with the place", function()
        raises("script.lua:2: boom", load, "\nerror('boom')")
        raises("script.lua:1: '=' expected near", load, "x y")
        raises("a script returns a table of hooks, or nothing; got number", load, "return 7")
        raises("table of hooks expected as element 2 of what it returns, got boolean", load, "return { {}, true }")
        raises("nowhere.lua: No such file", test.load, addons.folder .. "/nowhere.lua")
        raises("script.lua:1: no", load, "function configure() error('no') end")
    end)

    it("may begin with a byte order mark or a #! line", function()
        assert.same({ "2" }, load("#!/usr/bin/env moondns\nlog.info(debug.getinfo(1, 'l').currentline)").log)
        assert.same({ "x" }, load("\239\187\191log.info('x')").log)
    end)

    it("is warned of functions that look like hooks", function()
        local addon = load "function dns_requests() end"
        assert.matches("'dns_requests' is no hook: did you mean 'dns_request'%?", addon.log.warn[1])
        assert.equal(0, #load("function helper() end function dns_request() end").log)
        assert.equal(1, #load("return { request = function() end }").log.warn)
    end)
end)

describe("options under test", function()
    local declaring = [[
        function load(loader)
          loader:add_option("target", "str", "192.0.2.1", "where names go")
          loader:add_option("ttl", "int", 60, "for how long")
          loader:add_option("share", "number", 0.5, "how many")
          loader:add_option("strict", "bool", false, "whether")
          loader:add_option("names", "list", { "a" }, "which")
          loader:add_option("mode", { "fast", "slow" }, "fast", "how")
        end
        updates = {}
        function configure(updated)
          updates[#updates + 1] = updated
          if ctx.options.ttl == 13 then error("unlucky") end
        end]]

    it("have their defaults, or what the test gives", function()
        local addon = load(declaring)
        assert.equal("192.0.2.1", addon.options.target)
        assert.same({ "a" }, addon.options.names)
        assert.same({
            target = true, ttl = true, share = true, strict = true, names = true, mode = true,
        }, addon.globals.updates[1])
        addon = load(declaring, { ttl = 5, names = {}, mode = "slow", strict = true })
        assert.equal(5, addon.options.ttl)
        assert.same({}, addon.options.names)
        assert.equal("slow", addon.options.mode)
        assert.is_true(addon.options.strict)
    end)

    it("are checked", function()
        raises("declares no option 'tll' %(did you mean 'ttl'%?%)", load, declaring, { tll = 5 })
        raises("option 'ttl': int expected, got 1.5", load, declaring, { ttl = 1.5 })
        raises("option 'ttl': int expected, got '5'", load, declaring, { ttl = "5" })
        raises("option 'mode': one of fast, slow expected, got 'x'", load, declaring, { mode = "x" })
        raises("unlucky", load, declaring, { ttl = 13 })
        local addon = load(declaring)
        raises("ctx.options has no option 'tll' %(did you mean 'ttl'%?%)", function() return addon.options.tll end)
        raises("ctx.options has no option 'tll'", function() addon.options.tll = 1 end)
        raises("ctx.options.strict: bool expected, got 1", function() addon.options.strict = 1 end)
        raises("ctx.options.names: list of strings expected", function() addon.options.names = { 1 } end)
        raises("ctx.options.names: list of strings expected", function() addon.options.names = { a = "b" } end)
        raises("ctx.options.share: number expected, got nan", function() addon.options.share = 0 / 0 end)
    end)

    it("tell configure when they are assigned, and go back when that refuses", function()
        local addon = load(declaring)
        addon.options.ttl = 7
        assert.same({ ttl = true }, addon.globals.updates[2])
        raises("unlucky", function() addon.options.ttl = 13 end)
        assert.equal(7, addon.options.ttl)
    end)

    it("are declared rightly or not at all", function()
        local function declare(arguments) return load, "function load(l) l:add_option(" .. arguments .. ") end" end
        raises("script.lua:1: loader:add_option: type of 'x': .*got 'string'", declare "'x', 'string', ''")
        raises("did you mean 'bool'", declare "'x', 'boool', true")
        raises("default of 'x': int expected, got 'y'", declare "'x', 'int', 'y'")
        raises("default of 'x': one of a, b expected, got 'c'", declare "'x', {'a', 'b'}, 'c'")
        raises("name .* expected, got 'a b'", declare "'a b', 'int', 1")
        raises("help of 'x': string expected, got 7", declare "'x', 'int', 1, 7")
        raises("call it with a colon", load, "function load(l) l.add_option('x', 'int', 1) end")
        raises("loader has no 'add'", load, "function load(l) l:add() end")
    end)
end)

describe("dns.cache in a test", function()
    it("has nothing to flush", function()
        local addon = load [[function dns_request() log.info("%d", dns.cache.flush("example.com") + dns.cache.flush()) end]]
        addon:run(test.flow { name = "example.com" })
        assert.equal("0", addon.log[1])
    end)
end)

describe("ctx.options", function()
    it("can be walked", function()
        local addon = load([[
            function load(l) l:add_option("target", "str", "x"); l:add_option("names", "list", { "a" }) end
            function running()
                local seen = {}
                for name, value in pairs(ctx.options) do seen[name] = value end
                log.info("%s %s", seen.target, seen.names[1])
                seen.names[1] = "changed"
                log.info(ctx.options.names[1])
            end]], { target = "y" })
        assert.same({ "y a", "a" }, { unpack(addon.log) })
    end)
end)

describe("dns.test", function()
    it("says what it is not given", function()
        raises("^[^:]*test_module_spec.lua:%d+: test.flow: table expected, got nil", function() test.flow() end)
        raises("test.flow: table expected, got 'a.example'", test.flow, "a.example")
        raises("test.flow: answers: array expected, got '192.0.2.1'", test.flow, { name = "a", answers = "192.0.2.1" })
        raises("^[^:]*test_module_spec.lua:%d+: test.load: path expected, got nil", function() test.load() end)
        raises("test.load: options: table expected, got 7", load, "", 7)
        raises("addon:run: DNSFlow expected, got nil", function() load(""):run() end)
    end)

    it("runs a flow once", function()
        local addon = load "function dns_request(flow) flow.response = flow.request:fail('REFUSED') end"
        local flow = addon:run(test.flow { name = "a.example" })
        raises("addon:run: the flow has ended", addon.run, addon, flow)
    end)

    it("has the proxy's own options, as the proxy does", function()
        assert.same({ "2 false" }, load("log.info('%d %s', ctx.options.timeout, tostring(ctx.options.hosts))").log)
        raises("'timeout' is an option of the proxy's own", load, "function load(l) l:add_option('timeout', 'int', 1) end")
        raises("test.load: 'timeout' is an option of the proxy's own", load, "", { timeout = 1 })
        raises("ctx.options.timeout: an option of the proxy's own cannot be set", load, "ctx.options.timeout = 1")
    end)

    it("shows no code of its own in tracebacks", function()
        local addon = load "function dns_request() error(setmetatable({}, { __tostring = function() return 'told' end })) end"
        addon:run(test.flow { name = "a.example" })
        assert.matches("^told\nstack traceback:.*script.lua:1: ", addon.log.error[1])
        assert.is_nil(addon.log.error[1]:find "dns%.")
    end)

    it("knows every option of the proxy, and what it is when nothing is given", function()
        local path = addons.folder .. "/walk.lua"
        write("walk.lua", [[
            local names = {}
            for name, value in pairs(ctx.options) do
                if name ~= "script" then names[#names + 1] = name .. "=" .. dns.json.encode(value):gsub("%[%]", "{}") end
            end
            table.sort(names)
            print(table.concat(names, " "))]])
        local result = proxy.run { "--check", "-s", path }
        assert.equal(test.load(path).log[1], result.err:match "(allow=[^\n]*)")
    end)
end)
