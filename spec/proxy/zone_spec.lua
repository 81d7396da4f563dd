-- --zone FILE, against knot with the same file; dig reads the answers of both.
local dig = require "spec.support.dig"
local files = require "spec.support.files"
local ports = require "spec.support.ports"
local process = require "spec.support.process"
local proxy = require "spec.support.proxy"
local questions = require "spec.support.zone_questions"
local scope = require "spec.support.scope"
local upstream = require "spec.support.upstream"
local wait = require "spec.support.wait"

-- Asks all questions in one dig: the answers in order, as dig.parse gives them.
local function ask_all(port, list)
    local lines = {}
    for i, question in ipairs(list) do
        lines[i] = ("@127.0.0.1 -p %d +tries=1 +time=15 +bufsize=4096 +noidnout +nocookie +notcp %s %s"):format(
            port, question.name, question.type)
    end
    local batch = files.temp_file("questions", table.concat(lines, "\n") .. "\n")
    local result = process.run { "dig", "-r", "-f", batch }
    local answers = {}
    for text in (result.out .. "\n;; Got answer:"):gmatch "(;; %->>HEADER<<%-.-)\n;; Got answer:" do
        answers[#answers + 1] = dig.parse(text)
    end
    return answers
end

local function line(record)
    return (record.line:gsub("%s+", " "):lower())
end

local function summary(answer)
    answer.aa = answer.flags.aa
    return questions.summary(answer, line)
end

local OWN = [[
$ORIGIN own.example.
@ 60 SOA ns admin 1 2 3 4 5
host A 192.0.2.7
both A 192.0.2.6
child NS ns.child
child DS 1 8 2 0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef
]]

describe("--zone", function()
    scope.manage()
    local knot, moondns

    setup(function()
        knot = upstream.knot(questions.text())
        moondns = proxy.start { args = { "--zone", questions.PATH } }
    end)

    it("agrees with knot on every question", function()
        local list = questions.all()
        local theirs, mine = ask_all(knot.port, list), ask_all(moondns.port, list)
        assert.is_true(#list >= 500, #list)
        assert.same({ #list, #list }, { #theirs, #mine })
        for i, question in ipairs(list) do
            assert.equal(question.name .. ".", mine[i].question.name)
            assert.is_true(mine[i].flags.ra)
            questions.check(question, summary(mine[i]), summary(theirs[i]))
        end
    end)

    it("says who answered, and asks the upstream for the rest", function()
        local own = proxy.start { upstream = knot, args = { "--zone", files.temp_file("own.zone", OWN) } }
        assert.same({ "192.0.2.7" }, dig.data(own:dig "Host.Own.Example"))
        own:wait_output "A host%.own%.example\n << 192%.0%.2%.7 %(zone own%.zone%)"
        assert.equal("NXDOMAIN", own:dig("nothing.own.example +tcp").rcode)
        own:wait_output "A nothing%.own%.example\n << NXDOMAIN %(zone own%.zone%)"
        assert.same({ "192.0.2.25" }, dig.data(own:dig "mail.example.com"))
    end)

    it("comes after the request hooks and the hosts file, and the response hooks run", function()
        local own = proxy.start {
            args = { "--zone", files.temp_file("own.zone", OWN), "--hosts", files.temp_file("hosts", "192.0.2.8 both.own.example\n") },
            code = [[
                function dns_request(flow)
                    if flow.request.question.name == "script.own.example" then
                        flow.response = flow.request:succeed{dns.ResourceRecord.A("script.own.example", "192.0.2.9")}
                    end
                end
                function dns_response(flow)
                    for _, record in ipairs(flow.response.answers) do
                        record.ttl = 7
                    end
                end]],
        }
        assert.same({ "192.0.2.9" }, dig.data(own:dig "script.own.example"))
        assert.same({ "192.0.2.8" }, dig.data(own:dig "both.own.example"))
        local answer = own:dig "host.own.example"
        assert.same({ "192.0.2.7", 7 }, { answer.answers[1].data, answer.answers[1].ttl })
    end)

    it("may be given again: the nearest zone answers, and DS above its cut", function()
        local child = files.temp_file("child.zone", [[
$ORIGIN child.own.example.
@ 60 SOA ns admin 1 2 3 4 5
  NS ns
  TXT child
www TXT child]])
        for _, files_in_order in ipairs { { "parent", "child" }, { "child", "parent" } } do
            local paths = { parent = files.temp_file("own.zone", OWN), child = child }
            local own = proxy.start { args = { "--zone", paths[files_in_order[1]], "--zone", paths[files_in_order[2]] } }
            assert.same({ '"child"' }, dig.data(own:dig "child.own.example TXT"))
            assert.same({ '"child"' }, dig.data(own:dig "www.child.own.example TXT"))
            assert.same({ "192.0.2.7" }, dig.data(own:dig "host.own.example"))
            assert.equal("NXDOMAIN", own:dig("nochild.own.example").rcode)
            assert.equal(1, #own:dig("child.own.example DS").answers)
        end
    end)

    it("is read again on HUP; what is wrong then leaves the old zone", function()
        local path = files.temp_file("own.zone", OWN)
        local own = proxy.start { args = { "--zone", path } }
        assert.same({ "192.0.2.7" }, dig.data(own:dig "host.own.example"))
        files.write(path, (OWN:gsub("192%.0%.2%.7", "192.0.2.77")))
        own:signal "HUP"
        wait.eventually(function()
            return dig.data(own:dig "host.own.example")[1] == "192.0.2.77"
        end, "the new zone")
        files.write(path, OWN .. "host A 192.0.2.300\n")
        own:signal "HUP"
        own:wait_output("own%.zone:7: address: IPv4 address expected, got '192%.0%.2%.300'; the old zone stays", "err")
        assert.same({ "192.0.2.77" }, dig.data(own:dig "host.own.example"))
        os.remove(path)
        own:signal "HUP"
        own:wait_output("own%.zone: No such file or directory; the old zone stays", "err")
        assert.same({ "192.0.2.77" }, dig.data(own:dig "host.own.example"))
    end)

    it("that cannot be used ends the start with a message", function()
        local twice = { files.temp_file("a.zone", OWN), files.temp_file("b.zone", OWN) }
        local cases = {
            { { "--zone", "/no/such/zone" }, "/no/such/zone: No such file or directory", 1 },
            { { "--zone", files.temp_file("bad.zone", OWN .. "host A\n") }, "bad.zone:7: address: IPv4 address expected, got nothing", 2 },
            { { "--zone", twice[1], "--zone", twice[2] }, twice[2] .. ": the zone own.example is in " .. twice[1] .. " already", 2 },
        }
        for _, case in ipairs(cases) do
            local result = proxy.run { "-l", "127.0.0.1:" .. ports.free(), "-u", "none", unpack(case[1]) }
            assert.equal(case[3], result.code)
            assert.truthy(result.err:find(case[2], 1, true), result.err)
        end
    end)
end)
