#include "lua/json.h"

#include "dns/json.h"
#include "lua/json_text.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { DEPTH_MAX = 100 };

/* Addresses that are keys in the registry. */
static const char array_key, push_key;

static void push_registered(lua_State *L, const void *key)
{
    lua_pushlightuserdata(L, (void *)(uintptr_t)key);
    lua_rawget(L, LUA_REGISTRYINDEX);
}

/* --- to Lua --- */

static void push_array(lua_State *L, const struct cJSON *json)
{
    int n = 0;
    lua_newtable(L);
    for (const struct cJSON *item = json->child; item; item = item->next) {
        lua_json_push(L, item);
        lua_rawseti(L, -2, ++n);
    }
    push_registered(L, &array_key);
    lua_setmetatable(L, -2);
}

static void push_object(lua_State *L, const struct cJSON *json)
{
    lua_newtable(L);
    for (const struct cJSON *item = json->child; item; item = item->next) {
        lua_pushstring(L, item->string);
        lua_json_push(L, item);
        lua_rawset(L, -3);
    }
}

void lua_json_push(lua_State *L, const struct cJSON *json)
{
    luaL_checkstack(L, 6, "JSON nested too deeply");
    if (cJSON_IsBool(json))
        lua_pushboolean(L, cJSON_IsTrue(json));
    else if (cJSON_IsNumber(json))
        lua_pushnumber(L, json->valuedouble);
    else if (cJSON_IsString(json) || cJSON_IsRaw(json))
        lua_pushstring(L, json->valuestring);
    else if (cJSON_IsArray(json))
        push_array(L, json);
    else if (cJSON_IsObject(json))
        push_object(L, json);
    else
        lua_pushlightuserdata(L, NULL);
}

static int push_protected(lua_State *L)
{
    lua_json_push(L, lua_touserdata(L, 1));
    return 1;
}

void lua_json_push_owned(lua_State *L, struct cJSON *json, const char *what, const struct reason *reason)
{
    if (!json)
        lua_raise_reason(L, what, reason);
    push_registered(L, &push_key);
    lua_pushlightuserdata(L, json);
    int failed = lua_pcall(L, 1, 1, 0);
    cJSON_Delete(json);
    if (failed)
        lua_error(L);
}

int lua_json_push_object(lua_State *L, int index, const char *what)
{
    struct reason reason;
    lua_json_push_owned(L, lua_class_of(L, index)->to_json(L, index, &reason), what, &reason);
    return 1;
}

/* --- from Lua --- */

static struct cJSON *from_value(lua_State *L, int index, unsigned depth, struct reason *reason);

static struct cJSON *made(struct cJSON *json, struct reason *reason)
{
    if (!json)
        reason_set(reason, "out of memory");
    return json;
}

static struct cJSON *from_text(lua_State *L, int index, struct reason *reason)
{
    size_t length;
    const char *text = lua_tolstring(L, index, &length);
    if (memchr(text, '\0', length)) {
        reason_set(reason, "text with a zero byte cannot be JSON");
        return NULL;
    }
    return made(cJSON_CreateString(text), reason);
}

static struct cJSON *from_number(lua_State *L, int index, struct reason *reason)
{
    double number = lua_tonumber(L, index);
    if (isfinite(number))
        return made(cJSON_CreateNumber(number), reason);
    reason_set(reason, "JSON has no number %g", number);
    return NULL;
}

static struct cJSON *from_object(lua_State *L, int index, struct reason *reason)
{
    const struct lua_class *class = lua_class_of(L, index);
    if (class && class->to_json)
        return class->to_json(L, index, reason);
    reason_set(reason, "%s cannot be JSON", class ? class->name : luaL_typename(L, index));
    return NULL;
}

/* How many items a table has as an array, -1 when it is none. An empty table is one only when it is marked. */
static int array_length(lua_State *L, int index)
{
    bool marked = false;
    int length = (int)lua_objlen(L, index), keys = 0;
    if (lua_getmetatable(L, index)) {
        push_registered(L, &array_key);
        marked = lua_rawequal(L, -1, -2);
        lua_pop(L, 2);
    }
    lua_pushnil(L);
    while (lua_next(L, index)) {
        double key = lua_type(L, -2) == LUA_TNUMBER ? lua_tonumber(L, -2) : 0;
        lua_pop(L, 1);
        if (key < 1 || key > length || key != floor(key)) {
            lua_pop(L, 1);
            return -1;
        }
        keys++;
    }
    return marked || (length > 0 && keys == length) ? length : -1;
}

/* Takes the item; NULL is one that could not be made, for the reason that is there. */
static bool put(struct cJSON *to, const char *key, struct cJSON *item, struct reason *reason)
{
    if (!item)
        return false;
    if (!json_add(to, key, item)) {
        reason_set(reason, "out of memory");
        return false;
    }
    return true;
}

static struct cJSON *from_array(lua_State *L, int index, int length, unsigned depth, struct reason *reason)
{
    struct cJSON *array = made(cJSON_CreateArray(), reason);
    for (int i = 1; array && i <= length; i++) {
        lua_rawgeti(L, index, i);
        struct cJSON *item = from_value(L, lua_gettop(L), depth + 1, reason);
        lua_pop(L, 1);
        if (!put(array, NULL, item, reason)) {
            cJSON_Delete(array);
            return NULL;
        }
    }
    return array;
}

static int compare_keys(const void *a, const void *b)
{
    const struct cJSON *const *left = a, *const *right = b;
    return strcmp((*left)->string, (*right)->string);
}

/* Lua's tables have no order: the keys go out sorted, so that equal tables give equal text. */
static bool sort_object(struct cJSON *object)
{
    size_t count = 0, i = 0;
    for (struct cJSON *item = object->child; item; item = item->next)
        count++;
    if (count < 2)
        return true;
    struct cJSON **items = malloc(count * sizeof *items);
    if (!items)
        return false;
    for (struct cJSON *item = object->child; item; item = item->next)
        items[i++] = item;
    qsort(items, count, sizeof *items, compare_keys);
    for (i = 0; i < count; i++) {
        items[i]->next = i + 1 < count ? items[i + 1] : NULL;
        items[i]->prev = items[i ? i - 1 : count - 1];
    }
    object->child = items[0];
    free(items);
    return true;
}

static struct cJSON *from_members(lua_State *L, int index, unsigned depth, struct reason *reason)
{
    struct cJSON *object = made(cJSON_CreateObject(), reason);
    lua_pushnil(L);
    while (object && lua_next(L, index)) {
        struct cJSON *item = NULL;
        if (lua_type(L, -2) == LUA_TSTRING && strlen(lua_tostring(L, -2)) != lua_objlen(L, -2))
            reason_set(reason, "a key with a zero byte cannot be JSON");
        else if (lua_type(L, -2) == LUA_TSTRING)
            item = from_value(L, lua_gettop(L), depth + 1, reason);
        else
            reason_set(reason, "a table needs either the keys 1 to n or text keys to be JSON");
        if (!put(object, lua_tostring(L, -2), item, reason)) {
            cJSON_Delete(object);
            return NULL;
        }
        lua_pop(L, 1);
    }
    if (object && !sort_object(object)) {
        cJSON_Delete(object);
        return made(NULL, reason);
    }
    return object;
}

static struct cJSON *from_table(lua_State *L, int index, unsigned depth, struct reason *reason)
{
    if (depth > DEPTH_MAX || !lua_checkstack(L, 8)) {
        reason_set(reason, "nested deeper than %d levels", DEPTH_MAX);
        return NULL;
    }
    int top = lua_gettop(L), length = array_length(L, index);
    struct cJSON *json =
        length >= 0 ? from_array(L, index, length, depth, reason) : from_members(L, index, depth, reason);
    lua_settop(L, top);
    return json;
}

static struct cJSON *from_value(lua_State *L, int index, unsigned depth, struct reason *reason)
{
    switch (lua_type(L, index)) {
    case LUA_TNONE:
    case LUA_TNIL:
        return made(cJSON_CreateNull(), reason);
    case LUA_TBOOLEAN:
        return made(cJSON_CreateBool(lua_toboolean(L, index)), reason);
    case LUA_TNUMBER:
        return from_number(L, index, reason);
    case LUA_TSTRING:
        return from_text(L, index, reason);
    case LUA_TTABLE:
        return from_table(L, index, depth, reason);
    case LUA_TLIGHTUSERDATA:
        if (!lua_touserdata(L, index))
            return made(cJSON_CreateNull(), reason);
        /* fall through */
    default:
        return from_object(L, index, reason);
    }
}

struct cJSON *lua_json_from(lua_State *L, int index, struct reason *reason)
{
    if (index < 0)
        index = lua_gettop(L) + 1 + index;
    return from_value(L, index, 0, reason);
}

struct cJSON *lua_json_check(lua_State *L, int index, const char *what)
{
    struct reason reason;
    struct cJSON *json = lua_json_from(L, index, &reason);
    if (!json)
        lua_raise_reason(L, what, &reason);
    return json;
}

/* --- dns.json --- */

/* The length of the UTF-8 sequence at the start of `at`, which ends with NUL (RFC 3629); 0 for a broken one. */
static size_t sequence_length(const unsigned char *at)
{
    static const struct {
        unsigned char first, last, least, most; /* ranges of the first byte and of the second behind it */
        unsigned char length;
    } forms[] = {
        {0xc2, 0xdf, 0x80, 0xbf, 2}, {0xe0, 0xe0, 0xa0, 0xbf, 3}, {0xe1, 0xec, 0x80, 0xbf, 3},
        {0xed, 0xed, 0x80, 0x9f, 3}, {0xee, 0xef, 0x80, 0xbf, 3}, {0xf0, 0xf0, 0x90, 0xbf, 4},
        {0xf1, 0xf3, 0x80, 0xbf, 4}, {0xf4, 0xf4, 0x80, 0x8f, 4},
    };
    if (at[0] < 0x80)
        return 1;
    for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++) {
        if (at[0] < forms[i].first || at[0] > forms[i].last)
            continue;
        size_t n = at[1] >= forms[i].least && at[1] <= forms[i].most ? 2 : 0;
        while (n && n < forms[i].length)
            n = (at[n] & 0xc0) == 0x80 ? n + 1 : 0;
        return n;
    }
    return 0;
}

/* JSON is UTF-8: bytes that are not come out as U+FFFD. */
static void append_utf8(struct buffer *out, const char *text)
{
    const unsigned char *at = (const unsigned char *)text;
    while (*at) {
        size_t length = sequence_length(at);
        if (length)
            buffer_append(out, at, length);
        else
            buffer_text(out, "\xef\xbf\xbd");
        at += length ? length : 1;
    }
}

static int json_encode(lua_State *L)
{
    static const char *const keys[] = {"pretty", NULL};
    bool pretty = false;
    lua_settop(L, 2);
    if (!lua_isnil(L, 2)) {
        lua_check_table(L, 2, "dns.json.encode: options");
        lua_check_keys(L, 2, keys, "dns.json.encode");
        lua_getfield(L, 2, "pretty");
        pretty = !lua_isnil(L, 3) && lua_check_boolean(L, 3, "dns.json.encode: pretty");
        lua_pop(L, 1);
    }
    struct cJSON *json = lua_json_check(L, 1, "dns.json.encode");
    char *text = json_text_print(json, pretty);
    cJSON_Delete(json);
    if (!text)
        return luaL_error(L, "out of memory");
    struct buffer *out = lua_scratch(L);
    append_utf8(out, text);
    cJSON_free(text);
    (void)lua_memory_check(L, buffer_status(out));
    lua_pushlstring(L, (const char *)out->data, out->length);
    return 1;
}

static int json_decode(lua_State *L)
{
    size_t length;
    const char *text = lua_check_text(L, 1, &length, "dns.json.decode"), *end = text;
    struct cJSON *json = NULL;
    struct reason reason;
    if (json_text_check(text, length, &reason) == STATUS_OK) {
        json = cJSON_ParseWithLengthOpts(text, length + 1, &end, true);
        reason_set(&reason, "JSON is broken at byte %zu", (size_t)(end - text) + 1);
    }
    if (!json) {
        lua_pushnil(L);
        lua_pushstring(L, reason.text);
        return 2;
    }
    lua_json_push_owned(L, json, NULL, NULL);
    return 1;
}

static int json_array(lua_State *L)
{
    lua_settop(L, 1);
    lua_check_table(L, 1, "dns.json.array");
    push_registered(L, &array_key);
    if (lua_getmetatable(L, 1) && !lua_rawequal(L, -1, -2))
        return luaL_error(L, "dns.json.array: table without a metatable expected");
    lua_settop(L, 2);
    lua_setmetatable(L, 1);
    return 1;
}

const struct lua_method lua_json_functions[] = {
    {"encode", json_encode, "encode(value [, {pretty=true}])",
     "JSON text. Objects of this module encode through their `to_json`; a table is an array when it has just the keys "
     "1 to n or is marked by `array`; the keys of other tables come sorted. Whole numbers up to 2^53 come in all their "
     "digits. Bytes that are no UTF-8 come out as U+FFFD. Raises for what JSON cannot hold, and for text with a zero "
     "byte."},
    {"decode", json_decode, "decode(text)",
     "The value of a JSON text (RFC 8259, to the letter); nil and the reason when it is broken, has a number beyond "
     "Lua's or a string with a zero byte. Null comes as `dns.json.null`."},
    {"array", json_array, "array(t)", "Marks a table, an empty one too, to be encoded as an array; returns it."},
    {0},
};

void lua_json_open(lua_State *L)
{
    lua_pushlightuserdata(L, (void *)(uintptr_t)&array_key);
    lua_newtable(L);
    lua_rawset(L, LUA_REGISTRYINDEX);
    lua_pushlightuserdata(L, (void *)(uintptr_t)&push_key);
    lua_pushcfunction(L, push_protected);
    lua_rawset(L, LUA_REGISTRYINDEX);
    lua_functions_push(L, lua_json_functions);
    lua_pushlightuserdata(L, NULL);
    lua_setfield(L, -2, "null");
    lua_setfield(L, -2, "json");
}
