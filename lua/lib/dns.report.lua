-- The results of `moondns test`: TAP (version 13) as they come, and JUnit's XML at the end.
local internal = ...
local dns = require "dns"
local test = internal.lib("dns.test")

local Report = {}
Report.__index = Report

-- No control byte but newlines, no broken UTF-8.
local function escape(text)
  return (text:gsub("\t", "  "):gsub("[^\n]+", function(line) return internal.escape(line) end))
end

local function quote(text) return internal.escape(dns.json.encode(escape(text))) end

--- Writes to `file` from now on.
function Report.new(file)
  file:setvbuf("line")
  file:write("TAP version 13\n")
  return setmetatable({ file = file, results = {}, counts = { passed = 0, failed = 0, skipped = 0, broken = 0 } }, Report)
end

--- A line of somebody's log.
function Report:comment(text)
  for line in (escape(text) .. "\n"):gmatch("([^\n]*)\n") do self.file:write("# ", line, "\n") end
end

-- What was raised: {message =, place =, expression =, values =, traceback =}.
local function failure_of(raised)
  if getmetatable(raised) == test.Failure then return raised end
  if type(raised) == "table" then return { message = test.shown(raised) } end
  local text, trace = tostring(raised):match("^(.-)\nstack traceback:\n(.*)$")
  text = text or tostring(raised)
  trace = trace and trace:gsub("\n?\t%[C%]: in function 'guarded'.*$", "")
  if trace == "" then trace = nil end
  local place, message = text:match("^([^\n]-:%d+): (.*)$")
  return { message = message or text, place = place, traceback = trace }
end

local function write_list(file, name, list)
  if not list or #list == 0 then return end
  file:write("  ", name, ":\n")
  for _, text in ipairs(list) do file:write("    - ", quote(text), "\n") end
end

local function lines_of(text)
  local lines = {}
  for line in (text or ""):gmatch("[^\n]+") do lines[#lines + 1] = line:match("^%s*(.*)$") end
  return lines
end

local function write_failure(file, failure, log)
  file:write("  ---\n  message: ", quote(failure.message), "\n")
  if failure.place then file:write("  at: ", quote(failure.place), "\n") end
  if failure.expression then file:write("  expression: ", quote(failure.expression), "\n") end
  if failure.values and failure.values[1] then
    file:write("  values:\n")
    for _, pair in ipairs(failure.values) do file:write("    ", quote(pair[1]), ": ", quote(pair[2]), "\n") end
  end
  write_list(file, "traceback", lines_of(failure.traceback))
  write_list(file, "log", log)
  file:write("  ...\n")
end

local function add(self, result, outcome)
  result.outcome = outcome
  self.counts[outcome] = self.counts[outcome] + 1
  self.results[#self.results + 1] = result
  return #self.results
end

-- One line; "#" would begin a directive.
local function title(result)
  return (escape(result.name and result.file .. ": " .. result.name or result.file):gsub("[#\n]", { ["#"] = "\\#", ["\n"] = "\\n" }))
end

function Report:passed(result)
  self.file:write("ok ", add(self, result, "passed"), " - ", title(result), "\n")
end

function Report:failed(result, raised)
  result.failure = failure_of(raised)
  self.file:write("not ok ", add(self, result, "failed"), " - ", title(result), "\n")
  write_failure(self.file, result.failure, result.log)
end

--- A file that cannot be loaded.
function Report:broken(path, raised)
  local result = { file = path, seconds = 0, failure = failure_of(raised) }
  self.file:write("not ok ", add(self, result, "broken"), " - ", title(result), ": cannot be loaded\n")
  write_failure(self.file, result.failure)
end

function Report:skipped(path, why)
  local result = { file = path, seconds = 0, why = why }
  self.file:write("ok ", add(self, result, "skipped"), " - ", title(result), " # SKIP ", escape(why), "\n")
end

function Report:finish()
  local counts = self.counts
  self.file:write("1..", #self.results, "\n")
  self.file:write(string.format("# %d passed, %d failed", counts.passed, counts.failed + counts.broken))
  self.file:write(counts.skipped > 0 and string.format(", %d skipped\n", counts.skipped) or "\n")
end

-- --- JUnit ---

local entities = { ["&"] = "&amp;", ["<"] = "&lt;", [">"] = "&gt;", ['"'] = "&quot;", ["\n"] = "&#10;" }

-- No byte is left that XML cannot hold.
local function xml(text) return (escape(text):gsub("[&<>\"\n]", entities)) end

local function failure_text(result)
  local failure, lines = result.failure, {}
  lines[1] = (failure.place and failure.place .. ": " or "") .. failure.message
  if failure.expression then lines[#lines + 1] = "expression: " .. failure.expression end
  for _, pair in ipairs(failure.values or {}) do lines[#lines + 1] = pair[1] .. ": " .. pair[2] end
  if failure.traceback then lines[#lines + 1] = failure.traceback end
  for _, text in ipairs(result.log or {}) do lines[#lines + 1] = "log: " .. text end
  return table.concat(lines, "\n")
end

local function add_case(out, result)
  out[#out + 1] = string.format('    <testcase classname="%s" name="%s" time="%.6f"', xml(result.file),
    xml(result.name or "(the file)"), result.seconds)
  local before = #out
  if result.why then out[#out + 1] = string.format('><skipped message="%s"/></testcase>\n', xml(result.why)) end
  if result.failure then
    local kind = result.outcome == "broken" and "error" or "failure"
    out[#out + 1] = string.format('><%s message="%s">%s</%s></testcase>\n', kind, xml(result.failure.message),
      xml(failure_text(result)), kind)
  end
  if #out == before then out[#out + 1] = "/>\n" end
end

--- The report as JUnit's XML: a suite for each file.
function Report:junit()
  local files, suites = {}, {}
  for _, result in ipairs(self.results) do
    local suite = suites[result.file]
    if not suite then
      suite = { passed = 0, failed = 0, skipped = 0, broken = 0, seconds = 0 }
      suites[result.file] = suite
      files[#files + 1] = result.file
    end
    suite[#suite + 1] = result
    suite[result.outcome] = suite[result.outcome] + 1
    suite.seconds = suite.seconds + result.seconds
  end
  local out = { '<?xml version="1.0" encoding="UTF-8"?>\n', string.format('<testsuites tests="%d" failures="%d" errors="%d">\n',
    #self.results, self.counts.failed, self.counts.broken) }
  for _, file in ipairs(files) do
    local suite = suites[file]
    out[#out + 1] = string.format('  <testsuite name="%s" tests="%d" failures="%d" errors="%d" skipped="%d" time="%.6f">\n',
      xml(file), #suite, suite.failed, suite.broken, suite.skipped, suite.seconds)
    for _, result in ipairs(suite) do add_case(out, result) end
    out[#out + 1] = "  </testsuite>\n"
  end
  out[#out + 1] = "</testsuites>\n"
  return table.concat(out)
end

return Report
