-- Answers as people write them: "192.0.2.1", "NXDOMAIN", a record or its text, an array of those, a DNSMessage, a function.
-- dns.sequence and the fake upstream of dns.test take them.
local pcall, tostring, type = pcall, tostring, type
local find, format = string.find, string.format

local answers = {}

function answers.quoted(value) return type(value) == "string" and "'" .. value .. "'" or tostring(value) end

local quoted = answers.quoted

local function address_record(dns, name, text)
  local family = find(text, ":", 1, true) and "AAAA" or "A"
  return dns.ResourceRecord[family](name, text)
end

-- "192.0.2.1" and "2001:db8::1", by the type of query that they answer; nil for other text.
local function address_type(dns, text)
  local ok, record = pcall(address_record, dns, "a.example", text)
  if ok then return record.type end
end

-- The response to a request; nil where the answer is to another type of question.
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

-- An address or a record, or nil.
local function item_of(dns, value)
  if dns.typeof(value) == "ResourceRecord" then return { record = value } end
  if type(value) ~= "string" then return nil end
  local type_ = address_type(dns, value)
  if type_ then return { text = value, type = type_ } end
  local ok, record = pcall(dns.ResourceRecord.from_text, value)
  return ok and { record = record } or nil
end

-- What a given answer is: {make =, …} for answers.make, {call =} for a function; nil and the reason, which names the place.
function answers.prepare(dns, value, place)
  if type(value) == "function" then return { call = value } end
  if dns.typeof(value) == "DNSMessage" then return { make = makers.message, message = value } end
  if type(value) == "string" then
    local ok, code = pcall(dns.response_codes.from_str, value)
    if ok and code <= 15 then return { make = makers.code, code = code } end
  end
  local item = item_of(dns, value)
  if item and item.record then return { make = makers.list, list = { item } } end
  if item then return { make = makers.address, text = item.text, type = item.type } end
  if type(value) == "table" and #value > 0 then
    local list = {}
    for i = 1, #value do
      list[i] = item_of(dns, value[i])
      if not list[i] then
        return nil, format("%s[%d]: address or ResourceRecord expected, got %s", place, i, quoted(value[i]))
      end
    end
    return { make = makers.list, list = list }
  end
  return nil, format(
    "%s: address, response code up to 15, ResourceRecord or its text, array of those, DNSMessage or function expected, got %s",
    place, quoted(value))
end

-- The response to the request; nil where the answer is to another type of question.
function answers.make(dns, request, answer) return answer.make(dns, request, answer) end

return answers
