/* Bytes as text: hex, base64 (RFC 4648 section 4), base32hex (section 7). Private to the codec. */
#ifndef MOONDNS_DNS_RDATA_ENCODING_H
#define MOONDNS_DNS_RDATA_ENCODING_H

#include "base/bytes.h"

/* Append the text: lower case, base64 with padding, base32hex without. */
void dns_hex_write(const uint8_t *data, size_t length, struct buffer *out);
void dns_base64_write(const uint8_t *data, size_t length, struct buffer *out);
void dns_base32hex_write(const uint8_t *data, size_t length, struct buffer *out);

/* Turn text, in place, into its bytes; `length` goes in as the text's and comes out as theirs. STATUS_MALFORMED for
 * other text, which is then partly overwritten. */
MUST_CHECK enum status dns_hex_read(uint8_t *text, size_t *length);
MUST_CHECK enum status dns_base64_read(uint8_t *text, size_t *length);
MUST_CHECK enum status dns_base32hex_read(uint8_t *text, size_t *length);

#endif
