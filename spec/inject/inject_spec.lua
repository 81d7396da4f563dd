-- Calls that fail: memory, the system's and Lua's, each in turn, while the proxy starts and while it serves, and all of a class
-- for a while. What is swept here is a share of the places, the same each time (another one for INJECT_SEED=NUMBER), for some
-- seconds each (INJECT_SECONDS), and all of those where something was found once; spec/inject/run sweeps them all.
local inject = require "spec.inject.inject"
local scope = require "spec.support.scope"
local worlds = require "spec.inject.world"

describe("calls that fail", function()
    scope.manage()
    if not inject.library() then
        pending "needs the build with sanitizers, of gcc"
        return
    end

    local SEED, SECONDS = tonumber(os.getenv "INJECT_SEED") or 1, tonumber(os.getenv "INJECT_SECONDS")

    -- Sweeps; at least `least` calls must have failed, and nothing be found. `options.match`: only below such files,
    -- `options.within`: only below this function; `options.rooms`: room was made for calls that would end the process.
    local function sweep(world, how, sorts, least, options)
        local found, page = {}, inject.page()
        page:match(options.match or "")
        if options.within then
            page:within(options.within)
        end
        options.seed, options.budget = SEED, SECONDS or options.budget or 10
        local swept = inject["sweep_" .. how](world, page, sorts, function(text)
            found[#found + 1] = text
        end, options)
        assert(#found == 0, ("INJECT_SEED=%d:\n%s"):format(SEED, table.concat(found, "\n")))
        assert(swept >= least, swept .. " calls failed")
        assert(not options.rooms or page:rooms() > 0, "no call was seen for which room is made")
    end

    describe("in a small world", function()
        local world
        setup(function()
            world = worlds.small()
        end)

        it("keep no start from ending well, or from saying why it does not: memory", function()
            sweep(world, "start", inject.MEMORY, 1, { one_in = 16, budget = 3 })
        end)

        it("keep no start from ending well, or from saying why it does not: the system", function()
            sweep(world, "start", inject.SYSTEM, 1, { budget = 4 })
        end)

        it("keep no start from ending well, or from saying why it does not: files", function()
            sweep(world, "start", inject.FILES, 2, { budget = 3 })
        end)

        -- Found here: without memory for the line that says so, it served all the same, and said nothing.
        it("keep no start from saying that it serves", function()
            sweep(world, "start", inject.MEMORY, 2, { within = "describe_service", budget = 20 })
        end)

        -- Found here: a table of uthash that could not be had ended the process, and hooks that could not be gathered once more
        -- after `running` were called by references that were given back.
        for what, name in pairs { timers = "make_timer", hooks = "generation_gather", ["the hosts file"] = "hosts_load" } do
            it("cost one query while it serves: memory for the table of " .. what, function()
                sweep(world, "serving", inject.MEMORY, 1, { within = name, calm = 3, budget = 20 })
            end)
        end

        it("cost one query while it serves: memory", function()
            sweep(world, "serving", inject.MEMORY, 3, { one_in = 2, budget = 6 })
        end)

        it("cost one query while it serves: the system", function()
            sweep(world, "serving", inject.SYSTEM, 1, { one_in = 2, budget = 6 })
        end)

        it("cost one query while it serves: Lua's memory", function()
            sweep(world, "serving", inject.LUA, 3, { mode = "nth", next = inject.random_call(SEED), calm = 40, budget = 4 })
        end)

        -- Found here: each hook that had no memory logged a line.
        it("cost what is asked for meanwhile, and nothing later, where all fail: memory, descriptors", function()
            local sorts = { inject.MEMORY[1], inject.LUA[1], { "socket", { "EMFILE" } }, { "accept4", { "EMFILE" } } }
            sweep(world, "holding", sorts, 50, { seconds = 0.5 })
        end)
    end)

    describe("in a world with everything", function()
        local world
        setup(function()
            world = worlds.full()
        end)

        -- Found here: hiredis's asynchronous connections send commands without a place for the answer, or wait for answers to
        -- commands that they did not send; the process ended, or answers came to other calls. Only its reader is left.
        it("cost one query while it serves: memory for Redis", function()
            sweep(world, "serving", inject.MEMORY, 3, { match = "libhiredis", budget = 8 })
        end)

        -- Found here: what cJSON had no memory to add to an object was lost.
        it("cost one query while it serves: memory for a flow's JSON", function()
            sweep(world, "serving", inject.MEMORY, 3, { within = "lua_flow_to_json", one_in = 4, budget = 5 })
        end)

        -- Found here: libevent's HTTP client and server end the process without memory for a connection or a request.
        it("cost one query while it serves: memory for HTTP", function()
            sweep(world, "serving", inject.MEMORY, 3, { match = "libevent_extra", budget = 8, rooms = true })
        end)
    end)
end)
