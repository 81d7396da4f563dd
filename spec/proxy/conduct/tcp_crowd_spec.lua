-- Thousands of TCP connections that say nothing, or half of something: everybody else is served.
local resource = require "posix.sys.resource"
local socket = require "socket"
local proxy = require "spec.support.proxy"
local scope = require "spec.support.scope"
local wait = require "spec.support.wait"
local wire = require "spec.support.wire"

local MOST, ADDRESSES, SPARE = 10000, 20, 500 -- so many a client's address, as one may have 1,000
local RLIMIT_NOFILE = resource.RLIMIT_NOFILE

local ANSWER = [[function dns_request(flow) flow.response = flow.request:succeed {} end]]

describe("a crowd of TCP connections", function()
    scope.manage()

    -- As many as this process may open.
    local function count()
        local limit = resource.getrlimit(RLIMIT_NOFILE).rlim_cur
        return math.min(MOST, limit - SPARE)
    end

    local function connect(port, number)
        local client = socket.tcp4()
        client:settimeout(wait.PATIENCE_SECONDS)
        assert(client:bind("127.0.0." .. 1 + number % ADDRESSES, 0))
        assert(client:connect("127.0.0.1", port))
        scope.on_end(function()
            client:close()
        end)
        return client
    end

    local function assert_serves(moondns)
        for _, transport in ipairs { "udp", "tcp" } do
            local started = wait.now()
            local client = moondns[transport](moondns)
            assert.equal(0, wire.parse(assert(client:ask(wire.query("a.example", "A")))).rcode)
            assert.is_true(wait.now() - started < 4, transport .. " took " .. wait.now() - started .. " s")
        end
    end

    for what, bytes in pairs { idle = "", ["half-sent"] = wire.u16(100) .. "half" } do
        it(what .. ": UDP and new connections are served before any of it times out, and it ends", function()
            local moondns = proxy.start { code = ANSWER }
            local crowd = {}
            for i = 1, count() do
                crowd[i] = connect(moondns.port, i)
                crowd[i]:send(bytes)
                if i % 1000 == 0 then
                    assert_serves(moondns)
                end
            end
            assert_serves(moondns)
            if bytes ~= "" then -- half-sent ones are closed within 10 s of their beginning
                local last = crowd[#crowd]
                last:settimeout(10)
                local got, problem = last:receive(1)
                assert.same({ nil, "closed" }, { got, problem })
            end
        end)
    end
end)
