-- What a script of grammar.lua is asked: messages as bytes, by chance.
local dice_of = require "spec.fuzz.hooks.dice"
local wire = require "spec.support.wire"

local M = {}

M.WARM = 140 -- the first ones, which scripts answer without a mistake: moondns compiles a hook once it has seen enough of them
local LABELS_MAX = 8
local LARGEST_ID = 60000

local ODD_NAMES = {
    ".", "k1\\.k2.example", "k1\\000.example", "k2\\255\\128.example", "k3 k.example", "K4.EXAMPLE", "k5\\032.example", ("k6."):rep(40) .. "example",
    "k1." .. ("a"):rep(63) .. "." .. ("b"):rep(63) .. "." .. ("c"):rep(63) .. "." .. ("d"):rep(50), "k2." .. ("y"):rep(62) .. "." .. ("z"):rep(60), "k3.*.example",
    "xn--mnchen-3ya.example", "_k._udp.example", "k7." .. ("e"):rep(48) .. ".example",
}

local function upper_some(dice, name)
    return (name:gsub("%a", function(letter)
        return dice:once_in(4) and letter:upper() or letter
    end))
end

local function name_of(dice)
    if dice:once_in(40) then
        return dice:one_of(ODD_NAMES)
    end
    local label = "k" .. dice:number(LABELS_MAX)
    local name = dice:weighed {
        6, label, 5, label .. ".example", 3, label .. "." .. ("n"):rep(dice:number(50)) .. ".example", 2, "a.example", 1, "other.example",
        2, label .. "." .. dice:number(30) .. ".example", 1, "w", 1, "hosted.example",
    }
    return dice:once_in(2) and upper_some(dice, name) or name
end

local function edns_of(dice)
    return dice:weighed {
        3, {}, 1, { dnssec = true }, 1, { payload = 512 }, 1, { payload = 4096 }, 1, { version = 1 }, 1, { data = "\0\10\0\8abcdefgh" },
    }
end

local function query(dice, id)
    local flags = dice:weighed { 20, 0x0100, 2, 0, 2, 0x0110, 2, 0x0120, 1, 0x0170, 1, 0x0900, 1, 0x0580, 1, 0x0103 }
    local class = dice:weighed { 30, 1, 1, 3, 1, 255, 1, 0 }
    local kind = dice:weighed { 30, 1, 8, 28, 2, 16, 1, 5, 1, 15, 1, 65, 1, 255, 1, 65280, 1, 0 }
    local questions = { wire.question(name_of(dice), tostring(kind), class) }
    if dice:once_in(150) then
        questions = {}
    end
    local opt = dice:once_in(3) and { wire.opt(edns_of(dice)) } or nil
    return wire.message(id, flags, questions, nil, nil, opt)
end

local function warm(dice, id)
    local name = dice:one_of { "w", "w", "w.example", "W.ExamplE" }
    return wire.message(id, 0x0100, { wire.question(name, "A") })
end

-- Batches for a seed, `count` queries in all: {tcp =, [1] = {id =, bytes =}, …}, `size` in each.
function M.batches_of(seed, count, size)
    local dice = dice_of(seed + 7777777)
    local batches = {}
    local id = 0
    while id < count do
        local batch = { tcp = id >= M.WARM and dice:once_in(8) }
        for i = 1, size do
            id = id + 1
            assert(id < LARGEST_ID, "too many queries for their ids")
            batch[i] = { id = id, bytes = (id <= M.WARM and warm or query)(dice, id) }
        end
        batches[#batches + 1] = batch
    end
    return batches
end

-- A query that is answered (FORMERR) without asking a script: what is answered before has been answered.
M.END_ID = 65000
M.END = wire.message(M.END_ID, 0x0100, { wire.question("end", "A"), wire.question("end", "A") })

return M
