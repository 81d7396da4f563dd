/* The cap on a state's memory. */
#ifndef MOONDNS_LUA_ENGINE_MEMORY_H
#define MOONDNS_LUA_ENGINE_MEMORY_H

#include <lua.h>
#include <stdbool.h>

/* Belongs to the engine and outlives the state. */
struct memory {
    lua_Alloc allocate; /* the state's own */
    void *allocator;
    size_t used, limit; /* bytes */
    bool enforced;      /* a script runs: only it meets the limit, as only its errors are caught */
    bool exhausted;     /* since the last memory_settle an allocation was refused */
    bool pressed;       /* the collector has been told to hurry */
};

/* Puts the cap between the state and its allocator. */
void memory_install(struct memory *memory, lua_State *L, size_t limit);

/* To be called when no script runs: after a refusal collects what can be collected and answers true; the closer to the
 * limit, the more often the collector starts. */
bool memory_settle(struct memory *memory, lua_State *L);

#endif
