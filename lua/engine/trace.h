/* Explaining: what each line of a script does to the flow. Lua's line hook compares the flow after each line that was
 * run; what is different is that line's doing. For one query at a time, and slow: only `moondns explain` turns it on.
 */
#ifndef MOONDNS_LUA_ENGINE_TRACE_H
#define MOONDNS_LUA_ENGINE_TRACE_H

#include "base/bytes.h"

struct engine;
struct task;

/* Where the steps go: one line of text each, unescaped. */
struct trace_sink {
    void (*step)(void *context, const char *place, const char *text, size_t length); /* place: "block.lua:12" */
    void *context;
};

/* Begins, for as long as the engine lives. False where there is no memory. */
bool engine_trace(struct engine *engine, struct trace_sink sink);

/* The task, which is a flow's, waits now. To be called where engine->trace. */
void trace_waits(struct engine *engine, const struct task *task);

void trace_free(struct engine *engine);

#endif
