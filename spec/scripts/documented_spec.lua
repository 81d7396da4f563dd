-- The addons of mitmproxy.dns's documentation as different readers of docs/api.md would write them: globals or tables,
-- numbers or names, records made, changed or replaced.
local dig = require "spec.support.dig"
local proxy = require "spec.support.proxy"
local scope = require "spec.support.scope"
local upstream = require "spec.support.upstream"

local SPOOF = {
    ["a factory and a number for the TTL"] = [[
        function dns_request(flow)
            if flow.request.question.name == "example.com" then
                flow.response = flow.request:succeed{dns.ResourceRecord.A("example.com", "127.0.0.1", 300)}
            end
        end]],
    ["a factory and options"] = [[
        local dns = require "dns"
        function dns_request(flow)
            local q = flow.request.question
            if q.type == dns.types.A and q.name == "example.com" then
                flow.response = flow.request:succeed({dns.ResourceRecord.A(q.name, "127.0.0.1", {ttl = 300})})
            end
        end]],
    ["the constructor and a table of hooks"] = [[
        local Spoof = {}
        Spoof.target = "example.com"
        function Spoof:dns_request(flow)
            local q = flow.request.question
            if q and q.name == self.target and dns.types.to_str(q.type) == "A" then
                local record = dns.ResourceRecord(q.name, "a", "IN", 300, "\127\0\0\1")
                flow.response = flow.request:succeed {record}
            end
        end
        return Spoof]],
    ["a whole message"] = [[
        return { { dns_request = function(self, flow)
            local m = flow.request
            if m.questions[1].name ~= "example.com" then return end
            flow.response = dns.DNSMessage {
                id = m.id, query = false, recursion_desired = m.recursion_desired, recursion_available = true,
                questions = m.questions, answers = {dns.ResourceRecord.from_text("example.com. 300 IN A 127.0.0.1")},
            }
        end } }]],
}

local BLOCK = {
    ["a name"] = [[
        function dns_request(flow)
            if flow.request.question.name:match "malware" then
                flow.response = flow.request:fail("NXDOMAIN")
            end
        end]],
    ["a number"] = [[
        function dns_request(flow)
            for _, q in ipairs(flow.request.questions) do
                if string.find(q.name, "malware") then
                    flow.response = flow.request:fail(dns.response_codes.NXDOMAIN)
                end
            end
        end]],
}

local LOG = {
    ["log.info"] = [[
        function dns_request(flow)
            log.info("DNS query: %s %s", flow.request.question.name, dns.types.to_str(flow.request.question.type))
        end
        function dns_response(flow)
            for _, rr in ipairs(flow.response.answers) do
                if rr.ipv4_address then log.info("DNS answer: " .. rr.ipv4_address) end
            end
        end]],
    ["print and tostring"] = [[
        local addon = {}
        function addon:dns_request(flow)
            local json = flow.request.question:to_json()
            print("DNS query:", tostring(flow.request.question), json.type)
        end
        function addon.dns_response(_, flow)
            for i = 1, #flow.response.answers do
                print("DNS answer:", flow.response.answers[i])
            end
        end
        return addon]],
}

local REWRITE = {
    ["a property"] = [[
        function dns_response(flow)
            for _, rr in ipairs(flow.response.answers) do
                if rr.type == dns.types.A then rr.ipv4_address = "127.0.0.1" end
            end
        end]],
    ["the data's bytes"] = [[
        function dns_response(flow)
            for _, rr in pairs(flow.response.answers) do
                if rr.type == 1 then rr.data = string.char(127, 0, 0, 1) end
            end
        end]],
    ["rdata"] = [[
        function dns_response(flow)
            for _, rr in ipairs(flow.response.answers) do
                if rr.ipv4_address then rr.rdata = {address = "127.0.0.1"} end
            end
        end]],
    ["other records in the same places"] = [[
        function dns_response(flow)
            local answers = flow.response.answers
            for i, rr in ipairs(answers) do
                if rr.type == dns.types.A then
                    answers[i] = dns.ResourceRecord.A(rr.name, "127.0.0.1", rr.ttl)
                end
            end
        end]],
}

local IPV6 = {
    ["a factory"] = [[
        function dns_request(flow)
            local q = flow.request.question
            if q.type == dns.types.AAAA and q.name == "example.com" then
                flow.response = flow.request:succeed{dns.ResourceRecord.AAAA("example.com", "::1")}
            end
        end]],
    ["a property of a new record"] = [[
        function dns_request(flow)
            local q = flow.request.question
            if q.type == dns.types.from_str("aaaa") and dns.name.is_subdomain(q.name, "example.com") then
                local rr = dns.ResourceRecord(q.name, dns.types.AAAA, dns.classes.IN, 60, ("\0"):rep(16))
                rr.ipv6_address = "::1"
                local response = flow.request:succeed {}
                table.insert(response.answers, rr)
                flow.response = response
            end
        end]],
}

describe("a documented addon", function()
    scope.manage()
    local knot

    setup(function()
        knot = upstream.knot()
    end)

    local function each(addons, what, check)
        for how, code in pairs(addons) do
            it(what .. ", by " .. how, function()
                local moondns = proxy.start { code = code, upstream = knot }
                for _, transport in ipairs { " +notcp", " +tcp" } do
                    check(moondns, transport)
                end
                assert.is_nil(moondns:err():match "traceback", moondns:err())
            end)
        end
    end

    each(SPOOF, "spoofs example.com", function(moondns, transport)
        local answer = moondns:dig("eXaMpLe.CoM" .. transport)
        assert.equal("NOERROR", answer.rcode)
        assert.equal("eXaMpLe.CoM.", answer.question.name)
        assert.same({ "127.0.0.1" }, dig.data(answer))
        assert.equal(300, answer.answers[1].ttl)
        assert.same({ "192.0.2.25" }, dig.data(moondns:dig("mail.example.com" .. transport)))
    end)

    each(BLOCK, "blocks malware", function(moondns, transport)
        local answer = moondns:dig("MALware.eXaMpLe.CoM" .. transport)
        assert.equal("NXDOMAIN", answer.rcode)
        assert.equal("MALware.eXaMpLe.CoM.", answer.question.name)
        assert.same({ "192.0.2.1" }, dig.data(moondns:dig("eXaMpLe.CoM" .. transport)))
    end)

    each(LOG, "logs", function(moondns, transport)
        assert.equal("eXaMpLe.CoM.", moondns:dig("eXaMpLe.CoM" .. transport).question.name)
        moondns:wait_output "DNS query:%s+example%.com%s+A\n"
        moondns:wait_output "DNS answer:%s+192%.0%.2%.1\n"
    end)

    each(REWRITE, "rewrites A answers", function(moondns, transport)
        local answer = moondns:dig("mAnY.eXaMpLe.CoM" .. transport)
        assert.equal("mAnY.eXaMpLe.CoM.", answer.question.name)
        assert.same({ "127.0.0.1", "127.0.0.1", "127.0.0.1" }, dig.data(answer))
        assert.same({ "2001:db8::1" }, dig.data(moondns:dig("eXaMpLe.CoM AAAA" .. transport)))
    end)

    each(IPV6, "answers AAAA", function(moondns, transport)
        local answer = moondns:dig("eXaMpLe.CoM AAAA" .. transport)
        assert.equal("eXaMpLe.CoM.", answer.question.name)
        assert.same({ "::1" }, dig.data(answer))
        assert.same({ "192.0.2.1" }, dig.data(moondns:dig("eXaMpLe.CoM A" .. transport)))
    end)
end)
