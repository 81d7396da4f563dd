-- Forwarding loops end by themselves, and many clients of one machine that ask the same are none.
local metrics = require "spec.support.metrics"
local net = require "spec.support.net"
local ports = require "spec.support.ports"
local proxy = require "spec.support.proxy"
local scope = require "spec.support.scope"
local wait = require "spec.support.wait"
local wire = require "spec.support.wire"

local MOST = 100000 -- queries of each proxy, all tries counted: 2,000 and what is asked again; a loop that goes on makes as many a second

local function settled(moondns)
    return metrics.scrape(moondns)["moondns_flows_in_flight"] == 0
end

describe("a forwarding loop", function()
    scope.manage()

    it("of two proxies ends by itself, and others are served", function()
        local port = ports.free()
        local args = { "--metrics", "0", "--flow-detail", "0" }
        local there = proxy.start { upstream = port, args = args }
        local here = proxy.start { upstream = there, port = port, args = args }
        assert.equal("SERVFAIL", here:dig("x.example +tries=1 +timeout=20").rcode)
        for _, moondns in ipairs { here, there } do
            wait.eventually(function() return settled(moondns) end, "all flows to end")
            assert.is_true(metrics.scrape(moondns)["moondns_upstream_queries_total"] < MOST)
        end
        assert.is_true(metrics.scrape(here)['moondns_refused_total{reason="loop"}']
            + metrics.scrape(there)['moondns_refused_total{reason="loop"}'] > 0)
    end)

    it("is not what clients of the upstream's machine make, who ask the same at one time", function()
        local server = net.server()
        local moondns = proxy.start { upstream = server, args = { "--flow-detail", "0" } }
        local clients = {}
        for i = 1, 50 do
            clients[i] = moondns:udp()
            clients[i]:send(wire.query("same.example", "A"))
        end
        local answers = {}
        for i = 1, #clients do
            local query, answer = server:receive()
            answers[i] = function() answer(wire.answer(query, { wire.record("same.example", "A", wire.ipv4 "192.0.2.1") })) end
        end
        for i = 1, #clients do
            answers[i]()
        end
        for i = 1, #clients do
            assert.equal(0, wire.parse(assert(clients[i]:receive())).rcode)
        end
    end)
end)
