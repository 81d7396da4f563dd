-- Upstreams that come from resolv.conf, which changes as the machine does its networks.
local unistd = require "posix.unistd"
local files = require "spec.support.files"
local proxy = require "spec.support.proxy"
local scope = require "spec.support.scope"
local socket = require "socket"
local wait = require "spec.support.wait"
local wire = require "spec.support.wire"

local function naming(server)
    return "# made by a program\nnameserver " .. server .. "\nsearch example\n"
end

describe("resolv.conf", function()
    scope.manage()
    local folder, path, moondns

    before_each(function()
        folder = files.temp_folder()
        path = folder .. "/resolv.conf"
    end)

    local function start(options)
        options = options or {}
        moondns = proxy.start { upstream = options.upstream or {}, args = { "--resolv-conf", options.path or path, unpack(options.args or {}) } }
    end

    local function wait_server(server)
        moondns:wait_output("resolv%.conf has changed: upstream " .. server:gsub("%p", "%%%0") .. ":53\n", "err")
    end

    for how, edit in pairs { ["written in place"] = files.write, ["replaced by a rename"] = files.replace } do
        it(how .. ": the new servers are asked, without a signal; an empty one changes nothing", function()
            files.write(path, naming "192.0.2.1")
            start()
            moondns:wait_output "upstream 192%.0%.2%.1:53"
            edit(path, naming "192.0.2.2")
            wait_server "192.0.2.2"
            edit(path, "")
            moondns:wait_output("warn: [^\n]*/resolv%.conf names no server; the old servers stay", "err")
            edit(path, naming "192.0.2.3")
            wait_server "192.0.2.3"
            assert.equal(2, select(2, moondns:err():gsub("has changed", "")))
        end)
    end

    it("as a link, as systemd-resolved has it: its target is written, replaced, gone for a while; the link leads elsewhere", function()
        local run, etc = folder .. "/run", folder .. "/etc"
        files.make_folder(run)
        files.make_folder(run .. "/resolve")
        files.make_folder(etc)
        files.write(run .. "/resolve/stub-resolv.conf", naming "192.0.2.1")
        files.write(run .. "/resolv.conf", naming "192.0.2.5")
        assert(unistd.link("../run/resolve/stub-resolv.conf", etc .. "/resolv.conf", true))
        start { path = etc .. "/resolv.conf", args = { "--workers", "2" } }
        moondns:wait_output "upstream 192%.0%.2%.1:53"
        files.write(run .. "/resolve/stub-resolv.conf", naming "192.0.2.2")
        wait_server "192.0.2.2"
        files.replace(run .. "/resolve/stub-resolv.conf", naming "192.0.2.3")
        wait_server "192.0.2.3"
        assert(os.remove(run .. "/resolve/stub-resolv.conf"))
        moondns:wait_output("resolv%.conf names no server; the old servers stay", "err")
        files.write(run .. "/resolve/stub-resolv.conf", naming "192.0.2.4")
        wait_server "192.0.2.4"
        assert(unistd.link("../run/resolv.conf", etc .. "/new", true))
        assert(os.rename(etc .. "/new", etc .. "/resolv.conf"))
        wait_server "192.0.2.5"
        files.write(run .. "/resolv.conf", naming "192.0.2.6")
        wait_server "192.0.2.6"
        assert.equal(5, select(2, moondns:err():gsub("has changed", "")))
    end)

    it("counts not where an upstream is given for all names, and does where one is for a domain", function()
        files.write(path, naming "192.0.2.1")
        start { upstream = { "[/corp.example/]127.0.0.1:1" } }
        moondns:wait_output "upstream %[/corp%.example/%]127%.0%.0%.1:1, 192%.0%.2%.1:53"
        files.replace(path, naming "192.0.2.2")
        moondns:wait_output("has changed: upstream %[/corp%.example/%]127%.0%.0%.1:1, 192%.0%.2%.2:53", "err")
        assert.equal(0, moondns:stop())
        start { upstream = "127.0.0.1:1" }
        local watched = 0
        for fd = 0, 63 do
            local target = unistd.readlink(("/proc/%d/fd/%d"):format(moondns.pid, fd))
            watched = watched + (target == "anon_inode:inotify" and 1 or 0)
        end
        assert.equal(0, watched)
    end)

    it("is read again on HUP too: one without servers changes nothing", function()
        files.write(path, naming "192.0.2.1")
        start()
        files.write(path, "search example\n")
        moondns:wait_output("the old servers stay", "err")
        moondns:signal "HUP"
        moondns:wait_output("error: [^\n]*resolv%.conf names no server; the old servers stay", "err")
    end)

    -- resolv.conf knows no ports.
    it("queries in flight get their answers from the old server, the next ones go to the new one", function()
        local servers = {}
        for i = 1, 2 do
            servers[i] = socket.udp4()
            scope.on_end(function() servers[i]:close() end)
            if not servers[i]:setsockname("127.77.53." .. i, 53) then
                return pending "port 53 cannot be had"
            end
            servers[i]:settimeout(wait.PATIENCE_SECONDS)
        end
        local function receive(server)
            local bytes, address, port = assert(server:receivefrom(65535))
            return function(last)
                local name = wire.parse(bytes).questions[1].name
                assert(server:sendto(wire.answer(bytes, { wire.record(name, "A", wire.ipv4("192.0.2." .. last)) }), address, port))
            end
        end
        local function last_byte(client)
            return wire.parse(assert(client:receive())).answers[1].data:byte(4)
        end
        files.write(path, naming "127.77.53.1")
        start { args = { "--timeout", "15" } }
        local early, late = moondns:udp(), moondns:udp()
        early:send(wire.query("early.example", "A"))
        local answer_early = receive(servers[1])
        files.replace(path, naming "127.77.53.2")
        wait_server "127.77.53.2"
        late:send(wire.query("late.example", "A"))
        receive(servers[2])(2)
        assert.equal(2, last_byte(late))
        answer_early(1)
        assert.equal(1, last_byte(early))
    end)
end)
