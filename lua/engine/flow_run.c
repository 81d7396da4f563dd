#include "lua/engine/flow_run.h"

#include "lua/engine/engine_private.h"
#include "lua/engine/flow_sync.h"

#include <stdlib.h>

enum { RUNS_PER_BLOCK = 64 };

/* --- the flows' objects --- */

/* Pops the run's object, or nil, to where the main state keeps it. */
static void keep_object(struct flow_run *run)
{
    lua_State *L = run->task.engine->L;
    if (run->number <= ENGINE_PLACES)
        lua_replace(L, ENGINE_LIVE + run->number);
    else
        lua_rawseti(L, ENGINE_LIVE, run->number);
}

static void forget_object(struct flow_run *run)
{
    lua_pushnil(run->task.engine->L);
    keep_object(run);
    run->spare = NULL;
}

void flow_run_push_object(struct flow_run *run)
{
    const struct engine *engine = run->task.engine;
    lua_State *L = engine->L;
    if (run == engine->visitor)
        lua_rawgeti(L, LUA_REGISTRYINDEX, engine->visit.flow_object);
    else if (run->number <= ENGINE_PLACES)
        lua_pushvalue(L, ENGINE_LIVE + run->number);
    else
        lua_rawgeti(L, ENGINE_LIVE, run->number);
}

/* --- runs --- */

static void awake(struct task *task);

/* Where a new block goes: the place of one that was freed, else one more. NULL when there is no memory. */
static struct flow_run **find_place(struct flow_runs *runs)
{
    for (size_t i = 0; i < runs->blocks_count; i++)
        if (!runs->blocks[i])
            return &runs->blocks[i];
    struct flow_run **blocks = realloc(runs->blocks, (runs->blocks_count + 1) * sizeof(struct flow_run *));
    if (!blocks)
        return NULL;
    runs->blocks = blocks;
    blocks[runs->blocks_count] = NULL;
    return &blocks[runs->blocks_count++];
}

static void set_free(struct flow_runs *runs, struct flow_run *run)
{
    run->next = runs->free;
    runs->free = run;
}

void flow_run_tell(struct flow_run *run, const struct script *script, const char *text, size_t length)
{
    const struct script_source *source = script->source;
    size_t folder = (size_t)(source->name - source->path);
    const char *end = memchr(text, '\n', length);
    length = end ? (size_t)(end - text) : length;
    if (length >= folder && memcmp(text, source->path, folder) == 0) {
        text += folder;
        length -= folder;
    }
    struct buffer clean = {0};
    log_escape(&clean, text, length, false);
    if (!clean.failed && clean.length)
        flow_tell_script_error(run->flow, (const char *)clean.data, clean.length);
    buffer_free(&clean);
}

static void failed(struct task *task, const char *text, size_t length)
{
    flow_run_tell((struct flow_run *)task, task->script, text, length);
}

static bool more_runs(struct engine *engine)
{
    struct flow_runs *runs = &engine->flows;
    struct flow_run **place = find_place(runs);
    struct flow_run *block = place ? calloc(RUNS_PER_BLOCK, sizeof *block) : NULL;
    if (!block)
        return false;
    *place = block;
    int number = (int)(place - runs->blocks) * RUNS_PER_BLOCK;
    for (size_t i = 0; i < RUNS_PER_BLOCK; i++) {
        block[i].task.engine = engine;
        block[i].task.awake = awake;
        block[i].task.failed = engine->config.errors_in_answers ? failed : NULL;
        block[i].number = ++number;
        set_free(runs, &block[i]);
    }
    return true;
}

static void free_block(struct flow_run *block)
{
    for (size_t i = 0; block && i < RUNS_PER_BLOCK; i++) {
        task_free(&block[i].task);
        if (block[i].spare)
            forget_object(&block[i]);
    }
    free(block);
}

static bool is_used(const struct flow_run *block)
{
    for (size_t i = 0; block && i < RUNS_PER_BLOCK; i++)
        if (block[i].flow)
            return true;
    return false;
}

void flow_runs_trim(struct engine *engine)
{
    struct flow_runs *runs = &engine->flows;
    runs->free = NULL;
    engine->visitor = NULL;
    for (size_t i = 0; i < runs->blocks_count; i++) {
        struct flow_run *block = runs->blocks[i];
        if (!is_used(block)) {
            free_block(block);
            runs->blocks[i] = NULL;
            continue;
        }
        for (size_t j = 0; j < RUNS_PER_BLOCK; j++) {
            if (block[j].flow)
                continue;
            task_free(&block[j].task);
            set_free(runs, &block[j]);
        }
    }
}

void flow_runs_free(struct engine *engine)
{
    struct flow_runs *runs = &engine->flows;
    for (size_t i = 0; i < runs->blocks_count; i++)
        free_block(runs->blocks[i]);
    free(runs->blocks);
    *runs = (struct flow_runs){0};
}

/* --- what a live object asks of the engine --- */

static void on_intercept(lua_State *L, struct flow *flow)
{
    struct flow_run *run = flow->wrapper;
    if (!run->task.engine->config.base)
        luaL_error(L, "DNSFlow.intercept: nobody could resume the flow here");
}

/* Only once no Lua runs may the exchange go on. */
static void on_resume(struct flow *flow)
{
    struct flow_run *run = flow->wrapper;
    struct engine *engine = run->task.engine;
    if (run->suspended && !run->task.waiting && !run->ready) {
        held_remove(run);
        run->changed_by = engine->running ? engine->running->script : engine->script;
        run->ready = true;
        run->next = engine->flows.ready;
        engine->flows.ready = run;
    }
}

const struct lua_flow_host flow_run_host = {on_intercept, on_resume};

struct flow_run *flow_run_new(struct engine *engine)
{
    struct flow_runs *runs = &engine->flows;
    if (!runs->free && !more_runs(engine))
        return NULL;
    struct flow_run *run = runs->free;
    runs->free = run->next;
    run->next = NULL;
    return run;
}

static struct flow_run *begin(struct engine *engine, struct flow *flow)
{
    struct flow_run *run = flow_run_new(engine);
    if (!run)
        return NULL;
    run->flow = flow;
    run->suspended = run->ready = false;
    run->object = run->spare;
    if (!run->spare || engine->looked_into || !lua_flow_lend_again(run->spare, flow, &flow_run_host)) {
        const struct generation *generation = (const struct generation *)flow->hooks;
        run->object = lua_flow_push_live(engine->L, flow, &flow_run_host, !generation->keeps && !engine->looked_into);
        run->spare = NULL;
        keep_object(run);
    }
    flow->wrapper = run;
    return run;
}

void flow_run_take_visit(struct flow_run *run)
{
    if (run->spare)
        forget_object(run);
    lua_rawgeti(run->task.engine->L, LUA_REGISTRYINDEX, run->task.engine->visit.flow_object);
    keep_object(run);
}

/* --- hooks --- */

/* Pushes the function and its arguments; gives their number. */
static int push_call(struct flow_run *run, const struct hook_call *call)
{
    lua_State *L = run->task.engine->L, *co = task_coroutine(&run->task);
    int arguments = 1;
    lua_rawgeti(co, LUA_REGISTRYINDEX, call->function);
    if (call->self != LUA_NOREF) {
        lua_rawgeti(co, LUA_REGISTRYINDEX, call->self);
        arguments = 2;
    }
    flow_run_push_object(run);
    lua_xmove(L, co, 1);
    return arguments;
}

/* Runs the hooks from run->call on; `resumed`: that one goes on after a wait. */
static enum hook_result advance(struct flow_run *run, bool resumed)
{
    struct hook_calls *calls = &((struct generation *)run->flow->hooks)->calls[run->hook];
    for (; run->call < calls->count; run->call++) {
        const struct hook_call *call = &calls->list[run->call];
        enum task_result result =
            resumed ? task_resume(&run->task) : task_start(&run->task, call->script, push_call(run, call));
        resumed = false;
        if (result == TASK_FAILED)
            compiled_note_failure(calls);
        if (result == TASK_WAITS) {
            run->suspended = true;
            return HOOK_SUSPENDED;
        }
        flow_sync_note(run, call->script, calls->count == 1);
    }
    task_end(&run->task);
    flow_sync_changes(run);
    run->suspended = run->flow->intercepted && !run->flow->killed && held_add(run);
    return run->suspended ? HOOK_SUSPENDED : HOOK_DONE;
}

enum hook_result flow_run_hooks(struct hooks *hooks, enum hook hook, struct flow *flow)
{
    struct generation *generation = (struct generation *)hooks;
    struct engine *engine = generation->engine;
    struct flow_run *run = flow->wrapper;
    enum hook_result result;
    if (!run && hook == HOOK_REQUEST && compiled_run_hooks(generation, flow, &result)) {
        flow_runs_go_on(engine);
        return result;
    }
    if (!run)
        run = begin(engine, flow);
    if (!run)
        return HOOK_DONE;
    run->task.hook = run->hook = run->object->hook = hook;
    run->call = 0;
    flow_sync_begin(run);
    result = advance(run, false);
    flow_runs_go_on(engine);
    return result;
}

void flow_run_goes_on(struct flow_run *run)
{
    struct engine *engine = run->task.engine;
    run->suspended = false;
    if (engine->config.resumed)
        engine->config.resumed(engine->config.context, run->flow);
}

void flow_runs_go_on(struct engine *engine)
{
    struct flow_run *run;
    while ((run = engine->flows.ready)) {
        engine->flows.ready = run->next;
        run->next = NULL;
        run->ready = false;
        flow_sync_changes(run);
        flow_run_goes_on(run);
    }
}

static void awake(struct task *task)
{
    struct flow_run *run = (struct flow_run *)task;
    if (advance(run, true) == HOOK_DONE)
        flow_run_goes_on(run);
    flow_runs_go_on(task->engine);
}

static void leave_ready(struct flow_run *run)
{
    struct flow_run **at = &run->task.engine->flows.ready;
    while (*at && *at != run)
        at = &(*at)->next;
    if (*at)
        *at = run->next;
    run->ready = false;
}

/* The object takes along what it needs, for whoever has it. */
static void let_go(struct flow_run *run)
{
    lua_State *L = run->task.engine->L;
    if (!lua_flow_has_room(run->object)) {
        flow_run_push_object(run);
        lua_flow_keep(L, lua_gettop(L));
        lua_pop(L, 1);
    }
    lua_flow_detach(run->object);
    forget_object(run);
}

void flow_run_ended(struct hooks *hooks, struct flow *flow)
{
    struct flow_run *run = flow->wrapper;
    struct engine *engine = run->task.engine;
    if (run->ready)
        leave_ready(run);
    held_remove(run);
    task_end(&run->task);
    flow_sync_notes(run);
    if (run->object->lends && !((const struct generation *)hooks)->keeps && !engine->looked_into) {
        lua_flow_leave(run->object);
        run->spare = run->object;
    } else {
        let_go(run);
    }
    flow->wrapper = NULL;
    run->flow = NULL;
    run->object = NULL;
    run->next = engine->flows.free;
    engine->flows.free = run;
}
