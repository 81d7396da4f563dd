/* The network side of one worker, on libevent: listeners, upstreams, resolv.conf, hosts file, zones. It is the
 * exchange's world (struct exchange_io) and feeds it. One thread; no function here may be called from another.
 *
 * Order of life: net_new, net_bind (needs the rights), exchange_new with net_io, net_start, the event
 * loop, net_stop_listening, on_idle, exchange_free, net_free. */
#ifndef MOONDNS_NET_NET_H
#define MOONDNS_NET_NET_H

#include "base/log.h"
#include "flow/exchange.h"

struct event_base;
struct net;

struct address_prefix;
struct rate_limit;

enum { NET_LISTEN_PORT = 5300 /* where -l names no port */ };

/* One -l. */
struct net_listen {
    unsigned transports;    /* bits 1 << enum transport; no scheme: UDP and TCP */
    struct address address; /* port 0: any that is free, the same for all transports */
};

/* One -u. */
struct net_upstream {
    struct upstream_target target;
    struct dns_name domain; /* queries for this name and below go here; the root: all that no other domain takes */
};

/* Takes "[SCHEME://]ADDR[:PORT]". STATUS_INVALID, and the reason says what works, for schemes that are not there. */
MUST_CHECK enum status net_listen_from_text(const char *text, size_t length, struct net_listen *out,
                                            struct reason *reason);

/* Which upstream of a domain is asked. One that does not answer rests, and is probed until it does; where all rest,
 * they are asked all the same. */
enum net_upstream_policy {
    NET_UPSTREAM_FIRST,       /* in order: the next only where the one before fails */
    NET_UPSTREAM_ROUND_ROBIN, /* in turn */
    NET_UPSTREAM_FASTEST,     /* the one with the shortest round trip */
    NET_UPSTREAM_ALL,         /* all at once: the first good answer counts */
};

/* What it points to is borrowed for net_new alone, but for `log` and `context`. */
struct net_config {
    const struct net_listen *listens;
    size_t listen_count;
    const int *inherited; /* sockets that are bound (and listen) already; each net has duplicates of its own */
    size_t inherited_count;
    const struct net_upstream *upstreams;
    size_t upstream_count;
    enum net_upstream_policy upstream_policy;
    const char *resolv_conf;  /* its servers are asked where `upstreams` has none for the root; NULL: nobody is */
    const char *hosts;        /* a hosts file, or NULL */
    const char *const *zones; /* master files, ended by NULL; or NULL */
    bool reuse_port;          /* there are several workers, each with a net of its own on the same ports */

    /* Who is served; others get REFUSED, and over streams the end of their connection. NULL: listeners on a loopback
     * address serve everybody, others loopback, private and link-local networks. */
    const struct address_prefix *allowed;
    size_t allowed_count;
    bool allow_all; /* everybody, whatever `allowed` says */

    struct rate_limit *rate_limit; /* borrowed for the net's life; several nets may share one. NULL: none */
    enum turn_away rate_action;    /* TURN_AWAY_TRUNCATE: streams are not limited */

    bool rebind_protection;                /* private addresses in answers are kept from clients … */
    const struct dns_name *rebind_allowed; /* … but for these domains, and those that have upstreams of their own */
    size_t rebind_allowed_count;

    int64_t tcp_idle_us;                 /* without a whole query, or with an answer that is not taken */
    unsigned tcp_connections_max;        /* of clients; the one idle for longest makes room, else it is refused */
    unsigned tcp_connections_per_client; /* by IP address; the same */
    unsigned tcp_pipeline_max;           /* queries in flight on one connection; above, it is not read from */
    size_t tcp_output_max;               /* bytes of answers waiting on one connection; the same */
    size_t tcp_memory_max;               /* of all answers waiting and of queries half sent; above, a connection with
                                            more than its share is closed. As much again of queries that wait to be
                                            sent to upstreams; above, those with much waiting get no more */
    int64_t upstream_idle_us;            /* streams and UDP sockets that nothing waits on are closed after this */
    unsigned upstream_sockets_max;       /* UDP sockets open at one time */
    unsigned descriptors_max; /* this net may open so many; where that is less than the limits above need, they
                                 are lowered. 0: what the process may (RLIMIT_NOFILE) */

    /* A stream client came or went. May be NULL. */
    void (*on_connection)(void *context, const struct reply_to *connection, bool connected);
    /* Once, after net_stop_listening: no query is in flight and all answers are written. May be NULL. */
    void (*on_idle)(void *context);
    void *context;
    const struct log *log;
    bool silent; /* another net of this process says the same: what concerns all of them is not logged */
};

/* The defaults: no listener, no upstream but /etc/resolv.conf's. */
struct net_config net_config_defaults(void);

/* Reads resolv.conf, the hosts file and the zones; opens nothing. STATUS_INVALID for a scheme that is not there,
 * STATUS_IO for a file that cannot be read, others for what is wrong in a zone (zone_load), each with the reason. */
MUST_CHECK enum status net_new(struct event_base *base, const struct net_config *config, struct net **out,
                               struct reason *reason);

/* Opens every listener. `sibling` is NULL, or the net of a first worker that is bound: this one then shares its ports
 * (reuse_port), those it chose included. A port that anybody else holds is an error. The reason says what to do. */
MUST_CHECK enum status net_bind(struct net *net, const struct net *sibling, struct reason *reason);

/* The world for the exchange; lives as long as the net. */
const struct exchange_io *net_io(struct net *net);

/* Starts to serve; borrows the exchange. */
MUST_CHECK enum status net_start(struct net *net, struct exchange *exchange, struct reason *reason);

/* To be called in the event loop before anything is done to the exchange from outside (exchange_resume): tells it the
 * time, and sees that what it sends goes out and its deadline is kept when this turn of the loop ends. */
void net_turn(struct net *net);

/* Closes the listeners and idle connections; what is in flight is still answered. Then on_idle. Called from the event
 * loop, not from within a hook. */
void net_stop_listening(struct net *net);
bool net_is_idle(const struct net *net);

/* Closes everything. The exchange must be gone (or never started). */
void net_free(struct net *net);

/* Reads the hosts file, the zones and resolv.conf again, for net_take_lists. What cannot be used is logged (unless
 * `silent`), and the old one is to stay; false then. */
MUST_CHECK bool net_prepare_lists(struct net *net, bool silent);

/* What was prepared, if anything, counts from now on. */
void net_take_lists(struct net *net);

/* What was prepared, if anything, is thrown away. */
void net_drop_lists(struct net *net);

struct net_counters {
    uint64_t udp_queries, udp_answers;
    uint64_t udp_receive_dropped; /* by the kernel: our buffer was full */
    uint64_t udp_send_dropped;    /* answers the kernel did not take */
    uint64_t tcp_accepted, tcp_closed;
    uint64_t tcp_refused;   /* by a limit, or for lack of descriptors */
    uint64_t tcp_evicted;   /* that made room: idle ones, or with many answers not taken */
    uint64_t tcp_timed_out; /* idle, half-sent, not taking its answers */
    uint64_t tcp_empty_frames;
    uint64_t prohibited;   /* queries and connections of clients that are not allowed */
    uint64_t rate_limited; /* queries beyond a client's rate */
    uint64_t tcp_gone;     /* answers whose client had left */
    uint64_t upstream_sockets_opened, upstream_sockets_failed;
    uint64_t upstream_send_dropped;
    uint64_t upstream_connections_opened, upstream_connections_failed;
    uint64_t tcp_connections;  /* open now */
    uint64_t upstream_sockets; /* open now */
};
struct net_counters net_counters(const struct net *net);

/* The configured upstreams, in the order in which they are looked through. A reload may change them. */
struct net_upstream_stats {
    const struct net_upstream *upstream; /* borrowed until the next turn; address AF_UNSPEC: a domain's `none` */
    bool up;
    uint64_t queries; /* tries sent */
    uint64_t answers, timeouts;
    uint64_t failures; /* refused, closed, unreachable: one for each query that it cost */
    uint64_t probes;   /* while it was down */
    int64_t rtt_us;    /* smoothed; 0: not known */
};
size_t net_upstream_count(const struct net *net);
struct net_upstream_stats net_upstream_stats(const struct net *net, size_t index);

/* Append "127.0.0.1:5300 (udp, tcp)" with the real ports, and "9.9.9.9:53" ("none"); several are joined by ", ". */
void net_describe_listeners(const struct net *net, struct buffer *out);
void net_describe_upstreams(const struct net *net, struct buffer *out);

/* Appends who is served where not everybody is: "loopback and private networks"; "192.0.2.0/24, ::1". Nothing
 * otherwise. */
void net_describe_clients(const struct net *net, struct buffer *out);

/* The address of the first listener with its real port, for the line to try; AF_UNSPEC when there is none. */
struct address net_first_address(const struct net *net);

#endif
