local addon = test.load "../strip_ech.lua"

local function after(record)
    test.upstream { ["example.com HTTPS"] = record }
    return addon:run(test.flow { name = "example.com", type = "HTTPS" }).response.answers[1]
end

function test_takes_ech_and_http3_out()
    local record = after 'example.com. 60 IN HTTPS 1 . alpn="h3,h2" ech=AEX+DQBB port=8443'
    assert(record.https_ech == nil)
    test.equal({ "h2" }, record.https_alpn)
    assert(tostring(record):find "port=8443")
end

function test_leaves_no_empty_alpn()
    assert(after('example.com. 60 IN HTTPS 1 . alpn="h3,h3-29"').https_alpn == nil)
end
