-- Files and folders of a test; they go when its scope ends.
local scope = require "spec.support.scope"
local stdlib = require "posix.stdlib"
local unistd = require "posix.unistd"
local stat = require "posix.sys.stat"
local dirent = require "posix.dirent"

local M = {}

function M.read(path)
    local file = assert(io.open(path, "rb"))
    local text = file:read "*a"
    file:close()
    return text
end

-- Writes in place, as `echo >` does.
function M.write(path, text)
    local file = assert(io.open(path, "wb"))
    assert(file:write(text))
    assert(file:close())
    return path
end

-- Writes beside it and renames, as many editors do.
function M.replace(path, text)
    M.write(path .. ".new", text)
    assert(os.rename(path .. ".new", path))
    return path
end

local function remove_tree(path)
    for name in dirent.files(path) do
        if name ~= "." and name ~= ".." then
            local entry = path .. "/" .. name
            local info = stat.lstat(entry)
            if info and stat.S_ISDIR(info.st_mode) ~= 0 then
                remove_tree(entry)
            else
                os.remove(entry)
            end
        end
    end
    unistd.rmdir(path)
end

function M.make_folder(path)
    assert(stat.mkdir(path, tonumber("755", 8)))
    return path
end

function M.temp_folder()
    local path = assert(stdlib.mkdtemp((os.getenv "TMPDIR" or "/tmp") .. "/moondns-spec-XXXXXX"))
    scope.on_end(function()
        remove_tree(path)
    end)
    return path
end

-- A file of its own in a folder of its own.
function M.temp_file(name, text)
    return M.write(M.temp_folder() .. "/" .. name, text)
end

return M
