-- ttl_test.lua
local addon = test.load("ttl.lua", { least = 30, most = 300 })

local function ttl_of(record)
    return addon:run(test.flow { name = "example.com", answers = { record } }).response.answers[1].ttl
end

function test_lifetimes_are_kept_between_the_limits()
    assert(ttl_of "example.com. 5 IN A 192.0.2.1" == 30)
    assert(ttl_of "example.com. 100 IN A 192.0.2.1" == 100)
    assert(ttl_of "example.com. 86400 IN A 192.0.2.1" == 300)
end

function test_limits_that_exclude_each_other_are_refused()
    test.raises(test.load, "least: more than most", "ttl.lua", { least = 10, most = 5 })
end
