/* A state's memory: the cap on it, and the blocks that it gave back and will soon want again. Each query's objects are
 * of the same few sizes, so a list for each size finds a block faster than the allocator does, and one that was in use
 * of late. */
#ifndef MOONDNS_LUA_ENGINE_MEMORY_H
#define MOONDNS_LUA_ENGINE_MEMORY_H

#include <lua.h>
#include <stdbool.h>

enum { MEMORY_KEPT_SIZE_MAX = 1024 /* bytes of a block that is worth keeping */ };

struct memory_block;

/* Belongs to the engine and outlives the state. */
struct memory {
    lua_Alloc allocate; /* the state's own */
    void *allocator;
    size_t held, limit; /* bytes that the allocator gave, kept ones included; and how many it may */
    size_t most;        /* that it has given at one time since memory_give_back */
    bool enforced;      /* a script runs: only it meets the limit, as only its errors are caught */
    bool exhausted;     /* an allocation was refused */
    int pause;          /* what the collector has been told, in percent */
    size_t kept_bytes;  /* of them */
    struct memory_block *kept[MEMORY_KEPT_SIZE_MAX + 1]; /* by exact size */
};

/* Bytes that the state has in use. */
static inline size_t memory_used(const struct memory *memory)
{
    return memory->held - memory->kept_bytes;
}

/* Puts the cap between the state and its allocator. */
void memory_install(struct memory *memory, lua_State *L, size_t limit);

/* Bytes that a script may still take. */
static inline size_t memory_left(const struct memory *memory)
{
    size_t used = memory_used(memory);
    return used < memory->limit ? memory->limit - used : 0;
}

/* Tells the collector when to start: a small heap may grow to a multiple before it is worth marking once more, one that
 * comes near the limit must be collected early. */
void memory_pace(struct memory *memory, lua_State *L);

/* Collects what can be collected, after a refusal. */
void memory_relieve(struct memory *memory, lua_State *L);

/* Frees the blocks that are kept, and gives the allocator's free pages back to the system. */
void memory_give_back(struct memory *memory);

/* The same once the state is closed. */
void memory_free(struct memory *memory);

#endif
