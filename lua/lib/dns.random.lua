-- dns.random: a generator of numbers that a seed repeats. The algorithm is sfc32; the numbers are the same everywhere.
local internal = ...
local error, setmetatable, tostring, type = error, setmetatable, tostring, type
local abs, floor, format = math.abs, math.floor, string.format
local bit = require "bit"
local tobit, rol, rshift, lshift, bxor = bit.tobit, bit.rol, bit.rshift, bit.lshift, bit.bxor

local SEED_MAX = 2 ^ 53
local WORD = 2 ^ 32

local Random = {}

local function is_integer(value) return type(value) == "number" and value % 1 == 0 and abs(value) <= SEED_MAX end

local function expected(what, words, got)
  error(format("%s: %s expected, got %s", what, words, type(got) == "string" and "'" .. got .. "'" or tostring(got)), 3)
end

-- 32 bits, as a number from 0 to 2^32 - 1.
local function next_word(state)
  local a, b, c = state[1], state[2], state[3]
  local sum = tobit(a + b + state[4])
  state[4] = tobit(state[4] + 1)
  state[1] = bxor(b, rshift(b, 9))
  state[2] = tobit(c + lshift(c, 3))
  state[3] = tobit(rol(c, 21) + sum)
  return sum % WORD
end

local states = setmetatable({}, { __mode = "k" })

local function state_of(self, what)
  local state = states[self]
  if not state then error("Random." .. what .. ": call it with a colon", 3) end
  return state
end

--- random:number(): a number from 0 up to, and not including, 1.
function Random:number()
  local state = state_of(self, "number")
  return (rshift(next_word(state), 11) * WORD + next_word(state)) / SEED_MAX
end

--- random:integer(a, b): an integer from a to b, both included, each as likely.
function Random:integer(a, b)
  local state = state_of(self, "integer")
  if not is_integer(a) then expected("Random.integer", "integer", a) end
  if not is_integer(b) or b < a then expected("Random.integer", "integer from " .. a, b) end
  local range = b - a + 1
  if range > WORD then return a + floor(self:number() * range) end
  local limit = WORD - WORD % range
  local word
  repeat word = next_word(state) until word < limit
  return a + word % range
end

--- random:choice(t): an element of the array.
function Random:choice(t)
  state_of(self, "choice")
  if type(t) ~= "table" or #t == 0 then expected("Random.choice", "array with elements", t) end
  return t[self:integer(1, #t)]
end

local fields = { number = Random.number, integer = Random.integer, choice = Random.choice }

local function unknown(self, name)
  if name == "seed" then return states[self].seed end
  error("Random has no property '" .. tostring(name) .. "'", 3)
end

local metatable = {
  __index = function(self, name) return fields[name] or unknown(self, name) end,
  __newindex = function(_, name) error("Random." .. tostring(name) .. " cannot be set", 2) end,
  __tostring = function(self) return "Random(" .. format("%.0f", states[self].seed) .. ")" end,
  __metatable = false,
}

local WARMING = 16

--- dns.random([seed]): a generator. Without a seed it is one nobody can guess. Either way the seed is logged.
return function(seed)
  if seed == nil then
    seed = internal.random_u32()
  elseif not is_integer(seed) then
    expected("dns.random", "integer", seed)
  end
  local self = setmetatable({}, metatable)
  local state = { tobit(seed % WORD), tobit(floor(seed / WORD) % WORD), 0x5eed, 1, seed = seed }
  states[self] = state
  for _ = 1, WARMING do next_word(state) end
  if internal.say then internal.say(format("dns.random: seed %.0f", seed)) end
  return self
end
