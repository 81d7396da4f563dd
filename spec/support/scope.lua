-- Ends what a test started, also when it fails: processes, sockets, folders. In a describe, `scope.manage()` first of all;
-- then what a test starts ends with that test, and what a setup started ends with the describe.
local M = {}

local endings = {}

-- Runs `ending` when the scope ends: last in, first out. An error it raises fails the test.
function M.on_end(ending)
    endings[#endings + 1] = ending
end

local function unwind(height)
    local problems = {}
    while #endings > height do
        local ok, problem = pcall(table.remove(endings))
        if not ok then
            problems[#problems + 1] = tostring(problem)
        end
    end
    if problems[1] then
        error(table.concat(problems, "\n"), 0)
    end
end

-- Runs a function as a scope of its own, outside of busted.
function M.run(body)
    local height = #endings
    local ok, problem = pcall(body)
    unwind(height)
    if not ok then
        error(problem, 0)
    end
end

function M.manage()
    local busted = getfenv(2)
    local before_setup, before_test = #endings, #endings
    busted.setup(function()
        before_setup = #endings
    end)
    busted.before_each(function()
        before_test = #endings
    end)
    busted.after_each(function()
        unwind(before_test)
    end)
    busted.teardown(function()
        unwind(before_setup)
    end)
end

return M
