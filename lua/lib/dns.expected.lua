local error, tostring, type = error, tostring, type
local format = string.format

-- expected(what, words, given [, level]): raises "WHAT: WORDS expected, got GIVEN", by default where the caller was called.
return function(what, words, given, level)
  local shown = type(given) == "string" and "'" .. given .. "'" or tostring(given)
  error(format("%s: %s expected, got %s", what, words, shown), (level or 2) + 1)
end
