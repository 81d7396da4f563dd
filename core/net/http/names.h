/* The addresses of a host's name, for HTTP requests: the system's hosts file, else the exchange (what the proxy knows
 * itself, the cache, the upstreams), asked for IPv6 and IPv4 at once. */
#ifndef MOONDNS_NET_HTTP_NAMES_H
#define MOONDNS_NET_HTTP_NAMES_H

#include "flow/exchange.h"
#include "net/hosts.h"

#include <sys/stat.h>

enum { HTTP_ADDRESSES_MAX = 16 /* of one name */ };

/* A hosts file, read again when it has changed. All zeros but `path` is ready for use. */
struct http_hosts {
    const char *path; /* borrowed */
    struct hosts *hosts;
    struct timespec changed;
};

void http_hosts_free(struct http_hosts *hosts);

/* One look-up. Belongs to whoever has it; must stay where it is while it is under way. */
struct http_lookup {
    struct address addresses[HTTP_ADDRESSES_MAX]; /* without a port; IPv6 first */
    size_t count;
    struct reason reason; /* why there are none */

    /* It has finished; called from the event loop. May end the look-up. */
    void (*finished)(void *context);
    void *context;

    struct exchange *exchange;
    struct http_question {
        struct http_lookup *lookup;
        struct flow *flow; /* given back when the look-up ends */
    } questions[2];
    unsigned left; /* answers to come */
};

/* Begins it: `finished` and `context` are set, all else is zeros. STATUS_OK: it waits. STATUS_NOT_FOUND: it has
 * finished at once. */
MUST_CHECK enum status http_lookup_start(struct http_lookup *lookup, struct http_hosts *hosts,
                                         struct exchange *exchange, const char *host, int64_t timeout_us);

/* Ends it, finished or not; fine for one that never began. What it found stays. */
void http_lookup_end(struct http_lookup *lookup);

#endif
