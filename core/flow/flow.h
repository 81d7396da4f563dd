/* A flow: one query on its way to an answer, as plain data. The exchange owns flows and drives them; hooks and
 * observers read them and change them only through the functions here. */
#ifndef MOONDNS_FLOW_FLOW_H
#define MOONDNS_FLOW_FLOW_H

#include "base/address.h"
#include "dns/message.h"

enum transport { TRANSPORT_UDP, TRANSPORT_TCP, TRANSPORT_TLS, TRANSPORT_HTTPS, TRANSPORT_QUIC };

/* "udp", "tcp", "tls", "https", "quic". */
const char *transport_name(enum transport transport);

/* True for all but UDP: no size limit but the frame's, and an order of its own. */
static inline bool transport_is_stream(enum transport transport)
{
    return transport != TRANSPORT_UDP;
}

/* Where an answer goes. Held by value; names a listener and, for streams, a connection by numbers that are never used
 * twice, so that a connection which is gone is noticed and never mistaken. */
struct reply_to {
    enum transport transport;
    struct address client, local;
    uint64_t connection;      /* a stream connection's serial number; 0 for UDP */
    uint32_t listener;        /* index of the listener */
    uint32_t interface_index; /* UDP on a wildcard address: where the packet came in (IP_PKTINFO), else 0 */
    int64_t connected_us;     /* wall clock: a stream's start; UDP: the packet's arrival */
};

/* An upstream as it is written: [SCHEME://]ADDR[:PORT]. */
enum upstream_scheme {
    UPSTREAM_PLAIN, /* no scheme: UDP, and TCP where an answer was cut and the client is a stream */
    UPSTREAM_UDP,
    UPSTREAM_TCP,
    UPSTREAM_TLS,
    UPSTREAM_HTTPS,
};

struct upstream_target {
    enum upstream_scheme scheme;
    struct address address; /* AF_UNSPEC: none */
};

/* Takes "ip", "ip:port", "scheme://ip:port"; the port defaults to the scheme's (53, 853, 443). */
MUST_CHECK enum status upstream_target_from_text(const char *text, size_t length, struct upstream_target *out,
                                                 struct reason *reason);

/* A message that the proxy holds: wire bytes and the checked view over them. */
struct flow_message {
    struct buffer wire;
    bool present;
    int64_t timestamp_us;    /* wall clock; -1: none */
    struct dns_message view; /* over `wire` */
};

/* Copies the bytes in and checks them; STATUS_MALFORMED leaves the message as it was. */
MUST_CHECK enum status flow_message_set(struct flow_message *message, const uint8_t *wire, size_t length,
                                        int64_t timestamp_us, struct reason *reason);

/* The same for a message that holds nothing: where it fails, its room may have been written to. */
MUST_CHECK enum status flow_message_fill(struct flow_message *message, const uint8_t *wire, size_t length,
                                         int64_t timestamp_us, struct reason *reason);

/* The same for bytes that are parsed already: copies them and moves the view over the copy. STATUS_NO_MEMORY leaves the
 * message as it was. */
MUST_CHECK enum status flow_message_adopt(struct flow_message *message, const struct dns_message *parsed,
                                          int64_t timestamp_us);

/* Takes the message away and keeps its memory; frees the memory too. */
void flow_message_clear(struct flow_message *message);
void flow_message_free(struct flow_message *message);

/* Who made the response that the flow holds. */
enum flow_source {
    FLOW_SOURCE_NONE,
    FLOW_SOURCE_UPSTREAM,
    FLOW_SOURCE_SCRIPT, /* flow->source_name says which */
    FLOW_SOURCE_HOSTS,
    FLOW_SOURCE_ZONE,  /* flow->source_name is its file's */
    FLOW_SOURCE_CACHE, /* an upstream's, kept from an earlier flow */
    FLOW_SOURCE_PROXY, /* an error that the proxy itself answers with */
};

enum { FLOW_ERROR_MAX = 160, FLOW_SOURCE_NAME_MAX = 64 };

struct hooks;
struct flow_faults;

/* What each query touches stands together, in as few lines of the processor's cache as may be: a flow is allocated at
 * the start of one. */
struct flow {
    struct flow *next; /* the free list, or a queue */
    unsigned references;
    unsigned state;  /* private to the exchange */
    uint64_t serial; /* counts up from 1 for each exchange; with `exchange_tag` it makes the id */
    uint32_t exchange_tag;
    struct hooks *hooks; /* the generation of scripts that it began with */
    void *wrapper;       /* the hooks' own; NULL: they hold nothing of this flow */
    int64_t created_us;  /* wall clock */
    int64_t started_us;  /* monotonic */
    struct reply_to reply_to;

    /* From here to `error` all are zero at the beginning. */
    int64_t finished_us; /* monotonic; 0 while it is under way */

    /* upstream */
    struct upstream_target target; /* set by a script for this query alone; AF_UNSPEC: the configured ones */
    enum transport server_transport;
    struct address server; /* the last one asked */
    bool asked;            /* a query went out, or was tried to; `server` and `server_transport` hold */
    bool resend;           /* a script sends the query again once its hooks are done; … */
    bool killed, intercepted, is_replay;
    bool dropped;      /* killed, and that on purpose: no error */
    bool unpackable;   /* a script's response could not be packed: SERVFAIL goes out */
    bool cache_hit;    /* the answer came from the cache, whatever scripts made of it since */
    int64_t asked_us;  /* wall clock, of the last try */
    unsigned tries;    /* used so far */
    unsigned resends;  /* … how often one has done so */
    uint64_t records;  /* of a zone transfer that came, in so many … */
    unsigned messages; /* … messages; 0: this is none, or nothing came */
    enum flow_source source;
    uint16_t error_info; /* what `error` is in an extended error (RFC 8914 section 4) */

    char error[FLOW_ERROR_MAX];             /* "" for none: "time-out" … */
    char source_name[FLOW_SOURCE_NAME_MAX]; /* of the script or zone; or why the answer is the proxy's own */
    int64_t error_us;                       /* wall clock, where there is an error */

    /* A script's notes, synchronised when a flow ends; owned (malloc), NULL for none. */
    char *marked, *comment, *metadata; /* metadata as JSON text of an object */

    char *script_error; /* what the client is told of a script's error (extended error); owned; NULL: nothing */

    struct flow_faults *faults; /* done to the answer on its way out (flow/faults.h); owned; NULL: none */

    struct flow_message query;    /* as it came from the client; never changes */
    struct flow_message response; /* what the client gets, so far */
    struct flow_message request;  /* present only when a script changed it; then this goes upstream */
};

/* The message that goes upstream: the edited one, else the query. */
static inline const struct flow_message *flow_request(const struct flow *flow)
{
    return flow->request.present ? &flow->request : &flow->query;
}

/* Unique text, at most 32 characters with NUL; returns `out`. */
enum { FLOW_ID_MAX = 40 };
const char *flow_id(const struct flow *flow, char out[static FLOW_ID_MAX]);

/* What hooks do to a flow. All copy what they are given. Where a response fails to be set, the flow is left without one
 * and marked as by flow_response_unpackable. A script's with more than one OPT record, or with one outside additionals,
 * fails (STATUS_INVALID). */
MUST_CHECK enum status flow_set_response(struct flow *flow, const uint8_t *wire, size_t length, enum flow_source source,
                                         const char *source_name, struct reason *reason);

/* The same for a message that is parsed already. */
MUST_CHECK enum status flow_adopt_response(struct flow *flow, const struct dns_message *parsed, enum flow_source source,
                                           const char *source_name, struct reason *reason);

/* The same for the first response, made in flow->response itself: its bytes, and the view over them. All of
 * `source_name` is copied. */
MUST_CHECK enum status flow_take_response(struct flow *flow, enum flow_source source,
                                          const char source_name[static FLOW_SOURCE_NAME_MAX], struct reason *reason);
void flow_clear_response(struct flow *flow);

/* A script's response could not be packed: the flow has none, and SERVFAIL goes out unless a later one is set or the
 * response is cleared by a script. */
void flow_response_unpackable(struct flow *flow);
MUST_CHECK enum status flow_set_request(struct flow *flow, const uint8_t *wire, size_t length, struct reason *reason);
void flow_set_error(struct flow *flow, const char *text, int64_t wall_us); /* "" clears; `error_info` is Other */
void flow_kill(struct flow *flow);

/* The client, if it sent OPT, is to be told of this error of a script's with whatever answer goes out (RFC 8914). The
 * first one counts. Cut at DNS_EDE_TEXT_MAX bytes, between characters; `text` is UTF-8. Without memory nobody is told.
 */
void flow_tell_script_error(struct flow *flow, const char *text, size_t length);
void flow_drop(struct flow *flow);

/* In a response or error hook: the query goes out again, to `target` (AF_UNSPEC: to the configured upstreams), and what
 * comes goes through the hooks again; the answer or error there is counts no more. False: it did FLOW_RESENDS_MAX times
 * already. */
enum { FLOW_RESENDS_MAX = 8 };
bool flow_resend(struct flow *flow, const struct upstream_target *target);

#endif
