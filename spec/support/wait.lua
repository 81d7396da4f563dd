-- Waiting for conditions, never for fixed times.
local socket = require "socket"

local M = {}

M.PATIENCE_SECONDS = 60 -- how long anything may take before a test gives up; a busy machine with sanitizers is slow
M.POLL_SECONDS = 0.01

M.now = socket.gettime
M.sleep = socket.sleep

-- Calls `condition` until it gives something true, and returns that; raises after `timeout` seconds, with `what` (text, or
-- a function that gives it) and the last value or error.
function M.eventually(condition, what, timeout)
    local deadline = M.now() + (timeout or M.PATIENCE_SECONDS)
    local last
    repeat
        local ok, value = pcall(condition)
        if ok and value then
            return value
        end
        last = value
        M.sleep(M.POLL_SECONDS)
    until M.now() > deadline
    if type(what) == "function" then
        what = what()
    end
    error(("waited in vain for %s (last: %s)"):format(what or "a condition", tostring(last)), 2)
end

return M
