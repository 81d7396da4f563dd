/* Finishing an answer for its client: id, question, OPT, size. */
#include "flow/exchange_private.h"
#include "flow/faults.h"

#include <stdio.h>

enum {
    UDP_PAYLOAD_MAX = 65487,    /* what one datagram holds, over IPv6 too */
    KEEPALIVE_UNIT_US = 100000, /* RFC 7828 section 3.1 */
};

/* edns-tcp-keepalive (RFC 7828 section 3.4) and padding (RFC 7830 section 6) belong to one connection. */
static const uint16_t hop_options[] = {DNS_OPTION_KEEPALIVE, DNS_OPTION_PADDING};

/* The data of the first option with one of these codes; NULL: there is none. */
static const uint8_t *find_option(const struct dns_message *message, const uint16_t *codes, size_t count,
                                  size_t *data_length)
{
    struct cursor cursor = cursor_over(message->opt.options.data, message->opt.options.length);
    while (cursor_left(&cursor)) {
        uint16_t code = cursor_u16(&cursor), length = cursor_u16(&cursor);
        const uint8_t *data = cursor_take(&cursor, length);
        if (!data)
            break;
        *data_length = length;
        for (size_t i = 0; i < count; i++)
            if (code == codes[i])
                return data;
    }
    return NULL;
}

static inline bool has_option(const struct dns_message *message, const uint16_t *codes, size_t count)
{
    size_t length;
    return message->opt.options.length > 0 && find_option(message, codes, count, &length) != NULL;
}

bool exchange_has_hop_options(const struct dns_message *message)
{
    return has_option(message, hop_options, sizeof hop_options / sizeof *hop_options) &&
           !dns_message_is_signed(message);
}

bool exchange_add_keepalive(struct buffer *wire)
{
    return dns_message_add_option(wire, DNS_OPTION_KEEPALIVE, NULL, 0) == STATUS_OK;
}

int64_t exchange_keepalive_of(const struct dns_message *answer)
{
    static const uint16_t keepalive = DNS_OPTION_KEEPALIVE;
    size_t length;
    const uint8_t *timeout = find_option(answer, &keepalive, 1, &length);
    return timeout && length == 2 ? (int64_t)load_u16(timeout) * KEEPALIVE_UNIT_US : -1;
}

enum status exchange_remove_hop_options(struct buffer *wire)
{
    return dns_message_remove_options(wire, hop_options, sizeof hop_options / sizeof *hop_options);
}

enum status exchange_set_response(struct exchange *exchange, struct exchange_flow *flow, enum flow_source source)
{
    const struct buffer *wire = &exchange->scratch;
    enum status status = flow_message_set(&flow->flow.response, wire->data, wire->length, exchange->wall_us, NULL);
    if (status)
        return status;
    flow->flow.source = source;
    flow->flow.source_name[0] = '\0';
    return STATUS_OK;
}

/* "time-out, 9.9.9.9:53" (RFC 8914 sections 4.1, 4.23, 4.24) */
static enum status explain(const struct flow *flow, bool unpackable, struct buffer *wire)
{
    char text[FLOW_ERROR_MAX + ADDRESS_TEXT_MAX], server[ADDRESS_TEXT_MAX];
    const char *why = unpackable ? "a script's answer cannot be packed" : flow->error;
    if (!flow->query.view.opt.count || !why[0] || (unpackable && flow->script_error)) /* which says more */
        return STATUS_OK;
    bool names_server = flow->error_info != DNS_EDE_OTHER && flow->server.family != AF_UNSPEC;
    snprintf(text, sizeof text, "%s%s%s", why, names_server ? ", " : "",
             names_server ? address_text(&flow->server, server) : "");
    enum status status = dns_message_add_ede(wire, unpackable ? DNS_EDE_OTHER : flow->error_info, text);
    return status == STATUS_NO_SPACE ? STATUS_OK : status;
}

NOINLINE void exchange_fail(struct exchange *exchange, struct exchange_flow *flow, uint16_t response_code)
{
    bool unpackable = flow->flow.unpackable;
    exchange->counters.unpackable += unpackable;
    flow_clear_response(&flow->flow);
    if (dns_message_make_error(&flow->flow.query.view, response_code, &exchange->scratch) ||
        explain(&flow->flow, unpackable, &exchange->scratch) ||
        exchange_set_response(exchange, flow, FLOW_SOURCE_PROXY))
        flow_clear_response(&flow->flow);
}

void exchange_servfail(struct exchange *exchange, struct exchange_flow *flow)
{
    exchange_fail(exchange, flow, DNS_RCODE_SERVFAIL);
}

/* --- the client's question --- */

/* Packs the response anew into `out`, with the client's question in place of its own. Records owned by the name that
 * was asked for in its stead are the client's name's. */
static enum status repack(struct exchange *exchange, const struct flow *flow, struct buffer *out)
{
    const struct dns_message *query = &flow->query.view, *response = &flow->response.view;
    const uint8_t *asked = NULL;
    if (flow->request.present && flow->request.view.header.counts[DNS_SECTION_QUESTION])
        asked = flow->request.view.question.name;
    struct dns_packer packer;
    buffer_clear(out);
    dns_packer_start(&packer, out, &response->header, DNS_MESSAGE_MAX);
    enum status status = dns_packer_question(&packer, &query->question);
    for (enum dns_section section = DNS_SECTION_ANSWER; section <= DNS_SECTION_ADDITIONAL && !status; section++) {
        struct dns_reader reader;
        struct dns_record record;
        dns_reader_start(&reader, response, section, &exchange->expanded);
        while (!status && !(status = dns_reader_next(&reader, &record))) {
            if (asked && dns_name_equal(record.name, asked)) {
                record.name = query->question.name;
                record.name_length = query->question.name_length;
            }
            status = dns_packer_record(&packer, section, &record);
        }
        if (status == STATUS_NOT_FOUND)
            status = STATUS_OK;
    }
    if (!status)
        status = dns_packer_finish(&packer);
    return status;
}

/* Puts the client's own question into the response, in its own letter case. An answer of the upstream's that lacks a
 * question stays as it came; so does whatever answers a query that has none. */
static enum status restore_question(struct exchange *exchange, struct exchange_flow *flow)
{
    struct flow *plain = &flow->flow;
    struct dns_message *response = &plain->response.view;
    const struct dns_question *question = &plain->query.view.question, *answered = &response->question;
    uint16_t count = response->header.counts[DNS_SECTION_QUESTION];
    if (!plain->query.view.header.counts[DNS_SECTION_QUESTION] || (!count && plain->source == FLOW_SOURCE_UPSTREAM))
        return STATUS_OK;
    if (count == 1 && answered->type == question->type && answered->class_ == question->class_ &&
        answered->name_length == question->name_length) {
        if (!memcmp(answered->name, question->name, question->name_length))
            return STATUS_OK;
        if (dns_name_equal(answered->name, question->name)) {
            if (dns_message_is_signed(response))
                return STATUS_OK; /* RFC 5625 section 4.5: not a byte of it may change */
            memcpy(plain->response.wire.data + DNS_HEADER_SIZE, question->name, question->name_length);
            return STATUS_OK;
        }
    }
    enum status status = repack(exchange, plain, &exchange->scratch);
    if (status)
        return status;
    return flow_message_set(&plain->response, exchange->scratch.data, exchange->scratch.length,
                            plain->response.timestamp_us, NULL);
}

/* Gives the answer to a query whose op code a script changed the client's own. */
static void restore_op_code(struct flow *flow)
{
    const uint16_t own = flow->query.view.header.flags & DNS_FLAG_OPCODE;
    const uint16_t asked = flow_request(flow)->view.header.flags & DNS_FLAG_OPCODE;
    struct dns_header *header = &flow->response.view.header;
    if (asked == own || (header->flags & DNS_FLAG_OPCODE) != asked)
        return;
    header->flags = (uint16_t)((header->flags & ~DNS_FLAG_OPCODE) | own);
    store_u16(flow->response.wire.data + 2, header->flags);
}

/* --- OPT and size --- */

static size_t size_limit(const struct flow *flow)
{
    if (transport_is_stream(flow->reply_to.transport))
        return DNS_MESSAGE_MAX;
    const struct dns_message *query = &flow->query.view;
    if (!query->opt.count || query->opt.udp_payload_size < DNS_UDP_SIZE_CLASSIC)
        return DNS_UDP_SIZE_CLASSIC;
    return query->opt.udp_payload_size < UDP_PAYLOAD_MAX ? query->opt.udp_payload_size : UDP_PAYLOAD_MAX;
}

/* A client that sent no OPT gets none (RFC 6891 section 7). Without it a code above 15 would read as another one. */
static enum status strip_opt(const struct dns_message *response, struct buffer *wire)
{
    if (dns_message_response_code(response) > DNS_FLAG_RCODE)
        store_u16(wire->data + 2, (uint16_t)((response->header.flags & ~DNS_FLAG_RCODE) | DNS_RCODE_SERVFAIL));
    return dns_message_remove_opt(wire);
}

/* A stream client that sent edns-tcp-keepalive is told how long it may stay idle (RFC 7828 section 3.3.2). */
static bool wants_keepalive(const struct exchange *exchange, const struct flow *flow)
{
    static const uint16_t keepalive = DNS_OPTION_KEEPALIVE;
    return transport_is_stream(flow->reply_to.transport) && exchange->config.stream_idle_us > 0 &&
           has_option(&flow->query.view, &keepalive, 1) && !dns_message_is_signed(&flow->response.view);
}

static enum status add_keepalive(const struct exchange *exchange, struct buffer *wire)
{
    int64_t units = exchange->config.stream_idle_us / KEEPALIVE_UNIT_US;
    uint8_t timeout[2];
    store_u16(timeout, units < UINT16_MAX ? (uint16_t)units : UINT16_MAX);
    return dns_message_add_option(wire, DNS_OPTION_KEEPALIVE, timeout, sizeof timeout);
}

/* What the client gets of OPT: its edits change the length, so they work on a copy in `scratch`. */
static enum status fit_opt(struct exchange *exchange, const struct flow *flow, struct buffer *wire)
{
    const struct dns_message *query = &flow->query.view, *response = &flow->response.view;
    enum status status;
    if (!query->opt.count)
        return strip_opt(response, wire);
    if (response->opt.count)
        status = exchange_remove_hop_options(wire);
    else
        status = dns_message_add_opt(wire, exchange->config.payload_size, response->header.flags & DNS_FLAG_RCODE,
                                     query->opt.dnssec_ok);
    return !status && wants_keepalive(exchange, flow) ? add_keepalive(exchange, wire) : status;
}

static bool tells_script_error(const struct flow *flow)
{
    return flow->script_error && flow->query.view.opt.count && !dns_message_is_signed(&flow->response.view);
}

/* A script's error, where it does not cost the answer its records. */
static enum status add_script_error(const struct flow *flow, size_t limit, struct buffer *wire)
{
    enum { OPTION_OVERHEAD = 6 }; /* code, length, info code */
    if (wire->length + OPTION_OVERHEAD + strlen(flow->script_error) > limit)
        return STATUS_OK;
    return dns_message_add_ede(wire, DNS_EDE_OTHER, flow->script_error);
}

static bool needs_opt_edit(const struct exchange *exchange, const struct flow *flow)
{
    const struct dns_message *query = &flow->query.view, *response = &flow->response.view;
    if (!query->opt.count)
        return response->opt.count > 0 && !dns_message_is_signed(response);
    if (response->opt.count)
        return exchange_has_hop_options(response) || wants_keepalive(exchange, flow) || tells_script_error(flow);
    if (flow->request.present && !flow->request.view.opt.count) /* a script took it out: the upstream saw none */
        return true;
    /* an upstream without EDNS is passed on as such */
    return (flow->source != FLOW_SOURCE_UPSTREAM && flow->source != FLOW_SOURCE_CACHE) || tells_script_error(flow);
}

/* Makes the bytes for the client: the response's own where they can stay, else a copy in `scratch`. */
static enum status finish(struct exchange *exchange, struct exchange_flow *flow, struct span *out)
{
    struct flow *plain = &flow->flow;
    struct flow_message *response = &plain->response;
    enum status status = restore_question(exchange, flow);
    if (status)
        return status;
    restore_op_code(plain);
    response->view.header.id = plain->query.view.header.id;
    store_u16(response->wire.data, plain->query.view.header.id);
    if (response->timestamp_us < 0)
        response->timestamp_us = exchange->wall_us;

    size_t limit = size_limit(plain);
    bool edit = needs_opt_edit(exchange, plain);
    struct buffer *wire = &response->wire;
    if (edit || wire->length > limit) {
        wire = &exchange->scratch;
        buffer_clear(wire);
        buffer_append(wire, response->wire.data, response->wire.length);
        status = buffer_status(wire);
    }
    if (!status && edit)
        status = fit_opt(exchange, plain, wire);
    if (!status && edit && tells_script_error(plain))
        status = add_script_error(plain, limit, wire);
    if (!status && wire->length > limit) {
        status = dns_message_truncate(wire, limit);
        exchange->counters.truncated += !status;
    }
    if (!status)
        *out = (struct span){wire->data, wire->length};
    return status;
}

static void count_source(struct exchange_counters *counters, enum flow_source source)
{
    counters->script_responses += source == FLOW_SOURCE_SCRIPT;
    counters->hosts_responses += source == FLOW_SOURCE_HOSTS;
    counters->zone_responses += source == FLOW_SOURCE_ZONE;
}

/* --- faults on purpose --- */

/* Whether the answer is to go out later. */
static bool delay(struct exchange *exchange, struct exchange_flow *flow)
{
    const struct flow_faults *faults = flow->flow.faults;
    if (!faults || faults->delay_us == 0 || flow->delayed)
        return false;
    if (exchange_is_crowded(exchange, &flow->flow, exchange_with_room(exchange->config.memory_max)))
        return false; /* better too early than not at all */
    flow->delayed = true;
    pending_add_alarm(&exchange->pending, &flow->pending, exchange->monotonic_us, faults->delay_us);
    flow->flow.references++;
    exchange_weigh(exchange, flow);
    return true;
}

/* Makes of the answer, and of its client's connection, what its faults have it, and sends the copies; false: it is not
 * to be sent. */
static bool spoil(struct exchange *exchange, const struct flow *flow, struct span *wire)
{
    const struct exchange_io *io = exchange->io;
    const struct flow_faults *faults = flow->faults;
    struct buffer *out = &exchange->scratch;
    if (io->disturb && (faults->reset || faults->drip))
        io->disturb(io->context, &flow->reply_to, faults->reset, faults->drip);
    if (wire->data != out->data) {
        buffer_clear(out);
        buffer_append(out, wire->data, wire->length);
    }
    if (faults->reset || buffer_status(out) || flow_faults_apply(faults, out))
        return false;
    for (unsigned i = 0; i < faults->copies && io->reply_again; i++)
        io->reply_again(io->context, &flow->reply_to, out->data, out->length);
    *wire = (struct span){out->data, out->length};
    return true;
}

/* The same for a message that others follow, which have none of its faults; but that it is not delayed: the last one
 * is.
 */
static bool spoil_part(struct exchange *exchange, struct flow *flow, struct span *wire)
{
    const int64_t delay_us = flow->faults->delay_us;
    const bool goes = spoil(exchange, flow, wire);
    flow_faults_free(flow);
    struct flow_faults *left = delay_us ? flow_faults_of(flow) : NULL;
    if (left)
        left->delay_us = delay_us;
    return goes;
}

enum step exchange_reply(struct exchange *exchange, struct exchange_flow *flow)
{
    struct flow *plain = &flow->flow;
    struct span wire;
    if (plain->killed) /* while it was delayed */
        return STEP_END;
    if (flow->more && !plain->response.present && !plain->unpackable)
        return exchange_reply_part(exchange, flow, (struct span){0});
    if (!flow->more && delay(exchange, flow))
        return STEP_WAIT;
    if (!plain->response.present)
        exchange_servfail(exchange, flow); /* the script's could not be packed */
    if (plain->response.present && finish(exchange, flow, &wire)) {
        plain->unpackable = true;
        exchange_servfail(exchange, flow);
        if (plain->response.present && finish(exchange, flow, &wire))
            flow_clear_response(plain);
    }
    if (!plain->response.present)
        return STEP_END;
    if (flow->more && plain->response.view.header.flags & DNS_FLAG_RCODE)
        exchange_transfer_stop(exchange, flow);
    if (flow->more && plain->faults && !spoil_part(exchange, plain, &wire))
        return STEP_END;
    if (flow->more)
        return exchange_reply_part(exchange, flow, wire);
    if (plain->faults && !spoil(exchange, plain, &wire))
        return STEP_END;
    exchange->io->reply(exchange->io->context, &plain->reply_to, wire.data, wire.length);
    if (exchange->watched)
        exchange_show(exchange, plain, PASSAGE_CLIENT_ANSWER, wire);
    flow->replied = true;
    exchange->counters.responses++;
    if (plain->source != FLOW_SOURCE_UPSTREAM)
        count_source(&exchange->counters, plain->source);
    return STEP_END;
}
