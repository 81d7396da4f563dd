/* The words of a zone file (RFC 1035 section 5.1): words, quoted strings, parentheses, comments. For the codec and for
 * who reads whole files. */
#ifndef MOONDNS_DNS_SCANNER_H
#define MOONDNS_DNS_SCANNER_H

#include "dns/name.h"

/* Over text that somebody else owns; it may hold any byte. */
struct dns_scanner {
    const char *text;
    size_t length, offset;
    unsigned depth;                /* parentheses that are open; within them a line's end is a blank */
    const struct dns_name *origin; /* borrowed: names without a final dot lie below it; NULL: all names are absolute */
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

/* The name that a word stands for; below `origin` when it has no final dot, and '@' is the origin itself (RFC 1035
 * section 5.1). Without an origin (NULL) every name is absolute. */
MUST_CHECK enum status dns_word_to_name(const struct dns_token *word, const struct dns_name *origin,
                                        struct dns_name *out, struct reason *reason);

/* A time in seconds, or in BIND's units: 1w2d3h4m5s. False when the word is none, or above 2^32-1. */
bool dns_word_to_seconds(const struct dns_token *word, uint32_t *out);

/* "EXPECTED expected, got 'x'"; gives STATUS_INVALID. */
enum status dns_word_refuse(const struct dns_token *word, const char *expected, struct reason *reason);

/* STATUS_INVALID when a word is left on the line: "EXPECTED expected, got 'x'". */
MUST_CHECK enum status dns_scanner_expect_end(struct dns_scanner *scanner, const char *expected, struct reason *reason);

/* Appends what an escaped word stands for (\. and \032). STATUS_MALFORMED for a number above 255 or a '\' at the end.
 */
MUST_CHECK enum status dns_unescape(const char *text, size_t length, struct buffer *out);

/* Appends bytes as a quoted string's inside: printable ASCII as it is, `"` and `\` behind a '\', others as \DDD. */
void dns_escape(const uint8_t *data, size_t length, struct buffer *out);

#endif
