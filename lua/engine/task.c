#include "lua/engine/task.h"

#include "lua/engine/engine_private.h"

#include <event2/event.h>

lua_State *task_coroutine(struct task *task)
{
    struct engine *engine = task->engine;
    if (task->coroutine.L)
        return task->coroutine.L;
    if (engine->tasks.count) {
        task->coroutine = engine->tasks.idle[--engine->tasks.count];
    } else {
        task->coroutine.L = lua_newthread(engine->L);
        lua_rawgeti(engine->L, LUA_REGISTRYINDEX, engine->coroutines);
        lua_pushvalue(engine->L, -2);
        lua_pushboolean(engine->L, true);
        lua_rawset(engine->L, -3);
        lua_pop(engine->L, 1);
        task->coroutine.reference = luaL_ref(engine->L, LUA_REGISTRYINDEX);
    }
    return task->coroutine.L;
}

void task_end_wait(struct task *task)
{
    struct task_wait *wait = task->wait;
    task->wait = NULL;
    if (wait)
        wait->end(wait);
}

static void throw_away(struct task *task)
{
    luaL_unref(task->engine->L, LUA_REGISTRYINDEX, task->coroutine.reference);
    task->coroutine.L = NULL;
    task->waiting = false;
}

static enum task_result finish(struct task *task, int code)
{
    struct engine *engine = task->engine;
    lua_State *co = task->coroutine.L;
    if (code == LUA_YIELD && task->waiting) {
        engine->tasks.waits++;
        if (engine->trace)
            trace_waits(engine, task);
        return TASK_WAITS;
    }
    task_end_wait(task);
    if (code == 0) {
        lua_settop(co, 0);
        return TASK_DONE;
    }
    if (code == LUA_YIELD) {
        lua_settop(co, 0);
        lua_pushliteral(co, "coroutine.yield outside of a coroutine of the script's own");
    }
    engine_push_error(engine, co);
    size_t length;
    const char *text = lua_tolstring(engine->L, -1, &length);
    report_error(engine->config.report, text, length);
    if (task->failed)
        task->failed(task, text, length);
    lua_pop(engine->L, 1);
    throw_away(task);
    return TASK_FAILED;
}

static enum task_result run(struct task *task, int arguments)
{
    struct engine *engine = task->engine;
    struct script_source *source = task->script->source;
    int64_t began = measure_begin(engine);
    engine->running = task;
    engine->memory.enforced = true;
    guard_enter(&engine->guard);
    int code = lua_resume(task->coroutine.L, arguments);
    guard_leave(&engine->guard);
    engine->memory.enforced = false;
    engine->running = NULL;
    measure_time(source, task->hook, began);
    enum task_result result = finish(task, code);
    if (result != TASK_WAITS)
        measure_end(source, task->hook, result == TASK_FAILED);
    engine_settle(engine);
    return result;
}

enum task_result task_start(struct task *task, struct script *script, int arguments)
{
    task->script = script;
    return run(task, arguments);
}

enum task_result task_resume(struct task *task)
{
    int given = task->given;
    task->given = 0;
    task->waiting = false;
    return run(task, given);
}

void task_end(struct task *task)
{
    struct task_pool *pool = &task->engine->tasks;
    if (task->waiting) {
        if (task->alarm)
            event_del(task->alarm);
        task_end_wait(task);
        throw_away(task);
    }
    if (!task->coroutine.L)
        return;
    if (pool->count < TASKS_IDLE_MAX)
        pool->idle[pool->count++] = task->coroutine;
    else
        throw_away(task);
    task->coroutine.L = NULL;
    if (pool->count > TASKS_KEPT)
        quiet_watch(task->engine);
}

void task_free(struct task *task)
{
    task_end(task);
    if (task->alarm)
        event_free(task->alarm);
    task->alarm = NULL;
}

void task_pool_trim(struct engine *engine)
{
    while (engine->tasks.count > TASKS_KEPT)
        luaL_unref(engine->L, LUA_REGISTRYINDEX, engine->tasks.idle[--engine->tasks.count].reference);
}

/* Why what runs now, which is no task, cannot wait. */
static const char *why_no_wait(const struct engine *engine)
{
    if (!engine->script)
        return "cannot wait here";
    switch (engine->hook) {
    case SCRIPT_LOAD:
        return "cannot wait in load(); running() can";
    case SCRIPT_CONFIGURE:
        return "cannot wait in configure(); running() can";
    case SCRIPT_DONE:
        return "cannot wait in done(): the script ends with it";
    default:
        return "cannot wait while the script is loaded; running() can";
    }
}

struct task *task_to_wait(lua_State *L, const char *what)
{
    return task_of_engine_to_wait(engine_of(L), L, what);
}

struct task *task_of_engine_to_wait(struct engine *engine, lua_State *L, const char *what)
{
    struct task *task = engine->running;
    const char *why = NULL;
    if (!task)
        why = why_no_wait(engine);
    else if (L != task->coroutine.L)
        why = "cannot wait in a coroutine of the script's own";
    else if (!lua_isyieldable(L))
        why = "cannot wait inside a function that C calls (a metamethod, an iterator, a callback of string.gsub or "
              "table.sort)";
    else if (!engine->config.base)
        why = "cannot wait here: nothing keeps the time";
    if (why)
        luaL_error(L, "%s: %s", what, why);
    task_end_wait(task); /* of a call that raised for want of memory */
    return task;
}
