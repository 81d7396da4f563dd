-- The same works for dnsdist: by its compiled rules, and by its fastest way into Lua (FFI, no objects made).
local M = {}

local START = [[
setLocal("127.0.0.1:%d")
setACL("127.0.0.0/8")
setSecurityPollSuffix("")
setUDPMultipleMessagesVectorSize(64)
newServer({address = "127.0.0.1:%d", checkInterval = 10})
]]

local READ_NAME = [[
  local ffi = require "ffi"
  local C, at, length = ffi.C, ffi.new "const char *[1]", ffi.new "size_t[1]"
  local function name(dq)
    C.dnsdist_ffi_dnsquestion_get_qname_raw(dq, at, length)
    return ffi.string(at[0], length[0])
  end
]]

local function lua(action, code)
    return ("%s(AllRule(), %s([[%s]]))"):format(action == "LuaFFIPerThreadAction" and "addAction" or "addResponseAction",
        action, code)
end

local rules = {
    spoof = [[addAction(AllRule(), SpoofAction({"127.0.0.1"}, {ttl = 300}))]],
    refuse = [[addAction(RegexRule("malware"), RCodeAction(DNSRCode.NXDOMAIN))]],
    forward = "",
    tcp = "",
}

local scripts = {
    spoof = lua("LuaFFIPerThreadAction", [[
  local ffi = require "ffi"
  local address = ffi.new "dnsdist_ffi_raw_value_t[1]"
  local bytes = "\127\0\0\1"
  address[0].value, address[0].size = bytes, #bytes
  return function(dq)
    ffi.C.dnsdist_ffi_dnsquestion_spoof_addrs(dq, address, 1)
    return DNSAction.HeaderModify
  end]]),
    refuse = lua("LuaFFIPerThreadAction", READ_NAME .. [[
  return function(dq)
    return name(dq):find("malware", 1, true) and DNSAction.Nxdomain or DNSAction.None
  end]]),
    rewrite = lua("LuaFFIPerThreadResponseAction", [[
  local ffi = require "ffi"
  local function name_end(wire, at)
    while wire[at] ~= 0 and wire[at] < 192 do at = at + wire[at] + 1 end
    return at + (wire[at] == 0 and 1 or 2)
  end
  return function(dr)
    local wire = ffi.cast("uint8_t *", ffi.C.dnsdist_ffi_dnsquestion_get_header(dr))
    local length = ffi.C.dnsdist_ffi_dnsquestion_get_len(dr)
    local at = name_end(wire, 12) + 4
    for _ = 1, wire[6] * 256 + wire[7] do
      local data = name_end(wire, at) + 10
      local size = wire[data - 2] * 256 + wire[data - 1]
      if data + size > length then break end
      if wire[data - 10] == 0 and wire[data - 9] == 1 and size == 4 then
        wire[data], wire[data + 1], wire[data + 2], wire[data + 3] = 127, 0, 0, 1
      end
      at = data + size
    end
    return DNSResponseAction.None
  end]]),
    count = lua("LuaFFIPerThreadAction", READ_NAME .. [[
  local seen = {}
  return function(dq)
    if C.dnsdist_ffi_dnsquestion_get_qtype(dq) == 1 then
      local asked = name(dq)
      seen[asked] = (seen[asked] or 0) + 1
    end
    return DNSAction.None
  end]]),
}

-- Its configuration for a work, in rules or in Lua; nil where it has no way to do it so.
function M.configuration(work, in_lua, port, upstream)
    local text = (in_lua and scripts or rules)[work]
    return text and START:format(port, upstream) .. text .. "\n"
end

return M
