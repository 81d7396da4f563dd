/* One resource record and one question, as plain data. The bytes belong to whoever made the struct. */
#ifndef MOONDNS_DNS_RECORD_H
#define MOONDNS_DNS_RECORD_H

#include "dns/name.h"

struct dns_question {
    const uint8_t *name; /* uncompressed wire */
    uint8_t name_length;
    uint16_t type, class_;
};

struct dns_record {
    const uint8_t *name; /* the owner, uncompressed wire */
    uint8_t name_length;
    uint16_t type, class_;
    uint32_t ttl;        /* raw as on the wire; see dns_ttl_effective */
    const uint8_t *data; /* the record data, names in it uncompressed */
    uint16_t data_length;
};

enum { DNS_TTL_MAX = 0x7fffffff };

/* A TTL received above 2^31-1 counts as 0 (RFC 2181 section 8); OPT's is no TTL and stays. */
static inline uint32_t dns_ttl_effective(uint16_t type, uint32_t ttl)
{
    return ttl > DNS_TTL_MAX && type != 41 ? 0 : ttl;
}

/* Equal by what goes on the wire: owner names without regard to case, TTLs as they count, data byte for byte. */
bool dns_record_equal(const struct dns_record *a, const struct dns_record *b);
bool dns_question_equal(const struct dns_question *a, const struct dns_question *b);

#endif
