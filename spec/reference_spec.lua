-- docs/api.md is what the binding says of itself.
local files = require "spec.support.files"
local process = require "spec.support.process"
local proxy = require "spec.support.proxy"
local scope = require "spec.support.scope"

describe("docs/api.md", function()
    scope.manage()

    it("is the reference as `make docs` writes it, with words for every member", function()
        local reference = proxy.binary:gsub("moondns$", "reference")
        local result = process.run { reference, "docs/api.template" }
        assert.equal(0, result.code, result.err)
        assert.is_true(result.out == files.read "docs/api.md", "it is out of date: run `make docs`")
    end)
end)
