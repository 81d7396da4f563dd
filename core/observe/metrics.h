/* The proxy's metrics: from the workers' snapshots to families, summed over the workers. */
#ifndef MOONDNS_OBSERVE_METRICS_H
#define MOONDNS_OBSERVE_METRICS_H

#include "data/metrics/exposition.h"
#include "observe/snapshot.h"

struct shared_store;

/* What is the same for all workers. Borrowed. */
struct metrics_common {
    const char *lua_version;
    size_t lua_memory_limit;           /* bytes, for each worker */
    const struct shared_store *shared; /* NULL: none here */
};

/* Appends them all, the process's own too. */
void metrics_write(struct exposition *exposition, const struct snapshot *const *snapshots, unsigned workers,
                   const struct metrics_common *common);

#endif
