/* What the exchange's own files share. A flow goes through steps; each step does its work and names the next one, until
 * the flow waits (for an answer, or for a suspended hook) or has ended. */
#ifndef MOONDNS_FLOW_EXCHANGE_PRIVATE_H
#define MOONDNS_FLOW_EXCHANGE_PRIVATE_H

#include "flow/exchange.h"
#include "flow/pending.h"
#include "flow/transfer.h"

enum step {
    STEP_REQUEST,      /* request hooks */
    STEP_REQUEST_DONE, /* who answers? */
    STEP_FORWARD,      /* the next try at an upstream */
    STEP_RESPONSE,     /* there is a response: response hooks */
    STEP_RESPONSE_DONE,
    STEP_ERROR, /* flow->error is set: error hooks */
    STEP_ERROR_DONE,
    STEP_REPLY, /* the response goes to the client */
    STEP_END,   /* the flow is over */
    STEP_WAIT,  /* not a step: the flow is parked; flow.state says where it goes on */
};

/* A flow with what only the exchange knows. */
struct exchange_flow {
    struct flow flow;                      /* first: each struct flow of an exchange is the start of one of these */
    struct exchange_flow *previous, *next; /* all that are under way */
    struct pending pending;                /* while an upstream is asked … */
    struct channel channel;                /* … on this channel */

    /* From here to `failure` all are zero at the beginning. */
    bool suspended;                  /* hooks run; flow.state is the step after them */
    bool parked;                     /* in exchange->parked */
    bool replied;                    /* something went to the client */
    bool delayed;                    /* `pending` keeps time for an answer that goes out later, or has done so */
    bool is_ask;                     /* a script's query … */
    bool unguarded;                  /* … that no answer is kept from */
    bool blocked;                    /* its response stands for an answer that was */
    bool stream_again;               /* the answer came cut: this try goes on over a stream */
    bool plain_again;                /* the server did not understand OPT: this try goes on without */
    bool blames_edns;                /* … and that OPT was one that every server with EDNS understands */
    bool without_opt;                /* the upstream was asked without the request's OPT */
    bool keepalive;                  /* it was asked for how long its connection may be idle */
    bool transfers;                  /* a zone transfer is asked for, over a stream; the next four are for such alone */
    bool more;                       /* the response is a message that others follow … */
    bool began;                      /* … and the client has got one already */
    bool busy;                       /* hooks have it */
    bool full;                       /* the client has to read first; in exchange->full */
    bool leads;                      /* it asks for others too, as their questions are the same; in exchange->leaders */
    bool follows;                    /* or another one asks for it */
    bool has_failed;                 /* a try has, as `failure` says */
    uint8_t reasks;                  /* tries made again as a channel that worked was closed */
    uint8_t member;                  /* struct route's, of a runner; 0: it is none */
    uint16_t failure_info;           /* of `failure`, as an extended error */
    size_t memory;                   /* of its messages, as the exchange has counted it */
    int64_t deadline_us;             /* of a script's query: monotonic; 0: none */
    struct exchange_flow *runners;   /* of this flow, chained by next_runner */
    struct exchange_flow *race;      /* whose runner this is; NULL: nobody's, or one that went on without it */
    struct exchange_flow *followers; /* the newest first, by next_follower */
    char failure[FLOW_ERROR_MAX];    /* how the last try failed */

    struct exchange_flow *previous_parked, *next_parked;
    struct exchange_flow *next_full;
    struct transfer transfer;
    uint32_t flushes; /* of the cache, when the upstream was asked */

    /* Of scripts' queries alone. */
    bool being_made; /* exchange_ask has not returned */
    void (*finished)(void *context);
    void *context;

    /* Identical questions in flight (exchange_coalesce.c). */
    struct exchange_flow *next_leader; /* of the same bucket; `*leader_link` is this flow */
    struct exchange_flow **leader_link;
    struct exchange_flow *next_follower;

    /* Where several upstreams are asked at once, each by a flow of its own (exchange_race.c). */
    struct exchange_flow *next_runner; /* of the same flow */
    unsigned running;                  /* runners that have not finished */
};

struct exchange {
    struct exchange_config config;
    const struct exchange_io *io;
    const struct flow_observer *observers;
    bool watched;        /* one of them sees messages pass */
    bool awaited;        /* one of them wants to know when answers have gone out */
    struct hooks *hooks; /* the current generation; borrowed */
    struct exchange_counters counters;
    struct pending_table pending;
    struct random random;
    struct cache *cache; /* NULL: none */
    int64_t monotonic_us, wall_us;
    struct exchange_flow *active;  /* chained by previous and next */
    struct exchange_flow *full;    /* zone transfers whose clients have to read first, by next_full */
    struct exchange_flow **parked; /* suspended flows of stream clients, by connection; NULL: none so far */
    size_t active_count, ask_count;
    size_t memory;     /* of the messages of flows, as they were when each last began to wait */
    size_t share;      /* a flow with messages no longer than that is never refused for it */
    struct flow *free; /* chained by flow.next; owned */
    size_t free_count;
    struct exchange_flow **leaders; /* buckets; owned; NULL: nothing is coalesced */
    uint64_t leaders_seed;
    uint64_t serial;
    uint32_t tag;
    struct buffer expanded; /* for the reader of a message that is packed anew */
    struct buffer scratch;  /* for a message on its way out; nobody's across a call of hooks */
};

static inline struct exchange_flow *exchange_flow_of(struct flow *flow)
{
    return (struct exchange_flow *)flow;
}

/* Takes the flow through its steps, from this one on, until it waits or has ended. */
void exchange_advance(struct exchange *exchange, struct exchange_flow *flow, enum step step);

/* Ends the flow: hooks and observers see it, then it is reused. */
void exchange_end(struct exchange *exchange, struct exchange_flow *flow);

/* Steps, and what belongs to them. */
enum step exchange_forward(struct exchange *exchange, struct exchange_flow *flow);
enum step exchange_send_again(struct exchange_flow *flow);
enum step exchange_reply(struct exchange *exchange, struct exchange_flow *flow);

/* How a try failed; `info` is an extended error's. */
void exchange_fail_try(struct exchange_flow *flow, const char *why, uint16_t info);

/* Whether the answer, with an error's code, says that the server does not understand OPT: then the try goes on without.
 */
bool exchange_goes_plain(struct exchange_flow *flow, const struct dns_message *answer);

/* Takes an answer's message over as the flow's response. */
MUST_CHECK enum status exchange_take_response(struct exchange *exchange, struct exchange_flow *flow,
                                              const struct dns_message *answer);

/* Zone transfers (exchange_transfer.c): a message that matched came; a message that others follow goes to the client
 * (of no length: it is left out); what comes after is not wanted; the flow leaves the list of those whose clients are
 * full.
 */
void exchange_transfer_answer(struct exchange *exchange, struct exchange_flow *flow, const uint8_t *wire,
                              size_t length);
enum step exchange_reply_part(struct exchange *exchange, struct exchange_flow *flow, struct span wire);
void exchange_transfer_stop(struct exchange *exchange, struct exchange_flow *flow);
void exchange_forget_full(struct exchange *exchange, struct exchange_flow *flow);

/* A script's query has finished: it waits for exchange_forget. */
enum step exchange_ask_ended(struct exchange *exchange, struct exchange_flow *flow);

/* The flow of a stream client is suspended, and is it no longer (it must have been parked). */
void exchange_park(struct exchange *exchange, struct exchange_flow *flow);
void exchange_unpark(struct exchange *exchange, struct exchange_flow *flow);

/* Makes an answer from local data (hosts file, zones) the flow's response; false: there is none. */
bool exchange_answer_locally(struct exchange *exchange, struct exchange_flow *flow);

/* Makes a kept answer the flow's response; false: there is none. */
bool exchange_answer_from_cache(struct exchange *exchange, struct exchange_flow *flow);

/* Keeps the upstream's answer to the flow's request, where that may be. */
void exchange_keep_answer(struct exchange *exchange, const struct exchange_flow *flow,
                          const struct dns_message *answer);

/* Takes the flow's query off its channel, or its answer off its delay. */
void exchange_stop_waiting(struct exchange *exchange, struct exchange_flow *flow, enum try_outcome outcome);

/* Where the world keeps the answer from the client: puts an empty one in its place, and gives true. */
bool exchange_block_answer(struct exchange *exchange, struct exchange_flow *flow, const struct dns_message *answer);

/* Asks several upstreams at once where the world wants that; false: it does not. `*next` is the flow's next step. */
bool exchange_race(struct exchange *exchange, struct exchange_flow *flow, enum step *next);

/* A runner has finished. */
enum step exchange_race_ended(struct exchange *exchange, struct exchange_flow *runner);

/* The flow goes on, or ends, without its runners: those still under way end by themselves, after the try they are at.
 */
void exchange_race_leave(struct exchange *exchange, struct exchange_flow *flow);

/* The runner ends before its flow, which will end without a result. */
void exchange_race_drop(struct exchange_flow *runner);

/* Makes the table of those that lead. */
MUST_CHECK enum status exchange_coalesce_start(struct exchange *exchange);

/* True: another flow asks what this one is about to, which has its answer when that one has. Else it may lead. */
bool exchange_follow(struct exchange *exchange, struct exchange_flow *flow);

/* The leader has come to this step: STEP_RESPONSE with the upstream's answer, STEP_ERROR, or STEP_FORWARD, where it
 * ends without a result and its followers go on by themselves. They take theirs. */
void exchange_lead_on(struct exchange *exchange, struct exchange_flow *leader, enum step step);

/* All end. */
void exchange_coalesce_forget(struct exchange_flow *leader);

/* Makes the message in `scratch` the flow's response. */
MUST_CHECK enum status exchange_set_response(struct exchange *exchange, struct exchange_flow *flow,
                                             enum flow_source source);

/* Makes an error of the proxy's own the flow's response; where there is no memory for it, there is none. A client that
 * sent OPT is told why, where flow->error says (RFC 8914 section 2: with any response code). */
void exchange_fail(struct exchange *exchange, struct exchange_flow *flow, uint16_t response_code);
void exchange_servfail(struct exchange *exchange, struct exchange_flow *flow);

/* Whether OPT holds options of one connection (edns-tcp-keepalive, padding) that can be taken out: the message bears no
 * signature. */
bool exchange_has_hop_options(const struct dns_message *message);

/* Has the upstream told that its connection is to be kept (RFC 7828 section 3.2.1), where OPT has room for it; gives
 * whether it is. And what the answer says of that: microseconds, or -1 for nothing. */
bool exchange_add_keepalive(struct buffer *wire);
int64_t exchange_keepalive_of(const struct dns_message *answer);

/* Takes them out. */
MUST_CHECK enum status exchange_remove_hop_options(struct buffer *wire);

/* A new flow for a query that was checked, or NULL when there is no memory. */
struct exchange_flow *exchange_flow_new(struct exchange *exchange, const struct dns_message *query,
                                        const struct reply_to *to, struct hooks *hooks);

/* The same in steps: a flow that is not under way yet, or NULL when there is no memory; it begins, once its query is
 * set; or it goes back, as those do that have ended. */
struct exchange_flow *exchange_flow_take(struct exchange *exchange);
void exchange_flow_begin(struct exchange *exchange, struct exchange_flow *flow, const struct reply_to *to,
                         struct hooks *hooks);
void exchange_flow_give_back(struct exchange *exchange, struct exchange_flow *flow);

/* Shows the observers a message; to be called where exchange->watched. */
void exchange_show(const struct exchange *exchange, const struct flow *flow, enum passage passage, struct span wire);

/* Counts the memory of the flow's messages; to be called when it begins to wait. */
static inline void exchange_weigh(struct exchange *exchange, struct exchange_flow *flow)
{
    const struct flow *plain = &flow->flow;
    const size_t memory = plain->query.wire.capacity + plain->request.wire.capacity + plain->response.wire.capacity;
    exchange->memory += memory - flow->memory;
    flow->memory = memory;
}

/* Whether the messages of flows take `most` bytes already, and those of this one are more than its share of that. */
static inline bool exchange_is_crowded(const struct exchange *exchange, const struct flow *flow, size_t most)
{
    return exchange->memory >= most &&
           flow->query.wire.length + flow->request.wire.length + flow->response.wire.length > exchange->share;
}

/* There is some room beyond flows_max and memory_max, for queries that scripts or others than upstreams answer, and for
 * the upstreams' answers that hooks take their time with. */
static inline size_t exchange_with_room(size_t most)
{
    enum { ROOM_SHARE = 4 };
    return most + most / ROOM_SHARE;
}

/* Gives the flow its error in place of any response, and counts that. */
enum step exchange_refuse_memory(struct exchange *exchange, struct exchange_flow *flow);

/* Whether the flow, which is about to be asked upstream, came back from there: so many (nearly) wait already for the
 * same, at a server of its client's address. To be called where as many are in flight. */
enum { EXCHANGE_LOOP_FLOWS = 2048 };
bool exchange_loops(struct exchange *exchange, const struct exchange_flow *flow);
extern const char exchange_loop_text[];

/* Why a query is not served that comes while flows_max are in flight, or these take memory_max. */
extern const char exchange_overload_text[], exchange_memory_text[];

/* Answers a query that never becomes a flow with the message in `scratch`. */
void exchange_reply_away(struct exchange *exchange, const struct reply_to *to, struct span query);

/* Frees a flow that has ended. */
void exchange_flow_free(struct exchange_flow *flow);

#endif
