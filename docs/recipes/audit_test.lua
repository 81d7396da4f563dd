-- audit_test.lua
function test_counts_each_question_and_writes_them_down()
    local addon = test.load "audit.lua"
    test.upstream { ["example.com A"] = "192.0.2.1" }
    for _, name in ipairs { "example.com", "Example.com", "gone.example" } do
        addon:run(test.flow { name = name })
    end
    test.equal({
        '{"client":"127.0.0.1","new":"example.com A","outcome":"NOERROR"}',
        '{"client":"127.0.0.1","new":"gone.example A","outcome":"NXDOMAIN"}',
    }, addon.log.info)
    addon:call "done"
    local file = assert(io.open "audit.json")
    local list = dns.json.decode(file:read "*a")
    file:close()
    os.remove "audit.json"
    test.equal({ count = 2, name = "example.com", outcome = "NOERROR", type = "A" }, list[1])
    assert(#list == 2 and list[2].name == "gone.example")
end
