/* The zone file's form of records (RFC 1035 section 5, RFC 3597 section 5, RFC 9460 section 2.1). */
#ifndef MOONDNS_DNS_TEXT_H
#define MOONDNS_DNS_TEXT_H

#include "dns/rdata.h"
#include "dns/scanner.h"

enum { DNS_DEFAULT_TTL = 60 };

/* Appends the data alone: "1.2.3.4", "10 mx.example."; data that does not fit its type is "0x… (invalid A data)", data
 * of no known layout "0x…". */
void dns_rdata_to_text(const struct dns_record *record, struct buffer *out);

/* Appends "www.example.com. 300 IN A 192.0.2.1". Data that does not fit its type, or of no known layout, is written in
 * the form of RFC 3597 (\# length hex), so that what is written can always be read. */
void dns_record_to_text(const struct dns_record *record, struct buffer *out);

/* Reads one record: owner, then TTL and class in any order and both optional (60, IN), type, data. Names are absolute
 * with or without the final dot; quotes, escapes, parentheses and comments are taken; TTLs also as "1h30m"; \# for any
 * type. The bytes of `out` lie in `storage`, which is cleared first. */
MUST_CHECK enum status dns_record_from_text(const char *text, size_t length, struct buffer *storage,
                                            struct dns_record *out, struct reason *reason);

/* Appends the data that its text form gives: "10 mx.example." for MX. */
MUST_CHECK enum status dns_rdata_from_text(uint16_t type, const char *text, size_t length, struct buffer *out,
                                           struct reason *reason);

/* --- word by word, for who reads whole files --- */

/* Reads [TTL] [class] type, the first two in any order; where one is missing, `out` keeps what it has. `has_ttl` says
 * whether the TTL was there. */
MUST_CHECK enum status dns_record_scan_head(struct dns_scanner *scanner, struct dns_record *out, bool *has_ttl,
                                            struct reason *reason);

/* Appends the data that the words left on the line give: by field, or \# LENGTH HEX for any type. */
MUST_CHECK enum status dns_rdata_scan(uint16_t type, struct dns_scanner *scanner, struct buffer *out,
                                      struct reason *reason);

#endif
