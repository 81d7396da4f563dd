/* What the engine's files share. One engine belongs to one thread. */
#ifndef MOONDNS_LUA_ENGINE_PRIVATE_H
#define MOONDNS_LUA_ENGINE_PRIVATE_H

#include "lua/engine/engine.h"
#include "lua/engine/flow_run.h"
#include "lua/engine/generation.h"
#include "lua/engine/guard.h"
#include "lua/engine/held.h"
#include "lua/engine/lifecycle.h"
#include "lua/engine/loading.h"
#include "lua/engine/memory.h"
#include "lua/engine/quiet.h"
#include "lua/engine/report.h"
#include "lua/engine/script.h"
#include "lua/engine/task.h"
#include "lua/engine/trace.h"
#include "lua/engine/watch.h"
#include "lua/metrics_library.h"
#include "lua/shared_library.h"
#include "lua/visit.h"

/* The main state's stack holds these for good. */
enum {
    ENGINE_LIVE = 1,    /* the objects of live flows, by the number of their run; … */
    ENGINE_PLACES = 64, /* … those of the first ones stand behind it, where they are found faster */
    ENGINE_STACK = ENGINE_LIVE + ENGINE_PLACES,
};

struct engine {
    struct engine_config config;
    lua_State *L;
    struct memory memory;
    struct guard guard;
    struct script_source *sources; /* one for each path, in order */
    size_t sources_count;
    /* References: dns.script, the options, what scripts are lent, a handler, the tasks' coroutines as keys. */
    int script_lib, options, host, traceback, coroutines;

    struct generation *current, *generations; /* the list holds all that live */
    struct generation *next;                  /* prepared: all scripts, with the new ones; NULL: none */
    struct loading *loading;                  /* while scripts load: where their files come from; borrowed */
    bool options_aside;                       /* prepared scripts' options wait for the switch */
    unsigned number;                          /* of switches so far */
    bool looked_into; /* scripts have looked into functions that run: objects serve one flow each from now on */
    uint64_t failed_loadings;
    struct file_watch watch;
    struct lua_metrics metrics;
    uint64_t loadings; /* of scripts, counted */

    struct lua_shared shared;
    struct task_pool tasks;
    struct quiet quiet;
    struct flow_runs flows;
    bool compiles; /* hooks can be compiled; then there is: */
    struct lua_visit visit;
    struct flow_run *visitor; /* the run whose hooks are compiled ones, one flow after the other; NULL: none yet */
    struct held held;
    struct trace *trace;  /* NULL: nobody wants to know */
    struct task *running; /* whose coroutine runs now; NULL: none */
    struct http_client *http;
    struct lifecycle *lifecycles; /* lifecycle hooks that run or wait */
    struct timer *timers;
    uint64_t timer_numbers;
    struct script *script; /* whose chunk, load, configure or done runs now; NULL: none */
    enum script_hook hook; /* which one of these; SCRIPT_HOOK_COUNT: the chunk */
    struct buffer scratch; /* a message on its way to the flow, a file on its way to Lua */
    bool listening;        /* engine_running was called */
};

/* The engine of a C function that was made with engine_push_function. */
struct engine *engine_of(lua_State *L);

/* Pushes a C function that knows its engine. */
void engine_push_function(struct engine *engine, lua_CFunction function);

/* Calls the function below the `arguments` at the top of the main state, guarded; `results` are left on it. On an error
 * logs it (false), or where `reason` is not NULL only says it there. */
bool engine_call(struct engine *engine, int arguments, int results, struct buffer *error);

/* Pushes a text for the error value at the top of `co` (which it pops) with the traceback of that coroutine. */
void engine_push_error(struct engine *engine, lua_State *co);

/* After every run of Lua. */
void engine_settle(struct engine *engine);

#endif
