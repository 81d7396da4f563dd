/* Asking upstream: tries, and what comes back. */
#include "flow/exchange_private.h"

#include <stddef.h>
#include <stdio.h>

static struct exchange_flow *flow_of_pending(struct pending *pending)
{
    return (struct exchange_flow *)((char *)pending - offsetof(struct exchange_flow, pending));
}

void exchange_stop_waiting(struct exchange *exchange, struct exchange_flow *flow, enum try_outcome outcome)
{
    pending_remove(&exchange->pending, &flow->pending);
    flow->flow.references--;
    if (!flow->delayed)
        exchange->io->release(exchange->io->context, &flow->channel, outcome);
}

void exchange_fail_try(struct exchange_flow *flow, const char *why, uint16_t info)
{
    flow->stream_again = flow->plain_again = false;
    flow->has_failed = true;
    flow->failure_info = info;
    snprintf(flow->failure, sizeof flow->failure, "%.*s", FLOW_ERROR_MAX - 1, why);
}

/* --- asking --- */

/* Whether OPT, which the request has, is to be another one. It stays away from who does not know it (RFC 6891 section
 * 6.2.2); or asks for how long the connection may be idle; both unless a signature covers it. */
static bool wants_other_opt(struct exchange_flow *flow, const struct dns_message *request)
{
    const bool without = flow->plain_again || flow->channel.no_edns, keepalive = flow->channel.keepalive && !without;
    const bool may = (without || keepalive) && !dns_message_is_signed(request);
    flow->without_opt = without && may;
    flow->keepalive = keepalive && may;
    return may || exchange_has_hop_options(request);
}

/* The request as this upstream is to get it, in `scratch`. */
static enum status fit_request(struct exchange *exchange, struct exchange_flow *flow, const struct buffer *request)
{
    struct buffer *wire = &exchange->scratch;
    buffer_clear(wire);
    buffer_append(wire, request->data, request->length);
    enum status status = buffer_status(wire);
    if (!status)
        status = flow->without_opt ? dns_message_remove_opt(wire) : exchange_remove_hop_options(wire);
    if (!status && flow->keepalive)
        flow->keepalive = exchange_add_keepalive(wire);
    return status;
}

/* Sends the flow's request under the id of its pending entry. A message that nobody edited goes out as it came but for
 * the id, which is put into the very bytes that are kept, and taken out again. */
static enum status send_request(struct exchange *exchange, struct exchange_flow *flow, struct reason *reason)
{
    struct flow_message *request = flow->flow.request.present ? &flow->flow.request : &flow->flow.query;
    const struct exchange_io *io = exchange->io;
    struct buffer *wire = &request->wire;
    flow->without_opt = flow->keepalive = false;
    if (request->view.opt.count > 0 && wants_other_opt(flow, &request->view)) {
        if (fit_request(exchange, flow, wire)) {
            reason_set(reason, "out of memory");
            return STATUS_NO_MEMORY;
        }
        wire = &exchange->scratch;
    }
    uint16_t kept = load_u16(wire->data);
    store_u16(wire->data, flow->pending.id);
    enum status status = io->send(io->context, &flow->channel, wire->data, wire->length, reason);
    if (exchange->watched && !status)
        exchange_show(exchange, &flow->flow, PASSAGE_UPSTREAM_QUERY, (struct span){wire->data, wire->length});
    store_u16(wire->data, kept);
    return status;
}

/* Whether the try that was begun goes on, at the same server. */
static bool goes_on(const struct exchange_flow *flow)
{
    return flow->stream_again || flow->plain_again;
}

/* A transfer is many messages for one query, which only a stream carries to its end (RFC 5936 section 4.2). */
static bool wants_transfer(struct exchange_flow *flow)
{
    if (!transport_is_stream(flow->flow.reply_to.transport) || flow->is_ask ||
        !transfer_start(&flow->transfer, &flow_request(&flow->flow)->view))
        return false;
    flow->flow.messages = 0;
    flow->flow.records = 0;
    return true;
}

static enum status choose_route(struct exchange *exchange, struct exchange_flow *flow, struct reason *reason)
{
    struct flow *plain = &flow->flow;
    struct address again;
    struct route route = {.flow = plain, .attempt = plain->tries, .member = flow->member};
    flow->transfers = route.transfer = wants_transfer(flow);
    if (goes_on(flow)) {
        again = plain->server;
        route.attempt--;
        route.stream = flow->stream_again || flow->channel.transport != TRANSPORT_UDP;
        route.again = &again;
        route.scheme = flow->channel.scheme;
    } else {
        exchange->counters.retries += plain->tries > 0;
        plain->tries++;
    }
    flow->channel = (struct channel){0};
    enum status status = exchange->io->route(exchange->io->context, &route, &flow->channel, reason);
    if (flow->channel.transport == TRANSPORT_UDP)
        flow->transfers = false;
    if (flow->channel.server.family != AF_UNSPEC) {
        plain->asked = true;
        plain->server = flow->channel.server;
        plain->server_transport = flow->channel.transport;
        plain->asked_us = exchange->wall_us;
    }
    return status;
}

/* How long the try may wait that is made now. A query with a time of its own waits that long in all, and gives its last
 * try whatever is left. */
static int64_t time_for_try(const struct exchange *exchange, const struct exchange_flow *flow)
{
    int64_t timeout_us = exchange->config.timeout_us;
    if (!flow->deadline_us)
        return timeout_us;
    int64_t left_us = flow->deadline_us - exchange->monotonic_us;
    return left_us < timeout_us || flow->flow.tries > exchange->config.retries ? left_us : timeout_us;
}

/* One try: STATUS_OK, and the flow waits; else the try is spent. */
static enum status try_upstream(struct exchange *exchange, struct exchange_flow *flow, struct reason *reason)
{
    enum status status = choose_route(exchange, flow, reason);
    if (status)
        return status;
    flow->flushes = exchange->cache ? cache_flushes(exchange->cache) : 0;
    status = pending_add(&exchange->pending, &flow->pending, flow->channel.number, exchange->monotonic_us,
                         time_for_try(exchange, flow));
    if (status) {
        reason_set(reason, status == STATUS_NO_SPACE ? "too many queries on one channel" : "out of memory");
        exchange->io->release(exchange->io->context, &flow->channel, TRY_ABANDONED);
        return STATUS_IO;
    }
    flow->flow.references++;
    exchange->counters.upstream_queries++;
    if (send_request(exchange, flow, reason)) {
        exchange_stop_waiting(exchange, flow, TRY_FAILED);
        return STATUS_IO;
    }
    exchange_weigh(exchange, flow);
    return STATUS_OK;
}

/* A runner whose flow went on without it is not worth another try, and nor is a server that is down where there is no
 * other: whoever waits is told soon, and the server is not asked over and over once it returns. */
static bool tries_left(const struct exchange *exchange, const struct exchange_flow *flow)
{
    if (flow->member && !flow->race && flow->flow.tries > 0)
        return false;
    if (flow->channel.is_down && flow->flow.tries > 0)
        return false;
    return flow->flow.tries <= exchange->config.retries;
}

/* Too many queries are in flight, most of them waiting for upstreams: this one does not join them. */
static COLD enum step refuse_overload(struct exchange *exchange, struct exchange_flow *flow)
{
    exchange->counters.overload_refused++;
    flow_set_error(&flow->flow, exchange_overload_text, exchange->wall_us);
    return STEP_ERROR;
}

static COLD enum step refuse_loop(struct exchange *exchange, struct exchange_flow *flow)
{
    exchange->counters.loops_refused++;
    flow_set_error(&flow->flow, exchange_loop_text, exchange->wall_us);
    return STEP_ERROR;
}

COLD enum step exchange_refuse_memory(struct exchange *exchange, struct exchange_flow *flow)
{
    exchange->counters.memory_refused++;
    flow_clear_response(&flow->flow);
    flow_set_error(&flow->flow, exchange_memory_text, exchange->wall_us);
    return STEP_ERROR;
}

enum step exchange_forward(struct exchange *exchange, struct exchange_flow *flow)
{
    struct flow *plain = &flow->flow;
    enum step next;
    if (plain->killed)
        return STEP_END;
    if (exchange->active_count > exchange->config.flows_max && plain->tries == 0 && !flow->is_ask)
        return refuse_overload(exchange, flow);
    if (exchange->active_count > EXCHANGE_LOOP_FLOWS && plain->tries == 0 && !flow->is_ask &&
        exchange_loops(exchange, flow))
        return refuse_loop(exchange, flow);
    if (exchange_is_crowded(exchange, plain, exchange->config.memory_max) && plain->tries == 0 && !flow->is_ask)
        return exchange_refuse_memory(exchange, flow);
    if (exchange->leaders && plain->tries == 0 && exchange_follow(exchange, flow))
        return STEP_WAIT;
    if (exchange->io->rivals && plain->tries == 0 && exchange_race(exchange, flow, &next))
        return next;
    while (!flow->began && (goes_on(flow) || tries_left(exchange, flow))) {
        if (flow->deadline_us && flow->deadline_us <= exchange->monotonic_us) {
            exchange_fail_try(flow, "time-out", DNS_EDE_NO_REACHABLE_AUTHORITY);
            break;
        }
        struct reason reason;
        reason.text[0] = '\0';
        enum status status = try_upstream(exchange, flow, &reason);
        if (status == STATUS_OK)
            return STEP_WAIT;
        if (status == STATUS_NOT_FOUND && !flow->has_failed)
            exchange_fail_try(flow, "no upstream", DNS_EDE_NO_REACHABLE_AUTHORITY);
        else if (status != STATUS_NOT_FOUND)
            exchange_fail_try(flow, reason.text[0] ? reason.text : "unreachable", DNS_EDE_NETWORK_ERROR);
        if (status == STATUS_NOT_FOUND)
            break;
    }
    flow_set_error(plain, flow->has_failed ? flow->failure : "", exchange->wall_us);
    plain->error_info = flow->failure_info;
    return STEP_ERROR;
}

enum step exchange_send_again(struct exchange_flow *flow)
{
    struct flow *plain = &flow->flow;
    plain->resend = plain->cache_hit = false;
    plain->tries = 0;
    flow->stream_again = flow->plain_again = false;
    flow->has_failed = false;
    flow_clear_response(plain);
    flow_set_error(plain, "", 0);
    return STEP_FORWARD;
}

/* --- answers --- */

/* Whether the answer's question, at byte 12 and never compressed there, is the one that was asked, but for letter case
 * (RFC 4343; RFC 5452 section 4.2). Length bytes of labels lie below the letters, so all bytes can be compared alike.
 */
static bool same_question(const struct dns_question *asked, const uint8_t *wire, size_t length)
{
    const uint8_t *question = wire + DNS_HEADER_SIZE;
    size_t n = asked->name_length;
    if (length < DNS_HEADER_SIZE + n + 4 || load_u16(question + n) != asked->type ||
        load_u16(question + n + 2) != asked->class_)
        return false;
    if (!memcmp(question, asked->name, n))
        return true;
    for (size_t i = 0; i < n; i++)
        if (dns_lower(question[i]) != dns_lower(asked->name[i]))
            return false;
    return true;
}

/* Some servers leave the question out of an answer that says no more than that they failed or did not understand; an
 * answer to anything but a QUERY may come without (RFC 2136 section 3.8 for UPDATE). */
static bool may_lack_question(uint16_t flags)
{
    static const uint16_t codes =
        1 << DNS_RCODE_FORMERR | 1 << DNS_RCODE_SERVFAIL | 1 << DNS_RCODE_NOTIMP | 1 << DNS_RCODE_REFUSED;
    return flags & DNS_FLAG_OPCODE || codes >> (flags & DNS_FLAG_RCODE) & 1;
}

/* RFC 5452 section 9.1: besides channel and id, an answer must be one, to the same kind of request, for what was asked.
 */
static bool matches(const struct exchange_flow *flow, const uint8_t *wire, size_t length)
{
    const struct dns_message *request = &flow_request(&flow->flow)->view;
    const uint16_t asked = request->header.counts[DNS_SECTION_QUESTION];
    const uint16_t flags = load_u16(wire + 2), answered = load_u16(wire + 4);
    if (!(flags & DNS_FLAG_QR) || (flags ^ request->header.flags) & DNS_FLAG_OPCODE)
        return false;
    if (answered == 0)
        return asked == 0 || may_lack_question(flags) || flow->flow.messages > 0; /* RFC 5936 section 2.2.1 */
    return answered == asked && same_question(&request->question, wire, length);
}

/* A cut answer to a stream client is asked for again over a stream, where the upstream was given without a scheme. */
static bool wants_stream(const struct exchange_flow *flow, const struct dns_header *header)
{
    enum upstream_scheme scheme =
        flow->flow.target.address.family == AF_UNSPEC ? flow->channel.scheme : flow->flow.target.scheme;
    return header->flags & DNS_FLAG_TC && flow->channel.transport == TRANSPORT_UDP && scheme == UPSTREAM_PLAIN &&
           transport_is_stream(flow->flow.reply_to.transport);
}

/* A server that does not know EDNS says FORMERR or NOTIMP, and knows no OPT to put into its answer (RFC 6891 section
 * 7).
 */
static bool is_lost_on_opt(uint16_t flags, unsigned opts)
{
    static const uint16_t codes = 1 << DNS_RCODE_FORMERR | 1 << DNS_RCODE_NOTIMP;
    return !opts && codes >> (flags & DNS_FLAG_RCODE) & 1;
}

/* Whether a server that does not understand the request does not understand EDNS: nothing stands behind the question
 * but an OPT that says no more than a size and DO. Else one client's odd message would take EDNS from everybody. */
static bool has_bare_opt(const struct dns_message *request)
{
    enum { TTL_AND_LENGTH = 6, DO = 0x8000 };
    const struct dns_header *header = &request->header;
    const struct span options = request->opt.options;
    return !(header->flags & DNS_FLAG_OPCODE) && header->counts[DNS_SECTION_ANSWER] == 0 &&
           header->counts[DNS_SECTION_AUTHORITY] == 0 && header->counts[DNS_SECTION_ADDITIONAL] == 1 &&
           options.length == 0 && (load_u32(options.data - TTL_AND_LENGTH) & ~(uint32_t)DO) == 0;
}

bool exchange_goes_plain(struct exchange_flow *flow, const struct dns_message *answer)
{
    const struct dns_message *request = &flow_request(&flow->flow)->view;
    if (!is_lost_on_opt(answer->header.flags, answer->opt.count) || !request->opt.count || flow->without_opt ||
        dns_message_is_signed(request))
        return false;
    flow->plain_again = true;
    flow->blames_edns = !flow->keepalive && has_bare_opt(request);
    return true;
}

/* Whoever was asked without the client's OPT knows none; it is answered all the same (RFC 6891 section 6.1.1). */
static enum status take_plain_response(struct exchange *exchange, struct exchange_flow *flow,
                                       const struct dns_message *answer)
{
    struct flow_message *response = &flow->flow.response;
    struct buffer *wire = &exchange->scratch;
    if (flow->plain_again && flow->blames_edns && !is_lost_on_opt(answer->header.flags, 0) && exchange->io->no_edns)
        exchange->io->no_edns(exchange->io->context, &flow->channel);
    buffer_clear(wire);
    buffer_append(wire, answer->wire, answer->length);
    enum status status = buffer_status(wire);
    if (!status)
        status = dns_message_add_opt(wire, exchange->config.payload_size, DNS_RCODE_NOERROR,
                                     flow->flow.query.view.opt.dnssec_ok);
    return status == STATUS_OK ? flow_message_set(response, wire->data, wire->length, exchange->wall_us, NULL)
                               : flow_message_adopt(response, answer, exchange->wall_us);
}

enum status exchange_take_response(struct exchange *exchange, struct exchange_flow *flow,
                                   const struct dns_message *answer)
{
    if (flow->without_opt && !answer->opt.count)
        return take_plain_response(exchange, flow, answer);
    return flow_message_adopt(&flow->flow.response, answer, exchange->wall_us);
}

/* What the answer says of its connection. */
static void hear_keepalive(const struct exchange *exchange, const struct exchange_flow *flow,
                           const struct dns_message *answer)
{
    const struct exchange_io *io = exchange->io;
    const int64_t idle_us = exchange_keepalive_of(answer);
    if (io->keepalive && (flow->keepalive || idle_us >= 0))
        io->keepalive(io->context, &flow->channel, idle_us);
}

/* The answer is not the response: the query goes out again. */
static enum step ask_again(struct exchange_flow *flow)
{
    flow_message_clear(&flow->flow.response);
    return STEP_FORWARD;
}

static COLD enum step refuse_answer(struct exchange *exchange, struct exchange_flow *flow, enum status status,
                                    struct reason *reason)
{
    if (status == STATUS_NO_MEMORY) {
        flow_set_error(&flow->flow, "out of memory", exchange->wall_us);
        return STEP_ERROR;
    }
    exchange->counters.malformed_answers++;
    reason_prefix(reason, "malformed answer: ");
    exchange_fail_try(flow, reason->text, DNS_EDE_NETWORK_ERROR);
    return STEP_FORWARD;
}

/* The step after an answer that matched. */
static enum step take_answer(struct exchange *exchange, struct exchange_flow *flow, const uint8_t *wire, size_t length)
{
    struct flow *plain = &flow->flow;
    const struct dns_message *answer = &plain->response.view;
    struct reason reason;
    if (plain->killed)
        return STEP_END;
    enum status status = flow_message_fill(&plain->response, wire, length, exchange->wall_us, &reason);
    if (status)
        return refuse_answer(exchange, flow, status, &reason);
    if (transport_is_stream(flow->channel.transport))
        hear_keepalive(exchange, flow, answer);
    if (answer->header.flags & DNS_FLAG_RCODE && exchange_goes_plain(flow, answer))
        return ask_again(flow);
    flow->stream_again = wants_stream(flow, &answer->header);
    if (flow->stream_again)
        return ask_again(flow);
    if (exchange->io->blocks && exchange_block_answer(exchange, flow, answer))
        return STEP_RESPONSE;
    if (flow->without_opt && exchange_take_response(exchange, flow, answer))
        return refuse_answer(exchange, flow, STATUS_NO_MEMORY, &reason);
    plain->source = FLOW_SOURCE_UPSTREAM;
    if (exchange->cache && !flow->plain_again) /* which is without DNSSEC's records, say */
        exchange_keep_answer(exchange, flow, answer);
    return STEP_RESPONSE;
}

static enum try_outcome outcome_of(uint16_t flags)
{
    static const uint16_t codes = 1 << DNS_RCODE_SERVFAIL | 1 << DNS_RCODE_REFUSED;
    return codes >> (flags & DNS_FLAG_RCODE) & 1 ? TRY_REFUSED : TRY_ANSWERED;
}

void exchange_answer(struct exchange *exchange, uint32_t channel, const uint8_t *wire, size_t length)
{
    struct pending *pending = NULL;
    if (length >= DNS_HEADER_SIZE)
        pending = pending_find(&exchange->pending, channel, load_u16(wire));
    struct exchange_flow *flow = pending ? flow_of_pending(pending) : NULL;
    if (!flow || flow->busy || !matches(flow, wire, length)) {
        exchange->counters.unmatched_dropped++;
        return;
    }
    exchange->counters.upstream_answers++;
    if (exchange->watched)
        exchange_show(exchange, &flow->flow, PASSAGE_UPSTREAM_ANSWER, (struct span){wire, length});
    if (flow->transfers) {
        exchange_transfer_answer(exchange, flow, wire, length);
        return;
    }
    exchange_stop_waiting(exchange, flow, outcome_of(load_u16(wire + 2)));
    exchange_advance(exchange, flow, take_answer(exchange, flow, wire, length));
}

/* --- no answer --- */

void exchange_channel_failed(struct exchange *exchange, uint32_t channel, const char *why, bool worked)
{
    struct pending *entry = pending_take_channel(&exchange->pending, channel);
    while (entry) {
        struct exchange_flow *flow = flow_of_pending(entry);
        entry = entry->channel_next;
        exchange->counters.channel_failures++;
        flow->flow.references--;
        exchange_fail_try(flow, why, DNS_EDE_NETWORK_ERROR);
        const bool again = worked && flow->reasks < EXCHANGE_REASKS_MAX;
        exchange->io->release(exchange->io->context, &flow->channel, again ? TRY_ABANDONED : TRY_FAILED);
        if (again) {
            flow->reasks++;
            flow->flow.tries--;
        }
        if (!flow->busy)
            exchange_advance(exchange, flow, STEP_FORWARD);
    }
}

/* A script gave its query less time than a try has: that it had no answer by then says nothing of the upstream. */
static bool time_is_short(const struct exchange *exchange, const struct exchange_flow *flow)
{
    return flow->deadline_us && exchange->monotonic_us - flow->channel.routed_us < exchange->config.timeout_us;
}

int64_t exchange_next_deadline(const struct exchange *exchange)
{
    const struct pending *first = pending_first(&exchange->pending);
    return first ? first->deadline_us : -1;
}

void exchange_expire(struct exchange *exchange)
{
    struct pending *due;
    while ((due = pending_first(&exchange->pending)) && due->deadline_us <= exchange->monotonic_us) {
        struct exchange_flow *flow = flow_of_pending(due);
        if (flow->busy || flow->full) { /* it is not the upstream that is late */
            pending_wait_on(&exchange->pending, due, exchange->monotonic_us, exchange->config.timeout_us);
            continue;
        }
        exchange_stop_waiting(exchange, flow, time_is_short(exchange, flow) ? TRY_ABANDONED : TRY_TIMED_OUT);
        if (flow->delayed) {
            exchange_advance(exchange, flow, STEP_REPLY);
            continue;
        }
        exchange->counters.timeouts++;
        exchange_fail_try(flow, "time-out", DNS_EDE_NO_REACHABLE_AUTHORITY);
        exchange_advance(exchange, flow, STEP_FORWARD);
    }
}
