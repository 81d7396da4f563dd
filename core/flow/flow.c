#include "flow/flow.h"

#include <stdio.h>
#include <stdlib.h>

const char *transport_name(enum transport transport)
{
    static const char *const names[] = {
        [TRANSPORT_UDP] = "udp",     [TRANSPORT_TCP] = "tcp",   [TRANSPORT_TLS] = "tls",
        [TRANSPORT_HTTPS] = "https", [TRANSPORT_QUIC] = "quic",
    };
    return (size_t)transport < sizeof names / sizeof *names ? names[transport] : "?";
}

static NOINLINE enum status grow(struct buffer *wire, size_t length)
{
    struct buffer grown = {0};
    if (!buffer_reserve(&grown, length))
        return STATUS_NO_MEMORY;
    free(wire->data);
    *wire = grown;
    return STATUS_OK;
}

/* Room for a message's bytes; what is there goes where there is too little. */
static inline enum status make_room(struct buffer *wire, size_t length)
{
    return wire->capacity >= length ? STATUS_OK : grow(wire, length);
}

/* Copies the bytes in that the view is over, and moves it over the copy. There is room. */
static inline void move_in(struct flow_message *message, int64_t timestamp_us)
{
    struct dns_message *view = &message->view;
    const uint8_t *old = view->wire;
    uint8_t *wire = message->wire.data;
    memmove(wire, old, view->length); /* a message may be set to bytes of its own */
    message->wire.length = view->length;
    message->wire.failed = false;
    view->wire = wire;
    if (view->question.name)
        view->question.name = wire + DNS_HEADER_SIZE;
    if (view->opt.options.data)
        view->opt.options.data = wire + (view->opt.options.data - old);
    message->timestamp_us = timestamp_us;
    message->present = true;
}

enum status flow_message_adopt(struct flow_message *message, const struct dns_message *parsed, int64_t timestamp_us)
{
    if (make_room(&message->wire, parsed->length))
        return STATUS_NO_MEMORY;
    message->view = *parsed;
    move_in(message, timestamp_us);
    return STATUS_OK;
}

/* The same where there is too little room. */
static enum status set_larger(struct flow_message *message, const uint8_t *wire, size_t length, int64_t timestamp_us,
                              struct reason *reason)
{
    struct dns_message parsed;
    enum status status = dns_message_parse(wire, length, &parsed, reason);
    if (status)
        return status;
    status = flow_message_adopt(message, &parsed, timestamp_us);
    if (status)
        reason_set(reason, "out of memory");
    return status;
}

enum status flow_message_set(struct flow_message *message, const uint8_t *wire, size_t length, int64_t timestamp_us,
                             struct reason *reason)
{
    if (message->wire.capacity < length)
        return set_larger(message, wire, length, timestamp_us, reason);
    enum status status = dns_message_parse(wire, length, &message->view, reason);
    if (!status)
        move_in(message, timestamp_us);
    return status;
}

enum status flow_message_fill(struct flow_message *message, const uint8_t *wire, size_t length, int64_t timestamp_us,
                              struct reason *reason)
{
    if (make_room(&message->wire, length)) {
        reason_set(reason, "out of memory");
        return STATUS_NO_MEMORY;
    }
    memcpy(message->wire.data, wire, length);
    const enum status status = dns_message_parse(message->wire.data, length, &message->view, reason);
    if (status)
        return status;
    message->wire.length = length;
    message->timestamp_us = timestamp_us;
    message->present = true;
    return STATUS_OK;
}

void flow_message_clear(struct flow_message *message)
{
    message->present = false;
    message->timestamp_us = -1;
    buffer_clear(&message->wire);
}

void flow_message_free(struct flow_message *message)
{
    flow_message_clear(message);
    buffer_free(&message->wire);
}

const char *flow_id(const struct flow *flow, char out[static FLOW_ID_MAX])
{
    snprintf(out, FLOW_ID_MAX, "%08x-%08llx", (unsigned)flow->exchange_tag, (unsigned long long)flow->serial);
    return out;
}

/* Copies text, cut where there is no room. */
static void copy_text(char *out, size_t size, const char *text)
{
    size_t length = strnlen(text, size - 1);
    memcpy(out, text, length);
    out[length] = '\0';
}

/* One OPT record at the most, in its place (RFC 6891 section 6.1.1). */
static enum status check_opt(const struct dns_message *message, struct reason *reason)
{
    if (message->opt.elsewhere == 0 && message->opt.count <= 1)
        return STATUS_OK;
    if (message->opt.elsewhere > 0)
        reason_set(reason, "OPT stands in another section than additionals");
    else
        reason_set(reason, "one OPT record expected in additionals, got %u", message->opt.count);
    return STATUS_INVALID;
}

/* The response is there. */
static inline enum status take_response(struct flow *flow, enum flow_source source,
                                        const char source_name[static FLOW_SOURCE_NAME_MAX], struct reason *reason)
{
    if (source == FLOW_SOURCE_SCRIPT && check_opt(&flow->response.view, reason)) {
        flow_response_unpackable(flow);
        return STATUS_INVALID;
    }
    flow->unpackable = false;
    flow->source = source;
    memcpy(flow->source_name, source_name, sizeof flow->source_name);
    return STATUS_OK;
}

enum status flow_adopt_response(struct flow *flow, const struct dns_message *parsed, enum flow_source source,
                                const char *source_name, struct reason *reason)
{
    const int64_t timestamp_us = flow->response.present ? flow->response.timestamp_us : -1;
    char name[FLOW_SOURCE_NAME_MAX] = "";
    if (source_name)
        copy_text(name, sizeof name, source_name);
    if (flow_message_adopt(&flow->response, parsed, timestamp_us)) {
        reason_set(reason, "out of memory");
        flow_response_unpackable(flow);
        return STATUS_NO_MEMORY;
    }
    return take_response(flow, source, name, reason);
}

enum status flow_take_response(struct flow *flow, enum flow_source source,
                               const char source_name[static FLOW_SOURCE_NAME_MAX], struct reason *reason)
{
    flow->response.present = true;
    flow->response.timestamp_us = -1;
    return take_response(flow, source, source_name, reason);
}

enum status flow_set_response(struct flow *flow, const uint8_t *wire, size_t length, enum flow_source source,
                              const char *source_name, struct reason *reason)
{
    struct dns_message parsed;
    enum status status = dns_message_parse(wire, length, &parsed, reason);
    if (status == STATUS_OK)
        return flow_adopt_response(flow, &parsed, source, source_name, reason);
    flow_response_unpackable(flow);
    return status;
}

void flow_clear_response(struct flow *flow)
{
    flow_message_clear(&flow->response);
    flow->source = FLOW_SOURCE_NONE;
    flow->source_name[0] = '\0';
    flow->unpackable = false;
}

void flow_response_unpackable(struct flow *flow)
{
    flow_clear_response(flow);
    flow->unpackable = true;
}

enum status flow_set_request(struct flow *flow, const uint8_t *wire, size_t length, struct reason *reason)
{
    return flow_message_set(&flow->request, wire, length, flow_request(flow)->timestamp_us, reason);
}

void flow_set_error(struct flow *flow, const char *text, int64_t wall_us)
{
    copy_text(flow->error, sizeof flow->error, text);
    flow->error_info = DNS_EDE_OTHER;
    flow->error_us = wall_us;
}

void flow_kill(struct flow *flow)
{
    flow->killed = true;
}

bool flow_resend(struct flow *flow, const struct upstream_target *target)
{
    if (!flow->resend && flow->resends == FLOW_RESENDS_MAX)
        return false;
    flow->resends += !flow->resend;
    flow->resend = true;
    flow->target = *target;
    return true;
}

void flow_tell_script_error(struct flow *flow, const char *text, size_t length)
{
    enum { CONTINUED_MASK = 0xc0, CONTINUED = 0x80 };
    if (flow->script_error)
        return;
    if (length > DNS_EDE_TEXT_MAX)
        for (length = DNS_EDE_TEXT_MAX; length > 0 && (text[length] & CONTINUED_MASK) == CONTINUED;)
            length--;
    char *copy = malloc(length + 1);
    if (!copy)
        return;
    memcpy(copy, text, length);
    copy[length] = '\0';
    flow->script_error = copy;
}

void flow_drop(struct flow *flow)
{
    flow->killed = flow->dropped = true;
}
