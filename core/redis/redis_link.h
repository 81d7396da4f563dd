/* The connection to a Redis server: reaches it, says who we are, and reaches it again when it is lost. What is sent on
 * it is its owner's. */
#ifndef MOONDNS_REDIS_LINK_H
#define MOONDNS_REDIS_LINK_H

#include "redis/redis_store.h"
#include "redis/redis_wire.h"

struct redis_link;

enum redis_link_state {
    REDIS_LINK_DOWN,    /* the last attempt failed; redis_link_why says how */
    REDIS_LINK_HOPEFUL, /* nothing failed yet, or a good connection was lost just now: it is worth to wait */
    REDIS_LINK_UP,
};

struct redis_link_config {
    struct redis_store_config store;
    void (*up)(void *context);   /* redis_link_wire is there */
    void (*down)(void *context); /* it was hoped for in vain */
    void *context;
};

/* Down, and stays so until it is started. NULL when there is no memory. */
struct redis_link *redis_link_new(const struct redis_link_config *config);
void redis_link_start(struct redis_link *link);

/* Replies that are waited for come as NULL. NULL is fine. Not from within a reply. */
void redis_link_free(struct redis_link *link);

enum redis_link_state redis_link_state(const struct redis_link *link);

/* Ready for commands; NULL unless the link is up. */
struct redis_wire *redis_link_wire(const struct redis_link *link);

/* The server does not answer: gives the connection up. Not from within a reply. */
void redis_link_drop(struct redis_link *link, const char *why);

/* In words for a script: "Redis at 127.0.0.1:6379 is away: Connection refused". */
const char *redis_link_why(const struct redis_link *link);

#endif
