-- The fake upstream of dns.test: answers by name and type. Only one question at a time is asked of it; what it cannot answer
-- it lets run into the time-out.
local internal = ...
local dns = require "dns"
local answers = internal.lib("dns.answers")

local Upstream = {}
Upstream.__index = Upstream

-- "example.com A", "example.com", "*.example.com AAAA", "*": the name in lower case, and the type's number or nil.
local function parse_key(key)
  local name, type_ = key:match("^%s*(%S+)%s*(%S*)%s*$")
  if not name then return nil, "NAME or NAME TYPE" end
  local fine, question = pcall(dns.Question, name, type_ == "" and "A" or type_)
  if not fine then return nil, "NAME or NAME TYPE" end
  return question.name, type_ ~= "" and question.type or nil
end

local function add(self, key, value)
  local place = "test.upstream: ['" .. tostring(key) .. "']"
  if type(key) ~= "string" then return "test.upstream: NAME or NAME TYPE expected as a key, got " .. tostring(key) end
  local name, type_ = parse_key(key)
  if not name then return place .. ": " .. type_ .. " expected as a key" end
  local answer, reason = { silent = true }, nil
  if value ~= false then answer, reason = answers.prepare(dns, value, place) end
  if not answer then return (reason:gsub(" or function expected", ", function or false expected")) end
  answer.place = place
  local of_name = self.names[name] or { types = {} }
  self.names[name] = of_name
  if type_ then of_name.types[type_] = answer else of_name.any = answer end
end

--- Makes one from the table that test.upstream takes; nil and the reason.
function Upstream.new(given)
  local self = setmetatable({ names = {}, asked = {} }, Upstream)
  for key, value in pairs(given) do
    local reason = add(self, key, value)
    if reason then return nil, reason end
  end
  return self
end

-- What is said of the name: {types =, any =}; the name itself, then the wildcards above it, the nearest first.
local function find(self, name)
  local found = self.names[name]
  while not found and name and name ~= "." do
    local parent = dns.name.parent(name)
    found = self.names[parent == "." and "*" or "*." .. parent]
    name = parent
  end
  return found or self.names["*"]
end

-- The answer for the question; `exists`: the name has others.
local function answer_for(self, question)
  local found = find(self, question.name)
  if not found then return nil, false end
  return found.types[question.type] or found.any, true
end

-- What a function gave, as an answer.
local function called(answer, question, server)
  local given = answer.call(question, server)
  if given == nil then return nil end
  if given == false then return { silent = true } end
  local place = answer.place .. ": what the function gave"
  local prepared, reason = answers.prepare(dns, given, place)
  if not prepared then error(reason, 0) end
  if prepared.call then error(place .. " is a function", 0) end
  return prepared
end

--- The response to the request, which has one question; nil: there is none. A name that is not there does not
-- exist. `server`: where it is asked, as text.
function Upstream:answer(request, server)
  local question = request.question
  if not question then return request:fail("FORMERR") end
  self.asked[#self.asked + 1] = question.name .. " " .. dns.types.to_str(question.type)
  local answer, exists = answer_for(self, question)
  if answer and answer.call then answer = called(answer, question, server) end
  if not answer then return exists and request:succeed {} or request:fail("NXDOMAIN") end
  if answer.silent then return nil end
  local response = answers.make(dns, request, answer) or request:succeed {}
  response.id = request.id
  return response
end

return Upstream
