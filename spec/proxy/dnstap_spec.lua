-- --dnstap: what a reader gets of known traffic, and that no reader can hold up the proxy.
local stat = require "posix.sys.stat"
local files = require "spec.support.files"
local metrics = require "spec.support.metrics"
local net = require "spec.support.net"
local ports = require "spec.support.ports"
local process = require "spec.support.process"
local proxy = require "spec.support.proxy"
local scope = require "spec.support.scope"
local wait = require "spec.support.wait"
local wire = require "spec.support.wire"

local ANSWERING = [[
function dns_request(flow)
    local name = flow.request.question.name
    if name:find "answered" then
        flow.response = flow.request:succeed{dns.ResourceRecord.A(name, "192.0.2.9")}
    end
end
]]

-- The messages in a file, as tables; `open`: it need not have its end.
local function read(path, open)
    local result = process.run { "/usr/bin/python3", "spec/support/dnstap.py", path, open and "--open" }
    assert(result.code == 0, result.err)
    local list = {}
    for line in result.out:gmatch "[^\n]+" do
        list[#list + 1] = loadstring("return " .. line)()
    end
    return list
end

local function of_type(messages, kind)
    local list = {}
    for _, message in ipairs(messages) do
        if message.type == kind then
            list[#list + 1] = message
        end
    end
    return list
end

-- fstrm_capture, which writes what comes to a socket into a file.
local function capture(arguments)
    local path = files.temp_folder() .. "/captured"
    local argv = { "fstrm_capture", "-t", "protobuf:dnstap.Dnstap", "-w", path, unpack(arguments) }
    local reader = process.start(argv)
    reader.path = path
    return reader
end

local function socket_is_there(path)
    wait.eventually(function()
        return stat.stat(path)
    end, "the reader's socket")
end

describe("dnstap", function()
    scope.manage()

    it("tells a reader behind a socket of each query and answer, on both sides", function()
        local server = net.server()
        local socket = files.temp_folder() .. "/tap"
        local reader = capture { "-u", socket }
        socket_is_there(socket)
        local moondns = proxy.start {
            code = ANSWERING, upstream = server,
            args = { "--dnstap", "unix:" .. socket, "--dnstap-identity", "the-proxy", "--workers", "2" },
        }
        local began = os.time()
        moondns:dig "a.answered.example"
        moondns:dig "b.answered.example +tcp"
        local client = moondns:udp()
        client:send(wire.query("asked.example", "MX", { id = 4711 }))
        local query, answer = server:receive()
        answer(wire.answer(query, {}, { rcode = 3 }))
        client:receive()
        assert.equal(0, moondns:stop())
        assert.equal(0, reader:stop())

        local messages = read(reader.path)
        local queries, responses = of_type(messages, "CLIENT_QUERY"), of_type(messages, "CLIENT_RESPONSE")
        local forwarded, answered = of_type(messages, "FORWARDER_QUERY"), of_type(messages, "FORWARDER_RESPONSE")
        assert.same({ 3, 3, 1, 1 }, { #queries, #responses, #forwarded, #answered })
        for _, message in ipairs(messages) do
            assert.equal("the-proxy", message.identity)
            assert.truthy(message.version:find "^moondns %d")
            assert.equal(1, message.family)
            assert.is_false(message.zone)
            assert.is_true(math.abs(message.query_time - began) < 60)
            assert.is_true(not message.response or message.response_time >= message.query_time)
        end
        local by_name = {}
        for _, message in ipairs(responses) do
            by_name[message.response.name] = message
        end
        local over_tcp = by_name["b.answered.example"]
        assert.equal(2, over_tcp.protocol)
        assert.same({ "127.0.0.1", "127.0.0.1", moondns.port }, { over_tcp.query_address, over_tcp.response_address, over_tcp.response_port })
        assert.equal(1, over_tcp.response.answers)
        local negative = by_name["asked.example"]
        assert.same({ 1, 4711, "NXDOMAIN" }, { negative.protocol, negative.response.id, negative.response.rcode })
        assert.equal(client:name(), negative.query_address .. ":" .. negative.query_port)
        assert.same({ "127.0.0.1", server.port }, { forwarded[1].response_address, forwarded[1].response_port })
        assert.equal(wire.parse(query).id, forwarded[1].query.id) -- as it went upstream
        assert.equal(wire.parse(query).id, answered[1].response.id)
        assert.same({ "asked.example", "MX" }, { answered[1].response.name, answered[1].response.type })
    end)

    it("writes a file that others can read, and begins it anew after it was moved away", function()
        local path = files.temp_folder() .. "/messages.fstrm"
        local moondns = proxy.start { code = ANSWERING, args = { "--dnstap", "file:" .. path } }
        moondns:dig "a.answered.example"
        wait.eventually(function() return #read(path, true) == 2 end, "two messages")
        assert(os.rename(path, path .. ".1"))
        moondns:dig "b.answered.example"
        wait.eventually(function() return #read(path .. ".1", true) == 4 end, "messages in the file that was moved")
        moondns:signal "HUP"
        wait.eventually(function()
            moondns:dig "c.answered.example"
            return stat.stat(path) and #read(path, true) >= 2
        end, "messages in the new file")
        assert.equal(0, moondns:stop())
        assert.is_true(#read(path .. ".1") >= 4)
        assert.is_true(#read(path) >= 2)
        local text = process.run { "dnstap-ldns", "-q", "-r", path }
        assert.equal(0, text.code)
        assert.truthy(text.out:find "CQ 127.0.0.1 UDP %d+b \"c.answered.example.\" IN A", text.out)
        assert.truthy(text.out:find "CR 127.0.0.1 UDP %d+b \"c.answered.example.\" IN A", text.out)
    end)

    it("cuts clients' addresses where that is asked for", function()
        local path = files.temp_folder() .. "/messages.fstrm"
        local moondns = proxy.start { code = ANSWERING, args = { "--dnstap", "file:" .. path, "--anonymize=16,32" } }
        moondns:udp("127.0.0.1"):ask(wire.query("a.answered.example", "A"))
        assert.equal(0, moondns:stop())
        local messages = read(path)
        assert.equal(2, #messages)
        for _, message in ipairs(messages) do
            assert.same({ "127.0.0.0", "127.0.0.1" }, { message.query_address, message.response_address })
        end
    end)

    it("tells of queries that are answered and not served: malformed ones, clients that are not allowed", function()
        local path = files.temp_folder() .. "/messages.fstrm"
        local moondns = proxy.start { code = ANSWERING, args = { "--dnstap", "file:" .. path, "--allow", "127.0.0.1" } }
        local query = wire.query("a.answered.example", "A", { id = 4712, edns = { version = 1 } })
        assert.equal(16, wire.parse(assert(moondns:udp():ask(query))).rcode)
        assert.equal(1, wire.parse(assert(moondns:tcp():ask(wire.query("a.answered.example", "A") .. "x"))).rcode)
        assert.equal("REFUSED", moondns:dig("a.answered.example -b 127.0.0.9").rcode)
        moondns:udp():send("no query")
        assert.equal(0, moondns:stop())
        local messages = read(path)
        local queries, responses = of_type(messages, "CLIENT_QUERY"), of_type(messages, "CLIENT_RESPONSE")
        assert.same({ 3, 3 }, { #queries, #responses })
        assert.same({ 1, 4712, "BADVERS" }, { responses[1].protocol, responses[1].response.id, responses[1].response.rcode })
        assert.same({ 2, "FORMERR" }, { responses[2].protocol, responses[2].response.rcode })
        assert.same({ "127.0.0.9", "REFUSED" }, { queries[3].query_address, responses[3].response.rcode })
    end)

    it("speaks TCP as well, to a reader by its name or its address", function()
        local port = ports.free()
        local reader = capture { "-a", "127.0.0.1", "-p", tostring(port) }
        local moondns = proxy.start { code = ANSWERING, args = { "--dnstap", "tcp:localhost:" .. port } }
        wait.eventually(function() -- until the reader is found
            moondns:dig "a.answered.example"
            reader:signal "HUP" -- flushes its file
            return stat.stat(reader.path) and #read(reader.path, true) > 0
        end, "messages")
        assert.equal(0, moondns:stop())
        reader:stop()
        assert.equal("a.answered.example", of_type(read(reader.path), "CLIENT_QUERY")[1].query.name)
    end)

    it("asks a reader anew that does not greet", function()
        local server = assert(require("socket").bind("127.0.0.1", 0))
        local _, port = server:getsockname()
        proxy.start { args = { "--dnstap", "tcp:127.0.0.1:" .. port } }
        server:settimeout(wait.PATIENCE_SECONDS)
        local first = assert(server:accept())
        local second = assert(server:accept())
        first:close()
        second:close()
        server:close()
    end)

    it("takes messages of all sizes over TCP, none of them lost or changed", function()
        local port = ports.free()
        local reader = capture { "-a", "127.0.0.1", "-p", tostring(port) }
        local moondns = proxy.start { args = { "--dnstap", "tcp:127.0.0.1:" .. port }, code = [[
            function dns_request(flow)
                local size = tonumber(flow.request.question.name:match "^%d+")
                flow.response = flow.request:succeed{dns.ResourceRecord.TXT(flow.request.question.name, ("x"):rep(size))}
            end]] }
        wait.eventually(function()
            moondns:dig "1.example TXT"
            reader:signal "HUP"
            return stat.stat(reader.path) and #read(reader.path, true) > 0
        end, "messages")
        local client = moondns:tcp()
        local sizes = { 65000, 60000, 10, 30000, 20000, 64900, 0 }
        for _, size in ipairs(sizes) do
            assert(client:ask(wire.query(size .. ".example", "TXT")))
        end
        assert.equal(0, moondns:stop())
        reader:stop()
        local responses = of_type(read(reader.path), "CLIENT_RESPONSE")
        for i, size in ipairs(sizes) do
            assert.equal(size .. ".example", responses[#responses - #sizes + i].response.name)
        end
    end)

    it("looks names up again that nobody knows, and says so once", function()
        local moondns = proxy.start {
            code = ANSWERING, args = { "--dnstap", "tcp:nobody.invalid:6000" }, environment = { RES_OPTIONS = "attempts:1 timeout:1" },
        }
        moondns:wait_output("%-%-dnstap: nobody%.invalid: [^\n]+; it is looked up every second", "err")
        assert.equal("NOERROR", moondns:dig("a.answered.example").rcode)
        assert.equal(0, moondns:stop())
    end)

    it("never holds up the proxy: a reader that is not there, goes away, comes back, or takes nothing", function()
        local socket = files.temp_folder() .. "/tap"
        local moondns = proxy.start {
            code = ANSWERING, args = { "--dnstap", "unix:" .. socket, "--metrics", "0", "--flow-detail", "0" },
        }
        local queries = files.temp_file("queries", "x.answered.example A\n")
        local function load(count)
            local dnsperf = process.run { "dnsperf", "-s", "127.0.0.1", "-p", tostring(moondns.port), "-d", queries, "-n", tostring(count) }
            assert.truthy(dnsperf.out:find("Queries completed:%s+" .. count .. " %(100"), dnsperf.out)
        end
        local function counted(result)
            return metrics.scrape(moondns)['moondns_dnstap_messages_total{result="' .. result .. '"}']
        end
        load(500) -- nobody is there
        assert.equal(1000, counted "queued" + counted "dropped")
        wait.eventually(function() return counted "lost" == counted "queued" end, "messages to be counted as lost")

        local reader = capture { "-u", socket }
        wait.eventually(function() -- it is found
            moondns:dig "found.answered.example"
            reader:signal "HUP"
            return stat.stat(reader.path) and #read(reader.path, true) > 0
        end, "messages")
        assert.is_true(counted "lost" < counted "queued")
        reader:signal "KILL"
        reader:wait_end()
        load(500)

        os.remove(socket)
        local stuck = capture { "-u", socket }
        socket_is_there(socket)
        wait.eventually(function()
            moondns:dig "found.answered.example"
            stuck:signal "HUP"
            return stat.stat(stuck.path) and #read(stuck.path, true) > 0
        end, "messages")
        stuck:signal "STOP"
        local before = counted "queued"
        load(10000) -- more than all queues have room for
        assert.is_true(counted "dropped" > 0)
        assert.equal(20000, counted "queued" - before + counted "dropped")
        assert.equal(0, moondns:stop()) -- although the reader takes nothing
        stuck:signal "CONT"
        stuck:stop()
    end)

    it("counts what a full disk has no room for", function()
        local path = files.temp_folder() .. "/messages.fstrm"
        for target, lost in pairs { [path] = 0, ["/dev/full"] = 4 } do
            local moondns = proxy.start { code = ANSWERING, args = { "--dnstap", "file:" .. target, "--metrics", "0" } }
            moondns:dig "a.answered.example"
            moondns:dig "b.answered.example"
            wait.eventually(function()
                return target ~= path and moondns:err():find "cannot write /dev/full: No space left on device; messages are lost"
                    or target == path and #read(path, true) == 4
            end, "messages to be written")
            local function counted(result)
                return metrics.scrape(moondns)['moondns_dnstap_messages_total{result="' .. result .. '"}']
            end
            wait.eventually(function() return counted "lost" == lost end, "messages to be counted as lost")
            assert.same({ 4, 0 }, { counted "queued", counted "dropped" })
            assert.equal(0, moondns:stop())
        end
    end)

    it("says what is wrong with a target", function()
        for given, message in pairs {
            ["tap"] = "--dnstap: unix:PATH, tcp:HOST:PORT or file:PATH expected, got 'tap'",
            ["unix:"] = "--dnstap: unix:PATH, tcp:HOST:PORT or file:PATH expected, got 'unix:'",
            ["tcp:127.0.0.1"] = "--dnstap: 'tcp:127.0.0.1': a port from 1 to 65535 is missing; tcp:HOST:PORT expected",
            ["tcp:[::1]"] = "--dnstap: 'tcp:[::1]': a port from 1 to 65535 is missing; tcp:HOST:PORT expected",
            ["tcp:somewhere:"] = "--dnstap: 'tcp:somewhere:': a port from 1 to 65535 is missing; tcp:HOST:PORT expected",
            ["tcp:somewhere:65536"] = "--dnstap: 'tcp:somewhere:65536': a port from 1 to 65535 is missing; tcp:HOST:PORT expected",
            ["tcp::6000"] = "--dnstap: tcp:HOST:PORT expected, got 'tcp::6000'",
            ["unix:/" .. ("x"):rep(200)] = "the path of a socket has 107 bytes at the most",
        } do
            local result = proxy.run { "--dnstap", given }
            assert.equal(2, result.code)
            assert.truthy(result.err:find(message, 1, true), result.err)
        end
        local result = proxy.run { "-l", "127.0.0.1:" .. ports.free(), "-u", "none", "--dnstap", "file:/nowhere/at/all" }
        assert.equal(1, result.code)
        assert.truthy(result.err:find("--dnstap: cannot write /nowhere/at/all: No such file or directory", 1, true), result.err)
    end)
end)
