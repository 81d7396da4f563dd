/* The two clocks. */
#ifndef MOONDNS_BASE_CLOCK_H
#define MOONDNS_BASE_CLOCK_H

#include <stdint.h>

/* Microseconds since 1970, UTC: for timestamps that people read. */
int64_t clock_wall_us(void);

/* Microseconds of a clock that never jumps: for durations and deadlines. */
int64_t clock_monotonic_us(void);

#endif
