/* Walking the records of a checked message. */
#include "dns/message.h"

#include "dns/rdata.h"

void dns_reader_start(struct dns_reader *reader, const struct dns_message *message, enum dns_section section,
                      struct buffer *expanded)
{
    reader->message = message;
    reader->cursor =
        (struct cursor){.data = message->wire, .length = message->length, .offset = message->section[section]};
    reader->left = message->header.counts[section];
    reader->expanded = expanded;
}

void dns_reader_start_questions(struct dns_reader *reader, const struct dns_message *message)
{
    dns_reader_start(reader, message, DNS_SECTION_QUESTION, NULL);
}

/* Reads the name at the cursor: borrowed from the wire where it stands there in one piece, perhaps behind pointers,
 * else put together in the reader. */
static enum status read_name(struct dns_reader *reader, const uint8_t **name, uint8_t *name_length)
{
    struct cursor *cursor = &reader->cursor;
    const uint8_t *wire = cursor->data;
    size_t at = cursor->offset, behind = 0;
    while (cursor->length - at >= 2 && wire[at] >= 0xc0) {
        const size_t target = load_u16(wire + at) & 0x3fffu;
        if (target >= at)
            return STATUS_MALFORMED;
        if (behind == 0)
            behind = at + 2;
        at = target;
    }
    size_t n;
    if (at == DNS_HEADER_SIZE && reader->message->question.name)
        n = reader->message->question.name_length;
    else
        n = dns_name_wire_length(wire + at, cursor->length - at);
    if (n > 0) {
        *name = wire + at;
        *name_length = (uint8_t)n;
        cursor->offset = behind ? behind : at + n;
        return STATUS_OK;
    }
    const enum status status = dns_name_read(cursor, &reader->name, NULL);
    if (status == STATUS_OK) {
        *name = reader->name.wire;
        *name_length = reader->name.length;
    }
    return status;
}

enum status dns_reader_next_question(struct dns_reader *reader, struct dns_question *out)
{
    struct dns_question question;
    if (reader->left == 0)
        return STATUS_NOT_FOUND;
    const enum status status = read_name(reader, &question.name, &question.name_length);
    if (status != STATUS_OK)
        return status;
    const uint8_t *fixed = cursor_take(&reader->cursor, 4);
    if (!fixed)
        return STATUS_MALFORMED;
    question.type = load_u16(fixed);
    question.class_ = load_u16(fixed + 2);
    reader->left--;
    *out = question;
    return STATUS_OK;
}

/* Whether there may be a pointer in data whose names have been checked: only then is there anything to expand. */
static bool may_hold_pointer(const uint8_t *data, size_t length)
{
    uint8_t highest = 0;
    for (size_t i = 0; i < length; i++)
        highest = data[i] > highest ? data[i] : highest;
    return highest >= 0xc0;
}

static enum status expand(struct dns_reader *reader, struct dns_record *record)
{
    struct cursor at = reader->cursor;
    at.offset -= record->data_length;
    buffer_clear(reader->expanded);
    const enum status status = dns_rdata_expand(dns_rdata_type(record->type, record->class_), &at, record->data_length,
                                                reader->expanded, NULL);
    if (status != STATUS_OK)
        return status;
    record->data = reader->expanded->data;
    record->data_length = (uint16_t)reader->expanded->length;
    return STATUS_OK;
}

enum status dns_reader_next(struct dns_reader *reader, struct dns_record *out)
{
    struct dns_record record;
    if (reader->left == 0)
        return STATUS_NOT_FOUND;
    enum status status = read_name(reader, &record.name, &record.name_length);
    if (status != STATUS_OK)
        return status;
    const uint8_t *fixed = cursor_take(&reader->cursor, 10);
    if (!fixed)
        return STATUS_MALFORMED;
    record.type = load_u16(fixed);
    record.class_ = load_u16(fixed + 2);
    record.ttl = load_u32(fixed + 4);
    record.data_length = load_u16(fixed + 8);
    record.data = cursor_take(&reader->cursor, record.data_length);
    if (!record.data)
        return STATUS_MALFORMED;
    if (dns_rdata_name_rule(record.type) != DNS_NAMES_NONE && may_hold_pointer(record.data, record.data_length)) {
        status = expand(reader, &record);
        if (status != STATUS_OK)
            return status;
    }
    reader->left--;
    *out = record;
    return STATUS_OK;
}

/* --- comparing --- */

static enum status questions_equal(const struct dns_message *a, const struct dns_message *b, bool *out)
{
    struct dns_reader left, right;
    bool equal = true;
    dns_reader_start_questions(&left, a);
    dns_reader_start_questions(&right, b);
    while (equal && left.left > 0) {
        struct dns_question x, y;
        enum status status = dns_reader_next_question(&left, &x);
        if (status == STATUS_OK)
            status = dns_reader_next_question(&right, &y);
        if (status != STATUS_OK)
            return status;
        equal = dns_question_equal(&x, &y);
    }
    *out = equal;
    return STATUS_OK;
}

static enum status records_equal(const struct dns_message *a, const struct dns_message *b, enum dns_section section,
                                 struct buffer expanded[static 2], bool *out)
{
    struct dns_reader left, right;
    bool equal = true;
    dns_reader_start(&left, a, section, &expanded[0]);
    dns_reader_start(&right, b, section, &expanded[1]);
    while (equal && left.left > 0) {
        struct dns_record x, y;
        enum status status = dns_reader_next(&left, &x);
        if (status == STATUS_OK)
            status = dns_reader_next(&right, &y);
        if (status != STATUS_OK)
            return status;
        equal = dns_record_equal(&x, &y);
    }
    *out = equal;
    return STATUS_OK;
}

enum status dns_message_equal(const struct dns_message *a, const struct dns_message *b, bool *out)
{
    struct buffer expanded[2] = {0};
    bool equal = a->header.id == b->header.id && a->header.flags == b->header.flags &&
                 memcmp(a->header.counts, b->header.counts, sizeof a->header.counts) == 0;
    enum status status = STATUS_OK;
    if (equal)
        status = questions_equal(a, b, &equal);
    for (enum dns_section section = DNS_SECTION_ANSWER;
         status == STATUS_OK && equal && section <= DNS_SECTION_ADDITIONAL; section++)
        status = records_equal(a, b, section, expanded, &equal);
    buffer_free(&expanded[0]);
    buffer_free(&expanded[1]);
    if (status == STATUS_OK)
        *out = equal;
    return status;
}
