/* The exchange: takes one query from its arrival to its answer. It has no sockets and no clock: packets, time and the
 * outside world come through the functions here, so that a test or a fuzzer can be the world. One thread. */
#ifndef MOONDNS_FLOW_EXCHANGE_H
#define MOONDNS_FLOW_EXCHANGE_H

#include "flow/cache/cache.h"
#include "flow/hooks.h"

/* A way to an upstream: one UDP socket or one stream connection. Its number is never used again. */
struct channel {
    uint32_t number;
    struct address server;
    enum transport transport;
    enum upstream_scheme scheme; /* as the upstream was written: only a plain one is asked again over a stream */
    bool no_edns;                /* the server does not know EDNS: it is asked without OPT */
    bool is_down;                /* there is no other server, and this one has not answered lately */
    bool keepalive;              /* a stream that is to be kept, and the server has not said for how long: a query with
                                    OPT asks (edns-tcp-keepalive, RFC 7828) */

    /* The world's own, given back as they were with `release`. */
    uint32_t upstream;
    int64_t routed_us;
};

/* What became of a query on its channel. */
enum try_outcome {
    TRY_ANSWERED,
    TRY_REFUSED, /* answered, but only that the server cannot or will not say (SERVFAIL, REFUSED) */
    TRY_TIMED_OUT,
    TRY_FAILED,    /* the channel broke, or did not take it */
    TRY_ABANDONED, /* nobody waits for it any more; that says nothing of the upstream */
};

struct route {
    const struct flow *flow;
    unsigned attempt; /* 0 for the first try; each further one takes the next upstream */
    bool stream;      /* over a stream: a UDP answer was cut */
    /* The try goes on at the same server, written with this scheme; the attempt's number stays. NULL: it does not. */
    const struct address *again;
    enum upstream_scheme scheme;
    bool transfer;   /* a zone transfer: over a stream where the upstream has one, on a channel of its own */
    unsigned member; /* 1 + which of the `rivals` to ask, whatever it is worth; 0: as the world chooses */
};

/* What became of a part of an answer. */
enum part_result {
    PART_TAKEN,
    PART_FULL, /* and the client has as much before it as it may: exchange_client_ready says when it has room */
    PART_GONE, /* the client is */
};

enum { RIVALS_MAX = 16 };

/* The world outside. All calls return at once; none calls back into the exchange. */
struct exchange_io {
    void *context;

    /* Sends the answer to a client; copies the bytes. A client that is gone is nobody's error. */
    void (*reply)(void *context, const struct reply_to *to, const uint8_t *wire, size_t length);

    /* The same for a message that others follow; at the end comes `reply` or `no_reply`. For stream clients. */
    enum part_result (*reply_part)(void *context, const struct reply_to *to, const uint8_t *wire, size_t length);

    /* Whether the channel, a zone transfer's own, gives no more messages for now. May be NULL. */
    void (*hold)(void *context, const struct channel *channel, bool held);

    /* A query gets no answer: killed, its answer cleared, dropped. Each exchange_query comes to one reply or one
     * no_reply (but for flows that exchange_free ends). May be NULL. */
    void (*no_reply)(void *context, const struct reply_to *to);

    /* Faults on purpose, for a client's answer; both come before its reply or no_reply. Another copy of it; and what
     * happens to the client's connection, if it has one: it is reset, or gives its bytes away at so many a second. May
     * be NULL. */
    void (*reply_again)(void *context, const struct reply_to *to, const uint8_t *wire, size_t length);
    void (*disturb)(void *context, const struct reply_to *to, bool reset, uint32_t bytes_per_second);

    /* The upstreams that are to be asked for this flow at once: `members` for as many routes, at most RIVALS_MAX. Less
     * than 2: one after the other, as ever. May be NULL: always so. */
    unsigned (*rivals)(void *context, const struct flow *flow, uint8_t members[static RIVALS_MAX]);

    /* Chooses the upstream for a try (flow->target, per-domain ones, the list in turn) and a channel to it.
     * STATUS_NOT_FOUND: there is no upstream. STATUS_IO: it cannot be reached; the reason says why, and out->server is
     * set if known. */
    enum status (*route)(void *context, const struct route *route, struct channel *out, struct reason *reason);

    /* Sends a query on the channel; copies the bytes. */
    enum status (*send)(void *context, const struct channel *channel, const uint8_t *wire, size_t length,
                        struct reason *reason);

    /* The server on the channel answered FORMERR or NOTIMP to a query with nothing odd but OPT, without options, and as
     * it should without: from now on its channels say so (no_edns), for a while. May be NULL. */
    void (*no_edns)(void *context, const struct channel *channel);

    /* The server on a stream says for how long the connection may be idle; or it was asked, and does not say (-1). May
     * be NULL. */
    void (*keepalive)(void *context, const struct channel *channel, int64_t idle_us);

    /* Whether an answer from the channel is to be kept from the client; `why` then says so in some words. May be NULL:
     * none is. */
    bool (*blocks)(void *context, const struct flow *flow, const struct channel *channel,
                   const struct dns_message *answer, char why[static FLOW_SOURCE_NAME_MAX]);

    /* One pending query less on the channel. Called once for each successful route. */
    void (*release)(void *context, const struct channel *channel, enum try_outcome outcome);

    /* Answers a flow from local data (hosts file, zones) into `out`, which is empty: STATUS_OK with a whole response
     * (id and question are the client's business and put right here), where it is from, and that one's name (copied;
     * NULL: none), or STATUS_NOT_FOUND. May be NULL. */
    enum status (*local_answer)(void *context, const struct flow *flow, struct buffer *out, enum flow_source *source,
                                const char **source_name);
};

/* A message on its way, as an observer sees it. */
enum passage {
    PASSAGE_CLIENT_QUERY,    /* a well-formed query came; the flow has just begun */
    PASSAGE_CLIENT_ANSWER,   /* went to the client */
    PASSAGE_UPSTREAM_QUERY,  /* went to flow->server */
    PASSAGE_UPSTREAM_ANSWER, /* came from there, and matched; it may be malformed beyond its question */
};

/* Sees flows. Observers form a list that the exchange borrows. */
struct flow_observer {
    struct flow_observer *next;
    void *context;
    void (*finished)(void *context, const struct flow *flow); /* it has ended; not called for scripts' own queries */
    /* The bytes as they came or went, borrowed for the call; of scripts' own queries too. May be NULL, and is so from
     * the beginning or never. */
    void (*passed)(void *context, const struct flow *flow, enum passage passage, struct span wire);
    /* A query that never became a flow (malformed, not allowed, beyond its client's rate) was answered; when it came on
     * the wall clock. May be NULL. */
    void (*turned_away)(void *context, const struct reply_to *to, int64_t wall_us, struct span query,
                        struct span answer);
    /* What was finished since the time was set has gone out. May be NULL. */
    void (*gone_out)(void *context);
};

struct exchange_config {
    int64_t timeout_us;        /* for one try */
    unsigned retries;          /* further tries */
    size_t flows_max;          /* in flight; one beyond that is not asked upstream: SERVFAIL, and counted */
    size_t memory_max;         /* bytes of the messages of flows that wait; beyond it the same for each flow that has
                                  more than its share, memory_max / flows_max. Room kept for reuse counts */
    uint16_t payload_size;     /* what an OPT of ours announces: 1232 */
    uint16_t op_codes_refused; /* bits 1 << op code: what no script answers gets NOTIMP */
    int64_t stream_idle_us;    /* for how long a stream client's idle connection is kept; 0: not to be told */
    bool coalesce;             /* identical questions in flight are asked once. This and the next count for
                                  exchange_new alone */
    size_t cache_entries;      /* answers kept; 0: there is no cache */
};

struct exchange_counters {
    uint64_t queries, responses;                 /* every packet that came as a query; everything sent to clients */
    uint64_t asks;                               /* queries that scripts made */
    uint64_t malformed_answered;                 /* FORMERR sent, BADVERS too */
    uint64_t malformed_dropped;                  /* no header, QR=1: nothing to answer */
    uint64_t overload_refused;                   /* flows_max reached: SERVFAIL */
    uint64_t loops_refused;                      /* asked by the upstream that was asked the same: SERVFAIL */
    uint64_t memory_refused;                     /* memory_max reached: SERVFAIL */
    uint64_t overload_dropped;                   /* there was no memory */
    uint64_t upstream_queries, upstream_answers; /* tries sent; answers that matched */
    uint64_t unmatched_dropped;                  /* answers to nothing that was asked: channel, id or question */
    uint64_t malformed_answers;                  /* matched and malformed: the try is spent */
    uint64_t coalesced;                          /* queries that took another one's answer or failure */
    uint64_t blocked_answers;                    /* kept from their clients by the world */
    uint64_t timeouts, channel_failures, retries;
    uint64_t
        clients_left; /* flows that ended while hooks had them suspended, as their client's connection was closed */
    uint64_t killed, script_responses, hosts_responses, zone_responses, errors;
    uint64_t truncated;  /* answers cut for their client */
    uint64_t unpackable; /* scripts' answers that could not be packed */
    struct cache_counters cache;
};

struct exchange;

/* Borrows io and observers for its life; `hooks` may be NULL (none). NULL when there is no memory. */
struct exchange *exchange_new(const struct exchange_config *config, const struct exchange_io *io, struct hooks *hooks,
                              const struct flow_observer *observers);

/* Ends all flows without an answer and frees everything. */
void exchange_free(struct exchange *exchange);

/* The time, told before anything else is called in a turn: monotonic and wall clock. */
void exchange_set_time(struct exchange *exchange, int64_t monotonic_us, int64_t wall_us);

/* All answers given since then have gone out: tells the observers. */
void exchange_gone_out(struct exchange *exchange);

/* A query came. Copies the bytes. Less than a header, and responses, are dropped; what is malformed otherwise gets
 * FORMERR (DSO, whose form is another one: NOTIMP). */
void exchange_query(struct exchange *exchange, const uint8_t *wire, size_t length, const struct reply_to *to);

/* A query came from a client that is not served, or not now: it gets no answer; REFUSED, with this extended error; or
 * an empty answer with TC. What is malformed, and responses, get none. */
enum turn_away { TURN_AWAY_TRUNCATE, TURN_AWAY_DROP, TURN_AWAY_REFUSE };
void exchange_turn_away(struct exchange *exchange, const uint8_t *wire, size_t length, const struct reply_to *to,
                        enum turn_away how, uint16_t info, const char *text);

/* An answer came on a channel from the server that it is connected to. Copies the bytes. It must have the channel, id,
 * op code and question of a query that waits (RFC 5452 section 9.1), names without regard to case; without any question
 * it is taken where none was asked, for op codes other than QUERY, and where it says no more than FORMERR, SERVFAIL,
 * NOTIMP or REFUSED. Else it is counted and dropped, and the query waits on. */
void exchange_answer(struct exchange *exchange, uint32_t channel, const uint8_t *wire, size_t length);

/* A client whose output was full (PART_FULL) has room again, or is gone. */
void exchange_client_ready(struct exchange *exchange, const struct reply_to *client);

/* A channel broke (connection refused or closed): the try of every query that waits on it is spent. Where it worked, as
 * it gave answers, they are asked again on another one, and no try is spent, up to EXCHANGE_REASKS_MAX times (RFC 7766
 * section 6.2). */
enum { EXCHANGE_REASKS_MAX = 16 };
void exchange_channel_failed(struct exchange *exchange, uint32_t channel, const char *why, bool worked);

/* A stream client's connection is closed: its flows that hooks have suspended end at once; others end when their
 * answers find nobody. Never from within a hook. */
void exchange_client_left(struct exchange *exchange, const struct reply_to *client);

/* The hooks of a suspended flow are done; it goes on where it was parked. May be called from within another flow's
 * hook, not from within a hook of the same flow. */
void exchange_resume(struct exchange *exchange, struct flow *flow);

/* A query that a script makes. */
struct exchange_ask {
    const struct dns_name *name; /* borrowed for the call */
    uint16_t type, class_;
    struct upstream_target target; /* AF_UNSPEC: the configured upstreams */
    bool locally;                  /* local data (exchange_io.local_answer) counts, before the cache */
    bool unguarded; /* what the world keeps from clients (exchange_io.blocks) is not kept from this one, which no client
                       sees. A target of its own says so too. */
    int64_t timeout_us; /* for all tries together, the last one takes what is left; 0: as for a client's query */

    /* It has finished. Never called from within exchange_ask or exchange_forget, nor while another hook runs. */
    void (*finished)(void *context);
    void *context;
};

/* Asks upstream (or the cache), as for a client, but that hooks and observers are left out and the whole answer is
 * wanted. The flow is the caller's to read, and to give back with exchange_forget. When `finished_us` is not 0 it has
 * finished (perhaps at once, and then ask->finished is not called): it has a response, or says in `error` why not.
 * May be called from within a hook. STATUS_NO_SPACE: flows_max is reached; flows of clients count as well. */
MUST_CHECK enum status exchange_ask(struct exchange *exchange, const struct exchange_ask *ask, struct flow **out);

/* Ends what exchange_ask gave, finished or not. exchange_free does so too, when all other flows have ended. */
void exchange_forget(struct exchange *exchange, struct flow *flow);

/* The monotonic time at which exchange_expire has work to do, or -1. */
int64_t exchange_next_deadline(const struct exchange *exchange);
void exchange_expire(struct exchange *exchange);

/* Another timeout for one try, and number of further tries, from the next try on. */
void exchange_set_tries(struct exchange *exchange, int64_t timeout_us, unsigned retries);

/* Frees flows that are kept for reuse, but for a few hundred. May be called from outside of a hook. */
void exchange_trim(struct exchange *exchange);

/* Makes another generation of scripts the current one, for queries that come from now on. */
void exchange_set_hooks(struct exchange *exchange, struct hooks *hooks);

/* Changes what may change while it runs (time-out and retries count for tries to come). */
void exchange_set_config(struct exchange *exchange, const struct exchange_config *config);

/* Drops the kept answers for the name (uncompressed) and those below it, NULL: all; answers to what was asked before
 * are not kept either. Gives their number. May be called from within a hook. */
size_t exchange_flush_cache(struct exchange *exchange, const uint8_t *name);

size_t exchange_flows(const struct exchange *exchange);  /* in flight, without those of exchange_ask */
size_t exchange_asks(const struct exchange *exchange);   /* those */
size_t exchange_memory(const struct exchange *exchange); /* bytes of the messages of flows that wait */

/* What the cache holds; zeros where there is none. */
struct exchange_cache_size {
    size_t entries, bytes;
};
struct exchange_cache_size exchange_cache_size(const struct exchange *exchange);
const struct exchange_counters *exchange_counters(const struct exchange *exchange);

#endif
