-- The command line as docs and --help promise it.
local dig = require "spec.support.dig"
local files = require "spec.support.files"
local net = require "spec.support.net"
local ports = require "spec.support.ports"
local process = require "spec.support.process"
local proxy = require "spec.support.proxy"
local scope = require "spec.support.scope"
local unistd = require "posix.unistd"
local upstream = require "spec.support.upstream"
local wait = require "spec.support.wait"
local wire = require "spec.support.wire"

local DONE, FAILURE, USAGE, SCRIPT = 0, 1, 2, 3

local LONG_OPTIONS = {
    "script", "set", "shared", "errors-in-answers", "no-reload",
    "listen", "upstream", "resolv-conf", "upstream-policy", "timeout", "retries", "op-codes", "coalesce",
    "hosts", "zone", "cache",
    "quiet", "verbose", "flow-detail", "log-json", "anonymize",
    "metrics", "dnstap", "dnstap-identity",
    "allow", "rate-limit", "rate-limit-action", "rebind-protection", "rebind-allow",
    "hook-timeout", "jit", "script-memory", "shared-memory", "held-max", "held-memory", "held-timeout",
    "flows-max", "flows-memory", "tcp-connections", "tcp-connections-per-client", "tcp-pipeline", "tcp-memory", "tcp-idle-timeout",
    "workers", "user", "group", "config", "check", "options", "version", "help",
}

local OPTIONS = [[
function load(loader)
    loader:add_option("colour", "str", "red", "what it looks like")
    loader:add_option("count", "int", 3, "how many")
    loader:add_option("loud", "bool", false, "whether it shouts")
    loader:add_option("names", "list", {}, "whom to greet")
    loader:add_option("mode", {"slow", "fast"}, "slow", "how it goes")
end
function configure(updated)
    local o = ctx.options
    if o.count > 100 then error("count: too many") end
    log.info("options %s %d %s %s %s", o.colour, o.count, tostring(o.loud), table.concat(o.names, "+"), o.mode)
end
function dns_request(flow) end
]]

describe("moondns", function()
    scope.manage()

    -- Runs with a free port and no upstream; for starts that must fail.
    local function refuse(arguments)
        local result = proxy.run { "-l", "127.0.0.1:" .. ports.free(), "-u", "none", unpack(arguments) }
        assert.is_true(result.code ~= DONE, result.err)
        return result
    end

    local function assert_usage(arguments, ...)
        local result = refuse(arguments)
        assert.equal(USAGE, result.code, result.err)
        for _, text in ipairs { ... } do
            assert.truthy(result.err:find(text, 1, true), "'" .. text .. "' is not in: " .. result.err)
        end
    end

    describe("--help and --version", function()
        it("name every option on standard output and end with 0", function()
            for _, flag in ipairs { "--help", "-h" } do
                local result = proxy.run { flag }
                assert.same({ DONE, "" }, { result.code, result.err })
                for _, option in ipairs(LONG_OPTIONS) do
                    assert.truthy(result.out:find("--" .. option, 1, true), option)
                end
            end
        end)

        it("print the version", function()
            for _, flag in ipairs { "--version", "-V" } do
                local result = proxy.run { flag }
                assert.equal(DONE, result.code)
                assert.truthy(result.out:match "^moondns %d+%.%d+%.%d+")
            end
        end)
    end)

    describe("wrong usage", function()
        it("ends with 2 and names the nearest option", function()
            assert_usage({ "--lisen", "127.0.0.1" }, "--lisen", "--listen")
            assert_usage({ "--hook-timout=3" }, "--hook-timeout")
            assert_usage({ "--no-such-thing" }, "--no-such-thing")
            assert_usage({ "-Z" }, "-Z")
        end)

        it("ends with 2 where a value is missing or bad", function()
            assert_usage({ "--timeout" }, "--timeout")
            assert_usage({ "--timeout", "soon" }, "timeout", "soon")
            assert_usage({ "--timeout", "-1" }, "timeout", "-1")
            assert_usage({ "--retries", "1.5" }, "retries", "1.5")
            assert_usage({ "--workers", "0" }, "workers", "0")
            assert_usage({ "--flow-detail", "4" }, "flow-detail", "4")
            assert_usage({ "-l", "not.an.address" }, "not.an.address")
            assert_usage({ "-l", "127.0.0.1:70000" }, "70000")
            assert_usage({ "-u", "9.9.9.9:" }, "9.9.9.9:")
            assert_usage({ "-u", "[/unclosed]9.9.9.9" }, "[/unclosed]9.9.9.9")
            assert_usage({ "--no-reload=maybe" }, "no-reload")
        end)

        it("ends with 2 for a bad filter and names the place", function()
            assert_usage({ "~zzz" }, "~zzz")
            assert_usage({ "~d (" }, "(")
            assert_usage({ "(~q" }, ")")
            assert_usage({ "~q", "~s" }, "~s")
        end)

        it("ends with 2 for a setting that no script declares or that does not fit", function()
            local path = proxy.script(OPTIONS)
            assert_usage({ "-s", path, "--set", "color=blue" }, "color", "colour")
            assert_usage({ "-s", path, "--set", "count=many" }, "count", "many")
            assert_usage({ "-s", path, "--set", "mode=faster" }, "mode", "fast")
            assert_usage({ "-s", path, "--set", "colour" }, "colour")
        end)
    end)

    describe("a script that fails at the start", function()
        it("ends it with 3 and says file:line", function()
            local result = refuse { "-s", proxy.script "\nlocal x = = 1" }
            assert.equal(SCRIPT, result.code)
            assert.truthy(result.err:match "script%.lua:2: ")
        end)

        it("ends it with 3 when it raises, also in configure", function()
            local result = refuse { "-s", proxy.script "error('no luck')" }
            assert.equal(SCRIPT, result.code)
            assert.truthy(result.err:match "script%.lua:1: no luck")
            result = refuse { "-s", proxy.script(OPTIONS), "--set", "count=101" }
            assert.equal(SCRIPT, result.code)
            assert.truthy(result.err:match "count: too many")
        end)

        it("ends it with 3 when it is not there", function()
            local result = refuse { "-s", "/no/such/script.lua" }
            assert.equal(SCRIPT, result.code)
            assert.truthy(result.err:find("/no/such/script.lua", 1, true))
        end)
    end)

    describe("the start", function()
        it("tells where it listens, where it asks, what it runs and how to try it", function()
            local server = net.server()
            local moondns = proxy.start { upstream = server, code = proxy.ANSWER }
            moondns:wait_output(("listening on 127%%.0%%.0%%.1:%d %%(udp, tcp%%), upstream 127%%.0%%.0%%.1:%d, scripts: script%%.lua\n")
                :format(moondns.port, server.port))
            moondns:wait_output(("try: dig @127%%.0%%.0%%.1 %%-p %d example%%.com\n"):format(moondns.port))
        end)

        it("listens only as the scheme says", function()
            local port, other = ports.free(), ports.free()
            local moondns = proxy.start { listen = { "udp://127.0.0.1:" .. port, "tcp://127.0.0.1:" .. other }, port = port, code = proxy.ANSWER }
            assert.truthy(moondns:udp():ask(wire.query("x.example", "A")))
            assert.truthy(net.tcp(other):ask(wire.query("x.example", "A")))
            assert.is_false(pcall(net.tcp, port))
            assert.is_nil((net.udp(other):receive(0)))
        end)

        it("takes the upstreams from resolv.conf by default", function()
            local moondns = proxy.start { upstream = {}, code = proxy.ANSWER }
            local server = files.read("/etc/resolv.conf"):match "nameserver%s+(%S+)" or "127.0.0.1"
            moondns:wait_output("upstream [^\n]*" .. server:gsub("%p", "%%%0"))
        end)

        it("names the owner of a port in use", function()
            local moondns = proxy.start { code = proxy.ANSWER }
            local result = proxy.run { "-l", "127.0.0.1:" .. moondns.port, "-u", "none" }
            assert.equal(FAILURE, result.code)
            assert.truthy(result.err:find("moondns", 1, true) and result.err:find(tostring(moondns.pid), 1, true), result.err)
            local server = net.server()
            result = proxy.run { "-l", "127.0.0.1:" .. server.port, "-u", "none" }
            assert.equal(FAILURE, result.code)
            assert.truthy(result.err:find("luajit", 1, true), result.err)
        end)
    end)

    describe("--check and --options", function()
        it("print what scripts declare, and end", function()
            local result = proxy.run { "--check", "-s", proxy.script(OPTIONS) }
            assert.equal(DONE, result.code, result.err)
            for _, text in ipairs { "colour", "count", "loud", "names", "mode", "whom to greet", "dns_request", "configure" } do
                assert.truthy(result.out:find(text, 1, true), text .. " is not in: " .. result.out)
            end
        end)

        it("end with 3 for a script that does not load", function()
            assert.equal(SCRIPT, proxy.run({ "--check", "-s", proxy.script "x x" }).code)
        end)

        it("list the options with their values", function()
            local result = proxy.run { "--options", "--timeout", "1.5", "-s", proxy.script(OPTIONS), "--set", "colour=blue" }
            assert.equal(DONE, result.code, result.err)
            for _, option in ipairs { "timeout", "1.5", "listen", "127.0.0.1:5300", "colour", "blue", "count", "what it looks like" } do
                assert.truthy(result.out:find(option, 1, true), option .. " is not in: " .. result.out)
            end
        end)
    end)

    describe("--set and --config", function()
        it("set a script's options", function()
            local moondns = proxy.start { code = OPTIONS, args = {
                "--set", "colour=dark blue", "--set", "count=7", "--set", "loud=true", "--set", "names=ann", "--set", "names=bob",
                "--set", "mode=fast",
            } }
            moondns:wait_output("options dark blue 7 true ann%+bob fast\n", "err")
        end)

        it("read options from a JSON file, and the command line wins", function()
            local config = files.temp_file("moondns.json", ([[{
                "script": [%q], "set": ["colour=green", "count=1"], "timeout": 0.5, "log-json": true, "upstream": ["none"]
            }]]):format(proxy.script(OPTIONS)))
            local port = ports.free()
            local moondns = proxy.start { port = port, upstream = {}, args = { "-C", config } }
            moondns:wait_output '"options green 1 false  slow"'
            local result = proxy.run { "-C", config, "--options", "--timeout", "0.25" }
            assert.truthy(result.out:find("0.25", 1, true))
            assert.is_nil(result.out:find("timeout = 0.5", 1, true))
        end)

        it("refuse an unknown key and name the nearest", function()
            assert_usage({ "--config", files.temp_file("c.json", [[{"time-out": 1}]]) }, "time-out", "timeout")
            assert_usage({ "--config", files.temp_file("c.json", [[{"timeout": "soon"}]]) }, "timeout")
            assert_usage({ "--config", files.temp_file("c.json", [[{"timeout": 1]]) }, "c.json")
            assert.is_true(refuse({ "--config", "/no/such/config.json" }).err:find("/no/such/config.json", 1, true) ~= nil)
        end)
    end)

    describe("flows on standard output", function()
        local knot

        setup(function()
            knot = upstream.knot()
        end)

        it("are two lines each", function()
            local moondns = proxy.start { upstream = knot, code = [[
                function dns_request(flow)
                    local name = flow.request.question.name
                    if name == "malware.example" then flow.response = flow.request:fail("NXDOMAIN") end
                    if name == "killed.example" then flow:kill() end
                    if name == "error.example" then flow.error = "made up" end
                end]] }
            local client = moondns:udp()
            client:ask(wire.query("mail.example.com", "A"))
            local who = client:name():gsub("%p", "%%%0")
            moondns:wait_output(who .. " A mail%.example%.com\n << 192%.0%.2%.25 %(%d+ ms, 127%.0%.0%.1:" .. knot.port .. "%)\n", "out")
            client:ask(wire.query("many.example.com", "A"))
            moondns:wait_output(who .. " A many%.example%.com\n << 192%.0%.2%.101, 192%.0%.2%.102, 192%.0%.2%.103 %(", "out")
            client:ask(wire.query("no.such.example.com", "AAAA"))
            moondns:wait_output(" AAAA no%.such%.example%.com\n << NXDOMAIN %(%d+ ms, ", "out")
            client:ask(wire.query("malware.example", "AAAA"))
            moondns:wait_output(" AAAA malware%.example\n << NXDOMAIN %(script script%.lua%)\n", "out")
            client:send(wire.query("killed.example", "A"))
            moondns:wait_output(" A killed%.example\n << killed\n", "out")
            client:ask(wire.query("error.example", "A"))
            moondns:wait_output(" A error%.example\n << SERVFAIL %(made up", "out")
            assert.is_nil(moondns:out():find("\27", 1, true))
        end)

        it("are as many words as --flow-detail, -q and -v ask for", function()
            local lengths = {}
            for detail = 0, 3 do
                local moondns = proxy.start { upstream = knot, args = { "--flow-detail", detail } }
                moondns:dig "many.example.com"
                moondns:stop()
                lengths[detail] = #moondns:out():gsub("listening[^\n]*\n", ""):gsub("try:[^\n]*\n", "")
            end
            assert.equal(0, lengths[0])
            assert.is_true(lengths[0] < lengths[1] and lengths[1] < lengths[2] and lengths[2] <= lengths[3])
        end)

        it("are only those that the filter lets through", function()
            local function printed(filter)
                local moondns = proxy.start { upstream = knot, args = { filter }, code = [[
                    function dns_request(flow)
                        if flow.request.question.name == "marked.example.com" then flow.marked = "yes" end
                    end]] }
                for _, question in ipairs { "example.com A", "mail.example.com A", "example.com MX", "no.example.com A +tcp", "marked.example.com AAAA" } do
                    moondns:dig(question)
                end
                moondns:stop()
                local names = {}
                for kind, name in moondns:out():gmatch "127%.0%.0%.1:%d+ (%u+) (%S+)\n" do
                    names[#names + 1] = name .. " " .. kind
                end
                return table.concat(names, ", ")
            end
            assert.equal("mail.example.com A", printed "mail")
            assert.equal("mail.example.com A", printed "~d ^mail")
            assert.equal("example.com MX", printed "~t MX")
            assert.equal("no.example.com A, marked.example.com AAAA", printed "~c NXDOMAIN")
            assert.equal("no.example.com A", printed "~tcp")
            assert.equal("marked.example.com AAAA", printed "~marked")
            assert.equal("mail.example.com A", printed [[~a 192\.0\.2\.25]])
            assert.equal("example.com A, mail.example.com A", printed "~udp & !~t MX & !(~c 3 | ~marked)")
            assert.equal("", printed "~e")
        end)

        it("and logs are JSON with --log-json, one object a line", function()
            local moondns = proxy.start { upstream = knot, args = { "--log-json" },
                code = [[function dns_request(flow) log.warn("odd: %s", "\27[31m\"quoted\"\n") end]] }
            moondns:dig "many.example.com"
            moondns:stop()
            local check = [[
import json, sys
flows = 0
for path in sys.argv[1:]:
    for line in open(path, encoding="utf-8"):
        entry = json.loads(line)
        assert "time" in entry, entry
        if "flow" in entry:
            flows += 1
            assert entry["flow"]["request"]["questions"][0]["name"] == "many.example.com", entry
            assert len(entry["flow"]["response"]["answers"]) == 3, entry
        else:
            assert entry["level"] in ("debug", "info", "warn", "error") and "message" in entry, entry
assert flows == 1, flows
]]
            local result = process.run { "/usr/bin/python3", "-c", check, moondns.out_path, moondns.err_path }
            assert.equal(0, result.code, result.err .. moondns:output())
        end)

        it("let no control byte of the network through", function()
            local moondns = proxy.start { upstream = "none", code = [[
                function dns_request(flow)
                    log.info("asked %s", flow.request.question.original_name)
                    flow.response = flow.request:succeed{dns.ResourceRecord.TXT("x.example", "\27]0;evil\7\r\b\127\194\155 text")}
                end]], args = { "--flow-detail", "3", "-v" } }
            local client = moondns:udp()
            client:ask(wire.query("a\\027\\007\\013\\010\\155b.example", "TXT"))
            moondns:wait_output "asked"
            moondns:stop()
            local output = moondns:output()
            assert.is_nil(output:match "[%z\1-\9\11-\31\127]")
            assert.is_nil(output:match "\194[\128-\159]")
            assert.truthy(output:find("\\027", 1, true), output)
        end)
    end)

    it("runs as many workers as it is told, all of which answer", function()
        local moondns = proxy.start { code = [[
            local mine = tostring({}):match "0x%x+"
            function dns_request(flow)
                flow.response = flow.request:succeed{dns.ResourceRecord.TXT("x.example", mine)}
            end]], args = { "--workers", "3" } }
        local seen, count = {}, 0
        wait.eventually(function()
            local answer = dig.data(moondns:dig "x.example TXT")[1]
            if not seen[answer] then
                seen[answer] = true
                count = count + 1
            end
            return count == 3
        end, "answers of three workers")
    end)

    it("becomes the user it is told once the ports are bound", function()
        if unistd.getuid() ~= 0 then
            pending "only root can become somebody else"
            return
        end
        local path = proxy.script(proxy.ANSWER)
        os.execute("chmod -R a+rX " .. path:match "^(.*)/")
        local moondns = proxy.start { script = path, args = { "--user", "nobody" } }
        local status = files.read("/proc/" .. moondns.pid .. "/status")
        assert.is_nil(status:match "Uid:%s+0%s" or status:match "\nGid:%s+0%s")
        assert.same({ "192.0.2.9" }, dig.data(moondns:dig "x.example"))
        assert.truthy(refuse({ "--user", "no-such-user" }).err:find("no-such-user", 1, true))
        assert.is_nil(moondns:err():find "keeps root's rights")
        for said, args in pairs { ["--user is root"] = { "--user", "0" }, ["--group without --user"] = { "--group", "nogroup" } } do
            local root = proxy.start { args = args }
            assert.truthy(root:err():find(said .. ": moondns keeps root's rights; --user NAME gives them away", 1, true), root:err())
        end
    end)

    it("closed standard descriptors are nobody's files", function()
        local port = ports.free()
        local moondns = process.start { "sh", "-c", 'exec "$0" "$@" <&- >&- 2>&-', proxy.binary, "-l", "127.0.0.1:" .. port, "-u", "none" }
        moondns.expected_end = true
        wait.eventually(function()
            return wire.parse(assert(net.udp(port):ask(wire.query("x.example", "A")))).rcode == 2
        end, "an answer")
        for fd = 0, 2 do
            assert.equal("/dev/null\n", process.run({ "readlink", ("/proc/%d/fd/%d"):format(moondns.pid, fd) }).out)
        end
    end)
end)
