/* Service parameters (RFC 9460). Private to the codec. */
#ifndef MOONDNS_DNS_RDATA_SVCB_H
#define MOONDNS_DNS_RDATA_SVCB_H

#include "dns/rdata/layout.h"

enum {
    SVC_MANDATORY = 0,
    SVC_ALPN = 1,
    SVC_NO_DEFAULT_ALPN = 2,
    SVC_PORT = 3,
    SVC_IPV4HINT = 4,
    SVC_ECH = 5,
    SVC_IPV6HINT = 6,
    SVC_DOHPATH = 7,
    SVC_OHTTP = 8,
    SVC_TLS_SUPPORTED_GROUPS = 9,
    SVC_DOCPATH = 10,
    SVC_INVALID = 65535, /* RFC 9460 section 14.3.2 */
};

/* What a key's value looks like: svc_value.c. */
struct svc_format {
    const char *expected;
    const struct dns_kind *item; /* of numbers, addresses and lists of them */
    bool flag;                   /* the value is empty, being there is what it says */
    bool increasing;             /* a list's items must be, on the wire (RFC 9460 section 8) */

    bool (*check)(const struct svc_format *format, struct span value);
    /* Appends "=…" or nothing. */
    void (*print)(const struct svc_format *format, struct span value, struct buffer *out);
    /* Append the value: from text whose escapes are undone, from a typed value. */
    enum status (*read)(const struct svc_format *format, struct span text, struct buffer *out);
    enum status (*encode)(const struct svc_format *format, const struct dns_value *value, struct buffer *out);
    struct dns_value *(*decode)(const struct svc_format *format, struct span value, struct arena *arena);
};

/* The format of a key's value; of a key that nobody registered, plain bytes. */
const struct svc_format *svc_format(uint16_t key);

/* The key that a word names: one that is registered, or "key" and its number without zeros in front (RFC 9460 section
 * 2.1). */
MUST_CHECK enum status svc_key_from_text(const char *text, size_t length, uint16_t *out);

/* Whether the key says all by being there: its typed value is true. */
bool svc_is_flag(uint16_t key);

/* The parameters that a wire form holds, in order; false at the end or where it is broken (then the cursor has failed).
 */
bool svc_next(struct cursor *cursor, uint16_t *key, struct span *value);

#endif
