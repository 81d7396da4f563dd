/* Checking a message once, so that all that comes after may rely on it. */
#include "dns/message.h"

#include "dns/rdata.h"

enum {
    QUESTION_NAME = 0xc000 | DNS_HEADER_SIZE, /* the pointer to the question's name: most owners are nothing else */
    RECORD_FIXED = 10,                        /* type, class, TTL, data length */
};

void dns_header_write(uint8_t *wire, const struct dns_header *header)
{
    store_u16(wire, header->id);
    store_u16(wire + 2, header->flags);
    for (size_t i = 0; i < 4; i++)
        store_u16(wire + 4 + 2 * i, header->counts[i]);
}

static enum status check_question(struct dns_message *message, struct cursor *cursor, struct reason *reason)
{
    const size_t start = cursor->offset;
    if (start == cursor->length) {
        reason_set(reason, "missing, the message ends at %zu", start);
        return STATUS_MALFORMED;
    }
    const enum status status = dns_name_skip(cursor, reason);
    if (status != STATUS_OK)
        return status;
    const size_t end = cursor->offset;
    const uint8_t *fixed = cursor_take(cursor, 4);
    if (!fixed) {
        reason_set(reason, "cut off by the message's end at %zu", cursor->length);
        return STATUS_MALFORMED;
    }
    if (start == DNS_HEADER_SIZE)
        message->question = (struct dns_question){
            .name = cursor->data + start,
            .name_length = (uint8_t)(end - start),
            .type = load_u16(fixed),
            .class_ = load_u16(fixed + 2),
        };
    return STATUS_OK;
}

/* OPT's fixed fields are its own (RFC 6891 section 6.1.2); of several the first is kept, and all are counted. */
static void note_opt(struct dns_message *message, size_t start, const uint8_t *fixed, size_t length)
{
    if (message->opt.count++ > 0)
        return;
    message->opt.offset = (uint32_t)start;
    message->opt.udp_payload_size = load_u16(fixed + 2);
    message->opt.extended_response_code = fixed[4];
    message->opt.version = fixed[5];
    message->opt.dnssec_ok = fixed[6] >> 7;
    message->opt.options = (struct span){.data = fixed + RECORD_FIXED, .length = length};
}

static enum status check_record(struct dns_message *message, struct cursor *cursor, enum dns_section section,
                                struct reason *reason)
{
    const size_t start = cursor->offset, left = cursor->length - start;
    if (left == 0) {
        reason_set(reason, "missing, the message ends at %zu", start);
        return STATUS_MALFORMED;
    }
    if (left > 2 && load_u16(cursor->data + start) == QUESTION_NAME && message->question.name) {
        cursor->offset += 2;
    } else {
        const enum status status = dns_name_skip(cursor, reason);
        if (status != STATUS_OK)
            return status;
    }
    const uint8_t *fixed = cursor_take(cursor, RECORD_FIXED);
    if (!fixed) {
        reason_set(reason, "cut off by the message's end at %zu", cursor->length);
        return STATUS_MALFORMED;
    }
    const uint16_t type = load_u16(fixed);
    const size_t length = load_u16(fixed + 8);
    if (cursor_left(cursor) < length) {
        reason_set(reason, "record data ends at %zu, behind the message's %zu bytes", cursor->offset + length,
                   cursor->length);
        return STATUS_MALFORMED;
    }
    if (dns_rdata_name_rule(type) != DNS_NAMES_NONE) {
        const enum status status = dns_rdata_check_names(type, cursor, length, reason);
        if (status != STATUS_OK)
            return status;
    } else if (type == DNS_TYPE_OPT && section == DNS_SECTION_ADDITIONAL) {
        note_opt(message, start, fixed, length);
    } else if (type == DNS_TYPE_OPT) {
        message->opt.elsewhere++;
    }
    cursor->offset += length;
    return STATUS_OK;
}

enum status dns_message_parse(const uint8_t *wire, size_t length, struct dns_message *out, struct reason *reason)
{
    static const char *const names[] = {"question", "answer", "authority", "additional"};
    struct dns_message message = {.wire = wire, .length = length};
    struct cursor cursor = {.data = wire, .length = length, .offset = DNS_HEADER_SIZE};

    if (dns_header_read(wire, length, &message.header) != STATUS_OK) {
        reason_set(reason, "%zu bytes are too few for a message", length);
        return STATUS_MALFORMED;
    }
    if (length > DNS_MESSAGE_MAX) {
        reason_set(reason, "%zu bytes are too many for a message", length);
        return STATUS_MALFORMED;
    }
    for (enum dns_section section = DNS_SECTION_QUESTION; section <= DNS_SECTION_ADDITIONAL; section++) {
        message.section[section] = (uint32_t)cursor.offset;
        for (unsigned i = 0; i < message.header.counts[section]; i++) {
            const enum status status = section == DNS_SECTION_QUESTION
                                           ? check_question(&message, &cursor, reason)
                                           : check_record(&message, &cursor, section, reason);
            if (status != STATUS_OK) {
                reason_prefix(reason, "%s #%u: ", names[section], i + 1);
                return status;
            }
        }
    }
    message.section[4] = (uint32_t)cursor.offset;
    if (cursor.offset < length) {
        const size_t over = length - cursor.offset;
        reason_set(reason, "%zu byte%s left over behind the last record", over, over == 1 ? "" : "s");
        return STATUS_MALFORMED;
    }
    *out = message;
    return STATUS_OK;
}

uint16_t dns_message_response_code(const struct dns_message *message)
{
    return (uint16_t)(message->opt.extended_response_code << 4 | (message->header.flags & DNS_FLAG_RCODE));
}
