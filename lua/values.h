/* What the codec's classes have in common: the bytes they hold, names and addresses on their way to and from Lua, and
 * the mark that tells a decoded record from a changed one. */
#ifndef MOONDNS_LUA_VALUES_H
#define MOONDNS_LUA_VALUES_H

#include "base/address.h"
#include "dns/name.h"
#include "lua/class.h"

/* Where a question or record was decoded from, and whether it still is what it was. */
struct lua_origin {
    uint64_t message; /* the message's serial number; 0: made by hand */
    uint16_t index;   /* in its section, from 0 */
    uint8_t section;
    bool changed;
};

static inline bool lua_origin_is(const struct lua_origin *origin, uint64_t message, unsigned section, size_t index)
{
    return message && !origin->changed && origin->message == message && origin->section == section &&
           origin->index == index;
}

/* Bytes that belong to an object: inside its own userdata until something longer is put in, then in a blob of the
 * object's slot. */
struct lua_bytes {
    uint8_t *data;
    uint32_t length, capacity;
};

/* Puts `length` bytes in (they may be a part of what is there); raises only out of memory, and then nothing has
 * changed. True when they differ from what was there. */
bool lua_bytes_set(lua_State *L, int object, int slot, struct lua_bytes *bytes, const void *data, size_t length);

/* The text of an uncompressed name, in lower case or in `style` (enum dns_name_style). */
void lua_name_push(lua_State *L, const uint8_t *wire, unsigned style);

/* The name that text at `index` stands for; raises "WHAT: domain name expected, got …". */
void lua_name_check(lua_State *L, int index, struct dns_name *out, const char *what);

/* The address of this family (AF_INET, AF_INET6; AF_UNSPEC: either) that text at `index` stands for; raises. No zone.
 */
void lua_address_check(lua_State *L, int index, sa_family_t family, struct address *out, const char *what);
void lua_address_push(lua_State *L, sa_family_t family, const uint8_t *bytes);

/* Whether `status` is a failure for want of memory: then raises, else gives the status back. */
enum status lua_memory_check(lua_State *L, enum status status);

#endif
