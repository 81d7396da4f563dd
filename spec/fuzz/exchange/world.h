/* What the parts of exchange_fuzz.c share: the world of one run. The input is a program: what happens, what scripts do
 * and how the world answers are all read from it as they come. */
#ifndef MOONDNS_FUZZ_EXCHANGE_WORLD_H
#define MOONDNS_FUZZ_EXCHANGE_WORLD_H

#include "flow/exchange.h"
#include "messages.h"

enum {
    QUERIES_MAX = 256, /* of one run; reply_to.connection is a query's number */
    SENT_MAX = 64,     /* the last ones sent upstream are remembered */
    PARKED_MAX = 16,
    GENERATIONS = 4,
    ASKS_MAX = 8, /* queries of scripts' own at one time */
};

struct client_query {
    struct buffer wire;
    bool ended;
    enum transport transport;
};

struct sent_query {
    struct buffer wire;
    uint32_t channel;
};

struct asked {
    struct world *world;
    struct flow *flow;
    bool being_made, finished;
};

struct world {
    struct cursor input;
    struct exchange *exchange;
    struct client_query queries[QUERIES_MAX];
    struct sent_query sent[SENT_MAX];
    struct flow *parked[PARKED_MAX];
    struct flow *seen; /* the last one that a hook saw, while it is under way */
    struct hooks generations[GENERATIONS];
    struct asked asked[ASKS_MAX];
    size_t query_count, sent_count, routed, released, held;
    int64_t now_us;
    bool no_edns;       /* some server was found not to know EDNS */
    bool races, blocks; /* several upstreams may be asked at once; answers may be kept from clients */
};

/* Bytes of the input, whose length is in the input. */
struct span world_take_some(struct world *world);

/* Changes some bytes as the input says. */
void world_disturb(struct world *world, struct buffer *wire);

/* The exchange's world, which checks what it is asked for, and its observer, which checks what flows are. */
struct exchange_io world_io(struct world *world);
struct flow_observer world_observer(struct world *world);

/* Scripts: hooks that do what the input says. `defined` as in struct hooks. */
struct hooks world_hooks(struct world *world, unsigned defined);

/* What waits under that number, if anything, goes on. */
void world_resume(struct world *world, size_t number);

/* A script asks something itself, or forgets what it asked. */
void world_ask_or_forget(struct world *world);

#endif
