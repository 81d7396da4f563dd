/* EDNS options by field (RFC 6891 section 6.1.2). One table (rdata/options.def) has every option's code and layout. */
#ifndef MOONDNS_DNS_EDNS_H
#define MOONDNS_DNS_EDNS_H

#include "dns/rdata.h"

/* What an option with a layout is called in values: "client_subnet"; NULL for one without. Static storage. */
const char *dns_option_key(uint16_t code);

/* The code of such a key; STATUS_NOT_FOUND for others. */
MUST_CHECK enum status dns_option_from_key(const char *key, uint16_t *out);

/* The data as a map of its fields (no fields where the option may be empty, and is). STATUS_MALFORMED when it does not
 * fit the layout, STATUS_NOT_FOUND when there is none. */
MUST_CHECK enum status dns_option_to_value(uint16_t code, const uint8_t *data, size_t length, struct arena *arena,
                                           struct dns_value **out);

/* Appends the data for such a map. The reason starts with the field: "info_code: integer … expected, got 'x'". */
MUST_CHECK enum status dns_option_from_value(uint16_t code, const struct dns_value *map, struct buffer *out,
                                             struct reason *reason);

/* Appends a whole option, code and length too, for an entry of a list: {code, data}, its fields behind its key, or all
 * of them. Where data and fields are given and differ, the one counts that `had` (the options that are there now, may
 * be empty) does not hold; STATUS_INVALID when that does not tell. */
MUST_CHECK enum status dns_option_from_entry(const struct dns_value *entry, struct span had, struct buffer *out,
                                             struct reason *reason);

#endif
