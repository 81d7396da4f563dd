-- dns.DNSFlow made by hand, on dns.so.
local dns = require "dns"

-- f(…) must raise a text that matches.
local function raises(pattern, f, ...)
    local ok, message = pcall(f, ...)
    assert.is_false(ok, "nothing was raised; expected: " .. pattern)
    assert.matches(pattern, message)
end

local function query(name) return dns.DNSMessage.make_query(name or "example.com", "A") end

local function answered()
    local request = query()
    return dns.DNSFlow {
        request = request,
        response = request:succeed { dns.ResourceRecord.A("example.com", "192.0.2.1") },
    }
end

describe("dns.DNSFlow", function()
    it("is made from messages", function()
        local request = query()
        local flow = dns.DNSFlow { request = request }
        assert.equal("DNSFlow", dns.typeof(flow))
        assert.equal("dns", flow.type)
        assert.is_true(rawequal(request, flow.request))
        assert.is_nil(flow.response)
        assert.is_nil(flow.error)
        assert.is_nil(flow.client_conn)
        assert.is_nil(flow.server_conn)
        assert.is_false(flow.live)
        assert.is_false(flow.killable)
        assert.is_false(flow.intercepted)
        assert.is_false(flow.is_replay)
        assert.equal("", flow.marked)
        assert.equal("", flow.comment)
        assert.same({}, flow.metadata)
        assert.is_true(math.abs(flow.timestamp_created - os.time()) < 100)
    end)

    it("refuses what is no part of it", function()
        raises("DNSFlow has no property 'answers'", dns.DNSFlow, { answers = {} })
        raises("table expected, got 7", dns.DNSFlow, 7)
        raises("DNSFlow.request: DNSMessage expected, got 'x'", dns.DNSFlow, { request = "x" })
        raises("DNSFlow.request: DNSMessage expected, got nil", dns.DNSFlow)
        raises("DNSFlow.request: DNSMessage expected, got nil", function() dns.DNSFlow {} end)
        raises("DNSFlow.request: DNSMessage expected, got nil", function() answered().request = nil end)
        raises("DNSFlow has no property 'reponse' %(did you mean 'response'%?%)", function() return answered().reponse end)
        raises("DNSFlow has no property 'reponse'", function() answered().reponse = nil end)
        raises("DNSFlow.id: cannot be set", function() answered().id = "x" end)
    end)

    it("has an id of its own", function()
        local seen = {}
        for _ = 1, 100 do
            local id = answered().id
            assert.is_nil(seen[id])
            seen[id] = true
        end
        local flow = answered()
        assert.equal(flow.id, flow.id)
    end)

    it("takes a message, or nil for no response", function()
        local flow = answered()
        local other = flow.request:fail("NXDOMAIN")
        flow.response = other
        assert.is_true(rawequal(other, flow.response))
        flow.response = nil
        assert.is_nil(flow.response)
        raises("DNSFlow.response: DNSMessage expected, got 7", function() flow.response = 7 end)
        raises("DNSFlow.request: DNSMessage expected, got nil", function() flow.request = nil end)
        assert.is_nil(flow.response)
    end)

    it("makes an error of text", function()
        local flow = answered()
        flow.error = "no luck"
        assert.equal("Error", dns.typeof(flow.error))
        assert.equal("no luck", flow.error.msg)
        assert.equal("no luck", tostring(flow.error))
        assert.is_true(math.abs(flow.error.timestamp - os.time()) < 100)
        assert.is_true(rawequal(flow.error, flow.error))
        local other = answered()
        other.error = flow.error
        assert.equal("no luck", other.error.msg)
        flow.error = nil
        assert.is_nil(flow.error)
        raises("DNSFlow.error: text, Error or nil expected, got 7", function() flow.error = 7 end)
    end)

    it("keeps notes", function()
        local flow = answered()
        flow.marked, flow.comment = ":red_circle:", "look at this"
        flow.metadata.tries = 3
        assert.equal(":red_circle:", flow.marked)
        assert.equal("look at this", flow.comment)
        assert.equal(3, flow.metadata.tries)
        flow.metadata = { other = true }
        assert.same({ other = true }, flow.metadata)
        raises("DNSFlow.marked: string expected, got true", function() flow.marked = true end)
        raises("DNSFlow.comment: string expected, got nil", function() flow.comment = nil end)
        raises("DNSFlow.metadata: table expected, got nil", function() flow.metadata = nil end)
    end)

    it("is not the proxy's: it can be neither killed nor held", function()
        local flow = answered()
        raises("DNSFlow.kill: the flow is not live", flow.kill, flow)
        raises("DNSFlow.intercept: the flow is not live", flow.intercept, flow)
        flow:resume()
        assert.is_nil(flow.error)
    end)

    it("says how its methods are called", function()
        raises("DNSFlow.copy: DNSFlow expected as self", answered().copy)
        raises("DNSFlow.kill: DNSFlow expected as self", answered().kill, {})
    end)

    it("prints its question", function()
        assert.equal("DNSFlow example.com", tostring(answered()))
        assert.equal("DNSFlow", tostring(dns.DNSFlow { request = dns.DNSMessage {} }))
    end)
end)

describe("a copy of a DNSFlow", function()
    it("is deep, with an id of its own", function()
        local flow = answered()
        flow.metadata.list = { 1, 2 }
        flow.metadata.self = flow.metadata
        flow.marked, flow.comment, flow.error = "m", "c", "e"
        local copy = flow:copy()
        assert.are_not.equal(flow.id, copy.id)
        assert.is_false(copy.live)
        assert.equal(flow.request, copy.request)
        assert.equal(flow.request.id, copy.request.id)
        assert.equal(flow.response, copy.response)
        assert.is_false(rawequal(flow.response, copy.response))
        assert.equal("m", copy.marked)
        assert.equal("c", copy.comment)
        assert.equal("e", copy.error.msg)
        assert.equal(flow.timestamp_created, copy.timestamp_created)
        assert.is_true(rawequal(copy.metadata, copy.metadata.self))
        copy.metadata.list[1] = 7
        copy.response.answers[1].ttl = 7
        copy.request.id = (flow.request.id + 1) % 65536
        assert.same({ 1, 2 }, flow.metadata.list)
        assert.equal(60, flow.response.answers[1].ttl)
        assert.are_not.equal(flow.request.id, copy.request.id)
    end)

    it("copies the objects in its metadata", function()
        local flow = answered()
        local rr, q = dns.ResourceRecord.MX("a", 10, "b"), dns.Question("Q.example", "AAAA")
        local https = dns.HTTPSRecord(1, ".", { port = 443 })
        local m = dns.DNSMessage { questions = { q }, answers = { rr }, timestamp = 7 }
        flow.metadata = { rr, rr, q = q, m = m, https = https, flow = flow, [rr] = "key" }
        local copy = flow:copy().metadata
        for _, key in ipairs { 1, 2, "q", "m", "https" } do
            assert.equal(flow.metadata[key], copy[key])
            assert.is_false(rawequal(flow.metadata[key], copy[key]), key)
        end
        assert.is_true(rawequal(copy[1], copy[2]))
        assert.is_true(rawequal(flow, copy.flow))
        assert.equal("key", copy[rr])
        assert.equal(m.id, copy.m.id)
        assert.equal(7, copy.m.timestamp)
        assert.equal("Q.example", copy.q.original_name)
        rr.ttl, q.name, https.priority, m.answers = 1, "x", 2, {}
        https.params[3] = nil
        assert.equal(60, copy[1].ttl)
        assert.equal("q.example", copy.q.name)
        assert.equal(1, copy.https.priority)
        assert.equal("\1\187", copy.https.params[3])
        assert.equal(1, #copy.m.answers)
    end)

    it("says what cannot be copied", function()
        local flow = answered()
        flow.response.answers = { "x" }
        raises("DNSFlow.copy: answers%[1%]: ResourceRecord expected, got string", flow.copy, flow)
    end)
end)

describe("a backup of a DNSFlow", function()
    it("is what revert goes back to", function()
        local flow = answered()
        assert.is_false(flow:modified())
        flow:backup()
        assert.is_false(flow:modified())
        flow.response.answers[1].ttl = 9
        flow.marked = "m"
        flow.metadata.x = { y = 1 }
        assert.is_true(flow:modified())
        flow:backup() -- keeps the first
        flow:revert()
        assert.equal(60, flow.response.answers[1].ttl)
        assert.equal("", flow.marked)
        assert.same({}, flow.metadata)
        assert.is_false(flow:modified())
        flow.marked = "n"
        assert.is_false(flow:modified()) -- the backup is used up
        flow:revert()
        assert.equal("n", flow.marked)
    end)

    it("notices every kind of change", function()
        local changes = {
            function(flow) flow.request.id = (flow.request.id + 1) % 65536 end,
            function(flow) flow.response = nil end,
            function(flow) flow.response.authoritative_answer = true end,
            function(flow) flow.error = "e" end,
            function(flow) flow.comment = "c" end,
            function(flow) flow.metadata.deep.list[2] = 3 end,
            function(flow) flow.metadata.deep = nil end,
            function(flow) flow.metadata.deep.rr.ttl = 61 end,
            function(flow) flow.metadata.deep.m.questions[1].name = "x" end,
        }
        local function deep()
            local t = { list = { 1, 2 }, rr = dns.ResourceRecord.A("a", "192.0.2.1"),
                m = dns.DNSMessage.make_query("q", "A") }
            t.self = t
            return t
        end
        for i, change in ipairs(changes) do
            local flow = answered()
            flow.metadata.deep = deep()
            flow:backup()
            assert.is_false(flow:modified(), "before change " .. i)
            change(flow)
            assert.is_true(flow:modified(), "change " .. i)
            flow:revert()
            assert.is_nil(flow.error)
            assert.equal("192.0.2.1", flow.response.answers[1].ipv4_address)
            assert.equal(60, flow.metadata.deep.rr.ttl)
            assert.equal("q", flow.metadata.deep.m.question.name)
            assert.same({ 1, 2 }, flow.metadata.deep.list)
        end
    end)
end)

describe("a DNSFlow as JSON", function()
    it("has all of it", function()
        local flow = answered()
        flow.marked, flow.comment, flow.error = "m", "c", "e"
        flow.metadata.tag = "t"
        local json = flow:to_json()
        assert.equal("dns", json.type)
        assert.equal(flow.id, json.id)
        assert.equal("example.com", json.request.questions[1].name)
        assert.equal("192.0.2.1", json.response.answers[1].data)
        assert.equal("e", json.error.msg)
        assert.equal("t", json.metadata.tag)
        assert.is_nil(json.client_conn)
        assert.equal("m", json.marked)
    end)

    it("comes back the same", function()
        local flow = answered()
        flow.comment, flow.error = "c", "e"
        flow.metadata.list = dns.json.array { 1, 2 }
        local back = dns.DNSFlow.from_json(flow:to_json())
        assert.equal(flow.id, back.id)
        assert.equal(flow.request, back.request)
        assert.equal(flow.response, back.response)
        assert.equal(flow.error, back.error)
        assert.equal("c", back.comment)
        assert.equal(dns.json.encode(flow), dns.json.encode(back))
        back = dns.DNSFlow.from_json(dns.json.decode(dns.json.encode(flow)))
        assert.equal(dns.json.encode(flow), dns.json.encode(back))
    end)

    it("brings connections along", function()
        local json = answered():to_json()
        json.client_conn = { address = "2001:db8::1", port = 4000, transport = "tcp", timestamp_start = 1.5 }
        json.server_conn = { address = "192.0.2.53", port = 53, transport = "udp", timestamp_start = 2 }
        local flow = dns.DNSFlow.from_json(json)
        assert.equal("Connection", dns.typeof(flow.client_conn))
        assert.equal("2001:db8::1", flow.client_conn.address)
        assert.equal(4000, flow.client_conn.port)
        assert.same({ "2001:db8::1", 4000 }, flow.client_conn.peername)
        assert.equal("tcp", flow.client_conn.transport)
        assert.equal(1.5, flow.client_conn.timestamp_start)
        assert.is_nil(flow.client_conn.tls)
        assert.equal("[2001:db8::1]:4000 (tcp)", tostring(flow.client_conn))
        assert.equal("192.0.2.53", flow.server_conn.address)
        assert.is_true(rawequal(flow.client_conn, flow.client_conn))
        assert.equal(flow.client_conn, flow:copy().client_conn)
        assert.are_not.equal(flow.client_conn, flow.server_conn)
        raises("only a flow's server_conn", function() flow.client_conn.address = "192.0.2.1" end)
        raises("only dns_request can send a query elsewhere", function() flow.server_conn.address = "192.0.2.1" end)
        raises("Connection.port: cannot be set", function() flow.server_conn.port = 1 end)
        raises("Connection has no property 'adress' %(did you mean 'address'%?%)", function()
            return flow.client_conn.adress
        end)
    end)

    it("says what is wrong with it", function()
        raises("DNSFlow.from_json: table expected, got nil", dns.DNSFlow.from_json)
        raises("DNSFlow.request: DNSMessage expected, got nil", dns.DNSFlow.from_json, {})
        raises("DNSFlow.request: DNSMessage expected, got nil", dns.DNSFlow.from_json, { request = dns.json.null })
        raises("DNSFlow.marked: string expected, got 7", dns.DNSFlow.from_json, { marked = 7 })
        raises("DNSFlow.client_conn: .*expected, got 'q'", dns.DNSFlow.from_json, { client_conn = { transport = "q" } })
        raises("DNSFlow.client_conn: address text expected, got 'q'", dns.DNSFlow.from_json, { client_conn = { address = "q" } })
        raises("requests", function() dns.DNSFlow.from_json { requests = 1 } end)
        local flow = answered()
        flow.metadata.f = print
        raises("DNSFlow.to_json: metadata: ", flow.to_json, flow)
    end)
end)

describe("DNSFlow and the collector", function()
    it("keeps what it holds, and no more", function()
        local kept = {}
        for i = 1, 200 do
            local flow = answered()
            flow.metadata.i = i
            flow.comment = "flow " .. i
            flow:backup()
            kept[i] = flow
            if i % 20 == 0 then collectgarbage() end
        end
        collectgarbage()
        for i, flow in ipairs(kept) do
            assert.equal(i, flow.metadata.i)
            assert.equal("flow " .. i, flow.comment)
            assert.equal("192.0.2.1", flow.response.answers[1].ipv4_address)
        end
        local weak = setmetatable({ answered() }, { __mode = "v" })
        collectgarbage()
        collectgarbage()
        assert.is_nil(weak[1])
    end)
end)
