/* The guard against hooks that compute without end. A POSIX timer ticks with the CPU time of the engine's thread; when
 * one and the same run of a hook has computed for longer than allowed, each next instruction of Lua raises an error,
 * until the hook has returned: no pcall can swallow that. Normal running costs two stores a hook. Only interpreted code
 * can be stopped. */
#ifndef MOONDNS_LUA_ENGINE_GUARD_H
#define MOONDNS_LUA_ENGINE_GUARD_H

#include <lua.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <time.h>

struct guard {
    lua_State *L;
    timer_t timer;
    char place[LUA_IDSIZE + 16]; /* where the run was cut off: "script.lua:12: " */
    lua_Hook other;              /* the hook that stands while nothing is cut off, and … */
    int other_mask;              /* … its mask; NULL: none */
    const char *option;          /* that says how long; NULL: "hook_timeout". Static; set before guard_start */
    bool started;
    int64_t limit_ns;
    /* shared with the signal handler, which runs on the same thread */
    volatile sig_atomic_t running, cut_off;
    volatile unsigned long sequence; /* of the run */
    /* the handler's own */
    unsigned long seen;
    int64_t seen_ns; /* CPU time when the run was first seen */
};

/* Starts the guard for this state on this thread, which must be the one that runs it from now on. `seconds` of
 * computing are allowed. False when the system gives no timer. */
bool guard_start(struct guard *guard, lua_State *L, double seconds);
void guard_stop(struct guard *guard);

static inline void guard_enter(struct guard *guard)
{
    guard->sequence++;
    guard->running = 1;
}

/* The run is over: Lua may go on. */
void guard_release(struct guard *guard);

static inline void guard_leave(struct guard *guard)
{
    guard->running = 0;
    if (guard->cut_off)
        guard_release(guard);
}

#endif
