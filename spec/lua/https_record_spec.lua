-- dns.HTTPSRecord, on dns.so.
local dns = require "dns"
local raises = require "spec.support.raises"
local H = dns.HTTPSRecord

describe("dns.HTTPSRecord", function()
    it("takes parameters by name, typed, and by number, raw", function()
        local r = H(1, "Svc.example.", {
            mandatory = { "alpn" }, alpn = { "h2", "h3" }, no_default_alpn = true, port = 443,
            ipv4hint = { "192.0.2.1", "192.0.2.2" }, ech = "AAEC", ipv6hint = { "2001:db8::1" }, [667] = "raw",
        })
        assert.equal(1, r.priority)
        assert.equal("svc.example", r.target_name)
        assert.same({
            [0] = "\0\1", [1] = "\2h2\2h3", [2] = "", [3] = "\1\187", [4] = "\192\0\2\1\192\0\2\2", [5] = "\0\1\2",
            [6] = "\32\1\13\184" .. ("\0"):rep(11) .. "\1", [667] = "raw",
        }, r.params)
        assert.same({}, H(0, "b").params)
        assert.same({}, H(0, "b", {}).params)
    end)

    it("packs with keys in order, and unpacks", function()
        local r = H(258, "b", { [667] = "x", [3] = "\1\187", [1] = "\2h2" })
        assert.equal("\1\2\1b\0" .. "\0\1\0\3\2h2" .. "\0\3\0\2\1\187" .. "\2\155\0\1x", r:pack())
        local back = H.unpack(r:pack())
        assert.is_true(back == r)
        assert.same(r.params, back.params)
        assert.equal("\0\0\0", H(0, "."):pack())
    end)

    it("has attributes that are set", function()
        local r = H(1, "a", { alpn = { "h2" } })
        r.priority, r.target_name = 7, "B"
        local params = r.params
        params[dns.svc_params.PORT] = "\0\80"
        assert.equal(params, r.params)
        collectgarbage()
        assert.equal('7 B. alpn="h2" port=80', tostring(r))
        r.params = { port = 81 }
        assert.same({ [3] = "\0\81" }, r.params)
        assert.equal("7 B. port=81", tostring(r))
    end)

    it("compares by its data, the target without regard to case", function()
        assert.is_true(H(1, "A", { alpn = { "h2" } }) == H(1, "a", { [1] = "\2h2" }))
        assert.is_false(H(1, "a") == H(2, "a"))
        assert.is_false(H(1, "a") == H(1, "b"))
        assert.is_false(H(1, "a") == H(1, "a", { port = 1 }))
        assert.is_false(H(1, "a", { [667] = "X" }) == H(1, "a", { [667] = "x" }))
    end)

    it("goes to JSON and back", function()
        local r = H(1, "B.example", { alpn = { "h2" }, port = 443, no_default_alpn = true, [667] = "x" })
        local json = r:to_json()
        assert.same({ priority = 1, target_name = "B.example", alpn = { "h2" }, port = 443, no_default_alpn = true,
            key667 = "0x78" }, json)
        assert.is_true(H.from_json(json) == r)
        assert.is_true(H.from_json(dns.json.decode(dns.json.encode(r))) == r)
    end)

    it("raises for what cannot be", function()
        raises("HTTPSRecord.priority: integer from 0 to 65535 expected, got 'x'", function() H("x", "a") end)
        raises("HTTPSRecord.target_name: domain name expected, got nil", function() H(1) end)
        raises("HTTPSRecord.params: table expected, got 7", function() H(1, "a", 7) end)
        raises("HTTPSRecord.params: parameter 3 is given twice, by number and by name",
            function() H(1, "a", { port = 1, [3] = "\0\1" }) end)
        raises("HTTPSRecord.params: [1]: string of at most 65535 bytes expected, got table",
            function() H(1, "a", { [1] = { "h2" } }) end)
        raises("HTTPSRecord.params: number from 0 to 65535 (dns.svc_params) expected as key",
            function() H(1, "a", { [65536] = "x" }) end)
        assert.is_false((pcall(H, 1, "a", { alpm = { "h2" } })))
        assert.is_false((pcall(H, 1, "a", { port = "x" })))
        assert.is_false((pcall(H, 1, "a", { ipv4hint = { "::1" } })))
        raises("HTTPSRecord.unpack: data of an HTTPS record expected, got '\\x00'", function() H.unpack "\0" end)
        assert.is_false((pcall(H.unpack, "\0\1\0\0\1\0\9x")))
        assert.is_false((pcall(H.unpack, "\0\1\0\0\3\0\0\0\1\0\0")))
        raises("HTTPSRecord has no property 'target' (did you mean 'target_name'?)",
            function() return H(1, "a").target end)
        local r = H(1, "a")
        r.params.alpn = { "h2" }
        raises("HTTPSRecord.pack: params: number from 0 to 65535 (dns.svc_params) expected as key, got 'alpn'",
            function() r:pack() end)
        assert.is_string(tostring(r))
        assert.is_false(r == H(1, "a"))
    end)

    it("says once what is wrong with a parameter, and which one may have been meant", function()
        local R = dns.HTTPSRecord
        raises("HTTPSRecord.params: port: integer from 0 to 65535 expected, got 'x'", function() R(1, "a", { port = "x" }) end)
        raises("HTTPSRecord.params: service parameter key expected, got 'alpnn' (did you mean 'alpn'?)",
            function() R(1, "a", { alpnn = { "h2" } }) end)
        raises("HTTPSRecord.params: alpn: list of protocol ids expected, got an empty table", function() R(1, "a", { alpn = {} }) end)
        raises("HTTPSRecord.from_json: port: integer from 0 to 65535 expected, got 'x'",
            function() R.from_json { priority = 1, target_name = "a", port = "x" } end)
    end)
end)
