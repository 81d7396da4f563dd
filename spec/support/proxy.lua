-- moondns itself, as a process: MOONDNS names the binary (build/debug/moondns).
local unistd = require "posix.unistd"
local dig = require "spec.support.dig"
local files = require "spec.support.files"
local net = require "spec.support.net"
local ports = require "spec.support.ports"
local process = require "spec.support.process"
local wait = require "spec.support.wait"
local wire = require "spec.support.wire"

local M = {}

local here = unistd.getcwd()
M.binary = os.getenv "MOONDNS" or here .. "/build/debug/moondns"
M.top = here

-- A script that answers everything.
M.ANSWER = [[function dns_request(flow)
    flow.response = flow.request:succeed{dns.ResourceRecord.A(flow.request.question.name, "192.0.2.9")}
end]]

-- What a script may begin with: answer(flow [, ip]).
M.ANSWERING = [[
    local function answer(flow, ip)
        flow.response = flow.request:succeed { dns.ResourceRecord.A(flow.request.question.name, ip or "192.0.2.9") }
    end
]]

local Proxy = setmetatable({}, { __index = process.Process })
Proxy.__index = Proxy

-- A script's path: a file of the tree as it is, or the text of a script in a file of its own.
function M.script(text)
    return files.temp_file("script.lua", text)
end

local function add(argv, name, values)
    for _, value in ipairs(type(values) == "table" and values or { values }) do
        argv[#argv + 1] = name
        argv[#argv + 1] = tostring(value)
    end
end

local function upstream_text(upstream)
    if type(upstream) == "table" and upstream.port then
        return "127.0.0.1:" .. upstream.port
    end
    return type(upstream) == "number" and "127.0.0.1:" .. upstream or upstream
end

local function launch(options)
    local port = options.port or ports.free()
    local argv = { M.binary }
    add(argv, "-l", options.listen or "127.0.0.1:" .. port)
    local upstreams = options.upstream or "none"
    if type(upstreams) ~= "table" or upstreams.port then
        upstreams = { upstreams }
    end
    for _, upstream in ipairs(upstreams) do
        add(argv, "-u", upstream_text(upstream))
    end
    local script = options.script or options.code and M.script(options.code)
    if script then
        add(argv, "-s", script)
    end
    for _, argument in ipairs(options.args or {}) do
        argv[#argv + 1] = tostring(argument)
    end
    local self = setmetatable(process.start(argv, options), Proxy)
    self.port, self.script = port, script
    self.expected_end = true -- when it ends now, it is told once
    wait.eventually(function()
        return self:out():find("listening on ", 1, true) or self:err():find("listening on ", 1, true) or self:ended()
    end, "moondns to listen")
    return self
end

local LAUNCHES = 5

-- Starts it and waits until it listens. Options: script (a path, or a list of them), code (a script's text), upstream (a
-- port, a server, text, or a list of them; "none" by default), args (further arguments), port, listen (text or a list; else
-- 127.0.0.1 on a free port), folder, environment.
function M.start(options)
    local self
    for _ = 1, options.port and 1 or LAUNCHES do -- the socket of another proxy to its upstream may come upon a free port first
        self = launch(options)
        if options.listen or not (self:ended() and self:err():find("the port is in use", 1, true)) then
            break
        end
    end
    self:wait_output "listening on "
    self.expected_end = false
    return self
end

-- Runs it to its end: {code, out, err}.
function M.run(arguments, options)
    return process.run({ M.binary, unpack(arguments) }, options)
end

function Proxy:dig(arguments)
    return dig.dig(self.port, arguments)
end

function Proxy:kdig(arguments)
    return dig.kdig(self.port, arguments)
end

-- What it answers over UDP, parsed.
function Proxy:ask(name, kind)
    return wire.parse(assert(self:udp():ask(wire.query(name, kind or "A"))))
end

function Proxy:udp(address)
    return net.udp(self.port, address)
end

function Proxy:tcp(address)
    return net.tcp(self.port, address)
end

-- Ends it although queries are in flight: at the second TERM it waits for none.
function Proxy:stop_at_once()
    self:signal "TERM"
    wait.eventually(function()
        return not pcall(self.tcp, self)
    end, "the end of its listeners")
    self:signal "TERM"
    self:wait_end()
end

-- The end of its scope: it must heed TERM, end with 0 and leave no report.
function Proxy:finish()
    if self:ended() then
        self:check()
        assert(self.expected_end or self.code == 0, "moondns ended by itself with " .. tostring(self.code) .. ":\n" .. self:err())
    else
        local code = self:stop()
        assert(code == 0, "moondns ended with " .. tostring(code) .. ":\n" .. self:err())
    end
end

return M
