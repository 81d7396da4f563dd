/* Where a set has its memory from: whoever owns the set gives it, and so sees all of it. (A set that a Lua object owns
 * lives in a blob that Lua's collector counts.) */
#ifndef MOONDNS_DATA_SET_MEMORY_H
#define MOONDNS_DATA_SET_MEMORY_H

#include <stddef.h>

struct set_memory {
    /* A block of `size` bytes, aligned for any type, in place of the one that the set had. That one stays readable
     * until the next block is asked for, or until the set's function has returned. NULL when there is no memory: then
     * the set keeps the block that it had. */
    void *(*replace)(void *context, size_t size);
    void *context;
};

#endif
