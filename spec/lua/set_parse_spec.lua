-- DomainSet.parse and AddressSet.parse: what load does, of a text.
local dns = require "dns"
local files = require "spec.support.files"
local raises = require "spec.support.raises"
local scope = require "spec.support.scope"

local TEXTS = {
    DomainSet = "\239\187\191# ads\r\n0.0.0.0 tracker.example\n\n  ||ads.example^  \n@@||good.ads.example^\n/banner[0-9]/\nlast.example",
    AddressSet = "\239\187\191; bad\r\n10.0.0.0/8\n\n  2001:db8::/32 # why\n192.0.2.0/40\n192.0.2.1",
}

for class, text in pairs(TEXTS) do
    describe("dns." .. class .. ".parse", function()
        scope.manage()
        local parse = dns[class].parse

        it("makes the set that load makes of the same file", function()
            local path = files.temp_file("list.txt", text)
            local parsed, loaded = parse(text, path), assert(dns[class].load(path))
            assert.equal(#loaded, #parsed)
            assert.equal(tostring(loaded), tostring(parsed))
            assert.same(loaded.skipped, parsed.skipped)
            assert.equal(1, parsed.skipped_count)
            for _, key in ipairs { "a.tracker.example", "x.ads.example", "good.ads.example", "last.example", "no.example" } do
                assert.equal(class == "DomainSet" and loaded:match(key) or nil, class == "DomainSet" and parsed:match(key) or nil)
            end
            for _, key in ipairs { "10.1.2.3", "2001:db8::1", "192.0.2.1", "192.0.2.2" } do
                assert.equal(class == "AddressSet" and loaded:match(key) or nil, class == "AddressSet" and parsed:match(key) or nil)
            end
        end)

        it("calls the text what it is told", function()
            assert.equal("text", parse(text).skipped[1].file)
            assert.equal("https://a.example/list", parse(text, "https://a.example/list").skipped[1].file)
        end)

        it("takes texts of any length, and long lines for what they are", function()
            assert.equal(0, #parse "")
            assert.equal(0, #parse "\n\n")
            local set = parse(("x"):rep(70000) .. "\n" .. text:sub(4))
            assert.equal(2, set.skipped_count)
            assert.equal("longer than 65536 bytes", set.skipped[1].reason)
        end)

        it("takes nothing but text", function()
            raises(class .. ".parse: string expected, got nil", function() parse() end)
            raises(class .. ".parse: string expected, got 7", function() parse(7) end)
            raises(class .. ".parse: string expected, got true", function() parse("", true) end)
        end)
    end)
end
