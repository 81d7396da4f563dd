#include "lua/engine/async.h"

#include "lua/engine/engine_private.h"

#include <event2/event.h>
#include <stdlib.h>
#include <uthash.h>

/* Belongs to the engine until it has fired for the last time or is cancelled. */
struct timer {
    struct task task;  /* first */
    UT_hash_handle hh; /* in the engine's timers */
    uint64_t number;   /* what handles know it by; never used twice */
    struct script *script;
    struct event *event;
    int function; /* reference */
    bool repeats, cancelled;
};

/* What a script has of a timer. */
struct handle {
    struct engine *engine;
    uint64_t number;
};

static const double SECONDS_MAX = 1e8;
static const double LEAST_ROUND = 1e-3; /* of timer.every, seconds: others have their turn */

static struct timeval to_timeval(double seconds)
{
    struct timeval time = {.tv_sec = (time_t)seconds};
    time.tv_usec = (suseconds_t)((seconds - (double)time.tv_sec) * 1e6);
    return time;
}

static double check_seconds(lua_State *L, int index, const char *what)
{
    double seconds = lua_check_number(L, index, what);
    if (!(seconds >= 0 && seconds <= SECONDS_MAX))
        lua_raise_expected(L, index, what, "seconds (0 or more)");
    return seconds;
}

/* --- sleep --- */

static void on_alarm(evutil_socket_t fd, short what, void *context)
{
    (void)fd;
    (void)what;
    struct task *task = context;
    task->awake(task);
}

static int sleep_function(lua_State *L)
{
    double seconds = check_seconds(L, 1, "sleep");
    struct task *task = task_to_wait(L, "sleep");
    struct timeval time = to_timeval(seconds);
    if (!task->alarm)
        task->alarm = evtimer_new(task->engine->config.base, on_alarm, task);
    if (!task->alarm || evtimer_add(task->alarm, &time) != 0)
        return luaL_error(L, "sleep: out of memory");
    task->waiting = true;
    return lua_yield(L, 0);
}

/* --- timers --- */

static void timer_free(struct timer *timer)
{
    struct engine *engine = timer->task.engine;
    HASH_DELETE(hh, engine->timers, timer);
    task_free(&timer->task);
    event_free(timer->event);
    luaL_unref(engine->L, LUA_REGISTRYINDEX, timer->function);
    free(timer);
}

/* The function has returned, failed or waits. */
static void timer_settle(struct timer *timer, enum task_result result)
{
    struct engine *engine = timer->task.engine;
    if (result != TASK_WAITS) {
        task_end(&timer->task);
        if (timer->cancelled || !timer->repeats)
            timer_free(timer);
    }
    flow_runs_go_on(engine);
}

static void timer_awake(struct task *task)
{
    timer_settle((struct timer *)task, task_resume(task));
}

static void on_timer(evutil_socket_t fd, short what, void *context)
{
    (void)fd;
    (void)what;
    struct timer *timer = context;
    if (timer->task.waiting)
        return; /* the last round is not done */
    lua_rawgeti(task_coroutine(&timer->task), LUA_REGISTRYINDEX, timer->function);
    timer_settle(timer, task_start(&timer->task, timer->script, 0));
}

/* Ends the timer; one whose function runs now ends when that returns. */
static void timer_cancel(struct timer *timer)
{
    if (timer->task.engine->running == &timer->task) {
        timer->cancelled = true;
        event_del(timer->event);
    } else {
        timer_free(timer);
    }
}

static int handle_cancel(lua_State *L);

static const struct lua_method handle_methods[] = {
    {"cancel", handle_cancel, "cancel()", "Ends the timer; does nothing when it has ended already."},
    {0},
};

static const struct lua_class timer_class = {
    .name = "Timer",
    .methods = handle_methods,
    .doc = "What `timer.after` and `timer.every` give.",
};

static int handle_cancel(lua_State *L)
{
    const struct handle *handle = lua_class_self(L, &timer_class, "Timer.cancel");
    struct timer *timer;
    HASH_FIND(hh, handle->engine->timers, &handle->number, sizeof handle->number, timer);
    if (timer)
        timer_cancel(timer);
    return 0;
}

/* NULL when there is no memory; then `function` stays the caller's. */
static struct timer *start_timer(struct engine *engine, struct script *script, int function, struct timeval time,
                                 bool repeats)
{
    struct timer *timer = calloc(1, sizeof *timer);
    if (!timer)
        return NULL;
    *timer = (struct timer){
        .task = {.engine = engine, .awake = timer_awake, .hook = SCRIPT_HOOK_COUNT},
        .number = ++engine->timer_numbers,
        .script = script,
        .event = event_new(engine->config.base, -1, repeats ? EV_PERSIST : 0, on_timer, timer),
        .function = function,
        .repeats = repeats,
    };
    if (timer->event && event_add(timer->event, &time) == 0) {
        HASH_ADD(hh, engine->timers, number, sizeof timer->number, timer);
        if (timer->hh.tbl)
            return timer;
    }
    if (timer->event)
        event_free(timer->event);
    free(timer);
    return NULL;
}

static int make_timer(lua_State *L, bool repeats, const char *what)
{
    struct engine *engine = engine_of(L);
    struct script *script = engine->running ? engine->running->script : engine->script;
    double seconds = check_seconds(L, 1, what);
    if (repeats && seconds < LEAST_ROUND)
        seconds = LEAST_ROUND;
    if (!lua_isfunction(L, 2))
        return lua_raise_expected(L, 2, what, "function");
    if (!engine->config.base || !script)
        return luaL_error(L, "%s: there are no timers here", what);
    lua_settop(L, 2);
    struct handle *handle = lua_class_new(L, &timer_class, sizeof *handle);
    lua_insert(L, 2);
    int function = luaL_ref(L, LUA_REGISTRYINDEX);
    struct timer *timer = start_timer(engine, script, function, to_timeval(seconds), repeats);
    if (!timer) {
        luaL_unref(L, LUA_REGISTRYINDEX, function);
        return luaL_error(L, "%s: out of memory", what);
    }
    *handle = (struct handle){engine, timer->number};
    return 1;
}

static int timer_after(lua_State *L)
{
    return make_timer(L, false, "timer.after");
}

static int timer_every(lua_State *L)
{
    return make_timer(L, true, "timer.every");
}

void async_open(struct engine *engine)
{
    lua_State *L = engine->L;
    lua_class_register(L, &timer_class);
    lua_pop(L, 1);
    engine_push_function(engine, sleep_function);
    lua_setfield(L, -2, "sleep");
    lua_createtable(L, 0, 2);
    engine_push_function(engine, timer_after);
    lua_setfield(L, -2, "after");
    engine_push_function(engine, timer_every);
    lua_setfield(L, -2, "every");
    lua_setfield(L, -2, "timer");
}

void async_cancel(struct engine *engine, const struct script *script)
{
    for (struct timer *timer = engine->timers, *next; timer; timer = next) {
        next = timer->hh.next;
        if (!script || timer->script == script)
            timer_cancel(timer);
    }
    lifecycle_cancel(engine, script);
}
