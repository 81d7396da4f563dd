/* The HTTP server of --metrics: GET /metrics and GET /health, on a thread of its own. For each request it asks all
 * workers for a snapshot, and waits a second at the most: of one that does not come (a hook that computes) the last one
 * counts. Workers never wait for it. */
#ifndef MOONDNS_OBSERVE_METRICS_SERVER_H
#define MOONDNS_OBSERVE_METRICS_SERVER_H

#include "base/address.h"
#include "base/log.h"
#include "observe/metrics.h"

struct metrics_server;

struct metrics_server_config {
    struct address address; /* port 0: one that is free */
    unsigned workers;
    struct metrics_common common;

    /* Has the worker look at metrics_server_wants soon, in its own thread. Called from the server's thread. */
    void (*wake)(void *context, unsigned worker);
    /* Appends further families; in the server's thread. May be NULL. */
    void (*more)(void *context, struct exposition *out);
    void *context;
    const struct log *log; /* borrowed */
};

/* Opens the port: STATUS_IO, and the reason says what to do. The caller owns the server. */
MUST_CHECK enum status metrics_server_new(const struct metrics_server_config *config, struct metrics_server **out,
                                          struct reason *reason);

/* Starts the thread, with all signals blocked. */
MUST_CHECK enum status metrics_server_start(struct metrics_server *server, struct reason *reason);

/* Ends the thread: no worker is woken any more. NULL is fine. */
void metrics_server_stop(struct metrics_server *server);

/* Frees it, once no worker can ask it anything. NULL is fine. */
void metrics_server_free(struct metrics_server *server);

/* With the port that it has. */
struct address metrics_server_address(const struct metrics_server *server);

/* Whether the worker is to publish a snapshot. In its thread. */
bool metrics_server_wants(struct metrics_server *server, unsigned worker);

/* What the worker is to fill in, with a list of hooks that is empty; and that it has. In its thread. */
struct snapshot *metrics_server_begin(struct metrics_server *server, unsigned worker);
void metrics_server_publish(struct metrics_server *server, unsigned worker);

#endif
