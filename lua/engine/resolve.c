#include "lua/engine/resolve.h"

#include "base/clock.h"
#include "flow/exchange.h"
#include "lua/conn_class.h"
#include "lua/engine/engine_private.h"
#include "lua/message_class.h"
#include "lua/registries.h"
#include "lua/values.h"

#include <stdlib.h>

enum { QUESTIONS_MAX = 1000 /* of one resolve_all */ };

/* One question, and where its answer comes to. */
struct asked {
    struct resolve *resolve;
    struct flow *flow;  /* given back to the exchange when the wait ends; NULL where there is none, for … */
    enum status status; /* … this reason */
};

/* What a task waits for. Freed with the wait. */
struct resolve {
    struct task_wait wait; /* first */
    struct task *task;
    struct exchange *exchange;
    bool several; /* resolve_all */
    size_t count, left;
    struct asked asked[];
};

struct question {
    struct dns_name name;
    struct exchange_ask ask;
};

/* --- arguments --- */

/* Takes the options from the table at `options`; those that are not there stay as they are. */
static void check_options(lua_State *L, int options, const char *what, struct exchange_ask *out)
{
    int top = lua_gettop(L);
    lua_getfield(L, options, "server");
    if (!lua_isnil(L, -1))
        lua_check_upstream(L, top + 1, lua_pushfstring(L, "%s: server", what), &out->target);
    lua_settop(L, top);
    lua_getfield(L, options, "timeout");
    if (!lua_isnil(L, -1))
        out->timeout_us = lua_check_timeout(L, top + 1, lua_pushfstring(L, "%s: timeout", what));
    lua_settop(L, top);
    lua_getfield(L, options, "class_");
    if (!lua_isnil(L, -1))
        out->class_ = lua_check_registered(L, top + 1, DNS_CLASSES, lua_pushfstring(L, "%s: class_", what));
    lua_settop(L, top);
}

static const char *const option_names[] = {"server", "timeout", "class_", NULL};

/* Raises for an option of the question at `index` that there is none of. */
static void check_option_names(lua_State *L, int index, const char *what)
{
    for (lua_pushnil(L); lua_next(L, index); lua_pop(L, 1)) {
        const char *const *known = option_names;
        if (lua_type(L, -2) != LUA_TSTRING)
            continue;
        while (*known && strcmp(*known, lua_tostring(L, -2)) != 0)
            known++;
        if (!*known)
            lua_raise_no_name(L, lua_gettop(L) - 1, what, "option", option_names);
    }
}

/* The options that hold for all questions, from the argument at `index`. */
static struct exchange_ask check_defaults(lua_State *L, int index, const char *what)
{
    struct exchange_ask ask = {.class_ = DNS_CLASS_IN};
    if (lua_isnoneornil(L, index))
        return ask;
    lua_check_table(L, index, what);
    check_option_names(L, index, what);
    check_options(L, index, what, &ask);
    return ask;
}

/* A question {name, type [, server =, timeout =, class_ =]} at `index`. */
static void check_question(lua_State *L, int index, const char *what, const struct exchange_ask *defaults,
                           struct question *out)
{
    out->ask = *defaults;
    if (!lua_istable(L, index))
        lua_raise_expected(L, index, what, "{name, type}");
    int top = lua_gettop(L);
    lua_rawgeti(L, index, 1);
    lua_name_check(L, top + 1, &out->name, what);
    lua_rawgeti(L, index, 2);
    out->ask.type = lua_check_registered(L, top + 2, DNS_TYPES, what);
    check_option_names(L, index, what);
    check_options(L, index, what, &out->ask);
    lua_settop(L, top);
}

/* --- answers --- */

static const char *failure_of(const struct asked *asked)
{
    if (!asked->flow)
        return asked->status == STATUS_NO_SPACE ? "too many queries in flight" : "out of memory";
    return asked->flow->error[0] ? asked->flow->error : "out of memory";
}

/* Pushes the answer; false: nil, and there is a failure. */
static bool push_answer(lua_State *L, const struct asked *asked)
{
    const struct flow_message *response = asked->flow ? &asked->flow->response : NULL;
    if (response && response->present) {
        lua_message_push(L, response->wire.data, response->wire.length, clock_seconds(response->timestamp_us));
        return true;
    }
    lua_pushnil(L);
    return false;
}

/* Pushes what the script gets; gives the number of values. */
static int push_results(lua_State *L, const struct resolve *resolve)
{
    if (!resolve->several) {
        if (push_answer(L, resolve->asked))
            return 1;
        lua_pushstring(L, failure_of(resolve->asked));
        return 2;
    }
    lua_createtable(L, (int)resolve->count, 0);
    lua_newtable(L);
    for (size_t i = 0; i < resolve->count; i++) {
        const struct asked *asked = &resolve->asked[i];
        if (push_answer(L, asked)) {
            lua_rawseti(L, -3, (int)i + 1);
            continue;
        }
        lua_pop(L, 1);
        lua_pushstring(L, failure_of(asked));
        lua_rawseti(L, -2, (int)i + 1);
    }
    return 2;
}

static void on_finished(void *context)
{
    struct resolve *resolve = ((struct asked *)context)->resolve;
    if (--resolve->left)
        return;
    struct task *task = resolve->task;
    lua_State *L = task->engine->L;
    task->given = push_results(L, resolve);
    lua_xmove(L, task->coroutine.L, task->given);
    task_end_wait(task);
    task->awake(task);
}

/* --- asking --- */

static void end_wait(struct task_wait *wait)
{
    struct resolve *resolve = (struct resolve *)wait;
    for (size_t i = 0; i < resolve->count; i++)
        if (resolve->asked[i].flow)
            exchange_forget(resolve->exchange, resolve->asked[i].flow);
    free(resolve);
}

/* Asks them all; gives the number of those that wait. */
static size_t ask_all(struct resolve *resolve, struct question *questions)
{
    for (size_t i = 0; i < resolve->count; i++) {
        struct asked *asked = &resolve->asked[i];
        asked->resolve = resolve;
        questions[i].ask.name = &questions[i].name;
        questions[i].ask.finished = on_finished;
        questions[i].ask.context = asked;
        asked->status = exchange_ask(resolve->exchange, &questions[i].ask, &asked->flow);
        resolve->left += !asked->status && !asked->flow->finished_us;
    }
    return resolve->left;
}

/* Asks the questions and waits. Nothing here raises while the exchange works. */
static int resolve(lua_State *L, struct question *questions, size_t count, bool several)
{
    const char *what = several ? "dns.resolve_all" : "dns.resolve";
    struct task *task = task_to_wait(L, what);
    const struct engine_config *config = &task->engine->config;
    struct exchange *exchange = config->exchange ? config->exchange(config->context) : NULL;
    if (!exchange)
        return luaL_error(L, "%s: cannot ask here: the proxy does not listen yet", what);
    struct resolve *resolve = calloc(1, sizeof *resolve + count * sizeof resolve->asked[0]);
    if (!resolve)
        return luaL_error(L, "%s: out of memory", what);
    *resolve =
        (struct resolve){.wait = {end_wait}, .task = task, .exchange = exchange, .several = several, .count = count};
    task->wait = &resolve->wait;
    if (ask_all(resolve, questions)) {
        task->waiting = true;
        return lua_yield(L, 0);
    }
    int results = push_results(L, resolve);
    task_end_wait(task);
    return results;
}

/* resolve(name, type [, opts]) */
static int resolve_one(lua_State *L)
{
    struct question question;
    lua_settop(L, 3);
    lua_name_check(L, 1, &question.name, "dns.resolve");
    uint16_t type = lua_check_registered(L, 2, DNS_TYPES, "dns.resolve");
    question.ask = check_defaults(L, 3, "dns.resolve");
    question.ask.type = type;
    return resolve(L, &question, 1, false);
}

/* resolve_all({{name, type}, …} [, opts]) */
static int resolve_all(lua_State *L)
{
    static const char what[] = "dns.resolve_all";
    lua_settop(L, 2);
    lua_check_table(L, 1, what);
    struct exchange_ask defaults = check_defaults(L, 2, what);
    size_t count = lua_objlen(L, 1);
    if (count > QUESTIONS_MAX)
        return luaL_error(L, "%s: at most %d questions at once", what, QUESTIONS_MAX);
    struct question *questions = lua_newuserdata(L, (count + 1) * sizeof *questions);
    for (size_t i = 0; i < count; i++) {
        const char *place = lua_pushfstring(L, "%s: question %d", what, (int)i + 1);
        lua_rawgeti(L, 1, (int)i + 1);
        check_question(L, lua_gettop(L), place, &defaults, &questions[i]);
        lua_pop(L, 2);
    }
    return resolve(L, questions, count, true);
}

void resolve_open(struct engine *engine)
{
    engine_push_function(engine, resolve_one);
    lua_setfield(engine->L, -2, "resolve");
    engine_push_function(engine, resolve_all);
    lua_setfield(engine->L, -2, "resolve_all");
}
