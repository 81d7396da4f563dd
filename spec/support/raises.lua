-- raises(expected, f): f must raise just this text, with the place of the calling line in front.
local assert = require "luassert"

return function(expected, f)
    local source = debug.getinfo(f, "S").short_src
    local ok, message = pcall(f)
    assert.is_false(ok, "nothing was raised; expected: " .. expected)
    local place, text = message:match "^(.-:%d+): (.*)$"
    assert.equal(expected, text or message)
    assert.equal(source, place:match "^(.-):%d+$")
end
