-- Free ports on the loopback. They lie below the kernel's ephemeral range, which clients' sockets and the proxy's own take
-- theirs from, and each test process draws from stretches of its own: whoever has bound the first port of a stretch over UDP
-- owns the rest of it. What the process starts inherits that socket, so a stretch is given back when the last of them ended.
local socket = require "socket"
local unistd = require "posix.unistd"

local M = {}

local FIRST, STRETCH, STRETCHES = 10000, 100, 220
local owned = {} -- the sockets that own stretches: {socket =, first =}
local tried = unistd.getpid() -- the stretch to try next; the process's number only spreads where they begin
local drawn = 0

local function own_another()
    for _ = 1, STRETCHES do
        tried = (tried + 1) % STRETCHES
        local first = FIRST + tried * STRETCH
        local owner = socket.udp4()
        if owner:setsockname("127.0.0.1", first) then
            owned[#owned + 1] = { socket = owner, first = first }
            return
        end
        owner:close()
    end
end

local function is_free(port)
    local udp = socket.udp4()
    local tcp = socket.tcp4()
    tcp:setoption("reuseaddr", true)
    local free = udp:setsockname("127.0.0.1", port) and tcp:bind("127.0.0.1", port)
    udp:close()
    tcp:close()
    return free
end

-- The next port of the stretches owned, and of a further one when they are used up; from the first one anew when all are.
local function draw()
    if drawn == #owned * (STRETCH - 1) then
        own_another()
    end
    assert(owned[1], "every stretch of ports is another process's")
    local stretch = owned[math.floor(drawn / (STRETCH - 1)) % #owned + 1]
    drawn = drawn + 1
    return stretch.first + 1 + (drawn - 1) % (STRETCH - 1)
end

-- A port that nobody uses, over UDP and TCP.
function M.free()
    for _ = 1, STRETCH * STRETCHES do
        local port = draw()
        if is_free(port) then
            return port
        end
    end
    error("no free port")
end

return M
