-- Upstreams that die and come back, and the policies that choose among several. The upstreams are proxies of the same
-- binary whose scripts answer; one that is stopped (SIGSTOP) takes queries and never answers, one that has ended refuses.
local signal = require "posix.signal"
local dig = require "spec.support.dig"
local net = require "spec.support.net"
local ports = require "spec.support.ports"
local proxy = require "spec.support.proxy"
local scope = require "spec.support.scope"
local wait = require "spec.support.wait"
local wire = require "spec.support.wire"

local SERVFAIL, REFUSED = wire.rcodes.SERVFAIL, wire.rcodes.REFUSED
local TIMEOUT_SECONDS = 0.4

-- An upstream that answers every A question with this address, after so many seconds, or with a code.
local function upstream(address, seconds, options)
    options = options or {}
    options.code = ([[
        function dns_request(flow)
            local seconds, address = %f, %q
            if seconds > 0 then sleep(seconds) end
            if address == "" or flow.request.question.type ~= dns.types.A then
                flow.response = flow.request:fail("REFUSED")
            else
                flow.response = flow.request:succeed{dns.ResourceRecord.A(flow.request.question.name, address)}
            end
        end]]):format(seconds or 0, address)
    options.args = { "--flow-detail", "0", "--no-reload" }
    return proxy.start(options)
end

-- The address that a query gets; else its code.
local count = 0
local function asked(moondns, name)
    count = count + 1
    local answer = wire.parse(assert(moondns:udp():ask(wire.query(name or "n" .. count .. ".example", "A", { id = count }))))
    local record = answer.answers[1]
    return record and ("%d.%d.%d.%d"):format(record.data:byte(1, 4)) or answer.rcode
end

local function stop(process)
    signal.kill(process.pid, signal.SIGSTOP)
end

local function go_on(process)
    signal.kill(process.pid, signal.SIGCONT)
end

-- Asks until the log says that the upstream is down.
local function ask_until_down(moondns)
    wait.eventually(function()
        asked(moondns)
        return moondns:err():find "is down"
    end, "the log to say that an upstream is down")
end

local function occurrences(text, what)
    return select(2, text:gsub(what, ""))
end

local function ask_many(moondns, times)
    local counts = {}
    for _ = 1, times do
        local got = asked(moondns)
        counts[got] = (counts[got] or 0) + 1
    end
    return counts
end

local function start(upstreams, ...)
    return proxy.start { upstream = upstreams, args = { "--timeout", TIMEOUT_SECONDS, "--retries", "1", ... } }
end

describe("an upstream that dies", function()
    scope.manage()

    it("is asked once for each query when it is down and alone", function()
        local server = net.server()
        local moondns = proxy.start { upstream = server, args = { "--timeout", "0.3", "--retries", "2", "--flow-detail", "0" } }
        ask_until_down(moondns)
        local seen = 0
        while server:receive(0.5) do end
        assert.equal(SERVFAIL, asked(moondns, "once.example"))
        for bytes in function() return (server:receive(0.5)) end do
            seen = seen + (wire.parse(bytes).questions[1].name:lower() == "once.example" and 1 or 0)
        end
        assert.equal(1, seen)
    end)


    -- Both ways of being dead, over both transports.
    for _, scheme in ipairs { "", "tcp://" } do
        it((scheme == "" and "over UDP" or "over TCP") .. " rests, the next one serves without delay, and it is back within seconds", function()
            local first, second = upstream "192.0.2.1", upstream "192.0.2.2"
            local moondns = start { scheme .. "127.0.0.1:" .. first.port, scheme .. "127.0.0.1:" .. second.port }
            assert.equal("192.0.2.1", asked(moondns))
            stop(first)
            assert.equal("192.0.2.2", asked(moondns)) -- by the retry
            ask_until_down(moondns)
            local began = wait.now()
            assert.same({ ["192.0.2.2"] = 20 }, ask_many(moondns, 20))
            assert.is_true(wait.now() - began < 20 * TIMEOUT_SECONDS / 2, "clients wait for the dead one")
            go_on(first)
            wait.eventually(function()
                return asked(moondns) == "192.0.2.1"
            end, "the first upstream to be asked again", 8)
            assert.equal(1, occurrences(moondns:err(), "is down"), moondns:err())
            assert.equal(1, occurrences(moondns:err(), "%d answers again"), moondns:err())
            assert.truthy(moondns:err():find("upstream " .. scheme .. "127.0.0.1:" .. first.port .. " is down (time-out, 3 times in a row); "
                .. "the others serve until it answers again", 1, true), moondns:err())
        end)
    end

    it("by refusing rests as well, and is back when it is started again", function()
        local port, second = ports.free(), upstream "192.0.2.2"
        local moondns = start { port, second }
        assert.equal("192.0.2.2", asked(moondns))
        ask_until_down(moondns)
        assert.truthy(moondns:err():find "connection refused")
        upstream("192.0.2.1", 0, { port = port })
        wait.eventually(function()
            return asked(moondns) == "192.0.2.1"
        end, "the first upstream to be asked again", 8)
    end)

    it("is asked all the same when it is the only one, and its first answer brings it back", function()
        local only = upstream "192.0.2.1"
        local moondns = start { only }
        stop(only)
        ask_until_down(moondns)
        assert.truthy(moondns:err():find "it is asked all the same until it answers again")
        assert.equal(SERVFAIL, asked(moondns))
        go_on(only)
        assert.equal("192.0.2.1", asked(moondns))
        moondns:wait_output("%d answers again", "err")
    end)

    it("takes nobody with it: other domains' upstreams are not touched", function()
        local corp, all = upstream "192.0.2.1", upstream "192.0.2.2"
        local moondns = start { "[/corp.example/]127.0.0.1:" .. corp.port, all }
        stop(corp)
        wait.eventually(function()
            assert.equal(SERVFAIL, asked(moondns, "www.corp.example"))
            return moondns:err():find "is down"
        end)
        assert.truthy(moondns:err():find("[/corp.example/]127.0.0.1:" .. corp.port .. " is down", 1, true))
        assert.same({ ["192.0.2.2"] = 5 }, ask_many(moondns, 5))
        go_on(corp)
        assert.equal("192.0.2.1", asked(moondns, "www.corp.example"))
    end)
end)

describe("--upstream-policy", function()
    scope.manage()

    it("first asks the first", function()
        local moondns = start { upstream "192.0.2.1", upstream "192.0.2.2" }
        assert.same({ ["192.0.2.1"] = 10 }, ask_many(moondns, 10))
    end)

    it("round-robin asks one after the other, and leaves out those that are down", function()
        local first, second = upstream "192.0.2.1", upstream "192.0.2.2"
        local moondns = proxy.start { upstream = { first, second },
            args = { "--upstream-policy", "round-robin", "--timeout", TIMEOUT_SECONDS, "--retries", "1" } }
        assert.same({ ["192.0.2.1"] = 5, ["192.0.2.2"] = 5 }, ask_many(moondns, 10))
        stop(second)
        assert.same({ ["192.0.2.1"] = 2 }, ask_many(moondns, 2)) -- a retry goes to the other one
        ask_until_down(moondns)
        assert.same({ ["192.0.2.1"] = 10 }, ask_many(moondns, 10))
        go_on(second)
    end)

    it("fastest finds the one that is, and another one when that changes", function()
        local slow, quick = upstream("192.0.2.1", 0.2), upstream "192.0.2.2"
        local moondns = proxy.start { upstream = { slow, quick }, args = { "--upstream-policy", "fastest", "--timeout", "2" } }
        assert.same({ ["192.0.2.2"] = 20 }, ask_many(moondns, 20))
        stop(quick)
        assert.equal("192.0.2.1", asked(moondns))
        go_on(quick)
    end)

    it("fastest does not prefer who is quick to refuse, while another one answers", function()
        local refusing, good = upstream "", upstream("192.0.2.2", 0.03)
        local moondns = proxy.start { upstream = { refusing, good }, args = { "--upstream-policy", "fastest", "--timeout", "2" } }
        assert.same({ ["192.0.2.2"] = 20 }, ask_many(moondns, 20))
        assert.equal(0, good:stop())
        assert.equal(REFUSED, asked(moondns))
    end)

    it("all asks all at once: the first good answer counts, failures only when there is no other", function()
        local dead, refusing, good = upstream "192.0.2.1", upstream "", upstream("192.0.2.3", 0.05)
        local moondns = proxy.start { upstream = { dead, ports.free(), refusing, good },
            args = { "--upstream-policy", "all", "--timeout", "3", "--retries", "0" } }
        stop(dead)
        local began = wait.now()
        assert.same({ ["192.0.2.3"] = 10 }, ask_many(moondns, 10))
        assert.is_true(wait.now() - began < 3)
        moondns:wait_output(("127.0.0.1:%d%%)"):format(good.port), "out")
        local answer = moondns:dig "tcp.example A +tcp"
        assert.same({ "192.0.2.3" }, dig.data(answer))
        moondns:wait_output(("127.0.0.1:%d is down"):format(dead.port), "err")
        go_on(dead)
        assert.equal(0, good:stop())
        assert.equal(0, dead:stop())
        assert.equal(REFUSED, asked(moondns))
    end)

    it("must be one that there is", function()
        local result = proxy.run { "--upstream-policy", "random" }
        assert.equal(2, result.code)
        assert.truthy(result.err:find("--upstream-policy: first, round-robin, fastest or all expected, got 'random'", 1, true), result.err)
    end)
end)
