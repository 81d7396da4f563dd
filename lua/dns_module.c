/* dns.so: what `require "dns"` and `require "dns.test"` call. */
#include "lua/internal.h"
#include "lua/module.h"

__attribute__((visibility("default"))) int luaopen_dns(lua_State *L);
__attribute__((visibility("default"))) int luaopen_dns_test(lua_State *L);

int luaopen_dns(lua_State *L)
{
    return lua_dns_open(L);
}

int luaopen_dns_test(lua_State *L)
{
    lua_getglobal(L, "require"); /* the classes come first, where all look for them */
    lua_pushliteral(L, "dns");
    lua_call(L, 1, 0);
    return lua_test_open(L);
}
