#include "lua/engine/http.h"

#include "base/clock.h"
#include "lua/engine/engine_private.h"
#include "net/http/client.h"

#include <ctype.h>
#include <stdlib.h>
#include <strings.h>

enum {
    CONNECTIONS_MAX = 256,
    REQUESTS_MAX = 10000,
    REDIRECTS = 5,
    REDIRECTS_MAX = 100,
    TIMEOUT_US = 10 * CLOCK_SECOND_US,
    MAX_SIZE = 64 * 1024 * 1024, /* bytes */
};

static const double SIZE_MAX_GIVEN = 1e15;

/* What a task waits for. Freed with the wait. */
struct http_wait {
    struct task_wait wait; /* first */
    struct task *task;
    struct http_request *request;
};

/* --- options --- */

/* Pushes the option; false (and nothing) where it is not given. Its place in errors is `what`, pushed below it. */
static bool push_option(lua_State *L, int options, const char *owner, const char *name, const char **what)
{
    *what = lua_pushfstring(L, "%s: %s", owner, name);
    lua_getfield(L, options, name);
    if (!lua_isnil(L, -1))
        return true;
    lua_pop(L, 2);
    return false;
}

static const char *check_method(lua_State *L, int index, const char *what)
{
    size_t length;
    const char *text = lua_check_text(L, index, &length, what);
    for (const char *const *method = http_methods; *method; method++)
        if (strcasecmp(*method, text) == 0)
            return *method;
    lua_raise_expected(L, index, what, "GET, POST, HEAD, PUT, DELETE, PATCH or OPTIONS");
    return NULL;
}

static void check_address(lua_State *L, int index, const char *what, struct address *out)
{
    size_t length;
    struct reason reason;
    const char *text = lua_check_text(L, index, &length, what);
    if (address_from_text(text, length, 0, out, &reason))
        lua_raise_reason(L, what, &reason);
}

static const char *check_path(lua_State *L, int index, const char *what)
{
    size_t length;
    const char *text = lua_check_text(L, index, &length, what);
    if (length == 0 || strlen(text) != length)
        lua_raise_expected(L, index, what, "path");
    return text;
}

/* The options of the table at `options`. What `out` points to stays on the stack. */
static void check_options(lua_State *L, int options, const char *owner, struct http_ask *out)
{
    const char *what;
    luaL_checkstack(L, 24, NULL);
    if (push_option(L, options, owner, "method", &what))
        out->method = check_method(L, -1, what);
    if (push_option(L, options, owner, "body", &what))
        out->body.data = (const uint8_t *)lua_check_text(L, -1, &out->body.length, what);
    if (push_option(L, options, owner, "timeout", &what))
        out->timeout_us = lua_check_timeout(L, -1, what);
    if (push_option(L, options, owner, "max_size", &what))
        out->max_size = (size_t)lua_check_integer(L, -1, 1, (int64_t)SIZE_MAX_GIVEN, what);
    if (push_option(L, options, owner, "redirects", &what))
        out->redirects = (unsigned)lua_check_integer(L, -1, 0, REDIRECTS_MAX, what);
    if (push_option(L, options, owner, "verify", &what))
        out->verify = lua_check_boolean(L, -1, what);
    if (push_option(L, options, owner, "ca_file", &what))
        out->ca_file = check_path(L, -1, what);
    if (push_option(L, options, owner, "address", &what))
        check_address(L, -1, what, &out->address);
}

/* --- headers --- */

/* Headers as they are read; the strings are kept by the table at `keep`. */
struct reading {
    lua_State *L;
    int keep;
    const char *what;
    struct http_header *list; /* NULL: they are only counted */
    size_t count;
};

/* A header of the name and the value at these indices. */
static void read_header(struct reading *reading, int name, int value)
{
    lua_State *L = reading->L;
    struct reason reason;
    size_t name_length, value_length;
    if (lua_type(L, value) != LUA_TSTRING && lua_type(L, value) != LUA_TNUMBER)
        lua_raise_expected(L, value, reading->what, "string");
    size_t at = reading->count++;
    if (!reading->list)
        return;
    lua_pushvalue(L, value);
    const char *name_text = lua_tolstring(L, name, &name_length), *text = lua_tolstring(L, -1, &value_length);
    lua_rawseti(L, reading->keep, (int)at + 1);
    if (http_header_check(name_text, name_length, text, value_length, &reason))
        lua_raise_reason(L, reading->what, &reason);
    reading->list[at] = (struct http_header){name_text, text};
}

/* Reads the table of headers at `index`: a value each, or an array of values. */
static void read_headers(struct reading *reading, int index)
{
    lua_State *L = reading->L;
    reading->count = 0;
    for (lua_pushnil(L); lua_next(L, index); lua_pop(L, 1)) {
        int value = lua_gettop(L), name = value - 1;
        if (lua_type(L, name) != LUA_TSTRING)
            lua_raise_expected(L, name, reading->what, "header names as keys");
        if (!lua_istable(L, value)) {
            read_header(reading, name, value);
            continue;
        }
        size_t count = lua_objlen(L, value);
        for (size_t i = 1; i <= count; i++) {
            lua_rawgeti(L, value, (int)i);
            read_header(reading, name, value + 1);
            lua_pop(L, 1);
        }
    }
}

static void check_headers(lua_State *L, int options, const char *owner, struct http_ask *out)
{
    struct reading reading = {.L = L};
    if (!push_option(L, options, owner, "headers", &reading.what))
        return;
    int index = lua_gettop(L);
    lua_check_table(L, index, reading.what);
    luaL_checkstack(L, 8, NULL);
    lua_newtable(L);
    reading.keep = lua_gettop(L);
    read_headers(&reading, index);
    reading.list = lua_newuserdata(L, (reading.count + 1) * sizeof *reading.list);
    read_headers(&reading, index);
    out->headers = reading.list;
    out->header_count = reading.count;
}

/* --- answers --- */

/* Names in lower case; several values of one name are joined. */
static void push_headers(lua_State *L, const struct http_response *response)
{
    lua_createtable(L, 0, (int)response->header_count);
    for (size_t i = 0; i < response->header_count; i++) {
        luaL_Buffer name;
        luaL_buffinit(L, &name);
        for (const char *at = response->headers[i].name; *at; at++)
            luaL_addchar(&name, (char)tolower((unsigned char)*at));
        luaL_pushresult(&name);
        lua_pushvalue(L, -1);
        lua_rawget(L, -3);
        if (lua_isnil(L, -1)) {
            lua_pop(L, 1);
            lua_pushstring(L, response->headers[i].value);
        } else {
            lua_pushfstring(L, "%s, %s", lua_tostring(L, -1), response->headers[i].value);
            lua_remove(L, -2);
        }
        lua_rawset(L, -3);
    }
}

/* Pushes what the script gets; gives the number of values. */
static int push_results(struct engine *engine, const struct http_request *request)
{
    lua_State *L = engine->L;
    const struct http_response *response = http_request_response(request);
    if (!response || response->body.length > memory_left(&engine->memory)) {
        lua_pushnil(L);
        lua_pushstring(L, response ? "too large: the script's memory is used up" : http_request_failure(request));
        return 2;
    }
    lua_createtable(L, 0, 5);
    lua_pushinteger(L, response->status);
    lua_setfield(L, -2, "status");
    lua_pushstring(L, response->reason);
    lua_setfield(L, -2, "reason");
    lua_pushstring(L, response->url);
    lua_setfield(L, -2, "url");
    lua_pushlstring(L, (const char *)response->body.data, response->body.length);
    lua_setfield(L, -2, "body");
    push_headers(L, response);
    lua_setfield(L, -2, "headers");
    return 1;
}

/* --- waiting --- */

static void on_finished(void *context)
{
    struct http_wait *wait = context;
    struct task *task = wait->task;
    lua_State *L = task->engine->L;
    task->given = push_results(task->engine, wait->request);
    lua_xmove(L, task->coroutine.L, task->given);
    task_end_wait(task);
    task->awake(task);
}

static void end_wait(struct task_wait *at)
{
    struct http_wait *wait = (struct http_wait *)at;
    if (wait->request)
        http_request_free(wait->request);
    free(wait);
}

static struct exchange *exchange_of(void *context)
{
    const struct engine_config *config = &((struct engine *)context)->config;
    return config->exchange ? config->exchange(config->context) : NULL;
}

static struct http_client *need_client(struct engine *engine)
{
    const struct http_client_config config = {
        .base = engine->config.base,
        .exchange = exchange_of,
        .context = engine,
        .connections_max = CONNECTIONS_MAX,
        .requests_max = REQUESTS_MAX,
    };
    if (!engine->http)
        engine->http = http_client_new(&config);
    return engine->http;
}

/* Whether the text calls what is here. */
static bool mentions_http(const char *text, size_t length)
{
    static const char *const calls[] = {"http.get", "http.request"};
    for (size_t i = 0; i < sizeof calls / sizeof *calls; i++)
        if (memmem(text, length, calls[i], strlen(calls[i])))
            return true;
    return false;
}

void http_expect(struct engine *engine, const char *text, size_t length)
{
    struct http_client *client = mentions_http(text, length) ? need_client(engine) : NULL;
    if (client)
        http_client_trust(client);
}

/* Asks and waits. */
static int request(lua_State *L, struct http_ask *ask, const char *what)
{
    struct engine *engine = engine_of(L);
    struct task *task = task_to_wait(L, what);
    struct http_client *client = need_client(engine);
    struct http_wait *wait = client ? calloc(1, sizeof *wait) : NULL;
    if (!wait)
        return luaL_error(L, "%s: out of memory", what);
    *wait = (struct http_wait){.wait = {end_wait}, .task = task};
    if (ask->max_size > memory_left(&engine->memory))
        ask->max_size = memory_left(&engine->memory);
    ask->finished = on_finished;
    ask->context = wait;
    struct reason reason;
    enum status status = http_request_start(client, ask, &wait->request, &reason);
    if (status) {
        free(wait);
        if (status == STATUS_INVALID)
            return lua_raise_reason(L, what, &reason);
        lua_pushnil(L);
        lua_pushstring(L, reason.text);
        return 2;
    }
    task->wait = &wait->wait;
    task->waiting = true;
    return lua_yield(L, 0);
}

static const struct http_ask defaults = {
    .method = "GET",
    .timeout_us = TIMEOUT_US,
    .max_size = MAX_SIZE,
    .redirects = REDIRECTS,
    .verify = true,
};

#define OPTION_NAMES \
    "method", "headers", "body", "timeout", "max_size", "redirects", "verify", "ca_file", "address", NULL

static int http_get(lua_State *L)
{
    static const char what[] = "http.get";
    static const char *const names[] = {OPTION_NAMES};
    struct http_ask ask = defaults;
    lua_settop(L, 2);
    ask.url = lua_check_text(L, 1, &ask.url_length, what);
    if (!lua_isnil(L, 2)) {
        lua_check_table(L, 2, what);
        lua_check_keys(L, 2, names, what);
        check_options(L, 2, what, &ask);
        check_headers(L, 2, what, &ask);
    }
    return request(L, &ask, what);
}

static int http_request_of_table(lua_State *L)
{
    static const char what[] = "http.request";
    static const char *const names[] = {"url", OPTION_NAMES};
    const char *place;
    struct http_ask ask = defaults;
    lua_settop(L, 1);
    lua_check_table(L, 1, what);
    lua_check_keys(L, 1, names, what);
    if (!push_option(L, 1, what, "url", &place))
        return luaL_error(L, "%s: url expected", what);
    ask.url = lua_check_text(L, -1, &ask.url_length, place);
    check_options(L, 1, what, &ask);
    check_headers(L, 1, what, &ask);
    return request(L, &ask, what);
}

void http_open(struct engine *engine)
{
    lua_State *L = engine->L;
    lua_createtable(L, 0, 2);
    engine_push_function(engine, http_get);
    lua_setfield(L, -2, "get");
    engine_push_function(engine, http_request_of_table);
    lua_setfield(L, -2, "request");
    lua_setfield(L, -2, "http");
}

void http_close(struct engine *engine)
{
    http_client_free(engine->http);
    engine->http = NULL;
}
