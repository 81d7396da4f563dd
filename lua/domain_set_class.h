/* dns.DomainSet. What it holds is in a blob of its slot. */
#ifndef MOONDNS_LUA_DOMAIN_SET_CLASS_H
#define MOONDNS_LUA_DOMAIN_SET_CLASS_H

#include "lua/class.h"

extern const struct lua_class lua_domain_set_class;

#endif
