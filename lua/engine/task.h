/* Coroutines that run scripts' functions: pooled, since one that has finished can run the next function; one that died
 * of an error is thrown away. */
#ifndef MOONDNS_LUA_ENGINE_TASK_H
#define MOONDNS_LUA_ENGINE_TASK_H

#include <lua.h>
#include <stdbool.h>

struct engine;
struct event;
struct script;

enum {
    TASKS_IDLE_MAX = 256,
    TASKS_KEPT = 32, /* of them, when a burst is over */
};

struct task_pool {
    struct task_coroutine {
        lua_State *L;
        int reference;
    } idle[TASKS_IDLE_MAX];
    unsigned count;
    unsigned long waits; /* that have begun */
};

enum task_result {
    TASK_DONE,
    TASK_WAITS,  /* `awake` is called when it may go on */
    TASK_FAILED, /* the error has been logged */
};

/* What a task waits for besides its alarm: lies in what knows how to end it, answered or not. */
struct task_wait {
    void (*end)(struct task_wait *wait);
};

/* One function after the other that runs in the same coroutine. All zeros but `engine` and `awake` is ready for use. */
struct task {
    struct engine *engine;
    void (*awake)(struct task *task);                                   /* the wait is over: to call task_resume */
    void (*failed)(struct task *task, const char *text, size_t length); /* told of the error; may be NULL */
    struct task_coroutine coroutine;                                    /* L is NULL when it has none */
    struct script *script;                                              /* whose function runs; borrowed */
    unsigned hook; /* what it is called for: enum script_hook; SCRIPT_HOOK_COUNT: a timer */
    bool waiting;
    struct event *alarm;    /* of sleep; made when first needed */
    struct task_wait *wait; /* ended with the task; NULL: none */
    int given;              /* values at the top of the coroutine: what the wait gives its function */
};

/* The coroutine to push a function and its arguments on. */
lua_State *task_coroutine(struct task *task);

/* Runs the function below the `arguments` at the top of the coroutine, which is of this script. */
enum task_result task_start(struct task *task, struct script *script, int arguments);

/* Goes on with a function that waited. */
enum task_result task_resume(struct task *task);

/* Ends task->wait, if there is one. */
void task_end_wait(struct task *task);

/* Gives back the coroutine. A function that still waits is abandoned. */
void task_end(struct task *task);

/* The same, and frees what the task holds. */
void task_free(struct task *task);

/* Throws idle coroutines away but for TASKS_KEPT. */
void task_pool_trim(struct engine *engine);

/* To be called by a C function that is about to wait (and then returns lua_yield): the task that runs. Raises "WHAT: …"
 * where nobody can wait. */
struct task *task_to_wait(lua_State *L, const char *what);

/* The same for a function that does not know its engine by itself. */
struct task *task_of_engine_to_wait(struct engine *engine, lua_State *L, const char *what);

#endif
