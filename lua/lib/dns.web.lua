-- The fake web of dns.test: what http.get and http.request bring to scripts under test.
local internal = ...
local clock = internal.lib("dns.clock")
local expected = internal.lib("dns.expected")
local world = internal.lib("dns.world")

local Web = {}
Web.__index = Web

local web = { current = nil } -- what test.http made; nil: none

local TIMEOUT = 10 -- the proxy's
local KINDS = "string, table, function or false"

local option_names = { "method", "headers", "body", "timeout", "max_size", "redirects", "verify", "ca_file", "address" }
local request_names = { "url", unpack(option_names) }
local answer_names = { "status", "reason", "headers", "body" }

local function is_answer(value) return type(value) == "string" or type(value) == "table" or value == false end

--- Makes one from the table that test.http takes; nil and the reason.
function Web.new(given)
  local answers = {}
  for url, value in pairs(given) do
    if type(url) ~= "string" then return nil, "test.http: URL expected as a key, got " .. tostring(url) end
    if not is_answer(value) and type(value) ~= "function" then
      return nil, ("test.http: ['%s']: %s expected, got %s"):format(url, KINDS, tostring(value))
    end
    answers[url] = value
  end
  return setmetatable({ answers = answers, asked = {} }, Web)
end

-- What comes for the request: a string or table, or false, or nil and the reason.
local function look_up(self, request)
  self.asked[#self.asked + 1] = request.method .. " " .. request.url
  local value, reason = self.answers[request.url], nil
  if value == nil then value = self.answers["*"] end
  if type(value) ~= "function" then
    if value == nil then reason = "test.http has no answer for " .. request.url end
    return value, reason
  end
  value, reason = value(request)
  if value ~= nil and not is_answer(value) then
    error(("test.http: what the function for %s gave is a %s"):format(request.url, type(value)), 0)
  end
  return value, reason or "no connection"
end

local function make_answer(value, url)
  if type(value) == "string" then value = { body = value } end
  world.check_keys(value, answer_names, "test.http: ['" .. url .. "']", 0)
  local headers = {}
  for name, text in pairs(value.headers or {}) do headers[name:lower()] = text end
  return { status = value.status or 200, reason = value.reason or "", headers = headers, body = value.body or "", url = url }
end

local function fetch(what, request)
  if type(request.url) ~= "string" then expected(what .. (what == "http.request" and ": url" or ""), "string", request.url, 3) end
  if not request.url:find("^[hH][tT][tT][pP][sS]?://") then
    error(what .. ": a URL that begins with http:// or https:// expected", 3)
  end
  clock.check_wait(what, 3)
  request.method = (request.method or "GET"):upper()
  if not web.current then return nil, "no connection" end
  local value, reason = look_up(web.current, request)
  if value == nil then return nil, reason end
  if value == false then
    clock.wait(function(awake) clock.after(request.timeout or TIMEOUT, awake) end)
    return nil, "time-out"
  end
  return make_answer(value, request.url)
end

-- What scripts have as `http`.
web.library = {
  get = function(url, given)
    local request = {}
    if given ~= nil and type(given) ~= "table" then expected("http.get", "table", given) end
    world.check_keys(given or {}, option_names, "http.get", 2)
    for name, value in pairs(given or {}) do request[name] = value end
    request.url = url
    return fetch("http.get", request)
  end,
  request = function(given)
    local request = {}
    if type(given) ~= "table" then expected("http.request", "table", given) end
    world.check_keys(given, request_names, "http.request", 2)
    for name, value in pairs(given) do request[name] = value end
    return fetch("http.request", request)
  end,
}

web.new = Web.new

return web
