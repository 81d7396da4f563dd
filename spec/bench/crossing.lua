-- A million queries of one id, from many clients, with answers in random order: none may be crossed.
-- luajit spec/bench/crossing.lua BUILD [COUNT [CLIENTS]]
local crossing = require "spec.support.crossing"
local net = require "spec.support.net"
local proxy = require "spec.support.proxy"
local scope = require "spec.support.scope"
local wait = require "spec.support.wait"

local build, count, clients = arg[1], tonumber(arg[2] or 1e6), tonumber(arg[3] or 100)

scope.run(function()
    proxy.binary = build .. "/moondns"
    local server = net.server()
    local moondns = proxy.start { upstream = server, args = { "--flow-detail", "0" } }
    local started = wait.now()
    crossing.run(moondns.port, server, count, clients)
    print(("%d queries from %d clients, none crossed, %.1f s"):format(count, clients, wait.now() - started))
end)
