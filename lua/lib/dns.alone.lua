-- What a hook does that is alone: all that it calls is known here, nothing in it can run code of a script's other than
-- its own, and what it makes it puts nowhere but into its answer. Nobody can tell then in which way its values are made
-- (dns.rewrite). Its code has no loops (`ends` of dns.keeps), so each instruction stands behind all that lead to it.
local floor, max = math.floor, math.max
local byte, gsub, sub = string.byte, string.gsub, string.sub
local get_upvalue, pairs, rawget, require, type = debug.getupvalue, pairs, rawget, require, type

local INSTRUCTION = 4 -- bytes
local JUMP_BASE = 0x8000
local FIRST = 2       -- so far behind a function on the stack is its first argument
local TTL_MAX = 2 ^ 31 - 1

-- --- values ---

-- A value is a table, the same one for all variables that hold it: `is` what kind, `at` the instruction that made it,
-- `of` what it was taken from, `uses` by how many instructions it is looked at, but for those that only move it.
-- Without more to tell are:
local UNKNOWN, NUMBER, STRING, CONSTANT = { is = "unknown" }, { is = "number" }, { is = "string" }, { is = "constant" }
local FLOW = { is = "flow" }

local is_plain = { unknown = true, number = true, string = true, constant = true, name = true }
local is_text = { string = true, name = true }
local may_be_joined = { string = true, number = true, name = true }

-- What is read of a message without running more than C, and what can be set there.
local is_value = {
  id = true, query = true, op_code = true, authoritative_answer = true, truncation = true, recursion_desired = true,
  recursion_available = true, authentic_data = true, checking_disabled = true, reserved = true, response_code = true,
}
local of_string = {
  find = UNKNOWN, match = UNKNOWN, byte = UNKNOWN, len = NUMBER, sub = STRING, lower = STRING, upper = STRING,
  reverse = STRING,
}

-- --- what is found ---

-- The look at one hook: `found` is what comes out of it:
--   values    all values that were made, in order of their instructions
--   calls     of a factory by way of which an answer may get its only record
--   answers   calls of `succeed`: where, the method, its self, the table
--   failures  calls of `fail`, the same
--   turns     instructions that may go on elsewhere than behind them, and those where that is, as keys
--   strings   the methods of strings that it calls, as keys
--   uses_dns  whether it reads the global `dns`
local found, hook, kit, is_constant
local held -- the variables, by number

local function new(is, at, of)
  local value = { is = is, at = at, of = of, uses = 0 }
  found.values[#found.values + 1] = value
  return value
end

local function use(value)
  if value.uses then value.uses = value.uses + 1 end
  return value
end

-- What a variable holds, where it was set on several ways too: one that is not plain cannot be told then.
local function read(i)
  local value = held[i] or UNKNOWN
  if value.is == "either" then
    for _, one in pairs(value.all) do
      if not is_plain[one.is] then return nil end
      use(one)
    end
    return UNKNOWN
  end
  return use(value)
end

local function is_read_plain(i)
  local value = read(i)
  return value and is_plain[value.is]
end

-- What a variable holds that holds this on one way and that on the other.
local function either(this, that)
  this, that = this or UNKNOWN, that or UNKNOWN
  if this == that then return this end
  local all = {}
  for _, value in pairs { this, that } do
    for _, one in pairs(value.all or { value }) do all[one] = one end
  end
  return { is = "either", all = all }
end

local function join(known, other)
  if not known then
    known = {}
    for i, value in pairs(other) do known[i] = value end
    return known
  end
  for i in pairs(other) do known[i] = known[i] or UNKNOWN end
  for i in pairs(known) do known[i] = either(known[i], other[i]) end
  return known
end

-- --- the steps ---

-- Each makes of the variables what its instruction does. It answers true, or nil where the hook is not alone; then
-- where else the code may go on, or END.
local END = -1
local steps = {}

local function all(list, step)
  for name in list:gmatch "%w+" do steps[name] = step end
end

local function set(i, value)
  held[i] = value
  return value ~= nil
end

local function nothing() return true end

-- A comparison: the jump behind it is taken, or left out.
local function skips(_, _, _, _, pc) return true, pc + 2 end

all("UCLO JMP", function(_, _, _, _, pc, d) return true, pc + 1 + d - JUMP_BASE end)
all("ISEQS ISNES ISEQN ISNEN ISEQP ISNEP", function(a, _, _, _, pc)
  return is_read_plain(a), pc + 2
end)
all("IST ISF", function(_, _, _, _, pc, d)
  local value = read(d)
  if value and value.is == "question" then value.fields = value.fields + 1 end
  return value ~= nil, pc + 2
end)
all("ISTC ISFC", function(a, _, _, _, pc, d)
  if not is_read_plain(d) then return nil end
  return set(a, either(held[a], held[d])), pc + 2
end)
all("RET0 FUNCF USETS USETN USETP", nothing)
steps.RET0 = function() return true, END end
steps.RET1 = function(a) return is_read_plain(a), END end

-- Two tables, and two objects, may say themselves whether they are equal.
all("ISEQV ISNEV", function(a, _, _, _, pc, d)
  local one, other = read(a), read(d)
  if not one or not other or not is_plain[one.is] or not is_plain[other.is] then return nil end
  return one ~= UNKNOWN or other ~= UNKNOWN, pc + 2
end)
all("ISLT ISGE ISLE ISGT", function(a, _, _, _, pc, d)
  local one, other = read(a), read(d)
  if not one or not other then return nil end
  return one == NUMBER and other == NUMBER or is_text[one.is] and is_text[other.is], pc + 2
end)

function steps.MOV(a, _, _, _, _, d)
  local value = held[d] or UNKNOWN
  if value.is == "answers" and not value.filled then return nil end
  return set(a, value)
end

function steps.NOT(a, _, _, _, _, d) return read(d) ~= nil and set(a, CONSTANT) end

function steps.LEN(a, _, _, _, _, d)
  local value = read(d)
  return value and is_text[value.is] and set(a, NUMBER)
end

function steps.CAT(a, b, c)
  for i = b, c do
    local value = read(i)
    if not value or not may_be_joined[value.is] then return nil end
  end
  return set(a, STRING)
end

all("ADDVN SUBVN MULVN DIVVN MODVN ADDNV SUBNV MULNV DIVNV MODNV", function(a, b)
  return read(b) == NUMBER and set(a, NUMBER)
end)
all("ADDVV SUBVV MULVV DIVVV MODVV", function(a, b, c)
  local one, other = read(b), read(c)
  return one == NUMBER and other == NUMBER and set(a, NUMBER)
end)

function steps.KSTR(a) return set(a, STRING) end
function steps.KPRI(a) return set(a, CONSTANT) end
all("KSHORT KNUM", function(a) return set(a, NUMBER) end)
function steps.KNIL(a, _, _, _, _, d)
  for i = a, d do held[i] = CONSTANT end
  return true
end

-- A table or a factory of `dns`; nil for all else.
local function known(value, at, of)
  local name = kit.factories[value]
  if name then
    local factory = new("factory", at, of)
    factory.name, factory.calls = name, {}
    return factory
  end
  local source = kit.tables[value]
  if not source then return nil end
  local table = new("table", at, of)
  table.source = source
  return table
end

-- A variable of a function around it, which only what never changes can be told of.
function steps.UGET(a, _, _, _, pc, d)
  local _, value = get_upvalue(hook, d + 1)
  if not is_constant(d) then return set(a, UNKNOWN) end
  if value == kit.view then return set(a, new("dns", pc)) end
  return set(a, known(value, pc) or type(value) == "string" and STRING or type(value) == "number" and NUMBER or UNKNOWN)
end

function steps.USETV(_, _, _, _, _, d) return is_read_plain(d) end

function steps.GGET(a, _, _, key, pc)
  if key ~= "dns" then return nil end
  found.uses_dns = true
  return set(a, new("dns", pc))
end

function steps.TNEW(a, _, _, _, pc) return set(a, new("answers", pc)) end

-- A table with no more than a TTL, which says so.
function steps.TDUP(a, _, _, key, pc)
  local options = new("options", pc)
  local ttl = rawget(key, "ttl")
  local is_ttl = type(ttl) == "number" and ttl >= 0 and ttl <= TTL_MAX and ttl % 1 == 0
  for name in pairs(key) do is_ttl = is_ttl and name == "ttl" end
  options.ttl = is_ttl and ttl or nil
  return set(a, options)
end

-- --- what is read of objects ---

local function method(of, key, pc)
  local value = new("method", pc, of)
  value.name, value.calls = key, {}
  return value
end

local reads = {
  flow = function(of, key, pc)
    if key == "request" then return new("request", pc, of) end
    if key == "response" then return new("message", pc, of) end
    if key == "kill" then return method(of, key, pc) end
  end,
  request = function(of, key, pc)
    if key == "question" then
      local question = new("question", pc, of)
      question.fields = 0
      return question
    end
    if key == "succeed" or key == "fail" then return method(of, key, pc) end
    return is_value[key] and UNKNOWN
  end,
  question = function(of, key, pc)
    if key == "name" then return new("name", pc, of) end
    if key == "type" or key == "class_" then
      of.fields = of.fields + 1
      return NUMBER
    end
    return key == "original_name" and STRING
  end,
  message = function(_, key) return is_value[key] and UNKNOWN end,
  dns = function(of, key, pc) return known(kit.view[key], pc, of) end,
  table = function(of, key, pc)
    local value = rawget(of.source, key)
    return known(value, pc, of) or type(value) == "number" and UNKNOWN
  end,
}

local function read_string(_, key, pc)
  if not of_string[key] then return nil end
  found.strings[key] = true
  return method(STRING, key, pc)
end
reads.string, reads.name = read_string, read_string

function steps.TGETS(a, b, _, key, pc)
  local of = read(b)
  local get = of and reads[of.is]
  local value = get and get(of, key, pc)
  return value and set(a, value)
end

function steps.TSETS(a, b, _, key)
  local of, value = read(b), read(a)
  if not of or not value then return nil end
  if of == FLOW then return key == "response" and (is_plain[value.is] or value.is == "message") end
  return of.is == "message" and is_value[key] and is_plain[value.is]
end

-- --- answers ---

-- The record is one as all others are: so are then what made it, and what it is put into.
local function be_ordinary(value) value.ordinary = true end

-- The table at `a` gets a record, as its first: {A(…)}.
local function fill(a, index, value, filler, pc)
  local answers = use(held[a] or UNKNOWN)
  if answers.is ~= "answers" or value.is ~= "record" then return nil end
  if answers.filled or answers.ordinary or index ~= 1 then be_ordinary(answers) end
  if value.taken then be_ordinary(value) end
  value.taken = true
  answers.records = answers.records or {}
  answers.records[#answers.records + 1] = value
  answers.filled, answers.place, value.filler = pc, a, filler
  return true
end

function steps.TSETB(a, b, c, _, pc)
  local value = read(a)
  return value and fill(b, c, value, a, pc)
end

-- The last record is one of several as its call says, but factories make no more than one.
function steps.TSETM(a, _, _, key, pc)
  local value = held.several
  if not value or value.is ~= "record" or value.place ~= a then return nil end
  return fill(a - 1, key % 2 ^ 32, use(value), a, pc)
end

-- --- calls ---

local ONE, SEVERAL = 2, 0 -- results, as instructions say it: those that a table takes as they come are several

local function are_plain(first, last)
  for i = first, last do
    if not is_read_plain(i) then return nil end
  end
  return true
end

-- A(owner, address, options): one that can be made in another way has the question's own name, and is an answer's only
-- one.
local function call_factory(factory, a, count, pc, results)
  local owner, options = read(a + FIRST), count > 2 and read(a + FIRST + 2) or nil
  if count < 2 or count > 3 or not owner or not is_plain[owner.is] then return nil end
  if not is_read_plain(a + FIRST + 1) then return nil end
  if options and options ~= NUMBER and options.is ~= "options" then return nil end
  local record = new("record", pc, factory)
  record.place, record.owner, record.options = a, owner, options
  if owner.is ~= "name" or results ~= ONE and results ~= SEVERAL then be_ordinary(record) end
  local last = found.calls[#found.calls]
  if last then last.next = pc end
  found.calls[#found.calls + 1] = record
  factory.calls[#factory.calls + 1] = record
  return record
end

local function call_succeed(method, a, count, pc)
  local answers = read(a + FIRST + 1)
  if count ~= 2 or not answers or answers.is ~= "answers" then return nil end
  if answers.given or not answers.filled then be_ordinary(answers) end
  answers.given = pc
  local call = { at = pc, answers = answers, method = method, self = held[a + FIRST] }
  method.calls[#method.calls + 1] = call
  found.answers[#found.answers + 1] = call
  return new("message", pc)
end

local function call_method(method, a, count, pc)
  local self = read(a + FIRST)
  if not self or count < 1 then return nil end
  if is_text[method.of.is] then
    return is_text[self.is] and are_plain(a + FIRST + 1, a + FIRST + count - 1) and of_string[method.name]
  end
  if self.is ~= method.of.is then return nil end
  if method.name == "succeed" then return call_succeed(method, a, count, pc) end
  if not are_plain(a + FIRST + 1, a + FIRST + count - 1) then return nil end
  if method.name == "kill" then return CONSTANT end
  found.failures[#found.failures + 1] = { at = pc, method = method, self = self }
  return new("message", pc)
end

function steps.CALL(a, b, c, _, pc)
  local callee = read(a)
  local call = callee and (callee.is == "factory" and call_factory or callee.is == "method" and call_method)
  local result = call and call(callee, a, c - 1, pc, b)
  if not result then return nil end
  if result.is == "record" and b ~= 2 and b ~= 0 then be_ordinary(result) end
  for i in pairs(held) do
    if type(i) == "number" and i >= a then held[i] = nil end
  end
  for i = a, a + max(b, 1) - 2 do held[i] = i == a and result or UNKNOWN end
  held.several = b == 0 and result or nil
  return true
end

-- --- all of it ---

-- Looks at the code of `f`, as it is in `code` (a dump's); `names` are those of the instructions. nil where it is not
-- alone.
local function look(f, code, count, parameter, names)
  local util = require "jit.util"
  local known_at = { { [parameter - 1] = FLOW } }
  for pc = 1, count do
    local operation, a, c, b = byte(code, (pc - 1) * INSTRUCTION + 1, pc * INSTRUCTION)
    local name, d = gsub(sub(names, operation * 6 + 1, operation * 6 + 6), " ", ""), c + 256 * b
    held = known_at[pc]
    if held then
      local key
      if name == "TGETS" or name == "TSETS" then
        key = util.funck(f, -c - 1)
      elseif name == "GGET" or name == "TDUP" then
        key = util.funck(f, -d - 1)
      elseif name == "TSETM" then
        key = util.funck(f, d)
      end
      local step = steps[name]
      if not step then return nil end
      local fine, target = step(a, b, c, key, pc, d)
      if not fine then return nil end
      local jumps = name == "JMP" or name == "UCLO"
      if target then found.turns[pc], found.turns[target] = true, true end
      if target and target ~= END then known_at[target] = join(known_at[target], held) end
      if target ~= END and not jumps then known_at[pc + 1] = join(known_at[pc + 1], held) end
    end
  end
  return true
end

-- `given`: what the hook's values can be known by:
--   view         what scripts have as `dns`
--   tables       what is shown by the tables in it
--   factories    "A" and "AAAA", by the functions
-- `constant(i)` tells of the variable around the hook whether it is never assigned; the hook's code is in `parts`.
return function(f, parameter, parts, names, given, constant)
  found = { values = {}, calls = {}, answers = {}, failures = {}, turns = {}, strings = {} }
  hook, kit, is_constant = f, given, constant
  return look(f, parts.code, parts.count, parameter, names) and found or nil
end
