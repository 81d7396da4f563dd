/* Objects that are used again. Where no hook keeps what it is given (dns.keeps), a flow's object serves one flow after
 * the other, and with it the request, its question, and the first answer that is made to the request: nothing is
 * allocated for them, and they stay in the processor's cache. */
#ifndef MOONDNS_LUA_MESSAGE_LENT_H
#define MOONDNS_LUA_MESSAGE_LENT_H

#include "lua/message_object.h"

/* What a message that is used again has behind its wire. The objects are in its slots. */
struct lua_lent {
    struct lua_question *question; /* NULL: there is none yet */
    struct lua_message *answer;    /* the same */
    bool answered;                 /* the answer is in use */
};

/* Pushes a message that can be used again, over a copy of wire bytes as lua_message_push. NULL, and nothing is pushed,
 * for long ones. */
struct lua_message *lua_message_lend(lua_State *L, const uint8_t *wire, size_t length, double timestamp);

/* Makes one of those what another message is; its old bytes, sections and flags are forgotten. False for long ones. */
bool lua_message_lend_again(struct lua_message *self, const struct dns_message *message, double timestamp);

/* Pushes the question of such a message at `index`, with something below it. */
struct lua_question *lua_message_lend_question(lua_State *L, int index, struct lua_message *self,
                                               const struct dns_question *question);

/* Pushes the answer to such a message at `index`, which begins with the message's first `length` bytes, with something
 * below it. NULL, and nothing is pushed, when it is in use, or too long. */
struct lua_message *lua_message_lend_answer(lua_State *L, int index, struct lua_message *self, size_t length,
                                            double timestamp);

#endif
