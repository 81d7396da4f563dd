/* Data by field, as Lua tables: trees of struct dns_value there and back. */
#ifndef MOONDNS_LUA_FIELDS_H
#define MOONDNS_LUA_FIELDS_H

#include "dns/rdata.h"
#include "lua/class.h"

/* Pushes numbers, strings, arrays and tables as the value has them; numbers above 2^53 as their digits. */
void lua_fields_push(lua_State *L, const struct dns_value *value);

/* The tree of the value at `index` (not a relative one): in the workspace's arena, which is not reset, and borrowing
 * the table's strings. What no field can hold comes as
 * DNS_VALUE_NONE; raises for keys that are none, and for tables nested too deeply. */
struct dns_value *lua_fields_check(lua_State *L, int index, const char *what);

#endif
