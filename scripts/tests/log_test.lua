local addon = test.load "../log.lua"

function test_logs_questions_and_addresses()
    test.upstream { ["example.com A"] = { "example.com. 60 IN CNAME host.example.", "host.example. 60 IN A 192.0.2.1" } }
    addon:run(test.flow { name = "Example.com" })
    test.equal({ "query example.com A", "answer host.example 192.0.2.1" }, addon.log.info)
end

function test_logs_no_answer_where_there_is_none()
    test.upstream {}
    addon:run(test.flow { name = "example.com", type = "MX" })
    test.equal({ "query example.com MX" }, addon.log.info)
end
