/* dns.DNSMessage. An object owns its wire: it is copied in when the object is made, so it lives as long as a script
 * holds it. Sections are decoded into plain Lua tables when first read. As long as nobody changes anything, packing
 * gives the very bytes that came (reading changes nothing; a header edit patches the header; a section that holds the
 * same records in the same order, unchanged, is no change). */
#ifndef MOONDNS_LUA_MESSAGE_CLASS_H
#define MOONDNS_LUA_MESSAGE_CLASS_H

#include "dns/message.h"
#include "lua/class.h"

extern const struct lua_class lua_message_class;

/* Pushes a DNSMessage over a copy of wire bytes that dns_message_parse has checked. `timestamp` in seconds, negative:
 * nil. Gives the object's struct. */
struct lua_message *lua_message_push(lua_State *L, const uint8_t *wire, size_t length, double timestamp);

/* Whether the message at `index` would pack to other bytes than those it was made from (true for one made by hand). */
bool lua_message_changed(lua_State *L, int index);

/* The same at a glance: false where it certainly would not. */
bool lua_message_may_have_changed(const struct lua_message *self);

/* Packs the message at `index`: replaces what `out` holds. Never raises: what is wrong with its sections comes as the
 * reason ("answers[2]: ResourceRecord expected, got string"). May run no Lua code. */
MUST_CHECK enum status lua_message_pack(lua_State *L, int index, struct buffer *out, struct reason *reason);

/* The same, with a checked view over what `out` then holds. */
MUST_CHECK enum status lua_message_pack_view(lua_State *L, int index, struct buffer *out, struct dns_message *view,
                                             struct reason *reason);

/* How many of an object's slots a message uses, from 1 on. */
enum { LUA_MESSAGE_SLOTS = 6 };

/* The message's timestamp in seconds, negative for nil. */
double lua_message_timestamp(lua_State *L, int index);

#endif
