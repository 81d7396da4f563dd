/* Checking a message once, so that all that comes after may rely on it. */
#include "dns/message.h"

#include "dns/rdata.h"

enum {
    QUESTION_NAME = 0xc000 | DNS_HEADER_SIZE, /* the pointer to the question's name: most owners are nothing else */
    QUESTION_FIXED = 4,                       /* type, class */
    RECORD_FIXED = 10,                        /* type, class, TTL, data length */
};

void dns_header_write(uint8_t *wire, const struct dns_header *header)
{
    store_u16(wire, header->id);
    store_u16(wire + 2, header->flags);
    for (size_t i = 0; i < 4; i++)
        store_u16(wire + 4 + 2 * i, header->counts[i]);
}

/* The bytes that are checked. */
struct packet {
    const uint8_t *wire;
    size_t length;
    struct reason *reason;
};

/* Where the OPT records stand. */
struct opt_places {
    unsigned count, elsewhere;
    size_t first, fixed; /* of the first of `count`: its owner, and what follows that */
};

static COLD enum status refuse_length(size_t length, struct reason *reason)
{
    reason_set(reason, "%zu bytes are too %s for a message", length, length < DNS_HEADER_SIZE ? "few" : "many");
    return STATUS_MALFORMED;
}

static COLD enum status refuse_missing(struct packet packet)
{
    reason_set(packet.reason, "missing, the message ends at %zu", packet.length);
    return STATUS_MALFORMED;
}

static COLD enum status refuse_cut_off(struct packet packet)
{
    reason_set(packet.reason, "cut off by the message's end at %zu", packet.length);
    return STATUS_MALFORMED;
}

static COLD enum status refuse_data(struct packet packet, size_t end)
{
    reason_set(packet.reason, "record data ends at %zu, behind the message's %zu bytes", end, packet.length);
    return STATUS_MALFORMED;
}

static COLD enum status refuse_rest(struct packet packet, size_t at)
{
    const size_t over = packet.length - at;
    reason_set(packet.reason, "%zu byte%s left over behind the last record", over, over == 1 ? "" : "s");
    return STATUS_MALFORMED;
}

/* Says which entry of which section it is that was refused. */
static COLD enum status refuse(struct packet packet, enum dns_section section, unsigned index, enum status status)
{
    static const char *const names[] = {"question", "answer", "authority", "additional"};
    reason_prefix(packet.reason, "%s #%u: ", names[section], index + 1);
    return status;
}

/* Moves behind the name that stands there. */
static inline enum status check_name(struct packet packet, size_t *at)
{
    size_t end = dns_name_plain_end(packet.wire, packet.length, *at);
    if (end == 0) {
        struct cursor cursor = {.data = packet.wire, .length = packet.length, .offset = *at};
        const enum status status = dns_name_skip(&cursor, packet.reason);
        if (status != STATUS_OK)
            return status;
        end = cursor.offset;
    }
    *at = end;
    return STATUS_OK;
}

/* `name_end` is set for the first one. */
static inline enum status check_question(struct packet packet, size_t *at, size_t *name_end)
{
    const size_t start = *at;
    if (start == packet.length)
        return refuse_missing(packet);
    const enum status status = check_name(packet, at);
    if (status != STATUS_OK)
        return status;
    if (packet.length - *at < QUESTION_FIXED)
        return refuse_cut_off(packet);
    if (start == DNS_HEADER_SIZE)
        *name_end = *at;
    *at += QUESTION_FIXED;
    return STATUS_OK;
}

static enum status check_rdata_names(struct packet packet, uint16_t type, size_t at, size_t length)
{
    const struct cursor cursor = {.data = packet.wire, .length = packet.length, .offset = at};
    return dns_rdata_check_names(type, &cursor, length, packet.reason);
}

/* Of several OPT records the first is kept, and all are counted. */
static inline void note_opt(struct opt_places *opt, enum dns_section section, size_t start, size_t fixed)
{
    if (section != DNS_SECTION_ADDITIONAL) {
        opt->elsewhere++;
    } else if (opt->count++ == 0) {
        opt->first = start;
        opt->fixed = fixed;
    }
}

static inline enum status check_record(struct packet packet, size_t *at, enum dns_section section, bool asks,
                                       struct opt_places *opt)
{
    const size_t start = *at, left = packet.length - start;
    enum status status = STATUS_OK;
    if (left == 0)
        return refuse_missing(packet);
    if (left > 2 && load_u16(packet.wire + start) == QUESTION_NAME && asks)
        *at += 2;
    else if ((status = check_name(packet, at)) != STATUS_OK)
        return status;
    const size_t fixed = *at;
    if (packet.length - fixed < RECORD_FIXED)
        return refuse_cut_off(packet);
    const uint16_t type = load_u16(packet.wire + fixed);
    const size_t data = fixed + RECORD_FIXED, length = load_u16(packet.wire + fixed + 8);
    if (packet.length - data < length)
        return refuse_data(packet, data + length);
    if (dns_rdata_name_rule(type) != DNS_NAMES_NONE)
        status = check_rdata_names(packet, dns_rdata_type(type, load_u16(packet.wire + fixed + 2)), data, length);
    else if (type == DNS_TYPE_OPT)
        note_opt(opt, section, start, fixed);
    *at = data + length;
    return status;
}

/* OPT's fixed fields are its own (RFC 6891 section 6.1.2). */
static void view_opt(const uint8_t *wire, const struct opt_places *places, struct dns_message *out)
{
    const uint8_t *fixed = wire + places->fixed;
    out->opt.count = places->count;
    out->opt.elsewhere = places->elsewhere;
    if (places->count == 0)
        return;
    out->opt.offset = (uint32_t)places->first;
    out->opt.udp_payload_size = load_u16(fixed + 2);
    out->opt.extended_response_code = fixed[4];
    out->opt.version = fixed[5];
    out->opt.dnssec_ok = fixed[6] >> 7;
    out->opt.options = (struct span){.data = fixed + RECORD_FIXED, .length = load_u16(fixed + 8)};
}

static inline struct dns_question view_question(const uint8_t *wire, size_t name_end)
{
    if (name_end == 0)
        return (struct dns_question){.name = NULL};
    return (struct dns_question){
        .name = wire + DNS_HEADER_SIZE,
        .name_length = (uint8_t)(name_end - DNS_HEADER_SIZE),
        .type = load_u16(wire + name_end),
        .class_ = load_u16(wire + name_end + 2),
    };
}

/* Nothing is written before all is checked. */
enum status dns_message_parse(const uint8_t *wire, size_t length, struct dns_message *out, struct reason *reason)
{
    const struct packet packet = {wire, length, reason};
    struct opt_places opt = {.count = 0};
    uint32_t sections[] = {DNS_HEADER_SIZE, 0, 0, 0};
    size_t at = DNS_HEADER_SIZE, name_end = 0;
    enum status status;

    if (length < DNS_HEADER_SIZE || length > DNS_MESSAGE_MAX)
        return refuse_length(length, reason);
    for (unsigned i = 0, count = load_u16(wire + 4); i < count; i++)
        if ((status = check_question(packet, &at, &name_end)) != STATUS_OK)
            return refuse(packet, DNS_SECTION_QUESTION, i, status);
    for (enum dns_section section = DNS_SECTION_ANSWER; section <= DNS_SECTION_ADDITIONAL; section++) {
        sections[section] = (uint32_t)at;
        for (unsigned i = 0, count = load_u16(wire + 4 + 2 * section); i < count; i++)
            if ((status = check_record(packet, &at, section, name_end > 0, &opt)) != STATUS_OK)
                return refuse(packet, section, i, status);
    }
    if (at < length)
        return refuse_rest(packet, at);
    out->wire = wire;
    out->length = length;
    dns_header_take(wire, &out->header);
    memcpy(out->section, sections, sizeof sections);
    out->section[4] = (uint32_t)length;
    out->question = view_question(wire, name_end);
    memset(&out->opt, 0, sizeof out->opt);
    if (opt.count + opt.elsewhere > 0)
        view_opt(wire, &opt, out);
    return STATUS_OK;
}

uint16_t dns_message_response_code(const struct dns_message *message)
{
    return (uint16_t)(message->opt.extended_response_code << 4 | (message->header.flags & DNS_FLAG_RCODE));
}
