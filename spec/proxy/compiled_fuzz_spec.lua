-- Scripts by chance behave as machine code as they do otherwise: a few of those that spec/fuzz/hooks/run makes without end.
local scope = require "spec.support.scope"
local twins = require "spec.fuzz.hooks.twins"

local SEEDS = { 36, 192, 20002, 20194, 20212, 20294 }
local QUERIES = 720

describe("hooks by chance", function()
    scope.manage()

    for _, seed in ipairs(SEEDS) do
        it("do as machine code what they do otherwise: seed " .. seed, function()
            local problem = twins.compare(seed, QUERIES)
            assert.is_nil(problem)
        end)
    end
end)
