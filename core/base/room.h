/* Libraries that end the process when they get no memory, or no thread: whether they will get it is tried before. */
#ifndef MOONDNS_BASE_ROOM_H
#define MOONDNS_BASE_ROOM_H

#include <stdbool.h>
#include <stddef.h>

enum { ROOM_BYTES = 16384 /* several times what a call takes, in blocks of some 1000 bytes at most */ };

/* Whether there is room for what a call takes, right behind this one and in the same thread: what the allocator had for
 * one large block just now, it has for small ones. */
bool room_is_there(size_t bytes);

/* A block that is kept for a call to come, before which nothing can be refused any more: room_give makes it room as
 * above. NULL when there is no memory; NULL is fine. */
void *room_keep(size_t bytes);
void room_give(void *kept);

/* Whether a thread can be started. */
bool room_has_thread(void);

#endif
