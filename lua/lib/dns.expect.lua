-- What makes tests short: test.equal, test.raises, test.answers, test.rcode.
local dns = require "dns"

local function quoted(value) return type(value) == "string" and string.format("%q", value) or tostring(value) end

-- Values for people: tables with their keys in order.
local function shown(value, depth)
  if type(value) ~= "table" then return quoted(value) end
  if depth > 8 then return "{…}" end
  local parts, keys = {}, {}
  for i = 1, #value do parts[i] = shown(value[i], depth + 1) end
  for key in pairs(value) do
    if type(key) ~= "number" or key < 1 or key > #value or key % 1 ~= 0 then keys[#keys + 1] = key end
  end
  table.sort(keys, function(a, b) return tostring(a) < tostring(b) end)
  for _, key in ipairs(keys) do
    local name = type(key) == "string" and key:match("^[%a_][%w_]*$") or "[" .. quoted(key) .. "]"
    parts[#parts + 1] = name .. " = " .. shown(value[key], depth + 1)
  end
  return "{" .. (parts[1] and " " .. table.concat(parts, ", ") .. " " or "") .. "}"
end

local function alike(a, b, seen)
  if a == b then return true end
  if type(a) ~= "table" or type(b) ~= "table" then return false end
  if seen[a] == b then return true end
  seen[a] = b
  for key, value in pairs(a) do
    if not alike(value, b[key], seen) then return false end
  end
  for key in pairs(b) do
    if a[key] == nil then return false end
  end
  return true
end

-- A failed test: what `moondns test` prints of it; other frameworks see the text.
local Failure = {
  __tostring = function(self)
    local lines = { (self.place and self.place .. ": " or "") .. self.message }
    for _, pair in ipairs(self.values or {}) do lines[#lines + 1] = "  " .. pair[1] .. ": " .. pair[2] end
    return table.concat(lines, "\n")
  end,
}

local function place_of(level)
  local info = debug.getinfo(level + 1, "Sl")
  return info and info.short_src .. ":" .. info.currentline
end

local function fail(message, values, level)
  error(setmetatable({ place = place_of(level + 1), message = message, values = values }, Failure), 0)
end

return function(test)
  --- test.equal(a, b [, message]): fails unless the values are alike, tables by what they hold.
  function test.equal(a, b, message)
    if alike(a, b, {}) then return end
    fail(message or "not equal", { { "first", shown(a, 0) }, { "second", shown(b, 0) } }, 2)
  end

  --- test.raises(f, pattern, …): fails unless f(…) raises a text that matches the Lua pattern; gives the text.
  function test.raises(f, pattern, ...)
    local fine, reason = pcall(f, ...)
    if fine then fail("nothing was raised", { { "expected", quoted(pattern) } }, 2) end
    local text = tostring(reason)
    if pattern and not text:find(pattern) then
      fail("another error was raised", { { "expected", quoted(pattern) }, { "raised", quoted(text) } }, 2)
    end
    return text
  end

  --- test.answers(flow): the data of the answers in the flow's response, as text; nil where there is no response.
  function test.answers(flow)
    if not flow.response then return nil end
    local list = {}
    for i, record in ipairs(flow.response.answers) do list[i] = tostring(record) end
    return list
  end

  --- test.rcode(flow): the name of the response's code, as "NXDOMAIN"; nil where there is no response.
  function test.rcode(flow)
    return flow.response and dns.response_codes.to_str(flow.response.response_code)
  end

  test.Failure, test.shown = Failure, function(value) return shown(value, 0) end
end
