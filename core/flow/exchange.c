/* Intake, and the steps between: hooks and who answers. */
#include "flow/exchange_private.h"

#include <stdio.h>
#include <stdlib.h>

enum { PAYLOAD_SIZE_DEFAULT = 1232 };

const char exchange_overload_text[] = "too many queries in flight";
const char exchange_memory_text[] = "queries in flight take too much memory";

/* --- life --- */

struct exchange *exchange_new(const struct exchange_config *config, const struct exchange_io *io, struct hooks *hooks,
                              const struct flow_observer *observers)
{
    struct exchange *exchange = calloc(1, sizeof *exchange);
    if (!exchange)
        return NULL;
    exchange_set_config(exchange, config);
    exchange->io = io;
    exchange->hooks = hooks;
    exchange->observers = observers;
    for (const struct flow_observer *observer = observers; observer; observer = observer->next) {
        exchange->watched = exchange->watched || observer->passed;
        exchange->awaited = exchange->awaited || observer->gone_out;
    }
    exchange->pending.random = &exchange->random;
    exchange->tag = random_u32(&exchange->random);
    if (config->cache_entries) {
        exchange->cache = cache_new(config->cache_entries, &exchange->random, &exchange->counters.cache);
        if (!exchange->cache)
            goto failed;
    }
    if (config->coalesce && exchange_coalesce_start(exchange))
        goto failed;
    return exchange;
failed:
    cache_free(exchange->cache);
    free(exchange);
    return NULL;
}

/* Ends all flows of clients, or the scripts' queries that are left. A flow that ends may end others: those that its
 * hooks wait for. */
static void end_all(struct exchange *exchange, bool asks)
{
    struct exchange_flow *flow = exchange->active;
    while (flow) {
        if (flow->is_ask != asks) {
            flow = flow->next;
            continue;
        }
        if (flow->pending.waiting)
            exchange_stop_waiting(exchange, flow, TRY_ABANDONED);
        exchange_end(exchange, flow);
        flow = exchange->active;
    }
}

void exchange_free(struct exchange *exchange)
{
    if (!exchange)
        return;
    end_all(exchange, false);
    end_all(exchange, true);
    while (exchange->free) {
        struct flow *flow = exchange->free;
        exchange->free = flow->next;
        exchange_flow_free(exchange_flow_of(flow));
    }
    pending_free(&exchange->pending);
    cache_free(exchange->cache);
    free(exchange->parked);
    free(exchange->leaders);
    buffer_free(&exchange->expanded);
    buffer_free(&exchange->scratch);
    free(exchange);
}

void exchange_set_time(struct exchange *exchange, int64_t monotonic_us, int64_t wall_us)
{
    exchange->monotonic_us = monotonic_us;
    exchange->wall_us = wall_us;
    if (exchange->cache)
        cache_set_time(exchange->cache, monotonic_us, wall_us);
}

void exchange_gone_out(struct exchange *exchange)
{
    for (const struct flow_observer *observer = exchange->observers; exchange->awaited && observer;
         observer = observer->next)
        if (observer->gone_out)
            observer->gone_out(observer->context);
}

void exchange_set_config(struct exchange *exchange, const struct exchange_config *config)
{
    exchange->config = *config;
    if (exchange->config.payload_size < DNS_UDP_SIZE_CLASSIC) /* RFC 6891 section 6.2.3: less counts as 512 */
        exchange->config.payload_size = PAYLOAD_SIZE_DEFAULT;
    exchange->share = config->memory_max / config->flows_max;
    if (exchange->share < DNS_UDP_SIZE_CLASSIC)
        exchange->share = DNS_UDP_SIZE_CLASSIC;
}

void exchange_set_tries(struct exchange *exchange, int64_t timeout_us, unsigned retries)
{
    exchange->config.timeout_us = timeout_us;
    exchange->config.retries = retries;
}

void exchange_set_hooks(struct exchange *exchange, struct hooks *hooks)
{
    struct hooks *old = exchange->hooks;
    exchange->hooks = hooks;
    if (old && old != hooks && old->flows == 0 && old->unused)
        old->unused(old);
}

size_t exchange_flows(const struct exchange *exchange)
{
    return exchange->active_count - exchange->ask_count;
}

size_t exchange_asks(const struct exchange *exchange)
{
    return exchange->ask_count;
}

size_t exchange_memory(const struct exchange *exchange)
{
    return exchange->memory;
}

struct exchange_cache_size exchange_cache_size(const struct exchange *exchange)
{
    const struct cache *cache = exchange->cache;
    return cache ? (struct exchange_cache_size){cache_count(cache), cache_bytes(cache)}
                 : (struct exchange_cache_size){0};
}

const struct exchange_counters *exchange_counters(const struct exchange *exchange)
{
    return &exchange->counters;
}

/* --- intake --- */

static COLD void drop(struct exchange *exchange, const struct reply_to *to, uint64_t *counter)
{
    ++*counter;
    if (exchange->io->no_reply)
        exchange->io->no_reply(exchange->io->context, to);
}

/* Answers what is malformed with the message in `scratch`. */
static void refuse(struct exchange *exchange, const struct reply_to *to, struct span query, enum status made)
{
    if (made) {
        drop(exchange, to, &exchange->counters.malformed_dropped);
        return;
    }
    exchange->counters.malformed_answered++;
    exchange_reply_away(exchange, to, query);
}

/* A DSO message has bytes of its own behind its header (RFC 8490 section 5.4). Who does not speak DSO answers NOTIMP,
 * and nothing at all to a message without an id, which wants no answer (section 5.4.1). */
static enum status make_dso_refusal(const struct dns_header *query, struct buffer *out)
{
    uint8_t wire[DNS_HEADER_SIZE];
    if (query->id == 0)
        return STATUS_INVALID;
    const unsigned kept = query->flags & (DNS_FLAG_OPCODE | DNS_FLAG_RD | DNS_FLAG_CD);
    dns_header_write(wire,
                     &(struct dns_header){.id = query->id, .flags = (uint16_t)(DNS_FLAG_QR | kept | DNS_RCODE_NOTIMP)});
    buffer_clear(out);
    buffer_append(out, wire, sizeof wire);
    return buffer_status(out);
}

/* What a malformed query is refused with. */
static enum status make_refusal(const struct dns_header *header, const uint8_t *wire, size_t length, struct buffer *out)
{
    if ((header->flags & DNS_FLAG_OPCODE) >> 11 == DNS_OP_CODE_DSO)
        return make_dso_refusal(header, out);
    return dns_message_make_formerr(wire, length, out);
}

/* What a well-formed query is refused with, NOERROR when it isn't: there is at most one OPT (RFC 6891 section 6.1.1),
 * it is the root's and holds whole options (section 6.1.2), of version 0 (section 6.1.3). */
static uint16_t refusal(const struct dns_message *query)
{
    if (query->opt.count == 0)
        return DNS_RCODE_NOERROR;
    if (query->opt.count > 1 || query->wire[query->opt.offset] != 0)
        return DNS_RCODE_FORMERR;
    if (query->opt.version > 0)
        return DNS_RCODE_BADVERS;
    return dns_message_has_whole_options(query) ? DNS_RCODE_NOERROR : DNS_RCODE_FORMERR;
}

/* A query must not begin with hooks that another worker has left behind. */
static void catch_up(struct hooks *hooks)
{
    if (hooks && hooks->latest && atomic_load_explicit(hooks->latest, memory_order_acquire) != hooks->number)
        hooks->outdated(hooks);
}

static inline bool has_too_many(const struct exchange *exchange)
{
    return exchange->active_count > exchange_with_room(exchange->config.flows_max);
}

static inline bool is_full(const struct exchange *exchange, const struct flow *flow)
{
    return has_too_many(exchange) ||
           exchange_is_crowded(exchange, flow, exchange_with_room(exchange->config.memory_max));
}

/* Too many queries are in flight, or they take too much: this one is answered at once that it comes to nothing. */
static void turn_down_overload(struct exchange *exchange, struct span wire, const struct reply_to *to,
                               const struct dns_message *query)
{
    struct buffer *out = &exchange->scratch;
    struct exchange_counters *counters = &exchange->counters;
    const bool many = has_too_many(exchange);
    enum status status = dns_message_make_error(query, DNS_RCODE_SERVFAIL, out);
    if (!status && query->opt.count &&
        dns_message_add_ede(out, DNS_EDE_OTHER, many ? exchange_overload_text : exchange_memory_text))
        status = STATUS_NO_MEMORY;
    if (status) {
        drop(exchange, to, &counters->overload_dropped);
        return;
    }
    ++*(many ? &counters->overload_refused : &counters->memory_refused);
    exchange_reply_away(exchange, to, wire);
}

/* A query that is no flow's. `query` is the message where `parsed` is STATUS_OK. */
static COLD void turn_down(struct exchange *exchange, struct span wire, const struct reply_to *to,
                           const struct dns_message *query, enum status parsed)
{
    const uint16_t response_code = parsed ? DNS_RCODE_NOERROR : refusal(query);
    struct dns_header header;
    if (parsed == STATUS_MALFORMED && !dns_header_read(wire.data, wire.length, &header))
        refuse(exchange, to, wire, make_refusal(&header, wire.data, wire.length, &exchange->scratch));
    else if (response_code)
        refuse(exchange, to, wire, dns_message_make_error(query, response_code, &exchange->scratch));
    else if (parsed)
        drop(exchange, to, &exchange->counters.overload_dropped);
    else
        turn_down_overload(exchange, wire, to, query);
}

void exchange_query(struct exchange *exchange, const uint8_t *wire, size_t length, const struct reply_to *to)
{
    struct exchange_counters *counters = &exchange->counters;
    counters->queries++;
    catch_up(exchange->hooks);
    /* An answer to a response would make two servers talk for ever. */
    if (length < DNS_HEADER_SIZE || load_u16(wire + 2) & DNS_FLAG_QR) {
        drop(exchange, to, &counters->malformed_dropped);
        return;
    }
    struct exchange_flow *flow = exchange_flow_take(exchange);
    if (!flow) {
        drop(exchange, to, &counters->overload_dropped);
        return;
    }
    /* RFC 9619: more than one question is FORMERR; none passes. */
    struct flow_message *query = &flow->flow.query;
    const enum status parsed =
        load_u16(wire + 4) > 1 ? STATUS_MALFORMED : flow_message_fill(query, wire, length, exchange->wall_us, NULL);
    if (parsed || refusal(&query->view) || is_full(exchange, &flow->flow)) {
        turn_down(exchange, (struct span){wire, length}, to, &query->view, parsed);
        exchange_flow_give_back(exchange, flow);
        return;
    }
    exchange_flow_begin(exchange, flow, to, exchange->hooks);
    if (exchange->watched)
        exchange_show(exchange, &flow->flow, PASSAGE_CLIENT_QUERY, (struct span){wire, length});
    exchange_advance(exchange, flow, STEP_REQUEST);
}

/* --- steps --- */

/* Runs a hook if any script defines it; `next` comes after it, at once or when the flow is resumed. */
static inline enum step run_hook(struct exchange *exchange, struct exchange_flow *flow, enum hook hook, enum step next)
{
    struct hooks *hooks = flow->flow.hooks;
    if (!hooks || !(hooks->defined & 1u << hook))
        return next;
    if (hooks->run(hooks, hook, &flow->flow) == HOOK_DONE)
        return next;
    flow->flow.state = next;
    flow->flow.references++;
    flow->suspended = true;
    exchange_weigh(exchange, flow);
    if (transport_is_stream(flow->flow.reply_to.transport))
        exchange_park(exchange, flow);
    return STEP_WAIT;
}

void exchange_resume(struct exchange *exchange, struct flow *flow)
{
    struct exchange_flow *resumed = exchange_flow_of(flow);
    if (!resumed->suspended)
        return;
    resumed->suspended = false;
    if (resumed->parked)
        exchange_unpark(exchange, resumed);
    flow->references--;
    exchange_advance(exchange, resumed, (enum step)flow->state);
}

static enum step step_request(struct exchange *exchange, struct exchange_flow *flow)
{
    return run_hook(exchange, flow, HOOK_REQUEST, STEP_REQUEST_DONE);
}

NOINLINE bool exchange_answer_locally(struct exchange *exchange, struct exchange_flow *flow)
{
    enum flow_source source;
    const char *name = NULL;
    if (!exchange->io->local_answer)
        return false;
    buffer_clear(&exchange->scratch);
    if (exchange->io->local_answer(exchange->io->context, &flow->flow, &exchange->scratch, &source, &name) ||
        exchange_set_response(exchange, flow, source))
        return false;
    snprintf(flow->flow.source_name, sizeof flow->flow.source_name, "%s", name ? name : "");
    return true;
}

static enum step step_request_done(struct exchange *exchange, struct exchange_flow *flow)
{
    if (flow->flow.killed)
        return STEP_END;
    if (flow->flow.error[0])
        return STEP_ERROR;
    if (flow->flow.response.present || flow->flow.unpackable)
        return STEP_RESPONSE;
    if (exchange->io->local_answer && exchange_answer_locally(exchange, flow))
        return STEP_RESPONSE;
    if (exchange->cache && exchange_answer_from_cache(exchange, flow))
        return STEP_RESPONSE;
    const unsigned op_code = (unsigned)(flow_request(&flow->flow)->view.header.flags & DNS_FLAG_OPCODE) >> 11;
    if (exchange->config.op_codes_refused >> op_code & 1) {
        exchange_fail(exchange, flow, DNS_RCODE_NOTIMP);
        return STEP_RESPONSE;
    }
    return STEP_FORWARD;
}

/* Whether hooks may take their time with an answer of the upstream's for which there is no room. */
static bool is_too_much_for_hooks(const struct exchange *exchange, const struct exchange_flow *flow)
{
    const struct flow *plain = &flow->flow;
    return plain->hooks && plain->hooks->defined & 1u << HOOK_RESPONSE && plain->source == FLOW_SOURCE_UPSTREAM &&
           !flow->transfers && exchange_is_crowded(exchange, plain, exchange_with_room(exchange->config.memory_max));
}

static enum step step_response(struct exchange *exchange, struct exchange_flow *flow)
{
    if (flow->leads)
        exchange_lead_on(exchange, flow, STEP_RESPONSE);
    if (flow->is_ask)
        return STEP_END;
    if (flow->flow.unpackable)
        exchange_servfail(exchange, flow);
    if (is_too_much_for_hooks(exchange, flow))
        return exchange_refuse_memory(exchange, flow);
    return run_hook(exchange, flow, HOOK_RESPONSE, STEP_RESPONSE_DONE);
}

static enum step step_response_done(struct exchange *exchange, struct exchange_flow *flow)
{
    struct flow *plain = &flow->flow;
    if (plain->killed)
        return STEP_END;
    if (plain->error[0]) {
        plain->resend = false;
        /* A script set the error, while an answer that is not its own lies there: that one no longer counts. */
        if (plain->source != FLOW_SOURCE_SCRIPT)
            plain->source = FLOW_SOURCE_NONE;
        return STEP_ERROR;
    }
    if (plain->resend && !flow->began) {
        if (flow->transfers)
            exchange_transfer_stop(exchange, flow);
        return exchange_send_again(flow);
    }
    return plain->response.present || plain->unpackable || flow->more ? STEP_REPLY : STEP_END;
}

static NOINLINE enum step step_error(struct exchange *exchange, struct exchange_flow *flow)
{
    if (flow->leads)
        exchange_lead_on(exchange, flow, STEP_ERROR);
    if (flow->is_ask)
        return STEP_END;
    if (flow->transfers)
        exchange_transfer_stop(exchange, flow);
    exchange->counters.errors++;
    return run_hook(exchange, flow, HOOK_ERROR, STEP_ERROR_DONE);
}

static NOINLINE enum step step_error_done(struct exchange *exchange, struct exchange_flow *flow)
{
    if (flow->flow.killed)
        return STEP_END;
    if (flow->flow.resend && !flow->began)
        return exchange_send_again(flow);
    if (!flow->flow.response.present || flow->flow.source == FLOW_SOURCE_NONE)
        exchange_servfail(exchange, flow);
    return STEP_REPLY;
}

static enum step step_end(struct exchange *exchange, struct exchange_flow *flow)
{
    if (flow->leads)
        exchange_lead_on(exchange, flow, STEP_FORWARD);
    if (flow->is_ask)
        return exchange_ask_ended(exchange, flow);
    if (flow->transfers)
        exchange_transfer_stop(exchange, flow);
    exchange->counters.killed += flow->flow.killed;
    if (!flow->replied && exchange->io->no_reply)
        exchange->io->no_reply(exchange->io->context, &flow->flow.reply_to);
    exchange_end(exchange, flow);
    return STEP_WAIT;
}

/* In the order in which they follow each other, so that the compiler makes one piece of them: this is the way of every
 * query. */
void exchange_advance(struct exchange *exchange, struct exchange_flow *flow, enum step step)
{
    while (step != STEP_WAIT) {
        if (step == STEP_REQUEST)
            step = step_request(exchange, flow);
        if (step == STEP_REQUEST_DONE)
            step = step_request_done(exchange, flow);
        if (step == STEP_FORWARD)
            step = exchange_forward(exchange, flow);
        if (step == STEP_RESPONSE)
            step = step_response(exchange, flow);
        if (step == STEP_RESPONSE_DONE)
            step = step_response_done(exchange, flow);
        if (step == STEP_ERROR)
            step = step_error(exchange, flow);
        if (step == STEP_ERROR_DONE)
            step = step_error_done(exchange, flow);
        if (step == STEP_REPLY)
            step = exchange_reply(exchange, flow);
        if (step == STEP_END)
            step = step_end(exchange, flow);
    }
}
