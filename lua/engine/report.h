/* Scripts' errors in the log: with file, line and traceback, and the same line once a second at the most. */
#ifndef MOONDNS_LUA_ENGINE_REPORT_H
#define MOONDNS_LUA_ENGINE_REPORT_H

#include "base/log.h"

#include <pthread.h>

enum { REPORT_LINES = 64 };

/* Of all engines: an error is logged once, whichever thread it comes from. */
struct report {
    const struct log *log; /* borrowed */
    pthread_mutex_t lock;
    struct report_line {
        uint64_t hash; /* of the place "file:line:", else of the whole first line */
        int64_t at_us; /* monotonic, when it was logged last; 0: free */
        unsigned left_out;
    } lines[REPORT_LINES];
};

void report_init(struct report *report, const struct log *log);
void report_end(struct report *report);

/* Logs an error. The first line of `text` tells its place. */
void report_error(struct report *report, const char *text, size_t length);

#endif
