#include "lua/engine/script.h"

#include "base/text_file.h"
#include "lua/engine/async.h"
#include "lua/engine/engine_private.h"
#include "lua/engine/http.h"

#include <stdlib.h>

const char *const script_hook_names[SCRIPT_HOOK_COUNT] = {
    [HOOK_REQUEST] = "dns_request",
    [HOOK_RESPONSE] = "dns_response",
    [HOOK_ERROR] = "dns_error",
    [SCRIPT_LOAD] = "load",
    [SCRIPT_CONFIGURE] = "configure",
    [SCRIPT_RUNNING] = "running",
    [SCRIPT_DONE] = "done",
    [SCRIPT_CLIENT_CONNECTED] = "client_connected",
    [SCRIPT_CLIENT_DISCONNECTED] = "client_disconnected",
};

/* --- files --- */

static struct script_file *find_file(struct script_source *source, const char *path)
{
    for (size_t i = 0; i < source->files_count; i++)
        if (strcmp(source->files[i].path, path) == 0)
            return &source->files[i];
    struct script_file *files = realloc(source->files, (source->files_count + 1) * sizeof *files);
    if (!files)
        return NULL;
    source->files = files;
    char *copy = strdup(path);
    if (!copy)
        return NULL;
    files[source->files_count] = (struct script_file){.path = copy};
    return &files[source->files_count++];
}

/* For telling whether a file has changed. */
static uint64_t hash_of(const struct buffer *text)
{
    uint64_t hash = 14695981039346656037u; /* FNV-1a */
    for (size_t i = 0; i < text->length; i++)
        hash = (hash ^ text->data[i]) * 1099511628211u;
    return hash;
}

static MUST_CHECK enum status read_anew(const char *path, struct buffer *out, struct reason *reason)
{
    buffer_clear(out);
    return text_file_read(path, out, reason);
}

/* read(path): the text, or nil and the reason; notes that the script depends on this file. Upvalues: engine, source. */
static int host_read(lua_State *L)
{
    struct script_source *source = lua_touserdata(L, lua_upvalueindex(2));
    struct buffer *text = &source->engine->scratch;
    const char *path = luaL_checkstring(L, 1);
    struct script_file *file = find_file(source, path);
    struct reason reason = {""};
    struct loading *loading = source->engine->loading;
    enum status status = loading ? loading_read(loading, path, text, &reason) : read_anew(path, text, &reason);
    bool present = status == STATUS_OK;
    if (file) {
        file->present = present;
        file->hash = present ? hash_of(text) : 0;
    }
    if (present) {
        http_expect(source->engine, (const char *)text->data, text->length);
        lua_pushlstring(L, text->length ? (const char *)text->data : "", text->length);
        return 1;
    }
    lua_pushnil(L);
    lua_pushstring(L, reason.text);
    return 2;
}

bool script_source_changed(const struct script_source *source)
{
    bool changed = false;
    for (size_t i = 0; i < source->files_count && !changed; i++) {
        const struct script_file *file = &source->files[i];
        struct buffer text = {0};
        if (text_file_read(file->path, &text, NULL) == STATUS_OK)
            changed = !file->present || file->hash != hash_of(&text);
        buffer_free(&text);
    }
    return changed;
}

void script_source_free(struct script_source *source)
{
    script_release(source->script);
    script_release(source->next);
    for (size_t i = 0; i < source->files_count; i++)
        free(source->files[i].path);
    free(source->files);
}

/* --- loading --- */

static void release_addons(struct script *script)
{
    lua_State *L = script->engine->L;
    for (size_t i = 0; i < script->count; i++) {
        luaL_unref(L, LUA_REGISTRYINDEX, script->addons[i].self);
        luaL_unref(L, LUA_REGISTRYINDEX, script->addons[i].compiled);
        for (int hook = 0; hook < SCRIPT_HOOK_COUNT; hook++)
            luaL_unref(L, LUA_REGISTRYINDEX, script->addons[i].functions[hook]);
    }
    free(script->addons);
    script->addons = NULL;
    script->count = 0;
}

/* A reference to the field of the table at the top; LUA_NOREF where it is nil. */
static int reference_field(lua_State *L, const char *name)
{
    lua_getfield(L, -1, name);
    if (!lua_isnil(L, -1))
        return luaL_ref(L, LUA_REGISTRYINDEX);
    lua_pop(L, 1);
    return LUA_NOREF;
}

static bool is_field_true(lua_State *L, const char *name)
{
    lua_getfield(L, -1, name);
    bool is_true = lua_toboolean(L, -1);
    lua_pop(L, 1);
    return is_true;
}

bool script_gather(struct script *script)
{
    struct engine *engine = script->engine;
    lua_State *L = engine->L;
    lua_rawgeti(L, LUA_REGISTRYINDEX, engine->script_lib);
    lua_getfield(L, -1, "addons");
    lua_remove(L, -2);
    lua_rawgeti(L, LUA_REGISTRYINDEX, script->loaded);
    if (!engine_call(engine, 1, 1, NULL))
        return false;
    size_t count = lua_objlen(L, -1);
    struct addon *addons = calloc(count + 1, sizeof *addons);
    if (addons) {
        for (size_t i = 0; i < count; i++) {
            lua_rawgeti(L, -1, (int)i + 1);
            addons[i].keeps = is_field_true(L, "keeps");
            addons[i].shares = is_field_true(L, "shares");
            addons[i].compiled = reference_field(L, "compiled");
            addons[i].self = reference_field(L, "self");
            for (int hook = 0; hook < SCRIPT_HOOK_COUNT; hook++)
                addons[i].functions[hook] = reference_field(L, script_hook_names[hook]);
            lua_pop(L, 1);
        }
        release_addons(script);
        script->addons = addons;
        script->count = count;
    }
    lua_pop(L, 1);
    if (!addons)
        log_line(engine->config.log, LOG_ERROR, "%s: out of memory", script->source->path);
    return addons != NULL;
}

void script_gather_again(struct script *script, struct generation *generation)
{
    struct script before = *script;
    script->addons = NULL;
    script->count = 0;
    bool gathered = script_gather(script);
    if (gathered && !generation_gather(generation)) {
        log_line(script->engine->config.log, LOG_ERROR, "%s: out of memory", script->source->path);
        gathered = false;
    }
    if (gathered) {
        release_addons(&before);
        return;
    }
    release_addons(script);
    script->addons = before.addons;
    script->count = before.count;
}

/* Pushes what this script is lent: a table of its own over what all have in common. */
static void push_host(struct engine *engine, struct script_source *source)
{
    lua_State *L = engine->L;
    lua_newtable(L);
    lua_pushlightuserdata(L, engine);
    lua_pushlightuserdata(L, source);
    lua_pushcclosure(L, host_read, 2);
    lua_setfield(L, -2, "read");
    lua_newtable(L);
    lua_rawgeti(L, LUA_REGISTRYINDEX, engine->host);
    lua_setfield(L, -2, "__index");
    lua_setmetatable(L, -2);
}

enum status script_load(struct script_source *source, struct script **out)
{
    struct engine *engine = source->engine;
    lua_State *L = engine->L;
    struct script *script = calloc(1, sizeof *script);
    if (!script)
        return STATUS_NO_MEMORY;
    *script = (struct script){
        .references = 1, .engine = engine, .source = source, .number = ++engine->loadings, .loaded = LUA_NOREF};
    engine->script = script;
    engine->hook = SCRIPT_HOOK_COUNT;
    lua_rawgeti(L, LUA_REGISTRYINDEX, engine->script_lib);
    lua_getfield(L, -1, "load");
    lua_remove(L, -2);
    lua_pushstring(L, source->path);
    push_host(engine, source);
    bool loaded = engine_call(engine, 2, 1, NULL);
    engine->script = NULL;
    if (!loaded) {
        script_release(script);
        return STATUS_MALFORMED;
    }
    script->loaded = luaL_ref(L, LUA_REGISTRYINDEX);
    if (!script_gather(script)) {
        script_release(script);
        return STATUS_MALFORMED;
    }
    *out = script;
    return STATUS_OK;
}

bool script_call(struct script *script, enum script_hook hook, int arguments)
{
    struct engine *engine = script->engine;
    lua_State *L = engine->L;
    int argument = lua_gettop(L);
    bool called = true;
    engine->script = script;
    engine->hook = hook;
    for (size_t i = 0; i < script->count && called; i++) {
        const struct addon *addon = &script->addons[i];
        if (addon->functions[hook] == LUA_NOREF)
            continue;
        int given = arguments;
        lua_rawgeti(L, LUA_REGISTRYINDEX, addon->functions[hook]);
        if (addon->self != LUA_NOREF) {
            lua_rawgeti(L, LUA_REGISTRYINDEX, addon->self);
            given++;
        }
        if (arguments)
            lua_pushvalue(L, argument);
        int64_t began = measure_begin(engine);
        called = engine_call(engine, given, 0, NULL);
        measure_time(script->source, hook, began);
        measure_end(script->source, hook, !called);
    }
    lua_settop(L, argument - arguments);
    engine->script = NULL;
    flow_runs_go_on(engine);
    return called;
}

struct script *script_hold(struct script *script)
{
    script->references++;
    return script;
}

void script_release(struct script *script)
{
    if (!script || --script->references)
        return;
    async_cancel(script->engine, script);
    release_addons(script);
    luaL_unref(script->engine->L, LUA_REGISTRYINDEX, script->loaded);
    free(script);
}
