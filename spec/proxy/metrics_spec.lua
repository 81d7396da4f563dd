-- --metrics: what Prometheus reads, after known traffic and under load.
local socket = require "socket"
local glob = require "posix.glob"
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
    if name == "bad.example" then error("no") end
    if name == "killed.example" then flow:kill() return end
    if name == "busy.example" then io.open("BUSY"):read("*a") end
    if name:find("%.answered%.example$") then
        flow.response = flow.request:succeed{dns.ResourceRecord.A(name, "192.0.2.9")}
    elseif name == "none.example" then
        flow.response = flow.request:fail("NXDOMAIN")
    end
end
]]

describe("metrics", function()
    scope.manage()

    describe("of known traffic", function()
        local moondns, text, open, script

        setup(function()
            moondns = proxy.start { code = ANSWERING, args = { "--metrics", "0", "--workers", "2", "--cache", "10" } }
            script = moondns.script
            for i = 1, 7 do
                moondns:dig("a" .. i .. ".answered.example A")
            end
            moondns:dig "x.answered.example TYPE65280"
            moondns:dig "y.answered.example A +tcp"
            moondns:dig "none.example AAAA"
            moondns:dig "bad.example HTTPS"
            moondns:dig "nobody.example MX"
            local client = moondns:udp()
            client:send(wire.query("killed.example", "A"))
            client:send "\0\1\1\0\0\1\0\0\0\0\0\0\255" -- a question that is cut off
            client:receive()
            text = metrics.scrape(moondns)
            open = metrics.scrape(moondns, "openmetrics")
        end)

        it("counts queries by transport and type", function()
            assert.equal(8, text['moondns_queries_total{transport="udp",type="A"}']) -- seven, and the one that is killed
            assert.equal(1, text['moondns_queries_total{transport="tcp",type="A"}'])
            assert.equal(1, text['moondns_queries_total{transport="udp",type="AAAA"}'])
            assert.equal(1, text['moondns_queries_total{transport="udp",type="MX"}'])
            assert.equal(1, text['moondns_queries_total{transport="udp",type="other"}'])
        end)

        it("counts responses by transport, response code and source", function()
            assert.equal(8, text['moondns_responses_total{rcode="NOERROR",transport="udp"}'])
            assert.equal(1, text['moondns_responses_total{rcode="NOERROR",transport="tcp"}'])
            assert.equal(1, text['moondns_responses_total{rcode="NXDOMAIN",transport="udp"}'])
            assert.equal(2, text['moondns_responses_total{rcode="SERVFAIL",transport="udp"}'])
            assert.equal(10, text['moondns_responses_by_source_total{source="script"}'])
            assert.equal(2, text['moondns_responses_by_source_total{source="proxy"}'])
            assert.equal(10, text['moondns_response_duration_seconds_count{source="script"}'])
            assert.equal(10, text['moondns_response_duration_seconds_bucket{le="+Inf",source="script"}'])
        end)

        it("counts what was dropped, and why", function()
            assert.equal(1, text['moondns_dropped_total{reason="killed"}'])
            assert.equal(0, text['moondns_dropped_total{reason="overload"}'])
            assert.equal(1, text['moondns_malformed_queries_total{outcome="answered"}'])
            assert.equal(0, text['moondns_malformed_queries_total{outcome="dropped"}'])
            assert.equal(2, text["moondns_errors_total"])
        end)

        it("measures the hooks of each script and counts their errors", function()
            local labels = '{hook="dns_request",script="' .. script .. '"}'
            assert.equal(13, text["moondns_script_hook_duration_seconds_count" .. labels])
            assert.equal(1, text["moondns_script_hook_errors_total" .. labels])
            local seconds = text["moondns_script_hook_duration_seconds_sum" .. labels]
            assert.is_true(seconds > 0 and seconds < 10, tostring(seconds))
        end)

        it("tells of TCP, the cache, Lua's memory and the process", function()
            assert.equal(1, text['moondns_tcp_connection_events_total{event="accepted"}'])
            assert.equal(2, text['moondns_cache_requests_total{result="miss"}'])
            assert.equal(0, text["moondns_cache_entries"])
            assert.is_true(text['moondns_lua_memory_bytes{worker="0"}'] > 10000)
            assert.is_true(text['moondns_lua_memory_bytes{worker="1"}'] > 10000)
            assert.equal(2, text["moondns_workers"])
            assert.is_true(text["process_resident_memory_bytes"] > 1e6)
            assert.is_true(text["process_open_fds"] > 5 and text["process_open_fds"] < text["process_max_fds"])
            assert.is_true(math.abs(text["process_start_time_seconds"] - os.time()) < 300)
            assert.is_true(text["process_cpu_seconds_total"] > 0)
        end)

        it("speaks OpenMetrics to whom accepts it, and says the same", function()
            for name, value in pairs(text) do
                if name:find "^moondns_" and not name:find "^moondns_lua_memory_bytes" and not name:find "_bucket"
                    and not name:find "^moondns_metrics_" then
                    assert.equal(value, open[name], name)
                end
            end
            assert.equal(10, open['moondns_response_duration_seconds_bucket{le="1.0",source="script"}'])
        end)
    end)

    it("tell how long answers took that scripts computed at once", function()
        local moondns = proxy.start { args = { "--metrics", "0" }, code = [[
            function dns_request(flow)
                local file = io.popen("sleep 0.03")
                file:read("*a")
                file:close()
                flow.response = flow.request:succeed{}
            end]] }
        for _ = 1, 3 do
            moondns:dig "a.example"
        end
        local values = metrics.scrape(moondns)
        assert.equal(3, values['moondns_response_duration_seconds_count{source="script"}'])
        assert.is_true(values['moondns_response_duration_seconds_sum{source="script"}'] >= 0.09)
        assert.equal(0, values['moondns_response_duration_seconds_bucket{le="0.025",source="script"}'])
    end)

    describe("over HTTP", function()
        local moondns, base

        setup(function()
            moondns = proxy.start { args = { "--metrics", "0" } }
            base = metrics.base(moondns)
        end)

        it("says what type its text is of", function()
            assert.equal("text/plain; version=0.0.4; charset=utf-8", metrics.request(base .. "/metrics").headers["content-type"])
            local open = metrics.request(base .. "/metrics", { headers = { Accept = metrics.OPENMETRICS } })
            assert.equal("application/openmetrics-text; version=1.0.0; charset=utf-8", open.headers["content-type"])
            assert.truthy(open.body:find "\n# EOF\n$")
        end)

        it("has a page for health checks", function()
            local health = metrics.request(base .. "/health")
            assert.same({ 200, "ok\n" }, { health.code, health.body })
        end)

        it("is read-only, and has no other pages", function()
            assert.equal(405, metrics.request(base .. "/metrics", { method = "POST" }).code)
            assert.equal(405, metrics.request(base .. "/health", { method = "DELETE" }).code)
            assert.equal(404, metrics.request(base .. "/").code)
            assert.equal(404, metrics.request(base .. "/metrics/../../etc/passwd").code)
            local head = metrics.request(base .. "/metrics", { method = "HEAD" })
            assert.same({ 200, "" }, { head.code, head.body })
        end)

        -- What comes on one connection, to its end, for bytes that are sent in these parts.
        local function exchange(parts, half_close)
            local client = socket.tcp4()
            scope.on_end(function() client:close() end)
            client:settimeout(wait.PATIENCE_SECONDS)
            assert(client:connect("127.0.0.1", tonumber(base:match "%d+$")))
            for _, part in ipairs(parts) do
                assert(client:send(part))
                socket.sleep(0.01)
            end
            if half_close then client:shutdown "send" end
            return (assert(client:receive "*a"))
        end

        it("takes requests in parts and of every form, and says what is none", function()
            for _, request in ipairs {
                { "GET /health HTTP/1.1\r\nHost: a\r\n\r\n" },
                { "\r\nGET /health?all=1 HTTP/1.0\r\n\r\n" },
                { "G", "ET http://127.0.0.1/health HT", "TP/1.1\r", "\nHost: a\r\nX", ": y\r\n", "\r\n" },
                { "GET /health HTTP/1.1\nHost: a\n\n" },
            } do
                for _, half_close in ipairs { false, true } do
                    local answer = exchange(request, half_close)
                    assert.truthy(answer:find "^HTTP/1.1 200 OK\r\n" and answer:find "\r\nContent%-Length: 3\r\n", answer)
                    assert.truthy(answer:find "\r\nConnection: close\r\n" and answer:find "\r\n\r\nok\n$", answer)
                end
            end
            for _, text in ipairs { "GET /health\r\n", "garbage\r\n", "GET / HTTP/2.0\r\n", "GET / a HTTP/1.1\r\n", "GET /\0 HTTP/1.1\r\n" } do
                assert.truthy(exchange({ text }):find "^HTTP/1.1 400 Bad Request\r\n", text)
            end
            local refused = exchange { "POST /metrics HTTP/1.1\r\nContent-Length: 100000\r\n\r\n", ("x"):rep(100000) }
            assert.truthy(refused:find "^HTTP/1.1 405 Method Not Allowed\r\n" and refused:find "\r\nAllow: GET, HEAD\r\n", refused)
        end)

        it("takes no requests without end", function()
            local client = socket.tcp4()
            scope.on_end(function() client:close() end)
            client:settimeout(wait.PATIENCE_SECONDS)
            assert(client:connect("127.0.0.1", tonumber(base:match "%d+$")))
            client:send("GET /metrics HTTP/1.1\r\n")
            local sent = true
            for _ = 1, 64 do
                sent = sent and client:send("X-Long: " .. ("x"):rep(1024) .. "\r\n")
            end
            local line = client:receive "*l"
            assert.equal("HTTP/1.1 431 Request Header Fields Too Large", line)
            assert.equal(200, metrics.request(base .. "/health").code)
        end)

        it("has few connections: those that ask for nothing make room, and cost nobody else descriptors", function()
            local function descriptors()
                return #assert(glob.glob("/proc/" .. moondns.pid .. "/fd/*"))
            end
            local port, before = tonumber(base:match "%d+$"), descriptors()
            local crowd = {}
            for i = 1, 64 do
                crowd[i] = net.tcp(port)
                crowd[i]:write "GET /metrics HTTP/1.1\r\nX-Never: "
            end
            assert.equal(200, metrics.request(base .. "/metrics").code)
            assert.is_true(descriptors() <= before + 33, before .. " descriptors became " .. descriptors())
            crowd[1]:wait_closed()
            local values = metrics.scrape(moondns)
            assert.equal(32, values["moondns_metrics_connections"])
            assert.is_true(values['moondns_metrics_connection_events_total{event="evicted"}'] >= 33)
            assert.is_true(values['moondns_metrics_connection_events_total{event="accepted"}'] >= 66)
        end)

        it("gives clients ten seconds for a request, however often they send a byte of it", function()
            local name = 'moondns_metrics_connection_events_total{event="timed_out"}'
            local before, slow = metrics.scrape(moondns)[name], net.tcp(tonumber(base:match "%d+$"))
            slow:write "GET /metrics HTTP/1.1\r\nX-Never: "
            local ended = false
            wait.eventually(function()
                ended = ended or not slow:write "x"
                return ended and metrics.scrape(moondns)[name] > before
            end, "the end of a connection that is slow", 20)
        end)
    end)

    it("stay right under load, with scrapes all the while", function()
        local moondns = proxy.start { code = ANSWERING, args = { "--metrics", "0", "--workers", "2", "--flow-detail", "0" } }
        local lines = {}
        for i = 1, 50 do
            lines[i] = "n" .. i .. ".answered.example A"
        end
        local queries = files.temp_file("queries", table.concat(lines, "\n") .. "\n")
        local load = process.start { "dnsperf", "-s", "127.0.0.1", "-p", tostring(moondns.port), "-d", queries, "-n", "40", "-q", "20" }
        local scrapes = 0
        repeat
            local answer = metrics.request(metrics.base(moondns) .. "/metrics")
            assert.equal(200, answer.code)
            scrapes = scrapes + 1
        until load:ended()
        assert.truthy(load:out():find "Queries completed:%s+2000 %(100", load:out())
        assert.is_true(scrapes > 0)
        local values = metrics.scrape(moondns)
        assert.equal(2000, values['moondns_queries_total{transport="udp",type="A"}'])
        assert.equal(2000, values['moondns_responses_total{rcode="NOERROR",transport="udp"}'])
        assert.equal(0, values["moondns_flows_in_flight"])
    end)

    it("count what upstreams do", function()
        local server = net.server()
        local moondns = proxy.start { upstream = server, args = { "--metrics", "0", "--timeout", "0.2", "--retries", "1" } }
        local client = moondns:udp()
        client:send(wire.query("late.example", "A"))
        server:receive()
        local query, answer = server:receive() -- the second try
        answer(wire.answer(query, {}))
        assert.truthy(client:receive())
        answer(wire.answer(query, {})) -- once more: nothing waits for it
        wait.eventually(function()
            local values = metrics.scrape(moondns)
            assert.equal(2, values["moondns_upstream_queries_total"])
            assert.equal(1, values["moondns_upstream_answers_total"])
            assert.equal(1, values["moondns_upstream_timeouts_total"])
            assert.equal(1, values["moondns_upstream_retries_total"])
            assert.equal(1, values['moondns_upstream_discarded_answers_total{reason="unmatched"}'])
            assert.equal(1, values['moondns_responses_by_source_total{source="upstream"}'])
            local labels = '{domain=".",upstream="127.0.0.1:' .. server.port .. '"}'
            assert.equal(1, values["moondns_upstream_server_up" .. labels])
            assert.equal(2, values["moondns_upstream_server_queries_total" .. labels])
            assert.equal(1, values["moondns_upstream_server_answers_total" .. labels])
            assert.equal(1, values["moondns_upstream_server_timeouts_total" .. labels])
            assert.is_true(values["moondns_upstream_server_rtt_seconds" .. labels] < 5)
            assert.equal(1, values['moondns_response_duration_seconds_count{source="upstream"}'])
            assert.equal(0, values['moondns_response_duration_seconds_bucket{le="0.1",source="upstream"}'])
            return true
        end, "the counts")
    end)

    it("count clients that are refused", function()
        local moondns = proxy.start {
            code = ANSWERING, args = { "--metrics", "0", "--allow", "127.0.0.2", "--rate-limit", "100000" },
        }
        assert.equal("REFUSED", moondns:dig("a.answered.example").rcode)
        assert.equal("REFUSED", moondns:dig("b.answered.example").rcode)
        assert.equal("NOERROR", moondns:dig("c.answered.example -b 127.0.0.2").rcode)
        local values = metrics.scrape(moondns)
        assert.equal(2, values['moondns_refused_total{reason="prohibited"}'])
        assert.equal(0, values['moondns_refused_total{reason="rate_limited"}'])
        assert.equal(1, values['moondns_queries_total{transport="udp",type="A"}'])
    end)

    it("count reloads that went well and those that failed", function()
        local moondns = proxy.start { code = ANSWERING, args = { "--metrics", "0" } }
        files.replace(moondns.script, ANSWERING .. "-- the same")
        moondns:wait_output "reloaded"
        local values = metrics.scrape(moondns)
        assert.equal(1, values['moondns_reloads_total{result="ok"}'])
        assert.equal(0, values['moondns_reloads_total{result="failed"}'])
        assert.equal(0, values["moondns_reload_last_failed"])
        assert.is_true(math.abs(values["moondns_reload_last_success_timestamp_seconds"] - os.time()) < 60)
        files.replace(moondns.script, "function dns_request(")
        moondns:wait_output "the version that was loaded before stays"
        values = metrics.scrape(moondns)
        assert.equal(1, values['moondns_reloads_total{result="ok"}'])
        assert.equal(1, values['moondns_reloads_total{result="failed"}'])
        assert.equal(1, values["moondns_reload_last_failed"])
    end)

    it("count reloads whose config file, hosts file or zone could not be read", function()
        local config = files.temp_file("moondns.json", "{}")
        local hosts = files.temp_file("hosts", "192.0.2.1 a.example\n")
        local zone = files.temp_file("zone", "example. 60 IN SOA a. b. 1 2 3 4 5\n")
        local moondns = proxy.start { args = { "--metrics", "0", "-C", config, "--hosts", hosts, "--zone", zone } }
        local function reloads(good, bad)
            moondns:signal "HUP"
            local values
            wait.eventually(function()
                values = metrics.scrape(moondns)
                return values['moondns_reloads_total{result="ok"}'] + values['moondns_reloads_total{result="failed"}'] == good + bad
            end, "the reload to end")
            assert.equal(good, values['moondns_reloads_total{result="ok"}'])
            return values["moondns_reload_last_failed"]
        end
        assert.equal(0, reloads(1, 0))
        local bad = 0
        for _, path in ipairs { config, hosts, zone } do
            local text = files.read(path)
            if path == hosts then
                os.remove(path)
            else
                files.write(path, "{ no")
            end
            bad = bad + 1
            assert.equal(1, reloads(bad, bad))
            files.write(path, text)
            assert.equal(0, reloads(bad + 1, bad))
        end
    end)

    it("are served while a hook holds up its worker, and the health page tells of it", function()
        local folder = files.temp_folder()
        assert(stat.mkfifo(folder .. "/BUSY")) -- to open it for reading takes until somebody opens it for writing
        local moondns = proxy.start { code = ANSWERING, args = { "--metrics", "0" }, folder = folder }
        moondns:dig "a.answered.example"
        assert.equal(1, metrics.scrape(moondns)['moondns_queries_total{transport="udp",type="A"}'])
        moondns:udp():send(wire.query("busy.example", "A"))
        wait.eventually(function()
            return metrics.request(metrics.base(moondns) .. "/health").code == 503
        end, "the worker to be noticed")
        assert.equal(1, metrics.scrape(moondns)['moondns_queries_total{transport="udp",type="A"}'])
        files.write(folder .. "/BUSY", "")
        wait.eventually(function()
            return metrics.request(metrics.base(moondns) .. "/health").code == 200
        end, "the worker to be back")
    end)

    it("are on the loopback where only a port is given, and a port that is taken is named", function()
        local port = ports.free()
        local moondns = proxy.start { args = { "--metrics", port } }
        assert.equal("http://127.0.0.1:" .. port, metrics.base(moondns))
        local second = proxy.run { "-l", "127.0.0.1:" .. ports.free(), "-u", "none", "--metrics", "127.0.0.1:" .. port }
        assert.equal(1, second.code)
        assert.truthy(second.err:find("--metrics: cannot listen on 127.0.0.1:" .. port, 1, true), second.err)
    end)

    it("want a port", function()
        for _, given in ipairs { "127.0.0.1", "[::1]" } do
            local result = proxy.run { "--metrics", given }
            assert.equal(2, result.code)
            assert.truthy(result.err:find("--metrics: a port is missing; [ADDR:]PORT expected, got '" .. given .. "'", 1, true), result.err)
        end
        assert.truthy(proxy.run({ "--metrics", "99999" }).err:find "^moondns: %-%-metrics: ")
    end)

    describe("of scripts", function()
        local COUNTING = [[
            local queries = metrics.counter("script_queries", "Queries.", {"name"})
            local last = metrics.gauge("last_type", "The type that was asked for last.")
            local lengths = metrics.histogram("name_bytes", "Length of names.", {5, 50})
            function dns_request(flow)
                local question = flow.request.question
                queries:inc({name = question.name})
                last:set(question.type)
                lengths:observe(#question.name)
                flow.response = flow.request:fail("NXDOMAIN")
            end
        ]]

        it("are summed over the workers and outlive a reload", function()
            local moondns = proxy.start { code = COUNTING, args = { "--metrics", "0", "--workers", "4" } }
            for i = 1, 12 do
                moondns:dig("x" .. i % 2 .. ".example MX") -- from a new port each time, and so to another worker
            end
            files.replace(moondns.script, COUNTING .. "-- again")
            moondns:wait_output "reloaded"
            moondns:dig "x1.example MX"
            for _, format in ipairs { "text", "openmetrics" } do
                local values = metrics.scrape(moondns, format)
                assert.equal(6, values['script_queries_total{name="x0.example"}'])
                assert.equal(7, values['script_queries_total{name="x1.example"}'])
                assert.equal(15, values["last_type"])
                assert.equal(13, values["name_bytes_count"])
                assert.equal(13 * #"x1.example", values["name_bytes_sum"])
                assert.equal(13, values['name_bytes_bucket{le="' .. (format == "text" and "50" or "50.0") .. '"}'])
                assert.equal(0, values['name_bytes_bucket{le="' .. (format == "text" and "5" or "5.0") .. '"}'])
            end
        end)

        it("may change their labels in a new version, and then begin anew", function()
            local moondns = proxy.start { code = COUNTING, args = { "--metrics", "0", "--workers", "2" } }
            moondns:dig "a.example"
            files.replace(moondns.script, (COUNTING:gsub('{"name"}', '{"kind"}'):gsub("name = question.name", 'kind = "x"')))
            moondns:wait_output "reloaded"
            moondns:dig "a.example"
            local values = metrics.scrape(moondns)
            assert.equal(1, values['script_queries_total{kind="x"}'])
            assert.is_nil(values['script_queries_total{name="a.example"}'])
            assert.equal(2, values["name_bytes_count"])
        end)

        it("take any bytes for a label, and a bounded number of series", function()
            local moondns = proxy.start {
                code = [[
                    local odd = metrics.counter("odd", 'A "help" with a \\ and\na \27[31msecond\27[0m line.', {"v"})
                    function dns_request(flow)
                        odd:inc({v = 'quote " backslash \\ line\nend'})
                        odd:inc({v = "\27[31m \255\0"})
                        odd:inc({v = "grün"})
                        for i = 1, 2000 do odd:inc({v = "n" .. i}) end
                        flow.response = flow.request:fail("NXDOMAIN")
                    end
                ]],
                args = { "--metrics", "0" },
            }
            moondns:dig "a.example"
            moondns:wait_output "more than 1000 series of metrics: further label values of 'odd' and others are not counted"
            for _, format in ipairs { "text", "openmetrics" } do
                local values, answer = metrics.scrape(moondns, format)
                assert.is_nil(answer.body:find "[%z\1-\9\11-\31]")
                assert.truthy(answer.body:find("and\\na \\\\x1b[31msecond\\\\x1b[0m line.", 1, true), answer.body:match "# HELP odd[^\n]*")
                assert.equal(1, values['odd_total{v="grün"}'])
                assert.equal(1, values['odd_total{v="n997"}'])
                assert.is_nil(values['odd_total{v="n998"}'])
                assert.equal(1003, values["moondns_script_series_refused_total"])
            end
        end)
    end)
end)
