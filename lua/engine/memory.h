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
    bool exhausted;     /* an allocation was refused */
    int pause;          /* what the collector has been told, in percent */
};

/* Puts the cap between the state and its allocator. */
void memory_install(struct memory *memory, lua_State *L, size_t limit);

/* Tells the collector when to start: a small heap may grow by a few megabytes before it is worth marking once more, one
 * that comes near the limit must be collected early. */
void memory_pace(struct memory *memory, lua_State *L);

/* Collects what can be collected, after a refusal. */
void memory_relieve(struct memory *memory, lua_State *L);

#endif
