-- Which hooks may keep something of the flows that they are given: only for the others are objects used again.
local look = assert(loadfile "lua/lib/dns.keeps.lua")()

local function keeps(f, parameter) return look(f, parameter).keeps end

-- The hook with this code; `kept` is a table of the script's, `f` a function, `up` a local variable.
local function hook(code)
    local chunk = assert(loadstring("local kept, f, up = ... return function(flow) " .. code .. " end", code))
    return chunk({}, print)
end

local KEEPING = {
    -- in tables, variables, closures
    "kept[1] = flow", "kept[1] = flow.request", "kept[flow] = 1", "kept.x = flow.request.question", "up = flow",
    "a_global = flow.response", "kept.f = function() return flow end", "for i = 1, 3 do kept[i] = flow end",
    "local t = { flow.request } kept[1] = t", "f { flow }", "local t = { 1, 2, flow.request:fail(3) }",
    "kept.r = flow.request:fail(3)", "local r = flow.request:fail(3) kept.r = r flow.response = r",
    "local f = flow.request.succeed local r = f(flow.request, {}) kept.r = r",
    -- by way of other variables
    "local a, b = 1, flow a, b = b, a kept.x = a", "local x for i = 1, 3 do kept.x = x x = flow.request end",
    "local q = flow.request.question or nil kept.q = q", "local q = kept.z or flow.request kept.q = q",
    "if flow.live then up = 1 else flow = kept[1] end kept.x = flow",
    -- put into what is the flow's on one way and the script's on another, in either order
    "local t = flow if kept.x then t = kept end t.response = flow.request:fail(3)",
    "local t if kept.x then t = kept else t = flow end t.response = flow.request:fail(3)",
    "local t if kept.x then t = flow else t = kept end t.response = flow.request:fail(3)",
    "local g if kept.x then g = kept.keep else g = flow.request.fail end g(flow)",
    "local g if kept.x then g = flow.request.fail else g = kept.keep end g(flow)",
    "local t if kept.x then t = kept else t = flow.request end t:fail(flow)",
    "local t if kept.x then t = flow.request else t = kept end t:fail(flow)",
    "local t = flow.request for i = 1, 2 do t:fail(flow) t = kept end",
    "local t = kept.x or flow.request t:fail(flow)", "local t = flow.response or kept t:fail(flow)",
    "local t = flow.response and kept or flow t.response = flow.request:fail(3)",
    -- given to functions, metamethods among them
    "f(flow)", "f(1, flow.request)", "return f(flow)", "f(flow.request:fail(3))", "f(2, flow.request:fail(3))",
    "return f(flow.request:fail(3))", "kept:add(flow)", "setmetatable(kept, flow)", "local x = kept[flow.request]",
    "for k, v in pairs(flow) do end", "for k, v in flow.request, kept do end", "local x = flow + kept",
    "local x = kept - flow.request", "local x = flow ^ kept", "local x = -flow", "local x = #flow",
    "if flow < kept then f() end", "local s = 'x' .. flow", "while true do local q = flow.request.question if q then f(q) end end",
    -- what leads further, or is not known
    "local m = flow.metadata", "flow.metadata = kept", "kept.x = flow.client_conn", "flow:intercept()", "local c = flow:copy()",
    "flow.request.questions = {}", "local x = flow.response.answers", "local key = 'request' kept[1] = flow[key]",
    "flow.request.name = flow.request", "flow.marked = 'x'", "flow.request = kept[1]",
}

local NOT_KEEPING = {
    "", "kept[1] = flow.request.question.name", "kept.n = kept.n + flow.request.question.type * 2",
    "local q = flow.request.question if q and q.type == 1 then flow.response = flow.request:fail 'NXDOMAIN' end",
    "flow.response = flow.request:succeed { f(flow.request.question.name, '192.0.2.1', { ttl = 3 }) }",
    "local q = flow.request.question for i = 1, 3 do kept[i] = q.name end",
    "for name, answer in pairs(kept) do if flow.request.question.name == name then flow.response = answer end end",
    "local name = flow.request.question.name:lower() if name:find 'x' then flow:kill() end",
    "flow.request.question.name = 'x.example'", "flow.response.recursion_available = true",
    "f(('%s'):format(flow.request.question.name)) return", "if flow.response then return flow end",
    "local r = flow.request:fail(3) r.authoritative_answer = true flow.response = r",
    "local r if kept.x then r = flow.request:fail(3) end if r then r.truncation = true flow.response = r end",
    "local r = kept.x and flow.request:fail(3) or kept.r flow.response = r kept.name = r.question.name", "flow = flow.request.question.name kept[1] = flow",
    "local name = flow.request.question.name repeat name = name:sub(2) until #name < 3 kept[name] = (kept[name] or 0) + 1",
}

describe("hooks that may keep something of a flow", function()
    for _, code in ipairs(KEEPING) do
        it("are told: " .. code, function() assert.is_true(keeps(hook(code), 1)) end)
    end

    for _, code in ipairs(NOT_KEEPING) do
        it("are not those: " .. code, function() assert.is_false(keeps(hook(code), 1)) end)
    end

    it("are told whichever argument the flow is", function()
        local add = loadstring "return function(self, flow) self.last = flow end" ()
        local note = loadstring "return function(self, flow) self.last = flow.request.question.name end" ()
        assert.is_true(keeps(add, 2))
        assert.is_false(keeps(note, 2))
        assert.is_false(keeps(function() end, 1))
    end)

    it("are all those whose code cannot be seen", function()
        assert.is_true(keeps(print, 1))
        assert.is_true(keeps(function(...) end, 1))
        assert.is_true(keeps(coroutine.wrap(function() end), 1))
    end)
end)

local SUCCEED = "flow.response = flow.request:succeed"

local SHARING = {
    -- a table of answers that is somebody else's too
    SUCCEED .. "(kept)", SUCCEED .. "(kept.t)", SUCCEED .. "(f())", SUCCEED .. "(up)", SUCCEED .. "(flow.response)",
    "local t = { f(1) } kept[1] = t " .. SUCCEED .. "(t)", "local t = { f(1) } up = t " .. SUCCEED .. "(t)",
    "local t = { f(1) } a_global = t " .. SUCCEED .. "(t)", "local t = { f(1) } f(t) " .. SUCCEED .. "(t)",
    "local t = { { f(1) } } " .. SUCCEED .. "(t[1])", "local t, u = {}, {} u[1] = t " .. SUCCEED .. "(t)",
    "local t = {} local u = t or f(1) " .. SUCCEED .. "(t) u[1] = f(1)", "local t = {} if up then t = kept end " .. SUCCEED .. "(t)",
    "local t, u = {} if up then u = t end " .. SUCCEED .. "(t) if u then u[1] = f(1) end",
    -- that is looked at later
    "local t = {} " .. SUCCEED .. "(t) t[1] = f(1)", "local t = {} " .. SUCCEED .. "(t) if #t > 0 then f(1) end",
    "local t = {} " .. SUCCEED .. "(t) f(t)", "local t = {} " .. SUCCEED .. "(t) return t", "local t = {} " .. SUCCEED .. "(t) t = 'x' .. t",
    "local t = {} local u = t " .. SUCCEED .. "(t) u[1] = f(1)", "local t = {} local s = flow.request.succeed flow.response = s(flow.request, t) t.x = 1",
    -- messages that are compared
    "if flow.response == kept.r then up = 1 end", "local x = flow.response ~= flow.request",
}

local NOT_SHARING = {
    "", SUCCEED .. " {}", SUCCEED .. " { f(flow.request.question.name, '192.0.2.1', { ttl = 3 }) }", SUCCEED .. " { f(1), f(2) }",
    "local r = f(1) kept[1] = r r.ttl = 3 " .. SUCCEED .. " { r } r.ttl = 4", "local t = { f(1) } t[2] = f(2) " .. SUCCEED .. "(t)",
    "local t = { f(1) } f(#t, t[1]) " .. SUCCEED .. "(t) up = f(1)", "if up then " .. SUCCEED .. " { f(1) } else " .. SUCCEED .. " { f(2) } end",
    "flow.response = flow.request:fail(3)", "kept[1] = flow.request.question.name", "if f(1) == 2 then flow:kill() end",
}

describe("hooks that may look at the records of their answers", function()
    for _, code in ipairs(SHARING) do
        it("are told: " .. code, function() assert.is_true(look(hook(code), 1).shares) end)
    end

    for _, code in ipairs(NOT_SHARING) do
        it("are not those: " .. code, function()
            local found = look(hook(code), 1)
            assert.same({ false, false }, { found.keeps, found.shares })
        end)
    end
end)

local NOT_ENDING = {
    "while up do up = f(1) end", "repeat up = f(1) until up", "for i = 1, 3 do up = i end", "for k in pairs(kept) do up = k end",
    "::again:: up = f(1) goto again", "return f(1)", "return f(f())", "kept[1] = function() end",
    "if up then for i = 1, 2 do end end",
}

local ENDING = {
    "", "f(1)", "if up then f(1) else f(2) end return", "if flow.live and up or f(1) then return 1 end up = f(f(1))",
    "do local x = f(1) if x then goto out end f(x) end ::out::", "flow.response = flow.request:succeed { f(1) }",
}

describe("hooks that end of themselves", function()
    for _, code in ipairs(NOT_ENDING) do
        it("are not those: " .. code, function() assert.is_false(look(hook(code), 1).ends) end)
    end

    for _, code in ipairs(ENDING) do
        it("are told: " .. code, function() assert.is_true(look(hook(code), 1).ends) end)
    end
end)

describe("hooks with tables that a copy has less room for", function()
    for _, code in ipairs { "f { nil, up }", "f { nil, f(1) }", "f { 1, up and up or nil, up }" } do
        it("are told: " .. code, function() assert.is_false(look(hook(code), 1).copied) end)
    end

    for _, code in ipairs { "f { up }", "f { up, 7 }", "f { ttl = up }", "f { 1, 2 }", "f { ttl = 3, class = nil }", "f {}" } do
        it("are not those: " .. code, function() assert.is_true(look(hook(code), 1).copied) end)
    end
end)
