/* What the service manager is told while the proxy serves: that it is ready, reloads, stops, and that all its loops
 * turn. */
#ifndef MOONDNS_LUA_COMMANDS_ATTENDANCE_H
#define MOONDNS_LUA_COMMANDS_ATTENDANCE_H

#include "lua/commands/seat.h"

/* All workers serve; `status` says what, borrowed for the call. In the first worker's thread, like all here; begins the
 * signs of life, where they are wanted. */
MUST_CHECK enum status attendance_begin(struct moondns *moondns, const char *status, struct reason *reason);

/* A reload was asked for; it has ended. */
void attendance_reloading(struct moondns *moondns);
void attendance_reloaded(struct moondns *moondns);

void attendance_stopping(struct moondns *moondns);
void attendance_end(struct moondns *moondns);

#endif
