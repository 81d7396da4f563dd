/* Gives back the memory that a burst of waiting hooks took, once it is over: idle coroutines, runs and flows, what the
 * collector finds. Nothing of it lies on the way of a query that does not wait. */
#ifndef MOONDNS_LUA_ENGINE_QUIET_H
#define MOONDNS_LUA_ENGINE_QUIET_H

struct engine;
struct event;

struct quiet {
    struct event *timer; /* made when first needed; pending while there is something to give back */
    unsigned long seen;  /* of the engine's waits, a round ago */
    unsigned cycles;     /* of the collector, still to go; 0: waits for the burst to end */
};

/* There are more idle coroutines than are worth keeping. */
void quiet_watch(struct engine *engine);

void quiet_free(struct engine *engine);

#endif
