-- Drives spec/inject/inject.c: the page that it shares with the proxy, and the sweeps over the calls that may fail.
local ffi = require "ffi"
local dirent = require "posix.dirent"
local fcntl = require "posix.fcntl"
local unistd = require "posix.unistd"
local files = require "spec.support.files"
local proxy = require "spec.support.proxy"
local scope = require "spec.support.scope"
local wait = require "spec.support.wait"

ffi.cdef [[
struct page {
    uint32_t mode, class;
    int32_t error;
    uint32_t nth, one_in, seed, failed, measure;
    uint64_t bytes;
    char match[64];
    uint64_t from, to, room[3][2];
    uint32_t exempt, roomless;
    uint64_t counts[64];
    char where[4096];
    uint32_t seen[65536];
};
void *mmap(void *at, size_t size, int protection, int flags, int fd, long offset);
int munmap(void *at, size_t size);
]]

local M = {}

local PATIENCE, SHORT_PATIENCE, RECOVERY_SECONDS = 8, 3, 12

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

-- What may go on failing for a while: all of them, but a call that is cut short is not cut short for ever.
M.HELD = {}
for _, sorts in ipairs { M.MEMORY, M.LUA, M.SYSTEM } do
    for _, sort in ipairs(sorts) do
        local problems = {}
        for _, problem in ipairs(sort[2]) do
            problems[#problems + 1] = problem ~= "EINTR" and problem or nil
        end
        M.HELD[#M.HELD + 1] = { sort[1], problems }
    end
end

-- While it ends: but for what tells that it is to end, which the signal's handler writes, and no system cuts short.
M.ENDING = {}
for _, sort in ipairs(M.SYSTEM) do
    M.ENDING[#M.ENDING + 1] = sort[1] ~= "write" and sort or nil
end

M.FILES = { { "read", { "EIO" } } } -- sockets and pipes do not fail like this

-- The page

local Page = {}
Page.__index = Page

-- Where the program has the code of its functions: {name = {from, to}}, as offsets.
local function find_functions()
    local found = {}
    local pipe = io.popen(("nm -S %s"):format(proxy.binary))
    for line in pipe:lines() do
        local from, size, name = line:match "^(%x+) (%x+) [tT] (%S+)$"
        if from then
            from = tonumber(from, 16)
            found[name] = { from, from + tonumber(size, 16) }
        end
    end
    pipe:close()
    return found
end

local functions

local function code_of(name)
    functions = functions or find_functions()
    return unpack(functions[name] or error(name .. " is no function of the program"))
end

function M.page()
    local size = ffi.sizeof "struct page"
    local path = files.temp_file("page", ("\0"):rep(size))
    local fd = assert(fcntl.open(path, fcntl.O_RDWR))
    local page = ffi.cast("struct page *", ffi.C.mmap(nil, size, 3, 1, fd, 0))
    unistd.close(fd)
    for i, name in ipairs { "room_is_there", "room_give", "room_has_thread" } do
        page.room[i - 1][0], page.room[i - 1][1] = code_of(name)
    end
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

-- Only calls fail that have this in the path of a file in their call stack: the program or a library.
function Page:match(text)
    ffi.copy(self.data.match, text)
end

-- Only calls fail that the program's function of this name, or what it calls, makes.
function Page:within(name)
    self.data.from, self.data.to = code_of(name)
end

function Page:failed()
    return self.data.failed
end

function Page:count(class)
    return tonumber(self.data.counts[NUMBERS[class]])
end

-- How many calls that end the process had room that was made just before, and how many had none, and failed.
function Page:rooms()
    return self.data.exempt, self.data.roomless
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

-- The sweeps. Each gives how many calls it made fail; `findings` takes text for each that did not go as it should. Options: one_in,
-- seed (a share of the places), budget (seconds), args (of the proxy), tell (called with class, error and calls that failed).

local function within(budget)
    local deadline = wait.now() + (budget or math.huge)
    return function()
        return wait.now() < deadline
    end
end

-- Calls visit(class, error) for each of them while more() is true, in an order that the seed draws where there is one; it gives
-- how many calls failed. Sums that up.
local function each(sorts, options, more, visit)
    local list, total = {}, 0
    for _, sort in ipairs(sorts) do
        for _, problem in ipairs(sort[2]) do
            list[#list + 1] = { sort[1], problem }
        end
    end
    math.randomseed(options.seed or 0)
    while list[1] and more() do
        local class, problem = unpack(table.remove(list, options.seed and math.random(#list) or 1))
        local swept = visit(class, problem)
        total = total + swept
        if options.tell then
            options.tell(class, problem, swept)
        end
    end
    return total
end

-- A start with one call failing from `arm` on: either it serves all the same, or it says why and ends, and in neither case it
-- crashes.
local function start_once(world, page, arm)
    arm()
    local ok, moondns = pcall(world.start, world, page)
    page:set "off"
    if ok then
        local more, missed = within(RECOVERY_SECONDS)
        repeat
            missed = world:round(moondns, PATIENCE)
        until #missed == 0 or not more()
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

-- An end with one call failing: it ends as ever.
local function end_once(world, page, arm)
    local moondns = world:start(page)
    local missed = world:round(moondns, PATIENCE)
    assert(#missed == 0, "it did not answer: " .. table.concat(missed, ", "))
    arm()
    local code = moondns:stop()
    page:set "off"
    assert(code == 0, "it ended with " .. tostring(code) .. ":\n" .. moondns:err():sub(-6000))
end

-- One proxy after the other lives its life, in each of which one call fails.
local function sweep_lives(live, world, page, sorts, findings, options)
    scope.run(function()
        live(world, page, function() end) -- which counts what is called
    end)
    local more = within(options.budget)
    return each(sorts, options, more, function(class, problem)
        local swept = 0
        if page:count(class) == 0 then
            return 0
        end
        repeat
            local before = page:failed()
            local ok, why = pcall(scope.run, function()
                live(world, page, function()
                    page:set("new", class, problem, options)
                end)
            end)
            page:set "off"
            local reached = page:failed() > before
            swept = swept + (reached and 1 or 0)
            if not ok then
                findings(("%s %s: %s\n%s"):format(class, problem, why, page:where()))
            end
        until not reached or not more()
        return swept
    end)
end

function M.sweep_start(...)
    return sweep_lives(start_once, ...)
end

function M.sweep_ending(...)
    return sweep_lives(end_once, ...)
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

-- A proxy that serves, and that is started again when it ended, with whatever it is told to find.
local Serving = {}
Serving.__index = Serving

local function serve(world, page, findings, options)
    local self = setmetatable({ world = world, page = page, findings = findings, args = options.args }, Serving)
    self.moondns = world:start(page, options.args)
    self:settle("nothing", "", RECOVERY_SECONDS)
    return self
end

function Serving:found(format, ...)
    self.findings(format:format(...) .. "\n" .. self.page:where())
end

-- All is answered now that nothing fails; `within` so many seconds, else in the first round.
function Serving:settle(class, problem, seconds)
    local more, missed = within(seconds or 0)
    self.page:set "off"
    if self.moondns:ended() then
        self:found("%s %s ends it with %s:\n%s", class, problem, tostring(self.moondns.code), self.moondns:err():sub(-6000))
        self.moondns.finish = function() end
        self.moondns = self.world:start(self.page, self.args)
        more = within(RECOVERY_SECONDS)
    end
    repeat
        missed = self.world:round(self.moondns, PATIENCE)
    until #missed == 0 or not more()
    if #missed > 0 then
        self:found("after %s %s: %s", class, problem, table.concat(missed, ", "))
    end
end

function Serving:stop()
    self.page:set "off"
    local ok, code = pcall(self.moondns.stop, self.moondns)
    if not ok or code ~= 0 then
        self.findings("the end: " .. tostring(code))
        self.moondns.finish = function() end
    end
end

-- One call at a time while it serves, in one proxy for all; further options: mode ("new" by default, "nth" with next), calm
-- (rounds in a row without a call that fails that end it).
function M.sweep_serving(world, page, sorts, findings, options)
    local serving, more, rounds = serve(world, page, findings, options), within(options.budget), 0
    local total = each(sorts, options, more, function(class, problem)
        local calm, swept = 0, 0
        repeat
            local before = page:failed()
            page:set(options.mode or "new", class, problem,
                { one_in = options.one_in, seed = options.seed, nth = options.next and options.next(page) })
            rounds = rounds + 1
            if rounds % RELOAD_EVERY == 0 then
                world:reload(serving.moondns)
            end
            local missed = world:round(serving.moondns, SHORT_PATIENCE)
            if page:failed() > before or serving.moondns:ended() then
                swept, calm = swept + 1, 0
                if #missed > 1 then
                    serving:found("%s %s loses %s", class, problem, table.concat(missed, ", "))
                end
                serving:settle(class, problem)
            else
                calm = calm + 1
            end
        until calm >= (options.calm or 4) or not more()
        return swept
    end)
    serving:stop()
    return total
end

-- What a proxy has: {descriptors, bytes}.
function Serving:has()
    local descriptors = 0
    for _ in dirent.files("/proc/" .. self.moondns.pid .. "/fd") do
        descriptors = descriptors + 1
    end
    self.page.data.measure = 1
    wait.eventually(function()
        self.world:round(self.moondns, PATIENCE)
        return self.page.data.measure == 0
    end)
    return { descriptors = descriptors, bytes = tonumber(self.page.data.bytes) }
end

local SPARE_BYTES, SPARE_LINES = 256 * 1024, 200

local function lines(text)
    return select(2, text:gsub("\n", "\n"))
end

-- Every call of a class fails for `seconds`, while all is asked for: then everything is answered as before, with no more
-- descriptors (but for sockets to upstreams) and memory, and few lines were logged.
local function hold(serving, class, problem, seconds)
    local page, world, before = serving.page, serving.world, serving:has()
    serving.descriptors = serving.descriptors or before.descriptors + world.sockets_max
    local failed, more, told = page:failed(), within(seconds), lines(serving.moondns:err())
    local began = wait.now()
    page:set("always", class, problem)
    repeat
        world:round(serving.moondns, 0.25)
        world:reload(serving.moondns)
    until not more() or serving.moondns:ended() or page:failed() == failed
    page:set "off"
    local lasted = wait.now() - began
    told = lines(serving.moondns:err()) - told
    serving:settle(class, problem, RECOVERY_SECONDS)
    local after
    local ok = pcall(wait.eventually, function()
        after = serving:has()
        return after.descriptors <= serving.descriptors and after.bytes <= before.bytes + SPARE_BYTES
    end, nil, RECOVERY_SECONDS)
    if not ok then
        serving:found("%s %s: %d descriptors at most and %d bytes became %d and %d", class, problem, serving.descriptors,
            before.bytes, after.descriptors, after.bytes)
    end
    if told > SPARE_LINES * math.max(seconds, lasted) then
        serving:found("%s %s: %d lines logged in %.1f s", class, problem, told, lasted)
    end
    return page:failed() - failed
end

function M.sweep_holding(world, page, sorts, findings, options)
    local serving = serve(world, page, findings, options)
    local total = each(sorts, options, within(options.budget), function(class, problem)
        return hold(serving, class, problem, options.seconds or 1)
    end)
    serving:stop()
    return total
end

return M
