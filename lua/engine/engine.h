/* The engine: the Lua side of the proxy for one worker. Holds the Lua state, loads the scripts, runs their hooks in
 * pooled coroutines, guards them (time, memory), reloads them when they change. */
#ifndef MOONDNS_LUA_ENGINE_ENGINE_H
#define MOONDNS_LUA_ENGINE_ENGINE_H

#include "flow/hooks.h"
#include "lua/engine/loading.h"
#include "lua/engine/report.h"

struct engine;
struct event_base;
struct exchange;
struct redis_store;
struct script_metrics;
struct shared_store;
struct snapshot;

/* One of the proxy's own options as scripts see it in ctx.options. */
struct engine_option {
    const char *name;  /* snake_case */
    const char *value; /* JSON text */
};

struct engine_config {
    const char *const *scripts;          /* paths in order; ended by NULL; borrowed for the engine's life */
    const char *const *settings;         /* "NAME=VALUE" in order; ended by NULL; borrowed */
    const struct engine_option *options; /* ended by a NULL name; borrowed */
    double hook_timeout;                 /* seconds of computing */
    bool jit;                            /* compiler on, guard off */
    bool errors_in_answers;              /* clients are told of scripts' errors */
    size_t memory_limit;                 /* bytes of Lua memory */
    size_t held_max;                     /* flows that scripts hold at one time */
    size_t held_memory;                  /* bytes that these may take */
    double held_timeout;                 /* seconds; then they fail */
    const struct log *log;               /* borrowed */
    struct report *report;               /* where scripts' errors go; all engines share one; borrowed */
    struct shared_store *shared;         /* what scripts have as `shared`; borrowed; NULL: … */
    struct redis_store *redis;           /* … this is; borrowed */
    struct script_metrics *metrics;      /* where scripts' `metrics` are; borrowed; NULL: they have none */
    struct event_base *base;             /* for sleep and timers; borrowed; NULL: nobody can wait */

    /* Called when a reload made another generation current (never from within a hook). */
    void (*hooks_changed)(void *context, struct hooks *hooks);
    /* Called when a suspended flow's hooks are done; never while Lua runs, but perhaps from within another flow's
     * hooks->run. */
    void (*resumed)(void *context, struct flow *flow);
    /* The exchange, told the time, for what scripts ask of it; NULL while there is none. May be NULL. */
    struct exchange *(*exchange)(void *context);

    /* Where several engines switch as one: counts the switches (struct hooks's `latest`; NULL: it is alone), and is
     * called when a query comes that must not begin without one: to call engine_switch. */
    const atomic_uint *latest;
    void (*outdated)(void *context);
    bool measure; /* the time that hooks take is wanted */
    /* A script has set one of the scripts' options: to tell the other engines (engine_set_option). May be NULL. */
    void (*option_set)(void *context, struct span name, struct span text);
    bool silent; /* another engine does the same and tells of it */
    void *context;
};

/* Makes the state and loads nothing yet. NULL when there is no memory. */
struct engine *engine_new(const struct engine_config *config);

/* Loads and configures all scripts, whose files come from `loading`: STATUS_OK; STATUS_INVALID where a --set names an
 * option that no script declares or a value does not fit (the reason names the nearest; usage error); STATUS_MALFORMED
 * where a script failed (logged with file:line); STATUS_NOT_FOUND where one is not there. */
MUST_CHECK enum status engine_load(struct engine *engine, struct loading *loading, struct reason *reason);

/* The current generation; NULL before engine_load. */
struct hooks *engine_hooks(struct engine *engine);

/* Loadings of scripts that failed since engine_load. */
uint64_t engine_failed_loadings(const struct engine *engine);

/* Fills in what is the engine's. */
void engine_snapshot(const struct engine *engine, struct snapshot *out);

/* The proxy listens: calls `running`. */
void engine_running(struct engine *engine);

/* Calls `done` of every script. */
void engine_done(struct engine *engine);
void engine_free(struct engine *engine);

/* Hot reload: a descriptor to watch for reading (inotify), -1 when watching failed; and what to call when it is
 * readable (it waits for a quiet moment: returns the milliseconds after which to call engine_prepare_changed, or -1).
 */
int engine_watch_start(struct engine *engine);
int engine_watch_readable(struct engine *engine);

/* Loads and configures anew the scripts that have changed, or all (SIGHUP), while the old ones go on. Those that fail
 * (logged) stay as they are; the others are chosen in `loading`. True: there are some. Nothing may be prepared yet.
 * With new options that the loading offers (all of them only): where a script refuses them or fails, nothing is
 * prepared, and the offer is withdrawn. */
bool engine_prepare_changed(struct engine *engine, struct loading *loading);
bool engine_prepare_all(struct engine *engine, struct loading *loading);

/* The same for those that another engine has chosen. False: one failed, and nothing is prepared. */
bool engine_prepare_chosen(struct engine *engine, struct loading *loading);

/* Other limits than the configuration had, in its units; between two runs of hooks. */
void engine_set_limits(struct engine *engine, double hook_timeout, size_t held_max, size_t held_memory,
                       double held_timeout);

/* Another engine's script has set this option. Never from within a hook. */
void engine_set_option(struct engine *engine, struct span name, struct span text);

/* What was prepared takes over: the old scripts' `done`, the new ones' `running`. Counts, also where nothing was. */
void engine_switch(struct engine *engine);

/* What was prepared, if anything, is thrown away. */
void engine_abandon(struct engine *engine);

/* For --check and --options: writes what the scripts declare as lines of text: options (name, type, value, help) and
 * hooks. */
void engine_describe_options(struct engine *engine, struct buffer *out);
void engine_describe_hooks(struct engine *engine, struct buffer *out);

/* "spoof.lua, block.lua": the scripts' file names, for the start message. */
void engine_script_names(struct engine *engine, struct buffer *out);

#endif
