#include "base/random.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/random.h>

static void fill(struct random *random)
{
    char *at = (char *)random->pool;
    size_t left = sizeof random->pool;
    while (left) {
        ssize_t got = getrandom(at, left, 0);
        if (got > 0) {
            at += got;
            left -= (size_t)got;
        } else if (errno != EINTR) {
            abort(); /* guessable ids would be worse than no service (RFC 5452 section 4.3) */
        }
    }
    random->left = sizeof random->pool / sizeof *random->pool;
}

uint32_t random_u32(struct random *random)
{
    if (random->left == 0)
        fill(random);
    uint32_t value = random->pool[--random->left];
    random->pool[random->left] = 0; /* what was given out can't be read back later */
    return value;
}

uint32_t random_below(struct random *random, uint32_t below)
{
    uint32_t uneven = (uint32_t)(-below) % below, value;
    do
        value = random_u32(random);
    while (value < uneven);
    return value % below;
}
