/* The IANA registries as Lua tables: dns.types and the like. */
#ifndef MOONDNS_LUA_REGISTRIES_H
#define MOONDNS_LUA_REGISTRIES_H

#include "dns/registry.h"
#include "lua/class.h"

struct lua_registry {
    enum dns_registry number;
    const char *name; /* of its table in `dns` */
    const char *what; /* what its numbers are, in words */
    int most;         /* the largest number */
    const char *doc;
};

/* Ended by a NULL name. */
extern const struct lua_registry lua_registries[];

/* Sets the tables as fields of the table at the top. */
void lua_registries_open(lua_State *L);

/* The number that a number or a name at `index` stands for; raises with `what`. */
uint16_t lua_check_registered(lua_State *L, int index, int registry, const char *what);

#endif
