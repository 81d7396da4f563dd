-- What `make install` puts in place works from there.
local dig = require "spec.support.dig"
local files = require "spec.support.files"
local process = require "spec.support.process"
local proxy = require "spec.support.proxy"
local scope = require "spec.support.scope"
local stat = require "posix.sys.stat"

describe("an installation", function()
    scope.manage()
    local root

    setup(function()
        root = files.temp_folder()
        local build = os.getenv "MOONDNS_BUILD" or "build"
        local result = process.run({ "cmake", "--install", build, "--prefix", "/opt/moondns" }, { environment = { DESTDIR = root } })
        assert.equal(0, result.code, result.err)
        root = root .. "/opt/moondns"
    end)

    it("has the binary, the module, the man page, the documents and every example", function()
        local expected = { "bin/moondns", "lib/lua/5.1/dns.so", "share/man/man1/moondns.1", "share/moondns/moondns.json",
            "etc/moondns/moondns.json", "lib/systemd/system/moondns.service", "lib/systemd/system/moondns.socket" }
        for path in io.popen "ls scripts/*.lua":lines() do
            expected[#expected + 1] = "share/moondns/" .. path
        end
        for path in io.popen "ls docs/*.md docs/recipes/*.lua":lines() do
            expected[#expected + 1] = "share/doc/moondns/" .. path:gsub("^docs/", "")
        end
        for _, path in ipairs(expected) do
            assert.truthy(stat.stat(root .. "/" .. path), path)
        end
    end)

    it("leaves a configuration as it is", function()
        files.write(root .. "/etc/moondns/moondns.json", "{}")
        local build = os.getenv "MOONDNS_BUILD" or "build"
        local result = process.run({ "cmake", "--install", build, "--prefix", "/opt/moondns" },
            { environment = { DESTDIR = (root:gsub("/opt/moondns$", "")) } })
        assert.equal(0, result.code, result.err)
        assert.equal("{}", files.read(root .. "/etc/moondns/moondns.json"))
        local unit = files.read(root .. "/lib/systemd/system/moondns.service")
        assert.truthy(unit:find("ExecStart=/opt/moondns/bin/moondns -C /opt/moondns/etc/moondns/moondns.json", 1, true))
    end)

    it("runs an example", function()
        local binary = proxy.binary
        finally(function()
            proxy.binary = binary
        end)
        proxy.binary = root .. "/bin/moondns"
        local moondns = proxy.start { script = root .. "/share/moondns/scripts/spoof.lua", folder = "/" }
        assert.same({ "127.0.0.1" }, dig.data(moondns:dig "example.com"))
    end)

    it("gives LuaJIT the module", function()
        local result = process.run({ "luajit", "-e", [[
            local dns = require "dns"
            local query = dns.DNSMessage.make_query("example.com", "A")
            assert(dns.DNSMessage.unpack(query.packed) == query)
        ]] }, { environment = { LUA_CPATH = root .. "/lib/lua/5.1/?.so" } })
        assert.equal(0, result.code, result.err)
    end)
end)
