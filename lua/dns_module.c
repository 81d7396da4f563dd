/* dns.so: what `require "dns"` calls. */
#include "lua/module.h"

#include <lualib.h>

__attribute__((visibility("default"))) int luaopen_dns(lua_State *L);

int luaopen_dns(lua_State *L)
{
    return lua_dns_open(L);
}
