-- dns.Zone, on dns.so: what is read, and what is refused.
local dns = require "dns"
local files = require "spec.support.files"
local raises = require "spec.support.raises"
local scope = require "spec.support.scope"

local SOA = "@ SOA ns admin 1 2 3 4 5\n"

local function texts(zone)
    local list = {}
    for i, record in ipairs(zone) do
        list[i] = record:to_text()
    end
    return list
end

-- The records that lines behind a SOA record give, without it.
local function read(lines, origin)
    local list = texts(assert(dns.Zone.parse(SOA .. lines, origin or "example")))
    table.remove(list, 1)
    return list
end

local function refused(reason, text, origin)
    assert.same({ nil, reason }, { dns.Zone.parse(text, origin) })
end

describe("dns.Zone", function()
    scope.manage()

    it("is an array of records", function()
        local zone = assert(dns.Zone.parse("$ORIGIN Example.COM.\n@ 300 SOA ns admin 1 2 3 4 5\nwww A 192.0.2.1\n"))
        assert.equal("example.com", zone.origin)
        assert.equal("example.com", tostring(zone))
        assert.equal("Zone", dns.typeof(zone))
        assert.equal(2, #zone)
        assert.equal("ResourceRecord", dns.typeof(zone[1]))
        assert.equal("www.example.com", zone[2].name)
        assert.is_nil(zone[3])
        local names = {}
        for i, record in ipairs(zone) do
            names[i] = record.original_name
        end
        assert.same({ "Example.COM", "www.Example.COM" }, names)
        assert.equal("192.0.2.1", dns.json.decode(dns.json.encode(zone))[2].data)
    end)

    it("cannot be misused", function()
        local zone = assert(dns.Zone.parse(SOA, "example"))
        raises("Zone has no property 'answers' (did you mean 'answer'?)", function() return zone.answers end)
        raises("Zone has no property true", function() return zone[true] end)
        raises("Zone: properties cannot be set, nor records be added", function() zone.origin = "x" end)
        raises("Zone: properties cannot be set, nor records be added", function() zone[2] = zone[1] end)
        raises("Zone.answer: DNSMessage expected, got 'x'", function() zone:answer "x" end)
        raises("Zone.answer: Zone expected as self, got DNSMessage (call the method with a colon)", function()
            zone.answer(dns.DNSMessage {})
        end)
        raises("Zone.parse: string expected, got nil", function() dns.Zone.parse() end)
        raises("Zone.parse: domain name expected, got 7", function() dns.Zone.parse("", 7) end)
        raises("Zone.load: path of a file expected, got 'a\\x00b'", function() dns.Zone.load "a\0b" end)
        raises("Zone.answer: answers[1]: ResourceRecord expected, got number", function()
            zone:answer(dns.DNSMessage { answers = { 1 } })
        end)
        assert.equal("Zone", getmetatable(zone))
    end)

    describe("reads", function()
        it("owners: '@', none, relative and absolute ones", function()
            assert.same({
                "a.example. 60 IN A 192.0.2.1",
                "a.example. 60 IN A 192.0.2.2",
                "example. 60 IN A 192.0.2.3",
                "b.c.example. 60 IN A 192.0.2.4",
                "b.c.example. 60 IN A 192.0.2.5",
            }, read "a 60 A 192.0.2.1\n 60 A 192.0.2.2\n\n; nothing\n@ 60 A 192.0.2.3\nb.c.example. 60 A 192.0.2.4\n\t60 A 192.0.2.5")
        end)

        it("$ORIGIN, which counts from there on and for data", function()
            assert.same({
                "a.sub.example. 60 IN MX 1 sub.example.",
                "b.deep.sub.example. 60 IN CNAME c.deep.sub.example.",
                "d.example. 60 IN CNAME e.other.",
            }, read "$ORIGIN sub\na 60 MX 1 @\n$origin deep\nb 60 CNAME c\n$ORIGIN example.\nd 60 CNAME e.other.\n")
        end)

        it("names in every kind of data below the origin", function()
            assert.same({
                "a.example. 60 IN SRV 1 2 3 t.example.",
                'b.example. 60 IN NAPTR 1 2 "" "" "" r.example.',
                "c.example. 60 IN RP m.example. t.example.",
                "d.example. 60 IN HTTPS 1 s.example. alpn=\"h2\"",
                "e.example. 60 IN IPSECKEY 10 3 2 g.example. AQNR",
                "f.example. 60 IN NSEC example. A",
            }, read [[
a 60 SRV 1 2 3 t
b 60 NAPTR 1 2 "" "" "" r
c 60 RP m t
d 60 HTTPS 1 s alpn=h2
e 60 IPSECKEY 10 3 2 g AQNR
f 60 NSEC @ A]])
        end)

        it("escapes: a dot at the end may be one of a label", function()
            assert.same({
                [[a\.b.example. 60 IN CNAME c\..example.]],
                [[d\\. 60 IN CNAME \@.]],
            }, (function()
                local list = texts(assert(dns.Zone.parse([[. SOA a. b. 1 2 3 4 5
$ORIGIN example.
a\.b 60 CNAME c\.
d\\. 60 CNAME \@.]])))
                table.remove(list, 1)
                return list
            end)())
        end)

        it("TTLs: the record's, $TTL's, the one before, SOA's minimum", function()
            local function ttls(text)
                local list = {}
                for i, record in ipairs(assert(dns.Zone.parse(text, "example"))) do
                    list[i] = record.ttl
                end
                return list
            end
            assert.same({ 5, 5, 7, 7 }, ttls(SOA .. "a A 192.0.2.1\nb 7 A 192.0.2.1\nc A 192.0.2.1\n"))
            assert.same({ 90, 90, 7, 90, 3600 }, ttls("$TTL 1m30s\n" .. SOA
                .. "a A 192.0.2.1\nb 7 A 192.0.2.1\nc A 192.0.2.1\n$TTL 1H\nd A 192.0.2.1\n"))
        end)

        it("TTL and class in either order, or without", function()
            assert.same({
                "a.example. 9 IN A 192.0.2.1", "b.example. 9 IN A 192.0.2.1", "c.example. 9 IN A 192.0.2.1",
                "d.example. 9 IN A 192.0.2.1",
            }, read "$TTL 9\na 9 IN A 192.0.2.1\nb IN 9 A 192.0.2.1\nc IN A 192.0.2.1\nd A 192.0.2.1\n")
            local zone = assert(dns.Zone.parse("@ CH SOA ns admin 1 2 3 4 5\na TXT x\n", "example"))
            assert.equal(dns.classes.CH, zone[2].class_)
        end)

        it("SOA's times with units", function()
            local zone = assert(dns.Zone.parse("@ SOA ns admin 2024010101 2h 30m 1w 1h30m", "example"))
            assert.equal("ns.example. admin.example. 2024010101 7200 1800 604800 5400", tostring(zone[1]))
        end)

        it("parentheses, comments, quotes", function()
            assert.same({
                [[a.example. 60 IN TXT "one ; ( two" "a\"b" "three"]],
                "b.example. 60 IN A 192.0.2.1",
            }, read 'a 60 TXT ( "one ; ( two" ; comment )\n "a\\"b"\n\n three ) ; end\nb (\n 60 A ) 192.0.2.1')
        end)

        it("unknown types and generic data", function()
            assert.same({ "a.example. 60 IN TYPE65280 \\# 2 abcd", "b.example. 60 IN A 10.0.0.1" },
                read "a 60 TYPE65280 \\# 2 ab cd\nb 60 TYPE1 \\# 4 0a000001")
        end)

        it("lines that end as on other systems, and none", function()
            assert.same({ "a.example. 60 IN A 192.0.2.1", "b.example. 60 IN TXT \"x\"" }, read "a 60 A 192.0.2.1\r\nb 60 TXT x\r\n")
        end)

        it("a file behind a byte order mark", function()
            local mark = "\239\187\191"
            local zone = assert(dns.Zone.parse(mark .. SOA .. "a A 192.0.2.1\n", "example"))
            assert.same({ "example", "a.example" }, { zone.origin, zone[2].name })
            assert.equal("example", assert(dns.Zone.parse(mark .. "$ORIGIN example.\n" .. SOA)).origin)
            refused("zone:1: record type expected, got nothing", mark .. "@\n", "example")
            local path = files.temp_file("b", mark .. "b 60 A 192.0.2.2\n")
            assert.same({ "b.example. 60 IN A 192.0.2.2" }, read("$INCLUDE " .. path .. "\n"))
        end)

        it("a record that is there twice once, and a set's lowest TTL", function()
            assert.same({
                "a.example. 5 IN A 192.0.2.1", "b.example. 9 IN A 192.0.2.1", "a.example. 5 IN A 192.0.2.2",
            }, read "a 9 A 192.0.2.1\nb 9 A 192.0.2.1\na 5 A 192.0.2.2\nA 7 A 192.0.2.1\n@ SOA ns admin 1 2 3 4 5")
        end)

        it("a SOA record whose owner names the origin", function()
            assert.equal("www.example.com", assert(dns.Zone.parse "example.com. SOA ns admin 1 2 3 4 5\nwww A 192.0.2.1")[2].name)
        end)
    end)

    describe("$GENERATE", function()
        it("counts", function()
            assert.same({
                "h1.example. 60 IN A 192.0.2.11", "h3.example. 60 IN A 192.0.2.13",
            }, read "$GENERATE 1-4/2 h$ 60 A 192.0.2.${10}")
            assert.same({ "0.example. 60 IN CNAME a$0.example." }, (function()
                local list = read "$GENERATE 0-0 $ 60 IN CNAME a\\$$"
                list[1] = list[1]:gsub("\\%$", "$")
                return list
            end)())
        end)

        it("has widths and bases", function()
            assert.same({
                'x.example. 60 IN TXT "031" "1f" "01F" "37" "f.1" "F.1.0" "30" "$"',
            }, read "$GENERATE 31-31 x 60 TXT ${0,3} ${0,0,x} ${0,3,X} ${0,0,o} ${0,0,n} ${0,5,N} ${-1,2,d} $$")
        end)

        it("is bounded", function()
            refused("zone:2: $GENERATE makes more than 262144 records, all that one zone may have of them: a smaller range or a larger step expected", SOA .. "$GENERATE 0-2147483647 a A 192.0.2.1", "example")
        end)

        it("refuses what it cannot use", function()
            for _, range in ipairs { "x", "1", "2-1", "1-2/0", "1-2x", "-1-2", "1-99999999999" } do
                refused("zone:2: START-STOP or START-STOP/STEP expected behind $GENERATE (numbers up to 2147483647, STOP not below START, STEP not 0), got '" .. range .. "'", SOA .. "$GENERATE " .. range .. " a A 192.0.2.$", "example")
            end
            refused("zone:2: $GENERATE makes a number below 0, of 0 with the offset -1: a higher START or OFFSET expected", SOA .. "$GENERATE 0-1 a${-1} A 192.0.2.1", "example")
            for _, format in ipairs { "${", "${}", "${1,}", "${1,2,}", "${1,2,q}", "${1,999}", "${1" } do
                refused("zone:2: ${OFFSET,WIDTH,BASE} expected, with offsets up to 2147483647, widths up to 255 and base d, o, x, X, n or N", SOA .. "$GENERATE 1-1 a TXT " .. format, "example")
            end
            refused("zone:2: address: IPv4 address expected, got '192.0.2.256'", SOA .. "$GENERATE 255-256 a A 192.0.2.$", "example")
        end)
    end)

    describe("$INCLUDE", function()
        it("reads a file beside the one that names it, with an origin of its own", function()
            local folder = files.temp_folder()
            files.make_folder(folder .. "/more")
            files.write(folder .. "/main", "$ORIGIN example.\n$TTL 60\n" .. SOA .. "a A 192.0.2.1\n$INCLUDE more/one sub\n A 192.0.2.2\nb A 192.0.2.3\n")
            files.write(folder .. "/more/one", "x A 192.0.2.4\n$ORIGIN deep\n$TTL 9\ny A 192.0.2.5\n$INCLUDE two ; beside it")
            files.write(folder .. "/more/two", "@ A 192.0.2.6")
            local list = texts(assert(dns.Zone.load(folder .. "/main")))
            table.remove(list, 1)
            assert.same({
                "a.example. 60 IN A 192.0.2.1", "x.sub.example. 60 IN A 192.0.2.4", "y.deep.sub.example. 9 IN A 192.0.2.5",
                "deep.sub.example. 9 IN A 192.0.2.6", "a.example. 60 IN A 192.0.2.2", "b.example. 60 IN A 192.0.2.3",
            }, list)
        end)

        it("names the file and line of what is wrong", function()
            local folder = files.temp_folder()
            files.write(folder .. "/main", SOA .. "\n$INCLUDE one\n")
            files.write(folder .. "/one", "a 60 A 192.0.2.1\n\nb 60 A x\n")
            assert.same({ nil, folder .. "/one:3: address: IPv4 address expected, got 'x'" },
                { dns.Zone.load(folder .. "/main", "example") })
            os.remove(folder .. "/one")
            assert.same({ nil, folder .. "/main:3: cannot read " .. folder .. "/one: No such file or directory" },
                { dns.Zone.load(folder .. "/main", "example") })
            files.write(folder .. "/one", "$INCLUDE one")
            assert.same({ nil, folder .. "/one:1: too many files within files" }, { dns.Zone.load(folder .. "/main", "example") })
        end)

        it("wants a path", function()
            refused("zone:1: path of a file expected, got nothing", "$INCLUDE")
            refused("zone:1: path of a file expected, got ''", '$INCLUDE ""')
            refused("zone:1: end of the line expected, got 'x'", "$INCLUDE a b. x")
        end)
    end)

    it("tells the first thing that is wrong, with its line", function()
        local cases = {
            { "", "zone: no records" },
            { "; nothing\n", "zone: no records" },
            { "a A 192.0.2.1", "zone:1: a.example A: a zone begins with its SOA record" },
            { SOA .. "\n\na A 192.0.2.256\n", "zone:4: address: IPv4 address expected, got '192.0.2.256'" },
            { SOA .. "a MX (\n 10\n ; more\n x y )\n", "zone:5: end of the record expected, got 'y'" },
            { SOA .. "a TXT (\n x\n", "zone:2: strings: '(' without ')'" },
            { SOA .. 'a TXT "x\n\n', "zone:2: quote without its other half" },
            { SOA .. "a TXT x)\n", "zone:2: strings: ')' without '('" },
            { SOA .. "a\n", "zone:2: record type expected, got nothing" },
            { SOA .. "a BOGUS x\n", "zone:2: record type expected, got 'BOGUS'" },
            { SOA .. "a OPT\n", "zone:2: a.example OPT: no zone holds records of this type" },
            { SOA .. "a TYPE255 \\# 0\n", "zone:2: a.example ANY: no zone holds records of this type" },
            { SOA .. "a CH TXT x\n", "zone:2: a.example TXT: not of the zone's class" },
            { SOA .. "a.other. A 192.0.2.1\n", "zone:2: a.other A: not in the zone" },
            { SOA .. "myexample. A 192.0.2.1\n", "zone:2: myexample A: not in the zone" },
            { SOA .. "@ SOA ns admin 2 2 3 4 5\n", "zone:2: example SOA: a name has one such record" },
            { SOA .. "a SOA ns admin 1 2 3 4 5\n", "zone:2: a.example SOA: a zone has one SOA record" },
            { SOA .. "a A 192.0.2.1\na CNAME b\n", "zone:3: a.example CNAME: no other data beside a CNAME" },
            { SOA .. "a CNAME b\nA A 192.0.2.1\n", "zone:3: A.example A: no other data beside a CNAME" },
            { SOA .. "a CNAME b\na CNAME c\n", "zone:3: a.example CNAME: a name has one such record" },
            { SOA .. "a DNAME b\na DNAME c\n", "zone:3: a.example DNAME: a name has one such record" },
            { SOA .. "a DNAME b\na NS c\n", "zone:3: a.example NS: no DNAME beside NS, but at the zone's top" },
            { SOA .. "a DNAME b\nx.y.a A 192.0.2.1\n", "zone:3: x.y.a.example A: no records below a DNAME" },
            { SOA .. "x.y.a A 192.0.2.1\n\na DNAME b\n", "zone:4: a.example DNAME: there are records below it" },
            { SOA .. "@ DNAME b.\nx DNAME c\n", "zone:3: x.example DNAME: no records below a DNAME" },
            { SOA .. "a A \\# 3 010203\n", "zone:2: the data does not fit the type A" },
            { SOA .. "a..b A 192.0.2.1\n", "zone:2: domain name expected, got 'a..b' (empty label)" },
            { SOA .. ("a"):rep(64) .. " A 192.0.2.1\n", "zone:2: domain name expected, got '" .. ("a"):rep(61) .. "...' (label longer than 63 bytes)" },
            { SOA .. (("a"):rep(49) .. "."):rep(4) .. ("a"):rep(49) .. " A 192.0.2.1\n", "zone:2: the name is longer than 255 bytes with its origin" },
            { SOA .. "$TTL x\n", "zone:2: TTL from 0 to 2147483647 expected, got 'x'" },
            { SOA .. "$TTL 2147483648\n", "zone:2: TTL from 0 to 2147483647 expected, got '2147483648'" },
            { SOA .. "$TTL 1 2\n", "zone:2: end of the line expected, got '2'" },
            { SOA .. "$ORIGIN\n", "zone:2: domain name expected, got nothing" },
            { SOA .. "$BOGUS x\n", "zone:2: $ORIGIN, $TTL, $INCLUDE or $GENERATE expected, got '$BOGUS'" },
            { " A 192.0.2.1", "zone:1: owner expected: there is no record before this one" },
        }
        for _, case in ipairs(cases) do
            refused(case[2], case[1], "example")
        end
        local first = "the origin is not known here: $ORIGIN expected, or an SOA record whose owner ends with a dot"
        refused("zone:1: " .. first, SOA)
        refused("zone:1: the origin is not known here: $ORIGIN or an SOA record expected first", "a.example. A 192.0.2.1")
        refused("zone:1: the first $ORIGIN must end with a dot", "$ORIGIN example\n")
        assert.same({ nil, "cannot read /no/such/file: No such file or directory" }, { dns.Zone.load "/no/such/file" })
    end)

    it("takes what may stand beside a CNAME", function()
        assert.equal(2, #read "a 60 CNAME b\na 60 NSEC c CNAME\n")
        assert.equal(2, #read "a 60 NSEC c CNAME\na 60 CNAME b\n")
        assert.equal(2, #read "@ 60 DNAME other.\n@ 60 NS ns\n")
        assert.equal(2, #read "a 60 DNAME other.\nab 60 A 192.0.2.1\n")
        local nsec3 = "h 60 NSEC3 1 0 0 - 00000000000000000000000000000000 A\n"
        assert.equal(2, #read(nsec3 .. "@ 60 DNAME other.\n"))
        assert.equal(2, #read("@ 60 DNAME other.\n" .. nsec3))
    end)

    it("costs the collector's memory, and goes with it", function()
        local lines = { SOA }
        for i = 1, 2000 do
            lines[#lines + 1] = ("h%d A 192.0.2.1\n"):format(i)
        end
        local text = table.concat(lines)
        collectgarbage()
        local before = collectgarbage "count"
        local zone = assert(dns.Zone.parse(text, "example"))
        local held = collectgarbage "count" - before
        assert.is_true(held > 2000 * 0.1, held)
        zone = nil
        for _ = 1, 20 do
            zone = assert(dns.Zone.parse(text, "example"))
        end
        zone = nil
        collectgarbage()
        collectgarbage()
        assert.is_true(collectgarbage "count" - before < held / 2)
        assert.is_nil(zone)
    end)
end)
