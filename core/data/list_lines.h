/* A file line by line, in memory that does not grow with it; or a text. */
#ifndef MOONDNS_DATA_LIST_LINES_H
#define MOONDNS_DATA_LIST_LINES_H

#include "base/status.h"
#include "data/list_file.h"

struct list_lines {
    /* Takes a line, which is not empty and has no blanks at its ends; `number` counts from 1. Anything but STATUS_OK
     * ends the reading. */
    enum status (*take)(void *context, const char *line, size_t length, size_t number);
    void *context;
    const struct list_report *report; /* hears of lines that are too long */
};

/* Reads the file, which must be a regular one; a byte order mark is passed over. STATUS_IO with the reason, or what
 * `take` answered. */
MUST_CHECK enum status list_lines_read(const char *path, const struct list_lines *lines, struct reason *reason);

/* The same for text that is in memory. */
MUST_CHECK enum status list_lines_parse(const char *text, size_t length, const struct list_lines *lines);

static inline bool list_is_blank(char byte)
{
    return byte == ' ' || (byte >= '\t' && byte <= '\r');
}

#endif
