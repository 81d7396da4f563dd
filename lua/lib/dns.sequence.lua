-- dns.sequence: the first query gets the first answer, the next one the second, and so on.
local internal = ...
local error, pairs, require, setmetatable, tostring, type = error, pairs, require, setmetatable, tostring, type
local format, concat, sort = string.format, table.concat, table.sort
local answers = internal.lib("dns.answers")

local KEYS_MAX = 10000 -- clients or names that are remembered, at least; at most twice as many

local pers = { client = true, name = true, all = true }
local afters = { last = true, ["repeat"] = true, forward = true }
local names = { "per", "after" }

local quoted, prepare = answers.quoted, answers.prepare

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
    local reason
    chosen, reason = prepare(dns, given, "dns.sequence: what answer " .. turn .. " gave")
    if not chosen then error(reason, 2) end
    if chosen.call then error("dns.sequence: a function that gives a function", 2) end
  end
  local response = answers.make(dns, flow.request, chosen)
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
    sort(list)
    error(format("dns.sequence: %s: %s expected, got %s", name, concat(list, ", "), quoted(value)), 3)
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
      error(format("dns.sequence has no option '%s'%s", tostring(key), near and " (did you mean '" .. near .. "'?)" or ""), 2)
    end
  end
  if #given == 0 then error("dns.sequence: at least one answer expected", 2) end
  local list = {}
  for i = 1, #given do
    local prepared, reason = prepare(dns, given[i], "dns.sequence: answer " .. i)
    list[i] = prepared or error(reason, 2)
  end
  local object = setmetatable({}, metatable)
  states[object] = {
    answers = list,
    per = choice(given, "per", pers, "all"),
    after = choice(given, "after", afters, "last"),
    young = {}, old = {}, count = 0,
  }
  return object
end
