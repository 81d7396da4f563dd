local addon = test.load "../zone.lua"

local function run(name, type) return addon:run(test.flow { name = name, type = type }) end

function test_answers_for_its_zone()
    test.equal({ "192.0.2.80" }, test.answers(run "api.shop.example"))
    test.equal({ "eu.cdn.example." }, test.answers(run("a.b.eu.shop.example", "CNAME")))
end

function test_says_no_with_the_soa_record()
    local flow = run "nothing.shop.example"
    assert(test.rcode(flow) == "NXDOMAIN")
    assert(flow.response.authorities[1].type == dns.types.SOA)
end

function test_forwards_other_names()
    local upstream = test.upstream { ["example.com A"] = "192.0.2.1" }
    test.equal({ "192.0.2.1" }, test.answers(run "example.com"))
    test.equal({ "example.com A" }, upstream.asked)
end
