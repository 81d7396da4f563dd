-- The soak: traffic for an hour over scripts that are written anew every 10 s and an upstream that dies each minute.
-- Its end tells whether every query was answered, or SERVFAILed while there was no upstream, in time; and whether
-- memory and descriptors stayed as they were. See spec/soak/run.
local files = require "spec.support.files"
local samples_of = require "spec.soak.samples"
local scope = require "spec.support.scope"
local wait = require "spec.support.wait"
local works = require "spec.bench.works"
local world = require "spec.soak.world"

local build = assert(arg[1], "soak.lua BUILD")
local SECONDS = tonumber(os.getenv "SOAK_SECONDS") or 3600
local WORKERS = tonumber(os.getenv "SOAK_WORKERS") or 1
local UPSTREAMS = tonumber(os.getenv "SOAK_UPSTREAMS") or 1

local TICK_SECONDS = 0.2
local RELOAD_SECONDS, SAMPLE_SECONDS = 10, 10
local MINUTE, DEATH_AT, DEATH_SECONDS = 60, 20, 10
local TRIES, TRY_SECONDS = 3, 2 -- --retries and --timeout as they are by default
local LATE_SECONDS = TRIES * TRY_SECONDS + (tonumber(os.getenv "SOAK_MARGIN") or 2)
local RECOVERY_SECONDS = 8 -- after the upstream's return, for it to load its zone and for what was under way
local LAG_SECONDS = 1 -- of the clients' figures
local WARM_SECONDS = math.max(40, math.min(300, SECONDS / 4))
local HALF_SECONDS = 2 * MINUTE -- at least: the upstream dies in two ways, which take different things
local RSS_SLACK_KB, RSS_SLACK = 4096, 1.03
local FDS_SLACK, FDS_LEFT = 1.15, 64

-- --- how much it can do ---

local KINDS = {
    "h%05d.example.com", "h%05d.example.com", "h%05d.example.com", "n%05d.example.com", "w%05d.example.com",
    "r%05d.resolve.test", "m%05d.malware.example", "b%05d.blocked.example", "c%05d.count.test", "v%05d.version.test",
}

local function saturation(port)
    local lines = {}
    for number = 0, world.NUMBERS - 1 do
        lines[number + 1] = KINDS[number % #KINDS + 1]:format(number) .. " A\n"
    end
    local result = works.load({}, port, files.temp_file("queries", table.concat(lines)), { seconds = 10 })
    return result.per_second
end

-- --- one run ---

local Run = {}
Run.__index = Run

local function new_run()
    local self = {
        faults = {}, samples = {}, upstreams = {}, servfails_in_calm = 0, servfails_excused = 0, drops_excused = 0,
        versions_missed = 0,
    }
    setmetatable(self, Run)
    for i = 1, UPSTREAMS do
        self.upstreams[i] = world.upstream()
    end
    self.scripts = world.scripts()
    self.proxy = world.proxy(build, self.scripts, self.upstreams, WORKERS)
    self.metrics = "http://" .. self.proxy:wait_output "metrics on http://([^/]+)/metrics"
    return self
end

function Run:fault(format, ...)
    self.faults[#self.faults + 1] = format:format(...)
    io.stderr:write("OFF: ", self.faults[#self.faults], "\n")
end

function Run:second()
    return wait.now() - self.started
end

function Run:sample()
    local sample = samples_of.take(self.proxy.pid, self.metrics, math.floor(self:second()))
    table.insert(self.samples, sample)
    files.write(build .. "/soak/samples.csv", samples_of.csv(self.samples))
    local figures = self.clients.figures
    local parts = { ("%5d s  rss %d KB  lua %d KB"):format(sample.second, sample.rss_kb, sample.lua_kb) }
    for _, name in ipairs { "fds", "flows" } do
        parts[#parts + 1] = ("%s %d"):format(name, sample[name])
    end
    for _, name in ipairs { "asked", "right", "servfail", "wrong", "crossed", "late", "lost", "worst_ms" } do
        parts[#parts + 1] = ("%s %d"):format(name, figures[name] or 0)
    end
    print(table.concat(parts, "  "))
    io.stdout:flush()
end

function Run:change_scripts()
    if self.changed and (self.clients.figures.version or 0) < self.scripts.version then
        self.versions_missed = self.versions_missed + 1
        io.stderr:write(("version %d not seen in %d s\n"):format(self.scripts.version, RELOAD_SECONDS))
    end
    self.scripts:change()
    self.changed = true
end

-- The first upstream dies and returns; SERVFAIL is all right from then until it has had time to recover. One that
-- could not come back (somebody took its port meanwhile) tries again.
function Run:mind_upstream(second)
    local server, in_minute = self.upstreams[1], second % MINUTE
    local should_be_dead = in_minute >= DEATH_AT and in_minute < DEATH_AT + DEATH_SECONDS
        and second < SECONDS - DEATH_SECONDS
    if should_be_dead and not self.dead then
        server:die()
    elseif not should_be_dead and (self.dead or server.process:ended()) then
        if not self.dead and not self.upstream_ended then
            self.upstream_ended = true
            self:fault("the upstream ended of itself at %d s; it printed: %s", second, server.process:output())
        end
        server:come_back()
        self.calm_at = second + RECOVERY_SECONDS
    end
    self.dead = should_be_dead
end

-- SERVFAILs while the upstream serves, but for those whose every try the kernel dropped on its way to an upstream that
-- could not keep up.
function Run:mind_figures(second)
    local new = (self.clients:read().servfail or 0) - (self.servfails or 0)
    local drops = samples_of.kernel_drops(self.upstreams[1].port)
    if self.dead or second <= (self.calm_at or 0) - RECOVERY_SECONDS + LAG_SECONDS then
        self.drops_excused = drops
    end
    local calm = not self.dead and second > (self.calm_at or 0)
    if new > 0 and (calm or UPSTREAMS > 1) then
        local excused = UPSTREAMS == 1 and math.min(new, math.floor((drops - self.drops_excused) / TRIES)) or 0
        self.drops_excused = self.drops_excused + excused * TRIES
        self.servfails_excused = self.servfails_excused + excused
        self.servfails_in_calm = self.servfails_in_calm + new - excused
        io.stderr:write(("%d s: %d SERVFAIL; the kernel dropped all tries of %d\n"):format(second, new, excused))
    end
    self.servfails = self.clients.figures.servfail
end

function Run:go()
    local next_reload, next_sample = RELOAD_SECONDS, 0
    self.started = wait.now()
    while self:second() < SECONDS do
        local second = self:second()
        assert(not self.proxy:ended(), "moondns has ended")
        assert(not self.clients:ended(), "the clients have ended")
        self:mind_upstream(second)
        self:mind_figures(second)
        if second >= next_reload then
            self:change_scripts()
            next_reload = next_reload + RELOAD_SECONDS
        end
        if second >= next_sample then
            self:sample()
            next_sample = next_sample + SAMPLE_SECONDS
        end
        wait.sleep(TICK_SECONDS)
    end
end

-- All clients end; then nothing must be left of them.
function Run:finish()
    self.clients:signal "INT"
    local code = self.clients:wait_end(120)
    if code ~= 0 then
        self:fault("the clients ended with %s", tostring(code))
    end
    self.figures = self.clients:read()
    self.drops = samples_of.kernel_drops(self.proxy.port)
    self.backlog_drops = samples_of.backlog_drops() - self.backlog_drops_before
    local sample
    local ok = pcall(wait.eventually, function()
        sample = samples_of.take(self.proxy.pid, self.metrics, math.floor(self:second()))
        return sample.flows == 0 and sample.fds <= self.idle_fds + FDS_LEFT
    end, "quiet", 30)
    if not ok then
        self:fault("left behind: %d flows, %d descriptors (%d at start)", sample.flows, sample.fds, self.idle_fds)
    end
    self.last = sample
    self.proxy.expected_end = true
    local stopped, problem = pcall(self.proxy.stop, self.proxy)
    if not stopped or problem ~= 0 then
        self:fault("moondns ended with %s", tostring(problem))
    end
    files.write(build .. "/soak/moondns.err", self.proxy:err())
    files.write(build .. "/soak/clients.err", self.clients:err())
end

-- --- judging ---

function Run:judge_answers()
    local figures = self.figures
    for _, name in ipairs { "wrong", "crossed", "late", "stray", "stuck" } do
        if figures[name] > 0 then
            self:fault("%s: %d (BUILD/soak/clients.err)", name, figures[name])
        end
    end
    local drops = self.drops + figures.kernel_drops + self.backlog_drops
    if figures.lost > drops then
        self:fault("lost: %d, of which the kernel dropped %d at most", figures.lost, drops)
    end
    if self.servfails_in_calm > 0 then
        self:fault("SERVFAIL while an upstream served: %d", self.servfails_in_calm)
    end
    if self.versions_missed > 0 then
        self:fault("reloads that were not seen within %d s: %d", RELOAD_SECONDS, self.versions_missed)
    end
    for _, name in ipairs { "reloads_failed", "overload" } do
        if self.last[name] > 0 then
            self:fault("%s: %d", name, self.last[name])
        end
    end
end

function Run:judge_flatness()
    local limits = {
        { "rss_kb", function(first) return first * RSS_SLACK + RSS_SLACK_KB end },
        { "fds", function(first) return first * FDS_SLACK + FDS_LEFT end },
        { "threads", function(first) return first end },
    }
    for _, limit in ipairs(limits) do
        local column, most = limit[1], limit[2]
        local first, second = samples_of.halves(self.samples, column, WARM_SECONDS, HALF_SECONDS)
        if not first then
            print(("%s: too short to tell whether it is flat"):format(column))
        else
            print(("%s: at most %d in the first half after %d s, %d in the second"):format(column, first, WARM_SECONDS,
                second))
            if second > most(first) then
                self:fault("%s grows: %d, then %d", column, first, second)
            end
        end
    end
end

function Run:tell()
    local figures, last = self.figures, self.last
    print(("\n%d s, %d queries (%d/s), %d malformed packets, %d queries of clients that vanished"):format(last.second,
        figures.asked, figures.asked / SECONDS, figures.malformed, figures.vanished))
    local parts = {}
    for _, name in ipairs { "right", "servfail", "wrong", "crossed", "late", "lost", "stray", "stuck" } do
        parts[#parts + 1] = ("%s %d"):format(name, figures[name])
    end
    print(table.concat(parts, ", "))
    print(("the kernel dropped %d packets to the proxy, %d to the clients, %d to anybody, and all tries of %d queries"):format(
        self.drops, figures.kernel_drops, self.backlog_drops, self.servfails_excused))
    print(("longest wait %d ms; %d reloads, %d deaths of the upstream; %.1f s of CPU, %.1f us a query"):format(
        figures.worst_ms, self.scripts.version - 1, self.upstreams[1].deaths, last.cpu_seconds,
        last.cpu_seconds * 1e6 / figures.asked))
    print(("at the end: %d KB, %d descriptors (%d at start)"):format(last.rss_kb, last.fds, self.idle_fds))
end

local function soak()
    local run = new_run()
    local rate = tonumber(os.getenv "SOAK_RATE")
    if not rate then
        local most = saturation(run.proxy.port)
        rate = math.floor(most / 2)
        print(("saturation: %d queries a second"):format(most))
    end
    print(("%d s, %d queries a second, %d upstream(s), %d worker(s)"):format(SECONDS, rate, UPSTREAMS, WORKERS))
    run.idle_fds = samples_of.fds(run.proxy.pid)
    run.backlog_drops_before = samples_of.backlog_drops()
    run.clients = world.clients(build, run.proxy.port, rate, LATE_SECONDS)
    run:go()
    run:finish()
    run:tell()
    run:judge_answers()
    run:judge_flatness()
    print(#run.faults == 0 and "\nall is well" or "\noff:\n  " .. table.concat(run.faults, "\n  "))
    return #run.faults == 0
end

local fine = false
scope.run(function()
    fine = soak()
end)
os.exit(fine and 0 or 1)
