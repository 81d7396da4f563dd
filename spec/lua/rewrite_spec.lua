-- Hooks whose code is rewritten to make fewer values: only those of which nobody can tell the difference.
local LIB = "lua/lib/"
local plain = { load = load, setupvalue = debug.setupvalue, upvaluejoin = debug.upvaluejoin }
local internal = {}

function internal.once(name)
    return assert(loadfile(LIB .. name .. ".lua"))(internal)
end

local rewrite = internal.once "dns.rewrite"

-- What hooks see, where each says what is done with it: the things that hooks find in an ordinary flow (`flow`), and
-- those that the rewritten code reaches for instead (`given`). `log` is what was done.
local function make_world()
    local world = { log = {} }
    local function note(...)
        world.log[#world.log + 1] = table.concat({ ... }, " ")
    end
    local function A(owner, address, options)
        note("A", owner, tostring(address), type(options) == "table" and "ttl=" .. tostring(options.ttl) or tostring(options))
        return {}
    end
    local function AAAA()
        note "AAAA"
        return {}
    end
    local dns = { ResourceRecord = { A = A, AAAA = AAAA }, types = { A = 1, AAAA = 28 }, response_codes = { REFUSED = 5 } }
    local request = {}
    function request.succeed(_, answers)
        note("succeed", #answers)
        return { question = request.question }
    end
    function request.fail(_, code)
        note("fail", tostring(code))
        return {}
    end
    request.question = setmetatable({ type = 1, class_ = 1 }, { __index = function(_, key)
        note("reads", key)
        return key == "name" and "some.example" or nil
    end })
    local function fail(_, code)
        note("own fail", tostring(code))
        return {}
    end
    world.flow = { request = request, kill = function() note "kill" end }
    world.environment = setmetatable({ dns = dns }, { __index = _G })
    local function own(name)
        return function(_, address, ttl)
            note("own", name, tostring(address), type(ttl) == "table" and "table" or tostring(ttl))
            return true
        end
    end
    local function succeed(_, record)
        note("own succeed", tostring(record))
        return {}
    end
    world.given = {
        view = dns, tables = { [dns.ResourceRecord] = dns.ResourceRecord, [dns.types] = dns.types, [dns.response_codes] = dns.response_codes },
        factories = { [A] = "A", [AAAA] = "AAAA" }, public = { A = A, AAAA = AAAA }, record = dns.ResourceRecord,
        visit = { question = { type = 1, class_ = 1 } }, objects = { question = request.question },
        own = { A = own "A", AAAA = own "AAAA", succeed = succeed, fail = fail },
        string = world.string or string, methods = string, plain = plain,
    }
    return world
end

-- The hook with this code; `A`, `record`, `types`, `address`, `changes` are variables around it.
local function make(world, code, before)
    local chunk = assert(loadstring("local A, record, types, kept, f, up, address = dns.ResourceRecord.A, dns.ResourceRecord, dns.types, {}, print, 1, '192.0.2.9' " ..
        "local changes = A changes = A " .. (before or "") .. " return function(flow) " .. code .. " end, function(x) up = x end", "=hook"))
    return setfenv(chunk, world.environment)()
end

-- Rewrites the hook; what it is then (nil: nothing), and what is done when it is called.
local function done(code, before, change)
    local world = make_world()
    local hook = make(world, code, before)
    local whole = function() world.log[#world.log + 1] = "whole" end
    local chosen, other = rewrite(hook, whole, 1, world.given)
    if change then change(world) end
    if chosen then chosen(world.flow) end
    return chosen and table.concat(world.log, "; "), other, world
end

local SUCCEED = "flow.response = flow.request:succeed "
local Q = "local q = flow.request.question "
local ONE = "own A 192.0.2.1 %s; own succeed true"

local REWRITTEN = {
    { Q .. SUCCEED .. "{ dns.ResourceRecord.A(q.name, '192.0.2.1', { ttl = 300 }) }", "300" },
    { Q .. SUCCEED .. "{ dns.ResourceRecord.A(q.name, '192.0.2.1') }", "nil" },
    { Q .. SUCCEED .. "{ dns.ResourceRecord.A(q.name, '192.0.2.1', 7) }", "7" },
    { Q .. SUCCEED .. "{ A(q.name, '192.0.2.1', { ttl = 86400 }) }", "86400" },
    { Q .. SUCCEED .. "{ A(q.name, '192.0.2.1', { ttl = 2147483647 }) }", "2147483647" },
    { Q .. SUCCEED .. "{ record.A(q.name, '192.0.2.1', { ttl = 0 }) }", "0" },
    { SUCCEED .. "{ record.A(flow.request.question.name, '192.0.2.1', { ttl = 40000 }) }", "40000" },
    { Q .. "if q and q.type == dns.types.A then " .. SUCCEED .. "{ A(q.name, '192.0.2.1', { ttl = 1 }) } end", "1" },
    { Q .. "if q.type == types.A and q.class_ == 1 then " .. SUCCEED .. "{ A(q.name, '192.0.2.1', { ttl = 1 }) } end", "1" },
    { Q .. "local answers = { A(q.name, '192.0.2.1', 5) } " .. SUCCEED .. "(answers)", "5" },
    { Q .. "local r = A(q.name, '192.0.2.1', 5) " .. SUCCEED .. "{ r }", "5" },
    { Q .. "local r = A(q.name, '192.0.2.1', 5) local answers = {} answers[1] = r local m = flow.request:succeed(answers) flow.response = m", "5" },
    { "local request = flow.request local q = request.question flow.response = request:succeed { A(q.name, '192.0.2.1', 5) }", "5" },
    { Q .. SUCCEED .. "{ A(q.name, '192.0.2.' .. q.type, 5) } flow.response.authoritative_answer = true", "5" },
    { Q .. "local r = flow.request:succeed { A(q.name, '192.0.2.1', 5) } r.response_code = 3 flow.response = r", "5" },
    -- a table that says more, or nothing, stays one
    { Q .. SUCCEED .. "{ A(q.name, '192.0.2.1', { ttl = 1, x = 1 }) }", "table" },
    { Q .. SUCCEED .. "{ A(q.name, '192.0.2.1', { ttl = '300' }) }", "table" },
    { Q .. SUCCEED .. "{ A(q.name, '192.0.2.1', { ttl = -1 }) }", "table" },
    { Q .. SUCCEED .. "{ A(q.name, '192.0.2.1', { ttl = 1.5 }) }", "table" },
    { Q .. SUCCEED .. "{ A(q.name, '192.0.2.1', { ttl = 2147483648 }) }", "table" },
    { Q .. SUCCEED .. "{ A(q.name, '192.0.2.1', { 300 }) }", "table" },
    { Q .. "local options = { ttl = 3 } if q.type ~= 1 then " .. SUCCEED .. "{ A(q.name, '192.0.2.2', options) } else " .. SUCCEED .. "{ A(q.name, '192.0.2.1', options) } end", "table" },
}

-- What is done otherwise: here the name is needed.
local NAMED = {
    { Q .. "local name = q.name if name:find 'some' then " .. SUCCEED .. "{ A(name, '192.0.2.1', 5) } end", "5" },
    { Q .. "if q.name == 'some.example' then " .. SUCCEED .. "{ A(flow.request.question.name, '192.0.2.1', 5) } end", "5" },
    { Q .. "local name = q.name if #name > 3 and name:sub(1, 1) .. 'x' == 'sx' then " .. SUCCEED .. "{ A(name, '192.0.2.1', 5) } end", "5" },
}

local NOT_REWRITTEN = {
    "", "return", Q .. SUCCEED .. "{}", SUCCEED .. "{ A('other.example', '192.0.2.1') }",
    -- others are called, or may be
    Q .. "f(1) " .. SUCCEED .. "{ A(q.name, '192.0.2.1') }", Q .. SUCCEED .. "{ f(A(q.name, '192.0.2.1')) }",
    Q .. SUCCEED .. "{ A(q.name, f()) }", Q .. SUCCEED .. "{ A(q.name:gsub('x', f), '192.0.2.1') }",
    Q .. "if kept[q.name] then " .. SUCCEED .. "{ A(q.name, '192.0.2.1') } end", Q .. "if kept.x then " .. SUCCEED .. "{ A(q.name, '192.0.2.1') } end",
    Q .. "if up < q.type then " .. SUCCEED .. "{ A(q.name, '192.0.2.1') } end", Q .. "if up == kept then " .. SUCCEED .. "{ A(q.name, '192.0.2.1') } end",
    Q .. SUCCEED .. "{ A(q.name, '192.0.2.' .. up) }", Q .. "up = up + 1 " .. SUCCEED .. "{ A(q.name, '192.0.2.1') }",
    Q .. "if #kept > 0 then " .. SUCCEED .. "{ A(q.name, '192.0.2.1') } end", Q .. "up = -up " .. SUCCEED .. "{ A(q.name, '192.0.2.1') }",
    Q .. "a_global = 1 " .. SUCCEED .. "{ A(q.name, '192.0.2.1') }", Q .. "if a_global then " .. SUCCEED .. "{ A(q.name, '192.0.2.1') } end",
    Q .. "kept.x = 1 " .. SUCCEED .. "{ A(q.name, '192.0.2.1') }", Q .. SUCCEED .. "{ A(q.name, '192.0.2.1', kept) }",
    Q .. "log.info('x') " .. SUCCEED .. "{ A(q.name, '192.0.2.1') }", Q .. "flow:intercept() " .. SUCCEED .. "{ A(q.name, '192.0.2.1') }",
    -- a factory that may be another one
    Q .. SUCCEED .. "{ changes(q.name, '192.0.2.1') }", Q .. SUCCEED .. "{ up(q.name, '192.0.2.1') }",
    Q .. SUCCEED .. "{ kept.A(q.name, '192.0.2.1') }", Q .. "dns = kept " .. SUCCEED .. "{ dns.ResourceRecord.A(q.name, '192.0.2.1') }",
    Q .. "local make = A if q.type == 1 then make = record.AAAA end " .. SUCCEED .. "{ make(q.name, '192.0.2.1') }",
    Q .. SUCCEED .. "{ record.TXT(q.name, 'x') }", Q .. SUCCEED .. "{ A(q.name, '192.0.2.1', 1, 2) }", Q .. SUCCEED .. "{ A(q.name) }",
    -- records that go elsewhere, or twice; more than one of them
    Q .. "local r = A(q.name, '192.0.2.1') up = r " .. SUCCEED .. "{ r }", Q .. "local r = A(q.name, '192.0.2.1') kept[1] = r " .. SUCCEED .. "{ r }",
    Q .. "local r = A(q.name, '192.0.2.1') r.ttl = 5 " .. SUCCEED .. "{ r }", Q .. "local r = A(q.name, '192.0.2.1') " .. SUCCEED .. "{ r } r.ttl = 5",
    Q .. "local r = A(q.name, '192.0.2.1') " .. SUCCEED .. "{ r, r }", Q .. "local r = A(q.name, '192.0.2.1') " .. SUCCEED .. "{ r } " .. SUCCEED .. "{ r }",
    Q .. "local r = A(q.name, '192.0.2.1') if r then " .. SUCCEED .. "{ r } end", Q .. "local r = A(q.name, '192.0.2.1') " .. SUCCEED .. "{ r } return r",
    Q .. SUCCEED .. "{ A(q.name, '192.0.2.1'), A(q.name, '192.0.2.2') }", Q .. SUCCEED .. "{ [2] = A(q.name, '192.0.2.1') }",
    Q .. "local r, s = A(q.name, '192.0.2.1'), A(q.name, '192.0.2.2') " .. SUCCEED .. "{ r }", Q .. SUCCEED .. "(A(q.name, '192.0.2.1'))",
    Q .. "local r = A(q.name, '192.0.2.1') if q.type == 1 then r = A(q.name, '192.0.2.2') end " .. SUCCEED .. "{ r }",
    Q .. "local r, x = A(q.name, '192.0.2.1') up = x " .. SUCCEED .. "{ r }",
    Q .. "local x = A(q.name, '192.0.2.1') == 1 " .. SUCCEED .. "{}",
    -- tables of answers that may hold others, go elsewhere, or are looked at
    Q .. "local t = { A(q.name, '192.0.2.1') } kept[1] = t " .. SUCCEED .. "(t)", Q .. "local t = { A(q.name, '192.0.2.1') } up = t " .. SUCCEED .. "(t)",
    Q .. "local t = { A(q.name, '192.0.2.1') } " .. SUCCEED .. "(t) t[1] = nil", Q .. "local t = {} " .. SUCCEED .. "(t) t[1] = A(q.name, '192.0.2.1')",
    Q .. "local t = {} if q.type == 1 then t[1] = A(q.name, '192.0.2.1') end " .. SUCCEED .. "(t)", Q .. "local t = { A(q.name, '192.0.2.1') } if t then " .. SUCCEED .. "(t) end",
    Q .. "local t = { A(q.name, '192.0.2.1') } " .. SUCCEED .. "(t) " .. SUCCEED .. "(t)", Q .. "local t, u = {} u = t u[1] = A(q.name, '192.0.2.1') " .. SUCCEED .. "(t)",
    Q .. "local t = { A(q.name, '192.0.2.1'), x = 1 } " .. SUCCEED .. "(t)", Q .. "local t = kept t[1] = A(q.name, '192.0.2.1') " .. SUCCEED .. "(t)",
    Q .. "local t = { A(q.name, '192.0.2.1') } local n = #t " .. SUCCEED .. "(t)",
    -- several results, or none
    Q .. "local r, why = A(q.name, '192.0.2.1') if not why then " .. SUCCEED .. "{ r } end", Q .. "local r, x, y = A(q.name, '192.0.2.1') " .. SUCCEED .. "{ r }",
    Q .. "A(q.name, '192.0.2.1') " .. SUCCEED .. "{}",
    -- another flow, or what is asked is changed
    Q .. "q.name = 'x' " .. SUCCEED .. "{ A(q.name, '192.0.2.1') }", Q .. "flow.request.id = 1 " .. SUCCEED .. "{ A(q.name, '192.0.2.1') }",
    Q .. "local r = up r = r:succeed { A(q.name, '192.0.2.1') }", Q .. "flow.response = flow.request.succeed(up, { A(q.name, '192.0.2.1') })",
    Q .. "up = flow " .. SUCCEED .. "{ A(q.name, '192.0.2.1') }", Q .. "up = q " .. SUCCEED .. "{ A(q.name, '192.0.2.1') }",
    Q .. "local x = q == flow " .. SUCCEED .. "{ A(q.name, '192.0.2.1') }", Q .. "up = q.to_json " .. SUCCEED .. "{ A(q.name, '192.0.2.1') }",
}

describe("hooks that are rewritten", function()
    for _, way in ipairs(REWRITTEN) do
        it("do in another way: " .. way[1], function() assert.equal(ONE:format(way[2]), (done(way[1]))) end)
    end

    for _, way in ipairs(NAMED) do
        it("do so after they have read the name: " .. way[1], function()
            local text = done(way[1])
            assert.equal(ONE:format(way[2]), (text:gsub("reads name; ", "")))
            assert.is_truthy(text:find "reads name")
        end)
    end

    for _, code in ipairs(NOT_REWRITTEN) do
        it("are not those: " .. code, function() assert.is_nil((done(code))) end)
    end

    it("fail in another way, too", function()
        assert.equal("own fail 3", (done "flow.response = flow.request:fail(3)"))
        assert.equal("own fail NXDOMAIN", (done "local r = flow.request local m = r:fail 'NXDOMAIN' m.truncation = true flow.response = m"))
        assert.equal("reads name; own fail 5", (done(Q .. "if q and q.name:find('me.exa', 1, true) then flow.response = flow.request:fail(dns.response_codes.REFUSED) end")))
        assert.equal("own fail 5", (done(Q .. "if q.type == types.A then flow.response = flow.request:fail(5) end")))
        assert.equal("own fail nil", (done "flow.request:fail()"))
        assert.is_nil((done "local fail = flow.request.fail fail(flow.request, 1) fail(flow.request, 2)"))
        assert.is_nil((done "up = flow.request:fail(3)"))
        assert.is_nil((done "flow.response = flow.request:fail(kept.x)"))
        assert.is_nil((done "local m = flow.request:fail(3) kept[1] = m"))
    end)

    it("may have other factories in it, which are called as ever", function()
        local text = done(Q .. "if q.type == 2 then " .. SUCCEED .. "{ A(q.name, '192.0.2.2', { ttl = 1 }), A(q.name, '192.0.2.3') } else " ..
            SUCCEED .. "{ record.A(q.name, '192.0.2.1', { ttl = 3 }) } end")
        assert.equal(ONE:format "3", text)
        text = done(Q .. "if q.type == 1 then " .. SUCCEED .. "{ A(q.name, '192.0.2.2', { ttl = 1 }), A(q.name, '192.0.2.3') } else " ..
            SUCCEED .. "{ record.A(q.name, '192.0.2.1', { ttl = 3 }) } end")
        assert.equal("reads name; A some.example 192.0.2.2 ttl=1; reads name; A some.example 192.0.2.3 nil; succeed 2", text)
    end)

    local GLOBAL = Q .. SUCCEED .. "{ dns.ResourceRecord.A(q.name, '192.0.2.1', 5) }"

    it("run whole where `dns` is another one now, or what it holds", function()
        assert.equal("whole", (done(GLOBAL, nil, function(world) world.environment.dns = {} end)))
        assert.equal("whole", (done(GLOBAL, nil, function(world) world.environment.dns = nil end)))
        assert.equal("whole", (done(GLOBAL, nil, function(world) world.given.record.A = print end)))
        assert.equal(ONE:format "5", (done(GLOBAL, nil, function(world) world.given.record.AAAA = print end)))
    end)

    it("run whole where the methods of strings are others now", function()
        local find = string.find
        local text = done(Q .. "if q.name:find 'x' then " .. SUCCEED .. "{ A(q.name, '192.0.2.1', 5) } end", nil, function()
            string.find = function(...) return find(...) end
        end)
        string.find = find
        assert.equal("whole", text)
    end)

    it("have the variables around them, as they are", function()
        local world = make_world()
        local hook, set = make(world, Q .. SUCCEED .. "{ A(q.name, up, 5) }")
        local chosen = rewrite(hook, hook, 1, world.given)
        set "192.0.2.7"
        chosen(world.flow)
        assert.equal("own A 192.0.2.7 5; own succeed true", table.concat(world.log, "; "))
    end)

    it("tell of mistakes with the same lines and names", function()
        local world = make_world()
        local hook = make(world, "\n" .. Q .. "\n" .. SUCCEED .. "{\n A(q.name,\n'192.0.2.1', {\n ttl = 3\n }) }\n error(x)\n", "error, x = nil ")
        assert.is_nil((rewrite(hook, hook, 1, world.given)))
        hook = make(world, "\n" .. Q .. "\n" .. SUCCEED .. "{\n A(q.name,\n'192.0.2.1', {\n ttl = 3\n }) }\n local n = q.type .. nil\n")
        assert.is_nil((rewrite(hook, hook, 1, world.given)))
        world.given.own.succeed = function() error("here", 2) end
        hook = make(world, "\n" .. Q .. "\n" .. SUCCEED .. "{\n A(q.name,\n'192.0.2.1', {\n ttl = 3\n }) }\n")
        world.flow.request.succeed = world.given.own.succeed
        local _, expected = pcall(hook, world.flow)
        local _, told = pcall(rewrite(hook, hook, 1, world.given), world.flow)
        assert.equal(expected, told)
        assert.is_truthy(told:find "^hook:%d+: here")
    end)

    it("may have the flow as their second argument", function()
        local world = make_world()
        local hook = setfenv(loadstring("return function(self, flow) " .. Q .. SUCCEED .. "{ dns.ResourceRecord.A(q.name, '192.0.2.1') } end"), world.environment)()
        rewrite(hook, hook, 2, world.given)({}, world.flow)
        assert.equal(ONE:format "nil", table.concat(world.log, "; "))
        assert.is_nil((rewrite(hook, hook, 1, world.given)))
    end)
end)
