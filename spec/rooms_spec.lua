-- The include rule: a room of core/ includes only its own files and those of the rooms that CMakeLists.txt links it to,
-- which stand to its left; none of them knows Lua.
local ORDER = { "base", "dns", "data", "flow", "net", "observe", "proxy" } -- the main line, from left to right

-- What each room may include: {flow = {flow = true, dns = true, base = true}, …}.
local function rooms()
    local allowed, count = {}, 0
    for line in io.lines "CMakeLists.txt" do
        local name, links = line:match "^add_room%((%w+)(.*)%)"
        if name then
            allowed[name] = { [name] = true }
            count = count + 1
            for link in links:gmatch "[%w:]+" do
                for room in pairs(allowed[link] or {}) do
                    allowed[name][room] = true
                end
            end
        end
    end
    return allowed, count
end

local function lines_of(command)
    return io.popen(command):lines()
end

describe("core", function()
    local allowed, count = rooms()

    it("has no folder that is not a room", function()
        local seen = 0
        for path in lines_of "ls -d core/*/" do
            assert.truthy(allowed[path:match "core/([^/]+)/"], path)
            seen = seen + 1
        end
        assert.equal(count, seen)
    end)

    it("stands in a line: base, dns, data, flow, net, observe, proxy", function()
        for i, left in ipairs(ORDER) do
            for j, right in ipairs(ORDER) do
                assert.equal(j >= i, allowed[right][left] == true, right .. " and " .. left)
            end
        end
    end)

    for room in pairs(allowed) do
        it(room .. " includes only what stands to its left, and no Lua", function()
            for path in lines_of("find core/" .. room .. " -name '*.[ch]'") do
                for line in io.lines(path) do
                    local mark, file = line:match '^%s*#%s*include%s*([<"])([^>"]+)[>"]'
                    if file then
                        assert.is_nil(file:match "^lua" or file:match "lauxlib" or file:match "lualib", path .. ": " .. line)
                        local included = mark == '"' and file:match "^(%w+)/" -- <net/if.h> is the system's
                        assert.is_true(not included or allowed[room][included] == true, path .. ": " .. line)
                    end
                end
            end
        end)
    end
end)
