-- `moondns test`: finds files with tests, runs each test in a world of its own, reports. `host` is what the program lends:
--   list(folder)      its entries' names, sorted, and which folder it is, whatever its path; nil: it is no folder
--   guard(seconds)    from now on a test may compute for so long
--   guarded(f, …)     true and f's result; false and the error: a table as it was raised, else a text with the traceback
--   seconds()         a clock that never jumps
local internal = ...
local test = internal.lib("dns.test")
local clock = internal.lib("dns.clock")
local environment = internal.lib("dns.environment")
local options = internal.lib("dns.options")
local explain_assert = internal.lib("dns.assert")
local report = internal.lib("dns.report")

local EXIT_DONE, EXIT_USAGE, EXIT_SCRIPT, EXIT_FAILED = 0, 2, 3, 4
local FOLDERS_DEEP = 32
local SECONDS = 5 -- that a test may compute

local usage = [[
Usage: moondns test [OPTION...] [FILE|DIR...]

Runs the tests in the files, and in all files of the folders that are called
*_test.lua or *_spec.lua; by default those of the working directory. A test is a
global function whose name begins with test_.

  --filter PATTERN        only tests whose name fits the Lua pattern
  --junit FILE            write a JUnit report too
  --test-timeout SECONDS  how long one test may compute (5)
  -h, --help              print this and exit

Exit codes: 0 all passed, 2 wrong usage or no test, 3 a file cannot be loaded,
4 a test failed.
]]

-- --- the command line ---

local known = { filter = "PATTERN", junit = "FILE", ["test-timeout"] = "SECONDS", help = false }

local function read_option(arguments, at, given)
  local name, equals, value = arguments[at]:match("^%-%-([^=]+)(=?)(.*)$")
  if arguments[at] == "-h" then name, equals = "help", "" end
  if known[name] == nil then
    local names = {}
    for option in pairs(known) do names[#names + 1] = option end
    local near = name and internal.nearest(name, names)
    return nil, string.format("unknown option '%s'%s", arguments[at], near and " (did you mean '--" .. near .. "'?)" or "")
  end
  if not known[name] then
    given[name] = true
    return at + 1
  end
  if equals == "" then
    at = at + 1
    value = arguments[at]
    if not value then return nil, string.format("--%s needs a value: --%s %s", name, name, known[name]) end
  end
  given[name] = value
  return at + 1
end

local function check(given)
  if given.filter and not pcall(string.find, "", given.filter) then
    return "--filter: '" .. given.filter .. "' is no Lua pattern"
  end
  local seconds = tonumber(given["test-timeout"] or SECONDS)
  if not seconds or not (seconds > 0 and seconds < 1e6) then
    return "--test-timeout: seconds (more than 0) expected, got '" .. given["test-timeout"] .. "'"
  end
  given.seconds = seconds
end

local function parse(arguments)
  local given, at = { paths = {} }, 1
  local only_paths = false
  while arguments[at] do
    local argument, reason = arguments[at], nil
    if argument == "--" and not only_paths then
      only_paths, at = true, at + 1
    elseif argument:sub(1, 1) == "-" and not only_paths then
      at, reason = read_option(arguments, at, given)
      if not at then return nil, reason end
    else
      given.paths[#given.paths + 1] = argument
      at = at + 1
    end
  end
  local reason = check(given)
  if reason then return nil, reason end
  return given
end

-- --- finding files ---

local function is_test_file(name) return name:find("_test%.lua$") ~= nil or name:find("_spec%.lua$") ~= nil end

-- `seen`: the folders so far; links may lead to one again.
local function gather(host, path, names, files, depth, seen)
  for _, name in ipairs(names) do
    local entry = path == "." and name or (path:gsub("/$", "")) .. "/" .. name
    if is_test_file(name) then
      files[#files + 1] = entry
    elseif name:sub(1, 1) ~= "." and depth < FOLDERS_DEEP then
      local inside, which = host.list(entry)
      if inside and not seen[which] then
        seen[which] = true
        gather(host, entry, inside, files, depth + 1, seen)
      end
    end
  end
end

local function find_files(host, paths)
  local files = {}
  for _, path in ipairs(paths[1] and paths or { "." }) do
    local names, which = host.list(path)
    if names then
      gather(host, path, names, files, 0, { [which] = true })
    else
      local file, reason = io.open(path, "rb")
      if not file then return nil, reason end
      file:close()
      files[#files + 1] = path
    end
  end
  return files
end

-- --- one file ---

local FOR_BUSTED = {} -- raised by what busted would have

local function for_busted() error(FOR_BUSTED, 0) end

local function is_for_busted(text) return ("\n" .. text):find("\n%s*describe%s*[%(\"'%[]") ~= nil end

local function make_assert()
  return function(...)
    local value, message = ...
    if value then return ... end
    local expression, values = explain_assert(2, test.shown)
    local info = debug.getinfo(2, "Sl")
    error(setmetatable({
      place = info.short_src .. ":" .. info.currentline,
      message = type(message) == "string" and message or message and test.shown(message) or "assertion failed",
      expression = expression,
      values = values,
    }, test.Failure), 0)
  end
end

-- The environment that a file of tests runs in: what scripts have, `test`, and an assert that tells more.
local function make_globals(path, log)
  local lent = internal.script_globals { write = log }
  lent.sleep, lent.test = test.advance, test
  local globals = environment.new(path, {
    read = internal.read, log = log, log_level = 0, options = options.new(internal.proxy_options, {}).view, persisted = {},
    now = clock.time,
    globals = lent,
  })
  globals.assert = make_assert()
  globals.describe = for_busted
  return globals
end

-- Runs the file: its tests by name, and their names in order.
local function load_file(host, path, log)
  local text, reason = internal.read(path)
  if not text then return nil, path .. ": " .. reason end
  if is_for_busted(text) then return nil, FOR_BUSTED end
  local globals = make_globals(path, log)
  local chunk, fault = environment.compile(text, path, globals)
  if not chunk then return nil, fault end
  local fine, raised = host.guarded(chunk)
  if not fine then return nil, raised end
  local tests, names = {}, {}
  for name, value in next, globals do
    if type(name) == "string" and name:find("^test_") and type(value) == "function" then
      tests[name] = value
      names[#names + 1] = name
    end
  end
  local function line_of(name) return debug.getinfo(tests[name], "S").linedefined end
  table.sort(names, function(a, b)
    if line_of(a) ~= line_of(b) then return line_of(a) < line_of(b) end
    return a < b
  end)
  return tests, names
end

-- --- running ---

local level_names = { [0] = "debug", "info", "warn", "error" }

-- Begins a world: the log of all addons that are loaded in it.
local function begin_world()
  local log = {}
  test.reset()
  internal.on_addon = function(addon)
    local write = addon.write
    function addon.write(level, text)
      log[#log + 1] = level_names[level] .. ": " .. text
      write(level, text)
    end
  end
  return log
end

local function run_file(host, path, given, out)
  local function log(_, text) out:comment(text) end
  internal.say = function(text) out:comment(text) end
  local messages = begin_world()
  local tests, names = load_file(host, path, log)
  if not tests and names == FOR_BUSTED then return out:skipped(path, "written for busted: run busted " .. path) end
  if not tests then return out:broken(path, names) end
  local fresh = true
  for _, name in ipairs(names) do
    if not given.filter or name:find(given.filter) then
      local began = host.seconds()
      local fine, reason = true, nil
      if not fresh then
        messages = begin_world()
        tests, reason = load_file(host, path, log)
        fine = tests ~= nil and tests[name] ~= nil
      end
      fresh = false
      if fine then fine, reason = host.guarded(tests[name]) end
      local result = { file = path, name = name, seconds = host.seconds() - began, log = messages }
      if fine then out:passed(result) else out:failed(result, reason) end
    end
  end
end

local function exit_code(out)
  if out.counts.broken > 0 then return EXIT_SCRIPT end
  if out.counts.failed > 0 then return EXIT_FAILED end
  if out.counts.passed == 0 then
    io.stderr:write("moondns test: no test was run: tests are global functions test_…() in files *_test.lua or *_spec.lua\n")
    return EXIT_USAGE
  end
  return EXIT_DONE
end

local function usage_error(reason)
  io.stderr:write("moondns test: ", internal.escape(reason), "\nmoondns test --help tells more\n")
  return EXIT_USAGE
end

--- Runs it all with these arguments: the exit code.
return function(host, arguments)
  local given, reason = parse(arguments)
  if not given then return usage_error(reason) end
  if given.help then
    io.stdout:write(usage)
    return EXIT_DONE
  end
  local files, missing = find_files(host, given.paths)
  if not files then return usage_error(missing) end
  local junit
  if given.junit then
    junit, reason = io.open(given.junit, "wb")
    if not junit then return usage_error("--junit: " .. reason) end
  end
  host.guard(given.seconds)
  local out = report.new(io.stdout)
  function internal.on_say(text) out:comment(text) end
  for _, path in ipairs(files) do run_file(host, path, given, out) end
  out:finish()
  if junit then
    junit:write(out:junit())
    junit:close()
  end
  return exit_code(out)
end
