/* What a misspelt word may have meant. */
#ifndef MOONDNS_BASE_NEAREST_H
#define MOONDNS_BASE_NEAREST_H

#include <stddef.h>

/* How many letters must be changed, added, left out or swapped with their neighbour to make `b` of `a`, without regard
 * to case; words beyond 64 letters are as far apart as can be (SIZE_MAX). */
size_t nearest_distance(const char *a, const char *b);

/* The nearest of `names` (ended by NULL) to a misspelt word, or the only one that begins with it; NULL when none is
 * near. Borrows all. */
const char *nearest_name(const char *word, const char *const *names);

#endif
