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

/* The bytes that are checked. The functions below move behind what they check: they give its end, or 0 where it is
 * malformed. */
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

static COLD size_t refuse_missing(const struct packet *packet)
{
    reason_set(packet->reason, "missing, the message ends at %zu", packet->length);
    return 0;
}

static COLD size_t refuse_cut_off(const struct packet *packet)
{
    reason_set(packet->reason, "cut off by the message's end at %zu", packet->length);
    return 0;
}

static COLD size_t refuse_data(const struct packet *packet, size_t end)
{
    reason_set(packet->reason, "record data ends at %zu, behind the message's %zu bytes", end, packet->length);
    return 0;
}

static COLD enum status refuse_rest(const struct packet *packet, size_t at)
{
    const size_t over = packet->length - at;
    reason_set(packet->reason, "%zu byte%s left over behind the last record", over, over == 1 ? "" : "s");
    return STATUS_MALFORMED;
}

/* Says which entry of which section it is that was refused. */
static COLD size_t refuse(const struct packet *packet, enum dns_section section, unsigned index)
{
    static const char *const names[] = {"question", "answer", "authority", "additional"};
    reason_prefix(packet->reason, "%s #%u: ", names[section], index + 1);
    return 0;
}

/* A name that is not plain, or not right. */
static NOINLINE size_t check_other_name(const struct packet *packet, size_t at)
{
    struct cursor cursor = {.data = packet->wire, .length = packet->length, .offset = at};
    return dns_name_skip(&cursor, packet->reason) == STATUS_OK ? cursor.offset : 0;
}

static inline size_t check_name(const struct packet *packet, size_t at)
{
    const size_t end = dns_name_plain_end(packet->wire, packet->length, at);
    return end > 0 ? end : check_other_name(packet, at);
}

/* `name_end` is set for the first one. */
static inline size_t check_question(const struct packet *packet, size_t at, size_t *name_end)
{
    if (at == packet->length)
        return refuse_missing(packet);
    const size_t end = check_name(packet, at);
    if (end == 0)
        return 0;
    if (packet->length - end < QUESTION_FIXED)
        return refuse_cut_off(packet);
    if (at == DNS_HEADER_SIZE)
        *name_end = end;
    return end + QUESTION_FIXED;
}

static inline size_t check_questions(const struct packet *packet, unsigned count, size_t *name_end)
{
    size_t at = DNS_HEADER_SIZE;
    for (unsigned i = 0; i < count; i++)
        if ((at = check_question(packet, at, name_end)) == 0)
            return refuse(packet, DNS_SECTION_QUESTION, i);
    return at;
}

/* Names inside the data. */
static NOINLINE bool check_data(const struct packet *packet, uint16_t type, size_t at, size_t length)
{
    const struct cursor cursor = {.data = packet->wire, .length = packet->length, .offset = at};
    const uint16_t class_ = load_u16(packet->wire + at - RECORD_FIXED + 2);
    return dns_rdata_check_names(dns_rdata_type(type, class_), &cursor, length, packet->reason) == STATUS_OK;
}

/* Of several OPT records the first is kept, and all are counted. */
static NOINLINE void note_opt(struct opt_places *opt, enum dns_section section, size_t start, size_t fixed)
{
    if (section != DNS_SECTION_ADDITIONAL) {
        opt->elsewhere++;
    } else if (opt->count++ == 0) {
        opt->first = start;
        opt->fixed = fixed;
    }
}

static inline size_t check_record(const struct packet *packet, size_t at, enum dns_section section, bool asks,
                                  struct opt_places *opt)
{
    const uint8_t *const wire = packet->wire;
    const size_t end = packet->length, left = end - at;
    size_t fixed = at + 2;
    if (left == 0)
        return refuse_missing(packet);
    if ((left <= 2 || load_u16(wire + at) != QUESTION_NAME || !asks) && (fixed = check_name(packet, at)) == 0)
        return 0;
    if (end - fixed < RECORD_FIXED)
        return refuse_cut_off(packet);
    const uint16_t type = load_u16(wire + fixed);
    const size_t data = fixed + RECORD_FIXED, length = load_u16(wire + fixed + 8);
    if (end - data < length)
        return refuse_data(packet, data + length);
    if (type == DNS_TYPE_OPT)
        note_opt(opt, section, at, fixed);
    else if (dns_rdata_name_rule(type) != DNS_NAMES_NONE && !check_data(packet, type, data, length))
        return 0;
    return data + length;
}

static NOINLINE size_t check_records(const struct packet *packet, size_t at, enum dns_section section, bool asks,
                                     struct opt_places *opt)
{
    for (unsigned i = 0, count = load_u16(packet->wire + 4 + 2 * section); i < count; i++)
        if ((at = check_record(packet, at, section, asks, opt)) == 0)
            return refuse(packet, section, i);
    return at;
}

/* Most sections are empty. */
static inline size_t check_section(const struct packet *packet, size_t at, enum dns_section section, bool asks,
                                   struct opt_places *opt)
{
    uint16_t count;
    memcpy(&count, packet->wire + 4 + 2 * section, sizeof count);
    return count && at ? check_records(packet, at, section, asks, opt) : at;
}

/* OPT's fixed fields are its own (RFC 6891 section 6.1.2). */
static NOINLINE void view_opt(const uint8_t *wire, const struct opt_places *places, struct dns_message *out)
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

/* All but OPT. `name_end`: the first question's, 0: there is none. */
static inline void view(const uint8_t *wire, size_t length, size_t name_end, const size_t sections[static 3],
                        struct dns_message *out)
{
    out->wire = wire;
    out->length = length;
    dns_header_take(wire, &out->header);
    out->section[DNS_SECTION_QUESTION] = DNS_HEADER_SIZE;
    out->section[DNS_SECTION_ANSWER] = (uint32_t)sections[0];
    out->section[DNS_SECTION_AUTHORITY] = (uint32_t)sections[1];
    out->section[DNS_SECTION_ADDITIONAL] = (uint32_t)sections[2];
    out->section[4] = (uint32_t)length;
    out->question = name_end == 0 ? (struct dns_question){.name = NULL}
                                  : (struct dns_question){
                                        .name = wire + DNS_HEADER_SIZE,
                                        .name_length = (uint8_t)(name_end - DNS_HEADER_SIZE),
                                        .type = load_u16(wire + name_end),
                                        .class_ = load_u16(wire + name_end + 2),
                                    };
    memset(&out->opt, 0, sizeof out->opt);
}

static NOINLINE enum status parse(const uint8_t *wire, size_t length, struct dns_message *out, struct reason *reason)
{
    const struct packet packet = {wire, length, reason};
    struct opt_places opt = {.count = 0};
    size_t name_end = 0, sections[3];

    if (length < DNS_HEADER_SIZE || length > DNS_MESSAGE_MAX)
        return refuse_length(length, reason);
    sections[0] = check_questions(&packet, load_u16(wire + 4), &name_end);
    sections[1] = check_section(&packet, sections[0], DNS_SECTION_ANSWER, name_end > 0, &opt);
    sections[2] = check_section(&packet, sections[1], DNS_SECTION_AUTHORITY, name_end > 0, &opt);
    const size_t end = check_section(&packet, sections[2], DNS_SECTION_ADDITIONAL, name_end > 0, &opt);
    if (end == 0)
        return STATUS_MALFORMED;
    if (end < length)
        return refuse_rest(&packet, end);
    view(wire, length, name_end, sections, out);
    if (opt.count + opt.elsewhere > 0)
        view_opt(wire, &opt, out);
    return STATUS_OK;
}

/* The end of the name, where the message is one question with a plain name, as many queries are; 0: it is not, or not
 * right. */
static inline size_t find_only_name(const uint8_t *wire, size_t length)
{
    static const uint8_t counts[8] = {0, 1};
    if (length < DNS_HEADER_SIZE || memcmp(wire + 4, counts, sizeof counts) != 0)
        return 0;
    const size_t end = dns_name_plain_end(wire, length, DNS_HEADER_SIZE);
    return end > 0 && length - end == QUESTION_FIXED ? end : 0;
}

/* Nothing is written before all is checked. */
enum status dns_message_parse(const uint8_t *wire, size_t length, struct dns_message *out, struct reason *reason)
{
    const size_t name_end = find_only_name(wire, length);
    if (name_end == 0)
        return parse(wire, length, out, reason);
    view(wire, length, name_end, (size_t[3]){length, length, length}, out);
    return STATUS_OK;
}

uint16_t dns_message_response_code(const struct dns_message *message)
{
    return (uint16_t)(message->opt.extended_response_code << 4 | (message->header.flags & DNS_FLAG_RCODE));
}

bool dns_message_has_whole_options(const struct dns_message *message)
{
    struct cursor cursor = cursor_over(message->opt.options.data, message->opt.options.length);
    while (cursor_left(&cursor)) {
        const uint16_t code = cursor_u16(&cursor), length = cursor_u16(&cursor);
        (void)code;
        if (!cursor_take(&cursor, length))
            return false;
    }
    return true;
}
