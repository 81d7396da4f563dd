-- What a script sees: an environment of its own, with copies of the standard libraries, so that whatever it sets there
-- is its own affair; `dns`, which all have in common, cannot be set. `host` is as in dns.script.
local internal = ...
local real = _G
local debug, error, getfenv, getmetatable = debug, error, getfenv, getmetatable
local io, ipairs, load, next, package = io, ipairs, load, next, package
local pcall, rawget, rawset, require, select = pcall, rawget, rawset, require, select
local setfenv, setmetatable = setfenv, setmetatable
local tostring, type = tostring, type
local find, format, gsub, match, sub = string.find, string.format, string.gsub, string.match, string.sub
local concat, floor = table.concat, math.floor
local metatable_of, info_of = debug.getmetatable, debug.getinfo

local environment = {}

-- What all scripts would share through it, or what would defeat the engine. Finalizers (newproxy) would raise where
-- nobody catches.
environment.closed = { "sethook", "getregistry", "setmetatable", "setfenv", "getfenv", "setuservalue", "getuservalue" }

-- Functions that there are two of (dns.script): the copy of each, and the other way round.
environment.copies = setmetatable({}, { __mode = "kv" })
environment.originals = setmetatable({}, { __mode = "kv" })

local libraries = { "string", "table", "math", "os", "io", "coroutine", "debug", "bit", "jit" }

local function copy_of(source)
  local copy = {}
  for name, value in next, source do copy[name] = value end
  return setmetatable(copy, metatable_of(source))
end

-- --- log, persist ---

local function formatted(name, ...)
  local fine, text = pcall(format, ...)
  if fine then return text end
  if type(text) == "string" and (find(text, "^bad argument") or find(text, "^invalid option")) then
    error((gsub(text, "to '.-'", "to '" .. name .. "'", 1)), 3)
  end
  error(text, 0)
end

function environment.make_log(host)
  local function writer(level, name)
    return function(text, ...)
      if level < host.log_level then return end
      if select("#", ...) > 0 then text = formatted(name, text, ...) else text = tostring(text) end
      host.log(level, text)
    end
  end
  local function print(...)
    local words = { ... }
    for i = 1, select("#", ...) do words[i] = tostring(words[i]) end
    host.log(1, concat(words, "\t"))
  end
  return { debug = writer(0, "debug"), info = writer(1, "info"), warn = writer(2, "warn"), error = writer(3, "error") }, print
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

-- --- dns ---

local names_of_views = setmetatable({}, { __mode = "k" })

local function refuse_set(view, key, level) error(names_of_views[view] .. "." .. tostring(key) .. ": cannot be set", level + 1) end

-- A view of a table that scripts cannot write to. `fields`: what it reads, where that is not the table itself.
local function read_only(name, source, fields)
  local meta = metatable_of(source)
  local view = {}
  names_of_views[view] = name
  return setmetatable(view, {
    __index = fields or source,
    __newindex = function(_, key) refuse_set(view, key, 2) end,
    __call = meta and meta.__call,
    __metatable = meta and meta.__metatable or name,
    __pairs = function()
      local all = {}
      for key in next, source do all[key] = (fields or source)[key] end
      return next, all, nil
    end,
  })
end

local dns_view
local dns_tables = {}

local function view_of_dns()
  if dns_view then return dns_view end
  local dns = require "dns"
  local fields = {}
  for name, value in next, dns do
    if type(value) == "table" then
      fields[name] = read_only("dns." .. name, value)
      dns_tables[fields[name]] = value
    end
  end
  dns_view = read_only("dns", dns, setmetatable(fields, { __index = dns }))
  return dns_view
end

-- What scripts have as `dns`, and the tables that it holds as it shows them, each with what it shows.
function environment.dns() return view_of_dns(), dns_tables end

-- As ever, but for what cannot be set: what all scripts have in common, and compiled hooks know by heart.
local function rawset_of(target, key, value)
  if names_of_views[target] then refuse_set(target, key, 2) end
  return rawset(target, key, value)
end

-- --- require, load ---

-- Compiles text; Lua's byte code is not checked by LuaJIT, so only text is taken.
function environment.compile(text, file, globals)
  local chunk, reason = load(gsub(gsub(text, "^\239\187\191", ""), "^#[^\n]*", ""), "@" .. file, "t", globals)
  if not chunk and find(reason, "wrong mode", 1, true) then
    reason = file .. ": compiled code, where a script is text"
  end
  return chunk, reason
end

local compile = environment.compile

-- What `require` finds before anything of the script's own: the modules that belong to LuaJIT and to moondns.
local function is_builtin(name) return name == "dns" or find(name, "^dns%.") or internal.builtin[name] end

-- The folder part of a path, with its final slash; "" for the working directory.
local function folder_of(path) return match(path, "^(.*/)") or "" end

local LOADING = {}

-- A module that all scripts share; `tried`: the files where it was not.
local function require_shared(name, tried)
  local fine, module = pcall(require, name)
  if fine then return module end
  local start = "module '" .. name .. "' not found:"
  if type(module) == "string" and find(module, start, 1, true) == 1 then
    error(start .. concat(tried) .. sub(module, #start + 1), 3)
  end
  error(module, 0)
end

-- Modules of the script's own folder are loaded into the script's environment, once for each time the script is loaded;
-- others are shared by all scripts.
local function make_require(host, path, globals)
  local own = folder_of(path)
  local templates = { own .. "?.lua", own .. "?/init.lua" }
  local loaded = { _G = globals, dns = globals.dns }
  for _, name in ipairs(libraries) do loaded[name] = globals[name] end
  local package_view = setmetatable({ loaded = setmetatable({}, {
    __index = function(_, name)
      local module = loaded[name]
      if module == nil or module == LOADING then module = package.loaded[name] end
      return module
    end,
    __newindex = function(_, name, module) loaded[name] = module end,
  }) }, { __index = package, __newindex = package })

  local function find_own(name)
    local tried = {}
    for i, template in ipairs(templates) do
      local file = gsub(template, "%?", (gsub(gsub(name, "%.", "/"), "%%", "%%%%")))
      local text = host.read(file)
      if text then return file, text end
      tried[i] = "\n\tno file '" .. file .. "'"
    end
    return nil, tried
  end

  local function require_own(name)
    if type(name) ~= "string" then error("require: name expected, got " .. type(name), 2) end
    local module = loaded[name]
    if module == LOADING then error("loop or previous error loading module '" .. name .. "'", 2) end
    if module ~= nil then return module end
    if is_builtin(name) then return require(name) end
    local file, text = find_own(name)
    if not file then
      module = require_shared(name, text)
      return module
    end
    local chunk, reason = compile(text, file, globals)
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
local function make_loaders(globals)
  local function text_of(source)
    if type(source) ~= "function" then return source end
    local parts = {}
    for part in source do
      if part == "" then break end
      parts[#parts + 1] = part
    end
    return concat(parts)
  end
  local function load_text(source, name, _, given)
    source = text_of(source)
    return load(source, name or source, "t", given or globals)
  end
  local function load_file(file)
    local handle, reason = io.open(file, "rb")
    if not handle then return nil, reason end
    local text = handle:read("*a")
    handle:close()
    if not text then return nil, file .. ": cannot be read" end
    return compile(text, file, globals)
  end
  local function do_file(file)
    local chunk, reason = load_file(file)
    if not chunk then error(reason, 2) end
    return chunk()
  end
  return load_text, load_file, do_file
end

-- --- the standard functions that know whose they are ---

-- As in Lua 5.2: a table may say with __pairs how it is walked.
local function pairs_of(source)
  if getmetatable(source) ~= nil then -- which is faster than metatable_of
    local walk = metatable_of(source).__pairs
    if walk then return walk(source) end
  end
  if type(source) ~= "table" then error("bad argument #1 to 'pairs' (table expected, got " .. type(source) .. ")", 2) end
  return next, source, nil
end

-- Methods that a script adds to its table `string` are found on strings in its own functions.
local function find_string_method(_, name)
  local caller = info_of(2, "f")
  local own = caller and rawget(getfenv(caller.func), "string")
  return type(own) == "table" and rawget(own, name) or nil
end

-- What `getmetatable` gives for a string.
function environment.string_metatable(own)
  return setmetatable({}, {
    __index = { __index = own },
    __newindex = function() error("the metatable of strings, which all scripts share, cannot be set", 2) end,
    __metatable = "string",
  })
end

-- Functions that belong to no script have the environment of all; a script gets its own for it.
local function make_fenv(globals, host)
  local function get(f)
    if f == 0 then return globals end
    local found = getfenv(type(f) == "number" and f + 1 or f or 2)
    return found == real and globals or found
  end
  local function set(f, given)
    if f == 0 then error("setfenv: the environment of all scripts cannot be set", 2) end
    local level = type(f) == "number" and info_of(f + 1, "f")
    local target = level and level.func or f
    if getfenv(target) == real then error("setfenv: the function is not the script's own", 2) end
    target = environment.originals[target] or target
    if environment.copies[target] then
      if host.looked_into then host.looked_into() end
      setfenv(environment.copies[target], given)
    end
    return setfenv(target, given)
  end
  return get, set
end

-- os.time and os.date by another clock than the system's.
local function set_clock(os, now)
  local time, date = os.time, os.date
  function os.time(given)
    if given ~= nil then return time(given) end
    return floor(now())
  end
  function os.date(format, at) return date(format, at or now()) end
end

local function give_libraries(globals, now)
  for _, name in ipairs(libraries) do
    local library = real[name] or package.loaded[name]
    if library then globals[name] = setmetatable(copy_of(library), nil) end
  end
  if not metatable_of(string) then setmetatable(string, { __index = find_string_method }) end
  globals.os.exit = environment.exit
  if now then set_clock(globals.os, now) end
  for _, name in ipairs(environment.closed) do globals.debug[name] = nil end
  local of_strings = environment.string_metatable(globals.string)
  local function metatable(value)
    if type(value) == "string" then return of_strings end
    return getmetatable(value)
  end
  globals.getmetatable = metatable
  globals.debug.getmetatable = metatable
end

function environment.exit() error("os.exit: a script does not end the proxy", 2) end

-- The environment, and all that is in it before the script runs. What modules shared by all scripts make global later is
-- found as well.
function environment.new(path, host)
  local globals = {}
  for name, value in next, real do globals[name] = value end
  globals._G = globals
  globals.newproxy = nil
  globals.dns = view_of_dns()
  give_libraries(globals, host.now)
  globals.pairs, globals.rawset = pairs_of, rawset_of
  globals.getfenv, globals.setfenv = make_fenv(globals, host)
  globals.log, globals.print = environment.make_log(host)
  globals.ctx = { options = host.options }
  globals.persist = make_persist(host, path)
  globals.require, globals.package = make_require(host, path, globals)
  globals.load, globals.loadfile, globals.dofile = make_loaders(globals)
  globals.loadstring = globals.load
  for name, value in next, host.globals or {} do
    globals[name] = type(value) == "table" and copy_of(value) or value
  end
  local inherited = { newproxy = false }
  for name, value in next, globals do inherited[name] = value end
  return setmetatable(globals, {
    __index = function(_, name)
      if inherited[name] == nil then return real[name] end
    end,
  }), inherited
end

return environment
