/* Where a Redis (or Valkey) server is, and how to speak to it:
 *   redis://[[USER]:PASSWORD@]HOST[:PORT][/DATABASE][?prefix=TEXT]
 *   redis+unix://[[USER]:PASSWORD@]/PATH[?db=DATABASE&prefix=TEXT], or unix://…
 * valkey:// is the same as redis://. User, password, path and prefix may have %XX. */
#ifndef MOONDNS_REDIS_URL_H
#define MOONDNS_REDIS_URL_H

#include "base/arena.h"
#include "base/status.h"

#include <stdint.h>

enum { REDIS_PORT = 6379 };

struct redis_url {
    const char *host; /* a name or an address; NULL: `path` */
    uint16_t port;
    const char *path;            /* of a Unix socket; NULL: `host` */
    const char *user, *password; /* NULL: none */
    unsigned database;
    const char *prefix; /* goes before each key; "moondns:" where the URL has none */
    const char *place;  /* "HOST:PORT" or the path, for people */
    const char *shown;  /* the URL without the password */
};

/* What is pointed to goes into the arena. STATUS_INVALID with the reason, STATUS_NO_MEMORY. */
MUST_CHECK enum status redis_url_parse(const char *text, struct arena *arena, struct redis_url *out,
                                       struct reason *reason);

#endif
