#include "lua/engine/compiled.h"

#include "lua/engine/engine_private.h"
#include "lua/engine/flow_sync.h"

enum {
    CALLS_BEFORE = 64, /* mistakes show while hooks run as they stand */
    CALLS_TO_TRY = 2000,
};

static bool are_compiled(const struct engine *engine, const struct hook_calls *calls)
{
    for (size_t i = 0; i < calls->count; i++)
        if (!lua_visit_is_compiled(engine->L, &engine->visit, calls->list[i].compiled))
            return false;
    return true;
}

static bool is_ready(const struct engine *engine, struct hook_calls *calls)
{
    struct compiling *compiling = &calls->compiling;
    if (!compiling->possible || engine->looked_into || engine->trace)
        return false;
    if (compiling->called < CALLS_BEFORE) {
        compiling->called++;
        return false;
    }
    if (compiling->tried < CALLS_TO_TRY && ++compiling->tried == CALLS_TO_TRY) {
        compiling->possible = are_compiled(engine, calls);
        log_line(engine->config.log, LOG_DEBUG, "dns_request runs as %s",
                 compiling->possible ? "machine code" : "ever: LuaJIT cannot compile it");
    }
    return compiling->possible;
}

void compiled_note_failure(struct hook_calls *calls)
{
    if (calls->compiling.called < CALLS_BEFORE)
        calls->compiling.called = 0;
}

/* Pushes the function and its arguments; gives their number. */
static int push_call(const struct flow_run *run, const struct hook_call *call)
{
    lua_State *co = run->task.coroutine.L;
    int arguments = 1;
    lua_rawgeti(co, LUA_REGISTRYINDEX, call->compiled);
    if (call->self != LUA_NOREF) {
        lua_rawgeti(co, LUA_REGISTRYINDEX, call->self);
        arguments = 2;
    }
    lua_rawgeti(co, LUA_REGISTRYINDEX, run->task.engine->visit.flow_object);
    return arguments;
}

/* The run goes on as all others do, and so do flows after it. */
static void part(struct engine *engine, struct hook_calls *calls, struct flow_run *run)
{
    calls->compiling.possible = false;
    flow_run_take_visit(run);
    lua_visit_part(engine->L, &engine->visit);
    engine->visitor = NULL;
}

/* Whether hooks after these may tell the objects from others: one who looked into variables has them; a response that
 * is the script's own is the same object in dns_response. */
static bool are_objects_needed(const struct generation *generation, const struct flow_run *run)
{
    const struct engine *engine = generation->engine;
    return engine->looked_into || (generation->hooks.defined & 1u << HOOK_RESPONSE && !engine->visit.is_answered &&
                                   lua_class_slot_used(run->object, LUA_FLOW_RESPONSE));
}

static enum hook_result run_hooks(struct engine *engine, struct hook_calls *calls, struct flow_run *run)
{
    for (run->call = 0; run->call < calls->count; run->call++) {
        const struct hook_call *call = &calls->list[run->call];
        (void)task_coroutine(&run->task);
        if (task_start(&run->task, call->script, push_call(run, call)) == TASK_WAITS) {
            part(engine, calls, run);
            run->suspended = true;
            return HOOK_SUSPENDED;
        }
        flow_sync_note(run, call->script, calls->count == 1);
    }
    flow_sync_changes(run);
    return HOOK_DONE;
}

bool compiled_run_hooks(struct generation *generation, struct flow *flow, enum hook_result *out)
{
    struct engine *engine = generation->engine;
    struct hook_calls *calls = &generation->calls[HOOK_REQUEST];
    if (!is_ready(engine, calls))
        return false;
    if (!engine->visitor)
        engine->visitor = flow_run_new(engine);
    struct flow_run *run = engine->visitor;
    if (!run || !lua_visit_begin(engine->L, &engine->visit, flow, &flow_run_host, calls->compiling.shares))
        return false;
    run->flow = flow;
    run->object = engine->visit.flow;
    run->task.hook = run->hook = run->object->hook = HOOK_REQUEST;
    run->suspended = run->ready = false;
    run->touched = 0;
    run->changed_by = NULL;
    flow->wrapper = run;
    *out = run_hooks(engine, calls, run);
    if (*out == HOOK_DONE && are_objects_needed(generation, run)) {
        part(engine, calls, run);
    } else if (*out == HOOK_DONE) {
        lua_visit_end(&engine->visit);
        flow->wrapper = NULL;
        run->flow = NULL;
        run->object = NULL;
    }
    return true;
}
