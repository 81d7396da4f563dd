-- --errors-in-answers: clients are told of scripts' errors, as extended errors (RFC 8914).
local net = require "spec.support.net"
local proxy = require "spec.support.proxy"
local scope = require "spec.support.scope"
local upstream = require "spec.support.upstream"
local wire = require "spec.support.wire"

local SCRIPT = [[
function dns_request(flow)
    local name = flow.request.question.name
    if name == "mail.example.com" then
        local nothing
        return nothing.field
    elseif name == "long.example.com" then
        error(("é"):rep(300), 0)
    elseif name == "raw.example.com" then
        error("a\27\255b", 0)
    elseif name == "both.example" then
        flow.response = flow.request:fail("REFUSED")
        error "first"
    elseif name == "waits.example.com" then
        sleep(0.01)
        error "later"
    elseif name == "packed.example" then
        flow.response = flow.request:succeed {}
        flow.response.answers = { "none" }
    end
end

function dns_response(flow)
    if flow.request.question.name == "both.example" then error "second" end
end
]]

describe("--errors-in-answers", function()
    scope.manage()
    local knot, moondns

    setup(function()
        knot = upstream.knot()
        moondns = proxy.start { code = SCRIPT, upstream = knot, args = { "--errors-in-answers" } }
    end)

    -- The rcode, and the texts of the extended errors as dig prints them.
    local function ask(arguments)
        local answer = moondns:dig(arguments)
        local texts = {}
        for text in answer.text:gmatch "; EDE: (0 %(Other%): %(.-%))\n" do
            texts[#texts + 1] = text
        end
        return answer.rcode, texts, answer
    end

    local function codes(arguments)
        local rcode, texts = ask(arguments)
        return { rcode, texts }
    end

    for _, how in ipairs { "+notcp", "+tcp" } do
        it("puts the text of the error, with script and line, into the answer that goes out nevertheless, " .. how, function()
            local rcode, texts, answer = ask("mail.example.com " .. how)
            assert.equal("NOERROR", rcode)
            assert.equal("192.0.2.25", answer.answers[1].data)
            assert.same({ "0 (Other): (script.lua:5: attempt to index local 'nothing' (a nil value))" }, texts)
        end)
    end

    it("does so for what the proxy and what scripts answer; the first error counts", function()
        assert.same({ "REFUSED", { "0 (Other): (script.lua:12: first)" } }, codes "both.example")
        assert.same({ "NXDOMAIN", { "0 (Other): (script.lua:15: later)" } }, codes "waits.example.com")
        local rcode, texts = ask "packed.example"
        assert.equal("SERVFAIL", rcode)
        assert.same({ "0 (Other): (script.lua: flow.response cannot be packed: answers[1]: ResourceRecord expected, got string)" }, texts)
    end)

    it("sends valid UTF-8 of at most 255 bytes, without control bytes", function()
        local function text_of(name)
            local answer = wire.parse(assert(moondns:udp():ask(wire.query(name, "A", { edns = true }))))
            return answer.opt.data:sub(7)
        end
        assert.equal(("é"):rep(127), text_of "long.example.com")
        assert.equal("a\\x1b\\xffb", text_of "raw.example.com")
    end)

    it("tells nobody who sent no OPT, and nothing where all is well", function()
        local rcode, texts, answer = ask "mail.example.com +noedns"
        assert.same({ "NOERROR", {} }, { rcode, texts })
        assert.is_nil(answer.edns)
        assert.same({ "NOERROR", {} }, codes "www.example.com")
    end)

    it("adds OPT where the upstream has none, and truncates no answer", function()
        local server = net.server()
        local own = proxy.start { code = "function dns_request() error 'x' end", upstream = server, args = { "--errors-in-answers" } }
        local client = own:udp()
        for _, case in ipairs { { 100, "script.lua:1: x" }, { 1160, nil } } do -- the second fills up the client's 1232 bytes
            client:send(wire.query("a.example", "TYPE65280", { edns = true }))
            local query, send = server:receive()
            send(wire.answer(query, { wire.record("a.example", "TYPE65280", ("x"):rep(case[1])) }))
            local answer = wire.parse(assert(client:receive()))
            assert.equal(1, #answer.answers)
            local data = answer.opt.data
            assert.equal(case[2], data ~= "" and data:sub(7) or nil)
        end
    end)

    it("is off by default", function()
        local own = proxy.start { code = SCRIPT, upstream = knot }
        assert.is_nil(own:dig("mail.example.com").text:find "EDE")
    end)
end)
