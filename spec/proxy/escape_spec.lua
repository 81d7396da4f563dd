-- Nothing that comes from the network, from scripts or from files gets a terminal to do anything: it reaches standard output
-- and standard error as visible text alone, by whatever way.
local files = require "spec.support.files"
local net = require "spec.support.net"
local proxy = require "spec.support.proxy"
local scope = require "spec.support.scope"
local wait = require "spec.support.wait"
local wire = require "spec.support.wire"

-- ESC, newline, carriage return, bell, backspace, DEL, C1's CSI bare and in UTF-8, the override of direction, an isolate.
local EVIL = "\27[2J\27]0;owned\7\13\8\127\155\49m\194\155\51\226\128\174\226\129\166end"
local EVIL_NAME = (EVIL:gsub(".", function(byte)
    return ("\\%03d"):format(byte:byte())
end)) .. "\\010x.example"

local HIDDEN = {}
for code in ("061c 200e 200f 2028 2029 202a 202b 202c 202d 202e 2066 2067 2068 2069"):gmatch "%x+" do
    HIDDEN[tonumber(code, 16)] = true
end

-- The character at a place of a text: its code point and length; nil where there is no right UTF-8.
local function character(text, at)
    local first = text:byte(at)
    if first < 0x80 then
        return first, 1
    end
    local size = first >= 0xf0 and 4 or first >= 0xe0 and 3 or first >= 0xc2 and 2
    local rest = size and text:match("^" .. ("[\128-\191]"):rep(size - 1), at + 1)
    if not rest then
        return nil
    end
    local code = first % 2 ^ (7 - size)
    for byte in rest:gmatch "." do
        code = code * 64 + byte:byte() % 64
    end
    return code, size
end

-- Raises where a text holds anything but what can be seen, spaces, tabs and newlines.
local function assert_clean(text, where)
    local at = 1
    while at <= #text do
        local code, size = character(text, at)
        local control = code and (code < 32 and code ~= 9 and code ~= 10 or code >= 127 and code < 160 or HIDDEN[code])
        if not code or control then
            error(("%s: byte 0x%02x at %d of %q"):format(where, text:byte(at), at, text:sub(math.max(1, at - 60), at + 20)), 2)
        end
        at = at + size
    end
end

-- The output of a run is clean, and says something.
local function assert_clean_run(arguments, what, options)
    local result = proxy.run(arguments, options)
    assert_clean(result.out, what .. ", standard output")
    assert_clean(result.err, what .. ", standard error")
    return result
end

-- A record whose data is given.
local function record(name, kind, data)
    return wire.record(name, kind, data, 30)
end

local function answers_full_of_it(query)
    local text = string.char(#EVIL) .. EVIL
    return wire.answer(query, {
        record(EVIL_NAME, "CNAME", wire.name(EVIL_NAME)), record(EVIL_NAME, "TXT", text), record(EVIL_NAME, "MX", "\0\1" .. wire.name(EVIL_NAME)),
        record(EVIL_NAME, "NAPTR", "\0\1\0\1" .. text .. text .. text .. wire.name(EVIL_NAME)),
        record(EVIL_NAME, "CAA", "\0" .. string.char(#EVIL) .. EVIL .. EVIL), record(EVIL_NAME, "TYPE65280", EVIL),
        record(EVIL_NAME, "HTTPS", "\0\1" .. wire.name(EVIL_NAME) .. "\0\1" .. wire.u16(#text) .. text),
        record(EVIL_NAME, "SOA", wire.name(EVIL_NAME) .. wire.name(EVIL_NAME) .. ("\0"):rep(20)),
    }, { additionals = { wire.opt { data = wire.u16(15) .. wire.u16(2 + #EVIL) .. "\0\0" .. EVIL } } })
end

describe("no control byte reaches standard output or error", function()
    scope.manage()

    it("that this spec would not notice", function()
        for _, text in ipairs { "\27", "\13", "\127", "\155", "\194\155", "\226\128\174", "\216\156", "\195", "\226\128" } do
            assert.is_false((pcall(assert_clean, "plain " .. text .. " text")), text:byte())
        end
        assert_clean("plain\n\ttext, \195\169 \226\130\172 \240\159\140\153")
    end)

    for _, arguments in ipairs { { "--flow-detail", "1" }, { "--flow-detail", "2" }, { "--flow-detail", "3", "-v" }, { "--log-json" } } do
        it("from names, records and options of the network, with " .. table.concat(arguments, " "), function()
            local server = net.server()
            local moondns = proxy.start { upstream = server, args = { "--rebind-protection", "--retries", "0", unpack(arguments) } }
            local client = moondns:udp()
            local query = wire.query(EVIL_NAME, "ANY", { edns = { data = wire.u16(65001) .. wire.u16(#EVIL) .. EVIL } })
            client:send(query)
            local received, reply = server:receive()
            reply(answers_full_of_it(received))
            assert(client:receive())
            client:send(wire.query(EVIL_NAME, "A"))
            received, reply = server:receive()
            reply(wire.answer(received, { record(EVIL_NAME, "A", wire.ipv4 "10.0.0.1") }))
            assert(client:receive())
            client:send(wire.query(EVIL_NAME, "TXT"))
            received, reply = server:receive()
            reply(wire.answer(received, {}) .. EVIL) -- malformed
            assert(client:receive())
            moondns:stop()
            assert_clean(moondns:out(), "standard output")
            assert_clean(moondns:err(), "standard error")
            assert.truthy(moondns:err():find("\\027", 1, true), moondns:err())
            assert.truthy(moondns:out():find("\\027", 1, true), moondns:out())
        end)
    end

    local SCRIPT = [[
        local evil = EVIL
        function load(loader) loader:add_option("odd", "str", evil, evil) end
        function configure() log.warn("%s", ctx.options.odd) end
        function dns_request(flow)
            local name = flow.request.question.name
            print(evil, flow.request.question.original_name)
            log.info(evil) log.warn("%s\n%s", evil, evil) log.error(evil) log.debug(evil)
            flow.comment, flow.marked, flow.metadata = evil, evil, { [evil] = evil }
            if name == "raise.example" then error(evil) end
            if name == "table.example" then error(setmetatable({}, { __tostring = function() return evil end })) end
            if name == "deep.example" then local function f(n) if n == 0 then error(evil, 0) end f(n - 1) end f(5) end
            if name == "error.example" then flow.error = evil return end
            if name == "wrong.example" then flow.response = evil end
            if name == "option.example" then local _ = ctx.options[evil] end
            if name == "attribute.example" then local _ = flow[evil] end
            if name == "load.example" then print(dns.DomainSet.load(evil)) end
            flow.response = flow.request:succeed{dns.ResourceRecord.TXT(name, evil)}
        end
        timer.after(0.01, function() error(evil) end)
    ]]

    for _, arguments in ipairs { { "--flow-detail", "3", "-v" }, { "--log-json", "-v" } } do
        it("from scripts, with " .. table.concat(arguments, " "), function()
            local folder = files.temp_folder()
            local path = folder .. "/\27[31m\226\128\174\155.lua"
            files.write(path, (SCRIPT:gsub("EVIL", function() return ("%q"):format(EVIL):gsub("\13", "\\r") end, 1)))
            local moondns = proxy.start { script = path, args = { "--set", "odd=" .. EVIL, unpack(arguments) } }
            local client = moondns:udp()
            for _, name in ipairs { "plain", "raise", "table", "deep", "error", "wrong", "option", "attribute", "load" } do
                assert(client:ask(wire.query(name .. ".example", "TXT")))
            end
            wait.eventually(function()
                return moondns:out():find "load%.example"
            end, "the last flow to be printed")
            files.write(path, "syntax " .. EVIL)
            moondns:wait_output("stays", "err")
            moondns:stop()
            assert_clean(moondns:out(), "standard output")
            assert_clean(moondns:err(), "standard error")
            assert.truthy(moondns:err():find("\\x1b", 1, true), moondns:err())
        end)
    end

    it("from what --check and --options tell of scripts", function()
        local script = proxy.script((SCRIPT:gsub("EVIL", function() return ("%q"):format(EVIL):gsub("\13", "\\r") end, 1)))
        local result = assert_clean_run({ "--check", "--options", "-s", script }, "--check")
        assert.equal(0, result.code, result.err)
        assert.truthy(result.out:find "owned")
    end)

    it("from a bad command line", function()
        for _, arguments in ipairs {
            { "--" .. EVIL }, { "-" .. EVIL }, { "--timeout", EVIL }, { "--listen", EVIL }, { "-u", EVIL }, { "-u", "[/" .. EVIL .. "/]1.1.1.1" },
            { "~d " .. EVIL .. "(" }, { EVIL, EVIL }, { "-s", EVIL }, { "--set", EVIL }, { "--set", EVIL .. "=1" }, { "-C", EVIL },
            { "--hosts", EVIL }, { "--zone", EVIL }, { "--user", EVIL }, { "--allow", EVIL }, { "--rate-limit", EVIL }, { "--rebind-allow", ("x"):rep(64) .. EVIL },
            { "--anonymize=" .. EVIL }, { "--upstream-policy", EVIL }, { "--metrics", EVIL }, { "--dnstap", EVIL }, { "--shared", EVIL }, { "--op-codes", EVIL },
        } do
            local result = assert_clean_run({ "-l", "127.0.0.1:0", "-u", "none", unpack(arguments) }, (arguments[1]:gsub("%c", "?")))
            assert.is_true(result.code ~= 0, arguments[1])
            assert.truthy(#result.err > 0)
        end
    end)

    it("from bad files", function()
        local configs = { "{" .. EVIL, '{"' .. EVIL:gsub("%c", "") .. '": 1}', ('{"listen": ["%s"]}'):format(EVIL:gsub("[%c\127-\255]", "") .. "\\u001b\\u009b\\u202e"),
            '{"\\u001b[31m\\u202e": 1}', '{"set": {"\\u001b\\u009b": {}}}' }
        for _, text in ipairs(configs) do
            assert.equal(2, assert_clean_run({ "-C", files.temp_file("\27[1m.json", text) }, "config file").code)
        end
        for _, text in ipairs { EVIL .. " IN SOA", "$INCLUDE " .. EVIL, "example. 60 IN SOA a. b. 1 2 3 4 5\nx 60 IN A " .. EVIL, "$" .. EVIL, "example. 60 IN " .. EVIL } do
            assert.is_true(assert_clean_run({ "-l", "127.0.0.1:0", "-u", "none", "--zone", files.temp_file("\27[1m.zone", text) }, "zone").code ~= 0)
        end
        local hosts = files.temp_file("\27[1m.hosts", EVIL .. " a\n192.0.2.1 " .. EVIL .. "\n192.0.2.1 fine.example\n")
        local list = files.temp_file("\27[1m.list", "fine.example\n||" .. EVIL .. "^\n" .. EVIL .. "\n")
        local moondns = proxy.start { args = { "--hosts", hosts, "-v" },
            code = ("local path = %q\nprint(dns.DomainSet.load(path))\nprint(dns.DomainSet.load(path .. 'x'))"):format(list) }
        moondns:stop()
        assert_clean(moondns:out() .. moondns:err(), "hosts file and list")
        assert.truthy(moondns:err():find("\\x1b", 1, true), moondns:err())
    end)

    it("from what explain is asked, and shows", function()
        for _, arguments in ipairs { { EVIL }, { EVIL, EVIL }, { "fine.example", EVIL }, { "a", "A", EVIL }, { "--" .. EVIL, "a" }, { "-s", EVIL, "a" } } do
            local result = assert_clean_run({ "explain", "-u", "none", unpack(arguments) }, "moondns explain")
            assert.is_true(result.code ~= 0)
            assert.truthy(#result.err > 0)
        end
        local script = proxy.script((SCRIPT:gsub("EVIL", function() return ("%q"):format(EVIL):gsub("\13", "\\r") end, 1)))
        for _, name in ipairs { EVIL_NAME, "raise.example", "table.example", "deep.example", "error.example", "wrong.example" } do
            for _, option in ipairs { "-v", "--log-json" } do
                local result = assert_clean_run({ "explain", "-u", "none", option, "-s", script, name }, name)
                assert.equal(0, result.code, result.err)
                assert.truthy(result.out:find("27", 1, true) or result.out:find("1b", 1, true), result.out)
            end
        end
    end)

    it("from tests of scripts", function()
        local folder = files.temp_folder()
        files.write(folder .. "/a_test.lua", ("local evil = %s\nfunction test_it() print(evil) error(evil) end\n_G['test_' .. evil] = function() assert(false, evil) end\n")
            :format((("%q"):format(EVIL):gsub("\13", "\\r"))))
        files.write(folder .. "/b_test.lua", "syntax " .. EVIL)
        assert_clean_run({ "test", folder }, "moondns test")
        assert_clean_run({ "test", EVIL }, "moondns test")
        assert_clean_run({ "test", "--" .. EVIL }, "moondns test")
    end)
end)
