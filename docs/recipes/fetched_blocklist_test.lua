-- fetched_blocklist_test.lua
local copy = os.tmpname()
local URL = "http://lists.example/ads.txt"
local LIST = "||ads.example^\n@@||good.ads.example^\n"

-- The script with an http.get that gives these answers, one after the other.
local function load(...)
    local answers = { ... }
    local addon = test.load("fetched_blocklist.lua", { url = URL, copy = copy, hours = 1 })
    addon.globals.http = { get = function(url)
        assert(url == URL)
        local answer = table.remove(answers, 1)
        if type(answer) == "string" then return nil, answer end
        return answer
    end }
    return addon
end

local function code(addon, name)
    test.upstream { ["*"] = "192.0.2.1" }
    return test.rcode(addon:run(test.flow { name = name }))
end

function test_blocks_what_it_fetched()
    local addon = load { status = 200, body = LIST }
    test.advance(0)
    os.remove(copy)
    assert(code(addon, "x.ads.example") == "NXDOMAIN")
    assert(code(addon, "good.ads.example") == "NOERROR")
end

function test_keeps_the_list_when_a_later_fetch_fails()
    local addon = load({ status = 200, body = LIST }, "time-out", { status = 404, reason = "Not Found" })
    test.advance(0)
    os.remove(copy)
    test.advance(2 * 3600)
    assert(code(addon, "ads.example") == "NXDOMAIN")
    assert(addon.log.warn[#addon.log.warn] == "the list stays as it is: Not Found")
end
