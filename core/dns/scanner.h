/* The words of a zone file (RFC 1035 section 5.1): words, quoted strings, parentheses, comments. Private to the codec.
 */
#ifndef MOONDNS_DNS_SCANNER_H
#define MOONDNS_DNS_SCANNER_H

#include "base/bytes.h"
#include "base/status.h"

/* Over text that somebody else owns; it may hold any byte. */
struct dns_scanner {
    const char *text;
    size_t length, offset;
    unsigned depth; /* parentheses that are open; within them a line's end is a blank */
};

/* A word as it is written, escapes and all; without its quotes. */
struct dns_token {
    const char *text;
    size_t length;
    bool quoted;
};

static inline struct dns_scanner dns_scanner_over(const char *text, size_t length)
{
    return (struct dns_scanner){.text = text, .length = length};
}

/* The next word of the line; STATUS_NOT_FOUND at its end (it stays there), STATUS_MALFORMED for a quote or a
 * parenthesis without its other half. */
MUST_CHECK enum status dns_scanner_next(struct dns_scanner *scanner, struct dns_token *out, struct reason *reason);

/* The same for KEY=VALUE: what stands in quotes behind the '=' belongs to the word, quotes included. */
MUST_CHECK enum status dns_scanner_next_pair(struct dns_scanner *scanner, struct dns_token *out, struct reason *reason);

/* Moves to the next line; false when there is none. */
bool dns_scanner_next_line(struct dns_scanner *scanner);

/* Appends what an escaped word stands for (\. and \032). STATUS_MALFORMED for a number above 255 or a '\' at the end.
 */
MUST_CHECK enum status dns_unescape(const char *text, size_t length, struct buffer *out);

/* Appends bytes as a quoted string's inside: printable ASCII as it is, `"` and `\` behind a '\', others as \DDD. */
void dns_escape(const uint8_t *data, size_t length, struct buffer *out);

#endif
