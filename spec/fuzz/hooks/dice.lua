-- Chance that a seed repeats: the same on every machine, whoever else draws numbers.
local bit = require "bit"

local Dice = {}
Dice.__index = Dice

local function new(seed)
    local self = setmetatable({ state = bit.tobit(seed * 2654435761 % 2 ^ 32 + 1) }, Dice)
    if self.state == 0 then
        self.state = 1
    end
    for _ = 1, 8 do
        self:number(2)
    end
    return self
end

-- From 1 to `most` (xorshift).
function Dice:number(most)
    local x = self.state
    x = bit.bxor(x, bit.lshift(x, 13))
    x = bit.bxor(x, bit.rshift(x, 17))
    x = bit.bxor(x, bit.lshift(x, 5))
    self.state = x
    return x % 2 ^ 32 % most + 1
end

-- True once in `times`.
function Dice:once_in(times)
    return self:number(times) == 1
end

function Dice:one_of(list)
    return list[self:number(#list)]
end

-- One of {weight, what, weight, what, …}.
function Dice:weighed(list)
    local sum = 0
    for i = 1, #list, 2 do
        sum = sum + list[i]
    end
    local at = self:number(sum)
    for i = 1, #list, 2 do
        at = at - list[i]
        if at <= 0 then
            return list[i + 1]
        end
    end
end

return new
