-- Loading a script, and which of its functions are hooks. The engine and dns.test both load scripts through here.
-- `host` is what they lend to a script:
--   read(path)         the file's text, or nil and the reason
--   log(level, text)   level 0 (debug) to 3 (error); log_level: the least one that is wanted
--   options            what ctx.options is
--   persisted          a table that outlives reloads
--   globals            further globals (sleep, timer, shared)
--   now()              the Unix time that os.time tells, where that is not the system's
-- and the engine alone:
--   is_cut_off()       whether the guard has cut off what runs
--   looked_into()      says that variables of functions that run have been looked at
--   coroutines         those that hooks run in, as keys
--   rewrites           what hooks are given that are rewritten (dns.rewrite), where hooks are compiled
local internal = ...
local error, getfenv, ipairs, load, next, rawget = error, getfenv, ipairs, load, next, rawget
local setfenv, tostring, type = setfenv, tostring, type
local coroutine, debug = coroutine, debug
local dump, find, format, sort = string.dump, string.find, string.format, table.sort
local get_upvalue, join_upvalues, huge = debug.getupvalue, debug.upvaluejoin, math.huge
local environment = internal.lib("dns.environment")

local script = {}

local rewrites -- what the host says

script.hooks = {
  "dns_request", "dns_response", "dns_error", "load", "configure", "running", "done", "client_connected",
  "client_disconnected",
}

local of_flows = { "dns_request", "dns_response", "dns_error" }

local is_hook = {}
for _, name in ipairs(script.hooks) do is_hook[name] = true end

-- --- what looks like a mistake ---

local LONG_ENOUGH = 7 -- names like `load` are near to too many words
local also_known = { request = "dns_request", response = "dns_response", on_request = "dns_request", on_response = "dns_response" }

-- Functions that look like a misspelt hook.
local function warn_misspelt(host, path, functions, what)
  local names = {}
  for name, value in next, functions do
    if type(name) == "string" and type(value) == "function" and not is_hook[name] then names[#names + 1] = name end
  end
  sort(names)
  for _, name in ipairs(names) do
    local near = also_known[name] or internal.nearest(name, script.hooks)
    if near and #near >= LONG_ENOUGH and rawget(functions, near) == nil then
      host.log(2, format("%s: %s '%s' is no hook: did you mean '%s'?", path, what, name, near))
    end
  end
end

-- Hooks that are none: a name like `running` may be anything, these are nothing else.
local function warn_uncallable(host, path, functions, what)
  for _, name in ipairs(script.hooks) do
    local value = functions[name]
    if value ~= nil and type(value) ~= "function" and (find(name, "^dns_") or find(name, "^client_")) then
      host.log(2, format("%s: %s '%s' is a %s, not a function: it is never called", path, what, name, type(value)))
    end
  end
end

-- The hooks of one addon, or nil when it has none.
local function hooks_of(functions, self)
  local found = { self = self }
  local any = false
  for _, name in ipairs(script.hooks) do
    local value = functions[name]
    if type(value) == "function" then
      found[name] = value
      any = true
    end
  end
  return any and found or nil
end

-- What the script itself has made global.
local function own_globals(loaded)
  local own = {}
  for name, value in next, loaded.environment do
    if value ~= loaded.inherited[name] then own[name] = value end
  end
  return own
end

-- The tables that hold addons, with what they are called: what the script returns, and `addons`, global or returned.
local function lists_of(loaded, own)
  local lists = {}
  local function add(list, name)
    if type(list) == "table" then lists[#lists + 1] = { list = list, name = name } end
  end
  add(loaded.returned, "what it returns")
  add(loaded.returned and rawget(loaded.returned, "addons"), "the 'addons' it returns")
  add(own.addons, "'addons'")
  return lists
end

-- A function of the same code that shares the other's variables, and goes on to do so (dns.environment).
local function copy_of(f)
  local copy = load(dump(f), "", "b")
  for i = 1, huge do
    if not get_upvalue(f, i) then break end
    join_upvalues(copy, i, f, i)
  end
  environment.copies[f], environment.originals[copy] = copy, f
  return setfenv(copy, getfenv(f))
end

-- The copy of the hook that is compiled: its own code, or where nobody can tell the difference one that is faster.
local function compiled_of(f, parameter)
  local copy = copy_of(f)
  if not rewrites then return copy end
  rewrites.view, rewrites.tables = environment.dns()
  local chosen, other = internal.once "dns.rewrite"(f, copy, parameter, rewrites)
  if chosen then environment.originals[chosen], environment.originals[other] = f, f end
  return chosen or copy
end

-- Notes whether the addon's hooks may keep something of the flows that they are given (`keeps`), and where dns_request
-- can be compiled a copy of it for that, whether that looks at the records of its answers (`compiled`, `shares`; see dns.keeps).
-- Nobody but the engine has the copy, so that it cannot call itself: what is compiled cannot be cut off.
local function look_into(addon)
  local look = internal.once("dns.keeps")
  local parameter = addon.self and 2 or 1
  for _, name in ipairs(of_flows) do
    local found = addon[name] and look(addon[name], parameter)
    addon.keeps = addon.keeps or found and found.keeps
    if name == "dns_request" and found and found.ends and found.copied then
      addon.compiled, addon.shares = compiled_of(addon[name], parameter), found.shares
    end
  end
end

-- The addons of a loaded script: arrays of {self = table or nil, HOOK = function, …} and what look_into notes, each table
-- once. To be asked again whenever the script may have defined more.
function script.addons(loaded)
  local own, seen, addons = own_globals(loaded), {}, {}
  addons[1] = hooks_of(own)
  local function add(addon)
    if type(addon) ~= "table" or seen[addon] then return end
    seen[addon] = true
    addons[#addons + 1] = hooks_of(addon, addon)
  end
  for _, entry in ipairs(lists_of(loaded, own)) do
    add(entry.list)
    for _, addon in ipairs(entry.list) do add(addon) end
  end
  for _, addon in ipairs(addons) do look_into(addon) end
  return addons
end

local function warn(host, loaded)
  local path, own = loaded.path, own_globals(loaded)
  warn_misspelt(host, path, own, "global function")
  warn_uncallable(host, path, own, "global")
  for _, entry in ipairs(lists_of(loaded, own)) do
    warn_misspelt(host, path, entry.list, "function")
    warn_uncallable(host, path, entry.list, "field")
    for i, addon in ipairs(entry.list) do
      if type(addon) ~= "table" then
        host.log(2, format("%s: element %d of %s is a %s, not a table of hooks", path, i, entry.name, type(addon)))
      else
        warn_misspelt(host, path, addon, "function")
        warn_uncallable(host, path, addon, "field")
        if not hooks_of(addon) then host.log(2, format("%s: element %d of %s has no hooks", path, i, entry.name)) end
      end
    end
  end
end

local function check_returned(path, returned)
  if returned == nil then return end
  if type(returned) ~= "table" then
    error(path .. ": a script returns a table of hooks, or nothing; got " .. type(returned), 0)
  end
  for i, addon in ipairs(returned) do
    if type(addon) ~= "table" then
      error(format("%s: table of hooks expected as element %d of what it returns, got %s", path, i, type(addon)), 0)
    end
  end
end

-- --- loading ---

-- The engine alone goes on with hooks that wait, and knows who else got hold of what is in their variables (dns.keeps).
local function guard_hooks(host)
  local resume, get, set, info = coroutine.resume, debug.getlocal, debug.setlocal, debug.getinfo
  local originals, copies = environment.originals, environment.copies
  local is_hooks, set_upvalue = host.coroutines, debug.setupvalue
  function coroutine.resume(co, ...)
    if is_hooks[co] then return false, "cannot resume what a hook runs in: it goes on when its wait is over" end
    return resume(co, ...)
  end
  function debug.getlocal(...)
    host.looked_into()
    return get(...)
  end
  function debug.setlocal(...)
    host.looked_into()
    return set(...)
  end
  -- Of functions that have a copy nobody sees but the function itself.
  function debug.getinfo(what, ...)
    local found = info(type(what) == "number" and what + 1 or what, ...)
    if found and found.func then found.func = originals[found.func] or found.func end
    return found
  end
  function debug.setupvalue(...)
    host.looked_into()
    return set_upvalue(...)
  end
  function debug.upvaluejoin(f, n, ...)
    host.looked_into()
    if copies[f] then join_upvalues(copies[f], n, ...) end
    return join_upvalues(f, n, ...)
  end
end

-- LuaJIT's compiler, which is for copies of hooks alone (dns.compiled).
local function guard_compiler()
  jit.on = function() error("jit.on: LuaJIT's compiler is turned on with --jit", 2) end
  jit.attach = function() error("jit.attach: what LuaJIT's compiler does is told with --jit alone", 2) end
  -- Of byte code that is loaded nobody is told.
  for _, name in ipairs { "load", "loadstring", "loadfile" } do
    local load_any = _G[name]
    _G[name] = function(...)
      local chunk, reason = load_any(...)
      if chunk then jit.off(chunk, true) end
      return chunk, reason
    end
  end
  local load_file = _G.loadfile
  function _G.dofile(path)
    local chunk, reason = load_file(path)
    if not chunk then error(reason, 0) end
    return chunk()
  end
end

-- Takes from the process what would end it or defeat the engine: what scripts share, modules from elsewhere included.
function script.harden(host, jit_is_on)
  os.exit = environment.exit
  newproxy = nil
  local log, print = environment.make_log(host)
  _G.print = print
  internal.say = log.info
  debug.getmetatable("").__metatable = environment.string_metatable(string)
  for _, name in ipairs(environment.closed) do debug[name] = nil end
  debug.getmetatable = getmetatable
  rewrites = host.rewrites
  if rewrites then
    rewrites.plain = { load = load, setupvalue = debug.setupvalue, upvaluejoin = debug.upvaluejoin }
  end
  guard_hooks(host)
  if not jit_is_on then
    -- A handler is called where the error was raised; where that was the guard, nothing could cut the handler off.
    local call, is_cut_off = xpcall, host.is_cut_off
    function _G.xpcall(f, handler, ...)
      return call(f, function(reason)
        if is_cut_off() then return reason end
        return handler(reason)
      end, ...)
    end
    guard_compiler()
  end
end

-- Runs the file once. Raises what goes wrong, with its place.
function script.load(path, host)
  local text, reason = host.read(path)
  if not text then error(path .. ": " .. tostring(reason), 0) end
  local globals, inherited = environment.new(path, host)
  local chunk, fault = environment.compile(text, path, globals)
  if not chunk then error(fault, 0) end
  local loaded = { path = path, environment = globals, inherited = inherited, returned = chunk() }
  check_returned(path, loaded.returned)
  warn(host, loaded)
  return loaded
end

return script
