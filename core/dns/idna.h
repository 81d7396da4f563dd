/* Names in other scripts: IDNA 2008 by libidn2 (RFC 5890, 5891; UTS 46 non-transitional). */
#ifndef MOONDNS_DNS_IDNA_H
#define MOONDNS_DNS_IDNA_H

#include "base/bytes.h"
#include "base/status.h"

/* Appends the A-label form of UTF-8 text. Labels that are plain ASCII stay as they are, whatever they hold. */
MUST_CHECK enum status dns_idna_to_ascii(const char *text, size_t length, struct buffer *out, struct reason *reason);

/* Appends the UTF-8 form; labels that are no valid A-labels stay as they are. */
MUST_CHECK enum status dns_idna_to_unicode(const char *text, size_t length, struct buffer *out, struct reason *reason);

#endif
