-- dns.DomainSet, on dns.so.
local dns = require "dns"
local files = require "spec.support.files"
local raises = require "spec.support.raises"
local scope = require "spec.support.scope"

local function load(text)
    return assert(dns.DomainSet.load(files.temp_file("list.txt", text)))
end

-- The text as a file's only line: nothing is skipped, and these domains are in the set.
local function line_gives(text, ...)
    local set = load(text)
    assert.same({}, set.skipped, text)
    assert.equal(select("#", ...), #set, text)
    for _, name in ipairs { ... } do
        assert.equal(name, set:match(name), text)
    end
end

describe("dns.DomainSet", function()
    scope.manage()

    it("gives the entry that equals a name or is its nearest parent", function()
        local set = dns.DomainSet { "example.com", "b.Example.COM", "other.example." }
        assert.equal(3, #set)
        assert.equal("example.com", set:match "example.com")
        assert.equal("example.com", set:match "a.example.com")
        assert.equal("b.example.com", set:match "B.example.com")
        assert.equal("b.example.com", set:match "x.y.B.example.com.")
        assert.equal("other.example", set:match "other.example")
        for _, name in ipairs { "com", "xexample.com", "example.com.org", "example", ".", "" } do
            assert.is_nil(set:match(name), name)
        end
    end)

    it("tells a dot in a label from one between labels", function()
        local set = dns.DomainSet { [[a\.b.example]] }
        assert.equal([[a\.b.example]], set:match [[x.A\.b.example]])
        assert.is_nil(set:match "a.b.example")
        assert.is_nil(set:match [[x\.a\.b.example]])
    end)

    it("is empty at first", function()
        assert.equal(0, #dns.DomainSet())
        assert.equal(0, #dns.DomainSet {})
        assert.is_nil(dns.DomainSet():match "example.com")
        assert.is_nil(dns.DomainSet():match ".")
        assert.is_false(dns.DomainSet():remove "example.com")
        assert.same({}, dns.DomainSet().skipped)
        assert.equal(0, dns.DomainSet().skipped_count)
    end)

    it("has the root for an entry that matches all", function()
        for _, root in ipairs { ".", "" } do
            local set = dns.DomainSet { root, "example.com" }
            assert.equal(".", set:match "a.b")
            assert.equal(".", set:match ".")
            assert.equal("example.com", set:match "www.example.com")
        end
    end)

    it("holds names of the greatest length and depth", function()
        local deep = ("a."):rep(126) .. "b"
        local wide = ("x"):rep(63) .. "." .. ("y"):rep(63) .. "." .. ("z"):rep(63) .. "." .. ("w"):rep(61)
        local set = dns.DomainSet { deep, wide, ("a."):rep(62) .. "b", ("a."):rep(70) .. "b" }
        assert.equal(deep, set:match(deep))
        assert.equal(wide, set:match(wide:upper()))
        assert.equal(("a."):rep(70) .. "b", set:match(("a."):rep(125) .. "b"))
        assert.equal(("a."):rep(62) .. "b", set:match(("a."):rep(63) .. "b"))
        assert.is_nil(set:match(("a."):rep(61) .. "b"))
        assert.is_nil(dns.DomainSet { "example" }:match(("a."):rep(126) .. "b"))
    end)

    it("knows letters of all scripts", function()
        local set = dns.DomainSet { "bücher.example" }
        assert.equal("xn--bcher-kva.example", set:match "www.XN--BCHER-kva.example")
        assert.equal("xn--bcher-kva.example", set:match "www.BÜCHER.example")
    end)

    it("lower-cases ASCII letters and nothing else", function()
        local bytes = {}
        for byte = 1, 255 do
            bytes[#bytes + 1] = ("\\%03d"):format(byte)
        end
        for length = 1, 20 do
            for first = 1, 255 - length, length do
                local label = table.concat(bytes, "", first, first + length - 1)
                local question = dns.Question(label .. ".x", "A")
                local set = dns.DomainSet { label .. ".x" }
                assert.equal(question.name, set:match(question.original_name))
                assert.equal(question.name, set:match(question.name))
            end
        end
        local set = dns.DomainSet { [[\064\091\096\123\192]] } -- the neighbours of A, Z, a, z; À in Latin-1
        assert.truthy(set:match [[\064\091\096\123\192]])
        assert.is_nil(set:match [[\096\091\096\123\192]])
        assert.is_nil(set:match [[\064\123\096\123\192]])
        assert.is_nil(set:match [[\064\091\096\123\224]])
    end)

    describe("exceptions", function()
        it("win over entries above and below them", function()
            local set = dns.DomainSet { "example", "@@||good.ads.example^", "bad.good.ads.example" }
            assert.equal(2, #set)
            assert.equal("example", set:match "ads.example")
            for _, name in ipairs { "good.ads.example", "x.good.ads.example", "bad.good.ads.example", "x.bad.good.ads.example" } do
                assert.is_nil(set:match(name), name)
            end
            assert.equal("example", set:match "ood.ads.example")
        end)

        it("win over an entry of the same name, whichever came first", function()
            for _, entries in ipairs { { "a.example", "@@||a.example^" }, { "@@||a.example^", "a.example" } } do
                local set = dns.DomainSet(entries)
                assert.equal(1, #set)
                assert.is_nil(set:match "a.example")
                assert.is_true(set:remove "@@||a.example^")
                assert.equal("a.example", set:match "a.example")
            end
        end)

        it("of the root win over all", function()
            assert.is_nil(dns.DomainSet { "a.example", "@@||.^" }:match "a.example")
        end)

        it("alone match nothing", function()
            local set = dns.DomainSet { "@@||a.example^" }
            assert.equal(0, #set)
            assert.is_nil(set:match "a.example")
            assert.is_nil(set:match "b.example")
        end)
    end)

    it("adds and removes", function()
        local set = dns.DomainSet { "a.example" }
        assert.is_true(set:add "B.example")
        assert.is_false(set:add "b.EXAMPLE.")
        assert.equal(2, #set)
        assert.is_true(set:remove "A.example")
        assert.is_false(set:remove "a.example")
        assert.is_false(set:remove "@@||b.example^")
        assert.is_false(set:remove "x.b.example")
        assert.equal(1, #set)
        assert.is_nil(set:match "a.example")
        assert.equal("b.example", set:match "x.b.example")
        assert.is_true(set:add "a.example")
        assert.equal("a.example", set:match "a.example")
    end)

    it("takes the forms of lists for what they stand for", function()
        local set = dns.DomainSet { "*.a.example", "||b.example^" }
        assert.equal("a.example", set:match "a.example")
        assert.equal("b.example", set:match "x.b.example")
        assert.is_true(set:remove "a.example")
        assert.is_true(set:remove "*.b.example")
        assert.equal(0, #set)
    end)

    it("agrees with a table of names, whatever is added and removed", function()
        local set, model, count = dns.DomainSet(), {}, 0
        local labels = { "a", "b", "cc", "Long-Label", "x" }
        local seed = 1
        local function random(n) -- the same numbers each time
            seed = (seed * 16807) % 2147483647
            return seed % n + 1
        end
        local function name()
            local parts = {}
            for i = 1, random(5) do
                parts[i] = labels[random(#labels)] .. (random(3) == 1 and random(9) or "")
            end
            return table.concat(parts, ".")
        end
        local function expected(asked)
            local found
            asked = asked:lower()
            while asked do
                if model["@@" .. asked] then
                    return nil
                end
                found = found or model[asked] and asked
                asked = asked:match "^[^.]+%.(.+)$"
            end
            return found
        end
        for step = 1, 20000 do
            local entry = name()
            local exception = random(20) == 1
            local key = (exception and "@@" or "") .. entry:lower()
            local written = exception and "@@||" .. entry .. "^" or entry
            local growing = step % 8000 < 5000
            if random(3) > 1 == growing then
                assert.equal(not model[key], set:add(written))
                count = count + ((exception or model[key]) and 0 or 1)
                model[key] = true
            else
                assert.equal(model[key] or false, set:remove(written))
                count = count - ((exception or not model[key]) and 0 or 1)
                model[key] = nil
            end
            assert.equal(count, #set)
            local asked = name()
            assert.equal(expected(asked), set:match(asked))
        end
        assert.is_true(count > 100)
    end)

    it("shows its memory to the collector, and leaves none behind", function()
        collectgarbage()
        collectgarbage()
        local before = collectgarbage "count"
        local set = dns.DomainSet()
        for i = 1, 20000 do
            set:add("name" .. i .. ".example")
        end
        collectgarbage()
        collectgarbage()
        local used = (collectgarbage "count" - before) * 1024
        assert.is_true(used >= 20000 * 16, used .. " bytes")
        assert.is_true(used <= 20000 * 100, used .. " bytes")
        assert.equal("name777.example", set:match "name777.example")
        set = nil
        collectgarbage()
        collectgarbage()
        assert.is_true((collectgarbage "count" - before) * 1024 < 20000)
    end)

    it("reads as text", function()
        assert.equal("DomainSet of 2", tostring(dns.DomainSet { "a", "b" }))
        assert.equal("DomainSet of 1 without 2", tostring(dns.DomainSet { "a", "@@||b^", "@@||c.a^" }))
        assert.equal("DomainSet", dns.typeof(dns.DomainSet()))
    end)

    it("raises for what is no domain, and stays as it was", function()
        local set = dns.DomainSet { "a.example" }
        raises("DomainSet: table expected, got 'x'", function() dns.DomainSet "x" end)
        raises("DomainSet[2]: domain name expected, got 7", function() dns.DomainSet { "a", 7 } end)
        raises("DomainSet[1]: domain name expected, got 'a..b' (empty label)", function() dns.DomainSet { "a..b" } end)
        raises("DomainSet: array without holes and other keys expected, got table", function() dns.DomainSet { x = "a" } end)
        raises("DomainSet.add: domain name expected, got nil", function() set:add() end)
        raises("DomainSet.add: only a whole domain can be matched", function() set:add "||a/b" end)
        raises("DomainSet.add: '||' expected behind '@@'", function() set:add "@@a" end)
        raises("DomainSet.add: a domain expected", function() set:add "||^" end)
        raises("DomainSet.add: the option 'third-party' cannot be honoured", function() set:add "||a^$third-party" end)
        raises("DomainSet.remove: domain name expected, got 7", function() set:remove(7) end)
        raises("DomainSet.match: domain name expected, got nil", function() set:match() end)
        raises("DomainSet.match: domain name expected, got 'a b' (character that must be escaped)", function() set:match "a b" end)
        raises("DomainSet.match: DomainSet expected as self, got 'a' (call the method with a colon)", function() set.match "a" end)
        raises("DomainSet has no property 'matches' (did you mean 'match'?)", function() return set.matches end)
        raises("DomainSet.skipped: cannot be set", function() set.skipped = {} end)
        assert.equal(1, #set)
    end)
end)

describe("dns.DomainSet.load", function()
    scope.manage()

    it("reads plain lists, hosts files and rules, mixed", function()
        line_gives("ads.example", "ads.example")
        line_gives("  Ads.Example.\t ", "ads.example")
        line_gives("ads.example # why", "ads.example")
        line_gives("ads.example#why", "ads.example")
        line_gives("*.ads.example", "ads.example")
        line_gives("_dmarc.ads-1.example", "_dmarc.ads-1.example")
        line_gives("bücher.example", "xn--bcher-kva.example")
        line_gives("0.0.0.0 a.example B.example\tc.example", "a.example", "b.example", "c.example")
        line_gives("127.0.0.1\ta.example # b.example", "a.example")
        line_gives("192.0.2.1 a.example#b.example", "a.example")
        line_gives(":: a.example", "a.example")
        line_gives("fe80::1%lo0 localhost a.example", "a.example")
        line_gives("||a.example^", "a.example")
        line_gives("||a.example^|", "a.example")
        line_gives("||a.example", "a.example")
        line_gives("||a.example$important", "a.example")
        line_gives(".a.example", "a.example")
        line_gives("a.example ; why", "a.example")
        line_gives("a.example;why", "a.example")
        line_gives("address=/a.example/0.0.0.0", "a.example")
        line_gives("address=/A.example/b.example/#", "a.example", "b.example")
        line_gives("address=/a.example/", "a.example")
        line_gives("server=/a.example/", "a.example")
        line_gives("local=/a.example/b.example/ # why", "a.example", "b.example")
        line_gives("||*.a.example^", "a.example")
        line_gives("||a.example^$important", "a.example")
        line_gives("||a.example^$document,all", "a.example")
        line_gives("a.example\r\nb.example\r\n", "a.example", "b.example")
        line_gives("\239\187\191a.example\nb.example", "a.example", "b.example")
        line_gives("a.example\n\n \n\r\nb.example", "a.example", "b.example")
        line_gives("a.example\nA.example", "a.example")
        line_gives ""
    end)

    it("passes over comments, headings and the names of the machine itself", function()
        local text = "# a.example\n; a.example\n! b.example\n  # c.example\n[Adblock Plus 2.0]\n#\n!\n##.banner\n"
            .. "127.0.0.1 localhost localhost.localdomain local\n255.255.255.255 broadcasthost\n::1 ip6-localhost ip6-loopback\n"
            .. "0.0.0.0 0.0.0.0\n"
        local set = load(text)
        assert.equal(0, #set)
        assert.same({}, set.skipped)
    end)

    it("reads exceptions", function()
        local set = load "||example^\n@@||good.example^\n@@||Fine.example^$important\n||bad.good.example^\n"
        assert.equal(2, #set)
        assert.equal("example", set:match "ads.example")
        assert.is_nil(set:match "good.example")
        assert.is_nil(set:match "x.fine.example")
        assert.is_nil(set:match "bad.good.example")
    end)

    it("reports lines that it cannot use, and goes on", function()
        local useless = {
            { "||ads.example^$third-party", "the option 'third-party' cannot be honoured" },
            { "||ads.example^$important,domain=x.example", "the option 'domain=x.example' cannot be honoured" },
            { "||ads.example^path", "only a whole domain can be matched" },
            { "||ads.example/path", "only a whole domain can be matched" },
            { "||ads.example$third-party", "the option 'third-party' cannot be honoured" },
            { "||ads.example:8080^", "a domain expected, and no ':' in it" },
            { "address=/a.example//0.0.0.0", "a domain expected between the slashes" },
            { "server=/ads.example/192.0.2.1", "a server for a domain does not put it into a list" },
            { "server=/ads.example/#", "a server for a domain does not put it into a list" },
            { "local=/ads.example", "'/' expected behind the domain" },
            { "conf-dir=/etc/dnsmasq.d", "a domain expected, and no '=' in it" },
            { "||ads*.example^", "a domain expected, and no '*' in it" },
            { "@@ads.example", "'||' expected behind '@@'" },
            { "example.com##.banner", "only whole domains can be matched, not parts of pages" },
            { "example.com#@#.banner", "only whole domains can be matched, not parts of pages" },
            { "/^ads[0-9]/", "a domain expected, and no '/' in it" },
            { "https://ads.example/", "a domain expected, and no ':' in it" },
            { "*", "a domain expected, and no '*' in it" },
            { "*.", "a domain expected" },
            { "ads.*.example", "a domain expected, and no '*' in it" },
            { "ads\\065.example\\000", "a domain expected, and no byte 0 in it" },
            { "192.0.2.1", "a domain expected, and no address" },
            { "2001:db8::1", "a domain expected, and no address" },
            { "||192.0.2.1^", "a domain expected, and no address" },
            { "0.0.0.0", "a domain expected, and no address" },
            { "ads.example other.example", "one domain a line expected" },
            { "ads..example", "domain name expected, got 'ads..example' (empty label)" },
            { "ads\0.example", "domain name expected, got 'ads" },
            { "b\252cher.example", "not UTF-8" },
            { ("x"):rep(64) .. ".example", "label longer than 63 bytes" },
        }
        for _, case in ipairs(useless) do
            local path = files.temp_file("list.txt", "first.example\n" .. case[1] .. "\r\nlast.example")
            local set = assert(dns.DomainSet.load(path))
            assert.equal(2, #set, case[1])
            assert.equal("last.example", set:match "last.example")
            assert.equal(1, set.skipped_count, case[1])
            local skipped = set.skipped[1]
            assert.equal(path, skipped.file)
            assert.equal(2, skipped.line)
            assert.equal(case[1]:sub(1, 80), skipped.text)
            assert.truthy(skipped.reason:find(case[2], 1, true), case[1] .. ": " .. skipped.reason)
        end
    end)

    it("reports each word of a hosts file's line that it cannot use", function()
        local set = load "0.0.0.0 a.example b..example c.example d/e\n"
        assert.equal(2, #set)
        assert.equal("c.example", set:match "c.example")
        assert.equal(2, set.skipped_count)
        assert.equal("b..example", set.skipped[1].text)
        assert.equal("d/e", set.skipped[2].text)
        assert.equal(1, set.skipped[2].line)
    end)

    it("keeps the first hundred reports and counts them all", function()
        local set = load(("a..b\n"):rep(250) .. "last.example\n")
        assert.equal("last.example", set:match "last.example")
        assert.equal(100, #set.skipped)
        assert.equal(100, set.skipped[100].line)
        assert.equal(250, set.skipped_count)
        assert.is_true(rawequal(set.skipped, set.skipped))
    end)

    it("reads lines of any length, and files of any size", function()
        local lines, long = {}, ("x"):rep(1000)
        for i = 1, 5000 do
            lines[i] = ("name%d.example # %s"):format(i, long:sub(1, i % 997))
        end
        lines[2000] = "# " .. ("x"):rep(65533 - 2) -- just no more than a line may be, its end counted
        lines[3000] = ("y"):rep(65536)
        lines[4000] = ("z"):rep(200000)
        local set = load(table.concat(lines, "\n"))
        assert.equal(4997, #set)
        local gone = { [2000] = true, [3000] = true, [4000] = true }
        for i = 1, 5000 do
            local name = ("name%d.example"):format(i)
            assert.equal(not gone[i] and name or nil, set:match(name))
        end
        assert.equal(2, set.skipped_count)
        assert.equal(3000, set.skipped[1].line)
        assert.equal(4000, set.skipped[2].line)
        assert.equal("longer than 65536 bytes", set.skipped[2].reason)
    end)

    it("puts several files into one set", function()
        local one, other = files.temp_file("one.txt", "||example^\nx y\n"), files.temp_file("other.txt", "@@||good.example^\n\nz z\n")
        local set = assert(dns.DomainSet.load(one, other))
        assert.equal("example", set:match "ads.example")
        assert.is_nil(set:match "good.example")
        assert.equal(one, set.skipped[1].file)
        assert.equal(other, set.skipped[2].file)
        assert.equal(3, set.skipped[2].line)
    end)

    it("gives nil and the reason for a file that cannot be read", function()
        local good = files.temp_file("good.txt", "a.example")
        for path, why in pairs {
            ["/no/such/file"] = "No such file or directory",
            ["/"] = "Is a directory",
            ["/dev/null"] = "Not a regular file",
        } do
            for _, paths in ipairs { { path }, { good, path }, { path, good } } do
                local set, reason = dns.DomainSet.load(unpack(paths))
                assert.is_nil(set)
                assert.equal("cannot read " .. path .. ": " .. why, reason)
            end
        end
    end)

    it("raises for what is no path", function()
        raises("DomainSet.load: string expected, got nil", function() dns.DomainSet.load() end)
        raises("DomainSet.load: string expected, got 7", function() dns.DomainSet.load("x", 7) end)
        raises("DomainSet.load: path expected, got 'a\\x00b'", function() dns.DomainSet.load "a\0b" end)
    end)

    it("tells a script's log of skipped lines", function()
        local test = require "dns.test"
        local list = files.temp_file("list.txt", ("a..b\n"):rep(12))
        local script = files.temp_file("script.lua", ("blocked = dns.DomainSet.load(%q)"):format(list))
        local logged = test.load(script).log
        assert.equal(11, #logged)
        assert.equal(11, #logged.warn)
        assert.equal(list .. ":1: 'a..b': domain name expected, got 'a..b' (empty label)", logged[1])
        assert.equal("and 2 more could not be used", logged[11])
    end)

    it("needs no log", function()
        local function without_log()
            return dns.DomainSet.load(files.temp_file("list.txt", "a..b\n"))
        end
        for _, log in ipairs { false, print, {}, { warn = 7 } } do
            local set = setfenv(without_log, setmetatable({ log = log }, { __index = getfenv(1) }))()
            assert.equal(1, set.skipped_count)
        end
        assert.equal(1, select(2, pcall(dns.DomainSet.load, files.temp_file("list.txt", "a..b\n"))).skipped_count)
    end)
end)
