local addon = test.load "../spoof.lua"

function test_answers_example_com()
    local flow = addon:run(test.flow { name = "eXample.com" })
    test.equal({ "127.0.0.1" }, test.answers(flow))
    assert(flow.response.answers[1].ttl == 300)
end

function test_forwards_the_rest()
    local upstream = test.upstream { ["*"] = "192.0.2.1" }
    addon:run(test.flow { name = "example.com", type = "AAAA" })
    addon:run(test.flow { name = "www.example.com" })
    test.equal({ "example.com AAAA", "www.example.com A" }, upstream.asked)
end
