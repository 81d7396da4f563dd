local net = require "spec.support.net"
local proxy = require "spec.support.proxy"
local scope = require "spec.support.scope"
local files = require "spec.support.files"
local ports = require "spec.support.ports"
local process = require "spec.support.process"
local stat = require "posix.sys.stat"
local wait = require "spec.support.wait"
local wire = require "spec.support.wire"

describe("signals", function()
    scope.manage()

    for _, name in ipairs { "TERM", "INT" } do
        it(name .. " lets queries in flight end, takes no more, and ends with 0", function()
            local server = net.server()
            local moondns = proxy.start { upstream = server, args = { "--timeout", "15" },
                code = [[function done() log.info("farewell") end]] }
            moondns.expected_end = true
            local udp, tcp = moondns:udp(), moondns:tcp()
            udp:send(wire.query("udp.example", "A"))
            tcp:send(wire.query("tcp.example", "A"))
            local replies = {}
            for i = 1, 2 do
                local received, reply = server:receive()
                replies[i] = function()
                    reply(wire.answer(received, { wire.record(wire.parse(received).questions[1].name, "A", wire.ipv4 "192.0.2.7") }))
                end
            end
            moondns:signal(name)
            wait.eventually(function()
                local probe = require("socket").tcp4()
                local connected = probe:connect("127.0.0.1", moondns.port)
                probe:close()
                return not connected
            end, "the listener to close")
            assert.is_false(moondns:ended())
            replies[1]()
            replies[2]()
            assert.equal(1, #wire.parse(assert(udp:receive())).answers)
            assert.equal(1, #wire.parse(assert(tcp:receive())).answers)
            local started = wait.now()
            assert.equal(0, moondns:wait_end(4))
            assert.is_true(wait.now() - started < 4)
            assert.truthy(moondns:err():find("farewell", 1, true))
        end)
    end

    it("TERM waits 5 seconds at the most", function()
        local server = net.server()
        local moondns = proxy.start { upstream = server, args = { "--timeout", "60" } }
        moondns.expected_end = true
        moondns:udp():send(wire.query("never.example", "A"))
        assert(server:receive())
        local started = wait.now()
        moondns:signal "TERM"
        assert.equal(0, moondns:wait_end(15))
        local took = wait.now() - started
        assert.is_true(took > 3 and took < 10, took .. " seconds")
    end)

    it("TERM, again and again, ends what a script is stuck in", function()
        if os.getenv "TSAN_OPTIONS" then
            pending "ThreadSanitizer holds signals back from code that calls nothing"
            return
        end
        local moondns = proxy.start { args = { "--jit", "--workers", "2" }, code = [[
            function dns_request()
                log.warn "stuck"
                while true do end
            end
        ]] }
        moondns.expected_end = true
        moondns:udp():send(wire.query("x.example", "A"))
        moondns:wait_output "stuck"
        wait.eventually(function()
            return moondns:ended() or moondns:signal "TERM"
        end, "the end", 20)
        assert.equal(1, moondns:wait_end())
        assert.matches("a worker does not answer, and is ended as it stands", moondns:output())
    end)

    it("TERM does not wait for idle connections", function()
        local moondns = proxy.start { code = [[function dns_request(flow) flow.response = flow.request:fail("REFUSED") end]] }
        moondns.expected_end = true
        local client = moondns:tcp()
        assert.equal(5, wire.parse(assert(client:ask(wire.query("x.example", "A")))).rcode)
        local started = wait.now()
        moondns:signal "TERM"
        assert.equal(0, moondns:wait_end())
        assert.is_true(wait.now() - started < 4)
        client:wait_closed()
    end)

    it("HUP does no harm while it starts and while it ends", function()
        local folder = files.temp_folder()
        for _, name in ipairs { "START", "END" } do
            assert(stat.mkfifo(folder .. "/" .. name)) -- to open it for reading takes until somebody opens it for writing
        end
        local moondns = process.start({ proxy.binary, "-l", "127.0.0.1:" .. ports.free(), "-u", "none", "-s", proxy.script [[
            log.warn "loads"
            io.open("START"):close()
            function done() log.warn "ends" io.open("END"):close() end
        ]] }, { folder = folder })
        local function go_on(name)
            moondns:signal "HUP"
            files.write(folder .. "/" .. name, "")
        end
        moondns:wait_output "loads"
        go_on "START"
        moondns:wait_output "listening on "
        moondns:signal "TERM"
        moondns:wait_output "ends"
        go_on "END"
        assert.equal(0, moondns:wait_end(), moondns:err())
    end)

    it("HUP reloads the scripts, edited or not", function()
        local path = files.temp_file("script.lua", [[log.info("loaded") function running() log.info("runs") end]])
        local moondns = proxy.start { script = path }
        moondns:wait_output "loaded.*runs"
        moondns:signal "HUP"
        moondns:wait_output "loaded.*runs.*loaded.*runs"
    end)
end)
