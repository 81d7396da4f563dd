#include "lua/engine/measure.h"

#include "lua/engine/engine_private.h"
#include "observe/snapshot.h"

#include <time.h>

static int64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

int64_t measure_begin(const struct engine *engine)
{
    return engine->config.measure ? now_ns() : MEASURE_NOTHING;
}

void measure_time(struct script_source *source, unsigned hook, int64_t began_ns)
{
    if (began_ns != MEASURE_NOTHING)
        source->measures[hook].nanoseconds += (uint64_t)(now_ns() - began_ns);
}

void measure_end(struct script_source *source, unsigned hook, bool failed)
{
    source->measures[hook].calls++;
    source->measures[hook].errors += failed;
}

void engine_snapshot(const struct engine *engine, struct snapshot *out)
{
    out->lua_memory = memory_used(&engine->memory);
    out->flows_held = engine->held.count;
    for (size_t i = 0; i < engine->sources_count; i++) {
        const struct script_source *source = &engine->sources[i];
        for (unsigned hook = 0; hook <= SCRIPT_HOOK_COUNT; hook++) {
            const struct measure *measure = &source->measures[hook];
            if (measure->calls == 0)
                continue;
            struct hook_time row = {
                .script = source->path,
                .hook = hook < SCRIPT_HOOK_COUNT ? script_hook_names[hook] : "timer",
                .calls = measure->calls,
                .nanoseconds = measure->nanoseconds,
                .errors = measure->errors,
            };
            snapshot_add_hook(out, &row);
        }
    }
}
