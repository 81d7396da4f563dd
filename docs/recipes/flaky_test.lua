-- flaky_test.lua
local OPTIONS = { seed = 7, lost = 0.3, failed = 0.3, delay = 0 }

-- What becomes of twenty queries, as text.
local function twenty(options)
    test.upstream { ["*"] = "192.0.2.1" }
    local addon, seen = test.load("flaky.lua", options), {}
    for i = 1, 20 do
        seen[i] = test.rcode(addon:run(test.flow { name = "example.com" }))
    end
    return table.concat(seen, " ")
end

function test_the_same_seed_gives_the_same_run()
    local first = twenty(OPTIONS)
    assert(first == twenty(OPTIONS))
    assert(first:find "SERVFAIL" and first:find "NOERROR")
end

function test_all_is_well_where_nothing_is_to_fail()
    local seen = twenty { lost = 0, failed = 0, delay = 0 }
    assert(not seen:find "SERVFAIL")
end
