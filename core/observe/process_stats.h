/* What the system tells of this process (proc(5)). */
#ifndef MOONDNS_OBSERVE_PROCESS_STATS_H
#define MOONDNS_OBSERVE_PROCESS_STATS_H

#include "base/status.h"

#include <stdint.h>

struct process_stats {
    double cpu_seconds;   /* user and system, of all threads */
    double start_seconds; /* Unix time */
    uint64_t resident_bytes, virtual_bytes;
    uint64_t open_descriptors, descriptors_max;
    unsigned threads;
};

/* STATUS_IO where /proc is not there. */
MUST_CHECK enum status process_stats_read(struct process_stats *out);

#endif
