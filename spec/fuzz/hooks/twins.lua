-- The same script thrice: as a hook that is compiled; as one that is not, by a loop that does nothing; and as one that
-- gets objects of its own for each flow, by a function that nobody calls. All that is seen of them must be the same: the
-- answers, what is logged, and what they have kept.
local files = require "spec.support.files"
local grammar = require "spec.fuzz.hooks.grammar"
local proxy = require "spec.support.proxy"
local questions = require "spec.fuzz.hooks.questions"
local scope = require "spec.support.scope"
local wait = require "spec.support.wait"
local wire = require "spec.support.wire"

local M = {}

local TWINS = {
    { name = "compiled", stop = "" },
    { name = "interpreted", stop = "for _ = 1, 0 do end" },
    { name = "fresh", stop = "do local _ = function() end end" },
}
local BATCH = 24
local BATCHES_PER_LOOK = 20
local LATE_SECONDS = 0.2 -- for what is answered after the end of its batch
local HOSTS = "192.0.2.99 hosted.example\n2001:db8::99 hosted.example k3.example\n"

local function id_of(message)
    return message:byte(1) * 256 + message:byte(2)
end

-- Sends the batch, and its end; takes what comes up to the end's answer.
local function ask_all(client, batch, answers)
    for _, query in ipairs(batch) do
        client:send(query.bytes)
    end
    client:send(questions.END)
    while true do
        local answer = assert(client:receive())
        if id_of(answer) == questions.END_ID then
            return
        end
        answers[id_of(answer)] = answer
    end
end

-- The same for hooks that wait: one at a time, each to its answer.
local function ask_each(client, batch, answers)
    for _, query in ipairs(batch) do
        local answer = assert(client:ask(query.bytes))
        answers[id_of(answer)] = answer
    end
end

-- What is answered late; nobody else will be.
local function take_late(client, answers)
    local answer = client:receive(LATE_SECONDS)
    while answer do
        answers[id_of(answer)] = answer
        answer = client:receive(LATE_SECONDS)
    end
end

-- The script tells those who connect what it keeps.
local function look(twin)
    local before = select(2, twin:err():gsub('"message": "{', ""))
    twin:tcp():close()
    wait.eventually(function()
        return select(2, twin:err():gsub('"message": "{', "")) > before
    end, "what the script keeps")
end

local function ask(twin, script, batches)
    local udp, tcp = twin:udp(), twin:tcp()
    local answers = {}
    local ask_batch = script.waits and ask_each or ask_all
    for i, batch in ipairs(batches) do
        ask_batch(batch.tcp and tcp or udp, batch, answers)
        if i % BATCHES_PER_LOOK == 0 or i == #batches then
            look(twin)
        end
    end
    for _, batch in ipairs(batches) do
        for _, query in ipairs(batch) do
            if not answers[query.id] and not script.waits then
                take_late(udp, answers)
                return answers
            end
        end
    end
    return answers
end

-- What is logged, a line for each message. Of errors that come from one place only the first is told of for certain.
local function lines_of(twin)
    local lines, seen = {}, {}
    for level, message in twin:err():gmatch '"level": "(%l+)", "message": "([^\n]*)"}\n' do
        message = message:gsub("/[%w/_.-]*/script%.lua", "script.lua")
        message = message:gsub("\\n%(%d+ more of these.*$", "")
        local place = level == "error" and message:match "^[^:]*:%d+:" or message
        local told = level == "debug" or message:find "^listening on" or message:find "^try: " or level == "error" and seen[place]
        if not told then
            lines[#lines + 1] = level .. " " .. message
        end
        seen[place] = true
    end
    return lines
end

-- Runs one: {answers =, lines =, compiled = whether it runs as machine code}.
local function run(twin, script, batches, hosts)
    local result
    scope.run(function()
        local code = script.code:gsub(grammar.STOP:gsub("%p", "%%%0"), twin.stop)
        local path = files.temp_file("script.lua", code)
        local moondns = proxy.start {
            script = path,
            args = { "--log-json", "--flow-detail", "0", "-v", "--errors-in-answers", "--hosts", hosts, "--hook-timeout", "30", "--no-reload" },
        }
        local answers = ask(moondns, script, batches)
        assert(moondns:stop() == 0, moondns:err())
        result = { answers = answers, lines = lines_of(moondns), compiled = moondns:err():find("runs as machine code", 1, true) ~= nil }
    end)
    return result
end

local function described(bytes)
    return bytes and wire.hex(bytes) or "nothing"
end

-- Nil, or how the two differ, in the first place.
local function difference(one, other, batches)
    for _, batch in ipairs(batches) do
        for _, query in ipairs(batch) do
            local here, there = one.answers[query.id], other.answers[query.id]
            if here ~= there then
                return ("query %d over %s: %s\n  %s\n  %s"):format(query.id, batch.tcp and "TCP" or "UDP", wire.hex(query.bytes), described(here), described(there))
            end
        end
    end
    for i = 1, math.max(#one.lines, #other.lines) do
        if one.lines[i] ~= other.lines[i] then
            return ("line %d of the log:\n  %s\n  %s"):format(i, tostring(one.lines[i]), tostring(other.lines[i]))
        end
    end
end

-- Runs the script of a seed and compares; nil where all are the same, else a text. Then what is known of it: {kind =,
-- compiled =}.
function M.compare(seed, count)
    local script = grammar.script_of(seed)
    local batches = questions.batches_of(seed, count, BATCH)
    local problem, known
    scope.run(function()
        local hosts = files.temp_file("hosts", HOSTS)
        local results = {}
        for i, twin in ipairs(TWINS) do
            results[i] = run(twin, script, batches, hosts)
        end
        known = { kind = script.kind, compiled = results[1].compiled }
        for i = 2, #TWINS do
            local text = difference(results[1], results[i], batches)
            if text then
                problem = ("seed %d: %s and %s differ in %s"):format(seed, TWINS[1].name, TWINS[i].name, text)
                return
            end
        end
    end)
    return problem, known
end

return M
