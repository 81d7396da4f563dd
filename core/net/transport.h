/* What a transport implements, and what net.c gives it. A transport is a listener side (struct server_transport), an
 * upstream side (struct upstream_transport), or both; each side is one file and one table here.
 *
 * A turn: the first callback of a pass of the event loop opens it (net_enter tells the exchange the time), all
 * callbacks of the pass work in it, and its end flushes every transport once, so that what belongs together goes out
 * together. */
#ifndef MOONDNS_NET_TRANSPORT_H
#define MOONDNS_NET_TRANSPORT_H

#include "base/clock.h"
#include "base/random.h"
#include "data/address_ranges.h"
#include "data/zone_list.h"
#include "net/datagrams.h"
#include "net/hosts.h"
#include "net/net.h"
#include "net/rate_limit.h"
#include "net/rebind.h"
#include "net/stream_share.h"
#include "net/upstream.h"

#include <event2/event.h>
#include <event2/event_struct.h>
#include <uthash.h>

/* --- the listener side --- */

/* One socket that clients reach. */
struct listener {
    struct net *net;
    const struct server_transport *ops;
    uint32_t index; /* reply_to.listener */
    int fd;         /* -1: closed */
    struct address local;
    bool wildcard;  /* bound to all addresses: each packet tells which one was asked */
    bool guarded;   /* not everybody is allowed */
    bool checks;    /* guarded, or the rate of queries is limited */
    bool inherited; /* others have the same socket, and may use it on */
    bool event_added;
    unsigned crowded; /* UDP: turns to go on with batches of packets */
    unsigned turns;   /* UDP: counts, to look for batches now and then */
    struct event event;
};

struct server_transport {
    enum transport transport;
    int socket_type;
    /* Called for a socket that is bound: sets its options, listens. Gives 0 or errno. */
    int (*open)(struct listener *listener);
    event_callback_fn readable;
    void (*reply)(struct listener *listener, const struct reply_to *to, const uint8_t *wire, size_t length);
    /* Takes no more clients; the answers in flight still go out. */
    void (*stop)(struct listener *listener);
};

extern const struct server_transport udp_server_transport;
extern const struct server_transport tcp_server_transport;

/* The stream clients of one net, over all its listeners. */
struct tcp_server;
struct tcp_server *tcp_server_new(struct net *net);
void tcp_server_free(struct tcp_server *server);
void tcp_server_flush(struct tcp_server *server); /* writes; goes on with queries that had to wait; closes */
void tcp_server_stop(struct tcp_server *server);  /* closes what is idle, and the others once they are answered */
enum part_result tcp_server_reply_part(struct tcp_server *server, const struct reply_to *to, const uint8_t *wire,
                                       size_t length);
void tcp_server_no_reply(struct tcp_server *server, const struct reply_to *to);
void tcp_server_reply_again(struct tcp_server *server, const struct reply_to *to, const uint8_t *wire, size_t length);

/* Resets the connection, or has it give its bytes away slowly from now on. */
void tcp_server_disturb(struct tcp_server *server, const struct reply_to *to, bool reset, uint32_t bytes_per_second);
bool tcp_server_tick(struct tcp_server *server); /* true: there is something to look after */
bool tcp_server_is_empty(const struct tcp_server *server);
bool tcp_server_is_dirty(const struct tcp_server *server); /* tcp_server_flush has work */

/* --- the upstream side --- */

struct upstream_transport;

/* What every channel begins with. Freed at the end of a turn, when it is retired and nothing is pending. */
struct channel_end {
    const struct upstream_transport *ops;
    struct server *server;
    uint32_t number;
    unsigned pending; /* routes that were not released */
    bool retired;     /* takes no more queries */
    bool dead;        /* in the list of those to be freed */
    bool failed;      /* in the list of failures to be told */
    bool keepalive;   /* struct channel's */
    bool worked;      /* gave answers: should it fail, what waits is asked again on another one */
    const char *why;  /* static text */
    struct channel_end *next_dead, *next_failed;
};

enum { UDP_POOL_SIZE = 64 };

struct udp_socket;
struct tcp_channel;

/* A server that is asked, by its address, with its channels. */
struct server {
    struct address address; /* bytes that its family does not use are 0 */
    UT_hash_handle hh;
    unsigned channels; /* open */
    bool is_self;      /* one of our own listeners: never asked */
    int64_t used_us;
    int64_t no_edns_until_us; /* it was found not to know EDNS */

    struct udp_socket *pool[UDP_POOL_SIZE]; /* a ring of the newest */
    unsigned pool_count, pool_next;
    struct udp_socket *current; /* this turn's */
    uint64_t current_turn;
    int64_t fresh_us;         /* when a socket was used for the first time, of late */
    unsigned fresh_queries;   /* since then */
    struct udp_socket *spare; /* opened ahead; not in the pool */

    struct tcp_channel *stream; /* the one that takes queries now */
    struct stream_share share;  /* of connections for few queries */
    struct stream_habit habit;
};

struct upstream_transport {
    enum transport transport;
    enum status (*route)(struct net *net, struct server *server, struct channel_end **out, struct reason *reason);
    /* The same with a channel for one query alone, which is retired already; NULL: it has none. */
    enum status (*route_alone)(struct net *net, struct server *server, struct channel_end **out, struct reason *reason);
    enum status (*send)(struct channel_end *end, const uint8_t *wire, size_t length, struct reason *reason);
    void (*hold)(struct channel_end *end, bool held);            /* gives no more answers for now; may be NULL */
    void (*released)(struct channel_end *end);                   /* `pending` is already one less; may be NULL */
    void (*keepalive)(struct channel_end *end, int64_t idle_us); /* struct exchange_io's; may be NULL */
    void (*retired)(struct channel_end *end);                    /* takes no more queries from now on */
    void (*free)(struct channel_end *end);                       /* closes it; it is retired */
    /* Looks after the server's idle channels. */
    void (*tick)(struct net *net, struct server *server);
};

extern const struct upstream_transport udp_upstream_transport;
extern const struct upstream_transport tcp_upstream_transport;

/* Opens the UDP socket that is wanted next. */
void udp_upstream_open_ahead(struct net *net);

/* Writes what was gathered on stream channels in this turn. */
void tcp_upstream_flush(struct net *net);

/* --- what net.c gives them --- */

enum {
    CHANNEL_SLOTS = 16384,        /* a power of two, above the number of channels at one time */
    STREAM_READ_SIZE = 64 * 1024, /* one read */
};

/* What was read again and does not count yet. */
struct net_lists {
    bool prepared, silent, has_upstreams; /* otherwise the old upstreams stay */
    struct hosts *hosts;                  /* NULL: the old one stays */
    struct zone_list zones;               /* no items: the old ones stay */
    struct upstreams upstreams;
};

/* A query of our own to an upstream that is down. */
struct upstream_probe {
    struct net *net;
    struct flow *flow; /* the exchange's, until it is forgotten; NULL: none */
};
enum { UPSTREAM_PROBES_MAX = 16 /* at one time */ };

struct net {
    struct event_base *base;
    const struct log *log;
    struct net_config config; /* its strings and arrays are not to be used, but for the counts */
    struct exchange *exchange;
    struct exchange_io io;

    struct listener *listeners;
    size_t listener_count;
    struct tcp_server *tcp_server;
    struct datagrams_in *datagrams_in;
    struct datagrams_out *answers_out, *queries_out;
    uint8_t *stream_bytes; /* STREAM_READ_SIZE; each read's, used up within the callback */

    struct upstreams upstreams;
    struct resolv_watch *resolv_watch; /* NULL: nothing comes from resolv.conf, or it cannot be watched */
    struct upstream_probe probes[UPSTREAM_PROBES_MAX];
    struct server *servers, *last_server; /* by address; the one asked last */
    unsigned udp_sockets;
    struct stream_share streams;                 /* of all servers */
    size_t queries_memory;                       /* of what waits to be sent on stream channels */
    struct channel_end *channels[CHANNEL_SLOTS]; /* by number modulo the size */
    uint32_t last_channel;
    struct channel_end *dead, *failed;
    struct tcp_channel *dirty_channels;
    struct server *wants_spare; /* a UDP socket is to be opened ahead for it */

    struct address_ranges allowed;
    bool allowed_given;     /* by the configuration; else it is the private networks */
    char *allowed_text;     /* those given, for people; owned */
    struct rebind *rebind;  /* NULL: no protection */
    int64_t rebind_told_us; /* when a blocked answer was logged last */
    struct hosts *hosts;
    struct zone_list zones;
    struct net_lists next;
    char *hosts_path, *resolv_conf_path;
    struct net_listen *listens; /* all as configured, owned */
    int *inherited;             /* borrowed descriptors */
    struct net_upstream *given_upstreams;

    struct event turn_end_event, deadline_event, tick_event;
    int64_t now_us, wall_us; /* of this turn */
    int64_t deadline_us;     /* that the timer is set to, or -1 */
    uint64_t turn;           /* counts */
    bool turn_open, turn_end_scheduled, ticking, started, stopping, idle_told;
    struct random random;
    struct net_counters counters;
};

/* Says who is served on which listener, once they are bound. */
void net_admission_start(struct net *net);

/* For listeners that check: whether the query is to be taken; false: it was answered, or nobody answers it. */
bool net_admits_query(struct listener *listener, const uint8_t *wire, size_t length, const struct reply_to *to);

/* For guarded listeners: whether a stream client may connect; false: that was counted. */
bool net_admits_client(struct net *net, const struct address *client);

/* struct exchange_io's `blocks`: answers with private addresses (rebind.h). Says so in the log, now and then. */
bool net_blocks_answer(void *context, const struct flow *flow, const struct channel *channel,
                       const struct dns_message *answer, char why[static FLOW_SOURCE_NAME_MAX]);

/* Reads the lists of networks and domains out of the configuration. */
MUST_CHECK enum status net_admission_new(struct net *net, const struct net_config *config);
void net_admission_free(struct net *net);

/* A callback's first and last act: opens the turn unless it is open; ends it unless another event still waits. */
void net_enter(struct net *net);
void net_leave(struct net *net);

/* Sees that the tick (once a second) runs as long as anybody needs it. */
void net_need_tick(struct net *net);

/* Gives the channel a number; STATUS_NO_SPACE when there are too many. */
MUST_CHECK enum status net_channel_add(struct net *net, struct channel_end *end);

/* Takes the number back, of a channel that nobody was given. */
void net_channel_remove(struct net *net, struct channel_end *end);

/* The channel broke: retired at once; the exchange is told at the end of the turn. `why` is static text. */
void net_channel_failed(struct net *net, struct channel_end *end, const char *why);

/* No more queries go on the channel; it is freed once nothing is pending. */
void net_channel_retire(struct net *net, struct channel_end *end);

/* A query goes out; what became of it; there was no way to send it. All for struct channel's `upstream`; `why` is for
 * the log. */
void net_upstream_asked(struct net *net, const struct channel *channel);
void net_upstream_note(struct net *net, const struct channel *channel, enum try_outcome outcome, const char *why);
void net_upstream_unreachable(struct net *net, const struct channel *channel, const char *why);

/* Probes the upstreams that are down, when it is time. True: there are some. */
bool net_probe_upstreams(struct net *net);

/* In words: "connection refused". Static storage. */
const char *net_error_text(int error);

/* Whether a query to this address would come back to a listener of ours. */
bool net_is_self(const struct net *net, const struct address *address);

/* Puts the given upstreams, and where none of them takes every name resolv.conf's servers, in place of `out`'s.
 * `again`: those there are are not given up for a file that names none (STATUS_NOT_FOUND, with the reason). */
MUST_CHECK enum status net_load_upstreams(const struct net *net, bool again, struct upstreams *out,
                                          struct reason *reason);

/* Logs which upstreams are listeners of our own. */
void net_warn_of_self(const struct net *net);

/* Takes resolv.conf's servers as the file changes, where upstreams come from it; has it looked at again. */
void net_resolv_watch_start(struct net *net);
void net_resolv_watch_again(struct net *net);
void net_resolv_watch_stop(struct net *net);

/* Fills in the functions of net->io. */
void net_io_set(struct net *net);

/* Starts and ends what the turns need; net_turns_stop closes all channels. */
void net_turns_start(struct net *net);
void net_turns_stop(struct net *net);

#endif
