#include "lua/engine/lifecycle.h"

#include "lua/engine/engine_private.h"

#include <stdlib.h>

/* One function that runs or waits. Belongs to the engine until it has finished. */
struct lifecycle {
    struct task task; /* first */
    struct lifecycle *next;
};

static void lifecycle_free(struct lifecycle *lifecycle)
{
    struct lifecycle **at = &lifecycle->task.engine->lifecycles;
    while (*at != lifecycle)
        at = &(*at)->next;
    *at = lifecycle->next;
    task_free(&lifecycle->task);
    free(lifecycle);
}

/* `running` may have defined hooks. */
static void gather(struct script *script, enum script_hook hook)
{
    if (hook == SCRIPT_RUNNING)
        script_gather_again(script, script->engine->current);
}

static void awake(struct task *task)
{
    struct engine *engine = task->engine;
    struct lifecycle *lifecycle = (struct lifecycle *)task;
    if (task_resume(task) != TASK_WAITS) {
        struct script *script = task->script;
        enum script_hook hook = task->hook;
        lifecycle_free(lifecycle);
        gather(script, hook);
    }
    flow_runs_go_on(engine);
}

static struct lifecycle *lifecycle_new(struct engine *engine, enum script_hook hook)
{
    struct lifecycle *lifecycle = calloc(1, sizeof *lifecycle);
    if (!lifecycle)
        return NULL;
    *lifecycle = (struct lifecycle){
        .task = {.engine = engine, .awake = awake, .hook = hook},
        .next = engine->lifecycles,
    };
    engine->lifecycles = lifecycle;
    return lifecycle;
}

/* Calls the addon's function, if it has one; the argument is at `argument` of the engine's stack, 0: none. */
static void call(struct script *script, const struct addon *addon, enum script_hook hook, int argument)
{
    struct engine *engine = script->engine;
    if (addon->functions[hook] == LUA_NOREF)
        return;
    struct lifecycle *lifecycle = lifecycle_new(engine, hook);
    if (!lifecycle)
        return;
    lua_State *co = task_coroutine(&lifecycle->task);
    int given = 0;
    lua_rawgeti(co, LUA_REGISTRYINDEX, addon->functions[hook]);
    if (addon->self != LUA_NOREF) {
        lua_rawgeti(co, LUA_REGISTRYINDEX, addon->self);
        given++;
    }
    if (argument) {
        lua_pushvalue(engine->L, argument);
        lua_xmove(engine->L, co, 1);
        given++;
    }
    if (task_start(&lifecycle->task, script, given) != TASK_WAITS)
        lifecycle_free(lifecycle);
    flow_runs_go_on(engine);
}

void lifecycle_call(struct script *script, enum script_hook hook, int arguments)
{
    lua_State *L = script->engine->L;
    int argument = arguments ? lua_gettop(L) : 0;
    for (size_t i = 0; i < script->count; i++)
        call(script, &script->addons[i], hook, argument);
    lua_pop(L, arguments);
    gather(script, hook);
}

void lifecycle_cancel(struct engine *engine, const struct script *script)
{
    for (struct lifecycle *at = engine->lifecycles, *next; at; at = next) {
        next = at->next;
        if (!script || at->task.script == script)
            lifecycle_free(at);
    }
}
