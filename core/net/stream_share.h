/* Connections to upstream servers that carry few queries: how many of them each server may have, and how many queries a
 * server takes on one. Plain counts, in the hands of upstream_tcp.c. */
#ifndef MOONDNS_NET_STREAM_SHARE_H
#define MOONDNS_NET_STREAM_SHARE_H

#include <stdbool.h>

enum {
    SHARE_OPEN_MAX = 256,     /* such connections to all servers */
    SHARE_WAITING_MAX = 4096, /* that wait to be opened */
};

/* A connection that waits to be opened; lies in it. */
struct stream_wait {
    struct stream_wait *previous, *next;
};

/* Those of one server, or of all (which have no list). All zeros: none. */
struct stream_share {
    unsigned open, waiting;
    struct stream_wait *first, *last; /* those that wait, in order */
};

/* Whether a server with `own` may have one more open, or waiting. It may have as many as the others leave free: half of
 * them where it is the only one, a third of them where there are two. So none takes all, however slow it is. */
static inline bool stream_share_opens(const struct stream_share *own, const struct stream_share *all)
{
    return own->open + all->open < SHARE_OPEN_MAX;
}

static inline bool stream_share_waits(const struct stream_share *own, const struct stream_share *all)
{
    return own->waiting + all->waiting < SHARE_WAITING_MAX;
}

/* Puts one that is to wait behind the others; takes it out. */
void stream_share_wait(struct stream_share *own, struct stream_share *all, struct stream_wait *wait);
void stream_share_leave(struct stream_share *own, struct stream_share *all, struct stream_wait *wait);

/* How many queries a server takes on one connection before it closes it, as it has shown. All zeros: any number. */
struct stream_habit {
    unsigned queries; /* behind so many answers it closed a connection on which others waited, of late … */
    unsigned cuts;    /* … with so many in a row */
    unsigned whole;   /* connections since then that answered all they were given */
};

/* The number of queries that the connection opened now is to be given; 0: any. Now and then one is given more, to see
 * whether the server takes them. */
unsigned stream_habit_queries(struct stream_habit *habit);

/* A connection was closed behind so many answers (not 0), while queries waited on it. */
void stream_habit_cut(struct stream_habit *habit, unsigned answers);

/* A connection ended well; `filled`: it was given all that stream_habit_queries had said. */
void stream_habit_whole(struct stream_habit *habit, unsigned answers, bool filled);

#endif
