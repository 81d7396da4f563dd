/* The module `dns`: the codec's classes and tables, without a proxy. */
#ifndef MOONDNS_LUA_MODULE_H
#define MOONDNS_LUA_MODULE_H

#include "lua/class.h"

/* Opens the module: pushes the table `dns`, made once for each state. What the entry point of dns.so (luaopen_dns) calls. */
int lua_dns_open(lua_State *L);

/* dns.json: cJSON to Lua and back. Push takes ownership of nothing. */
struct cJSON;
void lua_json_push(lua_State *L, const struct cJSON *json);

/* The value at `index` as cJSON that the caller owns (userdata through their to_json; tables as arrays when they have only
 * 1…n or are marked by dns.json.array). NULL with a reason for what JSON cannot hold. May raise only out of memory. */
struct cJSON *lua_json_from(lua_State *L, int index, struct reason *reason);

/* Registries: pushes dns.types and the like; takes a number or a name at `index`, raising with `what`. */
uint16_t lua_check_registered(lua_State *L, int index, int registry, const char *what);

#endif
