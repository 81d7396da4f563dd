-- dns.AddressSet, on dns.so.
local dns = require "dns"
local files = require "spec.support.files"
local raises = require "spec.support.raises"
local scope = require "spec.support.scope"

local function load(text)
    return assert(dns.AddressSet.load(files.temp_file("list.txt", text)))
end

describe("dns.AddressSet", function()
    scope.manage()

    it("gives the longest prefix that an address lies in", function()
        local set = dns.AddressSet { "10.0.0.0/8", "10.1.0.0/16", "10.1.2.3", "2001:db8::/32", "2001:db8:0:8000::/49", "::1" }
        assert.equal(6, #set)
        for address, entry in pairs {
            ["10.255.255.255"] = "10.0.0.0/8",
            ["10.0.0.0"] = "10.0.0.0/8",
            ["10.1.255.1"] = "10.1.0.0/16",
            ["10.1.2.3"] = "10.1.2.3",
            ["2001:db8::"] = "2001:db8::/32",
            ["2001:DB8:FFFF::1"] = "2001:db8::/32",
            ["2001:db8:0:8fff::1"] = "2001:db8:0:8000::/49",
            ["2001:db8:0:7fff::1"] = "2001:db8::/32",
            ["::1"] = "::1",
        } do
            assert.equal(entry, set:match(address), address)
        end
        for _, address in ipairs { "9.255.255.255", "11.0.0.0", "0.0.0.1", "2001:db7:ffff::", "2001:db9::", "::2", "a00::" } do
            assert.is_nil(set:match(address), address)
        end
    end)

    it("agrees with the bits, at every length", function()
        local function bits(address)
            local reversed = dns.name.reverse(address) -- a nibble or a byte a label, the last first
            local labels, text = dns.name.labels(reversed), ""
            local width = labels[#labels - 1] == "in-addr" and 8 or 4
            for i = #labels - 2, 1, -1 do
                local value = tonumber(labels[i], width == 8 and 10 or 16)
                for bit = width - 1, 0, -1 do
                    text = text .. math.floor(value / 2 ^ bit) % 2
                end
            end
            return text
        end
        local tried = {
            { "192.168.77.201", "192.168.77.200", "192.168.76.201", "192.0.77.201", "64.168.77.201" },
            { "2001:db8:1234:5678:9abc:def0:1357:9bdf", "2001:db8:1234:5678:9abc:def0:1357:9bde", "2001:db8:1234:5678:9abc:def0::",
                "2001:db8:1234:5678::", "2001:db8:1235::", "3001::", "8000::" },
        }
        for _, addresses in ipairs(tried) do
            local first = bits(addresses[1])
            for length = 0, #first do
                local set = dns.AddressSet { addresses[1] .. "/" .. length }
                for _, address in ipairs(addresses) do
                    local inside = bits(address):sub(1, length) == first:sub(1, length)
                    assert.equal(inside, set:match(address) ~= nil, address .. " in /" .. length)
                end
            end
            local all = dns.AddressSet()
            for length = 0, #first do
                all:add(addresses[1] .. "/" .. length)
            end
            assert.equal(#first + 1, #all)
            assert.equal(addresses[1], all:match(addresses[1]))
            for _, address in ipairs { unpack(addresses, 2) } do
                local common = 0
                while bits(address):sub(1, common + 1) == first:sub(1, common + 1) do
                    common = common + 1
                end
                assert.equal(common, tonumber(all:match(address):match "/(%d+)$"), address)
            end
        end
    end)

    it("tells prefixes of one address apart by their length", function()
        for address, most in pairs { ["0.0.0.0"] = 32, ["255.255.255.255"] = 32, ["::"] = 128, ["ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"] = 128 } do
            local set = dns.AddressSet()
            for length = 0, most do
                assert.is_true(set:add(address .. "/" .. length))
                for other = length + 1, most do
                    assert.is_false(set:remove(address .. "/" .. other), length .. " is no " .. other)
                end
            end
            assert.equal(most + 1, #set)
            for length = most, 0, -1 do
                assert.equal(length == most and address or nil, (set:match(address):match "^[^/]+$"))
                assert.is_true(set:remove(address .. "/" .. length))
                assert.is_false(set:remove(address .. "/" .. length))
            end
            assert.is_nil(set:match(address))
        end
    end)

    it("keeps the families apart", function()
        local set = dns.AddressSet { "0.0.0.0/0" }
        assert.equal("0.0.0.0/0", set:match "1.2.3.4")
        assert.is_nil(set:match "::1")
        set = dns.AddressSet { "::/0" }
        assert.equal("::/0", set:match "2001:db8::1")
        assert.is_nil(set:match "1.2.3.4")
    end)

    it("takes an IPv4 address inside an IPv6 address for itself", function()
        local set = dns.AddressSet { "192.0.2.0/24", "::ffff:198.51.100.7", "::ffff:203.0.113.0/120" }
        assert.equal("192.0.2.0/24", set:match "::ffff:192.0.2.9")
        assert.equal("198.51.100.7", set:match "198.51.100.7")
        assert.equal("203.0.113.0/24", set:match "::ffff:203.0.113.200")
        assert.is_nil(set:match "::192.0.2.9")
        assert.equal("0.0.0.0/0", dns.AddressSet { "::ffff:0:0/96" }:match "192.0.2.1")
        assert.equal("::fffe:0:0/95", dns.AddressSet { "::ffff:0:0/95" }:match "::fffe:1:1")
    end)

    it("ignores bits behind the prefix, and a zone", function()
        local set = dns.AddressSet { "192.168.1.77/24", "fe80::1234/10" }
        assert.equal("192.168.1.0/24", set:match "192.168.1.1")
        assert.equal("fe80::/10", set:match "fe80::1%lo")
        assert.is_false(set:add "192.168.1.0/24")
    end)

    it("adds and removes", function()
        local set = dns.AddressSet()
        assert.equal(0, #set)
        assert.is_nil(set:match "192.0.2.1")
        assert.is_true(set:add "192.0.2.1")
        assert.is_false(set:add "192.0.2.1/32")
        assert.is_true(set:add "192.0.2.0/24")
        assert.is_false(set:remove "192.0.2.0/25")
        assert.is_true(set:remove "192.0.2.1")
        assert.is_false(set:remove "192.0.2.1")
        assert.equal(1, #set)
        assert.equal("192.0.2.0/24", set:match "192.0.2.1")
    end)

    it("holds many", function()
        local set = dns.AddressSet()
        for i = 0, 9999 do
            set:add(("10.%d.%d.0/24"):format(i / 256, i % 256))
        end
        for i = 0, 9999, 3 do
            assert.is_true(set:remove(("10.%d.%d.0/24"):format(i / 256, i % 256)))
        end
        for i = 0, 10200 do
            local entry = ("10.%d.%d.0/24"):format(i / 256, i % 256)
            assert.equal(i % 3 ~= 0 and i < 10000 and entry or nil, set:match(("10.%d.%d.9"):format(i / 256, i % 256)))
        end
    end)

    it("reads as text", function()
        assert.equal("AddressSet of 2", tostring(dns.AddressSet { "::1", "10.0.0.0/8" }))
        assert.equal("AddressSet", dns.typeof(dns.AddressSet()))
    end)

    it("raises for what is no address or prefix", function()
        local set = dns.AddressSet()
        raises("AddressSet: table expected, got 7", function() dns.AddressSet(7) end)
        raises("AddressSet[2]: IP address or prefix expected, got false", function() dns.AddressSet { "::1", false } end)
        raises("AddressSet[1]: IP address or prefix expected, got '1.2.3'", function() dns.AddressSet { "1.2.3" } end)
        raises("AddressSet.add: prefix length from 0 to 32 expected, got '33'", function() set:add "1.2.3.4/33" end)
        raises("AddressSet.add: prefix length from 0 to 128 expected, got '129'", function() set:add "::/129" end)
        raises("AddressSet.add: prefix length from 0 to 32 expected, got ''", function() set:add "1.2.3.4/" end)
        raises("AddressSet.add: prefix length from 0 to 32 expected, got '-1'", function() set:add "1.2.3.4/-1" end)
        raises("AddressSet.add: prefix length from 0 to 32 expected, got '8/8'", function() set:add "1.2.3.4/8/8" end)
        raises("AddressSet.add: prefix length from 0 to 32 expected, got '4294967304'", function() set:add "1.2.3.4/4294967304" end)
        raises("AddressSet.add: IP address or prefix expected, got 'fe80::1%lo'", function() set:add "fe80::1%lo" end)
        raises("AddressSet.add: IP address or prefix expected, got ''", function() set:add "" end)
        raises("AddressSet.add: IP address or prefix expected, got 7", function() set:add(7) end)
        raises("AddressSet.remove: IP address or prefix expected, got 'x'", function() set:remove "x" end)
        raises("AddressSet.match: IP address expected, got '10.0.0.0/8'", function() set:match "10.0.0.0/8" end)
        raises("AddressSet.match: IP address expected, got nil", function() set:match() end)
        raises("AddressSet.match: IP address expected, got '1.2.3.4%lo'", function() set:match "1.2.3.4%lo" end)
        assert.equal(0, #set)
    end)
end)

describe("dns.AddressSet.load", function()
    scope.manage()

    it("reads lists with comments", function()
        local set = load "# head\n; head\n! head\r\n10.0.0.0/8 ; SBL1\r\n192.0.2.1# why\n\n  2001:db8::/32\t\n192.0.2.1\n"
        assert.equal(3, #set)
        assert.same({}, set.skipped)
        assert.equal("10.0.0.0/8", set:match "10.1.1.1")
        assert.equal("192.0.2.1", set:match "192.0.2.1")
        assert.equal("2001:db8::/32", set:match "2001:db8::1")
    end)

    it("reports lines that it cannot use, and goes on", function()
        local set = load "10.0.0.0/8\nexample.com\n10.0.0.1-10.0.0.9\n192.0.2.0/40\n192.0.2.1\n"
        assert.equal(2, #set)
        assert.equal("192.0.2.1", set:match "192.0.2.1")
        assert.equal(3, set.skipped_count)
        local lines = {}
        for i, skipped in ipairs(set.skipped) do
            lines[i] = skipped.line .. " " .. skipped.text .. ": " .. skipped.reason
        end
        assert.same({
            "2 example.com: IP address or prefix expected, got 'example.com'",
            "3 10.0.0.1-10.0.0.9: IP address or prefix expected, got '10.0.0.1-10.0.0.9'",
            "4 192.0.2.0/40: prefix length from 0 to 32 expected, got '40'",
        }, lines)
    end)

    it("gives nil and the reason for a file that cannot be read", function()
        assert.same({ nil, "cannot read /no/such/file: No such file or directory" }, { dns.AddressSet.load "/no/such/file" })
        raises("AddressSet.load: string expected, got nil", function() dns.AddressSet.load() end)
    end)
end)
