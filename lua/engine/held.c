#include "lua/engine/held.h"

#include "base/clock.h"
#include "lua/engine/engine_private.h"

#include <event2/event.h>
#include <stdio.h>
#include <string.h>

/* The flow is held no longer, and has failed: what a script made of its answer counts no more. */
static void fail(struct flow_run *run, const char *why)
{
    run->flow->intercepted = false;
    flow_clear_response(run->flow);
    flow_set_error(run->flow, why, clock_wall_us());
}

static void set_alarm(struct engine *engine)
{
    const struct flow_run *first = engine->held.first;
    int64_t left_us = first ? first->held_until_us - clock_monotonic_us() : 0;
    left_us = left_us > 0 ? left_us : 0;
    struct timeval left = clock_timeval(left_us);
    if (first)
        evtimer_add(engine->held.alarm, &left);
}

static void on_alarm(evutil_socket_t fd, short what, void *context)
{
    (void)fd;
    (void)what;
    struct engine *engine = context;
    char why[FLOW_ERROR_MAX];
    snprintf(why, sizeof why, "held for more than %g s", engine->config.held_timeout);
    int64_t now_us = clock_monotonic_us();
    while (engine->held.first && engine->held.first->held_until_us <= now_us) {
        struct flow_run *run = engine->held.first;
        held_remove(run);
        fail(run, why);
        flow_run_goes_on(run);
    }
    set_alarm(engine);
    flow_runs_go_on(engine);
}

/* What a flow keeps from being used otherwise, about. */
static size_t bytes_of(const struct flow *flow)
{
    enum { FLOW_ITSELF = 4096 };
    return FLOW_ITSELF + flow->query.wire.capacity + flow->request.wire.capacity + flow->response.wire.capacity;
}

static bool refuse(struct flow_run *run, const char *text, const char *why)
{
    report_error(run->task.engine->config.report, text, strlen(text));
    fail(run, why);
    return false;
}

bool held_add(struct flow_run *run)
{
    struct engine *engine = run->task.engine;
    struct held *held = &engine->held;
    const size_t bytes = bytes_of(run->flow);
    if (!held->alarm)
        held->alarm = evtimer_new(engine->config.base, on_alarm, engine);
    if (held->count >= engine->config.held_max || !held->alarm)
        return refuse(run, "a flow is not held: so many are held already (--held-max raises that)",
                      "too many flows are held");
    if (held->bytes + bytes > engine->config.held_memory)
        return refuse(run, "a flow is not held: those held already take so much memory (--held-memory raises that)",
                      "held flows take too much memory");
    run->held = true;
    run->held_bytes = bytes;
    held->bytes += bytes;
    run->held_until_us = clock_monotonic_us() + (int64_t)(engine->config.held_timeout * CLOCK_SECOND_US);
    run->held_next = NULL;
    run->held_previous = held->last;
    if (held->last)
        held->last->held_next = run;
    else
        held->first = run;
    held->last = run;
    if (held->count++ == 0)
        set_alarm(engine);
    return true;
}

void held_remove(struct flow_run *run)
{
    struct held *held = &run->task.engine->held;
    if (!run->held)
        return;
    run->held = false;
    held->count--;
    held->bytes -= run->held_bytes;
    if (run->held_next)
        run->held_next->held_previous = run->held_previous;
    else
        held->last = run->held_previous;
    if (run->held_previous)
        run->held_previous->held_next = run->held_next;
    else
        held->first = run->held_next;
    if (held->count == 0)
        evtimer_del(held->alarm);
}

void held_free(struct engine *engine)
{
    if (engine->held.alarm)
        event_free(engine->held.alarm);
    engine->held.alarm = NULL;
}
