/* Hot reload: some scripts are loaded anew, the others stay; a script that fails leaves all as it was. What is ready
 * waits for engine_switch. */
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

/* --- preparing --- */

/* Loads the source into `out` up to `configure`. False when that failed (logged), or when the file was written
 * meanwhile: then the source is marked so. */
static bool load_anew(struct script_source *source, struct script **out)
{
    struct engine *engine = source->engine;
    struct script *script = NULL;
    struct reason reason = {""};
    if (script_load(source, &script) != STATUS_OK)
        return false;
    bool ready = !watch_read(&engine->watch) || !(source->dirty || source->written_us);
    ready = ready && script_options_load(script);
    if (ready && script_options_check(engine, false, &reason) != STATUS_OK) {
        report_error(engine->config.report, reason.text, strlen(reason.text));
        ready = false;
    }
    ready = ready && script_options_configure(script) && script_gather(script);
    if (ready)
        *out = script;
    else
        script_release(script);
    return ready;
}

/* Makes source->next. */
static bool prepare(struct script_source *source)
{
    struct engine *engine = source->engine;
    struct files files = take_files(source);
    source->dirty = false;
    source->written_us = 0;
    script_options_begin(engine, source->path);
    bool ready = load_anew(source, &source->next);
    give_files(source, files, !ready);
    if (!ready) {
        script_options_rollback(engine);
        engine->failed_loadings += !source->dirty && !source->written_us;
        if (!source->dirty && !source->written_us && !engine->config.silent)
            log_line(engine->config.log, LOG_WARN, "%s: the version that was loaded before stays", source->path);
    }
    watch_add(&engine->watch, source);
    return ready;
}

/* Ends the preparing of those sources that have a next script. */
static bool prepared(struct engine *engine)
{
    script_options_set_aside(engine);
    engine->options_aside = true;
    engine->next = generation_new(engine);
    if (engine->next)
        return true;
    engine_abandon(engine);
    if (!engine->config.silent)
        log_line(engine->config.log, LOG_ERROR, "not reloaded: out of memory");
    return false;
}

/* Begins with new values of options, if any are offered. */
static bool begin_options(struct engine *engine, const struct loading *loading)
{
    if (!loading_settings(loading))
        return false;
    script_options_renew(engine, loading_settings(loading), loading_options(loading));
    return true;
}

/* Whether every setting is one that a script declares, and fits. */
static bool settings_fit(struct engine *engine)
{
    struct reason reason = {""};
    if (script_options_check(engine, true, &reason) == STATUS_OK)
        return true;
    if (!engine->config.silent)
        log_line(engine->config.log, LOG_ERROR, "%s", reason.text);
    return false;
}

bool engine_prepare_all(struct engine *engine, struct loading *loading)
{
    bool any = false, all = true, options = begin_options(engine, loading);
    engine->loading = loading;
    for (size_t i = 0; i < engine->sources_count; i++) {
        bool ready = prepare(&engine->sources[i]);
        loading_choose(loading, i, ready);
        any = any || ready;
        all = all && ready;
    }
    engine->loading = NULL;
    bool refused = options && !(all && settings_fit(engine));
    if (!any && !options)
        return false;
    bool ready = prepared(engine);
    if (ready && refused)
        engine_abandon(engine);
    if (ready && !refused)
        return true;
    for (size_t i = 0; i < engine->sources_count; i++)
        loading_choose(loading, i, false);
    loading_offer(loading, NULL, NULL);
    return false;
}

bool engine_prepare_chosen(struct engine *engine, struct loading *loading)
{
    bool all = true, any = begin_options(engine, loading);
    engine->loading = loading;
    for (size_t i = 0; i < engine->sources_count && all; i++) {
        if (!loading_is_chosen(loading, i))
            continue;
        all = prepare(&engine->sources[i]);
        any = any || all;
    }
    engine->loading = NULL;
    if (any)
        all = prepared(engine) && all;
    if (!all)
        engine_abandon(engine);
    return all;
}

/* --- the switch --- */

/* Makes the prepared generation the current one. */
static void make_current(struct engine *engine)
{
    struct generation *before = engine->current;
    engine->current = engine->next;
    engine->next = NULL;
    engine->current->hooks.number = engine->number;
    if (engine->config.hooks_changed)
        engine->config.hooks_changed(engine->config.context, &engine->current->hooks);
    else if (before && before->hooks.flows == 0)
        generation_free(before);
}

static void end_old(struct script_source *source)
{
    struct script *old = source->script;
    if (old) {
        (void)script_call(old, SCRIPT_DONE, 0);
        async_cancel(source->engine, old);
    }
}

static void take_next(struct script_source *source)
{
    script_release(source->script);
    source->script = source->next;
    source->next = NULL;
    source->begins = true;
}

static void begin_new(struct script_source *source)
{
    struct engine *engine = source->engine;
    source->begins = false;
    if (!engine->config.silent)
        log_line(engine->config.log, LOG_INFO, "%s: reloaded", source->path);
    if (engine->listening)
        lifecycle_call(source->script, SCRIPT_RUNNING, 0);
}

void engine_switch(struct engine *engine)
{
    engine->number++;
    if (!engine->next) {
        if (engine->current)
            engine->current->hooks.number = engine->number;
        return;
    }
    script_options_take(engine);
    engine->options_aside = false;
    for (size_t i = 0; i < engine->sources_count; i++)
        if (engine->sources[i].next)
            end_old(&engine->sources[i]);
    make_current(engine);
    for (size_t i = 0; i < engine->sources_count; i++)
        if (engine->sources[i].next)
            take_next(&engine->sources[i]);
    for (size_t i = 0; i < engine->sources_count; i++)
        if (engine->sources[i].begins)
            begin_new(&engine->sources[i]);
}

void engine_abandon(struct engine *engine)
{
    if (engine->options_aside)
        script_options_drop(engine);
    engine->options_aside = false;
    generation_free(engine->next);
    engine->next = NULL;
    for (size_t i = 0; i < engine->sources_count; i++) {
        script_release(engine->sources[i].next);
        engine->sources[i].next = NULL;
    }
}

uint64_t engine_failed_loadings(const struct engine *engine)
{
    return engine->failed_loadings;
}

/* --- what the loop calls --- */

int engine_watch_start(struct engine *engine)
{
    int fd = file_watch_start(&engine->watch);
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

/* Prepares what is due; `*again`: something was. */
static bool prepare_due(struct engine *engine, struct loading *loading, bool *again)
{
    bool any = false;
    *again = false;
    loading_forget(loading);
    engine->loading = loading;
    for (size_t i = 0; i < engine->sources_count; i++) {
        struct script_source *source = &engine->sources[i];
        bool ready = false;
        if (is_due(source)) {
            *again = true;
            source->dirty = false;
            source->written_us = 0;
            if (script_source_changed(source))
                ready = prepare(source);
            else
                watch_add(&engine->watch, source);
        }
        loading_choose(loading, i, ready);
        any = any || ready;
    }
    engine->loading = NULL;
    return any && prepared(engine);
}

bool engine_prepare_changed(struct engine *engine, struct loading *loading)
{
    bool again = true;
    for (int round = 0; again && round < ROUNDS_MAX; round++)
        if (prepare_due(engine, loading, &again))
            return true;
    return false;
}
