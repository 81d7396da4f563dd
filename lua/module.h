/* The module `dns`: the codec's classes and tables, without a proxy. */
#ifndef MOONDNS_LUA_MODULE_H
#define MOONDNS_LUA_MODULE_H

#include "lua/class.h"
#include "lua/json.h"
#include "lua/registries.h"

/* Opens the module: pushes the table `dns`, made once for each state. What the entry point of dns.so (luaopen_dns)
 * calls. */
int lua_dns_open(lua_State *L);

#endif
