-- What surrounds a script: its environment, its own `require`, and which of its functions are hooks. The engine and
-- dns.test both load scripts through here. `host` is what they lend to a script:
--   read(path)         the file's text, or nil and the reason
--   log(level, text)   level 0 (debug) to 3 (error); log_level: the least one that is wanted
--   options            what ctx.options is
--   persisted          a table that outlives reloads
--   globals            further globals (sleep, timer, shared)
--   is_cut_off()       whether the guard has cut off what runs (the engine alone)
local internal = ...

local script = {}

script.hooks = {
  "dns_request", "dns_response", "dns_error", "load", "configure", "running", "done", "client_connected",
  "client_disconnected",
}

local is_hook = {}
for _, name in ipairs(script.hooks) do is_hook[name] = true end

-- The folder part of a path, with its final slash; "" for the working directory.
local function folder_of(path) return path:match("^(.*/)") or "" end

local function make_log(host)
  local function writer(level)
    return function(format, ...)
      if level < host.log_level then return end
      local text
      if select("#", ...) > 0 then text = string.format(format, ...) else text = tostring(format) end
      host.log(level, text)
    end
  end
  local function print(...)
    local words = { ... }
    for i = 1, select("#", ...) do words[i] = tostring(words[i]) end
    host.log(1, table.concat(words, "\t"))
  end
  return { debug = writer(0), info = writer(1), warn = writer(2), error = writer(3) }, print
end

local function make_persist(host, path)
  return function(name, initial)
    if type(name) ~= "string" then error("persist: name expected, got " .. type(name), 2) end
    if initial ~= nil and type(initial) ~= "table" then error("persist: table expected, got " .. type(initial), 2) end
    local kept = host.persisted[path] or {}
    host.persisted[path] = kept
    if kept[name] == nil then kept[name] = initial or {} end
    return kept[name]
  end
end

-- Compiles text; Lua's byte code is not checked by LuaJIT, so only text is taken.
local function compile(text, name, environment)
  return load(text:gsub("^\239\187\191", ""):gsub("^#[^\n]*", ""), name, "t", environment)
end

-- What `require` finds before anything of the script's own: the modules that belong to LuaJIT and to moondns.
local function is_builtin(name) return name == "dns" or name:find("^dns%.") or internal.builtin[name] end

local LOADING = {}

-- Modules of the script's own folder are loaded into the script's environment, once for each time the script is loaded;
-- others are shared by all scripts.
local function make_require(host, path, environment)
  local own = folder_of(path)
  local templates = own .. "?.lua;" .. own .. "?/init.lua"
  local loaded = {}
  local package_view = setmetatable({ loaded = setmetatable({}, {
    __index = function(_, name)
      local module = loaded[name]
      if module == nil or module == LOADING then module = package.loaded[name] end
      return module
    end,
    __newindex = function(_, name, module) loaded[name] = module end,
  }) }, { __index = package, __newindex = package })

  local function find_own(name)
    for template in templates:gmatch("[^;]+") do
      local file = template:gsub("%?", (name:gsub("%.", "/")))
      local text = host.read(file)
      if text then return file, text end
    end
  end

  local function require_own(name)
    if type(name) ~= "string" then error("require: name expected, got " .. type(name), 2) end
    local module = loaded[name]
    if module == LOADING then error("loop or previous error loading module '" .. name .. "'", 2) end
    if module ~= nil then return module end
    if is_builtin(name) then return require(name) end
    local file, text = find_own(name)
    if not file then return require(name) end
    local chunk, reason = compile(text, "@" .. file, environment)
    if not chunk then error(reason, 0) end
    loaded[name] = LOADING
    local result = chunk(name, file)
    if result ~= nil then loaded[name] = result end
    if loaded[name] == LOADING then loaded[name] = true end
    return loaded[name]
  end
  return require_own, package_view
end

-- Chunks that a script compiles itself belong to its environment.
local function make_loaders(environment)
  local function text_of(source)
    if type(source) ~= "function" then return source end
    local parts = {}
    for part in source do
      if part == "" then break end
      parts[#parts + 1] = part
    end
    return table.concat(parts)
  end
  local function load_text(source, name, _, given)
    source = text_of(source)
    return load(source, name or source, "t", given or environment)
  end
  local function load_file(file)
    local handle, reason = io.open(file, "rb")
    if not handle then return nil, reason end
    local text = handle:read("*a")
    handle:close()
    return compile(text, "@" .. file, environment)
  end
  local function do_file(file)
    local chunk, reason = load_file(file)
    if not chunk then error(reason, 2) end
    return chunk()
  end
  return load_text, load_file, do_file
end

local function exit() error("os.exit: a script does not end the proxy", 2) end

-- What a script sees. Its own globals are the environment's raw keys; all else comes from behind.
function script.environment(path, host)
  local environment, behind = {}, {}
  for name, value in pairs(_G) do behind[name] = value end
  behind._G = environment
  behind.dns = require "dns"
  behind.log, behind.print = make_log(host)
  behind.ctx = { options = host.options }
  behind.persist = make_persist(host, path)
  behind.require, behind.package = make_require(host, path, environment)
  behind.load, behind.loadfile, behind.dofile = make_loaders(environment)
  behind.loadstring = behind.load
  behind.os = setmetatable({ exit = exit }, { __index = os })
  behind.newproxy = nil
  for name, value in pairs(host.globals or {}) do behind[name] = value end
  environment.dns = behind.dns -- what every query looks up lies nearest
  return setmetatable(environment, { __index = setmetatable(behind, { __index = _G }) })
end

-- Functions that look like a misspelt hook.
local LONG_ENOUGH = 7 -- names like `load` are near to too many words
local also_known = { request = "dns_request", response = "dns_response", on_request = "dns_request", on_response = "dns_response" }

local function warn_misspelt(host, path, functions, what)
  local names = {}
  for name, value in pairs(functions) do
    if type(name) == "string" and type(value) == "function" and not is_hook[name] then names[#names + 1] = name end
  end
  table.sort(names)
  for _, name in ipairs(names) do
    local near = also_known[name] or internal.nearest(name, script.hooks)
    if near and #near >= LONG_ENOUGH and rawget(functions, near) == nil then
      host.log(2, string.format("%s: %s '%s' is no hook: did you mean '%s'?", path, what, name, near))
    end
  end
end

-- The hooks of one addon, or nil when it has none.
local function hooks_of(source, get, self)
  local found = { self = self }
  local any = false
  for _, name in ipairs(script.hooks) do
    local value = get(source, name)
    if type(value) == "function" then
      found[name] = value
      any = true
    end
  end
  return any and found or nil
end

local function index(source, name) return source[name] end

-- The addons of a loaded script: arrays of {self = table or nil, HOOK = function, …}. To be asked again whenever the
-- script may have defined more.
function script.addons(loaded)
  local addons = {}
  addons[1] = hooks_of(loaded.environment, rawget)
  local returned = loaded.returned
  if returned ~= nil then
    addons[#addons + 1] = hooks_of(returned, index, returned)
    for _, addon in ipairs(returned) do addons[#addons + 1] = hooks_of(addon, index, addon) end
  end
  return addons
end

local function check_returned(path, returned)
  if returned == nil then return end
  if type(returned) ~= "table" then
    error(path .. ": a script returns a table of hooks, or nothing; got " .. type(returned), 0)
  end
  for i, addon in ipairs(returned) do
    if type(addon) ~= "table" then
      error(string.format("%s: table of hooks expected as element %d of what it returns, got %s", path, i, type(addon)), 0)
    end
  end
end

-- Takes from the process what would end it or defeat the engine: what scripts share, modules from elsewhere included.
-- Finalizers (newproxy) would raise where nobody catches.
function script.harden(host, jit_is_on)
  os.exit = exit
  newproxy = nil
  local log, print = make_log(host)
  _G.print = print
  internal.say = log.info
  local closed = { "sethook", "getregistry", "setmetatable", "setfenv", "getfenv", "setuservalue", "getuservalue" }
  for _, name in ipairs(closed) do debug[name] = nil end
  debug.getmetatable = getmetatable
  if not jit_is_on then
    -- A handler is called where the error was raised; where that was the guard, nothing could cut the handler off.
    local call, is_cut_off = xpcall, host.is_cut_off
    function _G.xpcall(f, handler, ...)
      return call(f, function(reason)
        if is_cut_off() then return reason end
        return handler(reason)
      end, ...)
    end
    jit.on = function() error("jit.on: LuaJIT's compiler is turned on with --jit", 2) end
  end
end

-- Runs the file once. Raises what goes wrong, with its place.
function script.load(path, host)
  local text, reason = host.read(path)
  if not text then error(path .. ": " .. tostring(reason), 0) end
  local environment = script.environment(path, host)
  local chunk, fault = compile(text, "@" .. path, environment)
  if not chunk then error(fault, 0) end
  local returned = chunk()
  check_returned(path, returned)
  warn_misspelt(host, path, environment, "global function")
  if returned then
    warn_misspelt(host, path, returned, "function")
    for _, addon in ipairs(returned) do warn_misspelt(host, path, addon, "function") end
  end
  return { path = path, environment = environment, returned = returned }
end

return script
