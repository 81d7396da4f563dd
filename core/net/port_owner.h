/* Who holds a port, and what to do when a listener can't have it. */
#ifndef MOONDNS_NET_PORT_OWNER_H
#define MOONDNS_NET_PORT_OWNER_H

#include "base/address.h"

/* One line of /proc/net/{udp,udp6,tcp,tcp6}. */
struct socket_line {
    struct address local;
    unsigned state; /* 10: a stream that listens; 7: an unconnected UDP socket */
    unsigned user;  /* id */
    unsigned long inode;
};

/* Reads such a line; STATUS_MALFORMED for the heading and all else. */
MUST_CHECK enum status socket_line_parse(const char *line, struct socket_line *out);

struct port_owner {
    int pid;       /* 0: not found, as for another user's process */
    char name[32]; /* of the process, "" */
    unsigned user; /* id */
    bool user_known;
};

/* Looks under `proc` ("/proc") for the socket that stands in the way of this address. STATUS_NOT_FOUND. */
MUST_CHECK enum status port_owner_find(const char *proc, const struct address *address, bool stream,
                                       struct port_owner *out);

/* Says why bind(2) failed with `error` and what to do about it: "cannot listen on 127.0.0.1:53 (udp): …". */
void port_owner_explain(const char *proc, const struct address *address, bool stream, int error, struct reason *reason);

#endif
