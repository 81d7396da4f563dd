/* dns.Zone: a plain array of ResourceRecord with a metatable of its own, which holds the zone that answers come from:
 * one blob in Lua's memory. */
#ifndef MOONDNS_LUA_ZONE_CLASS_H
#define MOONDNS_LUA_ZONE_CLASS_H

#include "lua/class.h"

extern const struct lua_class lua_zone_class;

struct zone;

/* The zone of the value at `index`, NULL when it is none. */
const struct zone *lua_zone_test(lua_State *L, int index);

#endif
