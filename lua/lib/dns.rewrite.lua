-- The code of hooks that are alone (dns.alone), with other instructions for what nobody can tell from it: no string is
-- made for a name that only says whose a record is, no table for a TTL, no record and no table for an answer that has
-- but one; the question's numbers are read in place; what is the flow's is not looked for in it. Instructions stay where they are, so that errors tell the same
-- lines.
local internal = ...
local byte, dump, gsub, sub = string.byte, string.dump, string.gsub, string.sub
local get_upvalue, getfenv, setfenv = debug.getupvalue, getfenv, setfenv
local concat, huge, ipairs, load, next, package, pairs = table.concat, math.huge, ipairs, load, next, package, pairs
local pcall, rawget, require = pcall, rawget, require
local bytecode = internal.once "dns.bytecode"

local KSHORT_MAX = 32767
local NIL = 0

-- --- which answers ---

local function is_straight(found, first, last)
  for pc = first, last do
    if found.turns[pc] then return false end
  end
  return true
end

-- Whether the call's answer has one record, made for it, and nothing else is done with either.
local function is_simple(found, call)
  local answers, method = call.answers, call.method
  local record = answers.records and answers.records[1]
  return record and #answers.records == 1 and not answers.ordinary and not record.ordinary and answers.uses == 2 and
         record.uses == 1 and not (record.next and record.next < call.at) and method.uses == 1 and
         is_straight(found, answers.filled, call.at)
end

-- A factory is called in the one way or the other.
local function is_factory_simple(factory, simple)
  for _, record in ipairs(factory.calls) do
    if not simple[record] then return false end
  end
  return factory.uses == #factory.calls
end

-- The calls that can be made in another way, and their records, as keys.
local function simple_answers(found)
  local simple, calls = {}, {}
  for _, call in ipairs(found.answers) do
    if is_simple(found, call) then calls[call], simple[call.answers.records[1]] = true, call end
  end
  local again = true
  while again do
    again = false
    for record, call in pairs(simple) do
      if not is_factory_simple(record.of, simple) then
        simple[record], calls[call], again = nil, nil, true
        break
      end
    end
  end
  return calls, simple
end

-- --- other instructions ---

-- `work`: what is rewritten, the dump's `parts`; the `variables` that are added, by value; the `numbers` of instructions;
-- what is `given`; the `answers` that are made in another way, by their record.
local function put(work, pc, name, a, d) bytecode.set(work.parts, pc, work.numbers[name], a, d) end

local function operand_a(work, pc) return byte(work.parts.code, (pc - 1) * 4 + 2) end

-- What the value is called in error messages: as what is called in its place.
local function name_of(work, value)
  for name, own in pairs(work.given.own) do
    if own == value then return name end
  end
  return ""
end

local function variable_of(work, value)
  local i = work.variables[value]
  if not i then
    i = bytecode.add_variable(work.parts, name_of(work, value))
    if not i then return nil end
    work.variables[value] = i
  end
  return i
end

-- A variable of the function's own is read in place of what the instruction does; false where it can have no more.
local function get_instead(work, pc, value)
  local i = variable_of(work, value)
  if i then put(work, pc, "UGET", operand_a(work, pc), i) end
  return i ~= nil
end

-- Nobody looks at what the instruction made.
local function drop(work, value)
  value.uses = value.uses - 1
  if value.uses > 0 then return end
  put(work, value.at, "KPRI", operand_a(work, value.at), NIL)
  if value.of and value.of.uses then drop(work, value.of) end
end

local function set_ttl(work, options)
  local ttl, a = options.ttl, operand_a(work, options.at)
  if ttl <= KSHORT_MAX then
    put(work, options.at, "KSHORT", a, ttl)
  else
    put(work, options.at, "KNUM", a, bytecode.add_number(work.parts, ttl))
  end
end

local function rewrite_record(work, record)
  local factory, options, answers = record.of, record.options, work.answers[record].answers
  if not factory.done then
    factory.done = true
    if factory.of then drop(work, factory.of) end
    if not get_instead(work, factory.at, work.given.own[factory.name]) then return false end
  end
  drop(work, record.owner)
  if options and options.ttl and options.uses == 1 then set_ttl(work, options) end
  local arguments = byte(work.parts.code, (record.at - 1) * 4 + 3)
  put(work, record.at, "CALL", record.place, arguments + 2 * 256)
  put(work, answers.at, "KPRI", operand_a(work, answers.at), NIL)
  put(work, answers.filled, "MOV", answers.place, record.filler)
  return true
end

-- The method is got from elsewhere: it is the request's.
local function rewrite_method(work, call)
  local method = call.method
  drop(work, method.of)
  drop(work, call.self)
  return get_instead(work, method.at, work.given.own[method.name])
end

-- The request's question is got from elsewhere where that is all it is there for: one whose numbers are read in place
-- where nothing else is read of it.
local function rewrite_questions(work, values)
  local questions, numbers = {}, {}
  for _, value in ipairs(values) do
    if value.is == "question" and value.uses > 0 then
      local request = value.of
      questions[request] = (questions[request] or 0) + 1
      if value.fields == value.uses then numbers[request] = (numbers[request] or 0) + 1 end
    end
  end
  for request, count in pairs(questions) do
    local from = numbers[request] == count and work.given.visit or work.given.objects
    if count == request.uses and not get_instead(work, request.at, from) then return false end
  end
  return true
end

-- Tables of `dns` are themselves reached for, where that is all that is done with it.
local function rewrite_tables(work, values)
  for _, value in ipairs(values) do
    local of = value.of
    if value.is == "table" and value.uses > 0 and of and of.is == "dns" then
      drop(work, of)
      if not get_instead(work, value.at, value.source) then return false end
    end
  end
  return true
end

local function rewrite_all(work, found)
  local calls, records = simple_answers(found)
  work.answers = records
  for _, call in ipairs(found.failures) do
    if call.method.uses == 1 then calls[call] = true end
  end
  if not next(calls) then return false end
  for record in pairs(records) do
    if not rewrite_record(work, record) then return false end
  end
  for call in pairs(calls) do
    if not rewrite_method(work, call) then return false end
  end
  return rewrite_questions(work, found.values) and rewrite_tables(work, found.values)
end

-- --- functions ---

-- A function with this code; variables that the other one has are the same.
local function load_like(text, other, plain)
  local f = plain.load(text, "", "b")
  for i = 1, huge do
    if not get_upvalue(other, i) then break end
    plain.upvaluejoin(f, i, other, i)
  end
  return setfenv(f, getfenv(other))
end

-- The conditions under which the code means the same as ever: what scripts share is as it was.
local function conditions(work, found)
  local list = { found.uses_dns and "rawget(environment, 'dns') == view" or nil }
  for _, record in pairs(found.calls) do
    local name = work.answers[record] and record.of.name
    local condition = name and ("record.%s == %s"):format(name, name)
    if condition and not list[condition] then list[#list + 1], list[condition] = condition, true end
  end
  for name in pairs(found.strings) do list[#list + 1] = ("string.%s == %s"):format(name, name) end
  return list
end

-- Calls the one where the conditions hold, else the other.
local function choose(work, found, whole, other, f)
  local given, list = work.given, conditions(work, found)
  local values = { rawget = rawget, environment = getfenv(f), view = given.view, string = given.string, record = given.record,
    A = given.public.A, AAAA = given.public.AAAA, other = other, whole = whole }
  for name in pairs(found.strings) do values[name] = given.methods[name] end
  local names = {}
  for name in pairs(values) do names[#names + 1] = name end
  local text = ("local %s return function(a, b) if %s then return other(a, b) end return whole(a, b) end"):format(
    concat(names, ", "), #list > 0 and concat(list, " and ") or "true")
  -- What is loaded as text LuaJIT does not compile (dns.compiled).
  local chosen = given.plain.load(dump(load(text, "=hook")()), "", "b")
  for i = 1, huge do
    local name = get_upvalue(chosen, i)
    if not name then return chosen end
    given.plain.setupvalue(chosen, i, values[name])
  end
end

-- The names of LuaJIT's instructions, six characters each, and their numbers; nil where it does not tell.
local function instructions()
  local fine, definitions = pcall(require, "jit.vmdef")
  package.loaded["jit.vmdef"] = nil -- which is large
  local names, numbers = fine and definitions.bcnames, {}
  if not names then return nil end
  for i = 0, #names / 6 - 1 do numbers[gsub(sub(names, i * 6 + 1, i * 6 + 6), " ", "")] = i end
  return names, numbers
end

-- A function that does what the hook `f` does in another way, where it is alone: else nil. `whole`: a copy of the hook,
-- to be called whenever the other way might not be the same; `given`: see dns.alone, and
--   public, own    the factories by name; those, `succeed` and `fail` for what is rewritten
--   visit, objects    of which `question` is the question's place, and the question
--   record         the class table
--   string, methods   the library, and functions that it had at first
--   plain          load, setupvalue and upvaluejoin, as they are but for scripts
return function(f, whole, parameter, given)
  local names, numbers = instructions()
  local parts = names and bytecode.parse(dump(f))
  if not parts then return nil end
  local function is_constant(i) return bytecode.is_constant(parts, i) end
  local found = internal.once "dns.alone"(f, parameter, parts, names, given, is_constant)
  local work = { parts = parts, numbers = numbers, given = given, variables = {} }
  if not found or not rewrite_all(work, found) then return nil end
  local other = load_like(bytecode.dump(parts), f, given.plain)
  for value, i in pairs(work.variables) do given.plain.setupvalue(other, i + 1, value) end
  return choose(work, found, whole, other, f), other
end
