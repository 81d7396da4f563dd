/* Flows on their way through the hooks. A run is what flow->wrapper points to. */
#ifndef MOONDNS_LUA_ENGINE_FLOW_RUN_H
#define MOONDNS_LUA_ENGINE_FLOW_RUN_H

#include "lua/engine/task.h"
#include "lua/flow_class.h"

struct engine;

struct flow_run {
    struct task task;      /* first */
    struct flow_run *next; /* free ones, or those that go on once no hook runs */
    struct flow *flow;
    struct lua_flow *object; /* kept by the main state, by `number` */
    struct lua_flow *spare;  /* the object of flows before, kept there, to be used again; NULL: none */
    int number;
    enum hook hook;
    size_t call;                     /* the one that runs, of the generation's calls */
    unsigned touched;                /* bits of enum lua_flow_change: what happened to the response in this hook */
    const struct script *changed_by; /* who did that */
    bool suspended;                  /* the exchange waits for the flow */
    bool ready;                      /* it is in the list of those that go on */
    bool held;                       /* it is in the engine's list of held ones, until … */
    int64_t held_until_us;           /* … monotonic */
    size_t held_bytes;
    struct flow_run *held_previous, *held_next;
};

struct flow_runs {
    struct flow_run *free, *ready, **blocks; /* runs live in blocks, which are never moved; NULL: one was freed */
    size_t blocks_count;
};

/* Pushes the flow's object on the main state. */
void flow_run_push_object(struct flow_run *run);

/* What a live object asks of the engine. */
extern const struct lua_flow_host flow_run_host;

/* A run out of the free ones; NULL when there is no memory. */
struct flow_run *flow_run_new(struct engine *engine);

/* The flow's object of the engine's visit is the run's own from now on. */
void flow_run_take_visit(struct flow_run *run);

/* struct hooks's functions. */
enum hook_result flow_run_hooks(struct hooks *hooks, enum hook hook, struct flow *flow);
void flow_run_ended(struct hooks *hooks, struct flow *flow);

/* For --errors-in-answers: the client is told of the script's error, the first line of `text`, with the script's name
 * in place of its path. */
void flow_run_tell(struct flow_run *run, const struct script *script, const char *text, size_t length);

/* Lets the flows go on that a script resumed or killed while Lua ran. To be called once Lua has returned. */
void flow_runs_go_on(struct engine *engine);

/* Lets a suspended flow go on whose hooks are done. Never while Lua runs. */
void flow_run_goes_on(struct flow_run *run);

/* Frees what has been used by nobody since a burst: blocks without a run in use. */
void flow_runs_trim(struct engine *engine);

void flow_runs_free(struct engine *engine);

#endif
