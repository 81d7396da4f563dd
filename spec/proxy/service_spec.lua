-- As a service: what the service manager is told, the sockets it passes, the unit file.
local unistd = require "posix.unistd"
local stat = require "posix.sys.stat"
local dig = require "spec.support.dig"
local files = require "spec.support.files"
local net = require "spec.support.net"
local ports = require "spec.support.ports"
local process = require "spec.support.process"
local proxy = require "spec.support.proxy"
local scope = require "spec.support.scope"
local wait = require "spec.support.wait"
local wire = require "spec.support.wire"

local ANSWERING = [[
function dns_request(flow)
    if flow.request.question.name == "busy.example" then io.open("BUSY"):read("*a") end
    flow.response = flow.request:succeed{dns.ResourceRecord.A(flow.request.question.name, "192.0.2.9")}
end
]]

-- Listens as a service manager does; :out() holds a line for each state.
local function manager(name)
    local ear = process.start { "/usr/bin/python3", "spec/support/notify.py", name }
    ear.expects_signal = true
    ear:wait_output "bound"
    function ear:finish()
        self:signal "TERM"
        self:wait_end()
    end
    return ear
end

local function count(text, pattern)
    return select(2, text:gsub(pattern, ""))
end

describe("the service manager", function()
    scope.manage()

    for kind, name in pairs { ["a path"] = files, ["an abstract name"] = "@moondns-spec-" .. unistd.getpid() } do
        it("is told of readiness, reloads and the end, at " .. kind, function()
            local address = name == files and files.temp_folder() .. "/notify" or name
            local ear = manager(address)
            local config = files.temp_file("moondns.json", "{}")
            local moondns = proxy.start { code = ANSWERING, args = { "--no-reload", "-C", config }, environment = { NOTIFY_SOCKET = address } }
            ear:wait_output("READY=1 ; STATUS=listening on 127%.0%.0%.1:" .. moondns.port .. " %(udp, tcp%), upstream none, scripts: script%.lua\n")
            moondns:signal "HUP"
            ear:wait_output "RELOADING=1 ; MONOTONIC_USEC=%d+ ; STATUS=reloading\nREADY=1 ; STATUS=listening on"
            files.write(moondns.script, "function dns_request(")
            moondns:signal "HUP"
            ear:wait_output "READY=1 ; STATUS=[^\n]*; the last reload failed, see the log\n"
            files.write(moondns.script, ANSWERING)
            moondns:signal "HUP"
            ear:wait_output "failed, see the log\nRELOADING=[^\n]*\nREADY=1 ; STATUS=[^\n;]*\n"
            files.write(config, "{ no")
            moondns:signal "HUP"
            ear:wait_output "STATUS=[^\n;]*\nRELOADING=[^\n]*\nREADY=1 ; STATUS=[^\n]*; the last reload failed, see the log\n"
            assert.equal(0, moondns:stop())
            ear:wait_output "STOPPING=1 ; STATUS=answering what is in flight\n"
            assert.equal(0, count(ear:out(), "WATCHDOG"))
        end)
    end

    it("gets signs of life, but not while a worker's loop stands still", function()
        local folder = files.temp_folder()
        local address = folder .. "/notify"
        assert(stat.mkfifo(folder .. "/BUSY")) -- to open it for reading takes until somebody opens it for writing
        local ear = manager(address)
        local moondns = proxy.start {
            code = ANSWERING, args = { "--workers", "2" }, folder = folder,
            environment = { NOTIFY_SOCKET = address, WATCHDOG_USEC = "300000" },
        }
        ear:wait_output "WATCHDOG=1\nWATCHDOG=1\nWATCHDOG=1\n"
        moondns:udp():send(wire.query("busy.example", "A"))
        local seen, since = -1, wait.now()
        wait.eventually(function() -- no sign for more than the time in which one was to come
            local now = count(ear:out(), "WATCHDOG=1")
            if now ~= seen then
                seen, since = now, wait.now()
            end
            return wait.now() - since > 1
        end, "the signs to cease")
        files.write(folder .. "/BUSY", "")
        wait.eventually(function()
            return count(ear:out(), "WATCHDOG=1") > seen + 2
        end, "new signs")
    end)

    it("that is not there disturbs nobody, and its variables are not handed on", function()
        local moondns = proxy.start {
            code = [[
                log.info("variables: %s", tostring(os.getenv("NOTIFY_SOCKET") or os.getenv("WATCHDOG_USEC") or os.getenv("LISTEN_FDS")))
                function dns_request(flow) flow.response = flow.request:fail("NXDOMAIN") end
            ]],
            environment = { NOTIFY_SOCKET = "/nowhere/at/all", WATCHDOG_USEC = "200000", LISTEN_FDS = "1", LISTEN_PID = "1" },
        }
        assert.truthy(moondns:err():find "variables: nil")
        assert.equal("NXDOMAIN", moondns:dig("a.example").rcode)
    end)
end)

describe("sockets of the service manager", function()
    scope.manage()
    local script

    before_each(function()
        script = proxy.script(ANSWERING)
    end)

    local function activate(again, sockets, arguments)
        local argv = { "/usr/bin/python3", "spec/support/activate.py", again }
        for _, socket in ipairs(sockets) do
            argv[#argv + 1] = socket
        end
        argv[#argv + 1] = "--"
        argv[#argv + 1] = proxy.binary
        for _, argument in ipairs(arguments) do
            argv[#argv + 1] = argument
        end
        return process.start(argv)
    end

    it("are served, in place of the default address", function()
        local port = ports.free()
        local service = activate("never", { "udp:127.0.0.1:" .. port, "tcp:127.0.0.1:" .. port }, { "-u", "none", "-s", script, "--workers", "3" })
        assert.equal("127.0.0.1:" .. port .. " (udp, tcp)", service:wait_output "listening on ([^,]+, [^,]+),")
        for _ = 1, 10 do
            assert.same({ "192.0.2.9" }, dig.data(dig.dig(port, "a.example")))
            assert.same({ "192.0.2.9" }, dig.data(dig.dig(port, "a.example +tcp")))
        end
        assert.equal(0, service:stop())
    end)

    it("are served besides what -l says", function()
        local port, other = ports.free(), ports.free()
        local service = activate("never", { "udp:127.0.0.1:" .. port }, { "-u", "none", "-s", script, "-l", "127.0.0.1:" .. other })
        service:wait_output("listening on 127.0.0.1:" .. other .. " %(udp, tcp%), 127.0.0.1:" .. port .. " %(udp%),")
        assert.same({ "192.0.2.9" }, dig.data(dig.dig(port, "a.example")))
        assert.same({ "192.0.2.9" }, dig.data(dig.dig(other, "a.example")))
        assert.equal(0, service:stop())
    end)

    it("lose no query while the service is started anew", function()
        local port, go = ports.free(), files.temp_folder() .. "/go"
        local service = activate(go, { "udp:127.0.0.1:" .. port, "tcp:127.0.0.1:" .. port }, { "-u", "none", "-s", script })
        service:wait_output "listening on"
        assert.same({ "192.0.2.9" }, dig.data(dig.dig(port, "a.example")))
        service:signal "TERM"
        service:wait_output "ended with 0"
        local udp, tcp = net.udp(port), net.tcp(port)
        udp:send(wire.query("b.example", "A"))
        tcp:send(wire.query("c.example", "A"))
        files.write(go, "")
        assert.equal("b.example", wire.parse(udp:receive()).questions[1].name)
        assert.equal("c.example", wire.parse(tcp:receive()).questions[1].name)
        assert.equal(0, service:stop())
    end)

    it("that are of no use are named", function()
        local service = activate("never", { "unix" }, { "-u", "none" })
        assert.equal(1, service:wait_end())
        assert.truthy(service:err():find("socket 3 of the service manager, dns is neither of UDP nor of TCP and listening", 1, true), service:err())
        assert.truthy(service:err():find("ListenDatagram= and ListenStream=", 1, true))
    end)
end)

describe("the unit", function()
    scope.manage()

    -- The service file as it is installed, with the binary under test in it.
    local function unit()
        local root = files.temp_folder()
        local result = process.run({ "cmake", "-DCMAKE_INSTALL_PREFIX=/usr/local", "-P",
            "core/proxy/systemd/install.cmake" }, { environment = { DESTDIR = root } })
        assert.equal(0, result.code, result.err)
        local text = files.read(root .. "/usr/local/lib/systemd/system/moondns.service")
        assert.truthy(text:find("ExecStart=/usr/local/bin/moondns -C /usr/local/etc/moondns/moondns.json", 1, true))
        local config = root .. "/usr/local/etc/moondns/moondns.json"
        return (text:gsub("ExecStart=%S+", "ExecStart=" .. proxy.binary)), config
    end

    it("passes systemd's own check", function()
        if not process.exists "systemd-analyze" then
            return pending "systemd-analyze is not here"
        end
        local folder = files.temp_folder()
        files.write(folder .. "/moondns.service", (unit()))
        files.write(folder .. "/moondns.socket", files.read "core/proxy/systemd/moondns.socket")
        local result = process.run { "systemd-analyze", "verify", "--man=no", folder .. "/moondns.service", folder .. "/moondns.socket" }
        assert.same({ 0, "" }, { result.code, result.err })
    end)

    it("begins with a configuration that the proxy takes", function()
        local _, config = unit()
        local result = proxy.run { "-C", config, "--check" }
        assert.equal(0, result.code, result.err)
    end)

    it("may forbid memory that is written and run, as LuaJIT's compiler is off", function()
        local launcher = files.temp_file("deny.py", [[
import ctypes, os, sys
PR_SET_MDWE, REFUSE_EXEC_GAIN = 65, 1
if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_MDWE, REFUSE_EXEC_GAIN, 0, 0, 0):
    sys.exit(77)
os.execv(sys.argv[1], sys.argv[1:])
]])
        local port = ports.free()
        local service = process.start { "/usr/bin/python3", launcher, proxy.binary, "-l", "127.0.0.1:" .. port, "-u", "none", "-s",
            proxy.script(ANSWERING), "~d example" }
        if not pcall(service.wait_output, service, "listening on") and service.code == 77 then
            return pending "the kernel cannot forbid it"
        end
        assert.same({ "192.0.2.9" }, dig.data(dig.dig(port, "a.example")))
        assert.equal(0, service:stop())
    end)

    it("needs one capability for port 53, and without it the proxy says which", function()
        if unistd.geteuid() ~= 0 or not process.exists "setpriv" then
            return pending "only root can take rights away"
        end
        local address = ("127.%d.%d.%d:53"):format(math.random(64, 127), math.random(0, 255), math.random(1, 254))
        local arguments = { proxy.binary, "-l", address, "-u", "none", "-s", proxy.script(ANSWERING) }
        local without = process.run { "setpriv", "--bounding-set=-all", "--inh-caps=-all", unpack(arguments) }
        assert.equal(1, without.code)
        assert.truthy(without.err:find("cannot listen on " .. address, 1, true), without.err)
        assert.truthy(without.err:find("cap_net_bind_service", 1, true), without.err)
        local with = process.start { "setpriv", "--bounding-set=-all,+net_bind_service", "--inh-caps=-all", unpack(arguments) }
        with:wait_output "listening on"
        assert.same({ "192.0.2.9" }, dig.data(dig.dig(53, "@" .. address:match "[^:]+" .. " a.example")))
        assert.equal(0, with:stop())
    end)

    it("runs under systemd", function()
        local state = process.exists "systemctl" and process.run({ "systemctl", "is-system-running" }).out or ""
        if not (state:find "running" or state:find "degraded") or unistd.geteuid() ~= 0 then
            return pending "systemd does not run here"
        end
        local name, port = "moondns-spec-" .. unistd.getpid(), ports.free()
        local started = process.run { "systemd-run", "--quiet", "--unit=" .. name, "--property=Type=notify",
            "--property=WatchdogSec=5", "--property=MemoryDenyWriteExecute=yes", "--", proxy.binary, "-l", "127.0.0.1:" .. port,
            "-u", "none" }
        scope.on_end(function()
            process.run { "systemctl", "stop", name }
        end)
        assert.equal(0, started.code, started.err)
        local shown = process.run({ "systemctl", "show", "--property=ActiveState,StatusText", name }).out
        assert.truthy(shown:find("ActiveState=active", 1, true), shown)
        assert.truthy(shown:find("StatusText=listening on 127.0.0.1:" .. port, 1, true), shown)
    end)
end)
