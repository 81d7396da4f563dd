/* The Lua side (lua/lib/NAME.lua), embedded at build time. */
#ifndef MOONDNS_LUA_LIB_H
#define MOONDNS_LUA_LIB_H

#include <lua.h>
#include <stddef.h>

struct lua_lib {
    const char *name; /* "dns.test" for lib/dns.test.lua */
    const unsigned char *source;
    size_t length;
};

/* Ended by a NULL name. */
extern const struct lua_lib lua_libs[];

/* Loads the embedded chunk NAME and pushes it as a function; raises when it does not compile. */
void lua_lib_load(lua_State *L, const char *name);

#endif
