/* Service parameters in the data of SVCB and HTTPS records (RFC 9460 section 2.2), one by one. */
#ifndef MOONDNS_LUA_SVCB_H
#define MOONDNS_LUA_SVCB_H

#include "base/bytes.h"

enum { SVCB_MANDATORY = 0, SVCB_ALPN = 1, SVCB_ECH = 5 };

/* Data taken apart; borrows it. */
struct svcb {
    uint16_t priority;
    struct span target; /* the name, uncompressed */
    struct span params; /* keys, lengths and values, in strictly increasing order of key */
};

/* False when the data does not fit. */
bool svcb_read(const uint8_t *data, size_t length, struct svcb *out);

/* The next parameter at the start of `params`, which is moved behind it; false at the end. */
bool svcb_next(struct span *params, uint16_t *key, struct span *value);

/* The value of a parameter; false when there is none. */
bool svcb_find(const struct svcb *svcb, uint16_t key, struct span *out);

/* Appends the data with the parameter set to `value`, or without it when `value` is NULL. */
void svcb_write_with(const struct svcb *svcb, uint16_t key, const struct span *value, struct buffer *out);

#endif
