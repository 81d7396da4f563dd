/* Flows that scripts hold (flow:intercept): so many at one time, and each for so long; then SERVFAIL goes out. */
#ifndef MOONDNS_LUA_ENGINE_HELD_H
#define MOONDNS_LUA_ENGINE_HELD_H

#include <stdbool.h>
#include <stddef.h>

struct engine;
struct event;
struct flow_run;

struct held {
    struct flow_run *first, *last; /* by the time at which their time is over */
    size_t count, bytes;           /* of their messages, about */
    struct event *alarm;           /* made when first needed */
};

/* The run's hooks are done and its flow is held: true. False when too many are: the flow has an error instead. */
bool held_add(struct flow_run *run);

/* It is held no longer; fine for one that isn't. */
void held_remove(struct flow_run *run);

/* For an engine without flows. */
void held_free(struct engine *engine);

#endif
