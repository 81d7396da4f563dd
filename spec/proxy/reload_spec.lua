-- Scripts are edited while they serve.
local files = require "spec.support.files"
local net = require "spec.support.net"
local proxy = require "spec.support.proxy"
local scope = require "spec.support.scope"
local wait = require "spec.support.wait"
local wire = require "spec.support.wire"

local function answering(address)
    return ([[function dns_request(flow)
    flow.response = flow.request:succeed{dns.ResourceRecord.A(flow.request.question.name, "%s")}
end
]]):format(address)
end

local function resident_kilobytes(pid)
    return tonumber(files.read("/proc/" .. pid .. "/status"):match "VmRSS:%s+(%d+)")
end

describe("hot reload", function()
    scope.manage()
    local path, moondns, client

    local function start(text, options)
        path = files.temp_file("script.lua", text)
        moondns = proxy.start(setmetatable({ script = path }, { __index = options }))
        client = moondns:udp()
    end

    local function address()
        local answer = wire.parse(assert(client:ask(wire.query("x.example", "A"))))
        return answer.answers[1] and table.concat({ answer.answers[1].data:byte(1, 4) }, ".")
    end

    local function wait_address(expected)
        wait.eventually(function()
            return address() == expected
        end, function()
            return "the answer " .. expected .. "; logged:\n" .. moondns:err()
        end)
    end

    for how, edit in pairs { ["written in place"] = files.write, ["replaced by a rename"] = files.replace } do
        it("takes a file " .. how .. ", again and again", function()
            start(answering "192.0.2.0")
            for i = 1, 5 do
                edit(path, answering("192.0.2." .. i))
                wait_address("192.0.2." .. i)
            end
        end)

        it("keeps the old script while a file " .. how .. " is broken, and says where", function()
            start(answering "192.0.2.1")
            assert.equal("192.0.2.1", address())
            edit(path, "\n\nfunction dns_request(flow) this is no Lua end\n")
            moondns:wait_output("script%.lua:3: ", "err")
            assert.equal("192.0.2.1", address())
            edit(path, "\nerror('fails while it loads')\n")
            moondns:wait_output("script%.lua:2: fails while it loads", "err")
            assert.equal("192.0.2.1", address())
            edit(path, answering "192.0.2.2")
            wait_address "192.0.2.2"
        end)
    end

    it("counts edits of a module that the script requires", function()
        local folder = files.temp_folder()
        files.make_folder(folder .. "/lib")
        files.write(folder .. "/addresses.lua", [[return {mine = require("lib.deep")}]])
        files.write(folder .. "/lib/deep.lua", [[return "192.0.2.1"]])
        path = files.write(folder .. "/script.lua", [[
            local addresses = require "addresses"
            function dns_request(flow)
                flow.response = flow.request:succeed{dns.ResourceRecord.A("x.example", addresses.mine)}
            end]])
        moondns = proxy.start { script = path, folder = "/" }
        client = moondns:udp()
        assert.equal("192.0.2.1", address())
        files.write(folder .. "/lib/deep.lua", [[return "192.0.2.2"]])
        wait_address "192.0.2.2"
        files.replace(folder .. "/addresses.lua", [[return {mine = "192.0.2.3"}]])
        wait_address "192.0.2.3"
        files.write(folder .. "/addresses.lua", "return {mine = }")
        moondns:wait_output("addresses%.lua:1: ", "err")
        assert.equal("192.0.2.3", address())
    end)

    it("keeps a deleted file's script", function()
        start(answering "192.0.2.1")
        os.remove(path)
        assert.equal("192.0.2.1", address())
        files.write(path, answering "192.0.2.2")
        wait_address "192.0.2.2"
    end)

    it("runs load, configure, the old one's done, running, in this order; persist outlives it", function()
        local text = [[
            local kept = persist("counter", {count = 0})
            kept.count = kept.count + 1
            local n = kept.count
            function load(loader) log.info("load %d", n) loader:add_option("colour", "str", "red", "a colour") end
            function configure(updated) log.info("configure %d %s %s", n, tostring(updated.colour), ctx.options.colour) end
            function running() log.info("running %d", n) end
            function done() log.info("done %d", n) end
        ]]
        start(text, { args = { "--set", "colour=blue" } })
        moondns:wait_output "load 1.-configure 1 true blue.-running 1"
        files.write(path, text .. "\n")
        moondns:wait_output "load 2.-configure 2 true blue.-done 1.-running 2"
    end)

    it("lets a query in flight end with the script it began with", function()
        local server = net.server()
        local text = [[function dns_response(flow) flow.response.answers[1].ipv4_address = "192.0.2.%d" end]]
        start(text:format(1), { upstream = server, args = { "--timeout", "15" } })
        client:send(wire.query("old.example", "A"))
        local received, reply = server:receive()
        files.write(path, text:format(2))
        local fresh = moondns:udp()
        wait.eventually(function()
            fresh:send(wire.query("new.example", "A"))
            local newer, reply_newer = server:receive()
            reply_newer(wire.answer(newer, { wire.record("new.example", "A", wire.ipv4 "198.51.100.1") }))
            return wire.parse(assert(fresh:receive())).answers[1].data == wire.ipv4 "192.0.2.2"
        end, "the new script")
        reply(wire.answer(received, { wire.record("old.example", "A", wire.ipv4 "198.51.100.1") }))
        assert.equal(wire.ipv4 "192.0.2.1", wire.parse(assert(client:receive())).answers[1].data)
    end)

    it("does not happen with --no-reload", function()
        start(answering "192.0.2.1", { args = { "--no-reload" } })
        files.write(path, answering "192.0.2.2")
        moondns:signal "HUP" -- this does, so the file was really there to be read
        wait_address "192.0.2.2"
        files.write(path, answering "192.0.2.3")
        for _ = 1, 50 do
            assert.equal("192.0.2.2", address())
            wait.sleep(0.01)
        end
    end)

    it("of 500 edits under 200 queries a second loses no query and no memory", function()
        local EDITS, EDIT_RATE, QUERY_RATE = 500, 20, 200 -- a second
        start(answering "192.0.2.0", { args = { "--flow-detail", "0" } })
        local sent, received, edits, seen = 0, 0, 0, {}
        local early
        local began = wait.now()
        local function take(timeout)
            local bytes = client:receive(timeout)
            if bytes then
                received = received + 1
                local first = wire.parse(bytes).answers[1] -- none, had the file been read while it was empty
                seen[first and first.data or "none"] = true
            end
            return bytes
        end
        while edits < EDITS do
            local elapsed = wait.now() - began
            while sent < elapsed * QUERY_RATE do
                client:send(wire.query("x.example", "A"))
                sent = sent + 1
            end
            if edits < elapsed * EDIT_RATE then
                edits = edits + 1;
                (edits % 2 == 0 and files.write or files.replace)(path, answering("192.0.2." .. edits % 250))
                if edits == math.floor(EDITS / 5) then
                    early = resident_kilobytes(moondns.pid)
                end
            end
            take(0.002)
        end
        while received < sent and take() do
        end
        assert.equal(sent, received)
        wait_address("192.0.2." .. EDITS % 250)
        local versions = 0
        for _ in pairs(seen) do
            versions = versions + 1
        end
        assert.is_true(versions >= 10, versions .. " versions were seen")
        if not files.read("/proc/" .. moondns.pid .. "/maps"):find "lib[at]san" then
            local late = resident_kilobytes(moondns.pid)
            assert.is_true(late < early * 1.1 + 1024, ("%d kB grew to %d kB"):format(early, late))
        end
    end)
end)
