/* Data by field, as Lua tables: trees of struct dns_value there and back. */
#ifndef MOONDNS_LUA_FIELDS_H
#define MOONDNS_LUA_FIELDS_H

#include "dns/rdata.h"
#include "lua/class.h"

/* Pushes numbers, strings, arrays and tables as the value has them; numbers above 2^53 as their digits. */
void lua_fields_push(lua_State *L, const struct dns_value *value);

/* The tree of the value at `index` (not a relative one): in the workspace's arena, which is not reset, and borrowing
 * the table's strings. Raises "WHAT: KEY: … expected, got …" for what no field can hold. */
struct dns_value *lua_fields_check(lua_State *L, int index, const char *what);

#endif
