#include "lua/engine/trace.h"

#include "lua/engine/engine_private.h"
#include "lua/flow_class.h"
#include "lua/internal.h"

#include <stdlib.h>

struct trace {
    struct trace_sink sink;
    int tracer; /* reference: what dns.explain gave */
};

static const char trace_key; /* its address is the engine's key in the registry */

static struct engine *engine_traced(lua_State *L)
{
    lua_pushlightuserdata(L, (void *)(uintptr_t)&trace_key);
    lua_rawget(L, LUA_REGISTRYINDEX);
    struct engine *engine = lua_touserdata(L, -1);
    lua_pop(L, 1);
    return engine;
}

/* step(place, text) */
static int step_function(lua_State *L)
{
    const struct trace_sink *sink = &engine_traced(L)->trace->sink;
    size_t length;
    const char *text = luaL_checklstring(L, 2, &length);
    sink->step(sink->context, luaL_checkstring(L, 1), text, length);
    return 0;
}

static bool is_flows(const struct task *task)
{
    return task && task->hook < HOOK_COUNT;
}

/* Pushes the tracer's function of this name and the flow's object. */
static void push_call(struct engine *engine, lua_State *L, const char *name, struct flow_run *run)
{
    luaL_checkstack(L, 12, NULL);
    lua_rawgeti(L, LUA_REGISTRYINDEX, engine->trace->tracer);
    lua_getfield(L, -1, name);
    lua_remove(L, -2);
    flow_run_push_object(run);
    if (L != engine->L)
        lua_xmove(engine->L, L, 1);
}

/* Pushes the place of a script's function, source and line; nothing where it is none. */
static bool push_place(lua_State *L, lua_Debug *where)
{
    if (!lua_getinfo(L, "Sl", where) || where->source[0] != '@')
        return false;
    lua_pushstring(L, where->source + 1);
    lua_pushinteger(L, where->currentline);
    return true;
}

/* The place where the function that returns was called; nils where a hook returns. */
static void push_caller(lua_State *L)
{
    lua_Debug caller;
    for (int level = 1; lua_getstack(L, level, &caller); level++)
        if (push_place(L, &caller))
            return;
    lua_pushnil(L);
    lua_pushnil(L);
}

static void on_event(lua_State *L, lua_Debug *where)
{
    struct engine *engine = engine_traced(L);
    int top = lua_gettop(L);
    if (!engine || !is_flows(engine->running))
        return;
    struct flow_run *run = (struct flow_run *)engine->running;
    bool returns = where->event != LUA_HOOKLINE;
    push_call(engine, L, returns ? "returned" : "line", run);
    if (push_place(L, where)) {
        if (returns) {
            lua_pop(L, 2);
            push_caller(L);
        }
        lua_pushstring(L, script_hook_names[run->hook]);
        lua_pushinteger(L, (lua_Integer)run->call);
        (void)lua_pcall(L, 5, 0, 0); /* what it cannot show it leaves out */
    }
    lua_settop(L, top);
}

void trace_waits(struct engine *engine, const struct task *task)
{
    lua_State *L = engine->L, *co = task->coroutine.L;
    struct flow_run *run = (struct flow_run *)task;
    lua_Debug called, caller;
    int top = lua_gettop(L);
    if (!is_flows(task) || !lua_getstack(co, 0, &called) || !lua_getstack(co, 1, &caller))
        return;
    push_call(engine, L, "waits", run);
    lua_getinfo(co, "Sl", &caller);
    lua_pushstring(L, caller.source[0] == '@' ? caller.source + 1 : caller.source);
    lua_pushinteger(L, caller.currentline);
    lua_pushstring(L, script_hook_names[run->hook]);
    (void)lua_pcall(L, 4, 0, 0);
    lua_settop(L, top);
}

/* Makes the tracer: dns.explain(step, faults). */
static int open_trace(lua_State *L)
{
    struct engine *engine = lua_touserdata(L, 1);
    lua_pushlightuserdata(L, (void *)(uintptr_t)&trace_key);
    lua_pushlightuserdata(L, engine);
    lua_rawset(L, LUA_REGISTRYINDEX);
    lua_internal_lib(L, "dns.explain");
    lua_pushcfunction(L, step_function);
    lua_pushcfunction(L, lua_flow_faults);
    lua_call(L, 2, 1);
    engine->trace->tracer = luaL_ref(L, LUA_REGISTRYINDEX);
    return 0;
}

bool engine_trace(struct engine *engine, struct trace_sink sink)
{
    engine->trace = malloc(sizeof *engine->trace);
    if (!engine->trace)
        return false;
    *engine->trace = (struct trace){.sink = sink, .tracer = LUA_NOREF};
    if (lua_cpcall(engine->L, open_trace, engine) != 0) {
        lua_pop(engine->L, 1);
        trace_free(engine);
        return false;
    }
    engine->guard.other = on_event;
    engine->guard.other_mask = LUA_MASKLINE | LUA_MASKRET;
    lua_sethook(engine->L, engine->guard.other, engine->guard.other_mask, 0);
    return true;
}

void trace_free(struct engine *engine)
{
    free(engine->trace);
    engine->trace = NULL;
}
