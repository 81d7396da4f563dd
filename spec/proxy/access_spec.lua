-- Who is served, and what of the public DNS may lead into private networks.
local socket = require "socket"
local unistd = require "posix.unistd"
local dig = require "spec.support.dig"
local files = require "spec.support.files"
local net = require "spec.support.net"
local ports = require "spec.support.ports"
local process = require "spec.support.process"
local proxy = require "spec.support.proxy"
local scope = require "spec.support.scope"
local upstream = require "spec.support.upstream"
local wait = require "spec.support.wait"
local wire = require "spec.support.wire"

local NOERROR, REFUSED = wire.rcodes.NOERROR, wire.rcodes.REFUSED

-- What a UDP client with this address gets.
local function ask_from(address, moondns)
    local answer = moondns:dig("a.example -b " .. address)
    return answer.rcode, answer.text
end

-- Whether a TCP client with this address is answered.
local function tcp_is_served(address, moondns)
    local handle = socket.tcp4()
    scope.on_end(function() handle:close() end)
    handle:settimeout(wait.PATIENCE_SECONDS)
    assert(handle:bind(address, 0))
    assert(handle:connect("127.0.0.1", moondns.port))
    local query = wire.query("a.example", "A")
    handle:send(wire.u16(#query) .. query)
    local bytes, problem = handle:receive(2)
    assert.is_true(bytes ~= nil or problem == "closed", problem)
    return bytes ~= nil
end

describe("--allow", function()
    scope.manage()

    it("serves those networks and nobody else; others are refused, and say why", function()
        local moondns = proxy.start { code = proxy.ANSWER, args = { "--allow", "127.0.0.8/29", "--allow", "::1" } }
        moondns:wait_output("clients served: 127%.0%.0%.8/29, ::1;", "err")
        for address, served in pairs { ["127.0.0.8"] = true, ["127.0.0.15"] = true, ["127.0.0.7"] = false, ["127.0.0.16"] = false } do
            local code, text = ask_from(address, moondns)
            assert.equal(served and "NOERROR" or "REFUSED", code)
            assert.equal(not served, text:find "EDE: 18 %(Prohibited%): %(this client is not allowed%)" ~= nil, text)
            assert.equal(served, tcp_is_served(address, moondns))
        end
        assert.equal(4, select(2, moondns:out():gsub("\n <<", ""))) -- what is refused is no flow
    end)

    it("answers what is malformed with nothing, and goes on", function()
        local moondns = proxy.start { code = proxy.ANSWER, args = { "--allow", "127.0.0.8" } }
        local client = moondns:udp()
        for _, bytes in ipairs { "", "x", ("\0"):rep(12) .. "y", wire.query("a.example", "A"):gsub("^(..).", "%1\129") } do
            client:send(bytes)
        end
        assert.equal(REFUSED, wire.parse(assert(client:ask(wire.query("a.example", "A")))).rcode)
        assert.is_nil(client:receive(0.1))
    end)

    it("of all IPv6 serves no IPv4 client", function()
        local moondns = proxy.start { code = proxy.ANSWER, args = { "--allow", "::/0" } }
        assert.equal("REFUSED", (ask_from("127.0.0.1", moondns)))
    end)

    it("any serves everybody", function()
        local moondns = proxy.start { listen = "0.0.0.0:" .. ports.free(), code = proxy.ANSWER, args = { "--allow", "any" } }
        assert.is_nil(moondns:err():find "clients served")
    end)

    it("says what is wrong with a prefix", function()
        for text, problem in pairs { ["192.0.2.0/33"] = "prefix length from 0 to 32 expected, got '33'", lan = "IP address or prefix expected, got 'lan'" } do
            local result = proxy.run { "--allow", text }
            assert.equal(2, result.code)
            assert.truthy(result.err:find("--allow: " .. problem, 1, true), result.err)
        end
    end)

    -- Addresses of the public net, of ours alone: in a network namespace.
    local GUARD = '[ "$(readlink /proc/self/ns/net)" != "$0" ] || exit 99\n'
    local function in_namespace(code, ...)
        local argv = { "unshare", "--user", "--map-root-user", "--net", "sh", "-c", GUARD .. code, unistd.readlink "/proc/self/ns/net", ... }
        return process.run(argv)
    end
    local test = in_namespace("true").code == 0 and it or pending

    test("is loopback and private networks where a listener is reached from elsewhere", function()
        local result = in_namespace([[
            ip link set lo up
            for ip in 203.0.113.1 10.1.2.3 172.20.0.1 192.168.7.7 100.64.0.9 169.254.1.1; do ip addr add $ip/32 dev lo; done
            ip -6 addr add 2001:db8::1/128 dev lo nodad; ip -6 addr add fd00::1/128 dev lo nodad
            "$1" -l 0.0.0.0:5300 -l '[::]:5300' -u none -s "$2" >/dev/null 2>"$3" & proxy=$!
            until grep -q listening "$3"; do kill -0 $proxy || exit 1; sleep 0.1; done
            for ip in 127.0.0.1 203.0.113.1 10.1.2.3 172.20.0.1 192.168.7.7 100.64.0.9 169.254.1.1; do
                echo $ip $(dig -r +tries=1 -b $ip @127.0.0.1 -p 5300 a.example | grep -o 'status: [A-Z]*')
            done
            for ip in ::1 2001:db8::1 fd00::1; do
                echo $ip $(dig -r +tries=1 -b $ip @::1 -p 5300 a.example | grep -o 'status: [A-Z]*')
            done
            cat "$3"
            kill $proxy && wait $proxy]], proxy.binary, proxy.script(proxy.ANSWER), files.temp_file("log", ""))
        assert.equal(0, result.code, result.err)
        assert.truthy(result.out:find("clients served: loopback and private networks; --allow PREFIX or --allow any lets others in", 1, true), result.out)
        for _, served in ipairs { "127.0.0.1", "10.1.2.3", "172.20.0.1", "192.168.7.7", "100.64.0.9", "169.254.1.1", "::1", "fd00::1" } do
            assert.truthy(result.out:find("\n" .. served .. " status: NOERROR\n", 1, true) or result.out:find("^" .. served:gsub("%.", "%%.") .. " status: NOERROR\n"),
                served .. "\n" .. result.out)
        end
        for _, refused in ipairs { "203.0.113.1", "2001:db8::1" } do
            assert.truthy(result.out:find("\n" .. refused .. " status: REFUSED\n", 1, true), refused .. "\n" .. result.out)
        end
    end)
end)

describe("--rebind-protection", function()
    scope.manage()
    local PRIVATE = [[
        local A, AAAA = dns.ResourceRecord.A, dns.ResourceRecord.AAAA
        local answers = {
            ["private4"] = function(n) return {A(n, "192.168.1.1")} end,
            ["private6"] = function(n) return {AAAA(n, "fd00::1")} end,
            ["mixed"] = function(n) return {A(n, "9.9.9.9"), A(n, "10.0.0.1")} end,
            ["alias"] = function(n) return {dns.ResourceRecord.CNAME(n, "host.corp.example"), A("host.corp.example", "10.0.0.1")} end,
            ["public"] = function(n) return {A(n, "9.9.9.9")} end,
        }
        function dns_request(flow)
            local name = flow.request.question.name
            flow.response = flow.request:succeed((answers[name:match "^[^.]+"] or answers.public)(name))
        end]]

    local function asked(moondns, name, kind)
        return moondns:dig(name .. " " .. (kind or "A"))
    end

    it("keeps private addresses of public names from clients, says so, and tells the hooks", function()
        local public = proxy.start { code = PRIVATE }
        local moondns = proxy.start { upstream = public, args = { "--rebind-protection", "--cache", "100" },
            code = [[function dns_response(flow) log.info("%d answers", #flow.response.answers) end]] }
        for _ = 1, 2 do
            for name, kind in pairs { ["private4.evil.example"] = "A", ["private6.evil.example"] = "AAAA", ["mixed.evil.example"] = "A",
                ["alias.evil.example"] = "A" } do
                local answer = asked(moondns, name, kind)
                assert.equal("NOERROR", answer.rcode)
                assert.same({}, answer.answers)
                assert.truthy(answer.text:find "EDE: 15 %(Blocked%): %(private address ", answer.text)
            end
        end
        assert.same({ "9.9.9.9" }, dig.data(asked(moondns, "public.evil.example")))
        moondns:wait_output("[%w.]+%.evil%.example has the private address [%x.:]+: its answer is blocked", "err")
        moondns:wait_output(" << NODATA %(private address 192%.168%.1%.1, 127%.0%.0%.1:", "out")
        assert.truthy(moondns:err():find "\n[^\n]*0 answers\n")
        assert.same({}, asked(moondns, "private4.evil.example +tcp").answers)
    end)

    it("knows what is private, be it inside of IPv6, and what is not", function()
        local moondns = proxy.start { args = { "--rebind-protection", "--flow-detail", "0" }, upstream = proxy.start { code = [[
            function dns_request(flow)
                local question = flow.request.question
                local address = question.name:match "^x([^.]+)":gsub("[-_]", {["-"] = ":", _ = "."})
                flow.response = flow.request:succeed{dns.ResourceRecord[question.type == dns.types.A and "A" or "AAAA"](question.name, address)}
            end]] } }
        local function passes(address, domain)
            local label = address:gsub("[:.]", { [":"] = "-", ["."] = "_" })
            local answer = asked(moondns, "x" .. label .. (domain or ".example"), address:find ":" and "AAAA" or "A")
            assert.equal("NOERROR", answer.rcode)
            return #answer.answers == 1
        end
        for address in ([[0.1.2.3 10.0.0.1 100.64.0.1 127.255.0.1 169.254.169.254 172.31.255.255 192.0.0.8 192.168.1.1 198.18.0.1 198.19.255.1
            240.0.0.1 255.255.255.255 :: ::1 ::192.168.1.1 ::127.0.0.1 ::ffff:10.0.0.1 fc00::1 fd12::1 fe80::1 fec0::1 feff::1
            64:ff9b::127.0.0.1 64:ff9b::192.168.1.1 64:ff9b::100.64.0.1 64:ff9b:1::c0a8:101 64:ff9b:1:ffff::1
            2002:c0a8:101::1 2002:7f00:1:: 2002:a00:1::]]):gmatch "%S+" do
            assert.is_false(passes(address), address)
        end
        for address in ([[9.9.9.9 100.128.0.1 172.32.0.1 192.0.1.1 198.20.0.1 239.255.255.255 ::1:0:0 2001:db8::1 ::ffff:9.9.9.9
            64:ff9b::9.9.9.9 64:ff9b:2::1 2002:909:909::1 2003:a00:1::]]):gmatch "%S+" do
            assert.is_true(passes(address), address)
        end
        assert.is_true(passes("192.0.0.170", ".ipv4only.arpa"))
    end)

    it("lets domains that may have them, domains with upstreams of their own, and whatever scripts and hosts files say", function()
        local public = proxy.start { code = PRIVATE }
        local hosts = files.temp_file("hosts", "10.9.9.9 printer.example\n")
        local moondns = proxy.start {
            upstream = { public, "[/corp.example/]127.0.0.1:" .. public.port },
            args = { "--rebind-protection", "--rebind-allow", "home.arpa", "--rebind-allow", "Plex.Direct", "--hosts", hosts },
            code = [[
                function dns_request(flow)
                    local name = flow.request.question.name
                    if name == "mine.example" then flow.response = flow.request:succeed{dns.ResourceRecord.A(name, "10.0.0.7")} end
                end
                function dns_response(flow)
                    if flow.request.question.name == "private4.late.example" then
                        flow.response.answers = {dns.ResourceRecord.A("private4.late.example", "10.0.0.8")}
                    end
                end]] }
        for name, address in pairs {
            ["private4.home.arpa"] = "192.168.1.1", ["private4.x.plex.direct"] = "192.168.1.1", ["private4.corp.example"] = "192.168.1.1",
            ["mine.example"] = "10.0.0.7", ["printer.example"] = "10.9.9.9", ["private4.late.example"] = "10.0.0.8",
        } do
            assert.same({ address }, dig.data(asked(moondns, name)), name)
        end
        assert.same({}, asked(moondns, "private4.nothome.arpa").answers)
    end)

    it("asks on with the policy all: a blocked answer is none, unless nothing better comes", function()
        local evil, good = proxy.start { code = PRIVATE }, proxy.start { code = [[
            function dns_request(flow)
                local name = flow.request.question.name
                sleep(0.05)
                flow.response = name:find "^private4%.good" and flow.request:succeed{dns.ResourceRecord.A(name, "9.9.9.10")}
                    or flow.request:fail("REFUSED")
            end]] }
        local moondns = proxy.start { upstream = { evil, good }, args = { "--rebind-protection", "--upstream-policy", "all" } }
        assert.same({ "9.9.9.10" }, dig.data(asked(moondns, "private4.good.example")))
        local answer = asked(moondns, "private4.evil.example")
        assert.equal("NOERROR", answer.rcode)
        assert.same({}, answer.answers)
        assert.truthy(answer.text:find("EDE: 15 (Blocked)", 1, true), answer.text)
    end)

    it("holds for scripts' own queries too, unless they name the server; none of it gets into the cache", function()
        local public = proxy.start { code = PRIVATE }
        for _, policy in ipairs { "first", "all" } do
            local moondns = proxy.start {
                upstream = { public, proxy.start { code = PRIVATE } },
                args = { "--rebind-protection", "--rebind-allow", "home.arpa", "--cache", "100", "--upstream-policy", policy },
                code = ([[
                    local function address(name, options)
                        local answer = assert(dns.resolve(name, "A", options))
                        return answer.answers[1] and answer.answers[1].ipv4_address or "none"
                    end
                    function dns_request(flow)
                        if flow.request.question.type ~= dns.types.TXT then return end
                        flow.response = flow.request:succeed{dns.ResourceRecord.TXT(flow.request.question.name, table.concat({
                            address "private4.evil.example", address "private4.home.arpa",
                            address("private4.evil.example", {server = "127.0.0.1:%d"}),
                        }, " "))}
                    end]]):format(public.port) }
            assert.same({ '"none 192.168.1.1 192.168.1.1"' }, dig.data(asked(moondns, "test.example", "TXT")))
            assert.same({}, asked(moondns, "private4.evil.example").answers)
        end
    end)

    it("is off unless it is asked for", function()
        local moondns = proxy.start { upstream = proxy.start { code = PRIVATE } }
        assert.same({ "192.168.1.1" }, dig.data(asked(moondns, "private4.evil.example")))
    end)

    it("holds with all policies", function()
        local one, two = proxy.start { code = PRIVATE }, proxy.start { code = PRIVATE }
        for _, policy in ipairs { "round-robin", "fastest", "all" } do
            local moondns = proxy.start { upstream = { one, two }, args = { "--rebind-protection", "--upstream-policy", policy } }
            for _ = 1, 3 do
                assert.same({}, asked(moondns, "private4.evil.example").answers)
                assert.same({ "9.9.9.9" }, dig.data(asked(moondns, "public.example")))
            end
        end
    end)
end)

describe("--anonymize", function()
    scope.manage()

    it("cuts clients' addresses in what is printed, and scripts see them whole", function()
        local code = [[function dns_request(flow)
            log.info("%s", flow.client_conn.address)
            flow.response = flow.request:succeed{}
        end]]
        for _, options in ipairs { { "--flow-detail", "3" }, { "--log-json" } } do
            for given, shown in pairs { ["--anonymize"] = "127.77.88.0", ["--anonymize=16,32"] = "127.77.0.0", ["--anonymize=false"] = "127.77.88.99" } do
                local moondns = proxy.start { code = code, args = { given, unpack(options) } }
                assert.equal("NOERROR", (ask_from("127.77.88.99", moondns)))
                moondns:wait_output(shown:gsub("%.", "%%."), "out")
                assert.equal(shown == "127.77.88.99", moondns:out():find("127.77.88.99", 1, true) ~= nil, moondns:out())
                moondns:wait_output("127%.77%.88%.99", "err")
            end
        end
    end)

    it("says what its value must be", function()
        for _, value in ipairs { "33,48", "24", "24,129", "24,48,1", "yes" } do
            local result = proxy.run { "--anonymize=" .. value }
            assert.equal(2, result.code)
            assert.truthy(result.err:find("--anonymize: bits that are left (24,48), true or false expected, got '" .. value .. "'", 1, true), result.err)
        end
    end)
end)
