-- Memory that clients and upstreams could fill: each part has a limit, and who stays within it is served.
local files = require "spec.support.files"
local metrics = require "spec.support.metrics"
local net = require "spec.support.net"
local proxy = require "spec.support.proxy"
local scope = require "spec.support.scope"
local wait = require "spec.support.wait"
local wire = require "spec.support.wire"

local MEBIBYTE = 1024 * 1024
local SERVFAIL, NOERROR = wire.rcodes.SERVFAIL, wire.rcodes.NOERROR

-- Freed memory is given out again, not kept to find who uses it still: else resident memory says nothing.
local FRUGAL = { ASAN_OPTIONS = (os.getenv "ASAN_OPTIONS" or "") .. ":quarantine_size_mb=1:thread_local_quarantine_size_kb=64" }

local function resident_bytes(moondns)
    return tonumber(files.read("/proc/" .. moondns.pid .. "/status"):match "VmRSS:%s+(%d+)") * 1024
end

local function metric(moondns, name)
    local body = metrics.request(metrics.base(moondns) .. "/metrics").body
    return tonumber(body:match("\n" .. name:gsub("%p", "%%%0") .. " (%S+)"))
end

-- A frame with a query of about 60,000 bytes.
local LONG_OPTION = wire.u16(65001) .. wire.u16(60000) .. ("x"):rep(60000)
local function long_frame(id)
    local bytes = wire.query("long" .. id .. ".example", "A", { id = id, edns = { data = LONG_OPTION } })
    return wire.u16(#bytes) .. bytes
end

-- Has it stop; the end of the test, which has it stop for the second time, then does not wait for what is in flight.
local function stop(moondns)
    moondns:signal "TERM"
    wait.eventually(function()
        return not pcall(net.tcp, moondns.port)
    end, "the listeners to close")
end

describe("--flows-memory", function()
    scope.manage()

    it("2,500 queries of 60 KB that no upstream answers: memory stays within it, other queries are answered", function()
        local server = net.server()
        local moondns = proxy.start { upstream = server, environment = FRUGAL,
            args = { "--flows-memory", "16", "--timeout", "30", "--metrics", "0" } }
        local client = moondns:udp()
        local function answered(id)
            client:send(wire.query("short.example", "A", { id = id }))
            repeat
                local bytes, reply = assert(server:receive())
                if #bytes < 1000 then
                    reply(wire.answer(bytes, {}))
                end
            until #bytes < 1000
            return wire.parse(assert(client:receive())).rcode
        end
        assert.equal(NOERROR, answered(1))
        local before = resident_bytes(moondns)
        local taken = 16 * MEBIBYTE / 65536 -- each in a room of 64 KiB
        local streams = {}
        for i = 1, 10 do
            streams[i] = moondns:tcp()
            for id = 1, 250 do
                assert(streams[i]:write(long_frame(id)))
            end
        end
        local refused
        wait.eventually(function()
            refused = metric(moondns, 'moondns_refused_total{reason="memory"}')
            return refused >= 2500 - taken
        end, "queries to be refused")
        assert.equal(2500 - taken, refused)
        assert.is_true(resident_bytes(moondns) - before < 32 * MEBIBYTE)
        assert.equal(taken * 65536, math.floor(metric(moondns, "moondns_flows_memory_bytes") / 65536) * 65536)
        assert.equal(NOERROR, answered(2))
        local answer = wire.parse(assert(streams[10]:receive()))
        assert.equal(SERVFAIL, answer.rcode)
        assert.truthy(answer.opt.data:find("queries in flight take too much memory", 1, true))
        stop(moondns)
    end)

    it("counts answers that hooks take their time with; what was held goes on", function()
        local server = net.server()
        local moondns = proxy.start { upstream = server, args = { "--flows-memory", "1", "--timeout", "15", "--metrics", "0" }, code = [[
            local go = false
            function dns_response(flow)
                if flow.request.question.name == "go.example" then go = true end
                while not go do sleep(0.01) end
            end]] }
        local long = { wire.record("long.example", "TXT", ("\255" .. ("x"):rep(255)):rep(200)) }
        local stream = moondns:tcp()
        for id = 1, 30 do
            stream:send(wire.query("long.example", "TXT", { id = id }))
        end
        for _ = 1, 30 do
            local bytes, reply = server:receive()
            reply(wire.answer(assert(bytes), long))
        end
        -- A quarter beyond the limit is for such: 20 rooms of 64 KiB.
        for _ = 1, 10 do
            assert.equal(SERVFAIL, wire.parse(assert(stream:receive())).rcode)
        end
        assert.equal(10, metric(moondns, 'moondns_refused_total{reason="memory"}'))
        moondns:udp():send(wire.query("go.example", "A"))
        local bytes, reply = server:receive()
        reply(wire.answer(assert(bytes), {}))
        for _ = 1, 20 do
            assert.equal(NOERROR, wire.parse(assert(stream:receive())).rcode)
        end
        wait.eventually(function()
            return metric(moondns, "moondns_flows_memory_bytes") == 0
        end, "nothing to wait")
    end)
end)

describe("--tcp-memory", function()
    scope.manage()

    it("counts queries that clients half send: the largest are closed, others are served", function()
        local moondns = proxy.start { code = proxy.ANSWER, args = { "--tcp-memory", "1", "--tcp-idle-timeout", "60", "--metrics", "0" } }
        local halves, half = {}, long_frame(1):sub(1, 50000)
        for i = 1, 40 do
            halves[i] = moondns:tcp()
            assert(halves[i]:write(half))
        end
        wait.eventually(function()
            return metric(moondns, 'moondns_tcp_connection_events_total{event="evicted"}') >= 40 - MEBIBYTE / 65536
        end, "connections to be closed")
        assert(moondns:tcp():ask(wire.query("a.example", "A")))
        assert.is_true(metric(moondns, "moondns_tcp_connections") >= 10)
    end)

    it("an upstream that takes no queries is left some, and what others wait for comes", function()
        local server, other = net.server(), net.server()
        local moondns = proxy.start { upstream = { "tcp://127.0.0.1:" .. server.port, "[/other.example/]127.0.0.1:" .. other.port },
            args = { "--tcp-memory", "1", "--timeout", "15", "--metrics", "0" }, environment = FRUGAL }
        local before = resident_bytes(moondns)
        local stream = moondns:tcp()
        for id = 1, 250 do
            assert(stream:write(long_frame(id)))
        end
        -- What the kernel took and what may wait are in flight; all others are told at once.
        local answer = wire.parse(assert(stream:receive()))
        assert.equal(SERVFAIL, answer.rcode)
        assert.truthy(answer.opt.data:find("the server takes no more queries", 1, true))
        assert.is_true(resident_bytes(moondns) - before < 40 * MEBIBYTE)
        local client = moondns:udp()
        client:send(wire.query("a.other.example", "A"))
        local bytes, reply = other:receive()
        reply(wire.answer(assert(bytes), {}))
        assert.equal(NOERROR, wire.parse(assert(client:receive())).rcode)
        stop(moondns)
    end)
end)
