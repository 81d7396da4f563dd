#include "lua/internal.h"

#include "base/log.h"
#include "base/nearest.h"
#include "lua/flow_class.h"
#include "lua/lib.h"
#include "lua/metrics_library.h"
#include "lua/shared_library.h"

enum { NAMES_MAX = 500 };

static const char internal_key, libs_key;

/* nearest(word, names): the name, or nil. */
static int internal_nearest(lua_State *L)
{
    const char *names[NAMES_MAX + 1];
    const char *word = lua_check_text(L, 1, NULL, "nearest");
    lua_check_table(L, 2, "nearest");
    lua_settop(L, 2);
    size_t count = lua_objlen(L, 2);
    if (count > NAMES_MAX)
        count = NAMES_MAX;
    luaL_checkstack(L, (int)count + 2, NULL);
    for (size_t i = 0; i < count; i++) {
        lua_rawgeti(L, 2, (int)i + 1);
        names[i] = lua_check_text(L, -1, NULL, "nearest");
    }
    names[count] = NULL;
    lua_pushstring(L, nearest_name(word, names));
    return 1;
}

/* lib(name) */
static int internal_lib(lua_State *L)
{
    lua_internal_lib(L, lua_check_text(L, 1, NULL, "lib"));
    return 1;
}

static void push_internal(lua_State *L);

/* once(name): what the chunk returns, for one that is seldom wanted and not worth its memory. */
static int internal_once(lua_State *L)
{
    lua_lib_load(L, lua_check_text(L, 1, NULL, "once"));
    push_internal(L);
    lua_call(L, 1, 1);
    return 1;
}

/* prepare(flow, {live=, hook=, created=, client=, server=}): sets what scripts cannot set of a flow made by hand. */
static int internal_prepare(lua_State *L)
{
    static const char *const hooks[] = {"dns_request", "dns_response", "dns_error", NULL};
    struct lua_flow *flow = lua_class_check(L, 1, &lua_flow_class, "prepare");
    lua_check_table(L, 2, "prepare");
    lua_settop(L, 2);
    lua_getfield(L, 2, "live");
    if (!lua_isnil(L, -1))
        flow->live = lua_toboolean(L, -1);
    lua_getfield(L, 2, "hook");
    if (!lua_isnil(L, -1))
        flow->hook = (enum hook)luaL_checkoption(L, -1, NULL, hooks);
    lua_getfield(L, 2, "created");
    if (!lua_isnil(L, -1))
        flow->created = lua_check_number(L, lua_gettop(L), "created");
    lua_getfield(L, 2, "client");
    if (!lua_isnil(L, -1)) {
        flow->client = lua_conn_data_from_table(L, lua_gettop(L), "client");
        flow->has_client = true;
    }
    lua_getfield(L, 2, "server");
    if (!lua_isnil(L, -1)) {
        flow->server = lua_conn_data_from_table(L, lua_gettop(L), "server");
        flow->has_server = true;
    }
    return 0;
}

/* take_resend(flow): whether a hook of a flow made by hand sends the query again, and where: {ip, port} or nil. */
static int internal_take_resend(lua_State *L)
{
    struct lua_flow *flow = lua_class_check(L, 1, &lua_flow_class, "take_resend");
    const struct address *address = &flow->resend_target;
    char text[ADDRESS_TEXT_MAX];
    lua_pushboolean(L, flow->resend);
    flow->resend = false;
    if (address->family == AF_UNSPEC)
        return 1;
    lua_createtable(L, 2, 0);
    lua_pushstring(L, address_ip_text(address, text));
    lua_rawseti(L, -2, 1);
    lua_pushinteger(L, address->port);
    lua_rawseti(L, -2, 2);
    return 2;
}

/* escape(text [, keep_newlines]): what a terminal takes. */
static int internal_escape(lua_State *L)
{
    size_t length;
    const char *text = lua_check_text(L, 1, &length, "escape");
    struct buffer *out = lua_scratch(L);
    log_escape(out, text, length, lua_toboolean(L, 2));
    lua_pushlstring(L, out->length ? (const char *)out->data : "", out->length);
    return 1;
}

/* random_u32(): 32 bits nobody can guess. */
static int internal_random_u32(lua_State *L)
{
    lua_pushnumber(L, random_u32(&lua_workspace(L)->random));
    return 1;
}

/* Modules of LuaJIT's own, which a file of the same name does not replace. */
static void push_builtin(lua_State *L)
{
    static const char *const names[] = {"_G",      "string",   "table",     "math",     "io",    "os",
                                        "package", "debug",    "coroutine", "bit",      "jit",   "ffi",
                                        "jit.opt", "jit.util", "jit.v",     "jit.dump", "jit.p", NULL};
    lua_newtable(L);
    for (size_t i = 0; names[i]; i++) {
        lua_pushboolean(L, true);
        lua_setfield(L, -2, names[i]);
    }
}

/* Pushes the table `internal`. */
static void push_internal(lua_State *L)
{
    static const luaL_Reg functions[] = {{"nearest", internal_nearest},
                                         {"lib", internal_lib},
                                         {"once", internal_once},
                                         {"prepare", internal_prepare},
                                         {"take_resend", internal_take_resend},
                                         {"escape", internal_escape},
                                         {"random_u32", internal_random_u32},
                                         {"shared", lua_shared_new},
                                         {"metrics", lua_metrics_new},
                                         {NULL, NULL}};
    lua_pushlightuserdata(L, (void *)(uintptr_t)&internal_key);
    lua_rawget(L, LUA_REGISTRYINDEX);
    if (!lua_isnil(L, -1))
        return;
    lua_pop(L, 1);
    lua_newtable(L);
    luaL_register(L, NULL, functions);
    push_builtin(L);
    lua_setfield(L, -2, "builtin");
    lua_pushlightuserdata(L, (void *)(uintptr_t)&internal_key);
    lua_pushvalue(L, -2);
    lua_rawset(L, LUA_REGISTRYINDEX);
}

/* Pushes the table of what the chunks returned. */
static void push_libs(lua_State *L)
{
    lua_pushlightuserdata(L, (void *)(uintptr_t)&libs_key);
    lua_rawget(L, LUA_REGISTRYINDEX);
    if (!lua_isnil(L, -1))
        return;
    lua_pop(L, 1);
    lua_newtable(L);
    lua_pushlightuserdata(L, (void *)(uintptr_t)&libs_key);
    lua_pushvalue(L, -2);
    lua_rawset(L, LUA_REGISTRYINDEX);
}

void lua_internal_lib(lua_State *L, const char *name)
{
    luaL_checkstack(L, 8, NULL);
    push_libs(L);
    lua_getfield(L, -1, name);
    if (lua_isnil(L, -1)) {
        lua_pop(L, 1);
        lua_lib_load(L, name);
        push_internal(L);
        lua_call(L, 1, 1);
        lua_pushvalue(L, -1);
        lua_setfield(L, -3, name);
    }
    lua_remove(L, -2);
}

int lua_test_open(lua_State *L)
{
    lua_internal_lib(L, "dns.test");
    return 1;
}
