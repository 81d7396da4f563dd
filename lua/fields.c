/* Data by field, as Lua tables, there and back. */
#include "lua/fields.h"

#include "lua/json.h"

#include <math.h>
#include <stdio.h>

enum { DEPTH_MAX = 5 /* of tables: no layout nests deeper */ };

#define EXACT_MAX (UINT64_C(1) << 53) /* beyond it not every integer is a Lua number */

/* --- to Lua --- */

/* Numbers that Lua could not keep exactly become their digits. */
static void push_number(lua_State *L, uint64_t number)
{
    char digits[24];
    if (number <= EXACT_MAX) {
        lua_pushnumber(L, (lua_Number)number);
        return;
    }
    snprintf(digits, sizeof digits, "%llu", (unsigned long long)number);
    lua_pushstring(L, digits);
}

/* Marked as an array, so that an empty one is an array in JSON too. */
static void push_list(lua_State *L, const struct dns_value *list)
{
    int count = 0;
    lua_json_push(L, &(const cJSON){.type = cJSON_Array});
    for (const struct dns_value *item = list->first; item; item = item->next) {
        lua_fields_push(L, item);
        lua_rawseti(L, -2, ++count);
    }
}

static void push_map(lua_State *L, const struct dns_value *map)
{
    lua_newtable(L);
    for (const struct dns_value *item = map->first; item; item = item->next) {
        if (item->key)
            lua_pushstring(L, item->key);
        else
            lua_pushnumber(L, item->key_number);
        lua_fields_push(L, item);
        lua_rawset(L, -3);
    }
}

void lua_fields_push(lua_State *L, const struct dns_value *value)
{
    luaL_checkstack(L, 4, NULL);
    switch (value->form) {
    case DNS_VALUE_NUMBER:
        push_number(L, value->number);
        break;
    case DNS_VALUE_TEXT:
    case DNS_VALUE_BYTES:
        lua_pushlstring(L, (const char *)value->bytes.data, value->bytes.length);
        break;
    case DNS_VALUE_NONE:
        lua_pushnil(L);
        break;
    case DNS_VALUE_LIST:
        push_list(L, value);
        break;
    case DNS_VALUE_MAP:
        push_map(L, value);
        break;
    }
}

/* --- from Lua --- */

/* A value on its way in: where it stands in the tables, and what errors call the place. */
struct spot {
    const char *what, *key;
    unsigned depth;
};

static struct dns_value *from_lua(lua_State *L, int index, struct spot spot);

static int raise_for_field(lua_State *L, int index, struct spot spot, const char *expected)
{
    const char *what = spot.key ? lua_pushfstring(L, "%s: %s", spot.what, spot.key) : spot.what;
    return lua_raise_expected(L, index, what, expected);
}

static struct spot below(struct spot spot, const char *key)
{
    return (struct spot){.what = spot.what, .key = key, .depth = spot.depth + 1};
}

/* Sets the key of an item from the value at -2 of the stack: text, or a number. */
static void set_key(lua_State *L, struct dns_value *item, const char *what)
{
    if (lua_type(L, -2) == LUA_TSTRING) {
        item->key = lua_tostring(L, -2);
        return;
    }
    double number = lua_type(L, -2) == LUA_TNUMBER ? lua_tonumber(L, -2) : -1;
    if (!(number >= 0 && number <= UINT16_MAX && number == floor(number)))
        lua_raise_expected(L, lua_gettop(L) - 1, what, "field name or number from 0 to 65535");
    item->key_number = (uint32_t)number;
}

static void add_items(lua_State *L, int index, struct dns_value *map, struct spot spot)
{
    struct dns_value **end = &map->first;
    lua_pushnil(L);
    while (lua_next(L, index)) {
        const char *key = lua_type(L, -2) == LUA_TSTRING ? lua_tostring(L, -2) : NULL;
        struct dns_value *item = from_lua(L, lua_gettop(L), below(spot, key));
        set_key(L, item, spot.what);
        *end = item;
        end = &item->next;
        lua_pop(L, 1);
    }
}

static void add_list(lua_State *L, int index, struct dns_value *list, struct spot spot)
{
    struct dns_value **end = &list->first;
    int count = (int)lua_objlen(L, index);
    for (int i = 1; i <= count; i++) {
        lua_rawgeti(L, index, i);
        struct dns_value *item = from_lua(L, lua_gettop(L), below(spot, spot.key));
        *end = item;
        end = &item->next;
        lua_pop(L, 1);
    }
}

/* Whether a table has just the keys 1 to n. Service parameters are keyed by number too, and yet no list. */
static bool is_list(lua_State *L, int index, const char *key)
{
    size_t keys = 0;
    if (key && strcmp(key, "params") == 0)
        return false;
    lua_pushnil(L);
    while (lua_next(L, index)) {
        lua_pop(L, 1);
        keys++;
    }
    return keys == lua_objlen(L, index);
}

/* For what no field can hold, the codec says what the field holds. */
static struct dns_value *set_none(lua_State *L, int index, struct dns_value *value)
{
    size_t length;
    lua_push_shown(L, index);
    const char *shown = lua_tolstring(L, -1, &length);
    value->form = DNS_VALUE_NONE;
    value->bytes = (struct span){arena_copy(&lua_workspace(L)->arena, shown, length), length};
    if (!value->bytes.data)
        luaL_error(L, "out of memory");
    lua_pop(L, 1);
    return value;
}

static struct dns_value *from_lua(lua_State *L, int index, struct spot spot)
{
    luaL_checkstack(L, 8, NULL);
    struct dns_value *value = arena_alloc(&lua_workspace(L)->arena, sizeof *value);
    if (!value)
        luaL_error(L, "out of memory");
    double number = lua_tonumber(L, index);
    switch (lua_type(L, index)) {
    case LUA_TNUMBER:
        if (!(number >= 0 && number <= EXACT_MAX && number == floor(number)))
            return set_none(L, index, value);
        value->form = DNS_VALUE_NUMBER;
        value->number = (uint64_t)number;
        return value;
    case LUA_TSTRING:
        value->form = DNS_VALUE_TEXT;
        value->bytes.data = (const uint8_t *)lua_tolstring(L, index, &value->bytes.length);
        return value;
    case LUA_TTABLE:
        if (spot.depth >= DEPTH_MAX)
            raise_for_field(L, index, spot, "at most four levels of tables");
        value->form = spot.depth > 0 && is_list(L, index, spot.key) ? DNS_VALUE_LIST : DNS_VALUE_MAP;
        if (value->form == DNS_VALUE_LIST)
            add_list(L, index, value, spot);
        else
            add_items(L, index, value, spot);
        return value;
    default:
        return set_none(L, index, value);
    }
}

struct dns_value *lua_fields_check(lua_State *L, int index, const char *what)
{
    return from_lua(L, index, (struct spot){.what = what});
}
