/* A change that reaches all workers as one. Each worker prepares it in its own thread; once all are ready they switch
 * over, or, where one could not, none does. From the moment of the switch (rollout_number) no worker begins anything
 * without having switched: it looks at that number before each query, and catches up. Nobody ever waits in a lock for
 * another's work.
 *
 * Member 0 leads: it alone begins changes. */
#ifndef MOONDNS_PROXY_ROLLOUT_H
#define MOONDNS_PROXY_ROLLOUT_H

#include "base/status.h"

#include <stdatomic.h>
#include <stdbool.h>

struct rollout;

struct rollout_config {
    unsigned members;

    /* Each of these is called in the member's own thread. `change` is what rollout_begin was given. */
    bool (*prepare)(void *context, unsigned member, void *change); /* not called for member 0; false: it cannot */
    void (*switch_over)(void *context, unsigned member);
    void (*abandon)(void *context, unsigned member); /* prepared or not: all stays as it was */

    /* The change has reached all members, or none: it is the caller's again, and another can begin. In member 0's
     * thread. */
    void (*finished)(void *context, void *change, bool switched);

    /* Has rollout_woken called soon in the member's thread. Any thread, with a lock held: it is to do nothing else. */
    void (*wake)(void *context, unsigned member);
    void *context;
};

/* NULL when there is no memory. */
struct rollout *rollout_new(const struct rollout_config *config);
void rollout_free(struct rollout *rollout); /* NULL is fine */

/* Begins a change that member 0 has prepared, and lends it until `finished`. With one member, that is all over when
 * this returns. None may be under way. In member 0's thread. */
void rollout_begin(struct rollout *rollout, void *change);

/* Whether a change is under way. In member 0's thread. */
bool rollout_is_busy(const struct rollout *rollout);

/* Counts the switches, from 0. */
const atomic_uint *rollout_number(const struct rollout *rollout);

/* Switches over if that is due. In the member's thread. */
void rollout_catch_up(struct rollout *rollout, unsigned member);

/* Does whatever is this member's to do. In the member's thread. */
void rollout_woken(struct rollout *rollout, unsigned member);

#endif
