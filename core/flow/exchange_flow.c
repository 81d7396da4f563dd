/* The exchange's flows: made, ended, used again. */
#include "flow/exchange_private.h"
#include "flow/faults.h"

#include <assert.h>
#include <stddef.h>
#include <stdlib.h>

_Static_assert(TRANSPORT_UDP == 0 && FLOW_SOURCE_NONE == 0 && AF_UNSPEC == 0 && DNS_EDE_OTHER == 0,
               "what a flow begins with is zero");

enum {
    FREE_FLOWS_MAX = 4096,   /* kept for reuse; those of a burst beyond that are freed */
    KEPT_FLOWS = 256,        /* when it is over */
    KEPT_BUFFER_SIZE = 4096, /* larger ones of a flow that has ended are freed */
};

static NOINLINE struct exchange_flow *make(void)
{
    enum { CACHE_LINE = 64 };
    const size_t size = (sizeof(struct exchange_flow) + CACHE_LINE - 1) / CACHE_LINE * CACHE_LINE;
    struct exchange_flow *flow = aligned_alloc(CACHE_LINE, size);
    return flow ? memset(flow, 0, size) : NULL;
}

struct exchange_flow *exchange_flow_take(struct exchange *exchange)
{
    struct flow *flow = exchange->free;
    if (!flow)
        return make();
    exchange->free = flow->next;
    exchange->free_count--;
    return exchange_flow_of(flow);
}

static inline void trim(struct flow_message *message)
{
    if (message->present)
        flow_message_clear(message);
    if (message->wire.capacity > KEPT_BUFFER_SIZE)
        buffer_free(&message->wire);
}

void exchange_flow_give_back(struct exchange *exchange, struct exchange_flow *flow)
{
    if (exchange->free_count == FREE_FLOWS_MAX) {
        exchange_flow_free(flow);
        return;
    }
    trim(&flow->flow.query);
    trim(&flow->flow.request);
    trim(&flow->flow.response);
    flow->flow.next = exchange->free;
    exchange->free = &flow->flow;
    exchange->free_count++;
}

void exchange_trim(struct exchange *exchange)
{
    while (exchange->free_count > KEPT_FLOWS)
        exchange_flow_free(exchange_flow_take(exchange));
}

/* All fields but the messages, which are clear, and what is owned, which is not there; by hand, as most of a flow is
 * room for text that a first NUL makes empty. */
static void begin(struct exchange *exchange, struct flow *flow, const struct reply_to *to, struct hooks *hooks)
{
    flow->next = NULL;
    flow->references = 1;
    flow->state = STEP_REQUEST;
    flow->serial = ++exchange->serial;
    flow->exchange_tag = exchange->tag;
    flow->reply_to = *to;
    flow->hooks = hooks;
    flow->created_us = exchange->wall_us;
    flow->started_us = exchange->monotonic_us;
    memset(&flow->finished_us, 0, offsetof(struct flow, error) - offsetof(struct flow, finished_us));
    flow->source_name[0] = flow->error[0] = '\0';
    flow->wrapper = NULL;
}

static void link_active(struct exchange *exchange, struct exchange_flow *flow)
{
    flow->previous = NULL;
    flow->next = exchange->active;
    if (flow->next)
        flow->next->previous = flow;
    exchange->active = flow;
    exchange->active_count++;
}

static void unlink_active(struct exchange *exchange, struct exchange_flow *flow)
{
    if (flow->next)
        flow->next->previous = flow->previous;
    if (flow->previous)
        flow->previous->next = flow->next;
    else
        exchange->active = flow->next;
    exchange->active_count--;
}

void exchange_flow_begin(struct exchange *exchange, struct exchange_flow *flow, const struct reply_to *to,
                         struct hooks *hooks)
{
    begin(exchange, &flow->flow, to, hooks);
    memset(&flow->suspended, 0, offsetof(struct exchange_flow, failure) - offsetof(struct exchange_flow, suspended));
    if (hooks)
        hooks->flows++;
    link_active(exchange, flow);
}

struct exchange_flow *exchange_flow_new(struct exchange *exchange, const struct dns_message *query,
                                        const struct reply_to *to, struct hooks *hooks)
{
    struct exchange_flow *flow = exchange_flow_take(exchange);
    if (!flow)
        return NULL;
    if (flow_message_adopt(&flow->flow.query, query, exchange->wall_us)) {
        exchange_flow_give_back(exchange, flow);
        return NULL;
    }
    exchange_flow_begin(exchange, flow, to, hooks);
    return flow;
}

void exchange_flow_free(struct exchange_flow *flow)
{
    flow_message_free(&flow->flow.query);
    flow_message_free(&flow->flow.request);
    flow_message_free(&flow->flow.response);
    free(flow);
}

static NOINLINE void forget_notes(struct flow *flow)
{
    free(flow->marked);
    free(flow->comment);
    free(flow->metadata);
    free(flow->script_error);
    flow->marked = flow->comment = flow->metadata = flow->script_error = NULL;
    flow_faults_free(flow);
}

static void tell_observers(const struct exchange *exchange, const struct flow *flow)
{
    for (const struct flow_observer *observer = exchange->observers; observer; observer = observer->next)
        observer->finished(observer->context, flow);
}

void exchange_show(const struct exchange *exchange, const struct flow *flow, enum passage passage, struct span wire)
{
    for (const struct flow_observer *observer = exchange->observers; observer; observer = observer->next)
        if (observer->passed)
            observer->passed(observer->context, flow, passage, wire);
}

void exchange_end(struct exchange *exchange, struct exchange_flow *ended)
{
    struct flow *flow = &ended->flow;
    struct hooks *hooks = flow->hooks;
    assert(!ended->pending.waiting);
    if (ended->leads)
        exchange_coalesce_forget(ended);
    if (ended->runners)
        exchange_race_leave(exchange, ended);
    if (ended->race)
        exchange_race_drop(ended);
    flow->finished_us = exchange->monotonic_us;
    if (flow->wrapper)
        hooks->ended(hooks, flow);
    if (ended->is_ask)
        exchange->ask_count--;
    else
        tell_observers(exchange, flow);
    unlink_active(exchange, ended);
    exchange->memory -= ended->memory;
    if (flow->marked || flow->comment || flow->metadata || flow->script_error || flow->faults)
        forget_notes(flow);
    ended->suspended = false;
    if (ended->parked)
        exchange_unpark(exchange, ended);
    if (ended->full)
        exchange_forget_full(exchange, ended);
    flow->references = 0;
    exchange_flow_give_back(exchange, ended);
    if (hooks && --hooks->flows == 0 && hooks != exchange->hooks && hooks->unused)
        hooks->unused(hooks);
}
