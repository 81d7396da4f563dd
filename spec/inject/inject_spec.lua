-- Calls that fail: memory, the system's and Lua's, each in turn, while the proxy starts and while it serves. What is swept
-- here is a share of the places, chosen by INJECT_SEED (by default the day); spec/inject/run sweeps them all.
local inject = require "spec.inject.inject"
local scope = require "spec.support.scope"

describe("calls that fail", function()
    scope.manage()
    if not inject.library() then
        pending "needs the build with sanitizers, of gcc"
        return
    end

    local SEED = tonumber(os.getenv "INJECT_SEED") or math.floor(os.time() / 86400)
    local world
    setup(function()
        world = inject.world()
    end)

    -- Sweeps; at least `least` calls must have failed, and nothing be found.
    local function sweep(how, sorts, least, options)
        local found = {}
        options.seed, options.budget = SEED, options.budget or 10
        local swept = inject["sweep_" .. how](world, inject.page(), sorts, function(text)
            found[#found + 1] = text
        end, options)
        assert(#found == 0, ("seed %d:\n%s"):format(SEED, table.concat(found, "\n")))
        assert(swept >= least, swept .. " calls failed")
    end

    it("keep no start from ending well, or from saying why it does not: memory", function()
        sweep("start", inject.MEMORY, 3, { one_in = 16 })
    end)

    it("keep no start from ending well, or from saying why it does not: the system", function()
        sweep("start", inject.SYSTEM, 3, { one_in = 16 })
    end)

    it("keep no start from ending well, or from saying why it does not: files", function()
        sweep("start", inject.FILES, 2, {})
    end)

    -- Found here: a table of uthash that could not be had ended the process (hosts file, TCP client, upstream, metric,
    -- timer), and hooks that could not be gathered once more after `running` were called by references that were given back.
    it("cost one query while it serves: memory", function()
        sweep("serving", inject.MEMORY, 3, { budget = 15 })
    end)

    it("cost one query while it serves: the system", function()
        sweep("serving", inject.SYSTEM, 3, { one_in = 4 })
    end)

    it("cost one query while it serves: Lua's memory", function()
        sweep("serving", inject.LUA, 3, { mode = "nth", next = inject.random_call(SEED), calm = 40 })
    end)
end)
