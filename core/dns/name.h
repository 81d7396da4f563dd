/* Domain names. On the wire a name is its labels, each behind its length, ended by the root's zero byte (RFC 1035
 * section 3.1): at most 255 bytes, at most 63 in a label. The case that came or was given is kept; comparing ignores it
 * (RFC 4343). */
#ifndef MOONDNS_DNS_NAME_H
#define MOONDNS_DNS_NAME_H

#include "base/bytes.h"
#include "base/status.h"

enum {
    DNS_NAME_MAX = 255,
    DNS_LABEL_MAX = 63,
    DNS_NAME_TEXT_MAX = 1024, /* room for any name's text: every byte escaped, a final dot and NUL */
};

/* A name by value, uncompressed. */
struct dns_name {
    uint8_t length; /* bytes of `wire` in use, the root's included: at least 1 */
    uint8_t wire[DNS_NAME_MAX];
};

/* Reads a name that may be compressed (RFC 1035 section 4.1.4). `cursor` stands over the whole message at the name and
 * moves behind it. Pointers must point backwards, into the message's body (offset 12 and up), and at what ends before
 * the name itself begins; the work is bounded by the name's 255 bytes and 127 pointers. On failure the reason says
 * "name at offset N …" and the cursor has failed. */
MUST_CHECK enum status dns_name_read(struct cursor *cursor, struct dns_name *out, struct reason *reason);

/* The same without keeping the name: only checks it, all pointers included. */
MUST_CHECK enum status dns_name_skip(struct cursor *cursor, struct reason *reason);

/* The end of a name at `at` that is nothing but plain labels, as most are; 0 for all others, and for what is wrong:
 * dns_name_skip tells. */
static inline size_t dns_name_plain_end(const uint8_t *data, size_t length, size_t at)
{
    const size_t start = at;
    while (at < length) {
        const unsigned label = data[at++];
        if (label - 1 >= DNS_LABEL_MAX) /* it is none, but perhaps the root */
            return label == 0 && at - start <= DNS_NAME_MAX ? at : 0;
        at += label;
    }
    return 0;
}

/* The length of the uncompressed name at the start of `wire`; 0 when there is none that is whole and right. */
size_t dns_name_wire_length(const uint8_t *wire, size_t length);

/* Takes text with or without the final dot; "." and "" are the root. `\.` and `\032` as in RFC 1035 section 5.1. A byte
 * that is not a plain name character (printable ASCII except space and . \ " ( ) ; @ $) must be escaped. UTF-8 is
 * turned into A-labels (IDNA 2008, UTS 46 non-transitional). The reason says what is wrong. */
MUST_CHECK enum status dns_name_from_text(const char *text, size_t length, struct dns_name *out, struct reason *reason);

enum dns_name_style {
    DNS_NAME_PLAIN = 0,     /* as it came, without the final dot; the root is "." */
    DNS_NAME_LOWER = 1,     /* ASCII letters in lower case */
    DNS_NAME_FINAL_DOT = 2, /* with the final dot, as in a zone file */
};

/* The text of an uncompressed name, which must be whole (dns_name_wire_length); ends with NUL. Gives the text's length.
 */
size_t dns_name_to_text(const uint8_t *wire, unsigned style, char out[static DNS_NAME_TEXT_MAX]);

/* Both uncompressed and whole. */
bool dns_name_equal(const uint8_t *a, const uint8_t *b);

/* Whether `name` equals `parent` or lies below it. */
bool dns_name_is_subdomain(const uint8_t *name, const uint8_t *parent);

/* Lower case of one ASCII byte; others stay. */
static inline uint8_t dns_lower(uint8_t byte)
{
    return byte >= 'A' && byte <= 'Z' ? (uint8_t)(byte + 32) : byte;
}

#endif
