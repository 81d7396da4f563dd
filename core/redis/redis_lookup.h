/* The addresses of a host, looked up as the system does (getaddrinfo), in a thread of its own: it may take long. */
#ifndef MOONDNS_REDIS_LOOKUP_H
#define MOONDNS_REDIS_LOOKUP_H

#include <netinet/in.h>
#include <stddef.h>

struct event_base;
struct redis_lookup;

enum { REDIS_ADDRESSES_MAX = 8 };

typedef char redis_address[INET6_ADDRSTRLEN + 16 /* a zone */];

/* `found` is called once, from the loop, unless the lookup is freed before; `count` is 0 where there is no address, for
 * this reason. All is borrowed for the call. NULL when there is no memory, or no thread. */
struct redis_lookup *redis_lookup_start(struct event_base *base, const char *host,
                                        void (*found)(void *context, redis_address *addresses, size_t count,
                                                      const char *reason),
                                        void *context);

/* Not from within `found`, which ends with this by itself. */
void redis_lookup_free(struct redis_lookup *lookup); /* NULL is fine */

#endif
