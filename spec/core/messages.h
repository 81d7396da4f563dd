/* Making messages for the units, and looking into them. */
#ifndef MOONDNS_SPEC_MESSAGES_H
#define MOONDNS_SPEC_MESSAGES_H

#include "dns/message.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

/* A message of one question and one answer to it; other counts and bytes follow behind. */
#define HEADER(flags, qd, an, ns, ar) "\x12\x34" flags "\0" qd "\0" an "\0" ns "\0" ar
#define QUESTION "\1a\7example\0\0\1\0\1"
#define ANSWER "\xc0\x0c\0\1\0\1\0\0\1\x2c\0\4\300\0\2\1"
#define BYTES(text) text, sizeof text - 1

static inline struct dns_name name_of(const char *text)
{
    struct dns_name name;
    struct reason reason = {"no reason"};
    if (dns_name_from_text(text, strlen(text), &name, &reason) != STATUS_OK)
        fail_msg("%s", reason.text);
    return name;
}

static inline void check_parse(const struct buffer *wire, struct dns_message *out)
{
    struct reason reason = {"no reason"};
    if (dns_message_parse(wire->data, wire->length, out, &reason) != STATUS_OK)
        fail_msg("%s", reason.text);
}

static inline void add_question(struct dns_packer *packer, const char *text)
{
    const struct dns_name name = name_of(text);
    assert_int_equal(dns_packer_question(packer, &(struct dns_question){.name = name.wire,
                                                                        .name_length = name.length,
                                                                        .type = DNS_TYPE_A,
                                                                        .class_ = DNS_CLASS_IN}),
                     STATUS_OK);
}

static inline enum status add(struct dns_packer *packer, enum dns_section section, const char *owner, uint16_t type,
                              const void *data, size_t length)
{
    const struct dns_name name = name_of(owner);
    return dns_packer_record(packer, section,
                             &(struct dns_record){.name = name.wire,
                                                  .name_length = name.length,
                                                  .type = type,
                                                  .class_ = DNS_CLASS_IN,
                                                  .ttl = 300,
                                                  .data = data,
                                                  .data_length = (uint16_t)length});
}

static inline void add_address(struct dns_packer *packer, enum dns_section section, const char *owner)
{
    assert_int_equal(add(packer, section, owner, DNS_TYPE_A, "\300\0\2\1", 4), STATUS_OK);
}

static inline void start(struct dns_packer *packer, struct buffer *out, size_t limit)
{
    dns_packer_start(packer, out, &(struct dns_header){.id = 0x1234, .flags = DNS_FLAG_QR | DNS_FLAG_RD}, limit);
}

/* The nth record of a section, counted from 0; its owner as text, and a copy of its data. */
static inline size_t record_at(const struct buffer *wire, enum dns_section section, unsigned n,
                               char owner[static DNS_NAME_TEXT_MAX], uint8_t *data)
{
    struct dns_message message;
    struct dns_reader reader;
    struct dns_record record;
    struct buffer expanded = {0};
    check_parse(wire, &message);
    dns_reader_start(&reader, &message, section, &expanded);
    do
        assert_int_equal(dns_reader_next(&reader, &record), STATUS_OK);
    while (n-- > 0);
    dns_name_to_text(record.name, DNS_NAME_PLAIN, owner);
    memcpy(data, record.data, record.data_length);
    buffer_free(&expanded);
    return record.data_length;
}

#endif
