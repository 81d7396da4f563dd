/* Reads a master file (RFC 1035 section 5), record by record: $ORIGIN, $INCLUDE, $TTL (RFC 2308 section 4), $GENERATE
 * (BIND's), '@', owners left out, parentheses, comments, TTL and class in either order. */
#ifndef MOONDNS_DATA_ZONE_FILE_H
#define MOONDNS_DATA_ZONE_FILE_H

#include "dns/record.h"

enum {
    ZONE_FILE_DEPTH_MAX = 8,           /* files within files */
    ZONE_FILE_INCLUDES_MAX = 10000,    /* in all */
    ZONE_FILE_GENERATED_MAX = 1 << 18, /* records made by $GENERATE, in all */
};

struct zone_file_reading {
    const struct dns_name *origin; /* borrowed; NULL: the file has to name it by $ORIGIN or by its SOA record's owner */
    unsigned generated_max;        /* at most ZONE_FILE_GENERATED_MAX */

    /* Appends a file's bytes for $INCLUDE; NULL: files are not included. */
    enum status (*open)(const char *path, struct buffer *out, struct reason *reason);

    /* Takes a record; what it points to is borrowed for the call. */
    enum status (*add)(void *context, const struct dns_record *record, struct reason *reason);
    void *context;
};

/* Reads the text of the file `name`: relative names of included files are looked for beside it. A byte order mark in
 * UTF-8 at a file's beginning is skipped. A record without a TTL
 * has $TTL's, or that of the record before it, or its own minimum if it is SOA, or 60. Stops at the first thing that is
 * wrong, and at what `add` refuses: STATUS_MALFORMED or STATUS_INVALID with the reason "NAME:LINE: …", or
 * STATUS_NO_MEMORY. */
MUST_CHECK enum status zone_file_read(const struct zone_file_reading *reading, const char *name, const char *text,
                                      size_t length, struct reason *reason);

/* The records that a $GENERATE line makes, as text: the counter goes from `at` to `stop` by `step`. */
struct zone_generate {
    uint32_t at, stop, step;
};

/* Takes "1-254" or "0-255/2". */
MUST_CHECK enum status zone_generate_range(const char *text, size_t length, struct zone_generate *out,
                                           struct reason *reason);

/* Appends the text with each $ and ${offset,width,base} replaced by the number; `$$` stands for a dollar sign, and what
 * is escaped stays as it is. The base is d, o, x, X, n or N (nibbles from the lowest, with dots between). */
MUST_CHECK enum status zone_generate_expand(const char *text, size_t length, uint32_t number, struct buffer *out,
                                            struct reason *reason);

#endif
