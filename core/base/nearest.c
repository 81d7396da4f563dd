#include "base/nearest.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <strings.h>

enum { WORD_MAX = 64 };

static size_t smaller(size_t a, size_t b)
{
    return a < b ? a : b;
}

static unsigned char lower(char byte)
{
    return (unsigned char)(byte >= 'A' && byte <= 'Z' ? byte + 32 : byte);
}

size_t nearest_distance(const char *a, const char *b)
{
    size_t rows = strlen(a), columns = strlen(b);
    size_t table[3][WORD_MAX + 1]; /* the row before the last, the last, this one */
    if (rows > WORD_MAX || columns > WORD_MAX)
        return SIZE_MAX;
    for (size_t k = 0; k <= columns; k++)
        table[1][k] = table[0][k] = k;
    for (size_t i = 1; i <= rows; i++) {
        size_t *row = table[2];
        row[0] = i;
        for (size_t k = 1; k <= columns; k++) {
            size_t changed = table[1][k - 1] + (lower(a[i - 1]) != lower(b[k - 1]));
            row[k] = smaller(changed, smaller(table[1][k], row[k - 1]) + 1);
            if (i > 1 && k > 1 && lower(a[i - 1]) == lower(b[k - 2]) && lower(a[i - 2]) == lower(b[k - 1]))
                row[k] = smaller(row[k], table[0][k - 2] + 1);
        }
        memmove(table[0], table[1], sizeof table[0] * 2);
    }
    return table[1][columns];
}

static bool begins_with(const char *name, const char *start)
{
    return !strncasecmp(name, start, strlen(start));
}

const char *nearest_name(const char *word, const char *const *names)
{
    const char *nearest = NULL, *begins = NULL; /* the shortest that begins so … */
    bool several = false;                       /* … with others that do not begin with it */
    size_t length = strlen(word);
    size_t least = length < 3 ? 1 : length / 3 + 1; /* the distance beyond which nothing is near */
    if (length == 0)
        return NULL;
    for (; *names; names++) {
        size_t distance = nearest_distance(word, *names);
        if (distance <= least && distance < strlen(*names) && (!nearest || distance < least)) {
            nearest = *names;
            least = distance;
        }
        if (begins_with(*names, word)) {
            several = several || (begins && !begins_with(*names, begins) && !begins_with(begins, *names));
            if (!begins || begins_with(begins, *names))
                begins = *names;
        }
    }
    return begins && !several ? begins : nearest;
}
