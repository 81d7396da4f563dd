-- `moondns explain`: one question, step by step.
local files = require "spec.support.files"
local net = require "spec.support.net"
local ports = require "spec.support.ports"
local proxy = require "spec.support.proxy"
local scope = require "spec.support.scope"
local upstream = require "spec.support.upstream"

describe("moondns explain", function()
    scope.manage()
    local folder, knot

    setup(function()
        knot = upstream.knot()
    end)

    before_each(function()
        folder = files.temp_folder()
    end)

    -- Runs it with a script of this text: the lines, blanks in them counting as one.
    local function explain(text, ...)
        files.write(folder .. "/s.lua", text)
        local result = proxy.run({ "explain", ... }, { folder = folder })
        assert.equal(0, result.code, result.err)
        assert.equal("", result.err)
        local lines = {}
        for line in result.out:gmatch "[^\n]+" do
            lines[#lines + 1] = line:gsub(" +", " "):gsub("%d+ ms", "N ms")
        end
        return lines
    end

    it("shows which line of which script changes what", function()
        local text = files.read "scripts/block.lua"
        files.write(folder .. "/block.lua", text)
        local _, newlines = text:sub(1, text:find('fail("NXDOMAIN")', 1, true)):gsub("\n", "")
        local result = proxy.run({ "explain", "-s", "block.lua", "-u", "none", "malware.example" }, { folder = folder })
        assert.equal(0, result.code, result.err)
        assert.equal(table.concat({
            "question            A malware.example from 127.0.0.1",
            ("%-20sdns_request   flow.response: none → NXDOMAIN"):format("block.lua:" .. newlines + 1),
            "answer              NXDOMAIN (script block.lua)",
            "",
        }, "\n"), result.out)
    end)

    it("shows the upstream's part, and what is made of it", function()
        assert.same({
            "question A mail.example.com from 127.0.0.1",
            "upstream 127.0.0.1:" .. knot.port .. " is asked: A mail.example.com",
            "upstream 127.0.0.1:" .. knot.port .. " answers: 192.0.2.25",
            "log seen",
            "s.lua:3 dns_response flow.response.answers[1].data: 192.0.2.25 → 127.0.0.1",
            "s.lua:4 dns_response flow.comment: \"\" → changed",
            "answer 127.0.0.1 (script s.lua)",
        }, explain([[
            function dns_response(flow)
                log.info "seen"
                flow.response.answers[1].ipv4_address = "127.0.0.1"
                flow.comment = "changed"
            end]], "-s", "s.lua", "-u", "127.0.0.1:" .. knot.port, "mail.example.com"))
    end)

    it("follows functions, modules, waits and what scripts ask", function()
        files.write(folder .. "/helper.lua", "return function(flow)\nflow.metadata.tag = 7\nreturn 1\nend")
        assert.same({
            "question MX a.example from 127.0.0.1",
            "s.lua:3 dns_request waits: sleep(0.01)",
            "helper.lua:2 dns_request flow.metadata.tag: none → 7",
            "s.lua:4 dns_request flow.marked: \"\" → 1",
            "upstream 127.0.0.1:" .. knot.port .. " is asked: A mail.example.com",
            's.lua:5 dns_request waits: local m = dns.resolve("mail.example.com", "A")',
            "upstream 127.0.0.1:" .. knot.port .. " answers: 192.0.2.25",
            "s.lua:6 dns_request flow.response: none → REFUSED",
            "answer REFUSED (script s.lua)",
        }, explain([[
            local helper = require "helper"
            function dns_request(flow)
                sleep(0.01)
                flow.marked = tostring(helper(flow))
                local m = dns.resolve("mail.example.com", "A")
                if #m.answers == 1 then flow.response = flow.request:fail "REFUSED" return end
            end]], "-s", "s.lua", "-u", "127.0.0.1:" .. knot.port, "a.example", "mx"))
    end)

    it("shows errors with their place, and the upstream's", function()
        local port = ports.free()
        local lines = explain([[
            function dns_request(flow) error "oops" end
            function dns_error(flow)
                flow.response = flow.request:succeed {}
            end]], "-s", "s.lua", "-u", "127.0.0.1:" .. port, "--retries", "0", "--timeout", "0.2", "a.example")
        assert.equal("error s.lua:1: oops", lines[2])
        local text = table.concat(lines, "\n")
        assert.truthy(text:find("\nerror [%w -]+\ns.lua:3 dns_error flow.response: none → NODATA\nanswer NODATA %(script s.lua%)$"), text)
    end)

    it("runs several scripts, and takes their options", function()
        files.write(folder .. "/first.lua", [[
            function load(l) l:add_option("word", "str", "x") end
            function dns_request(flow)
                flow.comment = ctx.options.word
            end]])
        assert.same({
            "question A a.example from 127.0.0.1",
            "first.lua:3 dns_request flow.comment: \"\" → y",
            "s.lua:1 dns_request flow.comment: y → z",
            "s.lua:1 dns_request flow.response: none → NODATA",
            "answer NODATA (script s.lua)",
        }, explain([[function dns_request(flow) flow.comment = "z"; flow.response = flow.request:succeed {} end]],
            "-s", "first.lua", "-s", "s.lua", "--set", "word=y", "-u", "none", "a.example"))
    end)

    it("goes on after what cannot be shown, and after a hook that is cut off", function()
        local text = table.concat(explain([[
            function dns_request(flow)
                flow.response = flow.request:succeed {}
                flow.response.answers = { 7 }
                flow.response.answers = {}
                flow.comment = "x"
                while true do end
            end
            function dns_response(flow)
                flow.comment = "y"
            end]], "-s", "s.lua", "-u", "none", "--hook-timeout", "0.3", "--jit", "a.example"), "\n")
        for _, line in ipairs {
            "s.lua:2 dns_request flow.response: none → NODATA\n", "s.lua:3 dns_request flow: ", "answers[1]: ResourceRecord expected, got number",
            's.lua:5 dns_request flow.comment: "" → x\n', "error s.lua:6: cut off after 0.3 s of computing (hook_timeout)",
            "s.lua:9 dns_response flow.comment: x → y\nanswer NODATA (script s.lua)",
        } do
            assert.truthy(text:find(line, 1, true), line .. " in:\n" .. text)
        end
    end)

    it("shows faults, and what the client gets of it", function()
        assert.same({
            "question A a.example from 127.0.0.1",
            "s.lua:2 dns_request flow.response: none → 192.0.2.1",
            "s.lua:3 dns_request flow.faults.delay: none → 0.05",
            "s.lua:4 dns_request flow.faults.drip: none → 100",
            "s.lua:4 dns_request flow.faults.duplicate: none → 1",
            "s.lua:5 dns_request flow.faults.corrupt.cut: none → 2",
            "s.lua:5 dns_request flow.faults.corrupt.trailing: none → 1 byte",
            "client gets 53 bytes: malformed (additional #1: cut off by the message's end at 53)",
            "answer 192.0.2.1 (script s.lua)",
        }, explain([[function dns_request(flow)
                flow.response = flow.request:succeed{dns.ResourceRecord.A("a.example", "192.0.2.1")}
                flow:delay(0.05)
                flow:duplicate() flow:drip(100)
                flow:corrupt{cut = 2, trailing = "x"}
            end]], "-s", "s.lua", "-u", "none", "a.example"))
        assert.same({
            "question A a.example from 127.0.0.1",
            "s.lua:2 dns_request flow.response: none → NODATA",
            "s.lua:3 dns_request flow.faults.reset: none → true",
            "client gets nothing",
            "answer NODATA (script s.lua)",
        }, explain([[function dns_request(flow)
                flow.response = flow.request:succeed{}
                flow:reset()
            end]], "-s", "s.lua", "-u", "none", "a.example"))
        local lines = explain("function dns_request(flow) flow.response = flow.request:succeed{} flow:truncate() end",
            "-s", "s.lua", "-u", "none", "a.example")
        assert.equal("client gets 38 bytes: NODATA, truncated", lines[#lines - 1])
    end)

    it("prints JSON too", function()
        assert.same({
            '{"place": "question", "text": "A a.example from 127.0.0.1"}',
            '{"place": "log", "text": "a\\nb"}',
            '{"place": "s.lua:1", "text": "dns_request flow.comment: \\"\\" → x"}',
            '{"place": "s.lua:1", "text": "dns_request flow.error: none → Connection killed."}',
            '{"place": "answer", "text": "killed"}',
        }, explain("function dns_request(flow) log.info 'a\\nb' flow.comment = 'x' flow:kill() end", "-s", "s.lua", "-u", "none", "--log-json", "a.example"))
    end)

    it("ends when nobody answers: killed flows, silent upstreams", function()
        assert.equal("answer killed", explain("function dns_request(flow) flow:kill() end", "-s", "s.lua", "-u", "none", "a.example")[3])
        local server = net.server()
        local lines = explain("", "-u", "127.0.0.1:" .. server.port, "--retries", "0", "--timeout", "0.1", "a.example")
        assert.equal("answer SERVFAIL (time-out, 127.0.0.1:" .. server.port .. ")", lines[#lines])
    end)

    it("says what is wrong", function()
        local function fails(code, words, ...)
            local result = proxy.run({ "explain", ... }, { folder = folder })
            assert.equal(code, result.code, result.err)
            assert.truthy(result.err:find(words, 1, true), result.err)
        end
        fails(2, "which name? moondns explain -s SCRIPT example.com A")
        fails(2, "domain name expected, got 'a..b' (empty label)", "a..b")
        fails(2, "'AX' is no type of record", "a.example", "AX")
        fails(2, "'C' is one argument too many", "a.example", "A", "C")
        fails(2, "unknown option '--scrip' (did you mean '--script'?)", "--scrip", "x")
        fails(3, "no such script", "-s", "nowhere.lua", "a.example")
        files.write(folder .. "/bad.lua", "\nx y")
        fails(3, "bad.lua:2", "-s", "bad.lua", "a.example")
        local help = proxy.run { "explain", "--help" }
        assert.equal(0, help.code)
        assert.truthy(help.out:find("Usage: moondns explain [OPTION...] NAME [TYPE]", 1, true))
    end)
end)
