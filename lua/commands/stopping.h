/* The signals that end the process, INT and TERM: asked for its end it ends in time, whatever its threads are stuck in.
 * There is one of these in a process, as signals are the process's. */
#ifndef MOONDNS_LUA_COMMANDS_STOPPING_H
#define MOONDNS_LUA_COMMANDS_STOPPING_H

#include "base/status.h"

struct event_base;

/* Calls `stop` in the base's thread for each of the signals. When the process has not ended half a minute after the
 * first one, or 5 seconds after another one, or when a third one comes, it exits with EXIT_FAILURE as it stands.
 * STATUS_NO_MEMORY, or STATUS_IO: there is no descriptor. */
MUST_CHECK enum status stopping_watch(struct event_base *base, void (*stop)(void *context), void *context);

/* The base is about to be freed. The time goes on until stopping_done. */
void stopping_unwatch(void);

/* Nothing is left that could be stuck. */
void stopping_done(void);

#endif
