-- Scripts by chance, of what people write in hooks. A rule is a list of {weight, text, …}; in its texts `<rule>` stands for
-- one of that rule's, `<1-9>` for a number. What a text needs is said in front of it:
--   risky!   it may raise, or leave the answer in pieces: only where the first queries do not come by
--   calls!   it calls functions that moondns knows nothing of
--   keeps!   something of a flow, or a record, may be kept
--   waits!   the hook waits
--   drops!   nothing may be answered
local dice_of = require "spec.fuzz.hooks.dice"

local DEPTH_MAX = 5 -- from here on the first text of a rule is taken, which has no rule in it

local rules = {}

-- --- values ---

rules.letter = { 1, "a", 1, "b", 1, "c", 1, "x" }

rules.word = { 1, '"www"', 1, '"mail"', 1, '"<letter>"', 1, '"example"' }

rules.name = {
    8, "name", 4, "q.name", 2, "q.original_name", 2, "flow.request.question.name", 3, "s1", 2, "gs",
    4, '"<letter>.example"', 2, '"to." .. name', 1, '"*." .. name', 1, "name:lower()", 1, "name:upper()",
    1, 'name:gsub("%d", "<letter>", 1) .. ""', 1, '(name:gsub("^[^.]*", "<letter>"))', 1, 'name .. "."', 1, '"."',
    1, 'string.format("%s.<letter>.example", label)', 1, 'label .. ".example"', 2, 't1[<key>] or "none.example"',
    1, "name:sub(1, 60)", 1, '("<letter>"):rep(<1-60>) .. ".example"', 1, "(name)", 1, "(<flag> and name or s1)",
    1, '"MiXed.Example"', 1, '"M\\195\\188nchen.example"', 1, '"a\\\\.b.example"',
    1, "calls!same(name)", 1, "calls!long(name)", 1, "calls!gname(name)", 1, "calls!tostring(name)",
    1, 'risky!"a..b"', 1, 'risky!("x"):rep(64) .. ".example"', 1, "risky!nil", 1, "risky!7", 1, "risky!label:match '^<letter>$'",
    1, 'risky!"a b"', 1, "risky!{}", 1, 'risky!""',
}

rules.key = { 4, "label", 2, "name", 2, "n1 % 5", 1, "q.type", 1, '"<letter>"', 1, "<1-9>", 1, "#name" }

rules.text = {
    3, "label", 3, "name", 3, "s2", 1, '"text"', 1, "name:sub(<1-9>)", 1, "name:sub(-<1-9>)", 1, "name:rep(<1-3>)", 1, "name:reverse()",
    1, 'name:match("%w+") or ""', 1, 'string.format("%d %s %x", n1, label, q.type)', 1, '"n" .. n1', 1, 'label .. "\\0\\255"',
    1, "string.char(name:byte(1, 3))", 1, "risky!nil .. label",
}

rules.number = {
    3, "<1-9>", 2, "#name", 2, "n1", 2, "n2", 1, "gn", 1, "q.type", 1, "q.class_", 1, "name:byte(1)", 1, "#label",
    1, "n1 % <1-9>", 1, "n1 + n2", 1, "-n1", 1, "n1 / <1-9>", 1, "(tonumber(label:match '%d+') or 0)", 1, "math.floor(n1 / 3)",
    1, "flow.request.id % 7", 1, "flow.request.op_code", 1, "(name:find('.', 1, true) or 0)", 1, "n2 ^ 2 % 11", 1, "select('#', name, label)",
    1, "math.max(n1, <1-9>)", 1, "bit.band(n1, 7)", 1, "calls!count(name)", 1, "calls!self_or.count",
    1, "risky!#n1", 1, "risky!nil + 1",
}

rules.type = {
    4, "q.type == dns.types.A", 3, "q.type == <1-9>", 2, "q.type == dns.types.AAAA", 1, "q.type ~= 28", 1, "q.type > 20",
    1, "dns.types.to_str(q.type) == 'TXT'", 1, "q.class_ == dns.classes.IN", 1, "q.class_ ~= 1",
}

rules.flag = {
    4, "n1 % <1-9> == 0", 4, "<type>", 2, 'name:find("<letter>", 1, true)', 2, 'name:match("^%a%d")', 2, "flow.request.recursion_desired",
    1, "flow.request.checking_disabled", 1, "flow.request.authentic_data", 1, "flow.request.query", 1, "not flow.request.truncation",
    1, 'name:sub(-8) == ".example"', 1, "name:byte(2) == 97", 1, "#name > 20", 1, "t1[<key>]", 1, "not t1[<key>]", 1, "n1 > <1-900>",
    1, "n1 < <1-900>", 1, "q.name == name", 1, "q.original_name == name", 1, 'label == "k<1-9>"', 1, "s1 < name", 1, "label <= s2",
    1, "not (<flag>)", 1, "(<flag>) and <flag>", 1, "(<flag>) or <flag>", 1, "flow.response", 1, "flow.response == nil",
    1, "rawequal(t1, t2)", 1, "flow.live", 1, "name == 'a.example'", 1, "calls!is_odd(n1)", 1, "calls!dns.name.is_subdomain(name, 'example')",
}

rules.last = { 6, "1", 4, "<1-250>", 3, "n1 % 250", 2, "#name % 250", 1, "q.type % 250" }

rules.ipv4 = {
    6, '"192.0.2.<1-250>"', 4, '"192.0.2." .. <last>', 2, '"192.0.2." .. math.floor(<number>) % 250', 2, "ip", 1, '"10.0.0.1"', 1, "ips[n1 % 3 + 1]", 1, 't2[<key>] or "192.0.2.9"',
    1, '("192.0.2.%d"):format(n1 % 200)', 1, '"192.0." .. n1 % 9 .. ".1"', 2, 'risky!"192.0.2.256"', 1, "risky!nil", 1, "risky!7",
    1, 'risky!"2001:db8::1"', 1, 'risky!""', 1, "risky!name", 1, 'risky!"192.0.2.1 "', 1, 'risky!"192.0.2.01"', 1, "risky!{}",
    1, 'risky!"192.0.2.1\\0"',
}

rules.ipv6 = {
    6, '"2001:db8::<1-9>"', 4, '("2001:db8::%x"):format(n1 % 60000)', 1, '"::"', 1, '"2001:DB8::A"', 1, '"::ffff:192.0.2.1"', 1, '"fe80::1"',
    1, 'risky!"fe80::1%lo"', 1, 'risky!"192.0.2.1"', 1, "risky!nil", 1, 'risky!"2001:db8::1::2"', 1, "risky!true",
}

rules.ttl = {
    6, "<1-900>", 3, "n1", 2, "0", 1, "2147483647", 1, "#name", 1, "math.floor(<number>) % 1000", 1, "q.type", 2, "nil",
    1, "risky!-1", 1, "risky!2147483648", 1, "risky!1.5", 1, 'risky!"7"', 1, "risky!0/0", 1, "risky!1/0", 1, "risky!-0.0", 1, "risky!true",
}

rules.options = {
    8, "", 8, ", { ttl = <ttl> }", 5, ", <ttl>", 1, ", {}", 1, ", options", 1, ", nil",
    1, "risky!, { ttl = <1-9>, class_ = 3 }", 1, "risky!, { class = 'CH', ttl = 7 }", 1, "risky!, { tll = 5 }", 1, "risky!, { ttl = 5, tll = 5 }",
    1, "risky!, { 5 }", 1, "risky!, { [1] = 5, ttl = 6 }", 1, "risky!, name", 1, "risky!, false", 1, "risky!, flow_options",
}

rules.record = {
    14, "A(<name>, <ipv4><options>)", 6, "dns.ResourceRecord.A(<name>, <ipv4><options>)", 6, "AAAA(<name>, <ipv6><options>)",
    2, "RR.AAAA(<name>, <ipv6><options>)", 3, "RR.CNAME(<name>, <name><options>)", 3, "RR.TXT(<name>, <text><options>)",
    1, "RR.MX(<name>, <1-9>, <name><options>)", 1, "RR.TXT(name, { <text>, <text> })", 1, "RR.NS(<name>, <name>)", 1, "RR.PTR(name, <name>)",
    1, "dns.ResourceRecord(<name>, 1, 1, 60, 'abcd')", 1, "RR(<name>, 'TXT', 'IN', <1-9>, '\\3abc')",
    1, 'RR.from_text("text.example. 300 IN A 192.0.2.1")', 2, "calls!made(name)", 2, "calls!gmade(name)", 1, "calls!changed(<record>)",
    3, "keeps!kept_or(<key>)", 3, "keeps!keep(<key>, <record>)", 2, "keeps!by_name[name]", 1, "keeps!last_one()",
    1, "risky!nil", 1, 'risky!"no record"', 1, "risky!{}", 1, "risky!dns.Question(name, 'A')", 1, "risky!RR(name, 5, 1, 60, 'abcd')",
    1, "risky!RR(name, 1, 1, -1, 'abcd')", 1, "risky!A()", 1, "risky!A(name)",
}

rules.records = {
    2, "", 10, "<record>", 3, "<record>, <record>", 1, "<record>, <record>, <record>", 1, "r", 1, "r, r", 1, "r, <record>",
    1, "risky![2] = <record>", 1, "risky!nil, <record>", 1, "risky!<record>, nil, <record>", 1, "risky!x = <record>", 1, "risky!<record>, [3] = r",
    1, "calls!many(name, <1-40>)",
}

rules.code = {
    5, '"NXDOMAIN"', 3, '"REFUSED"', 3, "dns.response_codes.SERVFAIL", 3, "<1-9>", 2, "5", 1, '"nxdomain"', 1, '"RCODE9"', 1, "n1 % 15 + 1",
    1, "code", 1, "risky!0", 1, 'risky!"NOERROR"', 1, 'risky!"NO"', 1, "risky!16", 1, 'risky!"BADVERS"', 1, "risky!nil", 1, "risky!-1", 1, "risky!3.5", 1, "risky!{}",
    1, "risky!4096", 1, 'risky!"to_str"',
}

rules.answer = {
    12, "flow.request:succeed { <records> }", 6, "flow.request:fail(<code>)", 3, "m:succeed { <records> }", 2, "m:fail(<code>)",
    1, "flow.request:succeed({ <records> }, 7)", 1, "calls!flow.request:succeed(listed(name))", 1, "keeps!flow.request:succeed(answers)",
    1, "risky!flow.request:succeed()", 1, "risky!flow.request:succeed(<record>)", 1, "risky!flow.request.succeed { <records> }", 1, "risky!flow.request:succeed(nil)",
    1, "risky!flow.request:fail()", 1, "dns.DNSMessage.make_query(name, 'A'):succeed { <records> }", 1, "keeps!own",
}

-- --- statements ---

rules.response_change = {
    3, "flow.response.authoritative_answer = <flag> and true or false", 1, "flow.response.response_code = <1-5>", 1, "flow.response.id = flow.request.id",
    1, "flow.response.recursion_available = false", 1, "flow.response.truncation = true", 1, "flow.response.authentic_data = true",
    1, "flow.response.reserved = <1-7>", 1, "flow.response.op_code = <1-5>", 1, "n2 = flow.response.size", 1, "n2 = #flow.response.packed",
    1, "n2 = flow.response.response_code", 1, "s2 = flow.response.question.name", 1, 'flow.response.question.name = "else.example"',
    1, "flow.response = flow.response", 1, "n2 = flow.response.id - flow.response.id", 1, "gs = flow.response.question and flow.response.question.original_name",
    1, "keeps!n2 = #flow.response.answers", 1, "keeps!flow.response.answers[2] = <record>", 1, "keeps!flow.response.answers = { <records> }",
    1, "keeps!table.insert(flow.response.answers, <record>)", 1, "keeps!flow.response.additionals[1] = <record>", 1, "keeps!flow.response.answers[1].ttl = <1-900>",
    1, "risky!flow.response.id = -1", 1, "risky!flow.response.response_code = 16", 1, "risky!flow.response.authoritative_answer = 1", 1, "risky!flow.response.nothing = 1",
    1, "risky!keeps!flow.response.answers = { 7 }",
}

rules.record_change = {
    3, "r.ttl = <1-900>", 1, "r.name = <letter_name>", 1, 'if r.type == 1 then r.ipv4_address = "192.0.2.<1-250>" end', 1, 'r.data = "abcd"', 1, "n2 = r.ttl", 1, "s2 = r.name",
    1, "s2 = r.data", 1, "r.class_ = 3", 1, 's2 = tostring(r)', 1, 'r.type = "TXT" r.data = "\\3abc"', 1, "s2 = r:to_text()", 1, "r = <record>",
    1, "risky!r.ttl = -1", 1, "risky!r.text = 'text'", 1, "risky!r.nothing = 1", 1, "risky!r.type = 'CNAME'", 1, "risky!r.domain_name = name",
}

rules.letter_name = { 1, '"<letter>.example"', 1, "s1", 1, '("<letter>"):rep(<1-60>) .. ".example"' }

rules.request_change = {
    2, "q.name = name", 1, 'q.name = "changed." .. label .. ".example"', 1, "q.type = <1-9>", 1, 'q.type = "MX"', 1, "q.class_ = 3", 1, "flow.request.id = <1-900>",
    1, "flow.request.recursion_desired = <flag> and true or false", 1, "flow.request.checking_disabled = true", 1, "flow.request.op_code = <1-5>", 1, "flow.request.authentic_data = true",
    1, "flow.request.truncation = true", 1, "flow.request.authoritative_answer = true", 1, "risky!flow.request.response_code = 3", 1, "flow.request.question.name = s1",
    1, "risky!q.name = 'a..b'", 1, "risky!q.type = 'NOTYPE'", 1, "risky!q.nothing = 1", 1, "risky!flow.request = nil", 1, "keeps!flow.request.questions = {}",
    1, "keeps!flow.request.edns = { udp_payload_size = 900 }", 1, "keeps!flow.request.edns = nil",
}

rules.count = {
    4, "n1 = n1 + 1", 2, "n2 = n2 + 1", 1, "gn = gn + 1", 2, "t1[<key>] = (tonumber(t1[<key>]) or 0) + 1", 1, "t1[<key>] = nil", 1, "t2[<key>] = ip", 1, "s1 = <letter_name>",
    1, 's2 = s2:sub(-20) .. label', 1, "n2 = <number>", 1, "gs = name", 1, "s2 = <text>", 1, 'ip = "192.0.2." .. n1 % 250', 1, "n2 = nil n2 = 1", 1, "code = n1 % 15 + 1",
}

rules.wild = {
    1, "A = RR.A", 1, "A = other_a", 1, "AAAA = RR.AAAA", 1, "RR = dns.ResourceRecord", 1, "options = { ttl = <ttl> }", 1, "options.ttl = <ttl>", 1, "options = <1-900>",
    1, "ips[1] = '192.0.2.<1-250>'", 1, "string.lower = string.upper", 1, "string.format = other_format", 1, "gname = same", 1, "count = other_count", 1, "keep = other_keep",
    1, "calls!collectgarbage('step')", 1, "calls!collectgarbage()", 1, "calls!jit.flush()", 1, "calls!log.info('%s %d', label, n1)", 1, "calls!print(name, n1)",
    1, "calls!change_fenv()", 1, "calls!look_around()", 1, "calls!run_coroutine(name)", 1, "calls!shared.incr('n', 1, 0)", 1, "calls!n2 = pcall(A, name, '192.0.2.300') and 1 or 2",
    1, "calls!pcall(fails, name)", 1, "calls!xpcall(fails, same)", 1, "calls!timer.after(0.001, later)", 1, "calls!join_variable()", 1, "calls!set_variable()",
    1, "calls!table.sort(ips, backwards)", 1, "calls!make_many()", 1, "calls!getmetatable('').__index.lower = string.upper",
    1, "risky!calls!dns_request = nil", 1, "risky!calls!setmetatable(_G, nil)", 1, "risky!dns = nil", 1, "risky!dns.ResourceRecord = nil", 1, "risky!RR.A = nil",
    1, "risky!calls!local_of_caller()", 1, "risky!calls!dns_request()", 1, "risky!calls!coroutine.yield(1)",
}

rules.flow_use = {
    1, "n2 = #tostring(flow.request.question)", 1, "flow.metadata.seen = label", 1, "s2 = flow.metadata.seen or 'unseen'", 1, "flow.comment = label", 1, "flow.marked = 'm'", 1, "n2 = flow.client_conn.transport == 'udp' and 1 or 2",
    1, "look_at(flow)", 1, "n2 = length_of(q)", 1, "answer_it(flow)", 1, "flow.error = label", 1, "n2 = #flow.request.additionals", 1, "n2 = flow.request.edns and 1 or 2", 1, "flow.response = flow.request:copy():succeed {}",
    1, "keep_flow(flow)", 1, "n2 = #flow.request:to_json().questions", 1, "flow.error = nil", 1, "kept_question = q", 1, "if kept_question then s2 = kept_question.name end",
    1, "local c = flow:copy() c.response = c.request:fail(3) n2 = c.response.response_code",
    1, "waits!flow:intercept() timer.after(0.001, resumer(flow))",
}

rules.wait = { 4, "waits!sleep(0.001)", 1, "waits!sleep(0)", 1, "waits!s2 = tostring(dns.resolve('up.example', 'A'))", 1, "waits!sleep(0.001) sleep(0.001)" }

rules.raise = { 3, "risky!error(label)", 1, "risky!error()", 1, "risky!error({})", 1, "risky!local x = nil x.y = 1", 1, "risky!fails(name)", 1, "risky!assert(false, name)", 1, "risky!undefined(name)", 1, "risky!error('no place', 0)" }

rules.respond = {
    20, "flow.response = <answer>", 3, "local response = <answer> flow.response = response", 2, "local response = <answer> response.authoritative_answer = true flow.response = response",
    2, "local one, two = <answer>, <answer> flow.response = two flow.response = one", 1, "local one, two = <answer>, <answer> if one ~= two then flow.response = one end",
    2, "r = <record> flow.response = flow.request:succeed { r } <record_change>", 2, "local a = { <records> } flow.response = flow.request:succeed(a)", 1, "local a = { <records> } flow.response = flow.request:succeed(a) a[#a + 1] = <record>",
    1, "local a = { r } a[2] = <record> flow.response = flow.request:succeed(a)", 1, "local a = {} if <flag> then a[1] = <record> end flow.response = m:succeed(a)", 1, "flow.response = <answer> flow.response = nil", 1, "flow.response = <flag> and <answer> or nil",
    1, "drops!flow:kill()", 1, "drops!flow.response = <answer> flow:kill()", 1, "keeps!answers = { <records> } flow.response = flow.request:succeed(answers)", 1, "keeps!own.authoritative_answer = not own.authoritative_answer flow.response = own",
    1, "flow.response = nil", 1, "risky!flow.response = 7", 1, "risky!flow.response = r", 1, "risky!flow.response = flow.request",
    1, "local response = m:succeed { <records> } local other = m:succeed { <records> } flow.response = response other.response_code = 2",
}

rules.statement = {
    6, "<count>", 12, "<respond>", 3, "r = <record>", 2, "<record_change>", 4, "if flow.response then <response_change> end", 2, "<request_change>", 2, "<wild>", 1, "keeps!<flow_use>", 2, "<wait>", 2, "<raise>",
    4, "if <flag> then <statement> end", 2, "if <flag> then <statement> else <statement> end", 2, "<statement> <statement>", 1, "local x = <name> s2 = x", 1, "keeps!kept[<key>] = r", 1, "keeps!kept[#kept % 9 + 1] = <record>",
    1, "if <flag> then return end", 1, "m = flow.request", 1, "q = flow.request.question", 1, "do local name = <letter_name> s2 = name end",
}

rules.branch = { 6, "<respond>", 2, "<statement>", 3, "<statement> <respond>", 1, "<respond> <statement>", 1, "<statement> <statement> <respond>" }

rules.response_statement = {
    3, "n2 = n2 + 1", 2, "if flow.response then <response_change> end", 1, "if <flag> then flow.response = <answer> end", 1, "drops!if <flag> then flow.response = nil end", 1, "<count>", 1, "s2 = flow.request.question and flow.request.question.name or s2",
    1, "keeps!<flow_use>", 1, "<wait>", 1, "<raise>", 1, "keeps!r = flow.response and flow.response.answers[1] or r",
}

-- --- hooks that call nothing but moondns and strings' methods, and put nothing of an answer elsewhere (dns.alone) ---

rules.a_owner = {
    14, "name", 4, "q.name", 2, "flow.request.question.name", 1, "m.question.name", 1, '"a.example"', 1, "s1", 1, "q.original_name", 1, '"to." .. name',
    1, "name:lower()", 1, "risky!q.type", 1, "risky!nil", 1, 'risky!"a..b"',
}
rules.a_ipv4 = {
    8, '"192.0.2.<1-250>"', 4, "ip", 2, '"192.0.2." .. #name', 2, '"192.0.2." .. q.type % 250', 1, 'name:match "^[%d.]+$" or "192.0.2.8"', 1, 'risky!""',
    1, "risky!nil", 1, "risky!7", 1, 'risky!"192.0.2.256"', 1, "risky!name", 1, 'risky!"2001:db8::1"', 1, "risky!{}",
}
rules.a_ipv6 = {
    8, '"2001:db8::<1-9>"', 2, '"::"', 2, '"2001:db8::" .. #name', 1, '"::ffff:192.0.2.1"', 1, 'risky!"192.0.2.1"', 1, "risky!nil", 1, 'risky!""', 1, 'risky!"fe80::1%lo"',
}
rules.a_options = {
    8, "", 6, ", { ttl = <1-900> }", 3, ", <1-900>", 2, ", q.type", 1, ", { ttl = 0 }", 1, ", #name", 1, ", { ttl = 2147483647 }", 1, ", n1", 1, ", q.type * 2 + 1",
    1, "risky!, -1", 1, "risky!, { ttl = -1 }", 1, "risky!, { ttl = 1.5 }", 1, "risky!, { ttl = 5, class_ = 3 }", 1, "risky!, nil", 1, "risky!, {}",
    1, "risky!, { ttl = q.type }", 1, "risky!, name", 1, "risky!, q.type / 3", 1, "risky!, q.type - 9", 1, "risky!, { tll = 3 }", 1, "risky!, { ttl = '5' }",
    1, "risky!, { ttl = 2147483648 }", 1, "risky!, 5, 6", 1, "risky!, 0 / 0", 1, "risky!, s1",
}
rules.a_record = {
    12, "A(<a_owner>, <a_ipv4><a_options>)", 5, "dns.ResourceRecord.A(<a_owner>, <a_ipv4><a_options>)", 5, "AAAA(<a_owner>, <a_ipv6><a_options>)",
    2, "dns.ResourceRecord.AAAA(<a_owner>, <a_ipv6><a_options>)", 2, "RR.A(<a_owner>, <a_ipv4><a_options>)",
}
rules.a_code = { 4, '"NXDOMAIN"', 2, "3", 2, "dns.response_codes.REFUSED", 1, "code", 1, "<1-9>", 1, '"nxdomain"', 1, "risky!0", 1, "risky!nil", 1, 'risky!"NO"', 1, "risky!q.type" }
rules.a_flag = {
    3, "q.type == 1", 3, "q.type == dns.types.A", 2, "q.type == dns.types.AAAA", 4, 'label == "k<1-9>"', 2, 'name:find("<letter>", 1, true)', 2, 'name:match "%d"',
    1, 'name:sub(1, 1) == "k"', 1, "#name > 10", 2, "flow.request.recursion_desired", 1, "not flow.request.checking_disabled", 1, "ip == name", 1, "flow.response", 1, 'name < "m"',
    1, "q.class_ == 1", 1, "(<a_flag>) and <a_flag>", 1, "(<a_flag>) or <a_flag>", 1, "s1 == name", 1, "q.type > 20", 1, "name:byte(1) == 107", 1, "q.name == name",
}
rules.a_change = { 3, "authoritative_answer = true", 1, "response_code = <1-5>", 1, "recursion_available = false", 1, "id = flow.request.id", 1, "reserved = <1-7>", 1, "op_code = <1-5>", 1, "risky!id = -1" }
rules.a_respond = {
    16, "flow.response = flow.request:succeed { <a_record> }", 5, "flow.response = m:succeed { <a_record> }", 4, "local response = m:succeed { <a_record> } flow.response = response",
    2, "local response = flow.request:succeed { <a_record> } response.<a_change> flow.response = response", 2, "flow.response = m:succeed { <a_record> } flow.response.<a_change>",
    2, "local record = <a_record> flow.response = flow.request:succeed { record }", 2, "flow.response = flow.request:succeed { <a_record>, <a_record> }", 4, "flow.response = flow.request:fail(<a_code>)",
    1, "local one, two = m:succeed { <a_record> }, m:succeed { <a_record> } flow.response = one", 1, "local one, two = m:succeed { <a_record> }, m:fail(<a_code>) flow.response = one",
    1, "flow.response = m:succeed { <a_record> } flow.response = m:succeed { <a_record> }", 1, "flow.response = m:succeed { <a_record> } flow.response = nil", 1, "drops!flow:kill()",
    2, "if <a_flag> then flow.response = m:succeed { <a_record> } else flow.response = m:succeed { <a_record> } end", 1, "local answers = { <a_record> } flow.response = m:succeed(answers)",
    1, "local owner = q.name local address = ip flow.response = m:succeed { A(owner, address<a_options>) }", 1, "local record = <a_record> if <a_flag> then record = <a_record> end flow.response = m:succeed { record }",
    1, "local record = <a_record> flow.response = m:succeed { record } flow.response = m:succeed { record }", 1, "local answers = { <a_record> } if <a_flag> then flow.response = m:succeed(answers) end",
    1, "local record = <a_record> local text = name .. label flow.response = m:succeed { record } s2 = text", 1, "risky!flow.response = m:succeed { <a_record>, 7 }",
    1, "local ttl = q.type if <a_flag> then ttl = 7 end flow.response = m:succeed { A(name, ip, ttl) }", 1, "local options = { ttl = 9 } flow.response = m:succeed { A(name, ip, options) }", 1, "<a_record> flow.response = m:succeed { <a_record> }",
}
rules.a_statement = {
    8, "<a_respond>", 4, "if <a_flag> then <a_statement> end", 3, "if <a_flag> then <a_statement> else <a_statement> end", 1, "s2 = name", 1, "n2 = q.type", 1, "local text = q.name s2 = text", 1, "if <a_flag> then return end",
    1, "s2 = q.original_name", 1, "local short = name:sub(2, 9) s2 = short:upper()", 1, 'ip = "192.0.2.<1-250>"', 1, "if flow.response then flow.response.<a_change> end", 1, "risky!local none = nil none.x = 1", 1, "<a_statement> <a_statement>",
}

-- --- expansion ---

local Maker = {}
Maker.__index = Maker

-- What calls a function of Lua's; the others are methods and factories of moondns's.
local LIBRARY_CALLS = { "name:%l", "label:%l", "s2:%l", "%):%l", "string%.", "math%.", "bit%.", "tonumber", "tostring", "select%(", "to_str", "_text%(", "setmetatable" }

local function calls_library(text)
    for _, pattern in ipairs(LIBRARY_CALLS) do
        if text:find(pattern) then
            return true
        end
    end
    return false
end

local function allowed(text, can)
    local rest = text
    if not can.texts and calls_library(text) then
        return nil
    end
    while true do
        local need, tail = rest:match "^(%l+)!(.*)$"
        if not need then
            return rest
        end
        if not can[need] then
            return nil
        end
        rest = tail
    end
end

-- Texts without rules in them, by rule, for where it becomes too deep; else the first.
local function shallow(rule)
    for i = 2, #rule, 2 do
        if not rule[i]:find "[<!]" or i == #rule then
            return i
        end
    end
    return 2
end

function Maker:expand(name, can, depth)
    local rule = rules[name]
    local texts = {}
    for i = 1, #rule, 2 do
        local text = allowed(rule[i + 1], can)
        if text then
            texts[#texts + 1] = rule[i] * (rule[i + 1]:find("!", 1, true) and self.spice or 1)
            texts[#texts + 1] = text
        end
    end
    if #texts == 0 then
        return "n1 = n1 + 1"
    end
    local text = depth < DEPTH_MAX and self.dice:weighed(texts) or texts[shallow(texts)]
    return self:fill(text, can, depth + 1)
end

function Maker:fill(text, can, depth)
    return (text:gsub("<(%l[%w_]*)>", function(name)
        return self:expand(name, can, depth)
    end):gsub("<1%-(%d+)>", function(most)
        return tostring(self.dice:number(tonumber(most)))
    end))
end

local PRELUDE = [[
local RR = dns.ResourceRecord
local A, AAAA, other_a = RR.A, RR.AAAA, function(name, ip, ...) return RR.A(name, ip == "192.0.2.1" and "192.0.2.200" or ip, ...) end
local n1, n2, code, s1, s2, ip = 0, 0, 3, "start.example", "s", "192.0.2.77"
local t1, t2, kept, options, ips = {}, {}, {}, { ttl = 30 }, { "192.0.2.3", "192.0.2.2", "192.0.2.1" }
local flow_options, self_or, answers, kept_question = { ttl = 4, class = 3 }, { count = 3 }, {}, nil
local own = dns.DNSMessage.make_query("own.example", "A"):succeed { A("own.example", "192.0.2.1") }
gn, gs = 0, "global.example"
local function same(name) return name end
local function long(name) return #name < 40 and name .. ".long.example" or name end
function gname(name) gn = gn + 1 return name end
local function count(name) n2 = n2 + 1 return n2 + #name end
local function other_count(name) return #name end
local function is_odd(n) return n % 2 == 1 end
local function made(name) return A(name, "192.0.2.50", n1 % 90) end
function gmade(name) return dns.ResourceRecord.AAAA(name, "2001:db8::50") end
local function changed(record) record.ttl = record.ttl + 1 return record end
local function many(name, n) local list = {} for i = 1, n do list[i] = A(name, "192.0.2." .. i, i) end return unpack(list) end
local function listed(name) return { A(name, "192.0.2.60"), made(name) } end
local function keep(key, record) kept[key] = record return record end
local function other_keep(key, record) kept[key] = kept[key] or record return record end
local function kept_or(key) return kept[key] or A("unkept.example", "192.0.2.61") end
local by_name = setmetatable({}, { __index = function(_, name) local record = A(name, "192.0.2." .. #name % 250) kept[#name % 9] = record return record end })
local function last_one() return kept[#kept] or A("last.example", "192.0.2.62") end
local function fails(name) error("failed for " .. name:sub(1, 3)) end
local function other_format() return "formatted" end
local function change_fenv() setfenv(2, setmetatable({ gn = n1 }, { __index = _G })) end
local function look_around() s2 = debug.getinfo(2, "l").currentline .. debug.traceback("trace", 2):gsub("/%S*/", ""):sub(1, 60) end
local function local_of_caller() s2 = tostring(debug.getlocal(2, 1)) end
local function run_coroutine(name) coroutine.wrap(function() kept.co = A(name, "192.0.2.63") coroutine.yield() end)() end
local function later() kept.later = A("later.example", "192.0.2.64") end
local function join_variable() debug.upvaluejoin(dns_request, 1, function() return RR, A, n1 end, 1) end
local function set_variable() local name, value = debug.getupvalue(dns_request, 2) debug.setupvalue(dns_request, 2, value) s2 = name end
local function backwards(a, b) return a > b end
local function make_many() for i = 1, 40 do kept[i % 9] = A("many" .. i .. ".example", "192.0.2." .. i) end end
local function look_at(flow) n2 = #flow.request.question.name end
local function length_of(q) return #q.name end
local function answer_it(flow) flow.response = flow.request:succeed { A(flow.request.question.name, "192.0.2.65") } end
local flows = {}
local function keep_flow(flow) flows[#flows % 5 + 1] = flow end
local function resumer(flow) return function() flow:resume() end end
]]

-- Whoever connects is told what is kept, by a line in the log.
local DUMP = [[
do
    local log_info = log.info
    local type, tostring, pairs, pcall, sort, concat, quote = type, tostring, pairs, pcall, table.sort, table.concat, string.format
    local function text_of(value, deep)
        if type(value) == "userdata" then
            local fine, text = pcall(function() return value:to_text() end)
            return fine and text .. " " .. value.original_name or tostring(value)
        elseif type(value) == "table" and deep < 3 then
            local lines = {}
            for key, element in pairs(value) do lines[#lines + 1] = tostring(key) .. "=" .. text_of(element, deep + 1) end
            sort(lines)
            return "{" .. concat(lines, " ") .. "}"
        end
        return type(value) == "string" and quote("%q", value) or type(value) == "function" and "f" or tostring(value)
    end
    function client_connected()
        local seen = {}
        for i, flow in pairs(flows) do seen[i] = (flow.request.question and flow.request.question.name or "none") .. tostring(flow.response) end
        local all = { n1, n2, gn, code, s1, s2, gs, ip, t1, t2, kept, options, ips, seen, kept_question and kept_question.name or 0 }
        log_info(text_of(all, 0))
    end
end
]]

-- The line of the hook that the twins differ in.
local STOP = "--[[STOP]]"

function Maker:hook(profile, number, method)
    local lines = {}
    local function add(text, can)
        lines[#lines + 1] = can and self:fill(text, can, 0) or text
    end
    local safe, risky = profile.can, setmetatable({ risky = true }, { __index = profile.can })
    add(("local function request%d(%sflow) %s"):format(number, method and "self, " or "", STOP))
    add "    local m, r = flow.request, nil"
    add("    local q = m.question " .. (self.dice:once_in(8) and "" or "if not q then return end"))
    add "    local name = q.name"
    add("    local label = " .. (safe.texts and 'name:match "^[^.]*"' or "name"))
    add "    n1 = n1 + 1"
    add("    r = A(name, <ipv4><options>)", safe)
    for _ = 1, self.dice:number(3) - 1 do
        add("    if label ~= 'w' then <statement> end", risky)
    end
    for i = 1, self.dice:number(7) do
        add(('    %s label == "k%d" then <branch>'):format(i == 1 and "if" or "elseif", i), self.dice:once_in(2) and risky or safe)
    end
    if self.dice:once_in(3) then
        add("    else <branch>", safe)
    end
    add "    end"
    for _ = 1, self.dice:number(3) - 1 do
        add("    if <flag> then <statement> end", safe)
    end
    if not self.dice:once_in(4) then
        add("    do <branch> end", safe)
    end
    add "end"
    return table.concat(lines, "\n")
end

function Maker:alone_hook(profile, number, method)
    local can, lines = profile.can, {}
    local risky = setmetatable({ risky = true }, { __index = can })
    local function add(text, given)
        lines[#lines + 1] = given and self:fill(text, given, 0) or text
    end
    add(("local function request%d(%sflow) %s"):format(number, method and "self, " or "", STOP))
    add "    local m = flow.request"
    add("    local q = m.question " .. (self.dice:once_in(8) and "" or "if not q then return end"))
    add "    local name = q.name"
    add("    local label = " .. (self.dice:once_in(2) and 'name:match "^[^.]*"' or "name"))
    for i = 1, self.dice:number(5) - 1 do
        add(('    if label == "k%d" then <a_statement> end'):format(i), self.dice:once_in(3) and risky or can)
    end
    add("    do <a_statement> end", can)
    if self.dice:once_in(2) then
        add("    do <a_respond> end", can)
    end
    add "end"
    return table.concat(lines, "\n")
end

function Maker:response_hook(profile)
    local can = setmetatable({ risky = true }, { __index = profile.can })
    local lines = { "function dns_response(flow) " .. STOP, "    local q, m, r = flow.request.question, flow.request, nil", "    if not q then return end",
        "    local name = q.name", "    local label = " .. (can.texts and 'name:match "^[^.]*"' or "name"), "    r = A(name, ip)" }
    for _ = 1, self.dice:number(3) do
        lines[#lines + 1] = self:fill("    if label ~= 'w' then <response_statement> end", can, 0)
    end
    lines[#lines + 1] = "end"
    return table.concat(lines, "\n")
end

-- Kinds, by what there is in them.
local KINDS = {
    alone = { drops = true, texts = true },
    bare = { drops = true },
    plain = { drops = true, texts = true },
    calling = { drops = true, texts = true, calls = true },
    keeping = { drops = true, texts = true, calls = true, keeps = true },
    waiting = { texts = true, calls = true, waits = true },
}

-- {code=, kind=, waits=}: what stands for STOP in the code is each twin's own.
local function script_of(seed)
    local dice = dice_of(seed)
    local kind = dice:weighed { 35, "alone", 15, "bare", 15, "plain", 20, "calling", 8, "keeping", 7, "waiting" }
    local profile = { can = KINDS[kind] }
    local maker = setmetatable({ dice = dice, spice = dice:number(3) }, Maker)
    local method, twice, responds = dice:once_in(6), dice:once_in(8), dice:once_in(kind == "alone" and 20 or 4)
    local hook = kind == "alone" and maker.alone_hook or maker.hook
    local parts = { PRELUDE, DUMP, hook(maker, profile, 1, method) }
    if twice then
        parts[#parts + 1] = hook(maker, profile, 2, true)
    end
    if responds then
        parts[#parts + 1] = maker:response_hook(profile)
    end
    if not method then
        parts[#parts + 1] = "dns_request = request1"
    end
    parts[#parts + 1] = ("return { %s %s }"):format(method and "{ dns_request = request1 }," or "", twice and "{ dns_request = request2 }" or "")
    return { code = table.concat(parts, "\n"), kind = kind, waits = profile.can.waits }
end

return { script_of = script_of, STOP = STOP }
