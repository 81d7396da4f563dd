-- dns.test: what a script may set, what it is warned of, and its addons; as in the proxy.
local addons = require "spec.support.addons"
local dns = require "dns"
local test = require "dns.test"
local load, raises, write = addons.load, addons.raises, addons.write

addons.manage()

describe("what a script sets of what others have too", function()
    it("is its own: the standard libraries", function()
        local breaking = load [[
            string.format, table.sort, math.floor, os.time, string.twice = nil, nil, nil, nil, function(s) return s .. s end
            package.loaded.table.concat = nil
            assert(require "table" == table and require "_G" == _G)
            function dns_request() log.info("%d %s %s", 1, ("x"):rep(2), ("ab"):twice()) end]]
        breaking:run(test.flow { name = "a.example" })
        assert.same({ "1 xx abab" }, breaking.log.info)
        assert.is_nil(string.twice)
        assert.is_nil(("x").twice)
        local other = load [[
            local t = { 2, 1 }
            table.sort(t)
            log.info(string.format("%d", math.floor(t[1] + os.time() * 0)) .. table.concat({}) .. tostring(("x").twice))]]
        assert.same({ "1nil" }, other.log.info)
    end)

    it("is refused: the metatable of strings, the environment of all", function()
        raises("script.lua:1: the metatable of strings, which all scripts share, cannot be set", load,
            "getmetatable('').__index = nil")
        raises("the metatable of strings", load, "debug.getmetatable('').__index = nil")
        raises("attempt to call field 'setmetatable'", load, "debug.setmetatable('', nil)")
        raises("setfenv: ", load, "setfenv(print, {})")
        raises("setfenv: ", load, "setfenv(0, {})")
        assert.same({ "true true true" }, load([[
            local function own() local found = getfenv(1) return found end
            setfenv(own, { getfenv = getfenv })
            log.info("%s %s %s", getfenv(log.info) == _G, getfenv() == _G, own() ~= _G)]]).log)
    end)

    it("is refused: dns", function()
        for code, message in pairs {
            ["dns.types.A = 2"] = "script.lua:1: dns.types.A: cannot be set",
            ["dns.ResourceRecord.A = nil"] = "script.lua:1: dns.ResourceRecord.A: cannot be set",
            ["dns.ResourceRecord.DEFAULT_TTL = 5"] = "script.lua:1: dns.ResourceRecord.DEFAULT_TTL: cannot be set",
            ["dns.resolve = nil"] = "script.lua:1: dns.resolve: cannot be set",
            ["rawget(require 'dns', 'x'); require('dns').json = 1"] = "script.lua:1: dns.json: cannot be set",
        } do
            raises(message, load, code)
        end
        raises("script.lua:1: dns.types has no", load, "return dns.types.AAAAA")
        assert.equal(1, dns.types.A)
    end)

    it("still reads as ever", function()
        local addon = load [[
            local types, members = 0, 0
            for name, number in pairs(dns.types) do types = types + 1; assert(dns.types[name] == number) end
            for name in pairs(dns) do members = members + 1; assert(dns[name] ~= nil) end
            assert(types > 90 and members > 15)
            assert(not pcall(pairs, nil) and not pcall(pairs, 7))
            local m = dns.DNSMessage { questions = { dns.Question("a.example", "A") } }
            m = dns.DNSMessage.unpack(m.packed)
            log.info("%s %s %d", dns.typeof(m), m.question.name, dns.ResourceRecord.DEFAULT_TTL)]]
        assert.same({ "DNSMessage a.example 60" }, addon.log)
    end)

    it("may have a metatable on its globals", function()
        local addon = load [[
            setmetatable(_G, {
                __newindex = function(_, name) error("new global " .. name, 2) end,
                __index = function(_, name) error("no global " .. name, 2) end,
            })
            rawset(_G, "dns_request", function(flow)
                print(dns.types.A)
                log.info(select(2, pcall(function() return misspelt end)))
                flow.response = flow.request:fail("REFUSED")
            end)]]
        local flow = addon:run(test.flow { name = "a.example" })
        assert.equal(5, flow.response.response_code)
        assert.same({ "1", addons.folder .. "/script.lua:7: no global misspelt" }, { unpack(addon.log) })
    end)

    it("does not make a hook of load()", function()
        local addon = load "log.info(load('return 1')())"
        assert.same({ "1" }, addon.log)
    end)
end)

describe("a script's mistakes", function()
    it("have the script's line: log", function()
        raises("script.lua:1: bad argument #2 to 'info' %(number expected, got string%)", load, "log.info('%d', 'x')")
        raises("script.lua:2: bad argument #3 to 'warn' %(.*value", load, "\nlog.warn('%s%s', 'x')")
        raises("^[^:]*script.lua:1: no text$", load,
            "log.info('%s', setmetatable({}, { __tostring = function() error('no text') end }))")
    end)

    it("have the file's name: compiled code", function()
        write("script.lua", string.dump(function() end))
        raises("script.lua: compiled code, where a script is text", test.load, addons.folder .. "/script.lua")
    end)

    it("list the script's own addons.folder when a module is not found", function()
        raises("script.lua:1: module 'no.such' not found:\n\tno file '" .. addons.folder .. "/no/such.lua'\n\tno file '"
            .. addons.folder .. "/no/such/init.lua'\n\tno field", load, "require 'no.such'")
    end)

    it("are warned of: hooks that are no functions", function()
        assert.matches("script.lua: global 'dns_request' is a number, not a function: it is never called",
            load("dns_request = 5").log.warn[1])
        local log = load("return { { dns_request = 5 }, { dns_response = print } }").log.warn
        assert.equal(2, #log)
        assert.matches("field 'dns_request' is a number, not a function", log[1])
        assert.matches("element 1 of what it returns has no hooks", log[2])
        assert.same({}, load("running, done = false, 1; function dns_request() end").log.warn)
    end)
end)

describe("addons", function()
    local ADDON = "local function named(name) return { dns_request = function() log.info(name) end } end\n"

    local function order(code)
        local addon = load(ADDON .. code)
        addon:run(test.flow { name = "a.example" })
        assert.same({}, addon.log.warn)
        return table.concat(addon.log, " ")
    end

    it("may be global or returned, as in mitmproxy", function()
        assert.equal("a b", order "addons = { named 'a', named 'b' }")
        assert.equal("a b", order "return { addons = { named 'a', named 'b' } }")
        assert.equal("a", order "addons = named 'a'")
    end)

    it("run together with global hooks and returned ones, each once", function()
        assert.equal("global b a", order "addons = { named 'a' }; function dns_request() log.info 'global' end return named 'b'")
        assert.equal("a", order "addons = { named 'a' } return addons")
    end)

    it("are warned of when they are none", function()
        local log = load("addons = { {}, 7 }").log.warn
        assert.matches("element 1 of 'addons' has no hooks", log[1])
        assert.matches("element 2 of 'addons' is a number, not a table of hooks", log[2])
    end)
end)
