-- Objects that a script keeps: they outlive their flows, whatever the collector and the allocator do meanwhile.
local dig = require "spec.support.dig"
local files = require "spec.support.files"
local process = require "spec.support.process"
local proxy = require "spec.support.proxy"
local scope = require "spec.support.scope"

-- Keeps 300 flows with all their objects, and at each query looks at some of them and changes them.
local CODE = [[
local kept, wrong, looked = {}, {}, 0

local function check(k)
    looked = looked + 1
    if k.question.name ~= k.name or k.request.question ~= k.question or k.record.name ~= k.owner or k.record.ttl ~= k.ttl
        or k.response.answers[1] ~= k.record or k.flow.request ~= k.request or k.flow.live
        or k.flow.response.answers[1].ipv4_address ~= k.address then
        wrong[#wrong + 1] = k.name
    end
end

local function change(k)
    k.name = ("x"):rep(math.random(60)) .. "." .. ("y"):rep(math.random(60)) .. ".example"
    k.question.name = k.name
    k.owner, k.ttl, k.address = "owner" .. math.random(1000) .. ".example", math.random(1000), "192.0.2." .. math.random(255)
    k.record.name, k.record.ttl, k.record.ipv4_address = k.owner, k.ttl, k.address
end

function dns_request(flow)
    local q = flow.request.question
    if q.name == "report.example" then
        local text = ("%d wrong of %d"):format(#wrong, looked > 0 and 1 or 0)
        flow.response = flow.request:succeed { dns.ResourceRecord.TXT(q.name, text) }
        return
    end
    for _ = 1, #kept > 0 and 3 or 0 do
        local k = kept[math.random(#kept)]
        check(k)
        change(k)
        check(k)
    end
    local record = dns.ResourceRecord.A(q.name, "127.0.0.1", 60)
    flow.response = flow.request:succeed { record }
    local k = { flow = flow, request = flow.request, question = q, name = q.name, response = flow.response, record = record,
        owner = q.name, ttl = 60, address = "127.0.0.1" }
    if #kept < 300 then
        kept[#kept + 1] = k
    else
        kept[math.random(#kept)] = k
    end
    if math.random(50) == 1 then
        collectgarbage(math.random(2) == 1 and "step" or "collect")
    end
end
]]

-- What hooks do with the flow of the first query, besides answering it as if they kept nothing; `found` names it later.
local WAYS = {
    ["the flow in a table"] = { "kept[#kept + 1] = flow", "kept[1].request.question.name" },
    ["the question in a variable"] = { "last = last or flow.request.question", "last.name" },
    ["the request in a closure"] = {
        "local request = flow.request ask = ask or function() return request end", "ask().question.name",
    },
    ["the answer"] = { "kept[#kept + 1] = flow.response", "kept[1].question.name" },
    ["the answer, by a function"] = { "table.insert(kept, flow.response)", "kept[1].question.name" },
    ["the flow, by a metamethod"] = { "watch.flow = flow", "kept[1].request.question.name" },
    ["the flow, by a function that looks into the hook"] = {
        "look() kept[#kept + 1] = seen", "kept[1].request.question.name",
    },
    ["the answer, by an object that is not always the flow"] = {
        "kept[#kept + 1] = true local to = flow if #kept == 1 then to = store end to.response = flow.response",
        "store.response.question.name",
    },
    ["the question, by the way of metadata"] = {
        "flow.metadata.q = flow.request.question kept[#kept + 1] = flow.metadata", "kept[1].q.name",
    },
}

local KEEPING = [[
local kept, store, last, ask, seen = {}, {}, nil, nil, nil
local function look() seen = select(2, debug.getlocal(2, 1)) end
local watch = setmetatable({}, { __newindex = function(_, _, value) kept[#kept + 1] = value end })

function dns_request(flow)
    if flow.request.question.name == "report.example" then
        log.info("found " .. FOUND)
    end
    flow.response = flow.request:fail(3)
    WAY
end
]]

describe("objects that a script keeps", function()
    scope.manage()

    for what, way in pairs(WAYS) do
        it("are what they were: " .. what, function()
            local code = KEEPING:gsub("%u%u%u+", { WAY = way[1], FOUND = way[2] })
            local moondns = proxy.start { code = code, args = { "--flow-detail", "0" } }
            for _, name in ipairs { "first.example", "a.example", "somewhat.longer.example", "report.example" } do
                assert.equal("NXDOMAIN", moondns:dig(name .. " A").rcode)
            end
            moondns:wait_output("found first.example", "err")
        end)
    end

    it("are what they were, through thousands of flows", function()
        local moondns = proxy.start { code = CODE, args = { "--flow-detail", "0" } }
        local lines = {}
        for i = 1, 500 do
            lines[i] = ("a"):rep(i % 50 + 1) .. "." .. ("b"):rep(i % 37 + 1) .. ".example A\n"
        end
        local result = process.run {
            "dnsperf", "-s", "127.0.0.1", "-p", tostring(moondns.port), "-d", files.temp_file("queries", table.concat(lines)),
            "-n", "20", "-c", "4", "-q", "50", "-t", "15",
        }
        assert.equal("0", result.out:match "Queries lost:%s+(%d+)", result.out)
        assert.same({ '"0 wrong of 1"' }, dig.data(moondns:dig "report.example TXT"))
        assert.is_nil(moondns:err():find("error", 1, true), moondns:err())
    end)
end)

-- Hooks that keep nothing are given the same objects for flow after flow.
describe("objects that are used again", function()
    scope.manage()

    it("are each flow's own", function()
        local moondns = proxy.start { code = [[
            function dns_request(flow)
                local q = flow.request.question
                if q.type == dns.types.TXT then
                    flow.response = flow.request:fail "NXDOMAIN"
                    q.name = "changed.example"
                elseif q.type == dns.types.A then
                    local other = flow.request:fail "REFUSED"
                    other.authoritative_answer = true
                    flow.response = flow.request:succeed { dns.ResourceRecord.A(q.name, "192.0.2." .. #q.name, 60) }
                end
            end
        ]], args = { "--flow-detail", "0" } }
        local long = ("x"):rep(50) .. ("." .. ("y"):rep(50)):rep(3) .. ".example"
        for _ = 1, 3 do
            for _, name in ipairs { "a.example", "Some.Name.example", long, "b.example" } do
                local answer = moondns:dig(name .. " A +noedns")
                assert.equal("NOERROR", answer.rcode)
                assert.is_nil(answer.flags.aa)
                assert.same({ name:lower() .. "." }, { answer.answers[1].name, answer.answers[2] })
                assert.same({ "192.0.2." .. #name }, dig.data(answer))
                assert.equal("SERVFAIL", moondns:dig(name .. " MX").rcode)
            end
            local refused = moondns:dig "other.example TXT"
            assert.same({ "NXDOMAIN", "other.example.", 0 }, { refused.rcode, refused.question.name, #refused.answers })
        end
    end)

    it("stay their flow's while it waits", function()
        local moondns = proxy.start { code = [[
            local wrong = 0
            function dns_request(flow)
                local q = flow.request.question
                local name = q.name
                if name == "report.example" then log.info("wrong: " .. wrong) end
                sleep(0.01)
                if q.name ~= name or flow.request.question.name ~= name then wrong = wrong + 1 end
                flow.response = flow.request:succeed { dns.ResourceRecord.A(q.name, "192.0.2.1") }
                sleep(0.01)
                if flow.response.question.name ~= name then wrong = wrong + 1 end
            end
        ]], args = { "--flow-detail", "0" } }
        local lines = {}
        for i = 1, 300 do
            lines[i] = ("a"):rep(i % 50 + 1) .. "." .. i .. ".example A\n"
        end
        local result = process.run {
            "dnsperf", "-s", "127.0.0.1", "-p", tostring(moondns.port), "-d", files.temp_file("queries", table.concat(lines)),
            "-n", "5", "-c", "4", "-q", "100", "-t", "15",
        }
        assert.equal("0", result.out:match "Queries lost:%s+(%d+)", result.out)
        assert.equal("NOERROR", moondns:dig("report.example A").rcode)
        moondns:wait_output("wrong: 0", "err")
    end)
end)
