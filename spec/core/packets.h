/* For specs: packets built in a line each, also ones that no packer would make. Names are given as text; what is
 * returned is owned by the caller (buffer_free). */
#ifndef MOONDNS_SPEC_PACKETS_H
#define MOONDNS_SPEC_PACKETS_H

#include "dns/message.h"

#include <stdio.h>
#include <stdlib.h>

/* For what cannot fail in a spec. */
static inline void must(enum status status)
{
    if (status) {
        fprintf(stderr, "unexpected status %d\n", (int)status);
        abort();
    }
}

static inline struct dns_name name_of(const char *text)
{
    struct dns_name name;
    must(dns_name_from_text(text, strlen(text), &name, NULL));
    return name;
}

/* A message with one question (none when `name` is NULL). */
static inline struct buffer message_of(uint16_t id, uint16_t flags, const char *name, uint16_t type)
{
    struct buffer wire = {0};
    struct dns_packer packer;
    struct dns_header header = {.id = id, .flags = flags};
    dns_packer_start(&packer, &wire, &header, DNS_MESSAGE_MAX);
    if (name) {
        struct dns_name owner = name_of(name);
        struct dns_question question = {owner.wire, owner.length, type, DNS_CLASS_IN};
        must(dns_packer_question(&packer, &question));
    }
    must(dns_packer_finish(&packer));
    return wire;
}

/* Puts a record at the end of the message, uncompressed, and counts it in its section. */
static inline void add_record(struct buffer *wire, enum dns_section section, const char *name, uint16_t type,
                              const void *data, uint16_t length)
{
    struct dns_name owner = name_of(name);
    buffer_append(wire, owner.wire, owner.length);
    buffer_u16(wire, type);
    buffer_u16(wire, DNS_CLASS_IN);
    buffer_u32(wire, 300);
    buffer_u16(wire, length);
    buffer_append(wire, data, length);
    uint8_t *count = wire->data + 4 + 2 * section;
    store_u16(count, (uint16_t)(load_u16(count) + 1));
}

/* 192.0.2.last as an answer. */
static inline void add_a(struct buffer *wire, const char *name, uint8_t last)
{
    add_record(wire, DNS_SECTION_ANSWER, name, DNS_TYPE_A, (uint8_t[]){192, 0, 2, last}, 4);
}

/* OPT with its flags: extended response code, version, DO; and options as they go on the wire. */
static inline void add_opt(struct buffer *wire, uint16_t size, uint32_t flags, const void *options, uint16_t length)
{
    buffer_u8(wire, 0);
    buffer_u16(wire, DNS_TYPE_OPT);
    buffer_u16(wire, size);
    buffer_u32(wire, flags);
    buffer_u16(wire, length);
    buffer_append(wire, options, length);
    store_u16(wire->data + 10, (uint16_t)(load_u16(wire->data + 10) + 1));
}

#endif
