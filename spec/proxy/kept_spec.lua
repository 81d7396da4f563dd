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

describe("objects that a script keeps", function()
    scope.manage()

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
