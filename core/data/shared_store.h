/* A key-value store that threads share. Keys are strings of any bytes; a value may have a time to live. The store takes
 * a given number of bytes at the most: what has not been used for longest makes room for what is new.
 *
 * Any thread may call anything here at any time, but for shared_store_free. The keys lie in shards with a lock each,
 * held for one lookup; no lock is held when a function returns. Time is told by the caller, in microseconds of one
 * clock that never jumps. */
#ifndef MOONDNS_DATA_SHARED_STORE_H
#define MOONDNS_DATA_SHARED_STORE_H

#include "base/bytes.h"

struct shared_store;

enum shared_kind { SHARED_NOTHING, SHARED_BOOLEAN, SHARED_NUMBER, SHARED_TEXT };

struct shared_text {
    const char *bytes;
    size_t length;
};

struct shared_value {
    enum shared_kind kind;
    bool boolean;
    double number;
    struct shared_text text; /* borrowed */
};

/* What shared_store_incr does where the key is missing. */
struct shared_initial {
    double number;
    int64_t ttl_us;
};

enum { SHARED_TTL_NONE = 0 /* stays until it is deleted, or makes room */ };

/* `bytes_max` counts keys, values and what it takes to keep them. The secret: random bits, for the hash. NULL when
 * there is no memory. */
struct shared_store *shared_store_new(size_t bytes_max, const uint64_t secret[static 2]);
void shared_store_free(struct shared_store *store); /* NULL is fine */

/* The value; a text is appended to `text`, and `out` has it there. STATUS_NOT_FOUND, STATUS_NO_MEMORY. */
MUST_CHECK enum status shared_store_get(struct shared_store *store, struct shared_text key, int64_t now_us,
                                        struct shared_value *out, struct buffer *text);

/* Sets the key's value (copied) and its time to live. STATUS_NO_SPACE: it does not fit, even alone; STATUS_NO_MEMORY;
 * the old value stays then. */
MUST_CHECK enum status shared_store_set(struct shared_store *store, struct shared_text key, int64_t now_us,
                                        const struct shared_value *value, int64_t ttl_us);

/* The same where the key is missing; where it is not, `*added` is false and nothing happens. */
MUST_CHECK enum status shared_store_add(struct shared_store *store, struct shared_text key, int64_t now_us,
                                        const struct shared_value *value, int64_t ttl_us, bool *added);

/* Adds to the key's number and gives the sum; its time to live stays. A missing key begins with `initial`; where that
 * is NULL, STATUS_NOT_FOUND. STATUS_INVALID: the value is no number. Else as shared_store_set. */
MUST_CHECK enum status shared_store_incr(struct shared_store *store, struct shared_text key, int64_t now_us, double by,
                                         const struct shared_initial *initial, double *out);

/* False when it was not there. */
bool shared_store_delete(struct shared_store *store, struct shared_text key, int64_t now_us);

/* Appends the keys that begin with `prefix`, in no order, each as a size_t with its length and its bytes.
 * STATUS_NO_MEMORY. */
MUST_CHECK enum status shared_store_keys(struct shared_store *store, struct shared_text prefix, int64_t now_us,
                                         struct buffer *out);

struct shared_counters {
    size_t bytes;     /* taken now */
    uint64_t evicted; /* live ones that made room */
};
struct shared_counters shared_store_counters(const struct shared_store *store);

#endif
