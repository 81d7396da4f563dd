#include "lua/engine/reloader.h"

#include "base/clock.h"
#include "proxy/rollout.h"

#include <event2/event.h>
#include <stdlib.h>

struct reloader {
    struct reloader_config config;
    struct rollout *rollout;
    struct loading *loading; /* at the start, and while a reload is under way */
    struct event *watch, *timer;
    bool started, stopped;
    bool changed, all;      /* asked for while a reload was under way */
    uint64_t failed_before; /* engine_failed_loadings when it began */
    bool unread;            /* options or lists of this one could not be read */
    struct reload_counts counts;
    struct engine *engines[];
};

/* --- what the rollout calls --- */

static bool on_prepare(void *context, unsigned member, void *change)
{
    struct reloader *reloader = context;
    if (!reloader->engines[member])
        return false;
    if (loading_has_lists(change))
        (void)reloader->config.prepare_lists(reloader->config.context, member); /* the first one said what is wrong */
    return engine_prepare_chosen(reloader->engines[member], change);
}

static void on_switch_over(void *context, unsigned member)
{
    struct reloader *reloader = context;
    if (!reloader->engines[member])
        return;
    reloader->config.take_lists(reloader->config.context, member);
    reloader->config.take_options(reloader->config.context, member);
    engine_switch(reloader->engines[member]);
}

static void on_abandon(void *context, unsigned member)
{
    struct reloader *reloader = context;
    if (!reloader->engines[member])
        return;
    reloader->config.drop_lists(reloader->config.context, member);
    engine_abandon(reloader->engines[member]);
}

static void go_on(struct reloader *reloader);

/* A reload has ended; all of it but what failed to load was taken over, if it came so far. */
static void count(struct reloader *reloader, bool switched)
{
    struct reload_counts *counts = &reloader->counts;
    if (!reloader->engines[0])
        return;
    bool some_failed = engine_failed_loadings(reloader->engines[0]) != reloader->failed_before;
    counts->last_failed = some_failed || reloader->unread || !switched;
    if (counts->last_failed) {
        counts->failed++;
    } else {
        counts->succeeded++;
        counts->succeeded_us = clock_wall_us();
    }
}

static void on_finished(void *context, void *change, bool switched)
{
    struct reloader *reloader = context;
    reloader->config.end_options(reloader->config.context, switched);
    count(reloader, switched);
    if (!switched)
        log_line(reloader->config.log, LOG_WARN,
                 "not every worker could load what has changed: the versions that were loaded before stay");
    reloader->config.finished(reloader->config.context);
    loading_free(change);
    reloader->loading = NULL;
    if (reloader->timer && !evtimer_pending(reloader->timer, NULL)) /* what was written meanwhile */
        evtimer_add(reloader->timer, &(struct timeval){0});
    go_on(reloader);
}

static void on_wake(void *context, unsigned member)
{
    struct reloader *reloader = context;
    reloader->config.wake(reloader->config.context, member);
}

/* --- reloads, in the first engine's thread --- */

/* Whether there is anything for all to take over. */
static bool prepare(struct reloader *reloader, bool all, struct loading *loading)
{
    struct engine *engine = reloader->engines[0];
    if (!all)
        return engine_prepare_changed(engine, loading);
    loading_choose_lists(loading);
    bool lists = reloader->config.prepare_lists(reloader->config.context, 0);
    bool options = reloader->config.offer_options(reloader->config.context, loading);
    reloader->unread = !lists || !options;
    bool any = engine_prepare_all(engine, loading);
    if (!any) /* nothing is offered any more, or there was nothing */
        reloader->config.end_options(reloader->config.context, false);
    return true;
}

/* Begins a reload if there is something to load. */
static void begin(struct reloader *reloader)
{
    bool all = reloader->all;
    reloader->changed = reloader->all = reloader->unread = false;
    struct loading *loading = loading_new(reloader->config.scripts);
    if (!loading) {
        log_line(reloader->config.log, LOG_ERROR, "not reloaded: out of memory");
        return;
    }
    reloader->failed_before = engine_failed_loadings(reloader->engines[0]);
    if (!prepare(reloader, all, loading)) {
        if (engine_failed_loadings(reloader->engines[0]) != reloader->failed_before)
            count(reloader, false);
        loading_free(loading);
        return;
    }
    reloader->loading = loading;
    rollout_begin(reloader->rollout, loading);
}

static void go_on(struct reloader *reloader)
{
    if (reloader->started && !reloader->stopped && reloader->engines[0] && !rollout_is_busy(reloader->rollout) &&
        (reloader->changed || reloader->all))
        begin(reloader);
}

void reloader_all(struct reloader *reloader)
{
    reloader->all = true;
    go_on(reloader);
}

static void on_watch(evutil_socket_t fd, short what, void *context)
{
    (void)fd;
    (void)what;
    struct reloader *reloader = context;
    int wait_ms = engine_watch_readable(reloader->engines[0]);
    if (wait_ms < 0)
        return;
    struct timeval wait = clock_timeval(wait_ms * 1000);
    evtimer_add(reloader->timer, &wait);
}

static void on_time(evutil_socket_t fd, short what, void *context)
{
    (void)fd;
    (void)what;
    struct reloader *reloader = context;
    reloader->changed = true;
    go_on(reloader);
}

void reloader_watch(struct reloader *reloader, struct event_base *base)
{
    int fd = engine_watch_start(reloader->engines[0]);
    if (fd >= 0) {
        reloader->watch = event_new(base, fd, EV_READ | EV_PERSIST, on_watch, reloader);
        reloader->timer = evtimer_new(base, on_time, reloader);
    }
    if (!reloader->watch || !reloader->timer || event_add(reloader->watch, NULL))
        log_line(reloader->config.log, LOG_WARN, "cannot watch the scripts: edits count after a SIGHUP");
}

void reloader_stop(struct reloader *reloader)
{
    reloader->stopped = true;
    if (reloader->watch)
        event_free(reloader->watch);
    if (reloader->timer)
        event_free(reloader->timer);
    reloader->watch = reloader->timer = NULL;
}

/* --- life --- */

struct reloader *reloader_new(const struct reloader_config *config)
{
    struct reloader *reloader = calloc(1, sizeof *reloader + config->engines * sizeof(struct engine *));
    if (!reloader)
        return NULL;
    struct rollout_config rollout = {
        .members = config->engines,
        .prepare = on_prepare,
        .switch_over = on_switch_over,
        .abandon = on_abandon,
        .finished = on_finished,
        .wake = on_wake,
        .context = reloader,
    };
    reloader->config = *config;
    reloader->rollout = rollout_new(&rollout);
    reloader->loading = loading_new(config->scripts);
    if (reloader->rollout && reloader->loading)
        return reloader;
    reloader_free(reloader);
    return NULL;
}

void reloader_free(struct reloader *reloader)
{
    if (!reloader)
        return;
    reloader_stop(reloader);
    rollout_free(reloader->rollout);
    loading_free(reloader->loading);
    free(reloader);
}

struct loading *reloader_loading(struct reloader *reloader)
{
    return reloader->started ? NULL : reloader->loading;
}

const atomic_uint *reloader_latest(const struct reloader *reloader)
{
    return reloader->config.engines > 1 ? rollout_number(reloader->rollout) : NULL;
}

void reloader_join(struct reloader *reloader, unsigned number, struct engine *engine)
{
    reloader->engines[number] = engine;
}

void reloader_started(struct reloader *reloader)
{
    loading_free(reloader->loading);
    reloader->loading = NULL;
    reloader->started = true;
    go_on(reloader);
}

const struct reload_counts *reloader_counts(const struct reloader *reloader)
{
    return &reloader->counts;
}

void reloader_woken(struct reloader *reloader, unsigned number)
{
    rollout_woken(reloader->rollout, number);
}

void reloader_catch_up(struct reloader *reloader, unsigned number)
{
    rollout_catch_up(reloader->rollout, number);
}
