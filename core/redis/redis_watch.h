/* Has libevent watch hiredis's connections. hiredis's own adapter ends the process when there is no memory. */
#ifndef MOONDNS_REDIS_WATCH_H
#define MOONDNS_REDIS_WATCH_H

#include "base/status.h"

#include <hiredis/async.h>

struct event_base;

/* Watches the connection, which has no watch yet, until it is freed. STATUS_NO_MEMORY: it can only be freed. */
MUST_CHECK enum status redis_watch_start(redisAsyncContext *connection, struct event_base *base);

/* Has the event loop look at the connection, though hiredis may have asked for that in vain: it does not learn when the
 * system has no memory for it. */
void redis_watch_again(redisAsyncContext *connection);

#endif
