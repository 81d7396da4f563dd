-- dns.sequence: the first query gets the first answer, the next one the second, and so on.
local internal = ...

local KEYS_MAX = 10000 -- clients or names that are remembered, at least; at most twice as many

local pers = { client = true, name = true, all = true }
local afters = { last = true, ["repeat"] = true, forward = true }
local names = { "per", "after" }

local function quoted(value) return type(value) == "string" and "'" .. value .. "'" or tostring(value) end

-- --- answers ---

local function address_record(dns, name, text)
  local family = text:find(":", 1, true) and "AAAA" or "A"
  return dns.ResourceRecord[family](name, text)
end

-- "192.0.2.1" and "2001:db8::1", by the type of query that they answer; nil for other text.
local function address_type(dns, text)
  local ok, record = pcall(address_record, dns, "a.example", text)
  if ok then return record.type end
end

-- The response to the flow's request; nil where the answer is to another type of question.
local makers = {}

function makers.address(dns, request, answer)
  local question = request.question
  if not question or question.type ~= answer.type then return nil end
  return request:succeed { address_record(dns, question.name, answer.text) }
end

function makers.code(_, request, answer)
  if answer.code == 0 then return request:succeed {} end
  return request:fail(answer.code)
end

-- Addresses of the question's type and all records.
function makers.list(dns, request, answer)
  local question, records = request.question, {}
  local fits = false
  for i = 1, #answer.list do
    local item = answer.list[i]
    if item.record then
      records[#records + 1] = item.record
      fits = true
    elseif question and question.type == item.type then
      records[#records + 1] = address_record(dns, question.name, item.text)
      fits = true
    end
  end
  return fits and request:succeed(records) or nil
end

function makers.message(_, _, answer)
  local response = answer.message:copy()
  response.query = false
  return response
end

local function is_record(dns, value) return dns.typeof(value) == "ResourceRecord" end

-- What a given answer is: {make =, …}, or raises.
local function prepare(dns, value, place)
  local kind = dns.typeof(value)
  if type(value) == "function" then return { call = value } end
  if kind == "DNSMessage" then return { make = makers.message, message = value } end
  if kind == "ResourceRecord" then return { make = makers.list, list = { { record = value } } } end
  if type(value) == "string" then
    local type_ = address_type(dns, value)
    if type_ then return { make = makers.address, text = value, type = type_ } end
    local ok, code = pcall(dns.response_codes.from_str, value)
    if ok and code <= 15 then return { make = makers.code, code = code } end
  end
  if type(value) == "table" and #value > 0 then
    local list = {}
    for i = 1, #value do
      local item = value[i]
      local type_ = type(item) == "string" and address_type(dns, item)
      if type_ then list[i] = { text = item, type = type_ }
      elseif is_record(dns, item) then list[i] = { record = item }
      else error(string.format("%s[%d]: address or ResourceRecord expected, got %s", place, i, quoted(item)), 3) end
    end
    return { make = makers.list, list = list }
  end
  error(string.format("%s: address, response code up to 15, ResourceRecord, array of those, DNSMessage or function expected, got %s",
    place, quoted(value)), 3)
end

-- --- whose turn it is ---

local function key_of(self, flow)
  if self.per == "client" then return flow.client_conn and flow.client_conn.address or "" end
  if self.per == "name" then
    local question = flow.request.question
    return question and question.name or ""
  end
  return "all"
end

-- Keys not seen for long are forgotten, a whole half at once.
local function remember(self, key, turn)
  if self.young[key] == nil then
    if self.count >= KEYS_MAX then
      self.old, self.young, self.count = self.young, {}, 0
    end
    self.count = self.count + 1
  end
  self.young[key] = turn
end

local function turn_of(self, key) return self.young[key] or self.old[key] or 1 end

local Sequence = {}
local states = setmetatable({}, { __mode = "k" })

--- sequence:reset(): begins again with the first answer, for all.
function Sequence:reset()
  local self_ = states[self] or error("Sequence.reset: call it with a colon", 2)
  self_.young, self_.old, self_.count = {}, {}, 0
end

-- Gives the flow its answer; true when it has one now.
local function answer(object, flow)
  local dns = require "dns"
  local self = states[object]
  if dns.typeof(flow) ~= "DNSFlow" then error("Sequence: DNSFlow expected, got " .. quoted(dns.typeof(flow) or flow), 2) end
  local key = key_of(self, flow)
  local turn = turn_of(self, key)
  local total = #self.answers
  if turn > total then
    if self.after == "forward" then return false end
    turn = self.after == "repeat" and 1 or total
  end
  local chosen = self.answers[turn]
  if chosen.call then
    remember(self, key, turn + 1)
    local given = chosen.call(flow)
    if given == nil then return flow.response ~= nil end
    chosen = prepare(dns, given, "dns.sequence: what answer " .. turn .. " gave")
    if chosen.call then error("dns.sequence: a function that gives a function", 2) end
  end
  local response = chosen.make(dns, flow.request, chosen)
  if response and not self.answers[turn].call then remember(self, key, turn + 1) end
  flow.response = response or flow.request:succeed {}
  return true
end

local metatable = {
  __call = answer,
  __index = function(_, name) return Sequence[name] or error("Sequence has no property '" .. tostring(name) .. "'", 2) end,
  __newindex = function(_, name) error("Sequence." .. tostring(name) .. " cannot be set", 2) end,
  __tostring = function(self) return "Sequence of " .. #states[self].answers end,
  __metatable = false,
}

local function choice(given, name, known, default)
  local value = given[name]
  if value == nil then return default end
  if not known[value] then
    local list = {}
    for word in pairs(known) do list[#list + 1] = "'" .. word .. "'" end
    table.sort(list)
    error(string.format("dns.sequence: %s: %s expected, got %s", name, table.concat(list, ", "), quoted(value)), 3)
  end
  return value
end

--- dns.sequence{answer1, answer2, …, per = "all", after = "last"}: see docs/api.md.
return function(given)
  local dns = require "dns"
  if type(given) ~= "table" or dns.typeof(given) then error("dns.sequence: table expected, got " .. quoted(given), 2) end
  for key in pairs(given) do
    if type(key) ~= "number" and key ~= "per" and key ~= "after" then
      local near = internal.nearest(tostring(key), names)
      error(string.format("dns.sequence has no option '%s'%s", tostring(key), near and " (did you mean '" .. near .. "'?)" or ""), 2)
    end
  end
  if #given == 0 then error("dns.sequence: at least one answer expected", 2) end
  local answers = {}
  for i = 1, #given do answers[i] = prepare(dns, given[i], "dns.sequence: answer " .. i) end
  local object = setmetatable({}, metatable)
  states[object] = {
    answers = answers,
    per = choice(given, "per", pers, "all"),
    after = choice(given, "after", afters, "last"),
    young = {}, old = {}, count = 0,
  }
  return object
end
