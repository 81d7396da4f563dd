-- The options that scripts declare, and ctx.options. The engine and dns.test each make one set with options.new.
local internal = ...
local error, ipairs, next, pairs, pcall, require = error, ipairs, next, pairs, pcall, require
local setmetatable, tonumber, tostring, type = setmetatable, tonumber, tostring, type
local abs, huge = math.abs, math.huge
local find, format, gsub, match, sub = string.find, string.format, string.gsub, string.match, string.sub
local concat, insert, remove, sort = table.concat, table.insert, table.remove, table.sort

local options = {}

local Options = {}
Options.__index = Options

local type_names = { "bool", "int", "number", "str", "list" }

local function shown(value)
  if type(value) == "string" then return "'" .. value .. "'" end
  return tostring(value)
end

local function is_finite(value) return type(value) == "number" and value == value and abs(value) ~= huge end

local function is_array_of_text(value)
  if type(value) ~= "table" then return false end
  local count = 0
  for _ in pairs(value) do count = count + 1 end
  for i = 1, count do
    if type(value[i]) ~= "string" then return false end
  end
  return true
end

local function contains(list, value)
  for _, entry in ipairs(list) do
    if entry == value then return true end
  end
  return false
end

-- For each type: whether a value fits it, and the value of its text (nil when it is none).
local kinds = {
  bool = {
    fits = function(value) return type(value) == "boolean" end,
    parse = function(text) if text == "true" or text == "" then return true elseif text == "false" then return false end end,
  },
  int = {
    fits = function(value) return is_finite(value) and value % 1 == 0 and abs(value) <= 2 ^ 53 end,
    parse = function(text) return find(text, "^[+-]?%d+$") and tonumber((gsub(text, "^%+", ""))) or nil end,
  },
  number = {
    fits = is_finite,
    parse = function(text)
      local value = find(text, "^[+-]?[%d.]") and not find(text, "[xX]") and tonumber((gsub(text, "^%+", "")))
      return is_finite(value) and value or nil
    end,
  },
  str = { fits = function(value) return type(value) == "string" end, parse = function(text) return text end },
  list = { fits = is_array_of_text, parse = function(text) return { text } end },
}

-- What a value of this type must be, in words.
local function expected(declared)
  if type(declared.type) == "table" then return "one of " .. concat(declared.type, ", ") end
  return declared.type == "list" and "list of strings" or declared.type
end

local function fits(declared, value)
  if type(declared.type) == "table" then return contains(declared.type, value) end
  return kinds[declared.type].fits(value)
end

local function copy_list(value)
  if type(value) ~= "table" then return value end
  local copy = {}
  for i, entry in ipairs(value) do copy[i] = entry end
  return copy
end

local function copy_of(source)
  local copy = {}
  for key, value in pairs(source) do copy[key] = value end
  return copy
end

local function same(a, b)
  if type(a) ~= "table" or type(b) ~= "table" then return a == b end
  if #a ~= #b then return false end
  for i = 1, #a do
    if a[i] ~= b[i] then return false end
  end
  return true
end

-- An array of "NAME=VALUE" as {name = {value, …}}, and the names in order.
local function parse_settings(settings)
  local values, names = {}, {}
  for _, setting in ipairs(settings) do
    local name, value = match(setting, "^([^=]*)=(.*)$")
    name = gsub(name or setting, "-", "_")
    if not values[name] then
      values[name] = {}
      insert(names, name)
    end
    insert(values[name], value or "")
  end
  return values, names
end

-- `proxy`: the proxy's own options by name. `settings`: an array of "NAME=VALUE".
function options.new(proxy, settings)
  local self = setmetatable({ proxy = proxy, declared = {}, values = {} }, Options)
  self.settings, self.setting_names = parse_settings(settings)
  self.view = self:make_view()
  return self
end

function Options:names()
  local names = {}
  for name in pairs(self.declared) do names[#names + 1] = name end
  sort(names)
  return names
end

-- " (did you mean 'x'?)" or "".
function Options:suggestion(name)
  local names = self:names()
  for known in pairs(self.proxy) do names[#names + 1] = known end
  local near = internal.nearest(name, names)
  return near and " (did you mean '" .. near .. "'?)" or ""
end

-- The value that --set gives to a declared option; nil and the reason when it does not fit; nil alone when there is none.
function Options:setting(name, declared)
  local texts = self.settings[name]
  if not texts then return nil end
  if declared.type == "list" then return copy_list(texts) end
  local text = texts[#texts]
  local value
  if type(declared.type) == "table" then
    value = contains(declared.type, text) and text or nil
  else
    value = kinds[declared.type].parse(text)
  end
  if value == nil then return nil, format("--set %s: %s expected, got '%s'", name, expected(declared), text) end
  return value
end

local function check_declaration(name, kind, default, help)
  local what = "loader:add_option: "
  if type(name) ~= "string" or not find(name, "^[%a_][%w_]*$") then
    error(what .. "name (letters, digits and _) expected, got " .. shown(name), 4)
  end
  local known = type(kind) == "table" and #kind > 0 and is_array_of_text(kind) or kinds[kind]
  if not known then
    local near = type(kind) == "string" and internal.nearest(kind, type_names)
    error(format("%stype of '%s': bool, int, number, str, list or an array of choices expected, got %s%s", what, name,
      shown(kind), near and " (did you mean '" .. near .. "'?)" or ""), 4)
  end
  if not fits({ type = kind }, default) then
    error(format("%sdefault of '%s': %s expected, got %s", what, name, expected({ type = kind }), shown(default)), 4)
  end
  if help ~= nil and type(help) ~= "string" then
    error(format("%shelp of '%s': string expected, got %s", what, name, shown(help)), 4)
  end
end

-- What a script assigned, unless the setting is newer.
function Options:assigned_value(name)
  if self.assigned and not (self.renewed and self.renewed[name]) then return self.assigned[name] end
end

-- Declares an option for the script `owner`. Raises, three levels up.
function Options:declare(owner, name, kind, default, help)
  check_declaration(name, kind, default, help)
  if self.proxy[name] ~= nil then
    error("loader:add_option: '" .. name .. "' is an option of the proxy's own", 3)
  end
  local declared = { type = copy_list(kind), default = copy_list(default), help = help or "", owners = { [owner] = true } }
  local before = self.declared[name]
  if before then
    if not (same(before.type, declared.type) and same(before.default, declared.default) and before.help == declared.help) then
      error("loader:add_option: '" .. name .. "' is declared otherwise by " .. next(before.owners), 3)
    end
    before.owners[owner] = true
    return
  end
  local value, reason = self:setting(name, declared)
  if reason then self.fault = self.fault or reason end
  local assigned = self:assigned_value(name)
  if assigned ~= nil and fits(declared, assigned) then value = assigned end
  if value == nil then value = copy_list(default) end
  self.declared[name] = declared
  self.values[name] = value
end

-- A --set that nobody declared, or that does not fit, in words; nil when all is well.
function Options:check_settings()
  if self.fault then return self.fault end
  for _, name in ipairs(self.setting_names) do
    if self.proxy[name] ~= nil and not self.declared[name] then
      return format("--set %s: that is an option of the proxy's own: --%s", name, (gsub(name, "_", "-")))
    elseif not self.declared[name] then
      return format("--set %s: no script declares such an option%s", name, self:suggestion(name))
    end
    local _, reason = self:setting(name, self.declared[name])
    if reason then return reason end
  end
end

-- What is wrong with the values that were assigned before anything was declared; nil when all is well.
function Options:check_assigned()
  for name, value in pairs(self.assigned) do
    local declared = self.declared[name]
    if not declared and self.proxy[name] ~= nil then
      return format("'%s' is an option of the proxy's own", name)
    elseif not declared then
      return format("the script declares no option '%s'%s", tostring(name), self:suggestion(tostring(name)))
    elseif not fits(declared, value) then
      return format("option '%s': %s expected, got %s", name, expected(declared), shown(value))
    end
  end
end

local parts = { "declared", "values", "fault", "settings", "setting_names", "proxy", "renewed" }

function Options:state()
  local state = {}
  for _, part in ipairs(parts) do state[part] = self[part] end
  return state
end

function Options:restore(state)
  for _, part in ipairs(parts) do self[part] = state[part] end
end

-- Before all scripts are loaded anew with other settings, and other values of some of the proxy's own options. Ends with
-- set_aside, as what is begun.
function Options:renew(settings, proxy)
  self.before = self.before or {}
  insert(self.before, self:state())
  local old = self.settings
  self.settings, self.setting_names = parse_settings(settings)
  self.renewed, self.proxy, self.values = {}, copy_of(self.proxy), copy_of(self.values)
  for name, value in pairs(proxy) do self.proxy[name] = value end
  for _, names in ipairs({ old, self.settings }) do
    for name in pairs(names) do self.renewed[name] = not same(old[name], self.settings[name]) or nil end
  end
  for name in pairs(self.renewed) do
    local declared = self.declared[name]
    if declared then
      self.values[name] = self:setting(name, declared)
      if self.values[name] == nil then self.values[name] = copy_list(declared.default) end
    end
  end
end

-- Before a script is loaded anew: what it declared is forgotten, and comes back with rollback. Several can be begun, one
-- after the other.
function Options:begin(owner)
  self.before = self.before or {}
  insert(self.before, self:state())
  local declared, values = {}, {}
  for name, option in pairs(self.declared) do
    local owners = {}
    for other in pairs(option.owners) do
      if other ~= owner then owners[other] = true end
    end
    if next(owners) then
      declared[name] = { type = option.type, default = option.default, help = option.help, owners = owners }
      values[name] = self.values[name]
    end
  end
  self.declared, self.values, self.fault = declared, values, nil
end

function Options:rollback() self:restore(remove(self.before)) end

-- Ends what was begun: the old scripts go on with what they declared, until `take` gives the new ones what is theirs.
function Options:set_aside()
  self.aside = self:state()
  self:restore(self.before[1])
  self.before = nil
end

function Options:take()
  self:restore(self.aside)
  self.aside = nil
  for name in pairs(self.renewed or {}) do
    if self.assigned then self.assigned[name] = nil end
  end
  self.renewed = nil
  for name, value in pairs(self.assigned or {}) do -- meanwhile, perhaps
    if self.declared[name] and fits(self.declared[name], value) then self.values[name] = value end
  end
end

function Options:drop() self.aside = nil end

-- {name = true} for all that is declared: what `configure` gets first.
function Options:all()
  local set = {}
  for name in pairs(self.declared) do set[name] = true end
  return set
end

-- A value as text, and back: for other workers.
local function to_text(value)
  if type(value) == "string" then return "s" .. value end
  if type(value) == "boolean" then return value and "b1" or "b" end
  if type(value) == "number" then return format("n%.17g", value) end
  local entries = {}
  for i, entry in ipairs(value) do entries[i] = #entry .. ":" .. entry end
  return "l" .. concat(entries)
end

local function from_text(text)
  local kind, rest = sub(text, 1, 1), sub(text, 2)
  if kind == "s" then return rest end
  if kind == "b" then return rest == "1" end
  if kind == "n" then return tonumber(rest) end
  local list, at = {}, 1
  while at <= #rest do
    local length, colon = match(rest, "^(%d+)():", at)
    list[#list + 1] = sub(rest, colon + 1, colon + length)
    at = colon + length + 1
  end
  return list
end

-- Gives a declared option a value that fits; raises what a script's `configure` raises, and then keeps the old one.
function Options:set(name, value)
  local before, assigned = self.values[name], self.assigned or {}
  self.values[name] = copy_list(value)
  local accepted, reason = pcall(self.configure, { [name] = true })
  if not accepted then
    self.values[name] = before
    pcall(self.configure, { [name] = true }) -- those that had taken it
    error(reason, 0)
  end
  self.assigned = assigned
  assigned[name] = self.values[name]
end

-- What a script of another worker assigned.
function Options:receive(name, text)
  local declared, value = self.declared[name], from_text(text)
  if declared and fits(declared, value) and not same(self.values[name], value) then self:set(name, value) end
end

-- ctx.options. `self.configure(updated)`, set by the owner, tells all scripts and raises what they raise;
-- `self.tell(name, text)`, where there is one, tells other workers.
function Options:make_view()
  local view = {}
  local function read(_, name)
    local value = self.values[name]
    if value ~= nil then return copy_list(value) end
    value = self.proxy[name]
    if value == nil then error("ctx.options has no option '" .. tostring(name) .. "'" .. self:suggestion(tostring(name)), 2) end
    return copy_list(value)
  end
  local function assign(_, name, value)
    local declared = self.declared[name]
    if not declared and self.proxy[name] ~= nil then
      error("ctx.options." .. name .. ": an option of the proxy's own cannot be set", 2)
    elseif not declared then
      error("ctx.options has no option '" .. tostring(name) .. "'" .. self:suggestion(tostring(name)), 2)
    elseif not fits(declared, value) then
      error(format("ctx.options.%s: %s expected, got %s", name, expected(declared), shown(value)), 2)
    end
    self:set(name, value)
    if self.tell and not self.before then self.tell(name, to_text(value)) end
  end
  local function walk()
    local all = {}
    for name, value in pairs(self.proxy) do all[name] = copy_list(value) end
    for name, value in pairs(self.values) do all[name] = copy_list(value) end
    return next, all, nil
  end
  return setmetatable(view, { __index = read, __newindex = assign, __pairs = walk, __metatable = "options" })
end

-- The loader that `load` gets.
function Options:loader(owner)
  local loader = {}
  function loader.add_option(this, name, kind, default, help)
    if this ~= loader then error("loader:add_option: call it with a colon", 2) end
    self:declare(owner, name, kind, default, help)
  end
  return setmetatable(loader, { __index = function(_, name) error("loader has no '" .. tostring(name) .. "': add_option", 2) end })
end

-- Lines for --options: name, value, help, type.
function Options:describe()
  local lines = {}
  for _, name in ipairs(self:names()) do
    local declared = self.declared[name]
    lines[#lines + 1] = format("%s = %s\n", name, require("dns").json.encode(self.values[name]))
    if declared.help ~= "" then lines[#lines + 1] = format("    %s\n", declared.help) end
    lines[#lines + 1] = format("    type: %s\n", expected(declared))
  end
  return concat(lines)
end

return options
