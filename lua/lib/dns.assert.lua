-- assert as tests have it: one that fails tells the expression and what its two sides were. The line of the source is read
-- for that; its sides are evaluated once more, with the locals of the caller.
local function read_lines(path)
  local file = io.open(path, "rb")
  if not file then return nil end
  local lines = {}
  for line in file:lines() do lines[#lines + 1] = line end
  file:close()
  return lines
end

-- Where the string that begins at `at` ends; nil for anything else.
local function string_end(text, at)
  local quote = text:sub(at, at)
  if quote == '"' or quote == "'" then
    local i = at + 1
    while i <= #text and text:sub(i, i) ~= quote do
      if text:sub(i, i) == "\\" then i = i + 1 end
      i = i + 1
    end
    return i
  end
  local equals = text:match("^%[(=*)%[", at)
  if not equals then return nil end
  local _, stop = text:find("]" .. equals .. "]", at, true)
  return stop or #text
end

local opening, closing = { ["("] = true, ["{"] = true, ["["] = true }, { [")"] = true, ["}"] = true, ["]"] = true }
local comparisons = { ["=="] = true, ["~="] = true, ["<="] = true, [">="] = true }

-- The first argument of the call whose parenthesis is at `at`, and its comparison: {text =, left =, operator =, right =}.
local function split(text, at)
  local depth, i = 0, at
  local start, operator, operator_at, logical = at + 1, nil, nil, false
  while i <= #text do
    local character, pair = text:sub(i, i), text:sub(i, i + 1)
    local stop = string_end(text, i)
    local word = depth == 1 and text:match("^%f[%w_][%a_][%w_]*", i)
    if stop then
      i = stop
    elseif pair == "--" then
      i = (text:find("\n", i, true) or #text + 1) - 1
    elseif opening[character] then
      depth = depth + 1
    elseif closing[character] then
      depth = depth - 1
    elseif depth == 1 and comparisons[pair] then
      operator, operator_at = operator or pair, operator_at or i
      i = i + 1
    elseif depth == 1 and (character == "<" or character == ">") then
      operator, operator_at = operator or character, operator_at or i
    elseif word then
      logical = logical or word == "and" or word == "or" or word == "not" or word == "function"
      i = i + #word - 1
    end
    if depth == 0 or (depth == 1 and character == "," and not stop) then
      local found = { text = text:sub(start, i - 1) }
      if operator and not logical then
        found.left, found.operator = text:sub(start, operator_at - 1), operator
        found.right = text:sub(operator_at + #operator, i - 1)
      end
      return found
    end
    i = i + 1
  end
end

-- What the function at this level of the stack sees as its variables.
local function variables(level)
  local seen = {}
  local info = debug.getinfo(level + 1, "f")
  for i = 1, math.huge do
    local name, value = debug.getupvalue(info.func, i)
    if not name then break end
    seen[name] = { value }
  end
  for i = 1, math.huge do
    local name, value = debug.getlocal(level + 1, i)
    if not name then break end
    seen[name] = { value }
  end
  local globals = getfenv(info.func)
  return setmetatable({}, { __index = function(_, name)
    if seen[name] then return seen[name][1] end
    return globals[name]
  end })
end

local function evaluate(text, scope)
  local chunk = load("return " .. text, "=expression", "t", scope)
  if not chunk then return false end
  return pcall(chunk)
end

-- The expression of the call to `assert` in this line of the file.
local function expression_at(path, number)
  local lines = read_lines(path)
  if not lines or not lines[number] then return nil end
  local at = lines[number]:find("%f[%w_]assert%f[^%w_]%s*%(")
  if not at then return nil end
  local text = table.concat(lines, "\n", number, math.min(number + 20, #lines))
  return split(text, text:find("(", at, true))
end

local function trim(text) return (text:match("^%s*(.-)%s*$"):gsub("%s+", " ")) end

-- For an assert that failed in the function at `level`: the expression, and an array of {expression, value}.
return function(level, shown)
  local info = debug.getinfo(level + 1, "Sl")
  local path = info and info.source:match("^@(.*)")
  local found = path and expression_at(path, info.currentline)
  if not found then return nil, {} end
  local values = {}
  local scope = variables(level + 1)
  for _, side in ipairs { found.left or found.text, found.right } do
    local fine, value = evaluate(side, scope)
    local text = trim(side)
    if fine and shown(value) ~= text then values[#values + 1] = { text, shown(value) } end
  end
  return trim(found.text), values
end
