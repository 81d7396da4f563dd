#include "observe/snapshot.h"

#include <stdlib.h>

void snapshot_add_hook(struct snapshot *snapshot, const struct hook_time *hook)
{
    if (snapshot->hooks_count == snapshot->hooks_capacity) {
        size_t capacity = snapshot->hooks_capacity * 2 + 8;
        struct hook_time *hooks = realloc(snapshot->hooks, capacity * sizeof *hooks);
        if (!hooks)
            return;
        snapshot->hooks = hooks;
        snapshot->hooks_capacity = capacity;
    }
    snapshot->hooks[snapshot->hooks_count++] = *hook;
}

void snapshot_free(struct snapshot *snapshot)
{
    free(snapshot->hooks);
    *snapshot = (struct snapshot){0};
}
