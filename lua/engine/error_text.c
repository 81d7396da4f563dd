#include "lua/engine/error_text.h"

#include "lua/lib.h"

#include <lauxlib.h>
#include <stdbool.h>
#include <string.h>

/* The text of the error at 1. */
static int text_of(lua_State *L)
{
    lua_settop(L, 1);
    if (lua_isstring(L, 1))
        lua_tostring(L, 1);
    else if (!luaL_callmeta(L, 1, "__tostring") || !lua_isstring(L, -1))
        lua_pushfstring(L, "(the error is a %s)", luaL_typename(L, 1));
    return 1;
}

void error_text_make(lua_State *L)
{
    const char *type = luaL_typename(L, -1);
    lua_pushcfunction(L, text_of);
    lua_insert(L, -2);
    if (lua_pcall(L, 1, 1, 0) == 0)
        return;
    lua_pop(L, 1);
    lua_pushfstring(L, "(the error is a %s whose __tostring fails)", type);
}

/* Behind "PLACE: " where the text begins with it twice, as when coroutine.wrap passes an error on. */
static const char *skip_doubled_place(const char *text)
{
    const char *end = strstr(text, ": ");
    size_t length = end ? (size_t)(end - text) + 2 : 0;
    return length && strncmp(text, text + length, length) == 0 ? text + length : text;
}

static bool starts_with(const char *line, const char *start)
{
    return strncmp(line, start, strlen(start)) == 0;
}

/* Whether the line of a traceback is in the Lua side's own code. */
static bool is_internal(const char *line)
{
    for (const struct lua_lib *lib = lua_libs; lib->name; lib++)
        if (starts_with(line, lib->name) && line[strlen(lib->name)] == ':')
            return true;
    return false;
}

void error_text_trace(lua_State *L, lua_State *co, int level)
{
    static const char title[] = "stack traceback:";
    const char *text = skip_doubled_place(lua_tostring(L, -1));
    bool any = false;
    luaL_traceback(L, co, NULL, level);
    const char *line = lua_tostring(L, -1);
    if (starts_with(line, title))
        line += sizeof title - 1;
    luaL_Buffer out;
    luaL_buffinit(L, &out);
    luaL_addstring(&out, text);
    luaL_addstring(&out, "\n");
    luaL_addstring(&out, title);
    while (*line == '\n') {
        const char *end = strchr(line + 1, '\n');
        size_t length = end ? (size_t)(end - line) : strlen(line);
        const char *frame = line + 1 + strspn(line + 1, "\t");
        if (!is_internal(frame)) {
            luaL_addlstring(&out, line, length);
            any = any || !starts_with(frame, "[C]");
        }
        line += length;
    }
    luaL_pushresult(&out);
    if (!any) {
        lua_pop(L, 1);
        lua_pushstring(L, text);
    }
    lua_replace(L, -3);
    lua_pop(L, 1);
}
