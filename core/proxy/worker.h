/* A worker: one thread's event loop with its net, its exchange and its printer. What runs hooks is put in from outside.
 */
#ifndef MOONDNS_PROXY_WORKER_H
#define MOONDNS_PROXY_WORKER_H

#include "flow/exchange.h"
#include "net/net.h"
#include "proxy/options.h"

struct worker;

struct worker_config {
    const struct options *options; /* borrowed for the worker's life, like `log` */
    const struct log *log;
    bool colour;                     /* flows are printed in colour */
    struct flow_observer *observers; /* further ones, which see what the printer sees; borrowed */
    struct rate_limit *rate_limit;   /* all workers' together; borrowed; NULL: none */
    const int *inherited; /* sockets to serve on, in place of the default address (borrowed for worker_new) */
    size_t inherited_count;
    bool silent; /* another worker says what concerns all of them */

    /* A stream client came or went. */
    void (*on_connection)(void *context, const struct reply_to *connection, bool connected);
    /* In the worker's thread, after worker_wake. */
    void (*on_woken)(void *context);
    /* Once, in the worker's thread: worker_stop was called and the queries in flight go on. */
    void (*on_draining)(void *context);
    void *context;
};

MUST_CHECK enum status worker_new(const struct worker_config *config, struct worker **out, struct reason *reason);

/* Opens the listeners; `sibling` is NULL or a bound worker whose ports are shared. Any thread, before worker_start. */
MUST_CHECK enum status worker_bind(struct worker *worker, const struct worker *sibling, struct reason *reason);

/* Starts to serve with these hooks (NULL: none). */
MUST_CHECK enum status worker_start(struct worker *worker, struct hooks *hooks, struct reason *reason);

/* Runs the loop until the worker is stopped and has drained (5 s at most). In the worker's thread. */
void worker_run(struct worker *worker);

/* From any thread: stop (the listeners close, queries in flight are answered; the second call ends at once). */
void worker_stop(struct worker *worker);

/* From any thread: has on_woken called, soon and at least once after this. */
void worker_wake(struct worker *worker);

/* Ends the exchange: all flows let go of their hooks. The worker can't serve any more. */
void worker_end_flows(struct worker *worker);
void worker_free(struct worker *worker); /* NULL is fine */

/* For what is put in: the loop, the net, and the exchange (NULL before worker_start), all in the worker's thread. */
struct event_base *worker_base(struct worker *worker);
struct net *worker_net(struct worker *worker);
struct exchange *worker_exchange(struct worker *worker);

#endif
