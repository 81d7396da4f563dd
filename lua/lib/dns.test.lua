-- require "dns.test": unit tests for scripts, with `moondns test`, under busted or any other framework, without a proxy.
--
--   local test = require "dns.test"
--   local addon = test.load("spoof.lua", { target = "192.0.2.1" })
--   local flow = addon:run(test.flow { name = "example.com", type = "A" })
--   assert.equals("192.0.2.1", flow.response.answers[1].ipv4_address)
local internal = ...
local error, ipairs, pairs, pcall, rawequal = error, ipairs, pairs, pcall, rawequal
local setmetatable, tonumber, tostring, type = setmetatable, tonumber, tostring, type
local getinfo, traceback, open_file = debug.getinfo, debug.traceback, io.open
local gsub, match, sub, insert = string.gsub, string.match, string.sub, table.insert
local dns = require "dns"
local script = internal.lib("dns.script")
local options = internal.lib("dns.options")
local clock = internal.lib("dns.clock")
local world = internal.lib("dns.world")
local expected = internal.lib("dns.expected")
local Upstream = internal.lib("dns.upstream")
local web = internal.lib("dns.web")

local test = {}

local levels = { [0] = "debug", "info", "warn", "error" }

local HELD_SECONDS = 60 -- the proxy's --held-timeout, when nothing is given

-- What the upstream would say to a flow of its own: {response = m} or {error = text}; nothing: test.upstream says it.
local own_answers = setmetatable({}, { __mode = "k" })

-- Flows under way, by flow: {held = function that goes on}.
local runs = setmetatable({}, { __mode = "k" })

-- --- the world ---

--- test.upstream{["example.com A"] = "192.0.2.1", …}: what the upstream answers from now on, to flows that are forwarded, to
-- dns.resolve and flow:resend. Keys are NAME or NAME TYPE; "*.NAME" stands for all names below that have no entry, "*" for all.
-- Values: an address, a response code's name, a record or its text, an array of addresses and records, a DNSMessage, false (no
-- answer: a time-out), or a function(question, server) that gives any of those. Gives an object: `asked` is an array of what
-- was asked so far ("example.com A").
function test.upstream(given)
  if type(given) ~= "table" or dns.typeof(given) then expected("test.upstream", "table", given) end
  local upstream, reason = Upstream.new(given)
  if not upstream then error(reason, 2) end
  world.upstream = upstream
  return upstream
end

--- test.http{["https://lists.example/ads.txt"] = "||ads.example^\n", …}: what http.get and http.request bring from now on. Keys are
-- URLs as scripts write them; "*" stands for all others. Values: a body, a table {status=, reason=, headers=, body=}, false (no
-- answer: a time-out), or a function(request) that gives any of those, or nil and a reason; `request` has url, method and the
-- options. Gives an object: `asked` is an array of what was asked so far ("GET https://lists.example/ads.txt").
function test.http(given)
  if type(given) ~= "table" then expected("test.http", "table", given) end
  local made, reason = web.new(given)
  if not made then error(reason, 2) end
  web.current = made
  return made
end

-- Flows that were resumed or killed while they were held go on.
local function let_go_on()
  for flow, run in pairs(runs) do
    local go_on = run.held
    if go_on and not flow.intercepted then
      run.held = nil
      go_on()
      return let_go_on()
    end
  end
end

local function step(limit)
  local stepped = clock.step(limit)
  let_go_on()
  return stepped
end

--- test.advance(seconds): moves the time on, through the timers and the ends of sleeps that come meanwhile.
function test.advance(seconds)
  if type(seconds) ~= "number" or not (seconds >= 0) then expected("test.advance", "seconds (0 or more)", seconds) end
  if clock.is_running() then error("test.advance: a script's hook runs, and waits with sleep()", 2) end
  local target = clock.now() + seconds
  let_go_on()
  while step(target) do end
  clock.advance(target - clock.now())
end

--- test.now(): the time that scripts see, in Unix seconds. It begins with the system's, and stands still but for waits.
function test.now() return clock.time() end

--- test.set_time(time): sets what scripts see of the time (os.time, timestamps), in Unix seconds. Timers and TTLs stay.
function test.set_time(time)
  if type(time) ~= "number" then expected("test.set_time", "Unix seconds", time) end
  clock.set_time(time)
end

--- test.reset(): as at the start: no upstream, nothing waited for, the system's time. `moondns test` does so for each test.
function test.reset()
  clock.reset()
  world.upstream = nil
  web.current = nil
  runs = setmetatable({}, { __mode = "k" })
end

-- --- flows ---

local flow_keys = { "name", "type", "class_", "request", "answers", "response", "error", "client", "server" }

-- "192.0.2.1", "192.0.2.1:4000", "[2001:db8::1]:4000" or a table as of flow.client_conn.
local function connection(given, default)
  if given == nil then return default end
  if type(given) ~= "string" then return given end
  local address, port = match(given, "^%[(.*)%]:(%d+)$")
  if not address then address, port = match(given, "^([^:]*):(%d+)$") end
  return { address = address or given, port = tonumber(port) or default.port, transport = "udp" }
end

-- Records, or their text as in a zone file.
local function records(given)
  local list = {}
  for i, record in ipairs(given) do
    list[i] = type(record) == "string" and dns.ResourceRecord.from_text(record) or record
  end
  return list
end

--- test.flow{name=, type=, class_=, request=, answers=, response=, error=, client=, server=}: a flow as the proxy gives it
-- to dns_request. `answers` (records or their text) or `response` (a message) is what the upstream answers once it is
-- asked, `error` how it fails; without any of them test.upstream says that, and without that the flow ends as it would be
-- forwarded. `client` is an address, with or without a port.
function test.flow(given)
  if type(given) ~= "table" or dns.typeof(given) then expected("test.flow", "table", given) end
  world.check_keys(given, flow_keys, "test.flow", 2)
  local request = given.request
  if not request then
    if not given.name then error("test.flow: name expected, got nil", 2) end
    request = dns.DNSMessage.make_query(given.name, given.type or "A", given.class_)
  end
  local flow = dns.DNSFlow { request = request }
  internal.prepare(flow, {
    live = true,
    created = clock.time(),
    client = connection(given.client,
      { address = "127.0.0.1", port = 40000, transport = "udp", timestamp_start = clock.time() }),
    server = {},
  })
  local own = { error = given.error, response = given.response, server = connection(given.server,
    { address = "192.0.2.53", port = 53, transport = "udp" }) }
  if given.answers ~= nil and type(given.answers) ~= "table" then expected("test.flow: answers", "array", given.answers) end
  if given.answers then own.answers = records(given.answers) end
  own_answers[flow] = own
  return flow
end

-- --- addons ---

local Addon = {}
Addon.__index = Addon

-- The error's text with the traceback (of the coroutine that runs, or of `co`), without what is not the script's.
local function explain(reason, co)
  if type(reason) ~= "string" then
    local fine, text = pcall(tostring, reason)
    reason = fine and text or "(the error is a " .. type(reason) .. " whose __tostring fails)"
  end
  local text = co and traceback(co, reason) or traceback(reason, 2)
  text = gsub(gsub(text, "\n\tdns%.%a+:[^\n]*", ""), "\n\t%[C%]: in function 'xpcall'", "")
  return (gsub(text, "\n\t%[C%]: in function <0x%x+>$", ""))
end

local function call(self, hook, argument)
  for _, addon in ipairs(self.addons) do
    local function_ = addon[hook]
    if function_ then
      local finished, reason
      if addon.self then
        finished, reason = clock.call(explain, function_, addon.self, argument)
      else
        finished, reason = clock.call(explain, function_, argument)
      end
      if not finished then self.write(3, reason) end
    end
  end
end

-- Whether the flow has answers of its own for this time; after the first, test.upstream comes first.
local function has_own(own, asked_before)
  return (own.answers or own.response or own.error) and not (asked_before and world.upstream)
end

-- The upstream is asked: true when it answers or fails.
local function ask(flow, run)
  local own = own_answers[flow] or { server = { address = "192.0.2.53", port = 53, transport = "udp" } }
  local server, chosen = own.server, flow.server_conn and flow.server_conn.peername
  if run.asked then chosen = run.again end
  if not has_own(own, run.asked) and not world.upstream then return false end
  if chosen then server = { address = chosen[1], port = chosen[2], transport = "udp" } end
  internal.prepare(flow, { server = server })
  local response, reason
  if not has_own(own, run.asked) then
    response, reason = world.ask(flow.request, chosen and chosen[1] .. ":" .. chosen[2])
  elseif own.error then
    reason = own.error
  else
    response = own.response or flow.request:succeed(own.answers)
    response.timestamp = response.timestamp or clock.time()
  end
  run.asked = true
  if response then flow.response = response else flow.error = reason end
  return true
end

-- Runs a hook, and waits while the flow is held: whether it goes on.
local function run_hook(self, flow, run, name)
  internal.prepare(flow, { hook = name })
  call(self, name, flow)
  if flow.live and flow.intercepted then
    local alarm = clock.after(HELD_SECONDS, function()
      flow:resume()
      flow.response, flow.error = nil, "held for more than " .. HELD_SECONDS .. " s"
    end)
    clock.wait(function(go_on) run.held = go_on end)
    clock.cancel(alarm)
  end
  return flow.live
end

-- Whether a hook sends the query again.
local function is_resent(flow, run)
  local resent, target = internal.take_resend(flow)
  if not resent then return false end
  run.again = target
  flow.response, flow.error = nil, nil
  return true
end

-- The hooks after the upstream was asked; true: it is to be asked again.
local function finish(self, flow, run)
  if not flow.error and flow.response then
    if not run_hook(self, flow, run, "dns_response") then return false end
    if not flow.error and is_resent(flow, run) then return true end
  end
  if flow.error then
    local before = flow.response
    if not run_hook(self, flow, run, "dns_error") then return false end
    if is_resent(flow, run) then return true end
    if not flow.response or rawequal(flow.response, before) then flow.response = flow.request:fail("SERVFAIL") end
  end
  return false
end

local function process(self, flow, run)
  if not run_hook(self, flow, run, "dns_request") then return end
  local again = false
  repeat
    if (again or (not flow.error and not flow.response)) and not ask(flow, run) then return end
    again = finish(self, flow, run)
  until not again
end

local function begin(self, flow)
  local run = {}
  runs[flow] = run
  clock.start(function()
    process(self, flow, run)
    internal.prepare(flow, { live = false })
    runs[flow] = nil
  end)
  let_go_on()
end

local function check_run(what, flow)
  if dns.typeof(flow) ~= "DNSFlow" then expected(what, "DNSFlow", flow, 3) end
  if clock.is_running() then error(what .. ": a script's hook runs", 3) end
  if not flow.live then error(what .. ": the flow has ended (test.flow makes one)", 3) end
end

--- addon:start(flow): begins as addon:run does, and gives the flow back as soon as a hook waits: test.advance goes on.
function Addon:start(flow)
  check_run("addon:start", flow)
  if runs[flow] then error("addon:start: the flow is under way", 2) end
  begin(self, flow)
  return flow
end

--- addon:run(flow): takes the flow through the request, response and error hooks, as the proxy would, and gives it back.
-- What hooks wait for takes place at once: the time moves on by itself. A flow that a hook holds (flow:intercept) comes back
-- before it is asked or answered; once it is resumed, addon:run(flow) goes on with it.
function Addon:run(flow)
  check_run("addon:run", flow)
  if runs[flow] then let_go_on() else begin(self, flow) end
  while runs[flow] and not runs[flow].held and step() do end
  return flow
end

--- addon:call(hook, argument): calls one hook, as "done" or "client_connected".
function Addon:call(hook, argument)
  local ended = false
  clock.start(function()
    call(self, hook, argument)
    ended = true
  end)
  while not ended and step() do end
end

-- An error of loading is the test's.
local function strictly(self, hook, argument)
  local why = "cannot wait in " .. hook .. "(); running() can"
  for _, addon in ipairs(self.addons) do
    if addon[hook] and addon.self then
      clock.refuse(why, addon[hook], addon.self, argument)
    elseif addon[hook] then
      clock.refuse(why, addon[hook], argument)
    end
  end
end

-- `running` may wait; what it raises before is the test's.
local function begin_running(self)
  local write, raised, waits = self.write, nil, false
  function self.write(level, text)
    if level == 3 and not waits then raised = raised or text else write(level, text) end
  end
  clock.start(function() call(self, "running") end)
  waits = true
  self.write = write
  if raised then error(raised, 0) end
end

-- The text of a file, or nil and the reason.
local function read(path)
  local file, reason = open_file(path, "rb")
  if not file then return nil, (gsub(reason, "^.-: ", "")) end
  local text, fault = file:read("*a")
  file:close()
  return text, fault
end

-- The proxy's own options, which a script may read but not declare; they are as when nothing is given.
local proxy_options = {
  script = {}, set = {}, shared = "memory", errors_in_answers = false, no_reload = false,
  listen = { "127.0.0.1:5300" }, upstream = {}, resolv_conf = "/etc/resolv.conf", upstream_policy = "first", timeout = 2, retries = 2, op_codes = "all",
  coalesce = false, hosts = false, zone = {}, cache = 0,
  quiet = 0, verbose = 0, flow_detail = 1, log_json = false, anonymize = false,
  metrics = false, dnstap = false, dnstap_identity = false,
  allow = {}, rate_limit = false, rate_limit_action = "truncate", rebind_protection = false, rebind_allow = {},
  hook_timeout = 1, jit = false, script_memory = 1024, shared_memory = 64,
  held_max = 10000, held_memory = 64, held_timeout = 60,
  flows_max = 65536, flows_memory = 128, tcp_connections = 10000, tcp_connections_per_client = 1000, tcp_pipeline = 256,
  tcp_memory = 64, tcp_idle_timeout = 10,
  workers = 1, user = false, group = false,
}

local SHARED_BYTES = 64 * 2 ^ 20

-- Nobody else sees `shared` and `metrics`.
local function globals(self)
  local function run(f)
    local finished, reason = clock.call(explain, f)
    if not finished then self.write(3, reason) end
  end
  return {
    sleep = clock.sleep, timer = clock.timers(run), http = web.library, shared = internal.shared(SHARED_BYTES, clock.now),
    metrics = internal.metrics(),
  }
end

-- A relative path is looked for beside the file that the test is in, then in the working directory.
local function find(path)
  local level, info = 2, nil
  repeat
    level = level + 1
    info = getinfo(level, "S")
  until not info or sub(info.source, 1, 1) == "@"
  local folder = info and match(info.source, "^@(.*/)")
  if sub(path, 1, 1) == "/" or not folder then return path end
  local beside, count = folder .. path, nil
  repeat beside, count = gsub(beside, "[^/]+/%.%./", function(part) return part ~= "../../" and "" or nil end, 1) until count == 0
  local file = open_file(beside, "rb")
  if not file then return path end
  file:close()
  return beside
end

local function new_addon()
  local of_level = { debug = {}, info = {}, warn = {}, error = {} }
  local log = setmetatable({}, { __index = of_level })
  local function write(level, text)
    log[#log + 1] = text
    insert(of_level[levels[level]], text)
  end
  local self = setmetatable({ log = log, write = write, addons = {} }, Addon)
  if internal.on_addon then internal.on_addon(self) end
  return self
end

--- test.load(path [, options]): loads a script as the proxy would (load, configure with these options, running) and gives
-- an addon. addon.log is an array of the texts that were logged; addon.log.debug, .info, .warn and .error are arrays of
-- those of one level. addon.globals is the script's environment; its `shared` begins empty. Raises what loading raises. A
-- relative path is looked for beside the file that calls this, then in the working directory.
function test.load(path, given)
  if type(path) ~= "string" then expected("test.load", "path", path) end
  if given ~= nil and type(given) ~= "table" then expected("test.load: options", "table", given) end
  path = find(path)
  local set = options.new(proxy_options, {})
  set.assigned = given or {}
  local self = new_addon()
  local function write(level, text) self.write(level, text) end
  function set.configure(updated) strictly(self, "configure", updated) end
  internal.say = function(text)
    write(1, text)
    if internal.on_say then internal.on_say(text) end
  end
  local loaded = clock.refuse("cannot wait while the script is loaded; running() can", script.load, path, {
    read = read, log = write, log_level = 0, options = set.view, persisted = {}, globals = globals(self), now = clock.time,
  })
  self.globals = loaded.environment
  self.options = set.view
  self.addons = script.addons(loaded)
  strictly(self, "load", set:loader(path))
  local reason = set:check_assigned()
  if reason then error("test.load: " .. reason, 2) end
  strictly(self, "configure", set:all())
  self.addons = script.addons(loaded)
  begin_running(self)
  self.addons = script.addons(loaded)
  return self
end

internal.proxy_options, internal.script_globals, internal.read = proxy_options, globals, read
internal.lib("dns.expect")(test)

return test
