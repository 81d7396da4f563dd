/* The objects that compiled hooks are given: one flow with its request, the question and an answer. A visit makes them
 * those of the flow that a hook is called for, one flow after the other. They are objects as all others are (those that
 * are lent, message_lent.h) but for their metatables, whose functions LuaJIT can compile into the hook's own code
 * (lua/lib/dns.compiled.lua). Records that such a hook makes come from a stock; each serves once, as functions that the
 * hook calls may make and keep some. */
#ifndef MOONDNS_LUA_VISIT_H
#define MOONDNS_LUA_VISIT_H

#include "lua/flow_class.h"
#include "lua/message_object.h"

enum { LUA_VISIT_RECORDS = 32, LUA_VISIT_CLASSES = 3 };

/* Belongs to its engine, and stays where it is. */
struct lua_visit {
    /* At first what compiled code reads and writes, by the same names. */
    bool is_answered;          /* the flow's response is `answer` */
    bool is_named;             /* the question's name has been read */
    bool shares;               /* hooks may look at the answer's records: they are always in its table */
    bool answered;             /* the answer is in use, or there is no flow */
    uint32_t records;          /* that are left in the stock for this flow */
    uint32_t single;           /* the number there of the answer's only record; 0: none, or they are in its table */
    struct lua_object *record; /* that one */
    struct lua_question *question;
    uint32_t ttl;  /* of the record that is noted for an answer (dns.rewrite); */
    uint16_t type; /* its address is the one that was read last */
    bool blank;    /* the answer's only record was noted, and is not written yet: no script has it */

    struct {
        uint32_t ttl;
        uint16_t type;
        uint8_t address[16];
    } noted;               /* that record; the answer's name is its owner */
    uint32_t stocked;      /* records that the stock has between flows; those above have served */
    struct lua_flow *flow; /* NULL: there are no objects yet */
    struct lua_message *request, *answer;
    struct lua_object *records_stocked[LUA_VISIT_RECORDS]; /* kept by `stock` */
    uint8_t ipv4[4], ipv6[16];                             /* addresses that were read last */
    /* References. */
    int open, is_compiled, objects, stock, given, metatables[LUA_VISIT_CLASSES], flow_object;
};

/* Loads dns.compiled, before any other Lua is loaded: from then on LuaJIT compiles nothing but what that says. */
void lua_visit_prepare(lua_State *L, struct lua_visit *visit);

/* Makes all but the objects; the module `dns` is at the top. */
void lua_visit_open(lua_State *L, struct lua_visit *visit);

/* Pushes what hooks are given that are rewritten (dns.rewrite). */
void lua_visit_push_given(lua_State *L, const struct lua_visit *visit);

/* Makes the objects this flow's, which has no response yet. `shares`: hooks may look at the answer's records
 * (dns.keeps). False where they have no room for it. */
bool lua_visit_begin(lua_State *L, struct lua_visit *visit, struct flow *flow, const struct lua_flow_host *host,
                     bool shares);

/* The flow is served, or its object taken away: what others make now is not out of the stock. */
void lua_visit_end(struct lua_visit *visit);

/* Whether the flow's response is the answer that lua_visit_pack can pack: with no more than one record, and nothing
 * else that has changed in it. */
bool lua_visit_has_answer(const struct lua_visit *visit);

/* Packs it, as lua_message_pack_view. */
MUST_CHECK enum status lua_visit_pack(const struct lua_visit *visit, struct buffer *out, struct dns_message *view,
                                      struct reason *reason);

/* The hook that was called waits: its objects and records are its own from now on, as those of any other hook. The next
 * visit makes new ones. */
void lua_visit_part(lua_State *L, struct lua_visit *visit);

/* Whether LuaJIT has compiled the function with this reference. */
bool lua_visit_is_compiled(lua_State *L, const struct lua_visit *visit, int function);

#endif
