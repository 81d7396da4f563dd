local addon = test.load "../block.lua"

function test_names_with_malware_do_not_exist()
    for _, name in ipairs { "malware.example", "www.MALWARE-host.example" } do
        assert(test.rcode(addon:run(test.flow { name = name })) == "NXDOMAIN")
    end
end

function test_other_names_go_to_the_upstream()
    local upstream = test.upstream { ["*"] = "192.0.2.1" }
    test.equal({ "192.0.2.1" }, test.answers(addon:run(test.flow { name = "example.com" })))
    addon:run(test.flow { name = "malware.example" })
    test.equal({ "example.com A" }, upstream.asked)
end
