/* sleep and timers. */
#ifndef MOONDNS_LUA_ENGINE_ASYNC_H
#define MOONDNS_LUA_ENGINE_ASYNC_H

struct engine;
struct script;

/* Sets sleep and timer as fields of the table at the top of the engine's stack. */
void async_open(struct engine *engine);

/* Ends what a script has under way besides flows: its timers, its lifecycle hooks that wait; NULL: of all. */
void async_cancel(struct engine *engine, const struct script *script);

#endif
