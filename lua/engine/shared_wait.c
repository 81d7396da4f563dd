#include "lua/engine/shared_wait.h"

#include "lua/engine/engine_private.h"
#include "redis/redis_store.h"

#include <stdlib.h>

/* What a task waits for. Freed with the wait. */
struct waiting {
    struct task_wait wait; /* first */
    struct task *task;
    struct redis_request *request; /* NULL: answered */
    enum shared_verb verb;
};

static void end_wait(struct task_wait *wait)
{
    struct waiting *waiting = (struct waiting *)wait;
    if (waiting->request)
        redis_store_forget(waiting->request);
    free(waiting);
}

static void on_finished(void *context, const struct shared_answer *answer)
{
    struct waiting *waiting = context;
    struct task *task = waiting->task;
    lua_State *L = task->engine->L;
    waiting->request = NULL;
    task->given = lua_shared_push_answer(L, waiting->verb, answer);
    lua_xmove(L, task->coroutine.L, task->given);
    task_end_wait(task);
    task->awake(task);
}

int shared_wait(lua_State *L, void *context, const struct shared_call *call, const char *what)
{
    struct engine *engine = context;
    struct task *task = task_of_engine_to_wait(engine, L, what);
    struct waiting *waiting = malloc(sizeof *waiting);
    if (!waiting)
        return luaL_error(L, "%s: out of memory", what);
    *waiting = (struct waiting){.wait = {end_wait}, .task = task, .verb = call->verb};
    struct reason reason = {"no memory"};
    if (redis_store_call(engine->config.redis, call, on_finished, waiting, &waiting->request, &reason)) {
        free(waiting);
        lua_pushnil(L);
        lua_pushstring(L, reason.text);
        return 2;
    }
    task->wait = &waiting->wait;
    task->waiting = true;
    return lua_yield(L, 0);
}
