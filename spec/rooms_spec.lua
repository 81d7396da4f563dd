-- The include rule: base, dns, flow, net, proxy; each knows only those to its left, and none of them knows Lua.
local ROOMS = { "base", "dns", "flow", "net", "proxy" }

local function sources(room)
    local list = {}
    for path in io.popen("ls core/" .. room .. "/*.[ch]"):lines() do
        list[#list + 1] = path
    end
    assert(#list > 0, "nothing in " .. room)
    return list
end

describe("core", function()
    local rank = {}
    for i, room in ipairs(ROOMS) do
        rank[room] = i
    end

    it("has no room that the rule does not know", function()
        for path in io.popen("ls -d core/*/"):lines() do
            assert.truthy(rank[path:match "core/([^/]+)/"], path)
        end
    end)

    for i, room in ipairs(ROOMS) do
        it(room .. " includes only what stands to its left, and no Lua", function()
            for _, path in ipairs(sources(room)) do
                for line in io.lines(path) do
                    local mark, file = line:match '^%s*#%s*include%s*([<"])([^>"]+)[>"]'
                    if file then
                        assert.is_nil(file:match "^lua" or file:match "lauxlib" or file:match "lualib", path .. ": " .. line)
                        local included = mark == '"' and rank[file:match "^(%w+)/" or ""] -- <net/if.h> is the system's
                        assert.is_true(not included or included <= i, path .. ": " .. line)
                    end
                end
            end
        end)
    end
end)
