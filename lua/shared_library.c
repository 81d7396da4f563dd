#include "lua/shared_library.h"

#include "base/clock.h"

/* --- arguments and results. Upvalues of each function: access, clock. --- */

static const double SECONDS_MAX = 1e9;

static int64_t now_us(lua_State *L)
{
    if (!lua_isfunction(L, lua_upvalueindex(2)))
        return clock_monotonic_us();
    lua_pushvalue(L, lua_upvalueindex(2));
    lua_call(L, 0, 1);
    int64_t now = (int64_t)(lua_tonumber(L, -1) * 1e6);
    lua_pop(L, 1);
    return now;
}

static struct shared_text check_key(lua_State *L, const char *what)
{
    struct shared_text key;
    if (lua_istable(L, 1))
        luaL_error(L, "%s: string expected, got table (call it with a dot)", what);
    key.bytes = lua_check_text(L, 1, &key.length, what);
    return key;
}

static struct shared_value check_value(lua_State *L, int index, const char *what)
{
    struct shared_value value = {.kind = SHARED_TEXT};
    switch (lua_type(L, index)) {
    case LUA_TBOOLEAN:
        value.kind = SHARED_BOOLEAN;
        value.boolean = lua_toboolean(L, index);
        break;
    case LUA_TNUMBER:
        value.kind = SHARED_NUMBER;
        value.number = lua_tonumber(L, index);
        break;
    case LUA_TSTRING:
        value.text.bytes = lua_tolstring(L, index, &value.text.length);
        break;
    case LUA_TTABLE:
        luaL_error(L, "%s: string, number or boolean expected, got table (dns.json.encode makes text of it)", what);
        break;
    default:
        lua_raise_expected(L, index, what, "string, number or boolean");
    }
    return value;
}

static int64_t check_ttl(lua_State *L, int index, const char *what)
{
    if (lua_isnil(L, index))
        return SHARED_TTL_NONE;
    double seconds = lua_type(L, index) == LUA_TNUMBER ? lua_tonumber(L, index) : 0;
    if (!(seconds > 0))
        lua_raise_expected(L, index, what, "seconds (more than 0)");
    int64_t us = (int64_t)((seconds < SECONDS_MAX ? seconds : SECONDS_MAX) * 1e6);
    return us > 0 ? us : 1;
}

/* --- answers --- */

/* Pushes nil and what went wrong. */
static int push_failure(lua_State *L, const struct shared_answer *answer)
{
    enum status status = answer->status;
    lua_pushnil(L);
    lua_pushstring(L, status == STATUS_NO_SPACE || status == STATUS_NO_MEMORY ? "no memory"
                      : status == STATUS_NOT_FOUND                            ? "not found"
                      : status == STATUS_INVALID                              ? "not a number"
                                                                              : answer->reason);
    return 2;
}

static void push_value(lua_State *L, const struct shared_value *value)
{
    if (value->kind == SHARED_BOOLEAN)
        lua_pushboolean(L, value->boolean);
    else if (value->kind == SHARED_NUMBER)
        lua_pushnumber(L, value->number);
    else
        lua_pushlstring(L, value->text.bytes, value->text.length);
}

static void push_keys(lua_State *L, struct span keys)
{
    int count = 0;
    size_t length;
    lua_newtable(L);
    for (size_t at = 0; at < keys.length; at += length) {
        memcpy(&length, keys.data + at, sizeof length);
        at += sizeof length;
        lua_pushlstring(L, (const char *)keys.data + at, length);
        lua_rawseti(L, -2, ++count);
    }
}

/* The array at the top, each of its strings once. */
static void drop_repeated(lua_State *L)
{
    int count = 0, keys = lua_gettop(L), length = (int)lua_objlen(L, keys);
    lua_newtable(L); /* the strings seen so far */
    lua_newtable(L);
    for (int i = 1; i <= length; i++) {
        lua_rawgeti(L, keys, i);
        lua_pushvalue(L, -1);
        lua_rawget(L, keys + 1);
        bool seen = lua_toboolean(L, -1);
        lua_pop(L, 1);
        if (!seen) {
            lua_pushvalue(L, -1);
            lua_pushboolean(L, true);
            lua_rawset(L, keys + 1);
            lua_pushvalue(L, -1);
            lua_rawseti(L, keys + 2, ++count);
        }
        lua_pop(L, 1);
    }
    lua_replace(L, keys);
    lua_pop(L, 1);
}

int lua_shared_push_answer(lua_State *L, enum shared_verb verb, const struct shared_answer *answer)
{
    luaL_checkstack(L, 8, NULL);
    if (answer->status == STATUS_NOT_FOUND && verb == SHARED_GET)
        lua_pushnil(L);
    else if (answer->status)
        return push_failure(L, answer);
    else if (verb == SHARED_GET || verb == SHARED_INCR)
        push_value(L, &answer->value);
    else if (verb == SHARED_KEYS)
        push_keys(L, answer->keys);
    else
        lua_pushboolean(L, verb == SHARED_SET || answer->yes);
    if (answer->keys_repeat)
        drop_repeated(L);
    return 1;
}

/* --- functions --- */

static int make_call(lua_State *L, const struct shared_call *call, const char *what)
{
    const struct lua_shared *shared = lua_touserdata(L, lua_upvalueindex(1));
    if (!shared->store)
        return shared->wait(L, shared->context, call, what);
    struct shared_answer answer;
    int64_t now = now_us(L);
    shared_store_call(shared->store, call, now, lua_scratch(L), &answer);
    return lua_shared_push_answer(L, call->verb, &answer);
}

static int shared_get(lua_State *L)
{
    static const char what[] = "shared.get";
    lua_settop(L, 1);
    struct shared_call call = {.verb = SHARED_GET, .key = check_key(L, what)};
    return make_call(L, &call, what);
}

static int shared_set(lua_State *L)
{
    static const char what[] = "shared.set";
    lua_settop(L, 3);
    struct shared_call call = {.verb = SHARED_SET, .key = check_key(L, what)};
    call.ttl_us = check_ttl(L, 3, "shared.set: ttl");
    if (!lua_isnil(L, 2))
        call.value = check_value(L, 2, what);
    return make_call(L, &call, what);
}

static int shared_add(lua_State *L)
{
    static const char what[] = "shared.add";
    lua_settop(L, 3);
    struct shared_call call = {.verb = SHARED_ADD, .key = check_key(L, what)};
    call.value = check_value(L, 2, what);
    call.ttl_us = check_ttl(L, 3, "shared.add: ttl");
    return make_call(L, &call, what);
}

static int shared_incr(lua_State *L)
{
    static const char what[] = "shared.incr";
    lua_settop(L, 4);
    struct shared_call call = {.verb = SHARED_INCR, .key = check_key(L, what)};
    call.by = lua_check_number(L, 2, what);
    bool has_initial = !lua_isnil(L, 3);
    struct shared_initial initial = {.number = has_initial ? lua_check_number(L, 3, "shared.incr: initial") : 0};
    initial.ttl_us = check_ttl(L, 4, "shared.incr: ttl");
    call.initial = has_initial ? &initial : NULL;
    return make_call(L, &call, what);
}

static int shared_delete(lua_State *L)
{
    static const char what[] = "shared.delete";
    lua_settop(L, 1);
    struct shared_call call = {.verb = SHARED_DELETE, .key = check_key(L, what)};
    return make_call(L, &call, what);
}

static int shared_keys(lua_State *L)
{
    static const char what[] = "shared.keys";
    lua_settop(L, 1);
    struct shared_call call = {.verb = SHARED_KEYS, .key = {"", 0}};
    if (!lua_isnil(L, 1))
        call.key = check_key(L, what);
    return make_call(L, &call, what);
}

const struct lua_method lua_shared_functions[] = {
    {"get", shared_get, "get(key)", "The key's value, or nil."},
    {"set", shared_set, "set(key, value [, ttl])",
     "Sets it, for `ttl` seconds or for good: true, or nil and `no memory`. A value of nil deletes the key."},
    {"add", shared_add, "add(key, value [, ttl])",
     "The same where the key has no value yet: true; false where it has one, which stays."},
    {"incr", shared_incr, "incr(key, by [, initial, ttl])",
     "Adds to a number, in one step: the sum. A missing key starts from `initial` and lives for `ttl` seconds; without "
     "`initial`: nil and `not found`. One that is there keeps its time. A value of another type: nil and `not a "
     "number`."},
    {"delete", shared_delete, "delete(key)", "Deletes the key: whether it was there."},
    {"keys", shared_keys, "keys([prefix])",
     "An array of the keys that begin with `prefix`, in no order. It looks at every key: nothing to do for each "
     "query."},
    {0},
};

/* --- making --- */

void lua_shared_push(lua_State *L, int access, int clock)
{
    luaL_checkstack(L, 6, NULL);
    lua_pushvalue(L, access);
    lua_pushvalue(L, clock < 0 ? clock - 1 : clock);
    lua_newtable(L);
    for (const struct lua_method *function = lua_shared_functions; function->name; function++) {
        lua_pushvalue(L, -3);
        lua_pushvalue(L, -3);
        lua_pushcclosure(L, function->function, 2);
        lua_setfield(L, -2, function->name);
    }
    lua_replace(L, -3);
    lua_pop(L, 1);
}

/* __gc of a store that Lua owns. */
static int store_free(lua_State *L)
{
    struct lua_shared *shared = lua_touserdata(L, 1);
    shared_store_free(shared->store);
    shared->store = NULL;
    return 0;
}

int lua_shared_new(lua_State *L)
{
    struct random *random = &lua_workspace(L)->random;
    uint64_t secret[2];
    for (size_t i = 0; i < 2; i++)
        secret[i] = (uint64_t)random_u32(random) << 32 | random_u32(random);
    size_t bytes = (size_t)lua_check_integer(L, 1, 0, INT32_MAX, "shared");
    lua_settop(L, 2);
    struct lua_shared *shared = lua_newuserdata(L, sizeof *shared);
    *shared = (struct lua_shared){0};
    lua_createtable(L, 0, 1);
    lua_pushcfunction(L, store_free);
    lua_setfield(L, -2, "__gc");
    lua_setmetatable(L, -2);
    shared->store = shared_store_new(bytes, secret);
    if (!shared->store)
        return luaL_error(L, "out of memory");
    lua_shared_push(L, 3, 2);
    return 1;
}
