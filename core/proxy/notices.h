/* What workers tell each other: values by name. The newest value of a name counts, whoever told it, and reaches all in
 * the end. Any thread may call anything here at any time, but for notices_new and notices_free. */
#ifndef MOONDNS_PROXY_NOTICES_H
#define MOONDNS_PROXY_NOTICES_H

#include "base/bytes.h"

struct notices;

struct notices_config {
    unsigned members;
    /* Has notices_take called soon in the member's thread. Any thread, with a lock held: it is to do nothing else. */
    void (*wake)(void *context, unsigned member);
    void *context;
};

/* NULL when there is no memory. */
struct notices *notices_new(const struct notices_config *config);
void notices_free(struct notices *notices); /* NULL is fine */

/* The member, which has it already, tells the others of a value (copied). Both are any bytes. */
MUST_CHECK enum status notices_tell(struct notices *notices, unsigned member, struct span name, struct span value);

/* Calls `take` (no lock held) for each value that another told since the member last looked. STATUS_NO_MEMORY: later.
 */
MUST_CHECK enum status notices_take(struct notices *notices, unsigned member,
                                    void (*take)(void *context, struct span name, struct span value), void *context);

#endif
