/* dns.AddressSet. What it holds is in a blob of its slot. */
#ifndef MOONDNS_LUA_ADDRESS_SET_CLASS_H
#define MOONDNS_LUA_ADDRESS_SET_CLASS_H

#include "lua/class.h"

extern const struct lua_class lua_address_set_class;

#endif
