/* The engine: the Lua side of the proxy for one worker. Holds the Lua state, loads the scripts, runs their hooks in
 * pooled coroutines, guards them (time, memory), reloads them when they change. */
#ifndef MOONDNS_LUA_ENGINE_ENGINE_H
#define MOONDNS_LUA_ENGINE_ENGINE_H

#include "base/log.h"
#include "flow/hooks.h"

struct engine;
struct event_base;
struct exchange;

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
    size_t memory_limit;                 /* bytes of Lua memory */
    const struct log *log;               /* borrowed */
    struct event_base *base;             /* for sleep and timers; borrowed; NULL: nobody can wait */

    /* Called when a reload made another generation current (never from within a hook). */
    void (*hooks_changed)(void *context, struct hooks *hooks);
    /* Called when a suspended flow's hooks are done; never while Lua runs, but perhaps from within another flow's
     * hooks->run. */
    void (*resumed)(void *context, struct flow *flow);
    /* The exchange, told the time, for what scripts ask of it; NULL while there is none. May be NULL. */
    struct exchange *(*exchange)(void *context);
    void *context;
};

/* Makes the state and loads nothing yet. NULL when there is no memory. */
struct engine *engine_new(const struct engine_config *config);

/* Loads and configures all scripts: STATUS_OK; STATUS_INVALID where a --set names an option that no script declares or
 * a value does not fit (the reason names the nearest; usage error); STATUS_MALFORMED where a script failed (logged with
 * file:line); STATUS_NOT_FOUND where one is not there. */
MUST_CHECK enum status engine_load(struct engine *engine, struct reason *reason);

/* The current generation; NULL before engine_load. */
struct hooks *engine_hooks(struct engine *engine);

/* The proxy listens: calls `running`. */
void engine_running(struct engine *engine);

/* Calls `done` of every script. */
void engine_done(struct engine *engine);
void engine_free(struct engine *engine);

/* Hot reload: a descriptor to watch for reading (inotify), -1 when watching failed; and what to call when it is
 * readable (it waits for a quiet moment: returns the milliseconds after which to call engine_reload_changed, or -1). */
int engine_watch_start(struct engine *engine);
int engine_watch_readable(struct engine *engine);
void engine_reload_changed(struct engine *engine);

/* Reloads all scripts, changed or not (SIGHUP). */
void engine_reload_all(struct engine *engine);

/* For --check and --options: writes what the scripts declare as lines of text: options (name, type, value, help) and
 * hooks. */
void engine_describe_options(struct engine *engine, struct buffer *out);
void engine_describe_hooks(struct engine *engine, struct buffer *out);

/* "spoof.lua, block.lua": the scripts' file names, for the start message. */
void engine_script_names(struct engine *engine, struct buffer *out);

#endif
