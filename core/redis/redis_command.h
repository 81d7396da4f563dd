/* The calls to a shared store as Redis commands, and their replies. */
#ifndef MOONDNS_REDIS_COMMAND_H
#define MOONDNS_REDIS_COMMAND_H

#include "data/shared_call.h"

#include <hiredis/hiredis.h>

/* More than these is refused, both ways: a server with a terabyte is not to end up in a script. */
enum { REDIS_TEXT_MAX = 4 << 20 /* bytes of a key with its value */, REDIS_KEYS_MAX = 64 << 20 };

/* The command for a call, in Redis's protocol; its keys begin with `prefix`. The caller owns `*out` (redisFreeCommand).
 * STATUS_NO_SPACE: too large. STATUS_NO_MEMORY. */
MUST_CHECK enum status redis_command_make(const struct shared_call *call, const char *prefix, char **out,
                                          size_t *length);

/* One step through the keys that begin with `prefix` and `key`: `cursor` is "0" at first. The same. */
MUST_CHECK enum status redis_command_scan(const char *prefix, struct shared_text key, const char *cursor, char **out,
                                          size_t *length);

/* The answer of a reply, which it borrows; not for SHARED_KEYS. */
void redis_reply_read(enum shared_verb verb, const redisReply *reply, struct shared_answer *out);

/* Appends a scan's keys without their first `prefix_length` bytes (see shared_store_keys); `*cursor` is where the next
 * step begins, "0" when this was the last, and lies in the reply. NULL, or why it can't be read. */
const char *redis_reply_scan(const redisReply *reply, size_t prefix_length, struct buffer *keys, const char **cursor);

#endif
