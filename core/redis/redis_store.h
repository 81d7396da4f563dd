/* The store that scripts have as `shared`, in a Redis server: one connection, on one thread's event loop. Calls are
 * pipelined, and each ends within REDIS_CALL_MS: with an answer, or with what is wrong. While the server is known to be
 * away they fail at once, and the store tries to reach it again, at growing intervals. */
#ifndef MOONDNS_REDIS_STORE_H
#define MOONDNS_REDIS_STORE_H

#include "base/log.h"
#include "data/shared_call.h"
#include "redis/redis_url.h"

struct event_base;
struct redis_store;
struct redis_request;

enum {
    REDIS_CALL_MS = 500,        /* for one call; looking for keys: for each step */
    REDIS_REQUESTS_MAX = 65536, /* calls that wait, at one time, and … */
    REDIS_BYTES_MAX = 64 << 20, /* … of so many bytes */
};

struct redis_store_config {
    const struct redis_url *url; /* borrowed for the store's life, like `base` and `log` */
    struct event_base *base;
    const struct log *log;
    bool silent; /* another store does the same and tells of it */
};

/* Reaches for nobody yet: calls fail. NULL when there is no memory. */
struct redis_store *redis_store_new(const struct redis_store_config *config);

/* Connects, from the event loop on. */
void redis_store_start(struct redis_store *store);

/* Calls that wait are forgotten. Not from within `finished`. */
void redis_store_free(struct redis_store *store); /* NULL is fine */

/* Makes the call. On success `finished` is called once, from the event loop, with an answer that it borrows; until then
 * `*out` is what redis_store_forget takes. STATUS_IO with the reason: it can't be made now; STATUS_NO_SPACE: too large;
 * STATUS_NO_MEMORY. */
MUST_CHECK enum status redis_store_call(struct redis_store *store, const struct shared_call *call,
                                        void (*finished)(void *context, const struct shared_answer *answer),
                                        void *context, struct redis_request **out, struct reason *reason);

struct redis_counters {
    uint64_t answered, failed; /* calls: that the server answered; that it could not, or nobody could make */
    bool is_up;                /* now */
};
struct redis_counters redis_store_counters(const struct redis_store *store);

/* `finished` is not called any more; what the call does is done all the same. */
void redis_store_forget(struct redis_request *request);

#endif
