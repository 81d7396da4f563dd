-- The work that the soak gives its scripts: it answers the questions of questions.c at once, later, by way of the
-- upstream and with the shared store, and it raises errors. What replaces VERSION tells one from the next.
local VERSION = 0

local function number_of(question)
    return tonumber(question.name:match "^%a(%d+)%.")
end

local function address(first, second, number)
    return ("%d.%d.%d.%d"):format(first, second, math.floor(number / 256), number % 256)
end

local function answer(flow, first, second, ttl)
    local question = flow.request.question
    local record = dns.ResourceRecord.A(question.name, address(first, second, number_of(question)), ttl)
    flow.response = flow.request:succeed { record }
end

local works = {}

function works.r(flow)
    local number = number_of(flow.request.question)
    local found, problem = dns.resolve(("h%05d.example.com"):format(number), "A")
    local record = found and found.answers[1]
    if record then
        flow.response = flow.request:succeed {
            dns.ResourceRecord.A(flow.request.question.name, record.ipv4_address),
        }
    else
        flow.error = problem or "no address"
    end
end

function works.s(flow)
    sleep(number_of(flow.request.question) % 100 / 1000)
    answer(flow, 127, 3)
end

function works.c(flow)
    local number = number_of(flow.request.question)
    shared.incr("all", 1)
    shared.incr("name " .. number, 1, 0, 30)
    answer(flow, 127, 4)
end

function works.v(flow)
    answer(flow, 127, 5, VERSION)
end

function works.e()
    error "made by the soak"
end

local kept = persist("kept", { loaded = 0 })
local seen = {}

function load()
    kept.loaded = kept.loaded + 1
end

function dns_request(flow)
    local question = flow.request.question
    local kind = question and question.name:match "^(%a)%d%d%d%d%d%."
    local work = works[kind]
    if work then
        seen[question.name] = (seen[question.name] or 0) + 1
        flow.metadata.kind = kind
        work(flow)
    end
end

function dns_response(flow)
    local question = flow.request.question
    if question and flow.response and question.name:match "^w%d%d%d%d%d%.example%.com$" then
        for _, record in ipairs(flow.response.answers) do
            if record.type == dns.types.A then
                record.ipv4_address = address(127, 2, number_of(question))
            end
        end
    end
end

function dns_error(flow)
    flow.comment = flow.error and flow.error.msg or ""
end

timer.every(1, function()
    shared.set("loaded", kept.loaded, 5)
end)
