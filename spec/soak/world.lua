-- What the soak consists of: the upstream, the scripts and the proxy, as processes.
local files = require "spec.support.files"
local ports = require "spec.support.ports"
local process = require "spec.support.process"
local proxy = require "spec.support.proxy"
local upstream = require "spec.support.upstream"

local M = { NUMBERS = 2000 }

-- The names and addresses of questions.c, below example.com.
local function zone_text()
    local lines = {
        "$ORIGIN example.com.", "$TTL 300", "@ SOA ns admin 1 3600 600 86400 60", "@ NS ns", "ns A 192.0.2.53",
    }
    local big = (('"%s" '):format(("x"):rep(250))):rep(7)
    for number = 0, M.NUMBERS - 1 do
        local tail = ("%d.%d"):format(math.floor(number / 256), number % 256)
        for letter, first in pairs { h = "10.1.", w = "10.2.", e = "10.3." } do
            lines[#lines + 1] = ("%s%05d A %s%s"):format(letter, number, first, tail)
        end
        lines[#lines + 1] = ("t%05d TXT %s"):format(number, big)
    end
    return table.concat(lines, "\n") .. "\n"
end

-- --- the upstream, that dies and returns ---

local Upstream = {}
Upstream.__index = Upstream

function M.upstream()
    local server = upstream.knot(zone_text())
    server.deaths = 0
    return setmetatable(server, Upstream)
end

-- One time it falls silent and wakes up with all that was asked meanwhile, the next time it is killed.
function Upstream:die()
    self.deaths = self.deaths + 1
    if self.deaths % 2 == 1 then
        self.process:signal "STOP"
    else
        self.process:signal "KILL"
        self.process:wait_end()
    end
end

function Upstream:come_back()
    if self.process:ended() then
        self.process = process.start(self.command)
    else
        self.process:signal "CONT"
    end
end

-- --- the scripts, that change ---

local SHIPPED = { "block", "blocklist", "strip_ech", "ipv6" }

local Scripts = {}
Scripts.__index = Scripts

function M.scripts()
    local self = setmetatable({ folder = files.temp_folder(), version = 0, paths = {} }, Scripts)
    for i, name in ipairs(SHIPPED) do
        self.paths[i] = self.folder .. "/" .. name .. ".lua"
    end
    self.paths[#self.paths + 1] = self.folder .. "/work.lua"
    self.list = files.write(self.folder .. "/list", "blocked.example\n")
    self:change()
    return self
end

-- Writes all of them anew, by turns in place and by renaming.
function Scripts:change()
    self.version = self.version + 1
    local write = self.version % 2 == 0 and files.replace or files.write
    for _, name in ipairs(SHIPPED) do
        local text = files.read("scripts/" .. name .. ".lua")
        write(self.folder .. "/" .. name .. ".lua", text .. "\n-- " .. self.version .. "\n")
    end
    local work = files.read "spec/soak/work.lua"
    write(self.folder .. "/work.lua", (work:gsub("VERSION = 0", "VERSION = " .. self.version)))
end

-- --- the proxy and its clients ---

function M.proxy(build, scripts, upstreams, workers)
    proxy.binary = build .. "/moondns"
    local servers = {}
    for i, server in ipairs(upstreams) do
        servers[i] = server.port
    end
    return proxy.start {
        port = ports.free(), script = scripts.paths, upstream = servers,
        args = { "--flow-detail", "0", "--metrics", "0", "--workers", workers, "--set", "blocklist=" .. scripts.list },
    }
end

local Clients = setmetatable({}, { __index = process.Process })
Clients.__index = Clients

-- The load program (load.c); `late_seconds` is when an answer is late.
function M.clients(build, port, rate, late_seconds)
    local self = process.start { build .. "/soak/load", tostring(port), tostring(rate), tostring(late_seconds * 1000) }
    setmetatable(self, Clients)
    self.figures, self.file = {}, assert(io.open(self.out_path))
    return self
end

-- The newest figures, {name = number}; empty before the first.
function Clients:read()
    local text = self.file:read "*a"
    for line in text:gmatch "[^\n]+" do
        if line:match "^asked=.* $" then
            for name, value in line:gmatch "(%S+)=(%d+)" do
                self.figures[name] = tonumber(value)
            end
        end
    end
    return self.figures
end

return M
