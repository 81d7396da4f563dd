/* Config files that are read again while the proxy serves: new values of the options that count at run time go to all
 * workers as one, with a reload of the scripts; of the others it is said that they need a restart. */
#ifndef MOONDNS_LUA_COMMANDS_RENEWAL_H
#define MOONDNS_LUA_COMMANDS_RENEWAL_H

#include "lua/engine/loading.h"

#include <stdbool.h>

struct moondns;

/* The context is the struct moondns. In the first worker's thread: reads the command line and its config files again,
 * and offers what is new with the loading. False: what is wrong there is logged, and all stays as it was. */
bool renewal_offer(void *context, struct loading *loading);

/* In each worker's thread: what was offered, if anything, counts now. */
void renewal_take(void *context, unsigned number);

/* In the first worker's thread: the offer was taken by all, or by none. */
void renewal_end(void *context, bool taken);

void renewal_free(struct moondns *moondns);

#endif
