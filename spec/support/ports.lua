-- Free ports on the loopback. They lie below the kernel's ephemeral range, which clients' sockets and the proxy's own take
-- theirs from, and each test process draws from a stretch of its own.
local socket = require "socket"
local unistd = require "posix.unistd"

local M = {}

local FIRST, STRETCH, STRETCHES = 10000, 100, 220
local start = unistd.getpid() % STRETCHES * STRETCH
local drawn = 0

local function is_free(port)
    local udp = socket.udp4()
    local tcp = socket.tcp4()
    tcp:setoption("reuseaddr", true)
    local free = udp:setsockname("127.0.0.1", port) and tcp:bind("127.0.0.1", port)
    udp:close()
    tcp:close()
    return free
end

-- A port that nobody uses, over UDP and TCP.
function M.free()
    for _ = 1, STRETCH * STRETCHES do
        local port = FIRST + (start + drawn) % (STRETCH * STRETCHES)
        drawn = drawn + 1
        if is_free(port) then
            return port
        end
    end
    error("no free port")
end

return M
