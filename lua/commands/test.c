/* moondns test: runs scripts' tests. The Lua side (lua/lib/dns.runner.lua) does it; here is what it needs of the
 * system, and the guard that cuts off tests that compute without end. */
#include "base/clock.h"
#include "base/log.h"
#include "lua/commands/commands.h"
#include "lua/engine/error_text.h"
#include "lua/engine/guard.h"
#include "lua/internal.h"
#include "lua/module.h"
#include "proxy/options.h"

#include <dirent.h>
#include <lauxlib.h>
#include <luajit.h>
#include <lualib.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

struct tester {
    struct guard guard;
    int argc;
    char **argv;
    int code; /* the exit code */
};

static struct tester *tester_of(lua_State *L)
{
    return lua_touserdata(L, lua_upvalueindex(1));
}

/* list(folder): the names in it, sorted, and text that is the same for this folder alone; nil when it is none. */
static int host_list(lua_State *L)
{
    struct dirent **entries;
    struct stat folder;
    const char *path = luaL_checkstring(L, 1);
    int count = scandir(path, &entries, NULL, alphasort);
    if (count < 0)
        return 0;
    if (stat(path, &folder) != 0)
        folder = (struct stat){0};
    lua_createtable(L, count, 0);
    for (int i = 0; i < count; i++) {
        lua_pushstring(L, entries[i]->d_name);
        lua_rawseti(L, -2, i + 1);
        free(entries[i]);
    }
    free(entries);
    uint64_t which[] = {(uint64_t)folder.st_dev, (uint64_t)folder.st_ino};
    lua_pushlstring(L, (const char *)which, sizeof which);
    return 2;
}

/* seconds() */
static int host_seconds(lua_State *L)
{
    lua_pushnumber(L, clock_seconds(clock_monotonic_us()));
    return 1;
}

/* guard(seconds) */
static int host_guard(lua_State *L)
{
    if (!guard_start(&tester_of(L)->guard, L, luaL_checknumber(L, 1)))
        fprintf(stderr, "moondns test: no timer for the guard against endless tests\n");
    return 0;
}

/* Message handler: tables stay, all else becomes a text with the traceback. */
static int explain(lua_State *L)
{
    lua_settop(L, 1);
    if (lua_istable(L, 1))
        return 1;
    error_text_make(L);
    error_text_trace(L, L, 1);
    return 1;
}

/* guarded(f, …) */
static int host_guarded(lua_State *L)
{
    struct tester *tester = tester_of(L);
    int arguments = lua_gettop(L) - 1;
    lua_pushcfunction(L, explain);
    lua_insert(L, 1);
    guard_enter(&tester->guard);
    int code = lua_pcall(L, arguments, 1, 1);
    guard_leave(&tester->guard);
    lua_pushboolean(L, code == 0);
    lua_insert(L, -2);
    return 2;
}

static void push_host(lua_State *L, struct tester *tester)
{
    static const luaL_Reg functions[] = {
        {"list", host_list}, {"seconds", host_seconds}, {"guard", host_guard}, {"guarded", host_guarded}, {NULL, NULL}};
    lua_newtable(L);
    lua_pushlightuserdata(L, tester);
    luaL_openlib(L, NULL, functions, 1);
}

static int run(lua_State *L)
{
    struct tester *tester = lua_touserdata(L, 1);
    luaL_openlibs(L);
    luaJIT_setmode(L, 0, LUAJIT_MODE_ENGINE | LUAJIT_MODE_OFF); /* the guard cannot stop compiled code */
    lua_getglobal(L, "package");
    lua_getfield(L, -1, "loaded");
    lua_dns_open(L);
    lua_setfield(L, -2, "dns");
    lua_getfield(L, -2, "preload");
    lua_pushcfunction(L, lua_test_open);
    lua_setfield(L, -2, "dns.test");
    lua_internal_lib(L, "dns.runner");
    push_host(L, tester);
    lua_newtable(L);
    for (int i = 1; i < tester->argc; i++) {
        lua_pushstring(L, tester->argv[i]);
        lua_rawseti(L, -2, i);
    }
    lua_call(L, 2, 1);
    tester->code = (int)lua_tointeger(L, -1);
    return 0;
}

static void report_failure(const char *why)
{
    struct buffer text = {0};
    log_escape_lines(&text, why, strlen(why));
    fprintf(stderr, "moondns test: %s\n", buffer_c_string(&text) ? (const char *)text.data : "out of memory");
    buffer_free(&text);
}

int command_test(int argc, char **argv)
{
    struct tester tester = {.guard.option = "--test-timeout", .argc = argc, .argv = argv, .code = OPTIONS_EXIT_FAILURE};
    lua_State *L = luaL_newstate();
    if (!L || lua_cpcall(L, run, &tester) != 0)
        report_failure(L ? lua_tostring(L, -1) : "out of memory");
    guard_stop(&tester.guard);
    if (L)
        lua_close(L);
    return tester.code;
}
