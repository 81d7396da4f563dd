-- `moondns explain`: what each line of a script changes in the flow. Given step(place, text) and faults(flow), gives the
-- functions that the engine calls: line and returned for each line that is run, waits where a hook waits.
local pairs, ipairs, next, tostring, type, pcall = pairs, ipairs, next, tostring, type, pcall
local concat, sort = table.concat, table.sort
local open = io.open

-- What changes by itself, or says nothing.
local ignored = { timestamp = true, size = true, id = true, timestamp_created = true, status_code = true, live = true, type = true }

local function record_text(record)
  local data = record.data
  if type(data) == "table" then data = require("dns").json.encode(data) end
  return ("%s %s %s %s"):format(record.name or "?", tostring(record.ttl or ""), tostring(record.type), tostring(data))
end

local function data_texts(records)
  local list = {}
  for i, record in ipairs(records) do
    local data = record.data
    list[i] = type(data) == "table" and require("dns").json.encode(data) or tostring(data)
  end
  return concat(list, ", ")
end

-- A value in a few words.
local function shown(value)
  if value == nil then return "none" end
  if type(value) == "string" then return value == "" and '""' or value end
  if type(value) ~= "table" then return tostring(value) end
  if value.questions then -- a message
    if value.response_code ~= "NOERROR" and value.response_code ~= 0 then return tostring(value.response_code) end
    local answers = type(value.answers) == "table" and value.answers or {}
    return answers[1] and data_texts(answers) or "NODATA"
  end
  if value.data ~= nil and value.name then return record_text(value) end
  if value.msg then return tostring(value.msg) end
  if value.address then return tostring(value.address) .. (value.port and ":" .. tostring(value.port) or "") end
  local fine, text = pcall(require("dns").json.encode, value)
  return fine and text or "a table"
end

-- Appends {path, before, after} of what differs.
local function compare(path, before, after, found)
  if before == after then return end
  if type(before) ~= "table" or type(after) ~= "table" then
    found[#found + 1] = { path, shown(before), shown(after) }
    return
  end
  local keys, seen = {}, {}
  for _, source in ipairs { before, after } do
    for key in next, source do
      if not seen[key] and not ignored[key] then
        seen[key] = true
        keys[#keys + 1] = key
      end
    end
  end
  sort(keys, function(a, b)
    if type(a) == type(b) then return a < b end
    return type(a) == "number"
  end)
  for _, key in ipairs(keys) do
    local name = type(key) == "number" and ("%s[%d]"):format(path, key) or path .. "." .. tostring(key)
    compare(name, before[key], after[key], found)
  end
end

local function without_nulls(value)
  if type(value) ~= "table" then return value end
  local null, copy = require("dns").json.null, {}
  for key, inner in next, value do
    if inner ~= null then copy[key] = without_nulls(inner) end
  end
  return copy
end

-- The flow as tables, with what is to be done to its answer on the way out; nil and the reason where a script has put something into it that has no JSON.
local function state_of(flow, faults)
  local fine, state = pcall(flow.to_json, flow)
  if not fine then return nil, tostring(state) end
  state = without_nulls(state)
  state.faults = faults(flow)
  return state
end

-- The line of the file, without blanks around it.
local function source_line(path, number)
  local file = open(path, "rb")
  local at = 0
  for line in file and file:lines() or function() end do
    at = at + 1
    if at == number then
      file:close()
      return line:match("^%s*(.-)%s*$")
    end
  end
  return ""
end

return function(step, faults)
  local fault -- why the flow could not be shown when it was looked at last
  local key, before, place -- of the hook that runs; the flow as it was; the line that runs, or that called what runs

  local function name_of(source, line) return (source:match("[^/]+$") or source) .. ":" .. tostring(line) end

  -- What has changed since the last look is the doing of `place`.
  local function look(flow, hook)
    local after, reason = state_of(flow, faults)
    local found = {}
    if not after then
      if reason ~= fault then step(place or "", ("%-13s flow: %s"):format(hook, reason)) end
      fault = reason
      return
    end
    fault = nil
    compare("flow", before, after, found)
    for _, change in ipairs(found) do
      step(place or "", ("%-13s %s: %s → %s"):format(hook, change[1], change[2], change[3]))
    end
    before = after
  end

  -- A hook begins: what others did since the last one is no line's.
  local function begin(flow, hook, call)
    local now = hook .. call
    if key == now then return false end
    key, place = now, nil
    before = state_of(flow, faults) or {}
    if hook == "dns_error" and before.error then step("error", shown(before.error)) end
    return true
  end

  local tracer = {}

  function tracer.line(flow, source, line, hook, call)
    if not begin(flow, hook, call) then look(flow, hook) end
    place = name_of(source, line)
  end

  function tracer.returned(flow, source, line, hook, call)
    if not begin(flow, hook, call) then look(flow, hook) end
    place = source and name_of(source, line) or nil
    if not source then key = nil end
  end

  function tracer.waits(flow, source, line, hook)
    if key then look(flow, hook) end
    step(name_of(source, line), ("%-13s waits: %s"):format(hook, source_line(source, line)))
  end

  return tracer
end
