-- Whether a hook may keep what it is given. One of which its code shows that it puts the flow, and what it takes from
-- the flow, nowhere but into its own variables and back into the flow, can be given the same objects for flow after flow
-- (lua/engine/flow_run.h). The code is looked at as LuaJIT has compiled it, each instruction with what its variables can
-- hold there; whatever is not known here may keep.
local pcall, require, type = pcall, require, type
local package, pairs = package, pairs
local floor, max = math.floor, math.max
local gmatch, gsub, sub = string.gmatch, string.gsub, string.sub

local INSTRUCTIONS_MAX = 1000 -- of a hook that is looked at
local JUMP_BASE = 0x8000

-- What is read of a flow, a message or a question: objects that are theirs; values that are nobody's; what is called.
local is_object = { request = true, response = true, question = true }
local is_method = { succeed = true, fail = true, kill = true }
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

-- A variable holds GIVEN (an object of the flow's), METHOD (of one), nothing of the flow's (nil), or now this and now that:
-- EITHER. What looks like a field of the flow's may then be one of the script's.
local GIVEN, METHOD, EITHER = "given", "method", "either"

-- The steps: what an instruction makes of `held`, the variables by number. They answer true when it may keep, else where
-- else than behind it the code may go on: the number of an instruction, or END for nowhere.
local END = -1

local function any(held, first, last)
  for i = first, last do
    if held[i] then return true end
  end
  return false
end

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
local function compares(held, a, _, _, pc, _, d) return held[a] ~= nil or held[d] ~= nil or pc + 2 end

-- So may the result of an operation: on one variable, on one and a constant, on two.
local function operates_on_one(held, a, _, _, _, _, d)
  if held[d] then return true end
  held[a] = nil
end

local function operates_on_first(held, a, b)
  if held[b] then return true end
  held[a] = nil
end

local function operates_on_two(held, a, b, c)
  if held[b] or held[c] then return true end
  held[a] = nil
end

-- The call of what is in `a` with `count` values behind it. A method takes objects of the flow's, and gives one.
local function call(held, a, count, several)
  local method = held[a] == METHOD
  if not method and (any(held, a, a + count + 1) or several and held.several) then return true end
  clear(held, a)
  held.several = nil
  return nil, method and GIVEN or nil
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

local steps = {
  MOV = function(held, a, _, _, _, _, d) held[a] = held[d] end,
  KNIL = function(held, a, _, _, _, _, d)
    for i = a, d do held[i] = nil end
  end,
  CAT = function(held, a, b, c)
    if any(held, b, c) then return true end
    held[a] = nil
  end,
  USETV = function(held, _, _, _, _, _, d) return held[d] ~= nil end,
  GSET = function(held, a) return held[a] ~= nil end,
  TGETV = function(held, a, b, c)
    if held[b] or held[c] then return true end
    held[a] = nil
  end,
  TGETB = function(held, a, b)
    if held[b] then return true end
    held[a] = nil
  end,
  TGETS = function(held, a, b, _, _, _, _, key)
    local of = held[b]
    if of == METHOD then return true end
    held[a] = nil
    if not of or is_value[key] then return end
    held[a] = is_object[key] and of or is_method[key] and of == GIVEN and METHOD or nil
    return held[a] == nil
  end,
  TSETV = function(held, a, b, c) return held[a] ~= nil or held[b] ~= nil or held[c] ~= nil end,
  TSETB = function(held, a, b) return held[a] ~= nil or held[b] ~= nil end,
  TSETS = function(held, a, b, _, _, _, _, key)
    local of = held[b]
    if not of then return held[a] ~= nil end
    return of == METHOD or not is_set[key] or held[a] ~= nil and (of ~= GIVEN or key ~= "response")
  end,
  TSETM = function(held, a) return held[a - 1] ~= nil or held.several ~= nil end,
  CALL = calls(false),
  CALLM = calls(true),
  CALLT = calls_last(false),
  CALLMT = calls_last(true),
  ITERC = function(held, a, b)
    if any(held, a - 3, a - 1) then return true end
    for i = a, max(a + b - 2, a + 2) do held[i] = nil end
  end,
  ISNEXT = function(held, a, _, _, _, target) return any(held, a - 3, a - 1) or target end,
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
all("ISEQV ISNEV ISEQS ISNES ISEQN ISNEN ISEQP ISNEP IST ISF", skips)
all("ISLT ISGE ISLE ISGT", compares)
all("ISTC ISFC", function(held, a, _, _, pc, _, d)
  if held[a] ~= held[d] then held[a] = EITHER end
  return pc + 2
end)
all("NOT KSTR KSHORT KNUM KPRI UGET TNEW TDUP GGET", makes)
all("LEN UNM", operates_on_one)
all("ADDVN SUBVN MULVN DIVVN MODVN ADDNV SUBNV MULNV DIVNV MODNV", operates_on_first)
all("ADDVV SUBVV MULVV DIVVV MODVV POW", operates_on_two)

-- The names of LuaJIT's instructions, six characters each; nil where it does not tell.
local function instruction_names()
  local fine, definitions = pcall(require, "jit.vmdef")
  package.loaded["jit.vmdef"] = nil -- which is large
  return fine and definitions.bcnames
end

local names, util

-- The step of an instruction and its operands; nil for one that is not known.
local function decode(f, pc)
  local code = util.funcbc(f, pc)
  if not code then return nil end
  local name = gsub(sub(names, code % 256 * 6 + 1, code % 256 * 6 + 6), " ", "")
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
  for i, what in pairs(known) do
    if what ~= EITHER and held[i] ~= what then
      known[i] = EITHER
      news = true
    end
  end
  for i in pairs(held) do
    if known[i] == nil then
      known[i] = EITHER
      news = true
    end
  end
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
  local key = (name == "TGETS" or name == "TSETS") and util.funck(f, -c - 1) or nil
  local target = step(held, a, b, c, pc, pc + 1 + d - JUMP_BASE, d, key)
  if target == true then return false end
  if type(target) == "number" and target ~= END then go_on(work, target, held) end
  if target ~= END and name ~= "JMP" and name ~= "UCLO" and name ~= "ISNEXT" then go_on(work, pc + 1, held) end
  return true
end

-- Whether the function may keep its argument number `parameter`, or what it takes from that.
return function(f, parameter)
  if not util then
    names = instruction_names()
    util = require "jit.util"
  end
  local info = names and util.funcinfo(f)
  if not info or not info.bytecodes or info.isvararg or info.children or info.bytecodes > INSTRUCTIONS_MAX then return true end
  if info.params < parameter then return false end
  local work = { 0, known = { [0] = { [parameter - 1] = GIVEN } } }
  while #work > 0 do
    local pc = work[#work]
    work[#work] = nil
    if not look(f, work, pc) then return true end
  end
  return false
end
