-- Scripts for dns.test from their text, in a folder of the spec's own: `addons.manage()` at the top of the file.
local assert = require "luassert"
local test = require "dns.test"

local M = { folder = nil } -- the folder's path

function M.manage()
    local busted = getfenv(2)
    busted.setup(function()
        M.folder = os.tmpname()
        os.remove(M.folder)
        assert.equal(0, os.execute("mkdir " .. M.folder))
    end)
    busted.teardown(function() os.execute("rm -r " .. M.folder) end)
end

-- Writes a file into the folder, and gives its path.
function M.write(name, text)
    local path = M.folder .. "/" .. name
    local file = assert(io.open(path, "w"))
    file:write(text)
    file:close()
    return path
end

-- The addon of a script of this text.
function M.load(text, options) return test.load(M.write("script.lua", text), options) end

-- f(…) must raise a text that matches.
function M.raises(pattern, f, ...)
    local ok, message = pcall(f, ...)
    assert.is_false(ok, "nothing was raised; expected: " .. pattern)
    assert.matches(pattern, message)
end

return M
