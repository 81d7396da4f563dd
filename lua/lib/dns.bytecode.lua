-- A function's code as string.dump gives it, taken apart and put together again with other instructions (LuaJIT 2.1, with
-- two places for a function on the stack, as on all 64-bit systems). It is: ESC "LJ", a version, flags and the chunk's
-- name; the function's length, then its flags, parameters, frame and variables of functions around it (a byte each); how
-- many objects, numbers and instructions there are, the length of what is for debugging, with the first line and their
-- number; the instructions, four bytes each; two bytes for each variable of a function around it; the objects, the
-- numbers, what is for debugging: the instructions' lines, then the names of those variables, then those of its own.
-- Lengths and counts are LEB128.
local byte, char, find, sub = string.byte, string.char, string.find, string.sub
local floor, concat, unpack = math.floor, table.concat, unpack

local HEAD, VERSION = "\27LJ", 2
local BIG_ENDIAN, STRIPPED, WIDE_FRAMES = 1, 2, 8
local INSTRUCTION, VARIABLE = 4, 2 -- bytes
local VARIABLES_MAX = 60
local OWN_FOR_GOOD = "\0\192" -- a variable that is nobody's else, and never assigned

local bytecode = {}

local function read_number(text, at)
  local number, unit = 0, 1
  while true do
    local digit = byte(text, at)
    at = at + 1
    number = number + digit % 128 * unit
    if digit < 128 then return number, at end
    unit = unit * 128
  end
end

local function written(number)
  local digits = ""
  while number >= 128 do
    digits = digits .. char(number % 128 + 128)
    number = floor(number / 128)
  end
  return digits .. char(number)
end

local function read_numbers(text, at, count)
  local numbers = {}
  for i = 1, count do numbers[i], at = read_number(text, at) end
  return numbers, at
end

-- Takes the dump of a function apart that has none in it; nil where it is of another kind.
function bytecode.parse(dump)
  local flags = byte(dump, 5)
  local function has(flag) return floor(flags / flag) % 2 == 1 end
  if sub(dump, 1, 3) ~= HEAD or byte(dump, 4) ~= VERSION or has(BIG_ENDIAN) or has(STRIPPED) or not has(WIDE_FRAMES) then
    return nil
  end
  local name_length, at = read_number(dump, 6)
  at = at + name_length
  local parts = { head = sub(dump, 1, at - 1) }
  local length, start = read_number(dump, at)
  parts.fixed = sub(dump, start, start + 2)
  parts.variables = byte(dump, start + 3)
  local numbers
  numbers, at = read_numbers(dump, start + 4, 6)
  parts.objects, parts.numbers, parts.count, parts.debug_length, parts.line, parts.lines = unpack(numbers)
  local function take(bytes)
    at = at + bytes
    return sub(dump, at - bytes, at - 1)
  end
  parts.code = take(parts.count * INSTRUCTION)
  parts.of_variables = take(parts.variables * VARIABLE)
  parts.constants = take(start + length - parts.debug_length - at)
  parts.debug = take(parts.debug_length)
  return parts
end

-- Whether variable `i` (from 0) of a function around this one is never assigned once it is there.
function bytecode.is_constant(parts, i)
  return floor(byte(parts.of_variables, i * VARIABLE + 2) / 64) % 2 == 1
end

-- Puts another instruction at `pc`, with its two operands.
function bytecode.set(parts, pc, operation, a, d)
  local at = (pc - 1) * INSTRUCTION
  local instruction = char(operation, a, d % 256, floor(d / 256))
  parts.code = sub(parts.code, 1, at) .. instruction .. sub(parts.code, at + INSTRUCTION + 1)
end

-- Adds a variable that is the function's own, with its name in error messages; its number, nil where there are too many.
-- It is nil until it is set.
function bytecode.add_variable(parts, name)
  if parts.variables >= VARIABLES_MAX then return nil end
  local at = parts.count * (parts.lines < 256 and 1 or parts.lines < 65536 and 2 or 4)
  for _ = 1, parts.variables do at = find(parts.debug, "\0", at + 1, true) end
  parts.debug = sub(parts.debug, 1, at) .. name .. "\0" .. sub(parts.debug, at + 1)
  parts.of_variables = parts.of_variables .. OWN_FOR_GOOD
  parts.variables = parts.variables + 1
  return parts.variables - 1
end

-- Adds a number from 0 to 2 ^ 31 - 1; which one of the numbers it is.
function bytecode.add_number(parts, number)
  parts.constants = parts.constants .. written(2 * number)
  parts.numbers = parts.numbers + 1
  return parts.numbers - 1
end

function bytecode.dump(parts)
  local body = concat {
    parts.fixed, char(parts.variables), written(parts.objects), written(parts.numbers), written(parts.count),
    written(#parts.debug), written(parts.line), written(parts.lines), parts.code, parts.of_variables, parts.constants,
    parts.debug,
  }
  return concat { parts.head, written(#body), body, "\0" }
end

return bytecode
