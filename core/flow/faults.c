#include "flow/faults.h"

#include <ctype.h>
#include <stdlib.h>

struct flow_faults *flow_faults_of(struct flow *flow)
{
    if (!flow->faults)
        flow->faults = calloc(1, sizeof *flow->faults);
    return flow->faults;
}

void flow_faults_free(struct flow *flow)
{
    struct flow_faults *faults = flow->faults;
    if (!faults)
        return;
    buffer_free(&faults->trailing);
    buffer_free(&faults->raw);
    free(faults);
    flow->faults = NULL;
}

/* Leaves the question and OPT. */
static enum status truncate_all(struct buffer *wire)
{
    struct dns_message message;
    enum status status = dns_message_parse(wire->data, wire->length, &message, NULL);
    if (status)
        return status;
    struct dns_header header = message.header;
    header.flags |= DNS_FLAG_TC;
    memset(&header.counts[DNS_SECTION_ANSWER], 0, 3 * sizeof header.counts[0]);
    wire->length = message.section[DNS_SECTION_ANSWER];
    bool has_opt = message.opt.count > 0;
    uint16_t size = message.opt.udp_payload_size, code = dns_message_response_code(&message);
    bool dnssec_ok = message.opt.dnssec_ok;
    dns_header_write(wire->data, &header);
    return has_opt ? dns_message_add_opt(wire, size, code, dnssec_ok) : STATUS_OK;
}

/* Asks something else: the first byte of the name is another one; the root's type is. */
static void change_question(struct buffer *wire)
{
    enum { NAME = DNS_HEADER_SIZE, TYPE = NAME + 2 };
    if (wire->length < NAME + 5 || load_u16(wire->data + 4) == 0)
        return;
    uint8_t *first = wire->data + NAME + 1;
    if (wire->data[NAME] == 0)
        wire->data[TYPE] ^= 1;
    else
        *first = dns_lower(*first) == 'x' ? 'y' : 'x';
}

/* One answer, whose owner is a name that points to itself. */
static void make_loop(struct buffer *wire)
{
    static const uint8_t record[] = {0, DNS_TYPE_A, 0, DNS_CLASS_IN, 0, 0, 0, 60, 0, 4, 192, 0, 2, 1};
    struct dns_message message;
    if (dns_message_parse(wire->data, wire->length, &message, NULL))
        return;
    size_t at = message.section[DNS_SECTION_ANSWER];
    struct dns_header header = message.header;
    memset(&header.counts[DNS_SECTION_ANSWER], 0, 3 * sizeof header.counts[0]);
    header.counts[DNS_SECTION_ANSWER] = 1;
    dns_header_write(wire->data, &header);
    wire->length = at;
    buffer_u16(wire, (uint16_t)(0xc000 | at));
    buffer_append(wire, record, sizeof record);
}

enum status flow_faults_apply(const struct flow_faults *faults, struct buffer *wire)
{
    enum status status = faults->truncate ? truncate_all(wire) : STATUS_OK;
    if (status)
        return status;
    if (faults->loop)
        make_loop(wire);
    if (faults->question)
        change_question(wire);
    if (faults->id)
        store_u16(wire->data, load_u16(wire->data) ^ 0xffff);
    if (faults->replaced) {
        buffer_clear(wire);
        buffer_append(wire, faults->raw.data, faults->raw.length);
    }
    wire->length -= faults->cut < wire->length ? faults->cut : wire->length;
    buffer_append(wire, faults->trailing.data, faults->trailing.length);
    if (wire->length > DNS_MESSAGE_MAX)
        wire->length = DNS_MESSAGE_MAX;
    return buffer_status(wire);
}
