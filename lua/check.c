/* The checkers and errors of class.h. */
#include "base/clock.h"
#include "base/log.h"
#include "base/nearest.h"
#include "lua/class.h"

#include <math.h>
#include <stdio.h>

enum { SHOWN_BYTES = 40, ROOM_FOR_NAMES = 64 };

static void push_shown_text(lua_State *L, int index)
{
    size_t length;
    const char *text = lua_tolstring(L, index, &length);
    size_t shown = length;
    if (shown > SHOWN_BYTES) {
        shown = SHOWN_BYTES;
        while (shown && ((unsigned char)text[shown] & 0xc0) == 0x80)
            shown--;
    }
    struct buffer *buffer = lua_scratch(L);
    buffer_u8(buffer, '\'');
    log_escape(buffer, text, shown, false);
    buffer_text(buffer, shown < length ? "…'" : "'");
    lua_pushlstring(L, (const char *)buffer->data, buffer->length);
}

void lua_push_shown(lua_State *L, int index)
{
    const char *class;
    if (index < 0)
        index = lua_gettop(L) + 1 + index;
    switch (lua_type(L, index)) {
    case LUA_TSTRING:
        push_shown_text(L, index);
        break;
    case LUA_TNUMBER:
        lua_pushvalue(L, index);
        lua_tostring(L, -1);
        break;
    case LUA_TBOOLEAN:
        lua_pushstring(L, lua_toboolean(L, index) ? "true" : "false");
        break;
    case LUA_TNONE:
    case LUA_TNIL:
        lua_pushstring(L, "nil");
        break;
    default:
        class = lua_class_name_of(L, index);
        lua_pushstring(L, class ? class : luaL_typename(L, index));
        break;
    }
}

/* Raises the message at the top with the place of the caller in front. */
static int raise_top(lua_State *L)
{
    luaL_where(L, 1);
    lua_insert(L, -2);
    lua_concat(L, 2);
    return lua_error(L);
}

int lua_raise_expected(lua_State *L, int index, const char *what, const char *expected)
{
    luaL_checkstack(L, 6, NULL);
    lua_push_shown(L, index);
    lua_pushfstring(L, "%s: %s expected, got %s", what, expected, lua_tostring(L, -1));
    return raise_top(L);
}

int lua_raise_reason(lua_State *L, const char *what, const struct reason *reason)
{
    luaL_checkstack(L, 6, NULL);
    lua_pushfstring(L, "%s: %s", what, reason->text);
    return raise_top(L);
}

int lua_raise_plain(lua_State *L, const struct reason *reason)
{
    luaL_checkstack(L, 6, NULL);
    lua_pushstring(L, reason->text);
    return raise_top(L);
}

int lua_raise_no_name(lua_State *L, int index, const char *owner, const char *kind, const char *const *names)
{
    luaL_checkstack(L, 6, NULL);
    const char *near = lua_type(L, index) == LUA_TSTRING ? nearest_name(lua_tostring(L, index), names) : NULL;
    lua_push_shown(L, index);
    lua_pushfstring(L, "%s has no %s %s", owner, kind, lua_tostring(L, -1));
    if (near) {
        lua_pushfstring(L, " (did you mean '%s'?)", near);
        lua_concat(L, 2);
    }
    return raise_top(L);
}

int lua_raise_unknown(lua_State *L, int index, const struct lua_class *class)
{
    const char *names[ROOM_FOR_NAMES + 1];
    size_t count = 0;
    for (const struct lua_property *property = class->properties; property && property->name; property++) {
        if (count < ROOM_FOR_NAMES)
            names[count++] = property->name;
    }
    for (const struct lua_method *method = class->methods; method && method->name; method++) {
        if (count < ROOM_FOR_NAMES)
            names[count++] = method->name;
    }
    names[count] = NULL;
    return lua_raise_no_name(L, index, class->name, "property", names);
}

int64_t lua_check_integer(lua_State *L, int index, int64_t least, int64_t most, const char *what)
{
    double number = lua_tonumber(L, index);
    if (!(number >= (double)least && number <= (double)most) || number != (double)(int64_t)number ||
        lua_type(L, index) != LUA_TNUMBER) {
        char expected[80];
        snprintf(expected, sizeof expected, "integer from %lld to %lld", (long long)least, (long long)most);
        lua_raise_expected(L, index, what, expected);
    }
    return (int64_t)number;
}

double lua_check_number(lua_State *L, int index, const char *what)
{
    if (lua_type(L, index) != LUA_TNUMBER)
        lua_raise_expected(L, index, what, "number");
    return lua_tonumber(L, index);
}

bool lua_check_boolean(lua_State *L, int index, const char *what)
{
    if (lua_type(L, index) != LUA_TBOOLEAN)
        lua_raise_expected(L, index, what, "boolean");
    return lua_toboolean(L, index);
}

int64_t lua_check_timeout(lua_State *L, int index, const char *what)
{
    static const double seconds_max = 1e6;
    double seconds = lua_check_number(L, index, what);
    if (!(seconds > 0 && seconds <= seconds_max))
        lua_raise_expected(L, index, what, "seconds (more than 0)");
    int64_t us = (int64_t)(seconds * CLOCK_SECOND_US);
    return us > 0 ? us : 1;
}

const char *lua_check_text(lua_State *L, int index, size_t *length, const char *what)
{
    if (lua_type(L, index) != LUA_TSTRING)
        lua_raise_expected(L, index, what, "string");
    return lua_tolstring(L, index, length);
}

void lua_check_table(lua_State *L, int index, const char *what)
{
    if (lua_type(L, index) != LUA_TTABLE)
        lua_raise_expected(L, index, what, "table");
}

void lua_check_keys(lua_State *L, int index, const char *const *keys, const char *what)
{
    luaL_checkstack(L, 4, NULL);
    if (index < 0)
        index = lua_gettop(L) + 1 + index;
    lua_pushnil(L);
    while (lua_next(L, index)) {
        const char *const *known = keys;
        if (lua_type(L, -2) == LUA_TSTRING) {
            const char *key = lua_tostring(L, -2);
            while (*known && strcmp(*known, key) != 0)
                known++;
        }
        if (lua_type(L, -2) != LUA_TSTRING || !*known)
            lua_raise_no_name(L, -2, what, "property", keys);
        lua_pop(L, 1);
    }
}

static bool is_any_of(const char *key, const char *const *keys)
{
    while (*keys && strcmp(*keys, key) != 0)
        keys++;
    return *keys != NULL;
}

void lua_check_class_keys(lua_State *L, int index, const char *const *keys, const struct lua_class *class)
{
    luaL_checkstack(L, 4, NULL);
    for (const struct lua_property *property = class->properties; property->name; property++) {
        if (property->set || is_any_of(property->name, keys))
            continue;
        lua_getfield(L, index, property->name);
        if (!lua_isnil(L, -1)) {
            lua_pushfstring(L, "%s.%s: cannot be given, as it is read-only", class->name, property->name);
            raise_top(L);
        }
        lua_pop(L, 1);
    }
    lua_check_keys(L, index, keys, class->name);
}
