-- What a hook's code tells of it; the code is looked at as LuaJIT has compiled it, each instruction with what its variables
-- can hold there. Whatever is not known here counts as the worse.
--   keeps   whether it may keep what it is given: one of which the code shows that it puts the flow, and what it takes
--           from the flow, nowhere but into its own variables and back into the flow, can be given the same objects for
--           flow after flow (lua/engine/flow_run.h)
--   shares  whether it may look at the records of an answer: by way of the table that it gave to `succeed`, which it (or
--           somebody else) may still have, or by comparing messages
--   ends    whether it does, of itself: it has no loops, no tail calls, no functions of its own
--   copied  whether a copy of its code does the same: tables that end with nil before they are filled, { nil, x }, have
--           less room there, and # may tell another length of them
local pcall, require, type = pcall, require, type
local package, pairs = package, pairs
local floor, huge, max = math.floor, math.huge, math.max
local find, gmatch, gsub, match, sub = string.find, string.gmatch, string.gsub, string.match, string.sub

local INSTRUCTIONS_MAX = 1000 -- of a hook that is looked at
local JUMP_BASE = 0x8000
local ANSWERS = 3 -- so far behind `succeed` is its argument, behind the frame's place and the message

-- What is read of a flow, a message or a question: objects that are theirs; values that are nobody's; what is called.
local is_object = { request = true, response = true, question = true }
local is_value = {
  name = true, original_name = true, type = true, class_ = true, id = true, query = true, op_code = true,
  authoritative_answer = true, truncation = true, recursion_desired = true, recursion_available = true,
  authentic_data = true, checking_disabled = true, reserved = true, response_code = true, timestamp = true, size = true,
  packed = true, content = true, live = true, killable = true, is_replay = true, timestamp_created = true,
}
-- What can be set there: plain values alone, but for the response.
local is_set = {
  name = true, type = true, class_ = true, id = true, op_code = true, authoritative_answer = true, truncation = true,
  recursion_desired = true, recursion_available = true, authentic_data = true, checking_disabled = true,
  reserved = true, response_code = true, response = true,
}

-- A variable holds GIVEN (an object of the flow's), METHOD or SUCCEED (of one), or now this and now something else:
-- EITHER. What looks like a field of the flow's may then be one of the script's. Or OWN, a table that was made here, which
-- nothing else holds; or a number: one with constants, as array up to that. Else (nil) what is nobody's, or the script's own.
local GIVEN, METHOD, SUCCEED, EITHER, OWN = "given", "method", "succeed", "either", "own"

local is_given = { [GIVEN] = true, [METHOD] = true, [SUCCEED] = true, [EITHER] = true }
local is_method = { [METHOD] = true, [SUCCEED] = true }
local method_of = { succeed = SUCCEED, fail = METHOD, kill = METHOD }
local shares, copied -- what was seen
local hook           -- the function that is looked at

-- What the variable holds goes where it cannot be followed. True for what is of the flow.
local function goes(held, i)
  local what = held[i]
  if what == OWN then held[i] = nil end
  return is_given[what]
end

local function any_goes(held, first, last)
  local given = false
  for i = first, last do given = goes(held, i) or given end
  return given
end

local names, util

-- Whether code that stands behind the instruction may read the variable. Where LuaJIT says what kinds an instruction's
-- operands are of: variables, and the first of several.
local function is_read_after(pc, variable)
  local VARIABLE, BASE, READ_BASE, RETURNS_NONE = 3, 2, 4, 1
  local function is_it(kind, operand)
    return kind == VARIABLE and operand == variable or (kind == BASE or kind == READ_BASE) and operand <= variable
  end
  for at = pc + 1, huge do
    local code, kinds = util.funcbc(hook, at)
    if not code then return false end
    local a, c, b, d = floor(code / 2 ^ 8) % 256, floor(code / 2 ^ 16) % 256, floor(code / 2 ^ 24) % 256, floor(code / 2 ^ 16) % 65536
    local of_a, of_b = kinds % 8, floor(kinds / 8) % 16
    if of_a == READ_BASE and d == RETURNS_NONE then of_a = nil end
    if is_it(of_a, a) or is_it(of_b, b) or is_it(floor(kinds / 128) % 16, of_b == 0 and d or c) then return true end
  end
end

-- The steps: what an instruction makes of `held`, the variables by number. They answer true when it may keep, else where
-- else than behind it the code may go on: the number of an instruction, or END for nowhere.
local END = -1

local function clear(held, first)
  for i in pairs(held) do
    if type(i) == "number" and i >= first then held[i] = nil end
  end
end

local function makes(held, a) held[a] = nil end

local function nothing() end

local function jumps(_, _, _, _, _, target) return target end

-- A comparison: the jump behind it is taken, or left out.
local function skips(_, _, _, _, pc) return pc + 2 end

-- An order may be told by the other one's metatable.
local function compares(held, a, _, _, pc, _, d)
  local first = goes(held, a)
  return goes(held, d) or first or pc + 2
end

-- So may the result of an operation: on one variable, on one and a constant, on two.
local function operates_on_one(held, a, _, _, _, _, d)
  if is_given[held[d]] then return true end
  held[a] = nil
end

local function operates_on_first(held, a, b)
  if is_given[held[b]] then return true end
  held[a] = nil
end

local function operates_on_two(held, a, b, c)
  local first = goes(held, b)
  if goes(held, c) or first then return true end
  held[a] = nil
end

-- What is in variable `a` is put into what is in `b`.
local function puts(held, a, b) return goes(held, a) or is_given[held[b]] end

-- The call of what is in `a` with `count` values behind it. A method takes objects of the flow's, and gives one.
local function call(held, a, count, several)
  local method = held[a]
  if not is_method[method] then
    local given = is_given[method] or any_goes(held, a + 1, a + count + 1)
    if given or several and is_given[held.several] then return true end
  elseif method == SUCCEED and held[a + ANSWERS] ~= OWN then
    shares = true
  end
  clear(held, a)
  held.several = nil
  return nil, is_method[method] and GIVEN or nil
end

local function calls(several)
  return function(held, a, b, c)
    local keeps, result = call(held, a, several and c or c - 1, several)
    if keeps then return true end
    for i = a, a + b - 2 do held[i] = result end
    if b == 0 then held.several = result end
  end
end

local function calls_last(several)
  return function(held, a, _, _, _, _, d)
    return call(held, a, several and d or d - 1, several) or END
  end
end

-- What a variable holds where it holds this on one way and that on the other.
local function either(this, that)
  if this == that then return this end
  return (is_given[this] or is_given[that]) and EITHER or nil
end

local steps = {
  MOV = function(held, a, _, _, pc, _, d)
    local what = held[d]
    if what == OWN then held[d] = nil end
    held[a] = (what ~= OWN or not is_read_after(pc, d)) and what or nil
  end,
  KNIL = function(held, a, _, _, _, _, d)
    for i = a, d do held[i] = nil end
  end,
  CAT = function(held, a, b, c)
    if any_goes(held, b, c) then return true end
    held[a] = nil
  end,
  USETV = function(held, _, _, _, _, _, d) return goes(held, d) end,
  GSET = goes,
  TGETV = function(held, a, b, c)
    if goes(held, c) then return true end
    return operates_on_first(held, a, b)
  end,
  TGETB = operates_on_first,
  TGETS = function(held, a, b, _, _, _, _, key)
    local of = held[b]
    held[a] = nil
    if not is_given[of] then return end
    if is_method[of] then return true end
    if is_value[key] then return end
    held[a] = is_object[key] and of or of == GIVEN and method_of[key] or nil
    return held[a] == nil
  end,
  TSETV = function(held, a, b, c) return goes(held, c) or puts(held, a, b) end,
  TSETB = function(held, a, b, c)
    if type(held[b]) == "number" and c > held[b] then copied = false end
    return puts(held, a, b)
  end,
  TSETS = function(held, a, b, _, _, _, _, key)
    local of = held[b]
    if not is_given[of] then return goes(held, a) end
    return is_method[of] or not is_set[key] or is_given[held[a]] and (of ~= GIVEN or key ~= "response")
  end,
  TNEW = function(held, a) held[a] = OWN end,
  TDUP = function(held, a, _, _, _, _, _, constants)
    held[a] = 0
    for key in pairs(constants) do
      if type(key) == "number" then held[a] = max(held[a], key) end
    end
  end,
  TSETM = function(held, a)
    if type(held[a - 1]) == "number" then copied = false end
    return is_given[held.several] or is_given[held[a - 1]]
  end,
  CALL = calls(false),
  CALLM = calls(true),
  CALLT = calls_last(false),
  CALLMT = calls_last(true),
  ITERC = function(held, a, b)
    if any_goes(held, a - 3, a - 1) then return true end
    for i = a, max(a + b - 2, a + 2) do held[i] = nil end
  end,
  ISNEXT = function(held, a, _, _, _, target) return any_goes(held, a - 3, a - 1) or target end,
  ITERL = function(held, a, _, _, _, target)
    held[a - 1] = nil
    return target
  end,
  FORI = function(held, a, _, _, _, target)
    held[a + 3] = nil
    return target
  end,
  UCLO = jumps, JMP = jumps,
  LOOP = nothing, FUNCF = nothing, USETS = nothing, USETN = nothing, USETP = nothing,
}
steps.ITERN, steps.FORL = steps.ITERC, steps.FORI

local function all(list, step)
  for name in gmatch(list, "%w+") do steps[name] = step end
end

all("RET RET0 RET1 RETM", function() return END end)
-- Who compares messages looks at all their records.
all("ISEQV ISNEV", function(held, a, _, _, pc, _, d)
  if is_given[held[a]] or is_given[held[d]] then shares = true end
  return pc + 2
end)
all("ISEQS ISNES ISEQN ISNEN ISEQP ISNEP IST ISF", skips)
all("ISLT ISGE ISLE ISGT", compares)
all("ISTC ISFC", function(held, a, _, _, pc, _, d)
  local what = held[d]
  if what == OWN then held[d] = nil end
  held[a] = either(held[a], what ~= OWN and what or nil)
  return pc + 2
end)
all("NOT KSTR KSHORT KNUM KPRI UGET GGET", makes)
all("LEN UNM", operates_on_one)
all("ADDVN SUBVN MULVN DIVVN MODVN ADDNV SUBNV MULNV DIVNV MODNV", operates_on_first)
all("ADDVV SUBVV MULVV DIVVV MODVV POW", operates_on_two)

-- The names of LuaJIT's instructions, six characters each; nil where it does not tell.
local function instruction_names()
  local fine, definitions = pcall(require, "jit.vmdef")
  package.loaded["jit.vmdef"] = nil -- which is large
  return fine and definitions.bcnames
end

-- The step of an instruction and its operands; nil for one that is not known.
local function decode(f, pc)
  local code = util.funcbc(f, pc)
  if not code then return nil end
  local name = gsub(sub(names, code % 256 * 6 + 1, code % 256 * 6 + 6), " ", "")
  local plain = steps[sub(name, 2)] and match(name, "^[IJ](.*)") -- LuaJIT marks what it has compiled, or never will
  name = plain or name
  local a, c, b, d = floor(code / 2 ^ 8) % 256, floor(code / 2 ^ 16) % 256, floor(code / 2 ^ 24) % 256, floor(code / 2 ^ 16) % 65536
  return name, a, b, c, d
end

local function copy_of(held)
  local copy = {}
  for i, what in pairs(held) do copy[i] = what end
  return copy
end

-- Adds what is held on one way to an instruction to what is known of the other ways there. True when that is news.
local function join(known, held)
  local news = false
  local function add(i)
    local what = either(known[i], held[i])
    news = news or what ~= known[i]
    known[i] = what
  end
  for i in pairs(copy_of(known)) do add(i) end
  for i in pairs(held) do add(i) end
  return news
end

-- Goes on at `target` with what is held.
local function go_on(work, target, held)
  local known = work.known[target]
  if not known then work.known[target] = copy_of(held) end
  if not known or join(known, held) then work[#work + 1] = target end
end

local function look(f, work, pc)
  local name, a, b, c, d = decode(f, pc)
  local step = steps[name]
  if not step then return false end
  local held = copy_of(work.known[pc])
  local constant = (name == "TGETS" or name == "TSETS") and c or name == "TDUP" and d
  local key = constant and util.funck(f, -constant - 1) or nil
  local target = step(held, a, b, c, pc, pc + 1 + d - JUMP_BASE, d, key)
  if target == true then return false end
  if type(target) == "number" and target ~= END then go_on(work, target, held) end
  if target ~= END and name ~= "JMP" and name ~= "UCLO" and name ~= "ISNEXT" then go_on(work, pc + 1, held) end
  return true
end

local repeats = { LOOP = true, CALLT = true, CALLMT = true, FNEW = true, VARG = true, ISNEXT = true }

-- Whether each instruction is come to once at most.
local function ends(f, count)
  for pc = 1, count - 1 do
    local name, _, _, _, d = decode(f, pc)
    if repeats[name] or find(name, "FOR") or find(name, "ITER") or name == "JMP" and d < JUMP_BASE then return false end
  end
  return true
end

-- Tells of the function, where its argument number `parameter` is what it is given: {keeps=, shares=, ends=, copied=}.
return function(f, parameter)
  if not util then
    names = instruction_names()
    util = require "jit.util"
  end
  local info = names and util.funcinfo(f)
  if not info or not info.bytecodes or info.isvararg or info.children or info.bytecodes > INSTRUCTIONS_MAX then
    return { keeps = true, shares = true, ends = false, copied = false }
  end
  shares, copied, hook = false, true, f
  local work = { 0, known = { [0] = { [parameter - 1] = info.params >= parameter and GIVEN or nil } } }
  while #work > 0 do
    local pc = work[#work]
    work[#work] = nil
    if not look(f, work, pc) then return { keeps = true, shares = true, ends = false, copied = false } end
  end
  return { keeps = false, shares = shares, ends = ends(f, info.bytecodes), copied = copied }
end
