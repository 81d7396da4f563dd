/* dns.name and dns.idna: functions on names. */
#ifndef MOONDNS_LUA_NAME_LIBRARY_H
#define MOONDNS_LUA_NAME_LIBRARY_H

#include "lua/class.h"

/* What the two tables hold; for the reference too. */
extern const struct lua_method lua_name_functions[], lua_idna_functions[];

#endif
