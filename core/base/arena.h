/* Memory that is given out piece by piece and taken back all at once. */
#ifndef MOONDNS_BASE_ARENA_H
#define MOONDNS_BASE_ARENA_H

#include <stddef.h>

struct arena_block;

/* All zeros is a valid empty arena. */
struct arena {
    struct arena_block *first;
};

/* `size` zeroed bytes, aligned for any type, owned by the arena; NULL when there is no memory. */
void *arena_alloc(struct arena *arena, size_t size);

/* A copy of `length` bytes with a NUL behind them, owned by the arena; NULL when there is no memory. */
void *arena_copy(struct arena *arena, const void *data, size_t length);

/* Takes back all that was given out; keeps the newest block for the next use. */
void arena_reset(struct arena *arena);

/* Takes back everything and frees it. */
void arena_free(struct arena *arena);

#endif
