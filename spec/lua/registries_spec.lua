-- dns.types and the other registries, on dns.so.
local dns = require "dns"
local raises = require "spec.support.raises"

describe("the registries", function()
    it("hold numbers by upper case names", function()
        assert.equal(1, dns.types.A)
        assert.equal(23, dns.types.NSAP_PTR)
        assert.equal(65, dns.types.HTTPS)
        assert.equal(255, dns.types.ANY)
        assert.equal(1, dns.classes.IN)
        assert.equal(0, dns.op_codes.QUERY)
        assert.equal(3, dns.response_codes.NXDOMAIN)
        assert.equal(16, dns.response_codes.BADVERS)
        assert.equal(1, dns.svc_params.ALPN)
        assert.equal(2, dns.svc_params.NO_DEFAULT_ALPN)
        assert.equal(8, dns.edns_options.CLIENT_SUBNET)
        assert.equal(19, dns.edns_options.ZONEVERSION)
        assert.equal(0, dns.ede.OTHER)
        assert.equal(15, dns.ede.BLOCKED)
        assert.equal(27, dns.ede.UNSUPPORTED_NSEC3_ITERATIONS_VALUE)
    end)

    it("tell names and numbers, there and back", function()
        for _, registry in ipairs { "types", "classes", "op_codes", "response_codes", "svc_params", "edns_options", "ede" } do
            local count = 0
            for name, number in pairs(dns[registry]) do
                if type(number) == "number" then
                    count = count + 1
                    assert.truthy(name:match "^[A-Z0-9_]+$", name)
                    assert.equal(number, dns[registry].from_str(name))
                    assert.equal(number, dns[registry].from_str(name:lower()))
                    assert.equal(number, dns[registry].from_str(dns[registry].to_str(number)))
                end
            end
            assert.is_true(count > 3, registry)
        end
    end)

    it("know the forms of unknown numbers", function()
        assert.equal("TYPE65280", dns.types.to_str(65280))
        assert.equal("CLASS42", dns.classes.to_str(42))
        assert.equal("OPCODE7", dns.op_codes.to_str(7))
        assert.equal("RCODE99", dns.response_codes.to_str(99))
        assert.equal("BADVERS", dns.response_codes.to_str(16))
        assert.equal("OPT65001", dns.edns_options.to_str(65001))
        assert.equal("EDE65535", dns.ede.to_str(65535))
        assert.equal("NO_ZONE_KEY_BIT_SET", dns.ede.to_str(11))
        assert.equal(8, dns.edns_options.from_str "ecs")
        assert.equal(99, dns.ede.from_str "EDE(99)")
        assert.equal(65280, dns.types.from_str "TYPE65280")
        assert.equal(65280, dns.types.from_str "TYPE(65280)")
        assert.equal(0, dns.classes.from_str "CLASS(0)")
        assert.equal(9, dns.op_codes.from_str "OPCODE(9)")
        assert.equal(100, dns.response_codes.from_str "RCODE(100)")
        assert.equal(23, dns.types.from_str "NSAP-PTR")
        assert.equal(23, dns.types.from_str "nsap_ptr")
    end)

    it("give HTTP's status for a response code", function()
        assert.equal(200, dns.response_codes.http_equiv_status_code(0))
        assert.equal(404, dns.response_codes.http_equiv_status_code(3))
        assert.equal(404, dns.response_codes.http_equiv_status_code "NXDOMAIN")
        assert.equal(500, dns.response_codes.http_equiv_status_code(4095))
    end)

    it("raise for what nobody knows", function()
        raises("dns.types has no type 'AAAAA' (did you mean 'AAAA'?)", function() return dns.types.AAAAA end)
        raises("dns.response_codes has no response code 'nxdomain' (did you mean 'NXDOMAIN'?)",
            function() return dns.response_codes.nxdomain end)
        raises("dns.types has no type 1", function() return dns.types[1] end)
        raises("dns.types.to_str: integer from 0 to 65535 expected, got 65536", function() dns.types.to_str(65536) end)
        raises("dns.op_codes.to_str: integer from 0 to 15 expected, got 16", function() dns.op_codes.to_str(16) end)
        raises("dns.types.to_str: integer from 0 to 65535 expected, got 'A'", function() dns.types.to_str "A" end)
        raises("dns.types.from_str: string expected, got 1", function() dns.types.from_str(1) end)
        raises("dns.types.from_str: type (name or integer from 0 to 65535) expected, got ''",
            function() dns.types.from_str "" end)
        raises("dns.types.from_str: type (name or integer from 0 to 65535) expected, got 'TYPE65536'",
            function() dns.types.from_str "TYPE65536" end)
    end)
end)

describe("dns.typeof", function()
    it("names the class of an object, and nothing else", function()
        assert.equal("Question", dns.typeof(dns.Question("a", "A")))
        assert.equal("ResourceRecord", dns.typeof(dns.ResourceRecord.A("a", "192.0.2.1")))
        assert.equal("HTTPSRecord", dns.typeof(dns.HTTPSRecord(1, ".")))
        assert.equal("DNSMessage", dns.typeof(dns.DNSMessage {}))
        for _, value in ipairs { 1, "x", true, {}, print, io.stdout, newproxy(true), newproxy(false) } do
            assert.is_nil(dns.typeof(value))
        end
        assert.is_nil(dns.typeof(nil))
        assert.is_nil(dns.typeof())
    end)
end)
