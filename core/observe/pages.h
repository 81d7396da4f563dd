/* A small HTTP server for pages that are read (RFC 9110 and 9112): GET and HEAD, one request a connection. libevent's
 * own ends the process when it has no memory for a request; this one closes the connection. One thread. */
#ifndef MOONDNS_OBSERVE_PAGES_H
#define MOONDNS_OBSERVE_PAGES_H

#include "base/bytes.h"

enum { PAGES_PATH_MAX = 256, PAGES_ACCEPT_MAX = 1024 /* bytes with the final zero; longer ones are cut */ };

struct event_base;
struct pages;

struct page_request {
    char path[PAGES_PATH_MAX]; /* without the query */
    char accept[PAGES_ACCEPT_MAX];
};

struct page_answer {
    int code; /* 200, 404, 500 or 503 */
    const char *type;
    struct buffer text; /* where it has failed, the answer becomes a 500 */
};

struct pages_config {
    struct event_base *base; /* borrowed */
    int fd;                  /* a socket that listens and does not block; taken, also on failure */
    /* Fills in the answer: a 404 that is empty. */
    void (*serve)(void *context, const struct page_request *request, struct page_answer *out);
    void *context;
};

/* Listens. The caller owns it. NULL when there is no memory. */
struct pages *pages_new(const struct pages_config *config);

/* The connections of its clients; in its thread, as all of this. */
struct pages_counters {
    unsigned open; /* now */
    uint64_t accepted, evicted, timed_out;
};
struct pages_counters pages_counters(const struct pages *pages);

/* Closes all connections. NULL is fine. */
void pages_free(struct pages *pages);

#endif
