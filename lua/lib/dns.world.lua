-- What is around a script under test: the upstream, and what scripts ask of it.
local internal = ...
local dns = require "dns"
local clock = internal.lib("dns.clock")
local expected = internal.lib("dns.expected")

local world = { upstream = nil } -- what test.upstream made; nil: none

local TIMEOUT, TRIES = 2, 3 -- the proxy's, when nothing is given
local QUESTIONS_MAX = 1000  -- of one resolve_all

--- Raises for a key of the table that is no name in `known`.
function world.check_keys(given, known, what, level)
  local names = {}
  for _, name in ipairs(known) do names[name] = true end
  for key in pairs(given) do
    if not names[key] then
      local near = internal.nearest(tostring(key), known)
      error(string.format("%s has no '%s'%s", what, tostring(key), near and " (did you mean '" .. near .. "'?)" or ""), level + 1)
    end
  end
end

-- Waits where a task runs; where none does, the time moves on.
local function pass(seconds)
  if clock.is_running() then
    clock.wait(function(awake) clock.after(seconds, awake) end)
  else
    clock.advance(seconds)
  end
end

--- Asks the upstream: the response, or nil and the reason. `timeout`: seconds in all, where they are given.
function world.ask(request, server, timeout)
  if not world.upstream then return nil, "no upstream" end
  local response = world.upstream:answer(request, server)
  if not response then
    pass(timeout or TIMEOUT * TRIES)
    return nil, "time-out"
  end
  response.timestamp = clock.time()
  return response
end

-- --- dns.resolve, dns.resolve_all ---

local option_names = { "server", "timeout", "class_" }

local function check_options(what, given, level)
  if given == nil then return {} end
  if type(given) ~= "table" then expected(what, "table", given, level + 1) end
  local timeout = given.timeout
  if timeout ~= nil and (type(timeout) ~= "number" or not (timeout > 0)) then
    expected(what .. ": timeout", "seconds (more than 0)", timeout, level + 1)
  end
  return given
end

local function server_text(server)
  if type(server) == "table" then return server[1] .. (server[2] and ":" .. server[2] or "") end
  return server
end

local function make_query(what, name, type_, options, level)
  local fine, query = pcall(dns.DNSMessage.make_query, name, type_, options.class_)
  if fine then return query end
  error((tostring(query):gsub("^.-Question[%w_.]*", what):gsub("^.-DNSMessage[%w_.]*", what)), level + 1)
end

local function resolve(name, type_, given)
  local options = check_options("dns.resolve", given, 2)
  world.check_keys(options, option_names, "dns.resolve", 2)
  local query = make_query("dns.resolve", name, type_, options, 2)
  if clock.is_running() or clock.is_refused() then clock.check_wait("dns.resolve", 2) end
  return world.ask(query, server_text(options.server), options.timeout)
end

-- One of resolve_all's questions, {name, type [, server =, timeout =, class_ =]}: the query, the server, the timeout.
local function prepare(question, place, defaults)
  if type(question) ~= "table" then expected(place, "{name, type}", question, 3) end
  local own = setmetatable({}, { __index = defaults })
  for key, value in pairs(question) do
    if type(key) == "string" then own[key] = value end
  end
  world.check_keys(own, option_names, place, 3)
  check_options(place, own, 3)
  return { make_query(place, question[1], question[2], own, 3), server_text(own.server), own.timeout }
end

-- All are asked at once: what times out takes as long as the longest.
local function resolve_all(questions, given)
  local what = "dns.resolve_all"
  if type(questions) ~= "table" then expected(what, "table", questions) end
  local defaults = check_options(what, given, 2)
  world.check_keys(defaults, option_names, what, 2)
  if #questions > QUESTIONS_MAX then error(what .. ": at most " .. QUESTIONS_MAX .. " questions at once", 2) end
  local asked = {}
  for i, question in ipairs(questions) do asked[i] = prepare(question, what .. ": question " .. i, defaults) end
  if clock.is_running() or clock.is_refused() then clock.check_wait(what, 2) end
  local results, reasons, longest = {}, {}, 0
  for i, one in ipairs(asked) do
    local response = world.upstream and world.upstream:answer(one[1], one[2])
    if response then
      response.timestamp = clock.time()
      results[i] = response
    else
      reasons[i] = world.upstream and "time-out" or "no upstream"
      if world.upstream then longest = math.max(longest, one[3] or TIMEOUT * TRIES) end
    end
  end
  if longest > 0 then pass(longest) end
  return results, reasons
end

-- The proxy has its own.
if not dns.resolve then
  dns.resolve, dns.resolve_all = resolve, resolve_all
end

-- Nothing is ever kept in a test.
if not dns.cache then
  dns.cache = { flush = function() return 0 end }
end

return world
