/* Any bytes: either a reason why they are no message, or a message of which every record can be read. */
#include "messages.h"
#include "net/rebind.h"

#include <ctype.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static size_t sum; /* keeps the bytes' reading from being optimised away */

static void touch(const uint8_t *at, size_t length)
{
    for (size_t i = 0; i < length; i++)
        sum += at[i];
}

/* The look at answers' addresses takes whatever records there are. */
static void look_for_addresses(const struct dns_message *message)
{
    struct rebind *rebind;
    struct address found = {.family = AF_UNSPEC};
    const struct dns_question *question = message->header.counts[DNS_SECTION_QUESTION] ? &message->question : NULL;
    MUST(rebind_new(NULL, 0, &rebind) == STATUS_OK);
    MUST(rebind_finds(rebind, question, message, &found) == (found.family != AF_UNSPEC));
    rebind_free(rebind);
}

static void walk(const struct dns_message *message)
{
    struct dns_reader reader;
    struct dns_question question;
    struct dns_record record;
    struct buffer expanded = {0};
    unsigned seen = 0;
    dns_reader_start_questions(&reader, message);
    for (; dns_reader_next_question(&reader, &question) == STATUS_OK; seen++) {
        MUST(dns_name_wire_length(question.name, question.name_length) == question.name_length);
        if (seen == 0)
            MUST(dns_question_equal(&question, &message->question));
    }
    MUST(seen == message->header.counts[DNS_SECTION_QUESTION]);
    for (enum dns_section section = DNS_SECTION_ANSWER; section <= DNS_SECTION_ADDITIONAL; section++) {
        seen = 0;
        dns_reader_start(&reader, message, section, &expanded);
        for (; dns_reader_next(&reader, &record) == STATUS_OK; seen++) {
            MUST(dns_name_wire_length(record.name, record.name_length) == record.name_length);
            touch(record.data, record.data_length);
        }
        MUST(seen == message->header.counts[section]);
        MUST(reader.cursor.offset == message->section[section + 1]);
    }
    touch(message->opt.options.data, message->opt.options.length);
    buffer_free(&expanded);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct dns_message message;
    struct reason reason = {""};
    struct buffer out = {0};
    const enum status status = dns_message_parse(data, size, &message, &reason);
    if (status == STATUS_OK) {
        walk(&message);
        look_for_addresses(&message);
    } else {
        MUST(status == STATUS_MALFORMED);
        MUST(reason.text[0] != '\0');
        for (const char *c = reason.text; *c; c++)
            MUST(isprint((unsigned char)*c));
    }
    if (dns_message_make_formerr(data, size, &out) == STATUS_OK)
        MUST(dns_message_parse(out.data, out.length, &message, NULL) == STATUS_OK);
    buffer_free(&out);
    return 0;
}
