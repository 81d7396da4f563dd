-- Starts programs, keeps what they print in files, and ends them by their ids.
local ffi = require "ffi"
local fcntl = require "posix.fcntl"
local signal = require "posix.signal"
local stdlib = require "posix.stdlib"
local unistd = require "posix.unistd"
local wait_pid = require("posix.sys.wait").wait
local WNOHANG = require("posix.sys.wait").WNOHANG
local files = require "spec.support.files"
local scope = require "spec.support.scope"
local wait = require "spec.support.wait"

ffi.cdef "int prctl(int option, unsigned long value);"
local PR_SET_PDEATHSIG = 1

local M = {}
local Process = {}
Process.__index = Process
M.Process = Process

local SANITIZER_REPORTS = { "AddressSanitizer", "LeakSanitizer", "runtime error: ", "UndefinedBehaviorSanitizer",
    "ThreadSanitizer" }

local function open_for_writing(path)
    local mode = fcntl.O_WRONLY + fcntl.O_CREAT + fcntl.O_APPEND
    return assert(fcntl.open(path, mode, tonumber("644", 8)))
end

local function become(argv, options, out, err)
    ffi.C.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    unistd.dup2(assert(fcntl.open("/dev/null", fcntl.O_RDONLY)), 0)
    unistd.dup2(open_for_writing(out), 1)
    unistd.dup2(open_for_writing(err), 2)
    if options.folder then
        unistd.chdir(options.folder)
    end
    for name, value in pairs(options.environment or {}) do
        stdlib.setenv(name, value or nil)
    end
    local arguments = { unpack(argv, 2) }
    arguments[0] = argv[1]
    local _, problem = unistd.execp(argv[1], arguments)
    io.stderr:write(tostring(problem), "\n")
    unistd._exit(127)
end

-- Starts argv[1] with the rest as arguments. Options: folder (to run in), environment ({NAME = value, or false to unset}).
function M.start(argv, options)
    local folder = files.temp_folder()
    local self = setmetatable({
        name = argv[1]:match "[^/]+$",
        out_path = folder .. "/out",
        err_path = folder .. "/err",
    }, Process)
    files.write(self.out_path, "")
    files.write(self.err_path, "")
    io.stdout:flush()
    self.pid = assert(unistd.fork())
    if self.pid == 0 then
        pcall(become, argv, options or {}, self.out_path, self.err_path)
        unistd._exit(126)
    end
    scope.on_end(function()
        self:finish()
    end)
    return self
end

function Process:out()
    return files.read(self.out_path)
end

function Process:err()
    return files.read(self.err_path)
end

-- Both, for conditions that do not care.
function Process:output()
    return self:out() .. self:err()
end

-- Whether it has ended; then `code` is its exit code, or "signal N".
function Process:ended()
    if not self.code then
        local pid, how, code = wait_pid(self.pid, WNOHANG)
        if pid == self.pid then
            self.code = how == "exited" and code or "signal " .. tostring(code)
        end
    end
    return self.code ~= nil
end

-- Waits until its output (or out or err alone: `where`) holds the Lua pattern; returns what string.match gives.
function Process:wait_output(pattern, where, timeout)
    local function look()
        return self[where or "output"](self):match(pattern)
    end
    local found = wait.eventually(function()
        return look() or self:ended() and "ended"
    end, function()
        return ("'%s' from %s, which printed:\n%s"):format(pattern, self.name, self:output())
    end, timeout)
    if found == "ended" and not look() then
        error(("%s ended with %s and never printed '%s', but:\n%s"):format(self.name, self.code, pattern, self:output()), 2)
    end
    return self[where or "output"](self):match(pattern)
end

-- Waits until it ends by itself, and returns its code.
function Process:wait_end(timeout)
    wait.eventually(function()
        return self:ended()
    end, function()
        return self.name .. " to end; it printed:\n" .. self:output()
    end, timeout)
    return self.code
end

function Process:signal(name)
    if not self:ended() then
        assert(signal.kill(self.pid, signal["SIG" .. name]))
    end
end

-- Ends it with TERM and returns its code; raises when it does not heed that, or when a sanitizer found something.
function Process:stop(timeout)
    self:signal "TERM"
    local ok, problem = pcall(self.wait_end, self, timeout)
    if not ok then
        self:signal "KILL"
        self:wait_end()
    end
    self:check()
    assert(ok, problem)
    return self.code
end

-- What the end of a scope does with it.
function Process:finish()
    self:stop()
end

-- Raises when a sanitizer reported anything, or a signal ended it that nobody sent.
function Process:check()
    local err = self:err()
    for _, mark in ipairs(SANITIZER_REPORTS) do
        if err:find(mark, 1, true) then
            error(("%s: sanitizer report:\n%s"):format(self.name, err), 0)
        end
    end
end

-- Runs a program to its end: {code =, out =, err =}. `timeout` among the options.
function M.run(argv, options)
    local process = M.start(argv, options)
    process:wait_end(options and options.timeout)
    process:check()
    return { code = process.code, out = process:out(), err = process:err() }
end

-- Whether a program is on the path.
function M.exists(program)
    return os.execute("command -v " .. program .. " >/dev/null 2>&1") == 0
end

return M
