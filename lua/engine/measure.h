/* How long scripts' functions compute, by hook, and how often they fail. The time is taken only where somebody wants
 * it. */
#ifndef MOONDNS_LUA_ENGINE_MEASURE_H
#define MOONDNS_LUA_ENGINE_MEASURE_H

#include <stdbool.h>
#include <stdint.h>

struct engine;
struct script_source;

enum { MEASURE_NOTHING = 0 };

struct measure {
    uint64_t calls, nanoseconds, errors;
};

/* Before a function begins or goes on: the time, or MEASURE_NOTHING. */
int64_t measure_begin(const struct engine *engine);

/* It waits or has ended: counts the time since. `hook`: enum script_hook, SCRIPT_HOOK_COUNT for timers. */
void measure_time(struct script_source *source, unsigned hook, int64_t began_ns);

/* It has ended. */
void measure_end(struct script_source *source, unsigned hook, bool failed);

#endif
