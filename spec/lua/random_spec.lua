-- dns.random: numbers that a seed repeats.
local dns = require "dns"
local files = require "spec.support.files"
local raises = require "spec.support.raises"
local scope = require "spec.support.scope"
local test = require "dns.test"

describe("dns.random", function()
    scope.manage()

    local function draw(random)
        local list = {}
        for i = 1, 100 do
            list[i] = ("%d %.17g %s"):format(random:integer(-5, 2 ^ 40), random:number(), random:choice { "a", "b", "c" })
        end
        return table.concat(list, "\n")
    end

    it("repeats with its seed, and with no other", function()
        assert.equal(draw(dns.random(42)), draw(dns.random(42)))
        assert.not_equal(draw(dns.random(42)), draw(dns.random(43)))
        assert.not_equal(draw(dns.random(1)), draw(dns.random(2 ^ 32 + 1)))
        local any = dns.random()
        assert.equal(draw(any), draw(dns.random(any.seed)))
        assert.not_equal(any.seed, dns.random().seed)
        assert.equal("Random(42)", tostring(dns.random(42)))
    end)

    it("gives the same numbers everywhere, for good", function()
        local random = dns.random(42)
        assert.equal("0.11000085327925", ("%.14f"):format(random:number()))
        assert.equal(4, random:integer(1, 6))
        assert.equal(10258269404, random:integer(0, 2 ^ 40))
    end)

    it("keeps its bounds and is even", function()
        local random, counts = dns.random(7), {}
        for _ = 1, 60000 do
            local number, integer = random:number(), random:integer(-1, 4)
            assert.is_true(number >= 0 and number < 1 and integer % 1 == 0)
            counts[integer] = (counts[integer] or 0) + 1
        end
        for integer = -1, 4 do
            assert.is_true(math.abs(counts[integer] - 10000) < 500, integer .. ": " .. counts[integer])
            counts[integer] = nil
        end
        assert.is_nil(next(counts))
        assert.equal(3, random:integer(3, 3))
    end)

    it("tells the seed", function()
        local addon = test.load(files.temp_file("seeded.lua", [[
            first, second = dns.random(11), dns.random()]]))
        assert.equal("dns.random: seed 11", addon.log.info[1])
        assert.equal(("dns.random: seed %.0f"):format(addon.globals.second.seed), addon.log.info[2])
    end)

    it("says what is wrong", function()
        raises("dns.random: integer expected, got 'x'", function() dns.random "x" end)
        raises("dns.random: integer expected, got 1.5", function() dns.random(1.5) end)
        raises("Random.integer: integer expected, got nil", function() dns.random(1):integer() end)
        raises("Random.integer: integer from 3 expected, got 1", function() dns.random(1):integer(3, 1) end)
        raises("Random.number: call it with a colon", function() dns.random(1).number() end)
        raises("Random has no property 'float'", function() return dns.random(1).float end)
        assert.has_error(function() dns.random(1):choice {} end)
    end)
end)
