-- RFC 8914, Extended DNS Errors: why the proxy itself failed. Those of upstreams pass.
local dig = require "spec.support.dig"
local net = require "spec.support.net"
local ports = require "spec.support.ports"
local proxy = require "spec.support.proxy"
local scope = require "spec.support.scope"
local wire = require "spec.support.wire"

local SERVFAIL = wire.rcodes.SERVFAIL
local OTHER, NO_REACHABLE_AUTHORITY, NETWORK_ERROR = 0, 22, 23

describe("RFC 8914", function()
    scope.manage()

    -- The answer's response code, its extended error's code and text.
    local function ask(moondns, options)
        local answer = wire.parse(assert(moondns:udp():ask(wire.query("a.example", "A", options or { edns = true }))))
        if not answer.opt or answer.opt.data == "" then
            return answer.rcode, nil, nil, answer
        end
        local data = answer.opt.data
        assert.equal("\0\15", data:sub(1, 2))
        assert.equal(#data - 4, data:byte(3) * 256 + data:byte(4))
        return answer.rcode, data:byte(5) * 256 + data:byte(6), data:sub(7), answer
    end

    it("section 4.23: 22, No Reachable Authority, where an upstream stays silent; dig shows it", function()
        local server = net.server()
        local moondns = proxy.start { upstream = server, args = { "--timeout", "0.1", "--retries", "0" } }
        local rcode, code, text = ask(moondns)
        assert.same({ SERVFAIL, NO_REACHABLE_AUTHORITY, "time-out, 127.0.0.1:" .. server.port }, { rcode, code, text })
        local shown = dig.dig(moondns.port, "a.example").text
        assert.truthy(shown:find("EDE: 22 (No Reachable Authority): (time-out, 127.0.0.1:" .. server.port .. ")", 1, true), shown)
    end)

    it("section 4.23: 22 where there is no upstream", function()
        local rcode, code, text = ask(proxy.start {})
        assert.same({ SERVFAIL, NO_REACHABLE_AUTHORITY, "no upstream" }, { rcode, code, text })
    end)

    it("section 4.24: 23, Network Error, where an upstream cannot be reached or answers garbage", function()
        local port = ports.free()
        local rcode, code, text = ask(proxy.start { upstream = port })
        assert.same({ SERVFAIL, NETWORK_ERROR, "connection refused, 127.0.0.1:" .. port }, { rcode, code, text })

        local server = net.server()
        local client = proxy.start({ upstream = server, args = { "--retries", "0" } }):udp()
        client:send(wire.query("a.example", "A", { edns = true }))
        local received, reply = server:receive()
        reply(wire.answer(received, {}) .. "x")
        local data = wire.parse(assert(client:receive())).opt.data
        assert.equal(NETWORK_ERROR, data:byte(6))
        assert.truthy(data:find("malformed answer: ", 1, true))
    end)

    it("section 4.1: 0, Other, where a script failed a query or its answer cannot be packed", function()
        local moondns = proxy.start { code = [[function dns_request(flow) flow.error = "not today" end]] }
        local rcode, code, text = ask(moondns)
        assert.same({ SERVFAIL, OTHER, "not today" }, { rcode, code, text })
        moondns = proxy.start { code = [[function dns_request(flow) flow.response = flow.request:succeed {7} end]] }
        rcode, code, text = ask(moondns)
        assert.same({ SERVFAIL, OTHER, "a script's answer cannot be packed" }, { rcode, code, text })
    end)

    it("section 2: the text is cut where it is too long", function()
        local _, _, text = ask(proxy.start { code = [[function dns_request(flow) flow.error = ("x"):rep(1000) end]] })
        assert.truthy(text:match "^x+$")
        assert.is_true(#text <= 255)
    end)

    it("section 3: a client without OPT gets none; nor is there one where a script answers", function()
        local _, code, _, answer = ask(proxy.start {}, {})
        assert.is_nil(code)
        assert.is_nil(answer.opt)
        local moondns = proxy.start { code = [[function dns_error(flow) flow.response = flow.request:fail("REFUSED") end]] }
        local rcode
        rcode, code = ask(moondns)
        assert.same({ wire.rcodes.REFUSED, nil }, { rcode, code })
    end)

    it("section 3: an upstream's own passes unchanged, with any response code", function()
        local server = net.server()
        local client = proxy.start({ upstream = server }):udp()
        local ede = "\0\15\0\7\0\18nope!"
        client:send(wire.query("a.example", "A", { edns = true }))
        local received, reply = server:receive()
        reply(wire.answer(received, {}, { additionals = { wire.opt { data = ede } } }))
        assert.equal(ede, wire.parse(assert(client:receive())).opt.data)
    end)
end)
