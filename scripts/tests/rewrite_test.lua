local addon = test.load "../rewrite.lua"

function test_sets_every_ipv4_address()
    test.upstream { ["www.example A"] = { "www.example. 9 IN CNAME a.example.", "a.example. 9 IN A 192.0.2.1", "a.example. 9 IN A 192.0.2.2" } }
    local flow = addon:run(test.flow { name = "www.example" })
    test.equal({ "a.example.", "127.0.0.1", "127.0.0.1" }, test.answers(flow))
    assert(flow.response.answers[2].ttl == 9)
end

function test_leaves_ipv6()
    test.upstream { ["www.example AAAA"] = "2001:db8::1" }
    test.equal({ "2001:db8::1" }, test.answers(addon:run(test.flow { name = "www.example", type = "AAAA" })))
end
