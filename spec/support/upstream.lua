-- Real authoritative servers as upstreams: knot and nsd on a free port of the loopback, with the same signed zone.
local dig = require "spec.support.dig"
local files = require "spec.support.files"
local ports = require "spec.support.ports"
local process = require "spec.support.process"
local wait = require "spec.support.wait"

local M = {}

M.ORIGIN = "example.com"
M.ZONE_PATH = "spec/support/example.zone"

-- The text of example.zone, signed now (DNSSEC, NSEC), one record a line.
function M.signed_zone()
    local folder = files.temp_folder()
    files.write(folder .. "/zone", files.read(M.ZONE_PATH))
    local keys = process.run({ "ldns-keygen", "-a", "ECDSAP256SHA256", M.ORIGIN }, { folder = folder })
    local key = assert(keys.out:match "%S+", keys.err)
    local signing = process.run({ "ldns-signzone", "-f", "signed", "zone", key }, { folder = folder })
    assert(signing.code == 0, signing.err)
    return files.read(folder .. "/signed")
end

-- Every pair of owner and type in a zone's text with one record a line, in order: {{name, type}, …}.
function M.records_of(zone_text)
    local seen, list = {}, {}
    for line in zone_text:gmatch "[^\n]+" do
        local name, kind = line:match "^(%S+)%s+%d+%s+IN%s+(%S+)"
        local key = name and name:lower() .. " " .. kind
        if name and not seen[key] then
            seen[key] = true
            list[#list + 1] = { name = name, type = kind }
        end
    end
    return list
end

local function wait_serving(server)
    wait.eventually(function()
        assert(not server.process:ended(), "it ended")
        return dig.dig(server.port, M.ORIGIN .. " SOA +time=1").rcode == "NOERROR"
    end, function()
        return server.process.name .. " to serve; it printed:\n" .. server.process:output()
    end)
    return server
end

local KNOT = [[
server:
    listen: 127.0.0.1@PORT
    rundir: FOLDER
    udp-workers: 1
    tcp-workers: 1
    background-workers: 1
log:
  - target: stderr
    any: warning
database:
    storage: FOLDER
key:
  - id: spec
    algorithm: hmac-sha256
    secret: c3BlYyBzZWNyZXQgb2YgdGhpcnR5LXR3byBieXRlcw==
acl:
  - id: signed
    key: spec
    action: [transfer, update]
  - id: open
    address: 127.0.0.1
    action: transfer
zone:
  - domain: example.com
    acl: [signed, open]
    storage: FOLDER
    file: zone
    zonefile-sync: -1
    zonefile-load: difference
    journal-content: changes
]]

-- The TSIG key that knot knows; its owner may change the zone.
M.KEY = "hmac-sha256:spec:c3BlYyBzZWNyZXQgb2YgdGhpcnR5LXR3byBieXRlcw=="

-- knotd with a zone's text (by default the one that `signed_zone` gives): {port =, process =, zone_path =, command =}. It gives
-- the zone to anybody on the loopback; after HUP, what changed in the file too. `command` starts it anew.
function M.knot(zone_text)
    local folder, port = files.temp_folder(), ports.free()
    files.write(folder .. "/zone", zone_text or M.signed_zone())
    files.write(folder .. "/knot.conf", (KNOT:gsub("PORT", port):gsub("FOLDER", folder)))
    local command = { "knotd", "-c", folder .. "/knot.conf" }
    local server = process.start(command)
    return wait_serving { port = port, process = server, zone_path = folder .. "/zone", command = command }
end

local NSD = [[
server:
    ip-address: 127.0.0.1@PORT
    username: ""
    chroot: ""
    zonesdir: "FOLDER"
    pidfile: "FOLDER/nsd.pid"
    database: ""
    zonelistfile: "FOLDER/zone.list"
    xfrdfile: "FOLDER/xfrd.state"
    xfrdir: "FOLDER"
    server-count: 1
    minimal-responses: no
    tcp-query-count: QUERIES
    tcp-count: 200
remote-control:
    control-enable: no
zone:
    name: example.com
    zonefile: zone
    provide-xfr: 127.0.0.1 NOKEY
]]

-- nsd with a zone's text, as above. `queries`: that it takes on a connection before it closes it.
function M.nsd(zone_text, queries)
    local folder, port = files.temp_folder(), ports.free()
    files.write(folder .. "/zone", zone_text or M.signed_zone())
    files.write(folder .. "/nsd.conf", (NSD:gsub("PORT", port):gsub("FOLDER", folder):gsub("QUERIES", queries or 0)))
    local server = process.start { "nsd", "-d", "-c", folder .. "/nsd.conf" }
    return wait_serving { port = port, process = server }
end

return M
