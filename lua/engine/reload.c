/* Hot reload: one script is loaded anew, the others stay; a script that fails leaves all as it was. */
#include "base/clock.h"
#include "lua/engine/async.h"
#include "lua/engine/engine_private.h"
#include "lua/engine/script_options.h"

#include <stdlib.h>

enum { QUIET_MS = 30, WRITING_MS = 1000, ROUNDS_MAX = 8 };

/* --- the files of a source while it is loaded anew --- */

struct files {
    struct script_file *list;
    size_t count;
};

static struct files take_files(struct script_source *source)
{
    struct files files = {source->files, source->files_count};
    source->files = NULL;
    source->files_count = 0;
    return files;
}

static bool has_file(const struct script_source *source, const char *path)
{
    for (size_t i = 0; i < source->files_count; i++)
        if (strcmp(source->files[i].path, path) == 0)
            return true;
    return false;
}

/* Ends what take_files began. `keep`: the files that the new loading did not ask for count on. */
static void give_files(struct script_source *source, struct files files, bool keep)
{
    struct script_file *all =
        keep ? realloc(source->files, (source->files_count + files.count + 1) * sizeof *all) : NULL;
    if (all)
        source->files = all;
    for (size_t i = 0; i < files.count; i++) {
        if (all && !has_file(source, files.list[i].path))
            all[source->files_count++] = files.list[i];
        else
            free(files.list[i].path);
    }
    free(files.list);
}

/* --- one script --- */

/* Loads the source into `out` up to `configure`. False when that failed (logged), or when the file was written
 * meanwhile: then the source is marked so. */
static bool prepare(struct script_source *source, struct script **out)
{
    struct engine *engine = source->engine;
    struct script *script = NULL;
    struct reason reason = {""};
    if (script_load(source, &script) != STATUS_OK)
        return false;
    bool ready = !watch_read(&engine->watch) || !(source->dirty || source->written_us);
    ready = ready && script_options_load(script);
    if (ready && script_options_check(engine, false, &reason) != STATUS_OK) {
        log_line(engine->config.log, LOG_ERROR, "%s", reason.text);
        ready = false;
    }
    ready = ready && script_options_configure(script) && script_gather(script);
    if (ready)
        *out = script;
    else
        script_release(script);
    return ready;
}

/* Makes the scripts as they now are the current generation. */
static bool make_current(struct engine *engine)
{
    struct generation *next = generation_new(engine);
    if (!next)
        return false;
    struct generation *before = engine->current;
    engine->current = next;
    if (engine->config.hooks_changed)
        engine->config.hooks_changed(engine->config.context, &next->hooks);
    else if (before && before->hooks.flows == 0)
        generation_free(before);
    return true;
}

static void replace(struct script_source *source, struct script *script)
{
    struct engine *engine = source->engine;
    struct script *old = source->script;
    if (old) {
        (void)script_call(old, SCRIPT_DONE, 0);
        async_cancel(engine, old);
    }
    source->script = script;
    if (!make_current(engine)) {
        log_line(engine->config.log, LOG_ERROR, "%s: not reloaded: out of memory", source->path);
        source->script = old;
        script_release(script);
        return;
    }
    script_release(old);
    log_line(engine->config.log, LOG_INFO, "%s: reloaded", source->path);
    if (engine->listening && script_call(script, SCRIPT_RUNNING, 0) && script_gather(script))
        (void)generation_gather(engine->current);
}

static void reload(struct script_source *source)
{
    struct engine *engine = source->engine;
    struct script *script = NULL;
    struct files files = take_files(source);
    source->dirty = false;
    source->written_us = 0;
    script_options_begin(engine, source->path);
    bool ready = prepare(source, &script);
    give_files(source, files, !ready);
    if (ready) {
        replace(source, script);
    } else {
        script_options_rollback(engine);
        if (!source->dirty && !source->written_us)
            log_line(engine->config.log, LOG_WARN, "%s: the version that was loaded before stays", source->path);
    }
    watch_add(&engine->watch, source);
}

/* --- what the loop calls --- */

int engine_watch_start(struct engine *engine)
{
    int fd = watch_start(&engine->watch);
    for (size_t i = 0; i < engine->sources_count; i++)
        watch_add(&engine->watch, &engine->sources[i]);
    return fd;
}

int engine_watch_readable(struct engine *engine)
{
    if (!watch_read(&engine->watch))
        return -1;
    for (size_t i = 0; i < engine->sources_count; i++)
        if (engine->sources[i].dirty)
            return QUIET_MS;
    return WRITING_MS;
}

/* Whether the source's files are to be looked at now; one that is being written is left until it has been closed. */
static bool is_due(const struct script_source *source)
{
    int64_t writing_us = source->written_us ? clock_monotonic_us() - source->written_us : 0;
    bool being_written = source->written_us && writing_us < (WRITING_MS - QUIET_MS) * 1000;
    return !being_written && (source->dirty || source->written_us);
}

void engine_reload_changed(struct engine *engine)
{
    bool again = true;
    for (int round = 0; again && round < ROUNDS_MAX; round++) {
        again = false;
        for (size_t i = 0; i < engine->sources_count; i++) {
            struct script_source *source = &engine->sources[i];
            if (!is_due(source))
                continue;
            again = true;
            source->dirty = false;
            source->written_us = 0;
            if (script_source_changed(source))
                reload(source);
            else
                watch_add(&engine->watch, source);
        }
    }
}

void engine_reload_all(struct engine *engine)
{
    for (size_t i = 0; i < engine->sources_count; i++)
        reload(&engine->sources[i]);
}
