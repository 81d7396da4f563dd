/* The name servers of resolv.conf(5). */
#ifndef MOONDNS_NET_RESOLV_CONF_H
#define MOONDNS_NET_RESOLV_CONF_H

#include "base/address.h"

enum { RESOLV_CONF_SERVERS_MAX = 8 };

struct resolv_conf {
    struct address servers[RESOLV_CONF_SERVERS_MAX]; /* port 53 */
    size_t count;
    bool is_default; /* the file names none */
};

/* Takes the file's text; lines and options that are of no use here are passed over. No server: 127.0.0.1, as libc does.
 */
struct resolv_conf resolv_conf_parse(const char *text, size_t length);

/* Reads the file; no file is no server, so 127.0.0.1. STATUS_IO, with the reason, when it can't be read. */
MUST_CHECK enum status resolv_conf_load(const char *path, struct resolv_conf *out, struct reason *reason);

#endif
