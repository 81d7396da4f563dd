/* Asking upstream: tries, and what comes back. */
#include "flow/exchange_private.h"

#include <stddef.h>
#include <stdio.h>

static struct exchange_flow *flow_of_pending(struct pending *pending)
{
    return (struct exchange_flow *)((char *)pending - offsetof(struct exchange_flow, pending));
}

void exchange_stop_waiting(struct exchange *exchange, struct exchange_flow *flow)
{
    pending_remove(&exchange->pending, &flow->pending);
    flow->flow.references--;
    if (!flow->delayed)
        exchange->io->release(exchange->io->context, &flow->channel);
}

static void fail_try(struct exchange_flow *flow, const char *why)
{
    flow->stream_again = false;
    snprintf(flow->failure, sizeof flow->failure, "%.*s", FLOW_ERROR_MAX - 1, why);
}

/* --- asking --- */

/* Sends the flow's request under the id of its pending entry. A message that nobody edited goes out as it came but for
 * the id, which is put into the very bytes that are kept, and taken out again. */
static enum status send_request(struct exchange *exchange, struct exchange_flow *flow, struct reason *reason)
{
    struct flow_message *request = flow->flow.request.present ? &flow->flow.request : &flow->flow.query;
    const struct exchange_io *io = exchange->io;
    struct buffer *wire = &request->wire;
    if (exchange_has_hop_options(&request->view)) {
        wire = &exchange->scratch;
        buffer_clear(wire);
        buffer_append(wire, request->wire.data, request->wire.length);
        if (buffer_status(wire) || exchange_remove_hop_options(wire)) {
            reason_set(reason, "out of memory");
            return STATUS_NO_MEMORY;
        }
    }
    uint16_t kept = load_u16(wire->data);
    store_u16(wire->data, flow->pending.id);
    enum status status = io->send(io->context, &flow->channel, wire->data, wire->length, reason);
    store_u16(wire->data, kept);
    return status;
}

static enum status choose_route(struct exchange *exchange, struct exchange_flow *flow, struct reason *reason)
{
    struct flow *plain = &flow->flow;
    struct address again = plain->server;
    struct route route = {.flow = plain, .attempt = plain->tries};
    if (flow->stream_again) {
        route.attempt--; /* the same try goes on */
        route.stream = true;
        route.again = &again;
    } else {
        exchange->counters.retries += plain->tries > 0;
        plain->tries++;
    }
    flow->channel = (struct channel){0};
    enum status status = exchange->io->route(exchange->io->context, &route, &flow->channel, reason);
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
        exchange->io->release(exchange->io->context, &flow->channel);
        return STATUS_IO;
    }
    flow->flow.references++;
    exchange->counters.upstream_queries++;
    if (send_request(exchange, flow, reason)) {
        exchange_stop_waiting(exchange, flow);
        return STATUS_IO;
    }
    return STATUS_OK;
}

enum step exchange_forward(struct exchange *exchange, struct exchange_flow *flow)
{
    struct flow *plain = &flow->flow;
    if (plain->killed)
        return STEP_END;
    while (flow->stream_again || plain->tries <= exchange->config.retries) {
        if (flow->deadline_us && flow->deadline_us <= exchange->monotonic_us) {
            fail_try(flow, "time-out");
            break;
        }
        struct reason reason = {.text = ""};
        enum status status = try_upstream(exchange, flow, &reason);
        if (status == STATUS_OK)
            return STEP_WAIT;
        if (status == STATUS_NOT_FOUND && !flow->failure[0])
            fail_try(flow, "no upstream");
        else if (status != STATUS_NOT_FOUND)
            fail_try(flow, reason.text[0] ? reason.text : "unreachable");
        if (status == STATUS_NOT_FOUND)
            break;
    }
    flow_set_error(plain, flow->failure, exchange->wall_us);
    return STEP_ERROR;
}

enum step exchange_send_again(struct exchange_flow *flow)
{
    struct flow *plain = &flow->flow;
    plain->resend = plain->cache_hit = false;
    plain->tries = 0;
    flow->stream_again = false;
    flow->failure[0] = '\0';
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
static bool matches(const struct dns_message *request, const struct dns_header *header, const uint8_t *wire,
                    size_t length)
{
    uint16_t asked = request->header.counts[DNS_SECTION_QUESTION];
    uint16_t answered = header->counts[DNS_SECTION_QUESTION];
    if (!(header->flags & DNS_FLAG_QR) || (header->flags ^ request->header.flags) & DNS_FLAG_OPCODE)
        return false;
    if (answered == 0)
        return asked == 0 || may_lack_question(header->flags);
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

/* The step after an answer that matched. */
static enum step take_answer(struct exchange *exchange, struct exchange_flow *flow, const uint8_t *wire, size_t length)
{
    struct flow *plain = &flow->flow;
    struct dns_message answer;
    struct reason reason;
    if (plain->killed)
        return STEP_END;
    if (dns_message_parse(wire, length, &answer, &reason)) {
        exchange->counters.malformed_answers++;
        reason_prefix(&reason, "malformed answer: ");
        fail_try(flow, reason.text);
        return STEP_FORWARD;
    }
    flow->stream_again = wants_stream(flow, &answer.header);
    if (flow->stream_again)
        return STEP_FORWARD;
    if (flow_message_adopt(&plain->response, &answer, exchange->wall_us)) {
        flow_set_error(plain, "out of memory", exchange->wall_us);
        return STEP_ERROR;
    }
    plain->source = FLOW_SOURCE_UPSTREAM;
    exchange_keep_answer(exchange, flow, &answer);
    return STEP_RESPONSE;
}

void exchange_answer(struct exchange *exchange, uint32_t channel, const uint8_t *wire, size_t length)
{
    struct dns_header header;
    struct pending *pending = NULL;
    if (!dns_header_read(wire, length, &header))
        pending = pending_find(&exchange->pending, channel, header.id);
    struct exchange_flow *flow = pending ? flow_of_pending(pending) : NULL;
    if (!flow || !matches(&flow_request(&flow->flow)->view, &header, wire, length)) {
        exchange->counters.unmatched_dropped++;
        return;
    }
    exchange->counters.upstream_answers++;
    exchange_stop_waiting(exchange, flow);
    exchange_advance(exchange, flow, take_answer(exchange, flow, wire, length));
}

/* --- no answer --- */

void exchange_channel_failed(struct exchange *exchange, uint32_t channel, const char *why)
{
    struct pending *entry = pending_take_channel(&exchange->pending, channel);
    while (entry) {
        struct exchange_flow *flow = flow_of_pending(entry);
        entry = entry->channel_next;
        exchange->counters.channel_failures++;
        flow->flow.references--;
        fail_try(flow, why);
        exchange->io->release(exchange->io->context, &flow->channel);
        exchange_advance(exchange, flow, STEP_FORWARD);
    }
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
        exchange_stop_waiting(exchange, flow);
        if (flow->delayed) {
            exchange_advance(exchange, flow, STEP_REPLY);
            continue;
        }
        exchange->counters.timeouts++;
        fail_try(flow, "time-out");
        exchange_advance(exchange, flow, STEP_FORWARD);
    }
}
