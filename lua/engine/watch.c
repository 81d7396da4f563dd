#include "lua/engine/watch.h"

#include "base/clock.h"

void watch_add(struct file_watch *watch, struct script_source *source)
{
    for (size_t i = 0; i < source->files_count; i++)
        file_watch_add(watch, source->files[i].path, source);
}

static void changed(void *owner, enum file_change change)
{
    struct script_source *source = owner;
    source->dirty = source->dirty || change == FILE_CHANGED;
    source->written_us = change == FILE_CHANGED ? 0 : clock_monotonic_us();
}

bool watch_read(struct file_watch *watch)
{
    return file_watch_read(watch, changed);
}
