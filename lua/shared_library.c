#include "lua/shared_library.h"

#include "base/clock.h"

/* --- the store in memory --- */

static enum status memory_get(void *context, struct shared_text key, int64_t now_us, struct shared_value *out,
                              struct buffer *text, struct reason *reason)
{
    (void)reason;
    return shared_store_get(context, key, now_us, out, text);
}

static enum status memory_set(void *context, struct shared_text key, int64_t now_us, const struct shared_value *value,
                              int64_t ttl_us, struct reason *reason)
{
    (void)reason;
    return shared_store_set(context, key, now_us, value, ttl_us);
}

static enum status memory_add(void *context, struct shared_text key, int64_t now_us, const struct shared_value *value,
                              int64_t ttl_us, bool *added, struct reason *reason)
{
    (void)reason;
    return shared_store_add(context, key, now_us, value, ttl_us, added);
}

static enum status memory_incr(void *context, struct shared_text key, int64_t now_us, double by,
                               const struct shared_initial *initial, double *out, struct reason *reason)
{
    (void)reason;
    return shared_store_incr(context, key, now_us, by, initial, out);
}

static enum status memory_remove(void *context, struct shared_text key, int64_t now_us, bool *removed,
                                 struct reason *reason)
{
    (void)reason;
    *removed = shared_store_delete(context, key, now_us);
    return STATUS_OK;
}

static enum status memory_keys(void *context, struct shared_text prefix, int64_t now_us, struct buffer *out,
                               struct reason *reason)
{
    (void)reason;
    return shared_store_keys(context, prefix, now_us, out);
}

const struct shared_backend shared_in_memory = {
    .get = memory_get,
    .set = memory_set,
    .add = memory_add,
    .incr = memory_incr,
    .remove = memory_remove,
    .keys = memory_keys,
};

/* --- arguments and results. Upvalues of each function: access, clock. --- */

static const double SECONDS_MAX = 1e9;

static const struct lua_shared *shared_of(lua_State *L)
{
    return lua_touserdata(L, lua_upvalueindex(1));
}

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

/* Pushes nil and what went wrong. */
static int push_failure(lua_State *L, enum status status, const struct reason *reason)
{
    lua_pushnil(L);
    lua_pushstring(L, status == STATUS_NO_SPACE || status == STATUS_NO_MEMORY ? "no memory"
                      : status == STATUS_NOT_FOUND                            ? "not found"
                      : status == STATUS_INVALID                              ? "not a number"
                                                                              : reason->text);
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

/* --- functions --- */

static int shared_get(lua_State *L)
{
    struct reason reason = {""};
    struct shared_value value;
    lua_settop(L, 1);
    struct shared_text key = check_key(L, "shared.get");
    int64_t now = now_us(L);
    const struct lua_shared *shared = shared_of(L);
    enum status status = shared->backend->get(shared->context, key, now, &value, lua_scratch(L), &reason);
    if (status == STATUS_NOT_FOUND) {
        lua_pushnil(L);
        return 1;
    }
    if (status)
        return push_failure(L, status, &reason);
    push_value(L, &value);
    return 1;
}

static enum status remove_key(lua_State *L, struct shared_text key, bool *removed, struct reason *reason)
{
    int64_t now = now_us(L);
    const struct lua_shared *shared = shared_of(L);
    return shared->backend->remove(shared->context, key, now, removed, reason);
}

static int shared_set(lua_State *L)
{
    struct reason reason = {""};
    enum status status;
    bool removed;
    lua_settop(L, 3);
    struct shared_text key = check_key(L, "shared.set");
    int64_t ttl_us = check_ttl(L, 3, "shared.set: ttl");
    if (lua_isnil(L, 2)) {
        status = remove_key(L, key, &removed, &reason);
    } else {
        struct shared_value value = check_value(L, 2, "shared.set");
        int64_t now = now_us(L);
        const struct lua_shared *shared = shared_of(L);
        status = shared->backend->set(shared->context, key, now, &value, ttl_us, &reason);
    }
    if (status)
        return push_failure(L, status, &reason);
    lua_pushboolean(L, true);
    return 1;
}

static int shared_add(lua_State *L)
{
    struct reason reason = {""};
    bool added;
    lua_settop(L, 3);
    struct shared_text key = check_key(L, "shared.add");
    struct shared_value value = check_value(L, 2, "shared.add");
    int64_t ttl_us = check_ttl(L, 3, "shared.add: ttl"), now = now_us(L);
    const struct lua_shared *shared = shared_of(L);
    enum status status = shared->backend->add(shared->context, key, now, &value, ttl_us, &added, &reason);
    if (status)
        return push_failure(L, status, &reason);
    lua_pushboolean(L, added);
    return 1;
}

static int shared_incr(lua_State *L)
{
    struct reason reason = {""};
    double sum;
    lua_settop(L, 4);
    struct shared_text key = check_key(L, "shared.incr");
    double by = lua_check_number(L, 2, "shared.incr");
    bool has_initial = !lua_isnil(L, 3);
    struct shared_initial initial = {.number = has_initial ? lua_check_number(L, 3, "shared.incr: initial") : 0};
    initial.ttl_us = check_ttl(L, 4, "shared.incr: ttl");
    int64_t now = now_us(L);
    const struct lua_shared *shared = shared_of(L);
    enum status status =
        shared->backend->incr(shared->context, key, now, by, has_initial ? &initial : NULL, &sum, &reason);
    if (status)
        return push_failure(L, status, &reason);
    lua_pushnumber(L, sum);
    return 1;
}

static int shared_delete(lua_State *L)
{
    struct reason reason = {""};
    bool removed;
    lua_settop(L, 1);
    enum status status = remove_key(L, check_key(L, "shared.delete"), &removed, &reason);
    if (status)
        return push_failure(L, status, &reason);
    lua_pushboolean(L, removed);
    return 1;
}

static int shared_keys(lua_State *L)
{
    struct reason reason = {""};
    struct shared_text prefix = {"", 0};
    lua_settop(L, 1);
    if (!lua_isnil(L, 1))
        prefix = check_key(L, "shared.keys");
    int64_t now = now_us(L);
    const struct lua_shared *shared = shared_of(L);
    struct buffer *keys = lua_scratch(L);
    enum status status = shared->backend->keys(shared->context, prefix, now, keys, &reason);
    if (status)
        return push_failure(L, status, &reason);
    lua_newtable(L);
    int count = 0;
    size_t length;
    for (size_t at = 0; at < keys->length; at += length) {
        memcpy(&length, keys->data + at, sizeof length);
        at += sizeof length;
        lua_pushlstring(L, (const char *)keys->data + at, length);
        lua_rawseti(L, -2, ++count);
    }
    return 1;
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
    shared_store_free(shared->context);
    shared->context = NULL;
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
    *shared = (struct lua_shared){.backend = &shared_in_memory};
    lua_createtable(L, 0, 1);
    lua_pushcfunction(L, store_free);
    lua_setfield(L, -2, "__gc");
    lua_setmetatable(L, -2);
    shared->context = shared_store_new(bytes, secret);
    if (!shared->context)
        return luaL_error(L, "out of memory");
    lua_shared_push(L, 3, 2);
    return 1;
}
