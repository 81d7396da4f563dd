-- metrics: what scripts declare, count and read, on dns.test.
local test = require "dns.test"
local dns = require "dns"
local files = require "spec.support.files"
local scope = require "spec.support.scope"

describe("metrics", function()
    scope.manage()
    local metrics, addon

    local function load(code)
        return test.load(files.temp_file("script.lua", code or ""))
    end

    before_each(function()
        addon = load()
        metrics = addon.globals.metrics
    end)

    local function raises(text, f, ...)
        local ok, problem = pcall(f, ...)
        assert.is_false(ok)
        assert.truthy(tostring(problem):find(text, 1, true), tostring(problem))
    end

    it("can be read by the test of a script", function()
        local counting = load [[
            local queries = metrics.counter("queries_seen", "Queries seen.", {"type"})
            function dns_request(flow)
                queries:inc({type = dns.types.to_str(flow.request.question.type)})
            end
        ]]
        for _ = 1, 3 do
            counting:run(test.flow { name = "a.example", type = "A" })
        end
        counting:run(test.flow { name = "a.example", type = "MX" })
        assert.equal(3, counting.globals.metrics.get("queries_seen_total", { type = "A" }))
        assert.equal(1, counting.globals.metrics.get("queries_seen", { type = "MX" }))
        assert.equal(0, counting.globals.metrics.get("queries_seen", { type = "TXT" }))
        assert.is_nil(counting.globals.metrics.get "never_declared")
        assert.is_nil(metrics.get "queries_seen") -- another load, another registry
    end)

    it("count, with and without a number", function()
        local counter = metrics.counter("c", "C.")
        assert.equal(0, counter:get())
        counter:inc()
        counter:inc(2.5)
        counter:inc(0)
        assert.equal(3.5, counter:get())
        assert.equal("Counter c_total", tostring(counter))
        assert.equal("Counter", dns.typeof(counter))
        raises("Counter.inc: number from 0 (a gauge can go down) expected, got -1", counter.inc, counter, -1)
        raises("Counter.inc: finite number expected, got", counter.inc, counter, 1 / 0)
        raises("Counter.inc: number expected, got '1'", counter.inc, counter, "1")
        raises("Counter has no property 'set'", function() return counter.set end)
        assert.equal(3.5, counter:get())
    end)

    it("go up and down", function()
        local gauge = metrics.gauge("g", "G.")
        gauge:set(10)
        gauge:inc()
        gauge:dec(4)
        assert.equal(7, gauge:get())
        raises("Gauge.set: number expected, got nil", gauge.set, gauge)
    end)

    it("spread values over buckets", function()
        local histogram = metrics.histogram("h", "H.", { 1, 2.5, 5 })
        for _, value in ipairs { 0.5, 1, 2, 3, 100 } do
            histogram:observe(value)
        end
        local value = histogram:get()
        assert.same({ count = 5, sum = 106.5, buckets = { [1] = 2, [2.5] = 3, [5] = 4, [math.huge] = 5 } }, value)
        assert.equal(0, metrics.histogram("seconds", "S."):get().buckets[0.005])
        raises("buckets[2]: a number above the one before expected, got 1", metrics.histogram, "h2", "H.", { 1, 1 })
        raises("buckets: 1 to 64 upper bounds expected, got 0", metrics.histogram, "h2", "H.", {})
        raises("bound of a bucket (a number) expected, got 'x'", metrics.histogram, "h2", "H.", { "x" })
        raises("buckets[1]: a number above the one before expected, got inf", metrics.histogram, "h2", "H.", { 1 / 0 })
    end)

    it("keep a series for each combination of labels", function()
        local counter = metrics.counter("l", "L.", { "a", "b" })
        counter:inc { a = "1", b = "2" }
        counter:inc(4, { a = "1", b = "3" })
        counter:inc(8, { a = "12", b = "" })
        assert.equal(1, counter:get { a = "1", b = "2" })
        assert.equal(4, counter:get { a = "1", b = "3" })
        assert.equal(8, counter:get { a = "12", b = "" })
        assert.equal(0, counter:get { a = "", b = "12" })
        raises("label 'b': string expected, got nil", counter.inc, counter, { a = "1" })
        raises("label 'b': string expected, got 3", counter.inc, counter, { a = "1", b = 3 })
        raises("'c'", counter.inc, counter, { a = "1", b = "2", c = "3" })
        raises("'l' has labels: table {a = \"…\"} expected, got nil", counter.inc, counter)
    end)

    it("of one name are one metric", function()
        metrics.counter("one_total", "One."):inc()
        assert.equal(1, metrics.counter("one", "Another help."):get())
        raises("'one' is a counter already", metrics.gauge, "one", "One.")
        raises("'one' was declared with other labels", metrics.counter, "one", "One.", { "a" })
        metrics.histogram("spread", "S.", { 1, 2 })
        raises("'spread' was declared with other buckets", metrics.histogram, "spread", "S.", { 1, 3 })
    end)

    it("have names that Prometheus takes and that are not the proxy's", function()
        raises("'a-b' is no name", metrics.counter, "a-b", "A.")
        raises("'9a' is no name", metrics.counter, "9a", "A.")
        raises("'' is no name", metrics.counter, "", "A.")
        raises("colons are for Prometheus's recording rules; use '_'", metrics.counter, "a:b", "A.")
        raises("names that begin with moondns_ or process_ are the proxy's own", metrics.gauge, "moondns_x", "A.")
        raises("_total at the end stands for a counter; leave it out", metrics.gauge, "x_total", "A.")
        raises("_count at the end stands for a part of a metric", metrics.counter, "x_count", "A.")
        raises("a name has 200 bytes at the most", metrics.counter, ("x"):rep(201), "A.")
        raises("help: a sentence that says what 'x' counts or measures expected, got ''", metrics.counter, "x", "")
        raises("metrics.counter: string expected, got nil", metrics.counter, "x")
        raises("call it with a dot", metrics.counter, metrics, "x", "X.")
        raises("'a b' is no label", metrics.counter, "x", "X.", { "a b" })
        raises("names that begin with __ are Prometheus's own", metrics.counter, "x", "X.", { "__a" })
        raises("label 'le' is a histogram's own", metrics.histogram, "x", "X.", { 1 }, { "le" })
        raises("label 'a' is there twice", metrics.counter, "x", "X.", { "a", "a" })
        raises("label's name expected, got 3", metrics.counter, "x", "X.", { 3 })
        raises("array of up to 8 names expected", metrics.counter, "x", "X.", { a = "b" })
    end)

    it("stay as they are when the registry's other objects are collected", function()
        local counter = load().globals.metrics.counter("kept", "Kept.", { "a" })
        collectgarbage()
        collectgarbage()
        counter:inc { a = "x" }
        assert.equal(1, counter:get { a = "x" })
    end)

    it("do not grow without bound", function()
        local counter = metrics.counter("many", "Many.", { "n" })
        for i = 1, 1100 do
            counter:inc { n = tostring(i) }
        end
        assert.equal(1, counter:get { n = "1000" })
        assert.equal(0, counter:get { n = "1001" })
        counter:inc { n = "1000" }
        assert.equal(2, counter:get { n = "1000" })
    end)
end)
