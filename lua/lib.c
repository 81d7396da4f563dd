#include "lua/lib.h"

#include <lauxlib.h>
#include <string.h>

void lua_lib_load(lua_State *L, const char *name)
{
    const struct lua_lib *lib = lua_libs;
    while (lib->name && strcmp(lib->name, name) != 0)
        lib++;
    if (!lib->name)
        luaL_error(L, "no such part of the Lua side: %s", name);
    lua_pushfstring(L, "=%s", name);
    int failed = luaL_loadbuffer(L, (const char *)lib->source, lib->length, lua_tostring(L, -1));
    lua_remove(L, -2);
    if (failed)
        lua_error(L);
}
