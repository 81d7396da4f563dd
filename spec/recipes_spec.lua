-- docs/recipes.md shows the files in docs/recipes/ as they are, each with its test; spec/docs_spec.lua runs what the page shows.
local files = require "spec.support.files"
local proxy = require "spec.support.proxy"
local scope = require "spec.support.scope"

local FOLDER = "docs/recipes/"

describe("the recipes", function()
    scope.manage()

    it("pass their tests", function()
        local result = proxy.run { "test", FOLDER }
        assert.equal(0, result.code, result.out .. result.err)
        for path in io.popen("ls " .. FOLDER .. "*_test.lua"):lines() do
            assert.truthy(result.out:find("ok %d+ %- " .. path:gsub("%p", "%%%0") .. ": test_"), path .. " ran no test")
        end
    end)

    it("are twelve, and shown in full with a test and a dig each", function()
        local page, count = files.read "docs/recipes.md", 0
        for path in io.popen("ls " .. FOLDER .. "*.lua"):lines() do
            local text = files.read(path)
            assert.equal("-- " .. path:match "[^/]+$", text:match "^[^\n]+")
            assert.truthy(page:find("```lua\n" .. text .. "```\n", 1, true), path .. " is not shown as it is")
            local script = path:match "([^/]+)%.lua$"
            if not script:find "_test$" then
                count = count + 1
                assert.truthy(page:find("```lua\n-- " .. script .. "_test.lua\n", 1, true), script .. " has no test")
                assert.truthy(page:find("$ moondns -s " .. script .. ".lua", 1, true), script .. " is not run")
            end
        end
        assert.equal(12, count)
        local _, sections = page:gsub("\n## ", "")
        assert.equal(count, sections)
    end)
end)
