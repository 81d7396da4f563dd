/* One connection to a Redis server, on libevent, which speaks Redis's protocol through hiredis's reader. hiredis's own
 * asynchronous connections end the process where they have no memory; these do not: what cannot be had costs a command,
 * or the connection. */
#ifndef MOONDNS_REDIS_WIRE_H
#define MOONDNS_REDIS_WIRE_H

#include "base/address.h"

#include <hiredis/hiredis.h>
#include <stddef.h>

struct event_base;
struct redis_wire;

/* A command's reply, borrowed for the call; NULL: the connection ended first. */
typedef void redis_wire_fn(void *context, const redisReply *reply);

struct redis_wire_config {
    struct event_base *base;
    const char *path;       /* of a Unix socket, borrowed for redis_wire_new; NULL: `address` */
    struct address address; /* with its port */
    /* The connection is lost, or was never made: frees the wire. Called once, from the loop, not from within a call of
     * these functions. `why` lies in the wire. */
    void (*lost)(void *context, const char *why);
    void *context;
};

/* Begins to connect; commands may be sent at once. STATUS_NO_MEMORY, or STATUS_IO with the reason. */
MUST_CHECK enum status redis_wire_new(const struct redis_wire_config *config, struct redis_wire **out,
                                      struct reason *reason);

/* Commands that wait get NULL: at once, or where this is called from within a reply, right after it. Closes the socket
 * first; `lost` is not called. */
void redis_wire_free(struct redis_wire *wire);

/* Sends a command in the protocol's form, borrowed; `fn` gets its reply. STATUS_NO_MEMORY: nothing was sent. */
MUST_CHECK enum status redis_wire_send(struct redis_wire *wire, const char *command, size_t length, redis_wire_fn *fn,
                                       void *context);

/* Has the event loop look at the connection again: the system may have had no memory for that before. */
void redis_wire_look(struct redis_wire *wire);

#endif
