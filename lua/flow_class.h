/* dns.DNSFlow. While the proxy holds the flow, the object reads through to `struct flow` for what Lua has not touched;
 * what Lua reads of a message becomes an object of Lua's own, and changes wait there until the engine takes them over
 * (lua/engine/flow_sync.h). When the flow ends, the object takes copies of the rest and lets go: it keeps nothing of
 * C's alive. A flow made by hand has no `struct flow` at all. */
#ifndef MOONDNS_LUA_FLOW_CLASS_H
#define MOONDNS_LUA_FLOW_CLASS_H

#include "flow/hooks.h"
#include "lua/conn_class.h"
#include "lua/message_class.h"

extern const struct lua_class lua_flow_class;

/* Slots of the object. */
enum lua_flow_slot {
    LUA_FLOW_REQUEST = 1, /* DNSMessage */
    LUA_FLOW_RESPONSE,
    LUA_FLOW_REQUEST_SLOTS, /* the first of those that belong to the request that came */
    LUA_FLOW_ERROR = LUA_FLOW_REQUEST_SLOTS + LUA_MESSAGE_SLOTS, /* Error */
    LUA_FLOW_METADATA,
    LUA_FLOW_MARKED,
    LUA_FLOW_COMMENT,
    LUA_FLOW_CLIENT, /* Connection */
    LUA_FLOW_SERVER,
    LUA_FLOW_BACKUP,        /* DNSFlow */
    LUA_FLOW_RESPONSE_WIRE, /* text: a response that nobody had read when the flow ended, where there was no room */
    LUA_FLOW_ID,            /* text, of a flow made by hand */
};

/* What scripts did since the engine looked last. */
enum lua_flow_change {
    LUA_FLOW_REQUEST_TOUCHED = 1, /* read or assigned */
    LUA_FLOW_RESPONSE_TOUCHED = 2,
    LUA_FLOW_RESPONSE_ASSIGNED = 4,
    LUA_FLOW_RESPONSE_CLEARED = 8, /* set to nil: the slot is empty, and so is the flow */
    LUA_FLOW_ERROR_ASSIGNED = 16,  /* the slot holds it; empty: cleared */
};

/* What the engine does for a flow that it holds. */
struct lua_flow_host {
    /* Whether a flow can be held now: raises where it cannot. */
    void (*intercept)(lua_State *L, struct flow *flow);
    /* A held flow was resumed or killed: it goes on. */
    void (*resume)(struct flow *flow);
};

struct lua_flow {
    struct flow *flow; /* while the proxy holds it, else NULL */
    const struct lua_flow_host *host;
    struct lua_message *request; /* what its slot holds, while `flow` is not NULL; NULL: nothing */
    unsigned changed;            /* bits of enum lua_flow_change */
    enum hook hook;              /* the one that runs, or ran last; HOOK_COUNT: none */
    bool live, killed, dropped, intercepted, is_replay; /* what counts where `flow` is NULL */
    bool has_client, has_server, cache_hit;
    uint32_t query_length, response_length; /* of the wire bytes below; 0: none */
    /* What the flow was, from here on once it has ended. */
    uint32_t tag;
    uint64_t serial;
    double created;
    struct lua_conn_data client, server;
    int64_t query_us, response_us;
    bool resend;                  /* of a flow made by hand: a hook sends the query again … */
    uint8_t resends;              /* … as so often before … */
    struct address resend_target; /* … there; AF_UNSPEC: to the configured upstreams */
    struct lua_message *spare;    /* the request of flows before this one, in its slot, to be used again; NULL: none */
    bool lends;                   /* there may be one: scripts keep nothing of this flow */
    uint32_t query_room;          /* bytes */
    uint8_t wire[];               /* what came in, and room for an answer, for whoever reads them after the end */
};

/* Pushes the object of a live flow. `lends`: one that can serve further flows, as long as scripts keep nothing of them.
 */
struct lua_flow *lua_flow_push_live(lua_State *L, struct flow *flow, const struct lua_flow_host *host, bool lends);

/* Has it serve another flow; false when it cannot. */
bool lua_flow_lend_again(struct lua_flow *self, struct flow *flow, const struct lua_flow_host *host);

/* A flow ends whose object is to serve again. */
void lua_flow_leave(struct lua_flow *self);

/* The flow ends: the object takes copies of what it has not got yet, and lets go of `struct flow`. Where some of that
 * has no room in the object itself, lua_flow_keep must come first, for the object at `index`. */
bool lua_flow_has_room(const struct lua_flow *self);
void lua_flow_keep(lua_State *L, int index);
void lua_flow_detach(struct lua_flow *self);

/* Pushes an object without a `struct flow` and without messages, with an id of its own. */
struct lua_flow *lua_flow_push_new(lua_State *L);

/* Whether the answer came from the cache; and the note of it in the flow's metadata, the table at the top. */
bool lua_flow_is_hit(const struct lua_flow *flow);
void lua_flow_note_hit(lua_State *L);

/* The connections' values now; false where there is none. */
bool lua_flow_client(const struct lua_flow *flow, struct lua_conn_data *out);
bool lua_flow_server(const struct lua_flow *flow, struct lua_conn_data *out);

/* Sends this query elsewhere (AF_UNSPEC: to the configured upstreams); raises with `what` where it is too late. */
void lua_flow_set_target(lua_State *L, struct lua_flow *flow, const struct upstream_target *target, const char *what);

bool lua_flow_is_live(const struct lua_flow *flow);

/* Pops a DNSMessage: the request of the flow at `index` from now on. */
void lua_flow_put_request(lua_State *L, int index);

/* Pushes the id of the flow at `index`. */
void lua_flow_push_id(lua_State *L, int index);

/* Ends a live flow without an answer; one that is dropped has no error. */
void lua_flow_end(struct lua_flow *flow, bool dropped);

/* Methods that work on whole flows (flow_methods.c, flow_json.c). */
extern const struct lua_method lua_flow_methods[], lua_flow_statics[];
struct cJSON *lua_flow_to_json(lua_State *L, int index, struct reason *reason);
int lua_flow_to_json_method(lua_State *L);
int lua_flow_from_json(lua_State *L);
int lua_flow_tostring(lua_State *L);

/* faults(flow): a table of what the methods below have asked for, by their names; for `moondns explain`. */
int lua_flow_faults(lua_State *L);

/* Methods that spoil the answer (flow_faults.c). */
int lua_flow_delay(lua_State *L);
int lua_flow_drop(lua_State *L);
int lua_flow_truncate(lua_State *L);
int lua_flow_duplicate(lua_State *L);
int lua_flow_corrupt(lua_State *L);
int lua_flow_reset(lua_State *L);
int lua_flow_drip(lua_State *L);

/* Pushes the request, the response, the error of the object at `index` (nil for none), as the properties do. */
void lua_flow_get_request(lua_State *L, int index);
void lua_flow_get_response(lua_State *L, int index);
void lua_flow_get_error(lua_State *L, int index);

#endif
