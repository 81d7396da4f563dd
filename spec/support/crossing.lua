-- Many clients that all use one id, an upstream that answers in random order: does any answer reach the wrong client, or
-- the wrong question? Made for millions: messages are put together and read by position.
local net = require "spec.support.net"
local wire = require "spec.support.wire"

local M = {}

local IN_FLIGHT = 192 -- what a socket's buffer holds by default is some 270 packets
local ID = "\0\7"
local HEADER = ID .. "\1\0\0\1\0\0\0\0\0\0"
local LABEL_AT, LABEL_LENGTH = 14, 8 -- "n0000001"
local TAIL = "\7example\0\0\1\0\1"
local ANSWER = "\192\12\0\1\0\1\0\0\0\60\0\4"

local function number_of(message)
    return tonumber(message:sub(LABEL_AT + 1, LABEL_AT + LABEL_LENGTH - 1))
end

local function shuffle(list)
    for i = #list, 2, -1 do
        local j = math.random(i)
        list[i], list[j] = list[j], list[i]
    end
end

-- Asks `count` questions of `port` from `clients` sockets, answered by `server` (net.server) behind it; raises on any
-- answer that is not the one to its client's question, that comes twice or not at all. Gives the number asked.
function M.run(port, server, count, clients)
    local sockets = {}
    for i = 1, clients do
        sockets[i] = net.udp(port)
    end
    local asked = 0
    while asked < count do
        local owner, replies, expected = {}, {}, {}
        for i = 1, math.min(IN_FLIGHT, count - asked) do
            asked = asked + 1
            local client = math.random(clients)
            owner[asked] = client
            expected[client] = (expected[client] or 0) + 1
            sockets[client]:send(HEADER .. ("\8n%07d"):format(asked) .. TAIL)
            replies[i] = false
        end
        for i = 1, #replies do
            local query, reply = assert(server:receive())
            local answer = query:sub(1, 2) .. "\129\128\0\1\0\1\0\0\0\0" .. query:sub(13) .. ANSWER .. wire.u32(number_of(query))
            replies[i] = { reply, answer }
        end
        shuffle(replies)
        for _, pair in ipairs(replies) do
            pair[1](pair[2])
        end
        for client, number in pairs(expected) do
            for _ = 1, number do
                local answer = assert(sockets[client]:receive())
                local question = number_of(answer)
                assert(answer:sub(1, 2) == ID, "another id")
                assert(owner[question] == client, "another client's answer, or one that came twice")
                assert(answer:sub(-4) == wire.u32(question), "an answer to another question")
                owner[question] = nil
            end
        end
        assert(next(owner) == nil)
    end
    for _, socket in ipairs(sockets) do
        assert(not socket:receive(0), "an answer too many")
    end
    return asked
end

return M
