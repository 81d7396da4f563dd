/* The two clocks. */
#ifndef MOONDNS_BASE_CLOCK_H
#define MOONDNS_BASE_CLOCK_H

#include <stdint.h>
#include <sys/time.h>

enum { CLOCK_SECOND_US = 1000000 };

/* Microseconds since 1970, UTC: for timestamps that people read. */
int64_t clock_wall_us(void);

/* Microseconds of a clock that never jumps: for durations and deadlines. */
int64_t clock_monotonic_us(void);

/* Microseconds as seconds; -1 for a time that is not known (negative). */
static inline double clock_seconds(int64_t us)
{
    return us < 0 ? -1 : (double)us / CLOCK_SECOND_US;
}

/* Microseconds (0 or more) as libevent's timers take them. */
static inline struct timeval clock_timeval(int64_t us)
{
    return (struct timeval){.tv_sec = us / CLOCK_SECOND_US, .tv_usec = us % CLOCK_SECOND_US};
}

#endif
