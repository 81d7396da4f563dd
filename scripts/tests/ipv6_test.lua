local addon = test.load "../ipv6.lua"

function test_answers_aaaa_of_example_com()
    test.equal({ "::1" }, test.answers(addon:run(test.flow { name = "example.com", type = "AAAA" })))
end

function test_leaves_the_rest()
    test.upstream { ["*"] = { "192.0.2.1", "2001:db8::1" } }
    test.equal({ "192.0.2.1" }, test.answers(addon:run(test.flow { name = "example.com" })))
    test.equal({ "2001:db8::1" }, test.answers(addon:run(test.flow { name = "example.org", type = "AAAA" })))
end
