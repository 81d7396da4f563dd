/* metrics: counters, gauges and histograms that scripts declare. */
#ifndef MOONDNS_LUA_METRICS_LIBRARY_H
#define MOONDNS_LUA_METRICS_LIBRARY_H

#include "data/metrics/script_metrics.h"
#include "lua/class.h"

/* Where the metrics are. */
struct lua_metrics {
    struct script_metrics *registry; /* borrowed */
    /* Whose code runs now: a script's path, and which loading of it. */
    const char *(*owner)(void *context, uint64_t *loading);
    void *context;
};

/* Pushes the table `metrics`. The struct lua_metrics is the userdata, light or full, at `access`; full ones are kept
 * alive by what the table makes. */
void lua_metrics_push(lua_State *L, int access);

/* Pushes a `metrics` with a registry of its own, which goes with it: metrics(). */
int lua_metrics_new(lua_State *L);

/* What the table holds, and the classes of what it makes; for the reference too. */
extern const struct lua_method lua_metrics_functions[];
extern const struct lua_class lua_counter_class, lua_gauge_class, lua_histogram_class;

#endif
