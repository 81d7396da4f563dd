/* Scripts' errors in the log: with file, line and traceback, and the same line once a second at the most. */
#ifndef MOONDNS_LUA_ENGINE_REPORT_H
#define MOONDNS_LUA_ENGINE_REPORT_H

#include "base/log.h"

enum { REPORT_LINES = 64 };

struct report {
    const struct log *log; /* borrowed */
    struct report_line {
        uint64_t hash; /* of the place "file:line:", else of the whole first line */
        int64_t at_us; /* monotonic, when it was logged last; 0: free */
        unsigned left_out;
    } lines[REPORT_LINES];
};

/* Logs an error. The first line of `text` tells its place. */
void report_error(struct report *report, const char *text, size_t length);

#endif
