-- A real redis-server on a free port of the loopback, which keeps nothing on disk.
local files = require "spec.support.files"
local ports = require "spec.support.ports"
local process = require "spec.support.process"
local wait = require "spec.support.wait"

local M = {}
local Redis = {}
Redis.__index = Redis

local function start(self)
    self.process = process.start { "redis-server", "--port", tostring(self.port), "--bind", "127.0.0.1", "--save", "",
        "--appendonly", "no", "--dir", self.folder, unpack(self.args) }
    wait.eventually(function()
        return self:ask "PING":find "PONG" or self:ask "PING":find "NOAUTH"
    end, function()
        return "redis-server to serve; it printed:\n" .. self.process:output()
    end)
end

-- {port =, url =, process =}; `args`: further arguments of redis-server.
function M.start(args)
    local port = ports.free()
    local self = setmetatable({ port = port, folder = files.temp_folder(), url = "redis://127.0.0.1:" .. port, args = args or {} },
        Redis)
    start(self)
    return self
end

-- What redis-cli prints for a command: redis:ask("-n", "3", "GET", "key").
function Redis:ask(...)
    return process.run({ "redis-cli", "-p", tostring(self.port), ... }).out
end

function Redis:kill()
    self.process:signal "KILL"
    self.process:wait_end()
end

-- After a kill: empty again.
function Redis:start_again()
    start(self)
end

return M
