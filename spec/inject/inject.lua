-- Drives spec/inject/inject.c: the page that it shares with the proxy, and the sweeps over the calls that may fail.
local ffi = require "ffi"
local fcntl = require "posix.fcntl"
local unistd = require "posix.unistd"
local files = require "spec.support.files"
local ports = require "spec.support.ports"
local process = require "spec.support.process"
local proxy = require "spec.support.proxy"
local scope = require "spec.support.scope"
local socket = require "socket"
local upstream = require "spec.support.upstream"
local wait = require "spec.support.wait"
local wire = require "spec.support.wire"

ffi.cdef [[
struct page {
    uint32_t mode, class;
    int32_t error;
    uint32_t nth, one_in, seed, failed, reserved;
    uint64_t counts[64];
    char where[4096];
    uint32_t seen[65536];
};
void *mmap(void *at, size_t size, int protection, int flags, int fd, long offset);
int munmap(void *at, size_t size);
]]

local M = {}

local NAMES = { "malloc", "lua", "socket", "bind", "connect", "listen", "accept4", "sendmmsg", "recvmmsg", "sendmsg", "recvmsg",
    "sendto", "send", "recvfrom", "recv", "read", "write", "readv", "writev", "setsockopt", "getsockopt", "getsockname",
    "getpeername", "epoll_create1", "epoll_ctl", "epoll_wait", "eventfd", "timerfd_create", "timerfd_settime",
    "timer_create", "timer_settime", "pipe2", "socketpair", "open", "fopen", "opendir", "fstat", "inotify_init1",
    "inotify_add_watch", "getrandom", "pthread_create", "mmap" }
local NUMBERS = {}
for i, name in ipairs(NAMES) do
    NUMBERS[name] = i - 1
end
local MODES = { off = 0, new = 1, nth = 2, always = 3 }
local ERRORS = { EPERM = 1, ENOENT = 2, EINTR = 4, EIO = 5, EAGAIN = 11, ENOMEM = 12, EACCES = 13, ENFILE = 23, EMFILE = 24,
    ENOSPC = 28, EPIPE = 32, EADDRINUSE = 98, EADDRNOTAVAIL = 99, ENETUNREACH = 101, ECONNABORTED = 103,
    ECONNRESET = 104, ENOBUFS = 105, ENOTCONN = 107, ECONNREFUSED = 111, EHOSTUNREACH = 113 }

-- What may fail, and how: {class, errors}.
M.MEMORY = { { "malloc", { "ENOMEM" } } }
M.LUA = { { "lua", { "ENOMEM" } } }
M.SYSTEM = {
    { "socket", { "EMFILE", "ENOBUFS" } }, { "bind", { "EADDRINUSE", "ENOMEM" } }, { "listen", { "EADDRINUSE" } },
    { "connect", { "ENETUNREACH", "ECONNREFUSED", "EINTR", "EAGAIN", "EADDRNOTAVAIL" } },
    { "accept4", { "EMFILE", "EINTR", "EAGAIN", "ECONNABORTED", "ENOMEM" } },
    { "sendmmsg", { "ENOBUFS", "EAGAIN", "EINTR", "ECONNREFUSED", "ENETUNREACH", "EPERM" } },
    { "recvmmsg", { "EINTR", "EAGAIN", "ECONNREFUSED", "ENOMEM", "EHOSTUNREACH" } },
    { "sendto", { "ENOBUFS", "EAGAIN" } }, { "send", { "ENOBUFS", "EAGAIN", "EINTR", "EPIPE", "ECONNREFUSED" } },
    { "sendmsg", { "ENOBUFS", "EAGAIN" } }, { "recvmsg", { "EINTR", "ENOMEM" } },
    { "recv", { "EINTR", "EAGAIN", "ECONNREFUSED", "ECONNRESET" } }, { "recvfrom", { "EINTR", "ECONNREFUSED" } },
    { "read", { "EINTR", "EAGAIN" } }, { "write", { "EINTR" } },
    { "readv", { "EINTR", "EAGAIN", "ECONNRESET", "ENOMEM" } }, { "writev", { "EINTR", "EAGAIN", "EPIPE", "ENOBUFS" } },
    { "setsockopt", { "ENOBUFS" } }, { "getsockopt", { "ENOBUFS" } }, { "getsockname", { "ENOBUFS" } },
    { "getpeername", { "ENOTCONN" } }, { "epoll_create1", { "EMFILE" } }, { "epoll_ctl", { "ENOMEM", "ENOSPC" } },
    { "epoll_wait", { "EINTR" } }, { "eventfd", { "EMFILE" } }, { "timerfd_create", { "EMFILE" } },
    { "timer_create", { "EAGAIN", "ENOMEM" } }, { "timer_settime", { "EPERM" } }, { "pipe2", { "EMFILE" } },
    { "socketpair", { "EMFILE" } }, { "open", { "EMFILE", "EACCES", "ENOENT", "EINTR" } },
    { "fopen", { "EMFILE", "EACCES" } }, { "opendir", { "EMFILE" } }, { "fstat", { "EIO" } },
    { "inotify_init1", { "EMFILE" } }, { "inotify_add_watch", { "ENOSPC", "ENOENT" } }, { "getrandom", { "EINTR" } },
    { "pthread_create", { "EAGAIN" } }, { "mmap", { "ENOMEM" } },
}

-- The library that makes calls fail; nil where the build has none.
function M.library()
    local path = proxy.binary:match "^(.*)/" .. "/inject.so"
    return unistd.access(path) and path
end

M.FILES = { { "read", { "EIO" } } } -- sockets and pipes do not fail like this

-- The page

local Page = {}
Page.__index = Page

function M.page()
    local size = ffi.sizeof "struct page"
    local path = files.temp_file("page", ("\0"):rep(size))
    local fd = assert(fcntl.open(path, fcntl.O_RDWR))
    local page = ffi.cast("struct page *", ffi.C.mmap(nil, size, 3, 1, fd, 0))
    unistd.close(fd)
    return setmetatable({ path = path, data = page }, Page)
end

-- What a process needs in its environment to be under the page. It links with the sanitizer, whose place is not first.
function Page:environment()
    return { LD_PRELOAD = M.library(), INJECT = self.path,
        ASAN_OPTIONS = (os.getenv "ASAN_OPTIONS" or "") .. ":verify_asan_link_order=0" }
end

-- mode is "new" (with a share `one_in` of the places by `seed`), "nth" (with `nth`), "always" or "off".
function Page:set(mode, class, problem, options)
    options = options or {}
    self.data.mode = 0
    self.data.class, self.data.error = NUMBERS[class or "malloc"], ERRORS[problem or "ENOMEM"]
    self.data.nth, self.data.one_in, self.data.seed = options.nth or 0, options.one_in or 0, options.seed or 0
    self.data.mode = MODES[mode]
end

function Page:failed()
    return self.data.failed
end

function Page:count(class)
    return tonumber(self.data.counts[NUMBERS[class]])
end

-- The last failed call's stack, for people.
function Page:where()
    local lines = {}
    for file, offset in ffi.string(self.data.where):gmatch "([^\n]+)%+(0x%x+)" do
        local pipe = io.popen(("addr2line -sfe %s %s 2>/dev/null"):format(file, ("0x%x"):format(tonumber(offset) - 1)))
        lines[#lines + 1] = "    " .. file:match "[^/]+$" .. " " .. pipe:read "*a":gsub("\n", " ")
        pipe:close()
    end
    return table.concat(lines, "\n")
end

-- The traffic

local CODE = [[
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

local QUERIES = { "spoof.example", "sleep.example", "shared.example", "resolve.example", "alter.example.com", "many.example.com",
    "mail.example.com", "blocked.test", "here.hosts.test", "www.zone.test" }

local World = {}
World.__index = World

-- All that a proxy is started with, but the page.
function M.world()
    local self = setmetatable({ knot = upstream.knot() }, World)
    self.hosts = files.temp_file("hosts", "192.0.2.6 here.hosts.test\n")
    self.zone = files.temp_file("zone.test", "$ORIGIN zone.test.\n$TTL 60\n@ SOA ns. host. 1 2 3 4 5\n@ NS ns\nwww A 192.0.2.7\n")
    self.list = files.temp_file("list", "blocked.test\nother.test\n")
    self.script = proxy.script((CODE:gsub("LIST", self.list)))
    return self
end

function World:start(page, more)
    local args = { "--hosts", self.hosts, "--zone", self.zone, "--metrics", tostring(ports.free()), "--cache", "100",
        "--timeout", "1", unpack(more or {}) }
    return proxy.start { script = self.script, upstream = self.knot, args = args, environment = page:environment() }
end

local function query(name, id)
    return wire.query(name, "A", { id = id })
end

local function is_good(bytes)
    return bytes and #bytes > 12 and bytes:byte(4) % 16 == 0 and bytes:byte(8) > 0
end

-- Sends every kind of query over UDP, all at once, and some over one TCP connection; gives those that were not answered as
-- they should have been: {"udp spoof.example", …}, TCP's as one.
function World:round(moondns, patience)
    local waiting, missed = {}, {}
    for i, name in ipairs(QUERIES) do
        local handle = socket.udp4()
        handle:setpeername("127.0.0.1", moondns.port)
        handle:send(query(name, i))
        waiting[i] = handle
    end
    local tcp = socket.tcp4()
    tcp:settimeout(patience)
    local connected = tcp:connect("127.0.0.1", moondns.port)
    local frames = {}
    for i = 1, 4 do
        local bytes = query(QUERIES[i], i)
        frames[i] = wire.u16(#bytes) .. bytes
    end
    local fine = connected and tcp:send(table.concat(frames))
    local deadline = wait.now() + patience
    for i, handle in ipairs(waiting) do
        handle:settimeout(math.max(0.01, deadline - wait.now()))
        local bytes = handle:receive()
        if not is_good(bytes) then
            missed[#missed + 1] = "udp " .. QUERIES[i] .. (bytes and " rcode " .. bytes:byte(4) % 16 or " unanswered")
        end
        handle:close()
    end
    for _ = 1, 4 do
        local length = fine and tcp:receive(2)
        local bytes = length and tcp:receive(length:byte(1) * 256 + length:byte(2))
        fine = fine and is_good(bytes)
    end
    if not fine then
        missed[#missed + 1] = "tcp"
    end
    tcp:close()
    return missed
end


-- The sweeps. Each gives how many calls it made fail; `findings` takes text for each that did not go as it should.

local function within(budget)
    local deadline = wait.now() + (budget or math.huge)
    return function()
        return wait.now() < deadline
    end
end

-- A start with one call failing: either it serves all the same, or it says why and ends, and in neither case it crashes.
local function start_once(world, page)
    local ok, moondns = pcall(world.start, world, page)
    page:set "off"
    if ok then
        local missed = world:round(moondns, 5)
        local code = moondns:stop()
        assert(code == 0, "it served and ended with " .. tostring(code))
        assert(#missed == 0, "it started and did not answer: " .. table.concat(missed, ", "))
        return
    end
    local text = tostring(moondns)
    if text:find "waited in vain" and page:where():find " log_" then
        return -- the line that is waited for: a log drops what it cannot write
    end
    local code = text:match "ended with (%S+)"
    assert(not text:find "Sanitizer" and not text:find "runtime error", text)
    assert(code and tonumber(code) and tonumber(code) < 100, text)
    assert(text:find "[Ee]rror" or text:find "moondns: " or text:find "rror ", "it said nothing: " .. text)
end

-- options: one_in, seed (a share of the places), budget (seconds).
function M.sweep_start(world, page, sorts, findings, options)
    local more, swept = within(options.budget), 0
    for _, sort in ipairs(sorts) do
        for _, problem in ipairs(sort[2]) do
            repeat
                local before = page:failed()
                page:set("new", sort[1], problem, options)
                local ok, why = pcall(scope.run, function()
                    start_once(world, page)
                end)
                local reached = page:failed() > before
                swept = swept + (reached and 1 or 0)
                if not ok then
                    findings(("start, %s %s: %s\n%s"):format(sort[1], problem, why, page:where()))
                end
            until not reached or not more()
        end
    end
    return swept
end

local RELOAD_EVERY = 3 -- rounds

-- For `next`: one of the calls that a round makes, by chance.
function M.random_call(seed)
    local CALLS = 150 -- about what Lua allocates in a round
    math.randomseed(seed)
    return function()
        return math.random(CALLS)
    end
end

-- The same while it serves: one proxy for all.
function M.sweep_serving(world, page, sorts, findings, options)
    local moondns = world:start(page, options.args)
    local more, swept, rounds = within(options.budget), 0, 0
    local function settle(sort, problem)
        local missed = world:round(moondns, 5)
        if #missed > 0 then
            findings(("after %s %s: %s\n%s"):format(sort, problem, table.concat(missed, ", "), page:where()))
        end
    end
    settle("nothing", "")
    for _, sort in ipairs(sorts) do
        for _, problem in ipairs(sort[2]) do
            local calm = 0
            repeat
                local before = page:failed()
                page:set(options.mode or "new", sort[1], problem,
                    { one_in = options.one_in, seed = options.seed, nth = options.next and options.next(page) })
                rounds = rounds + 1
                if rounds % RELOAD_EVERY == 0 then
                    moondns:signal "HUP"
                end
                local missed = world:round(moondns, 1.5)
                if page:failed() > before then
                    swept, calm = swept + 1, 0
                    if #missed > 1 then
                        findings(("%s %s loses %s\n%s"):format(sort[1], problem, table.concat(missed, ", "), page:where()))
                    end
                    page:set "off"
                    settle(sort[1], problem)
                else
                    calm = calm + 1
                end
                if moondns:ended() then
                    findings(("%s %s ends it with %s:\n%s\n%s"):format(sort[1], problem, tostring(moondns.code), moondns:err():sub(-6000), page:where()))
                    page:set "off"
                    moondns = world:start(page, options.args)
                end
            until calm >= (options.calm or 4) or not more()
        end
    end
    page:set "off"
    local ok, code = pcall(moondns.stop, moondns)
    if not ok or code ~= 0 then
        findings("the end: " .. tostring(code))
    end
    return swept
end

return M
