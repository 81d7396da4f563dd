local function list(text)
    local path = os.tmpname()
    local file = assert(io.open(path, "w"))
    file:write(text)
    file:close()
    return path
end

local function rcode(addon, name) return test.rcode(addon:run(test.flow { name = name })) end

function test_listed_names_do_not_exist()
    test.upstream { ["*"] = "192.0.2.1" }
    local ads, allowed = list "ads.example\n", list "@@||good.ads.example^\n"
    local addon = test.load("../blocklist.lua", { blocklist = { ads, allowed } })
    os.remove(ads)
    os.remove(allowed)
    assert(addon.log[1] == "1 domains are blocked, 0 lines could not be used")
    assert(rcode(addon, "ads.example") == "NXDOMAIN")
    assert(rcode(addon, "tracker.ads.example") == "NXDOMAIN")
    assert(rcode(addon, "good.ads.example") == "NOERROR")
    assert(rcode(addon, "example.com") == "NOERROR")
end

function test_the_flow_says_why()
    local ads = list "ads.example\n"
    local flow = test.load("../blocklist.lua", { blocklist = { ads } }):run(test.flow { name = "x.ads.example" })
    os.remove(ads)
    assert(flow.comment == "blocked by ads.example")
end

function test_a_list_that_is_not_there_is_refused()
    test.raises(test.load, "cannot read /no/such/list", "../blocklist.lua", { blocklist = { "/no/such/list" } })
end
