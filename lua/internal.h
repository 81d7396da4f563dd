/* What the Lua side (lua/lib) needs of C and scripts do not see. */
#ifndef MOONDNS_LUA_INTERNAL_H
#define MOONDNS_LUA_INTERNAL_H

#include <lua.h>

/* Pushes what the embedded chunk NAME returns. It is run once for each state, and gets one argument, the table
 * `internal`: nearest(word, names), builtin (a set of module names), lib(name) (this function), prepare(flow, …),
 * random_u32(), and say(text) where somebody listens: tells the user. */
void lua_internal_lib(lua_State *L, const char *name);

/* The entry point of `require "dns.test"`. */
int lua_test_open(lua_State *L);

#endif
