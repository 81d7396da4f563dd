-- fetched_blocklist_test.lua
local copy = os.tmpname()
local URL = "http://lists.example/ads.txt"
local LIST = "||ads.example^\n@@||good.ads.example^\n"

-- The script once it has fetched the list.
local function load()
    test.http { [URL] = LIST }
    local addon = test.load("fetched_blocklist.lua", { url = URL, copy = copy, hours = 1 })
    test.advance(0)
    os.remove(copy)
    return addon
end

local function code(addon, name)
    test.upstream { ["*"] = "192.0.2.1" }
    return test.rcode(addon:run(test.flow { name = name }))
end

function test_blocks_what_it_fetched()
    local addon = load()
    assert(code(addon, "x.ads.example") == "NXDOMAIN")
    assert(code(addon, "good.ads.example") == "NOERROR")
end

function test_keeps_the_list_when_a_later_fetch_fails()
    local addon = load()
    for answer, why in pairs { [{ status = 404, reason = "Not Found" }] = "Not Found", [false] = "time-out" } do
        test.http { [URL] = answer }
        test.advance(3600 + 10)
        assert(addon.log.warn[#addon.log.warn] == "the list stays as it is: " .. why)
    end
    assert(code(addon, "ads.example") == "NXDOMAIN")
end
