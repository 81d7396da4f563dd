#include "lua/engine/script_options.h"

#include "lua/engine/engine_private.h"
#include "lua/internal.h"

/* Pushes a method of the options and the options. */
static void push_method(struct engine *engine, const char *name)
{
    lua_State *L = engine->L;
    lua_rawgeti(L, LUA_REGISTRYINDEX, engine->options);
    lua_getfield(L, -1, name);
    lua_insert(L, -2);
}

/* configure(updated): tells all scripts; what one raises is raised. */
static int configure_all(lua_State *L)
{
    struct engine *engine = engine_of(L);
    lua_settop(L, 1);
    for (size_t i = 0; i < engine->sources_count; i++) {
        const struct script *script = engine->sources[i].script;
        for (size_t j = 0; script && j < script->count; j++) {
            const struct addon *addon = &script->addons[j];
            if (addon->functions[SCRIPT_CONFIGURE] == LUA_NOREF)
                continue;
            lua_rawgeti(L, LUA_REGISTRYINDEX, addon->functions[SCRIPT_CONFIGURE]);
            bool own = addon->self != LUA_NOREF;
            if (own)
                lua_rawgeti(L, LUA_REGISTRYINDEX, addon->self);
            lua_pushvalue(L, 1);
            lua_call(L, own ? 2 : 1, 0);
        }
    }
    return 0;
}

static struct span check_span(lua_State *L, int index)
{
    size_t length;
    const char *bytes = luaL_checklstring(L, index, &length);
    return (struct span){(const uint8_t *)bytes, length};
}

/* tell(name, text): a script has set this option. */
static int tell_others(lua_State *L)
{
    const struct engine_config *config = &engine_of(L)->config;
    config->option_set(config->context, check_span(L, 1), check_span(L, 2));
    return 0;
}

void engine_set_option(struct engine *engine, struct span name, struct span text)
{
    push_method(engine, "receive");
    lua_pushlstring(engine->L, (const char *)name.data, name.length);
    lua_pushlstring(engine->L, (const char *)text.data, text.length);
    (void)engine_call(engine, 3, 0, NULL);
}

/* Pushes {name = value} of the proxy's own options. */
static void push_proxy_options(lua_State *L, const struct engine_option *options)
{
    lua_newtable(L);
    lua_getglobal(L, "dns");
    lua_getfield(L, -1, "json");
    lua_getfield(L, -1, "decode");
    lua_replace(L, -3);
    lua_pop(L, 1);
    for (; options && options->name; options++) {
        lua_pushvalue(L, -1);
        lua_pushstring(L, options->value);
        lua_call(L, 1, 1);
        if (lua_islightuserdata(L, -1)) { /* null: no value */
            lua_pop(L, 1);
            lua_pushboolean(L, false);
        }
        lua_setfield(L, -3, options->name);
    }
    lua_pop(L, 1);
}

static void push_settings(lua_State *L, const char *const *settings)
{
    lua_newtable(L);
    for (int i = 0; settings && settings[i]; i++) {
        lua_pushstring(L, settings[i]);
        lua_rawseti(L, -2, i + 1);
    }
}

void script_options_open(struct engine *engine)
{
    lua_State *L = engine->L;
    lua_internal_lib(L, "dns.options");
    lua_getfield(L, -1, "new");
    push_proxy_options(L, engine->config.options);
    push_settings(L, engine->config.settings);
    lua_call(L, 2, 1);
    engine_push_function(engine, configure_all);
    lua_setfield(L, -2, "configure");
    if (engine->config.option_set) {
        engine_push_function(engine, tell_others);
        lua_setfield(L, -2, "tell");
    }
    lua_pushvalue(L, -1);
    engine->options = luaL_ref(L, LUA_REGISTRYINDEX);
    lua_getfield(L, -1, "view");
    lua_replace(L, -3);
    lua_pop(L, 1);
}

bool script_options_load(struct script *script)
{
    struct engine *engine = script->engine;
    push_method(engine, "loader");
    lua_pushstring(engine->L, script->source->path);
    return engine_call(engine, 2, 1, NULL) && script_call(script, SCRIPT_LOAD, 1);
}

bool script_options_configure(struct script *script)
{
    push_method(script->engine, "all");
    return engine_call(script->engine, 1, 1, NULL) && script_call(script, SCRIPT_CONFIGURE, 1);
}

enum status script_options_check(struct engine *engine, bool all, struct reason *reason)
{
    lua_State *L = engine->L;
    if (all) {
        push_method(engine, "check_settings");
        if (!engine_call(engine, 1, 1, NULL))
            return STATUS_NO_MEMORY;
    } else {
        lua_rawgeti(L, LUA_REGISTRYINDEX, engine->options);
        lua_getfield(L, -1, "fault");
        lua_remove(L, -2);
    }
    const char *fault = lua_tostring(L, -1);
    if (fault)
        reason_set(reason, "%s", fault);
    lua_pop(L, 1);
    return fault ? STATUS_INVALID : STATUS_OK;
}

/* What script_options_renew hands to Lua. */
struct renewal {
    struct engine *engine;
    const char *const *settings;
    const struct engine_option *options;
};

static int renew(lua_State *L)
{
    const struct renewal *renewal = lua_touserdata(L, 1);
    lua_rawgeti(L, LUA_REGISTRYINDEX, renewal->engine->options);
    lua_getfield(L, -1, "renew");
    lua_insert(L, -2);
    push_settings(L, renewal->settings);
    push_proxy_options(L, renewal->options);
    lua_call(L, 3, 0);
    return 0;
}

void script_options_renew(struct engine *engine, const char *const *settings, const struct engine_option *options)
{
    struct renewal renewal = {engine, settings, options};
    lua_pushcfunction(engine->L, renew);
    lua_pushlightuserdata(engine->L, &renewal);
    (void)engine_call(engine, 1, 0, NULL);
}

void script_options_begin(struct engine *engine, const char *path)
{
    push_method(engine, "begin");
    lua_pushstring(engine->L, path);
    (void)engine_call(engine, 2, 0, NULL);
}

static void call_method(struct engine *engine, const char *name)
{
    push_method(engine, name);
    (void)engine_call(engine, 1, 0, NULL);
}

void script_options_rollback(struct engine *engine)
{
    call_method(engine, "rollback");
}

void script_options_set_aside(struct engine *engine)
{
    call_method(engine, "set_aside");
}

void script_options_take(struct engine *engine)
{
    call_method(engine, "take");
}

void script_options_drop(struct engine *engine)
{
    call_method(engine, "drop");
}

void script_options_describe(struct engine *engine, struct buffer *out)
{
    push_method(engine, "describe");
    if (!engine_call(engine, 1, 1, NULL))
        return;
    size_t length;
    const char *text = lua_tolstring(engine->L, -1, &length);
    buffer_append(out, text, length);
    lua_pop(engine->L, 1);
}
