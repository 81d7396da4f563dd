-- HTTP servers (spec/support/http_server.py), and certificates that a test makes itself.
local files = require "spec.support.files"
local ports = require "spec.support.ports"
local process = require "spec.support.process"

local M = {}

-- Servers over HTTP (`false`) or HTTPS (the path of a file with certificate and key), one for each argument:
-- {process =, ports = {…}}.
function M.serve(...)
    local argv, self = { "/usr/bin/python3", "spec/support/http_server.py" }, { ports = {} }
    for i = 1, select("#", ...) do
        local pem = select(i, ...)
        self.ports[i] = ports.free()
        argv[i + 2] = self.ports[i] .. (pem and "=" .. pem or "")
    end
    self.process = process.start(argv)
    self.process:wait_output "ready"
    return self
end

local function openssl(folder, ...)
    local result = process.run({ "openssl", ... }, { folder = folder })
    assert(result.code == 0, result.err)
end

local NEW_KEY = { "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout" }

local function request(folder, name, ...)
    local arguments = { "req", "-new", "-subj", "/CN=" .. name, "-out", name .. ".out", unpack(NEW_KEY) }
    arguments[#arguments + 1] = name .. ".key"
    for i = 1, select("#", ...) do
        arguments[#arguments + 1] = (select(i, ...))
    end
    openssl(folder, unpack(arguments))
end

local function join(folder, name)
    return files.write(folder .. "/" .. name .. ".pem", files.read(folder .. "/" .. name .. ".out") .. files.read(folder .. "/" .. name .. ".key"))
end

-- An authority: {path = its certificate, sign(name, alternatives [, days]) = a file with a server's certificate and key}.
-- Alternatives are as "DNS:good.example,IP:127.0.0.1". self_signed(name, alternatives) is signed by nobody else.
function M.authority()
    local folder = files.temp_folder()
    request(folder, "authority", "-x509", "-days", "2")
    local self = { path = folder .. "/authority.out" }
    function self.sign(name, alternatives, days)
        request(folder, name, "-addext", "subjectAltName=" .. alternatives)
        assert(os.rename(folder .. "/" .. name .. ".out", folder .. "/" .. name .. ".csr"))
        openssl(folder, "x509", "-req", "-in", name .. ".csr", "-CA", "authority.out", "-CAkey", "authority.key",
            "-days", tostring(days or 2), "-copy_extensions", "copy", "-out", name .. ".out")
        return join(folder, name)
    end
    function self.self_signed(name, alternatives)
        request(folder, name, "-x509", "-days", "2", "-addext", "subjectAltName=" .. alternatives)
        return join(folder, name)
    end
    return self
end

return M
