/* What the fuzz targets of messages have in common. */
#ifndef MOONDNS_FUZZ_MESSAGES_H
#define MOONDNS_FUZZ_MESSAGES_H

#include "dns/message.h"

#include <stdio.h>
#include <stdlib.h>

/* Fails the run where something that must hold does not. */
#define MUST(condition)                                                     \
    do {                                                                    \
        if (!(condition)) {                                                 \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition); \
            abort();                                                        \
        }                                                                   \
    } while (0)

/* Bytes of an input that is a program: so many, or those that are left. */
static inline struct span input_take(struct cursor *input, size_t length)
{
    const size_t left = cursor_left(input);
    length = length < left ? length : left;
    return (struct span){cursor_take(input, length), length};
}

/* Packs a checked message anew; only lack of space is an excuse. */
static inline enum status pack(const struct dns_message *message, struct buffer *out)
{
    struct dns_packer packer;
    struct dns_reader reader;
    struct dns_question question;
    struct dns_record record;
    struct buffer expanded = {0};
    enum status status = STATUS_OK;
    dns_packer_start(&packer, out, &message->header, DNS_MESSAGE_MAX);
    dns_reader_start_questions(&reader, message);
    while (status == STATUS_OK && dns_reader_next_question(&reader, &question) == STATUS_OK)
        status = dns_packer_question(&packer, &question);
    for (enum dns_section section = DNS_SECTION_ANSWER; section <= DNS_SECTION_ADDITIONAL; section++) {
        dns_reader_start(&reader, message, section, &expanded);
        while (status == STATUS_OK && dns_reader_next(&reader, &record) == STATUS_OK)
            status = dns_packer_record(&packer, section, &record);
    }
    MUST(status == STATUS_OK || status == STATUS_NO_SPACE);
    MUST(dns_packer_finish(&packer) == STATUS_OK);
    buffer_free(&expanded);
    return status;
}

#endif
