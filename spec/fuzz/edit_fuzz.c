/* Edits of a message's wire (its first two bytes say how far it is cut) leave a message, and lose nothing but what they
 * are to take out. */
#include "messages.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const uint16_t own_options[] = {11, 12};

static void parse(const struct buffer *wire, struct dns_message *out)
{
    MUST(dns_message_parse(wire->data, wire->length, out, NULL) == STATUS_OK);
}

/* Whether the records of `part` are the first ones of `whole`, in each section; OPT does not count. */
static void must_be_part(const struct dns_message *part, const struct dns_message *whole)
{
    struct dns_reader left, right;
    struct dns_record a, b;
    struct buffer expanded[2] = {0};
    for (enum dns_section section = DNS_SECTION_ANSWER; section <= DNS_SECTION_ADDITIONAL; section++) {
        dns_reader_start(&left, part, section, &expanded[0]);
        dns_reader_start(&right, whole, section, &expanded[1]);
        while (dns_reader_next(&left, &a) == STATUS_OK) {
            if (section == DNS_SECTION_ADDITIONAL && a.type == DNS_TYPE_OPT)
                continue;
            do
                MUST(dns_reader_next(&right, &b) == STATUS_OK);
            while (section == DNS_SECTION_ADDITIONAL && b.type == DNS_TYPE_OPT);
            MUST(dns_record_equal(&a, &b));
        }
    }
    buffer_free(&expanded[0]);
    buffer_free(&expanded[1]);
}

static unsigned additionals_without_opt(const struct dns_message *message)
{
    return message->header.counts[DNS_SECTION_ADDITIONAL] - message->opt.count;
}

static void cut(const struct dns_message *whole, size_t limit)
{
    struct buffer wire = {0};
    struct dns_message part;
    buffer_append(&wire, whole->wire, whole->length);
    const enum status status = dns_message_truncate(&wire, limit);
    MUST(status == (whole->length > limit && limit < DNS_HEADER_SIZE ? STATUS_NO_SPACE : STATUS_OK));
    if (status == STATUS_OK) {
        MUST(wire.length <= limit);
        parse(&wire, &part);
        must_be_part(&part, whole);
        MUST(whole->length <= limit || part.header.flags & DNS_FLAG_TC);
        MUST(limit < whole->section[DNS_SECTION_ANSWER] + 11 || (part.opt.count > 0) == (whole->opt.count > 0));
    }
    buffer_free(&wire);
}

static void edit_opt(const struct dns_message *whole)
{
    struct buffer wire = {0};
    struct dns_message edited;
    buffer_append(&wire, whole->wire, whole->length);
    enum status status = dns_message_remove_options(&wire, own_options, 2);
    MUST(status == STATUS_OK || status == STATUS_NO_SPACE);
    parse(&wire, &edited);
    MUST(edited.opt.count == whole->opt.count);
    must_be_part(&edited, whole);
    status = dns_message_remove_opt(&wire);
    MUST(status == STATUS_OK || status == STATUS_NO_SPACE);
    parse(&wire, &edited);
    if (status == STATUS_OK) {
        MUST(edited.opt.count == 0);
        MUST(edited.header.counts[DNS_SECTION_ADDITIONAL] == additionals_without_opt(whole));
        must_be_part(&edited, whole);
    }
    status = dns_message_add_opt(&wire, 1232, DNS_RCODE_BADVERS, true);
    MUST(status == STATUS_OK || status == STATUS_NO_SPACE);
    parse(&wire, &edited);
    MUST(status != STATUS_OK || edited.opt.count > 0);
    buffer_free(&wire);
}

static void answer(const struct dns_message *query)
{
    struct buffer wire = {0};
    struct dns_message error;
    const enum status status = dns_message_make_error(query, DNS_RCODE_SERVFAIL, &wire);
    MUST(status == STATUS_OK || status == STATUS_NO_SPACE);
    if (status == STATUS_OK) {
        parse(&wire, &error);
        MUST(error.header.counts[DNS_SECTION_QUESTION] == query->header.counts[DNS_SECTION_QUESTION]);
        MUST(dns_message_response_code(&error) == DNS_RCODE_SERVFAIL);
    }
    buffer_free(&wire);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct dns_message message;
    if (size < 2 || dns_message_parse(data + 2, size - 2, &message, NULL) != STATUS_OK)
        return 0;
    cut(&message, load_u16(data));
    edit_opt(&message);
    answer(&message);
    return 0;
}
