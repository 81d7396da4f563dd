/* Libraries that end the process when they get no memory: whether they will get it is tried before. */
#ifndef MOONDNS_BASE_ROOM_H
#define MOONDNS_BASE_ROOM_H

#include <stdbool.h>

enum { ROOM_BYTES = 16384 /* several times what one of their calls takes, in blocks of at most some 1000 bytes */ };

/* Whether there is room for what such a call takes, right behind this one and in the same thread: what the allocator
 * had for one large block just now, it has for small ones. */
bool room_is_there(void);

#endif
