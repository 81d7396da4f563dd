#include "lua/engine/engine_private.h"

#include "lua/engine/async.h"
#include "lua/engine/cache_library.h"
#include "lua/engine/error_text.h"
#include "lua/engine/http.h"
#include "lua/engine/resolve.h"
#include "lua/engine/script_options.h"
#include "lua/engine/shared_wait.h"
#include "lua/internal.h"
#include "lua/module.h"

#include <errno.h>
#include <luajit.h>
#include <lualib.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

/* --- C functions --- */

struct engine *engine_of(lua_State *L)
{
    return lua_touserdata(L, lua_upvalueindex(1));
}

void engine_push_function(struct engine *engine, lua_CFunction function)
{
    lua_pushlightuserdata(engine->L, engine);
    lua_pushcclosure(engine->L, function, 1);
}

/* --- calls and errors --- */

/* Message handler: the text and the traceback. */
static int traceback(lua_State *L)
{
    lua_settop(L, 1);
    error_text_make(L);
    error_text_trace(L, L, 1);
    return 1;
}

/* The text of the error at 1 and the traceback of the coroutine at 2. */
static int text_and_traceback(lua_State *L)
{
    lua_pushvalue(L, 1);
    error_text_make(L);
    error_text_trace(L, lua_touserdata(L, 2), 0);
    return 1;
}

void engine_push_error(struct engine *engine, lua_State *co)
{
    lua_State *L = engine->L;
    lua_pushcfunction(L, text_and_traceback);
    lua_xmove(co, L, 1);
    lua_pushlightuserdata(L, co);
    engine->memory.enforced = true;
    guard_enter(&engine->guard);
    (void)lua_pcall(L, 2, 1, 0);
    guard_leave(&engine->guard);
    engine->memory.enforced = false;
}

bool engine_call(struct engine *engine, int arguments, int results, struct buffer *error)
{
    lua_State *L = engine->L;
    int function = lua_gettop(L) - arguments;
    lua_rawgeti(L, LUA_REGISTRYINDEX, engine->traceback);
    lua_insert(L, function);
    engine->memory.enforced = true;
    guard_enter(&engine->guard);
    int code = lua_pcall(L, arguments, results, function);
    guard_leave(&engine->guard);
    engine->memory.enforced = false;
    if (code) {
        if (code == LUA_ERRMEM && engine->script) { /* no handler was called */
            lua_pushfstring(L, "%s: %s", engine->script->source->path, lua_tostring(L, -1));
            lua_replace(L, -2);
        }
        size_t length;
        const char *text = lua_tolstring(L, -1, &length);
        if (error)
            buffer_append(error, text, text ? length : 0);
        else if (text)
            report_error(engine->config.report, text, length);
        lua_pop(L, 1);
    }
    lua_remove(L, function);
    engine_settle(engine);
    return code == 0;
}

void engine_settle(struct engine *engine)
{
    enum { MIB = 1024 * 1024 };
    struct memory *memory = &engine->memory;
    memory_pace(memory, engine->L);
    if (!memory->exhausted)
        return;
    memory_relieve(memory, engine->L);
    struct reason text;
    reason_set(&text, "the scripts' memory was used up (%zu MiB; --script-memory raises it)", memory->limit / MIB);
    report_error(engine->config.report, text.text, strlen(text.text));
}

/* --- what scripts are lent --- */

/* log(level, text) */
static int host_log(lua_State *L)
{
    size_t length;
    int level = luaL_checkint(L, 1);
    const char *text = luaL_checklstring(L, 2, &length);
    log_text(engine_of(L)->config.log, (enum log_level)level, text, length);
    return 0;
}

/* is_cut_off() */
static int host_is_cut_off(lua_State *L)
{
    lua_pushboolean(L, engine_of(L)->guard.cut_off);
    return 1;
}

/* looked_into() */
static int host_looked_into(lua_State *L)
{
    engine_of(L)->looked_into = true;
    return 0;
}

static const char *owner_of_metrics(void *context, uint64_t *loading)
{
    const struct engine *engine = context;
    const struct script *script = engine->running ? engine->running->script : engine->script;
    *loading = script ? script->number : 0;
    return script ? script->source->path : "";
}

/* A reference to a new table that does not keep its keys alive. */
static int make_weak_keys(lua_State *L)
{
    lua_newtable(L);
    lua_newtable(L);
    lua_pushliteral(L, "k");
    lua_setfield(L, -2, "__mode");
    lua_setmetatable(L, -2);
    return luaL_ref(L, LUA_REGISTRYINDEX);
}

/* Pushes the table of what all scripts are lent; see dns.script. */
static void push_host(struct engine *engine)
{
    lua_State *L = engine->L;
    lua_newtable(L);
    engine_push_function(engine, host_log);
    lua_setfield(L, -2, "log");
    engine_push_function(engine, host_is_cut_off);
    lua_setfield(L, -2, "is_cut_off");
    engine_push_function(engine, host_looked_into);
    lua_setfield(L, -2, "looked_into");
    if (engine->compiles) {
        lua_visit_push_given(L, &engine->visit);
        lua_setfield(L, -2, "rewrites");
    }
    lua_rawgeti(L, LUA_REGISTRYINDEX, engine->coroutines);
    lua_setfield(L, -2, "coroutines");
    lua_pushinteger(L, (lua_Integer)engine->config.log->level);
    lua_setfield(L, -2, "log_level");
    script_options_open(engine);
    lua_setfield(L, -2, "options");
    lua_newtable(L);
    lua_setfield(L, -2, "persisted");
    lua_newtable(L);
    async_open(engine);
    http_open(engine);
    lua_pushlightuserdata(L, &engine->shared);
    lua_pushnil(L);
    lua_shared_push(L, lua_gettop(L) - 1, lua_gettop(L));
    lua_setfield(L, -4, "shared");
    lua_pop(L, 2);
    if (engine->config.metrics) {
        engine->metrics = (struct lua_metrics){engine->config.metrics, owner_of_metrics, engine};
        lua_pushlightuserdata(L, &engine->metrics);
        lua_metrics_push(L, lua_gettop(L));
        lua_setfield(L, -3, "metrics");
        lua_pop(L, 1);
    }
    lua_setfield(L, -2, "globals");
}

/* --- making --- */

static int open_state(lua_State *L)
{
    struct engine *engine = lua_touserdata(L, 1);
    luaL_openlibs(L);
    if (engine->compiles)
        lua_visit_prepare(L, &engine->visit);
    else if (!engine->config.jit)
        luaJIT_setmode(L, 0, LUAJIT_MODE_ENGINE | LUAJIT_MODE_OFF);
    lua_pushcfunction(L, traceback);
    engine->traceback = luaL_ref(L, LUA_REGISTRYINDEX);
    engine->coroutines = make_weak_keys(L);
    lua_getglobal(L, "package");
    lua_getfield(L, -1, "loaded");
    lua_pushcfunction(L, lua_dns_open);
    lua_call(L, 0, 1);
    if (engine->compiles)
        lua_visit_open(L, &engine->visit);
    resolve_open(engine);
    cache_library_open(engine);
    lua_pushvalue(L, -1);
    lua_setglobal(L, "dns");
    lua_setfield(L, -2, "dns");
    lua_getfield(L, -2, "preload");
    lua_pushcfunction(L, lua_test_open);
    lua_setfield(L, -2, "dns.test");
    lua_internal_lib(L, "dns.script");
    lua_pushvalue(L, -1);
    engine->script_lib = luaL_ref(L, LUA_REGISTRYINDEX);
    push_host(engine);
    lua_pushvalue(L, -1);
    engine->host = luaL_ref(L, LUA_REGISTRYINDEX);
    lua_getfield(L, -2, "harden");
    lua_insert(L, -2);
    lua_pushboolean(L, engine->config.jit);
    lua_call(L, 2, 0);
    return 0;
}

static bool make_sources(struct engine *engine)
{
    const char *const *paths = engine->config.scripts;
    size_t count = 0;
    while (paths && paths[count])
        count++;
    engine->sources = calloc(count + 1, sizeof *engine->sources);
    if (!engine->sources)
        return false;
    for (size_t i = 0; i < count; i++) {
        const char *slash = strrchr(paths[i], '/');
        struct script_source *source = &engine->sources[i];
        source->engine = engine;
        source->path = paths[i];
        source->name = slash ? slash + 1 : paths[i];
        snprintf(source->label, sizeof source->label, "%s", source->name);
    }
    engine->sources_count = count;
    return true;
}

/* Whether what is written can be run, which some sandboxes forbid: LuaJIT would end the process. */
static bool can_run_written_memory(void)
{
    size_t size = (size_t)sysconf(_SC_PAGESIZE);
    void *page = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    bool can = page != MAP_FAILED && mprotect(page, size, PROT_READ | PROT_EXEC) == 0;
    if (page != MAP_FAILED)
        munmap(page, size);
    return can;
}

struct engine *engine_new(const struct engine_config *config)
{
    struct engine *engine = calloc(1, sizeof *engine);
    if (!engine)
        return NULL;
    engine->config = *config;
    if (can_run_written_memory()) {
        engine->compiles = !config->jit;
    } else if (config->jit) {
        engine->config.jit = false;
        log_line(config->log, LOG_WARN,
                 "the system forbids to run memory that has been written (MemoryDenyWriteExecute of systemd?): --jit "
                 "is off");
    }
    engine->shared = (struct lua_shared){.store = config->shared, .wait = shared_wait, .context = engine};
    engine->watch.fd = -1;
    engine->L = luaL_newstate();
    if (!engine->L || !make_sources(engine)) {
        engine_free(engine);
        return NULL;
    }
    memory_install(&engine->memory, engine->L, config->memory_limit);
    if (lua_cpcall(engine->L, open_state, engine) != 0) {
        log_line(config->log, LOG_ERROR, "%s", lua_tostring(engine->L, -1));
        engine_free(engine);
        return NULL;
    }
    lua_settop(engine->L, 0);
    lua_newtable(engine->L);
    lua_settop(engine->L, ENGINE_STACK);
    if (!engine->config.jit && !guard_start(&engine->guard, engine->L, config->hook_timeout))
        log_line(config->log, LOG_WARN, "no timer for the guard against endless hooks: %s", strerror(errno));
    return engine;
}

void engine_free(struct engine *engine)
{
    if (!engine)
        return;
    guard_stop(&engine->guard);
    if (engine->L) {
        async_cancel(engine, NULL);
        engine_abandon(engine);
        while (engine->generations)
            generation_free(engine->generations);
        flow_runs_free(engine);
        held_free(engine);
        quiet_free(engine);
        for (size_t i = 0; i < engine->sources_count; i++)
            script_source_free(&engine->sources[i]);
        http_close(engine);
        lua_close(engine->L);
        memory_free(&engine->memory);
    }
    file_watch_stop(&engine->watch);
    trace_free(engine);
    free(engine->sources);
    buffer_free(&engine->scratch);
    free(engine);
}

/* --- loading --- */

/* Loads and configures one after the other, so that all have declared their options before one is configured. */
static enum status load_all(struct engine *engine, struct reason *reason)
{
    for (size_t i = 0; i < engine->sources_count; i++) {
        enum status status = script_load(&engine->sources[i], &engine->sources[i].script);
        if (status)
            return status;
    }
    for (size_t i = 0; i < engine->sources_count; i++)
        if (!script_options_load(engine->sources[i].script))
            return STATUS_MALFORMED;
    enum status status = script_options_check(engine, true, reason);
    for (size_t i = 0; i < engine->sources_count && !status; i++)
        if (!script_options_configure(engine->sources[i].script) || !script_gather(engine->sources[i].script))
            status = STATUS_MALFORMED;
    return status;
}

enum status engine_load(struct engine *engine, struct loading *loading, struct reason *reason)
{
    for (size_t i = 0; i < engine->sources_count; i++) {
        if (access(engine->sources[i].path, F_OK) != 0) {
            reason_set(reason, "%s: no such script: %s", engine->sources[i].path, strerror(errno));
            return STATUS_NOT_FOUND;
        }
    }
    engine->loading = loading;
    enum status status = load_all(engine, reason);
    engine->loading = NULL;
    if (status)
        return status;
    engine->current = generation_new(engine);
    if (!engine->current) {
        reason_set(reason, "out of memory");
        return STATUS_NO_MEMORY;
    }
    return STATUS_OK;
}

void engine_set_limits(struct engine *engine, double hook_timeout, size_t held_max, size_t held_memory,
                       double held_timeout)
{
    bool restart = engine->guard.started && engine->config.hook_timeout != hook_timeout;
    engine->config.hook_timeout = hook_timeout;
    engine->config.held_max = held_max;
    engine->config.held_memory = held_memory;
    engine->config.held_timeout = held_timeout;
    if (!restart)
        return;
    guard_stop(&engine->guard);
    if (!guard_start(&engine->guard, engine->L, hook_timeout))
        log_line(engine->config.log, LOG_ERROR, "no timer: hooks may compute without end");
}

struct hooks *engine_hooks(struct engine *engine)
{
    return engine->current ? &engine->current->hooks : NULL;
}

void engine_running(struct engine *engine)
{
    engine->listening = true;
    for (size_t i = 0; i < engine->sources_count; i++)
        lifecycle_call(engine->sources[i].script, SCRIPT_RUNNING, 0);
}

void engine_done(struct engine *engine)
{
    for (size_t i = 0; i < engine->sources_count; i++)
        if (engine->sources[i].script)
            (void)script_call(engine->sources[i].script, SCRIPT_DONE, 0);
    async_cancel(engine, NULL);
}

/* --- for people --- */

void engine_describe_options(struct engine *engine, struct buffer *out)
{
    script_options_describe(engine, out);
}

void engine_describe_hooks(struct engine *engine, struct buffer *out)
{
    for (size_t i = 0; i < engine->sources_count; i++) {
        const struct script *script = engine->sources[i].script;
        const char *separator = ": ";
        buffer_text(out, engine->sources[i].path);
        for (int hook = 0; hook < SCRIPT_HOOK_COUNT; hook++) {
            bool defined = false;
            for (size_t j = 0; script && j < script->count; j++)
                defined = defined || script->addons[j].functions[hook] != LUA_NOREF;
            if (!defined)
                continue;
            buffer_format(out, "%s%s", separator, script_hook_names[hook]);
            separator = ", ";
        }
        buffer_text(out, *separator == ':' ? ": no hooks\n" : "\n");
    }
}

void engine_script_names(struct engine *engine, struct buffer *out)
{
    for (size_t i = 0; i < engine->sources_count; i++)
        buffer_format(out, "%s%s", i ? ", " : "", engine->sources[i].name);
}
