-- Sockets on the loopback: raw clients for bytes that no tool would send, and servers that a test plays itself.
local socket = require "socket"
local ports = require "spec.support.ports"
local scope = require "spec.support.scope"
local wait = require "spec.support.wait"
local wire = require "spec.support.wire"

local M = {}
M.FRAME_MAX = 65535

local function closing(handle)
    scope.on_end(function()
        handle:close()
    end)
    return handle
end

-- A UDP client of a port: :send(bytes), :receive([timeout]) (bytes, or nil and "timeout"), :ask(bytes).
local Udp = {}
Udp.__index = Udp

function M.udp(port, address)
    local handle = closing(address == "::1" and socket.udp6() or socket.udp4())
    assert(handle:setpeername(address or "127.0.0.1", port))
    return setmetatable({ handle = handle }, Udp)
end

function Udp:send(bytes)
    assert(self.handle:send(bytes))
end

function Udp:receive(timeout)
    self.handle:settimeout(timeout or wait.PATIENCE_SECONDS)
    return self.handle:receive(M.FRAME_MAX)
end

function Udp:ask(bytes, timeout)
    self:send(bytes)
    return self:receive(timeout)
end

-- Its own address, "127.0.0.1:40312".
function Udp:name()
    local address, port = self.handle:getsockname()
    return address .. ":" .. port
end

-- A TCP client: :write(raw bytes), :send(message as a frame), :receive() a frame, :ask, :half_close, :is_closed().
local Tcp = {}
Tcp.__index = Tcp

local function stream(handle)
    handle:setoption("tcp-nodelay", true)
    return setmetatable({ handle = handle }, Tcp)
end

function M.tcp(port, address)
    local handle = closing(address == "::1" and socket.tcp6() or socket.tcp4())
    handle:settimeout(wait.PATIENCE_SECONDS)
    assert(handle:connect(address or "127.0.0.1", port))
    return stream(handle)
end

function Tcp:write(bytes)
    return self.handle:send(bytes)
end

function Tcp:send(message)
    assert(self:write(wire.u16(#message) .. message))
end

function Tcp:receive(timeout)
    self.handle:settimeout(timeout or wait.PATIENCE_SECONDS)
    local length, problem = self.handle:receive(2)
    if not length then
        return nil, problem
    end
    return self.handle:receive(length:byte(1) * 256 + length:byte(2))
end

function Tcp:ask(message, timeout)
    self:send(message)
    return self:receive(timeout)
end

function Tcp:half_close()
    self.handle:shutdown "send"
end

-- Waits for the other side to close.
function Tcp:wait_closed(timeout)
    local bytes, problem = self:receive(timeout)
    assert(not bytes, "a message instead of the end")
    assert(problem == "closed", "the connection stays open: " .. tostring(problem))
end

function Tcp:close()
    self.handle:close()
end

-- Closes with RST, as the kernel does for a program that died with answers unread.
function Tcp:reset()
    assert(self.handle:setoption("linger", { on = true, timeout = 0 }))
    self.handle:close()
end

-- A server that the test plays: bound over UDP and TCP to one free port. :receive() gives a query's bytes and a function
-- that answers it; over TCP :accept() gives a stream like a client's.
local Server = {}
Server.__index = Server

function M.server(address)
    address = address or "127.0.0.1"
    local self = setmetatable({ port = ports.free(), address = address }, Server)
    self.udp = closing(socket.udp4())
    assert(self.udp:setsockname(address, self.port))
    self.listener = closing(socket.tcp4())
    self.listener:setoption("reuseaddr", true)
    assert(self.listener:bind(address, self.port))
    assert(self.listener:listen(256))
    return self
end

function Server:receive(timeout)
    self.udp:settimeout(timeout or wait.PATIENCE_SECONDS)
    local bytes, address, port = self.udp:receivefrom(M.FRAME_MAX)
    if not bytes then
        return nil, address
    end
    return bytes, function(answer)
        assert(self.udp:sendto(answer, address, port))
    end, port
end

function Server:accept(timeout)
    self.listener:settimeout(timeout or wait.PATIENCE_SECONDS)
    local handle, problem = self.listener:accept()
    return handle and stream(closing(handle)), problem
end

return M
