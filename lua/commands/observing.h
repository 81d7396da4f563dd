/* What looks on while the proxy serves: metrics, dnstap. Each seat has observers of its own; what they count is
 * gathered when it is asked for. */
#ifndef MOONDNS_LUA_COMMANDS_OBSERVING_H
#define MOONDNS_LUA_COMMANDS_OBSERVING_H

#include "lua/commands/seat.h"

/* Makes the seat's observers, and gives them as a list that it owns; NULL: none are wanted. STATUS_NO_MEMORY. */
MUST_CHECK enum status observing_seat(struct seat *seat, struct flow_observer **out);
void observing_seat_free(struct seat *seat);

/* Opens ports; before rights are dropped. */
MUST_CHECK enum status observing_open(struct moondns *moondns, struct reason *reason);

/* Opens what needs no rights, before any worker serves. */
MUST_CHECK enum status observing_begin(struct moondns *moondns, struct reason *reason);

/* All workers serve. */
MUST_CHECK enum status observing_start(struct moondns *moondns, struct reason *reason);

/* The seat was woken, in its own thread: perhaps to tell how it is. */
void observing_woken(struct seat *seat);

/* Files may have been moved away. */
void observing_reopen(struct moondns *moondns);

/* Nobody asks any more; while all workers are there. */
void observing_stop(struct moondns *moondns);

/* Frees it all, once the workers' threads have ended. */
void observing_close(struct moondns *moondns);

#endif
