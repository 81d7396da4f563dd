/* shared, kept by a store that is asked over the network: the script waits for the answer. */
#ifndef MOONDNS_LUA_ENGINE_SHARED_WAIT_H
#define MOONDNS_LUA_ENGINE_SHARED_WAIT_H

#include "lua/shared_library.h"

/* struct lua_shared's `wait`; the context is the engine, whose configuration has the store. */
int shared_wait(lua_State *L, void *context, const struct shared_call *call, const char *what);

#endif
