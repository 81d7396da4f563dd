/* Where a set has its memory from: whoever owns the set gives it, and so sees all of it. (A set that a Lua object owns
 * lives in blobs that Lua's collector counts.) */
#ifndef MOONDNS_DATA_SET_MEMORY_H
#define MOONDNS_DATA_SET_MEMORY_H

#include <stddef.h>

/* The two blocks that a set consists of. */
enum set_part { SET_SLOTS, SET_BYTES };

struct set_memory {
    /* A block of `size` bytes, aligned for any type, in place of the one that this part had. That one stays readable
     * until the next block of this part is asked for, or until the set's function has returned. NULL when there is no
     * memory: then the part keeps the block that it had. */
    void *(*replace)(void *context, enum set_part part, size_t size);
    void *context;
};

#endif
