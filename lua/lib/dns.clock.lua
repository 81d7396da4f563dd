-- The virtual clock of dns.test: it stands still until somebody waits or test.advance moves it. Functions that wait run as
-- tasks, each in a coroutine: what takes time calls them back from the queue.
local internal = ...
local expected = internal.lib("dns.expected")

local clock = {}

local SECONDS_MAX = 1e8
local LEAST_ROUND = 1e-3 -- of timer.every: time must get on
local WAIT = {} -- what a task that waits yields

local now, began       -- seconds since the beginning; the Unix time of that
local queue, numbers   -- {at =, number =, call =}, the next one first
local running          -- the task whose coroutine runs
local refusal          -- why what runs, where that is no task, cannot wait

--- Begins again: the time is the system's, nothing is waited for.
function clock.reset()
  now, began = 0, os.time()
  queue, numbers = {}, 0
  running, refusal = nil, nil
end

clock.reset()

--- Seconds since the beginning, as timers and TTLs count them; and the Unix time.
function clock.now() return now end
function clock.time() return began + now end
function clock.set_time(time) began = time - now end

-- --- what happens later ---

local function is_before(a, b)
  if a.at ~= b.at then return a.at < b.at end
  return a.number < b.number
end

--- Calls the function in so many seconds, unless the entry that this gives is cancelled.
function clock.after(seconds, call)
  numbers = numbers + 1
  local entry = { at = now + seconds, number = numbers, call = call }
  local place = #queue + 1
  while place > 1 and is_before(entry, queue[place - 1]) do place = place - 1 end
  table.insert(queue, place, entry)
  return entry
end

function clock.cancel(entry)
  for i, queued in ipairs(queue) do
    if queued == entry then return table.remove(queue, i) end
  end
end

--- Goes to the next thing that happens, and does it; false: there is none, or none up to `limit`.
function clock.step(limit)
  local entry = queue[1]
  if not entry or (limit and entry.at > limit) then return false end
  table.remove(queue, 1)
  now = math.max(now, entry.at)
  entry.call()
  return true
end

--- Moves on, through all that happens meanwhile.
function clock.advance(seconds)
  local target = now + seconds
  while clock.step(target) do end
  now = target
end

-- --- tasks ---

--- Whether a task runs now.
function clock.is_running() return running ~= nil end

local function go(task, ...)
  local before = running
  running = task
  local fine, reason = coroutine.resume(task.co, ...)
  running = before
  if not fine then error(reason, 0) end
end

--- Runs the function as a task, until it first waits.
function clock.start(f) go { co = coroutine.create(f) } end

--- Suspends the task that runs until the function that `begin` is given is called: with what this gives.
function clock.wait(begin)
  local task = running
  local answered, values = false, nil
  local waiting = false
  begin(function(...)
    answered, values = true, { n = select("#", ...), ... }
    if waiting then go(task) end
  end)
  if not answered then
    waiting = true
    coroutine.yield(WAIT)
  end
  return unpack(values, 1, values.n)
end

--- Calls a script's function within the task that runs, in a coroutine of its own; true, or false and the error with its
-- traceback, which the message handler `explain` makes.
function clock.call(explain, f, ...)
  local task, co = running, coroutine.create(xpcall)
  local before = task.inner
  task.inner = co
  local _, fine, result = coroutine.resume(co, f, explain, ...)
  while coroutine.status(co) == "suspended" do
    if fine ~= WAIT then
      fine, result = false, explain("coroutine.yield outside of a coroutine of the script's own", co)
      break
    end
    coroutine.yield(WAIT)
    _, fine, result = coroutine.resume(co)
  end
  task.inner = before
  return fine, result
end

--- Calls f(…), which cannot wait; `why` is what it is told. What f gives.
function clock.refuse(why, f, ...)
  local before = refusal
  refusal = why
  local fine, result = pcall(f, ...)
  refusal = before
  if not fine then error(result, 0) end
  return result
end

function clock.is_refused() return refusal ~= nil end

--- Raises "WHAT: …" where a script's function cannot wait.
function clock.check_wait(what, level)
  local why = refusal
  if why then
    error(what .. ": " .. why, (level or 1) + 1)
  elseif not running or not running.inner then
    why = "cannot wait here"
  elseif coroutine.running() ~= running.inner then
    why = "cannot wait in a coroutine of the script's own"
  elseif not coroutine.isyieldable() then
    why = "cannot wait inside a function that C calls (a metamethod, an iterator, a callback of string.gsub or table.sort)"
  end
  if why then error(what .. ": " .. why, (level or 1) + 1) end
end

-- --- what scripts have ---

local function check_seconds(what, seconds)
  if type(seconds) ~= "number" or not (seconds >= 0 and seconds <= SECONDS_MAX) then
    expected(what, type(seconds) == "number" and "seconds (0 or more)" or "number", seconds, 3)
  end
end

--- sleep(seconds)
function clock.sleep(seconds)
  check_seconds("sleep", seconds)
  clock.check_wait("sleep", 2)
  clock.wait(function(awake) clock.after(seconds, awake) end)
end

local Timer = {}
Timer.__index = Timer

function Timer:cancel()
  self.cancelled = true
  if self.entry then clock.cancel(self.entry) end
end

--- The table `timer` of one script; `run(f)` calls what is due.
function clock.timers(run)
  local function make(what, seconds, f, repeats)
    check_seconds(what, seconds)
    if type(f) ~= "function" then expected(what, "function", f, 2) end
    local timer = setmetatable({}, Timer)
    local busy = false
    local function fire()
      if repeats then timer.entry = clock.after(math.max(seconds, LEAST_ROUND), fire) end
      if busy then return end -- the last round is not done
      busy = true
      clock.start(function()
        run(f)
        busy = false
      end)
    end
    timer.entry = clock.after(seconds, fire)
    return timer
  end
  return {
    after = function(seconds, f) return make("timer.after", seconds, f, false) end,
    every = function(seconds, f) return make("timer.every", seconds, f, true) end,
  }
end

return clock
