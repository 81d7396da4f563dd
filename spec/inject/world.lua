-- What runs while calls fail: a proxy, the servers around it, and rounds of queries of every kind. The small world is quick to
-- start and to ask; the full one has every part of the proxy that calls the system or takes memory.
local files = require "spec.support.files"
local http = require "spec.support.http"
local ports = require "spec.support.ports"
local process = require "spec.support.process"
local proxy = require "spec.support.proxy"
local redis = require "spec.support.redis"
local socket = require "socket"
local upstream = require "spec.support.upstream"
local wait = require "spec.support.wait"
local wire = require "spec.support.wire"

local M = {}

local SMALL = [[
    local counter = 0
    local metric = metrics and metrics.counter("queries_seen", "Seen.")
    local blocked = assert(dns.DomainSet.load("LIST"))
    timer.every(0.05, function() counter = counter + 1 end)
    function dns_request(flow)
        local name = flow.request.question.name
        local function answer(ip)
            flow.response = flow.request:succeed { dns.ResourceRecord.A(name, ip) }
        end
        if metric then metric:inc() end
        if blocked:match(name) then
            answer "192.0.2.3"
        elseif name:find "^spoof" then
            answer "192.0.2.1"
        elseif name:find "^sleep" then
            sleep(0.001)
            answer "192.0.2.2"
        elseif name:find "^shared" then
            shared.set("key", shared.incr("count", 1, 0))
            answer "192.0.2.4"
        elseif name:find "^resolve" then
            local message, why = dns.resolve("many.example.com", "A")
            assert(message, why)
            answer "192.0.2.5"
        elseif name:find "^alter" then
            flow.request.question.name = "many.example.com"
        end
    end
    function dns_response(flow)
        for _, record in ipairs(flow.response.answers) do
            record.ttl = 7
        end
    end
]]

local FULL = [[
    local state = persist("state", { seen = 0 })
    local labels = metrics.histogram("labels", "Labels.", { 1, 2, 3 }, { "kind" })
    local kinds = {}
    local function answer(flow, ip)
        flow.response = flow.request:succeed { dns.ResourceRecord.A(flow.request.question.name, ip or "192.0.2.9") }
    end
    function kinds.spoof(flow) answer(flow) end
    function kinds.sleep(flow) sleep(0.001) answer(flow) end
    -- Calls it until there is an answer: on a busy machine it may not come in time, and a connection that was lost for want
    -- of memory has to be made anew.
    local function patiently(call, ...)
        local value, why
        for _ = 1, 30 do
            if why then sleep(0.1) end
            value, why = call(...)
            if not why then break end
        end
        assert(not why, why)
        return value
    end
    function kinds.shared(flow)
        local count = patiently(shared.incr, "count", 1, 0, 60)
        patiently(shared.set, "key", count)
        assert(patiently(shared.get, "key") and patiently(shared.keys, "k"))
        patiently(shared.add, flow.id, ("x"):rep(3000))
        patiently(shared.delete, flow.id)
        answer(flow)
    end
    function kinds.resolve(flow, name)
        assert(dns.resolve(name .. ".wild.example.com", "A", { server = "NSD", timeout = 3 }))
        answer(flow)
    end
    function kinds.several(flow, name)
        local questions = {}
        for i = 1, 5 do questions[i] = { name .. i .. ".wild.example.com", "A" } end
        local got, why = dns.resolve_all(questions)
        for i = 1, 5 do assert(got[i], why and why[i]) end
        answer(flow)
    end
    function kinds.secure(flow)
        local got = assert(http.get("https://good.test:SECURE/echo", { ca_file = "AUTHORITY", timeout = 3 }))
        assert(got.status == 200, got.status)
        answer(flow)
    end
    function kinds.plain(flow)
        local got = assert(http.get("http://127.0.0.1:PLAIN/to/302/%2Fchunked", { timeout = 3, headers = { ["X-A"] = "b" } }))
        assert(got.body == "in three parts", got.body)
        answer(flow)
    end
    function kinds.post(flow)
        assert(http.request { url = "http://127.0.0.1:PLAIN/echo", method = "POST", body = ("x"):rep(1e5), timeout = 3 })
        answer(flow)
    end
    function kinds.elsewhere(flow) flow.server_conn.address = "tcp://NSD" end
    function kinds.alter(flow, name) flow.request.question.name = name .. ".wild.example.com" end
    function kinds.held(flow)
        flow:intercept()
        timer.after(0.002, function() answer(flow) flow:resume() end)
    end
    function kinds.failed(flow) flow.error = "by the script" end
    function kinds.flushed(flow) dns.cache.flush "mail.example.com" answer(flow) end
    function kinds.late(flow) flow:delay(0.002) flow:duplicate() end
    function kinds.rotten(flow) answer(flow) flow:corrupt { trailing = 1 } end
    function kinds.metrics(flow)
        labels:observe(#dns.name.labels(flow.request.question.name), { kind = "metrics" })
        answer(flow)
    end
    function kinds.sets(flow)
        local domains = dns.DomainSet.parse "a.test\n||b.test^\n@@||c.b.test^\n0.0.0.0 d.test\n"
        for i = 1, 20 do domains:add("n" .. i .. ".test") end
        local addresses = dns.AddressSet { "10.0.0.0/8", "2001:db8::/32" }
        local zone = dns.Zone.parse("@ SOA ns. host. 1 2 3 4 5\n@ NS ns\n* A 192.0.2.9\na CNAME b\n$GENERATE 1-9 n$ A 192.0.2.$\n",
            "zone.example.")
        assert(domains:match "x.a.test" and not domains:match "c.b.test" and addresses:match "10.1.2.3")
        local got = zone:answer(dns.DNSMessage.make_query("a.zone.example", "A"))
        flow.response = flow.request:succeed { got.answers[2] }
    end
    function kinds.messages(flow)
        local record = dns.ResourceRecord.from_text 'a.example. 60 IN HTTPS 1 . alpn="h2,h3" ipv4hint=192.0.2.1'
        local message = flow.request:succeed { record, dns.ResourceRecord.TXT("b.example", { "one", "two" }),
            dns.ResourceRecord.MX("c.example", 10, "mail.example") }
        message.edns = { options = { { ede = { info_code = "BLOCKED", extra_text = "why" } }, { client_subnet =
            { source_prefix_length = 24, address = "192.0.2.0" } } } }
        local again = dns.DNSMessage.unpack(message.packed)
        assert(dns.DNSMessage.from_json(dns.json.decode(dns.json.encode(again))) == message)
        record.https_alpn = { "h2" }
        assert(tostring(message):find "mail" and dns.idna.to_ascii "bücher.example" == "xn--bcher-kva.example")
        flow:backup()
        local copy = flow:copy()
        copy.metadata.a = { 1, 2, 3 }
        flow.comment, flow.marked = "a comment", "m"
        assert(flow:modified() and #dns.json.encode(flow:to_json(), { pretty = true }) > 0)
        flow:revert()
        answer(flow)
    end
    function dns_request(flow)
        state.seen = state.seen + 1
        local kind, rest = flow.request.question.name:match "^([a-z]+)(%d*)"
        if kinds[kind] then kinds[kind](flow, kind .. rest) end
    end
    function dns_response(flow)
        if flow.request.question.name:find "^again" and not flow.metadata.again then
            flow.metadata.again = true
            flow:resend "tcp://NSD"
        end
        for _, record in ipairs(flow.response.answers) do
            record.ttl = 7
        end
    end
    function dns_error(flow)
        if flow.request.question.name:find "^failed" then answer(flow) end
    end
    function client_connected(conn) state.last = conn.address end
    function client_disconnected(conn) state.last = conn.port end
]]

local SOCKETS_OF_UPSTREAM = 64 -- for each worker, when they are all open

local World = {}
World.__index = World

local SMALL_QUERIES = { "spoof.example", "sleep.example", "shared.example", "resolve.example", "alter.example.com",
    "many.example.com", "mail.example.com", "blocked.test", "here.hosts.test", "www.zone.test" }

-- # is the number of the round: nobody has asked before. Twice the same, but for its id, is one of them.
local FULL_QUERIES = { "mail.example.com", "here.hosts.test", "www.zone.test", "a#.wild.example.com", "same#.wild.example.com",
    "same#.wild.example.com", "again#.wild.example.com", "elsewhere#.wild.example.com", "late#.wild.example.com" }
for _, kind in ipairs { "spoof", "sleep", "shared", "resolve", "several", "secure", "plain", "post", "alter", "held", "failed", "flushed",
    "metrics", "sets", "messages", "rotten" } do
    FULL_QUERIES[#FULL_QUERIES + 1] = kind .. "#.example"
end

local function new(queries, knot)
    local self = setmetatable({ knot = knot, upstreams = knot, queries = queries, number = 0, restless = 0 }, World)
    self.zone = files.temp_file("zone.test", "$ORIGIN zone.test.\n$TTL 60\n@ SOA ns. host. 1 2 3 4 5\n@ NS ns\nwww A 192.0.2.7\n")
    self.hosts = files.temp_file("hosts", "192.0.2.6 here.hosts.test\n127.0.0.1 good.test\n")
    -- Looking at the call stack of each call takes its time.
    self.args = { "--hosts", self.hosts, "--zone", self.zone, "--cache", "100", "--timeout", "2", "--hook-timeout", "20" }
    return self
end

local function add(list, ...)
    for i = 1, select("#", ...) do
        list[#list + 1] = (select(i, ...))
    end
end

function M.small()
    local self = new(SMALL_QUERIES, upstream.knot())
    self.sockets_max = SOCKETS_OF_UPSTREAM
    self.script = proxy.script((SMALL:gsub("LIST", files.temp_file("list", "blocked.test\nother.test\n"))))
    self.tcp_queries = { unpack(SMALL_QUERIES, 1, 4) }
    return self
end

function M.full()
    local zone = upstream.signed_zone()
    local self = new(FULL_QUERIES, upstream.knot(zone))
    self.is_full = true
    self.sockets_max = 4 * SOCKETS_OF_UPSTREAM -- two workers, two upstreams
    self.nsd, self.redis, self.authority = upstream.nsd(zone), redis.start(), http.authority()
    self.upstreams = { "127.0.0.1:" .. self.knot.port, "127.0.0.1:" .. self.nsd.port }
    self.http = http.serve(false, self.authority.sign("good", "DNS:good.test,IP:127.0.0.1"))
    self.tap = files.temp_folder() .. "/tap"
    self.reader = process.start { "fstrm_capture", "-t", "protobuf:dnstap.Dnstap", "-w", files.temp_folder() .. "/out", "-u", self.tap }
    local places = { NSD = "127.0.0.1:" .. self.nsd.port, SECURE = self.http.ports[2], PLAIN = self.http.ports[1],
        AUTHORITY = self.authority.path }
    self.script = proxy.script((FULL:gsub("%u%u%u+", places)))
    self.tcp_queries = { "spoof#.example", "b#.wild.example.com", "large.example.com TXT", "sleep#.example", "held#.example" }
    add(self.args, "--workers", "2", "--shared", self.redis.url, "--dnstap", "unix:" .. self.tap, "--coalesce",
        "--upstream-policy", "all", "--rate-limit", "100000", "--allow", "any", "--rebind-protection", "--anonymize",
        "--errors-in-answers", "--log-json", "--flow-detail", "3", "~d .")
    return self
end

-- The proxy, under the page; `metrics_port` is where it has them.
function World:start(page, more)
    self.metrics_port = ports.free()
    local args = { "--metrics", tostring(self.metrics_port), unpack(self.args) }
    add(args, unpack(more or {}))
    return proxy.start { script = self.script, upstream = self.upstreams, args = args, environment = page:environment() }
end

-- Loads the scripts anew. Timers end with that, so that for some rounds no flow is asked to be held until one comes.
function World:reload(moondns)
    moondns:signal "HUP"
    self.restless = self.number + 3
end

-- The rounds. Each part gives its answers, or why there were none.

local AXFR, SOA = 252, 6

local function is_good(bytes)
    return bytes and #bytes > 12 and bytes:byte(4) % 16 == 0 and bytes:byte(8) > 0
end

-- The queries of this round.
function World:chosen(queries)
    local list = {}
    for _, text in ipairs(queries) do
        if self.number > self.restless or not text:find "^held" then
            list[#list + 1] = text
        end
    end
    return list
end

function World:query(text, id)
    local name, kind = text:gsub("#", self.number):match "^(%S+) ?(%S*)"
    return wire.query(name, kind ~= "" and kind or "A", { id = id, edns = id % 2 == 0 })
end

local function frame(bytes)
    return wire.u16(#bytes) .. bytes
end

local function connect(port, patience)
    local tcp = socket.tcp4()
    tcp:settimeout(patience)
    return tcp, tcp:connect("127.0.0.1", port)
end

local function receive_frame(tcp)
    local length = tcp:receive(2)
    return length and tcp:receive(length:byte(1) * 256 + length:byte(2))
end

-- Each of these begins something and gives a function that waits for its end: nothing when it went well, else what was missed.
local parts = {}

function parts.udp(self, moondns, missed)
    local waiting, queries = {}, self:chosen(self.queries)
    for i, text in ipairs(queries) do
        local handle = socket.udp4()
        handle:setpeername("127.0.0.1", moondns.port)
        handle:send(self:query(text, i))
        waiting[i] = handle
    end
    return function(deadline)
        local last
        for i, handle in ipairs(waiting) do
            handle:settimeout(math.max(0.01, deadline - wait.now()))
            local bytes = handle:receive()
            if not is_good(bytes) and last ~= queries[i] then
                last = queries[i]
                missed[#missed + 1] = "udp " .. last .. (bytes and " rcode " .. bytes:byte(4) % 16 or " unanswered")
            end
            handle:close()
        end
    end
end

function parts.tcp(self, moondns, missed, patience)
    local tcp, connected = connect(moondns.port, patience)
    local queries, frames, left = self:chosen(self.tcp_queries), {}, {}
    for i, text in ipairs(queries) do
        frames[i], left[i] = frame(self:query(text, i)), true
    end
    local fine = connected and tcp:send(table.concat(frames))
    return function()
        for _ = 1, #queries do
            local bytes = fine and receive_frame(tcp)
            if is_good(bytes) then
                left[bytes:byte(2)] = nil
            end
        end
        local names = {}
        for i in pairs(left) do
            names[#names + 1] = queries[i]
        end
        if names[1] then
            missed[#missed + 1] = "tcp " .. table.concat(names, " and ")
        end
        tcp:close()
    end
end

function parts.transfer(_, moondns, missed, patience)
    local tcp, connected = connect(moondns.port, patience)
    local fine = connected and tcp:send(frame(wire.query("example.com", AXFR)))
    return function()
        local ends = 0
        while fine and ends < 2 do
            local ok, message = pcall(wire.parse, receive_frame(tcp) or "")
            fine = ok and message.answers[1]
            for _, record in ipairs(fine and message.answers or {}) do
                ends = ends + (record.type == SOA and 1 or 0)
            end
        end
        if not fine then
            missed[#missed + 1] = "transfer"
        end
        tcp:close()
    end
end

function parts.metrics(self, _, missed, patience)
    local tcp, connected = connect(self.metrics_port, patience)
    local fine = connected and tcp:send "GET /metrics HTTP/1.0\r\n\r\n"
    return function()
        local text = fine and tcp:receive "*a"
        if not (text and text:find "\nmoondns_queries_total") then
            missed[#missed + 1] = "metrics"
        end
        tcp:close()
    end
end

-- Sends every kind of query over UDP, all at once, some over one TCP connection, and in the full world asks for the zone and the
-- metrics; gives what was not answered as it should have been: {"udp spoof.example …", …}, TCP's as one.
function World:round(moondns, patience)
    self.number = self.number + 1
    local missed, ends = {}, {}
    local deadline = wait.now() + patience
    for _, part in ipairs { "udp", "tcp", self.is_full and "transfer", self.is_full and "metrics" } do
        ends[#ends + 1] = parts[part](self, moondns, missed, patience)
    end
    for _, finish in ipairs(ends) do
        finish(deadline)
    end
    return missed
end

return M
