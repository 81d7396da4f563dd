-- require "dns.test": unit tests for scripts, under busted or any other framework, without a proxy.
--
--   local test = require "dns.test"
--   local addon = test.load("spoof.lua", { target = "192.0.2.1" })
--   local flow = addon:run(test.flow { name = "example.com", type = "A" })
--   assert.equals("192.0.2.1", flow.response.answers[1].ipv4_address)
local internal = ...
local dns = require "dns"
local script = internal.lib("dns.script")
local options = internal.lib("dns.options")

local test = {}

local levels = { [0] = "debug", "info", "warn", "error" }

-- What the upstream would say to a flow: {response = m} or {error = text}; nothing: it is not asked.
local upstreams = setmetatable({}, { __mode = "k" })

-- --- flows ---

local flow_keys = { "name", "type", "class_", "request", "answers", "response", "error", "client", "server" }

local function check_keys(given, known, what)
  local names = {}
  for _, name in ipairs(known) do names[name] = true end
  for key in pairs(given) do
    if not names[key] then
      local near = internal.nearest(tostring(key), known)
      error(string.format("%s has no '%s'%s", what, tostring(key), near and " (did you mean '" .. near .. "'?)" or ""), 3)
    end
  end
end

-- "192.0.2.1", "192.0.2.1:4000", "[2001:db8::1]:4000" or a table as of flow.client_conn.
local function connection(given, default)
  if given == nil then return default end
  if type(given) ~= "string" then return given end
  local address, port = given:match("^%[(.*)%]:(%d+)$")
  if not address then address, port = given:match("^([^:]*):(%d+)$") end
  return { address = address or given, port = tonumber(port) or default.port, transport = "udp" }
end

local function expected(what, words, given)
  error(string.format("%s: %s expected, got %s", what, words, type(given) == "string" and "'" .. given .. "'" or tostring(given)), 3)
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
-- asked, `error` how it fails; without any of them the flow ends as it would be forwarded. `client` is an address, with or
-- without a port.
function test.flow(given)
  if type(given) ~= "table" or dns.typeof(given) then expected("test.flow", "table", given) end
  check_keys(given, flow_keys, "test.flow")
  local request = given.request
  if not request then
    if not given.name then error("test.flow: name expected, got nil", 2) end
    request = dns.DNSMessage.make_query(given.name, given.type or "A", given.class_)
  end
  local flow = dns.DNSFlow { request = request }
  internal.prepare(flow, {
    live = true,
    client = connection(given.client, { address = "127.0.0.1", port = 40000, transport = "udp" }),
    server = {},
  })
  local upstream = { error = given.error, response = given.response, server = connection(given.server,
    { address = "192.0.2.53", port = 53, transport = "udp" }) }
  if given.answers ~= nil and type(given.answers) ~= "table" then expected("test.flow: answers", "array", given.answers) end
  if given.answers then upstream.answers = records(given.answers) end
  upstreams[flow] = upstream
  return flow
end

-- --- addons ---

local Addon = {}
Addon.__index = Addon

-- The traceback without what is not the script's.
local function traceback(reason)
  if type(reason) ~= "string" then
    local fine, text = pcall(tostring, reason)
    reason = fine and text or "(the error is a " .. type(reason) .. " whose __tostring fails)"
  end
  return (debug.traceback(reason, 2):gsub("\n\tdns%.%a+:[^\n]*", ""))
end

local function call(self, hook, argument)
  for _, addon in ipairs(self.addons) do
    local function_ = addon[hook]
    if function_ then
      local finished, reason = xpcall(function()
        if addon.self then function_(addon.self, argument) else function_(argument) end
      end, traceback)
      if not finished then self.write(3, reason) end
    end
  end
end

-- The upstream is asked: true when it answers.
local function ask(flow)
  local upstream = upstreams[flow] or {}
  if not upstream.answers and not upstream.response and not upstream.error then return false end
  local server = upstream.server
  local chosen = flow.server_conn and flow.server_conn.peername
  if chosen then server = { address = chosen[1], port = chosen[2], transport = "udp" } end
  internal.prepare(flow, { server = server })
  if upstream.error then
    flow.error = upstream.error
  else
    flow.response = upstream.response or flow.request:succeed(upstream.answers)
  end
  return true
end

--- addon:run(flow): takes the flow through the request, response and error hooks, as the proxy would, and gives it back.
-- A flow that a hook holds (flow:intercept) comes back before it is asked or answered.
function Addon:run(flow)
  if dns.typeof(flow) ~= "DNSFlow" then expected("addon:run", "DNSFlow", flow) end
  if not flow.live then error("addon:run: the flow has ended (test.flow makes one)", 2) end
  local function hook(name)
    internal.prepare(flow, { hook = name })
    call(self, name, flow)
    return flow.live and not flow.intercepted
  end
  if not hook("dns_request") then return flow end
  if not flow.error and not flow.response and not ask(flow) then
    internal.prepare(flow, { live = false })
    return flow
  end
  if not flow.error and flow.response and not hook("dns_response") then return flow end
  if flow.error then
    local before = flow.response
    if not hook("dns_error") then return flow end
    if not flow.response or rawequal(flow.response, before) then flow.response = flow.request:fail("SERVFAIL") end
  end
  internal.prepare(flow, { live = false })
  return flow
end

--- addon:call(hook, argument): calls one hook, as "done" or "client_connected".
function Addon:call(hook, argument) call(self, hook, argument) end

-- An error of loading is the test's.
local function strictly(self, hook, argument)
  for _, addon in ipairs(self.addons) do
    if addon[hook] and addon.self then
      addon[hook](addon.self, argument)
    elseif addon[hook] then
      addon[hook](argument)
    end
  end
end

local function read(path)
  local file, reason = io.open(path, "rb")
  if not file then return nil, (reason:gsub("^.-: ", "")) end
  local text, fault = file:read("*a")
  file:close()
  return text, fault
end

-- The proxy's own options, which a script may read but not declare; they are as when nothing is given.
local proxy_options = {
  script = {}, set = {}, listen = { "127.0.0.1:5300" }, upstream = {}, timeout = 2, retries = 2, op_codes = "all", hosts = false, zone = {},
  cache = 0, workers = 1, hook_timeout = 1, jit = false, script_memory = 1024, shared_memory = 64, held_max = 10000,
  held_timeout = 60, no_reload = false, quiet = 0, verbose = 0, flow_detail = 1, log_json = false, metrics = false, user = false,
  group = false,
}

-- Nothing is ever kept in a test.
if not dns.cache then
  dns.cache = { flush = function() return 0 end }
end

local SHARED_BYTES = 64 * 2 ^ 20

-- Waiting takes no time in a test; timers never fire; nobody else sees `shared`.
local function globals()
  local function timer() return { cancel = function() end } end
  return { sleep = function() end, timer = { after = timer, every = timer }, shared = internal.shared(SHARED_BYTES) }
end

--- test.load(path [, options]): loads a script as the proxy would (load, configure with these options, running) and gives
-- an addon. addon.log is an array of the texts that were logged; addon.log.debug, .info, .warn and .error are arrays of
-- those of one level. addon.globals is the script's environment; its `shared` begins empty. Raises what loading raises.
function test.load(path, given)
  if type(path) ~= "string" then expected("test.load", "path", path) end
  if given ~= nil and type(given) ~= "table" then expected("test.load: options", "table", given) end
  local of_level = { debug = {}, info = {}, warn = {}, error = {} }
  local log = setmetatable({}, { __index = of_level })
  local function write(level, text)
    log[#log + 1] = text
    table.insert(of_level[levels[level]], text)
  end
  local set = options.new(proxy_options, {})
  set.assigned = given or {}
  local self = setmetatable({ log = log, write = write, addons = {} }, Addon)
  function set.configure(updated) strictly(self, "configure", updated) end
  internal.say = function(text) write(1, text) end
  local loaded = script.load(path, {
    read = read, log = write, log_level = 0, options = set.view, persisted = {}, globals = globals(),
  })
  self.globals = loaded.environment
  self.options = set.view
  self.addons = script.addons(loaded)
  strictly(self, "load", set:loader(path))
  local reason = set:check_assigned()
  if reason then error("test.load: " .. reason, 2) end
  strictly(self, "configure", set:all())
  self.addons = script.addons(loaded)
  strictly(self, "running")
  self.addons = script.addons(loaded)
  return self
end

return test
