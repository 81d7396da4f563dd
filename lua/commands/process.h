/* The process: what all seats have in common, from the options on. */
#ifndef MOONDNS_LUA_COMMANDS_PROCESS_H
#define MOONDNS_LUA_COMMANDS_PROCESS_H

#include "lua/commands/seat.h"

/* Makes it all of moondns->options (and argc, argv, lock, changed), and loads the first seat's scripts. What goes wrong
 * is in the log. An exit code; process_close is due in any case. */
int process_open(struct moondns *moondns);

/* Ends the scripts and the threads, and frees everything, the options too. */
void process_close(struct moondns *moondns);

#endif
