-- shared, as scripts under dns.test have it, on dns.so.
local raises = require "spec.support.raises"
local test = require "dns.test"

local folder

local function load(text)
    local path = folder .. "/script.lua"
    local file = assert(io.open(path, "w"))
    file:write(text)
    file:close()
    return test.load(path)
end

setup(function()
    folder = os.tmpname()
    os.remove(folder)
    assert.equal(0, os.execute("mkdir " .. folder))
end)

teardown(function()
    os.execute("rm -r " .. folder)
end)

describe("shared", function()
    local shared

    before_each(function()
        shared = load("").globals.shared
    end)

    it("keeps strings, numbers and booleans", function()
        for _, value in ipairs { "", "text", "\0\255 bytes", ("long"):rep(10000), 0, -1.5, 2 ^ 60, math.huge, true, false } do
            assert.is_true(shared.set("key", value))
            assert.equal(value, shared.get("key"))
        end
        assert.is_nil(shared.get("other"))
        assert.equal(1, select("#", shared.get("other")))
    end)

    it("deletes, also by setting nil", function()
        assert.is_false(shared.delete("key"))
        shared.set("key", 1)
        assert.is_true(shared.delete("key"))
        assert.is_nil(shared.get("key"))
        shared.set("key", 1)
        assert.is_true(shared.set("key", nil))
        assert.is_nil(shared.get("key"))
        assert.is_true(shared.set("key", nil))
    end)

    it("adds what is not there", function()
        assert.is_true(shared.add("key", 1))
        assert.is_false(shared.add("key", 2))
        assert.equal(1, shared.get("key"))
    end)

    it("counts", function()
        assert.same({ nil, "not found" }, { shared.incr("count", 1) })
        assert.equal(1, shared.incr("count", 1, 0))
        assert.equal(3.5, shared.incr("count", 2.5))
        assert.equal(-6.5, shared.incr("count", -10, 100))
        shared.set("word", "seven")
        assert.same({ nil, "not a number" }, { shared.incr("word", 1, 0) })
        assert.equal("seven", shared.get("word"))
    end)

    it("lists keys by their beginning", function()
        for _, key in ipairs { "a.1", "a.2", "b.1", "a" } do
            shared.set(key, true)
        end
        local function sorted(...)
            local keys = shared.keys(...)
            table.sort(keys)
            return keys
        end
        assert.same({ "a", "a.1", "a.2" }, sorted "a")
        assert.same({ "a.1", "a.2" }, sorted "a.")
        assert.same({ "a", "a.1", "a.2", "b.1" }, sorted "")
        assert.same({ "a", "a.1", "a.2", "b.1" }, sorted())
        assert.same({}, sorted "c")
    end)

    it("forgets what has had its time", function()
        local function is_gone(key)
            assert.truthy(shared.get(key))
            test.advance(0.01)
            return shared.get(key) == nil
        end
        assert.is_true(shared.set("set", 1, 0.01))
        assert.is_true(is_gone "set")
        assert.is_true(shared.add("add", 1, 0.01))
        assert.is_true(is_gone "add")
        assert.equal(1, shared.incr("incr", 1, 0, 0.01))
        assert.is_true(is_gone "incr")
        shared.set("late", 1, 0.01)
        shared.set("late", 2, 1e300)
        assert.is_true(shared.set("soon", 1, 1e-9))
        assert.is_true(is_gone "soon")
        assert.equal(2, shared.get "late")
    end)

    it("says what it takes", function()
        raises("shared.get: string expected, got nil", function() shared.get() end)
        raises("shared.get: string expected, got table (call it with a dot)", function() shared.get(shared, "key") end)
        raises("shared.get: string expected, got 7", function() shared.get(7) end)
        raises("shared.set: string, number or boolean expected, got table (dns.json.encode makes text of it)", function() shared.set("key", {}) end)
        raises("shared.set: string, number or boolean expected, got function", function() shared.set("key", print) end)
        raises("shared.set: ttl: seconds (more than 0) expected, got 0", function() shared.set("key", 1, 0) end)
        raises("shared.set: ttl: seconds (more than 0) expected, got '1'", function() shared.set("key", 1, "1") end)
        raises("shared.set: ttl: seconds (more than 0) expected, got nan", function() shared.set("key", 1, 0 / 0) end)
        raises("shared.add: string, number or boolean expected, got nil", function() shared.add("key") end)
        raises("shared.incr: number expected, got nil", function() shared.incr("key") end)
        raises("shared.incr: initial: number expected, got '0'", function() shared.incr("key", 1, "0") end)
        raises("shared.incr: ttl: seconds (more than 0) expected, got -1", function() shared.incr("key", 1, 0, -1) end)
        raises("shared.keys: string expected, got 1", function() shared.keys(1) end)
        assert.same({}, shared.keys())
    end)

    it("refuses what does not fit, and keeps what there is", function()
        shared.set("key", "old")
        assert.same({ nil, "no memory" }, { shared.set("key", ("x"):rep(64 * 2 ^ 20)) })
        assert.equal("old", shared.get "key")
    end)

    it("is each loaded script's own", function()
        shared.set("key", 1)
        local other = load [[shared.set("mine", (shared.get("key") or 0) + 1)]]
        assert.equal(1, other.globals.shared.get "mine")
        assert.is_nil(shared.get "mine")
    end)

    it("serves hooks, and goes with the script", function()
        local addon = load [[function dns_request(flow) log.info("%d", shared.incr("asked", 1, 0)) end]]
        for _ = 1, 3 do
            addon:run(test.flow { name = "a.example" })
        end
        assert.same({ "1", "2", "3" }, addon.log.info)
        for _ = 1, 200 do
            load [[shared.set("much", ("x"):rep(100000))]]
        end
        collectgarbage()
        collectgarbage()
    end)
end)
