/* One call to the store that scripts have as `shared`, and its answer, as data: the same for every store. */
#ifndef MOONDNS_DATA_SHARED_CALL_H
#define MOONDNS_DATA_SHARED_CALL_H

#include "data/shared_store.h"

enum shared_verb { SHARED_GET, SHARED_SET, SHARED_ADD, SHARED_INCR, SHARED_DELETE, SHARED_KEYS };

/* All that is pointed to is borrowed. */
struct shared_call {
    enum shared_verb verb;
    struct shared_text key;               /* of SHARED_KEYS: what the keys begin with */
    struct shared_value value;            /* SHARED_SET (SHARED_NOTHING deletes), SHARED_ADD */
    int64_t ttl_us;                       /* of these; SHARED_TTL_NONE: none */
    double by;                            /* SHARED_INCR */
    const struct shared_initial *initial; /* the same; NULL: none */
};

struct shared_answer {
    enum status status;        /* as of the shared_store function, or STATUS_IO */
    const char *reason;        /* of STATUS_IO */
    struct shared_value value; /* SHARED_GET; SHARED_INCR: the sum */
    bool yes;                  /* SHARED_ADD: added; SHARED_DELETE: it was there */
    struct span keys;          /* SHARED_KEYS: as of shared_store_keys, … */
    bool keys_repeat;          /* … one perhaps more than once */
};

/* Makes the call to a store in memory. What the answer points to lies in `bytes`. */
void shared_store_call(struct shared_store *store, const struct shared_call *call, int64_t now_us, struct buffer *bytes,
                       struct shared_answer *out);

#endif
