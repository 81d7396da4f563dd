/* Random numbers from the operating system, fetched by the kilobyte so that no packet costs a system call. */
#ifndef MOONDNS_BASE_RANDOM_H
#define MOONDNS_BASE_RANDOM_H

#include <stdint.h>

/* All zeros is ready for use. One owner, one thread. */
struct random {
    uint32_t pool[256];
    unsigned left;
};

/* 32 bits nobody can guess. */
uint32_t random_u32(struct random *random);

/* A number from 0 to below-1, evenly; `below` is at least 1. */
uint32_t random_below(struct random *random, uint32_t below);

static inline uint16_t random_u16(struct random *random)
{
    return (uint16_t)random_u32(random);
}

#endif
