/* Values of the shared store as Redis keeps them: text that people and other programs can read and write.
 *   numbers    5, -1.5, 1e+300, inf, -inf, nan: the shortest of 15 or 17 digits that reads back the same
 *   booleans   true, false
 *   text       itself; behind a ' where it would read as one of these, or begins with a ' */
#ifndef MOONDNS_REDIS_VALUE_H
#define MOONDNS_REDIS_VALUE_H

#include "data/shared_store.h"

enum { REDIS_NUMBER_MAX = 32 /* bytes of a number's text, the NUL included */ };

/* Writes the number's text; gives its length. */
size_t redis_number_write(double number, char out[static REDIS_NUMBER_MAX]);

/* Appends the value's text; it is not SHARED_NOTHING. */
void redis_value_write(const struct shared_value *value, struct buffer *out);

/* The value of a text, which it borrows. */
struct shared_value redis_value_read(const char *text, size_t length);

#endif
