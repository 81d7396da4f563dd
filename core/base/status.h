/* What every fallible function of the core answers with. */
#ifndef MOONDNS_BASE_STATUS_H
#define MOONDNS_BASE_STATUS_H

#include <stddef.h>

enum status {
    STATUS_OK = 0,
    STATUS_MALFORMED, /* bytes or text that break their format */
    STATUS_INVALID,   /* a value that is out of its range, or a name that nobody knows */
    STATUS_NO_SPACE,  /* does not fit the limit that was given */
    STATUS_NO_MEMORY, /* an allocation failed */
    STATUS_NOT_FOUND, /* there is no such thing; not an error of anybody's */
    STATUS_IO,        /* the operating system said no */
};

#define MUST_CHECK __attribute__((warn_unused_result))
#define PRINTF_LIKE(text, first) __attribute__((__format__(__printf__, text, first)))

/* Of a function for failures and rarities: the compiler keeps it, and whatever leads to it, out of the way. */
#define COLD __attribute__((cold, noinline))

/* Of a function for what is not on the way of most queries: those are spared what it needs. */
#define NOINLINE __attribute__((noinline))

/* Why something failed, in words for a person. Wherever a `struct reason *` is taken, NULL is taken too. It is written
 * only on failure, ends with NUL, and is cut off when too long. */
struct reason {
    char text[240];
};

/* Writes the reason. */
COLD void reason_set(struct reason *reason, const char *format, ...) PRINTF_LIKE(2, 3);

/* Puts text before what the reason already says: "answer #1: " and so on. */
COLD void reason_prefix(struct reason *reason, const char *format, ...) PRINTF_LIKE(2, 3);

/* Puts text behind what the reason already says: " (did you mean …?)". */
COLD void reason_append(struct reason *reason, const char *format, ...) PRINTF_LIKE(2, 3);

#endif
