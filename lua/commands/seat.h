/* Serving: the process, and its seats: a worker (core) and an engine (Lua) each, on a thread of its own. */
#ifndef MOONDNS_LUA_COMMANDS_SEAT_H
#define MOONDNS_LUA_COMMANDS_SEAT_H

#include "data/shared_store.h"
#include "lua/engine/reloader.h"
#include "proxy/notices.h"
#include "proxy/options.h"
#include "proxy/privileges.h"
#include "proxy/service.h"
#include "proxy/worker.h"
#include "redis/redis_store.h"

#include <pthread.h>
#include <stdatomic.h>

struct attendance;
struct dnstap;
struct dnstap_tap;
struct event;
struct flow_tally;
struct metrics_server;
struct script_metrics;

enum seat_state { SEAT_STARTING, SEAT_SERVES, SEAT_FAILED };

/* One worker and what runs its hooks. The first seat is the main thread's. */
struct seat {
    struct moondns *moondns;
    struct worker *worker;
    struct engine *engine;
    struct flow_tally *tally;  /* what metrics are made of; NULL: none are */
    struct dnstap_tap *tap;    /* NULL: there is no dnstap */
    struct redis_store *redis; /* NULL: `shared` is in memory */
    unsigned number;
    atomic_uint beats; /* how often it was woken: its loop turns */
    pthread_t thread;
    bool has_thread;
    enum seat_state state; /* guarded by moondns->lock */
};

/* The process. */
struct moondns {
    struct options options;
    int argc; /* the command line, for reading its config files again */
    char **argv;
    struct engine_option *engine_options;
    struct renewal *accepted, *offered; /* newer readings of the options; NULL: none */
    struct log log;
    struct report report;
    struct shared_store *shared; /* NULL: each seat has its way to a Redis server */
    struct notices *notices;     /* options that scripts set */
    struct reloader *reloader;
    struct rate_limit *rate_limit; /* NULL: none */
    struct privileges privileges;
    struct service service;
    struct attendance *attendance;  /* what the service manager is told while it serves; NULL: nothing */
    struct metrics_server *metrics; /* NULL: none */
    struct script_metrics *script_metrics;
    struct dnstap *dnstap;          /* NULL: none */
    struct flow_observer *observer; /* one more, of the first seat; NULL: none */
    struct seat *seats;
    unsigned count;
    bool stopping; /* all workers were told to */
    struct event *reload_signal;
    pthread_mutex_t lock;
    pthread_cond_t changed;
};

/* Frees the seats, whose threads have ended. */
void seats_free(struct moondns *moondns);

/* Makes as many seats as there are to be workers; an exit code. */
int seats_make(struct moondns *moondns, struct reason *reason);

/* What the reloader asks for, of the seat of this number; the context is the struct moondns. */
void seat_wake(void *context, unsigned number);
bool seat_prepare_lists(void *context, unsigned number);
void seat_take_lists(void *context, unsigned number);
void seat_drop_lists(void *context, unsigned number);

/* Makes the seat's engine and loads the scripts; in the seat's own thread. Gives an exit code. */
int seat_load_scripts(struct seat *seat);

/* The worker serves, once it runs. Gives an exit code. */
int seat_start(struct seat *seat);

/* Ends the scripts and their flows, in the seat's own thread: the engine's guard is the thread's. The worker stays, as
 * others may still tell it to stop. */
void seat_finish(struct seat *seat);

/* Starts the other workers' threads, with signals blocked: those are the main thread's. False: not all could start. */
bool seats_start_threads(struct moondns *moondns);

/* Tells all workers to stop. */
void seats_stop(struct moondns *moondns);

#endif
