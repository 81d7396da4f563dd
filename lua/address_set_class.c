#include "lua/address_set_class.h"

#include "lua/set_object.h"
#include "lua/values.h"

static const char entry_name[] = "IP address or prefix";

static enum status add_entry(void *set, const struct set_memory *memory, const char *text, size_t length, bool *added,
                             struct reason *reason)
{
    struct address_prefix prefix;
    enum status status = address_prefix_from_text(text, length, &prefix, reason);
    return status ? status : address_set_add(set, memory, &prefix, added);
}

static enum status remove_entry(void *set, const char *text, size_t length, bool *removed, struct reason *reason)
{
    struct address_prefix prefix;
    enum status status = address_prefix_from_text(text, length, &prefix, reason);
    if (!status)
        *removed = address_set_remove(set, &prefix);
    return status;
}

LUA_SET_FUNCTIONS(address_set)

/* A client's address may have a zone (fe80::1%eth0), which is no part of what is in the set. */
static int set_match(lua_State *L)
{
    struct address address;
    struct address_prefix found;
    const struct address_set *set = lua_class_self(L, &lua_address_set_class, "AddressSet.match");
    lua_settop(L, 2);
    size_t length = 0;
    const char *text = lua_type(L, 2) == LUA_TSTRING ? lua_tolstring(L, 2, &length) : "";
    const char *zone = memchr(text, '%', length);
    if (address_from_ip(text, zone ? (size_t)(zone - text) : length, &address) || (zone && address.family != AF_INET6))
        return lua_raise_expected(L, 2, "AddressSet.match", "IP address");
    char out[ADDRESS_PREFIX_TEXT_MAX];
    if (!address_set_match(set, &address, &found))
        lua_pushnil(L);
    else if (address.family == AF_INET && address_prefix_is_single(&found))
        lua_pushvalue(L, 2); /* there is but one way to write it */
    else
        lua_pushstring(L, address_prefix_text(&found, out));
    return 1;
}

static int set_length(lua_State *L)
{
    const struct address_set *set = lua_class_self(L, &lua_address_set_class, "AddressSet");
    lua_pushnumber(L, (lua_Number)address_set_count(set));
    return 1;
}

static int set_tostring(lua_State *L)
{
    const struct address_set *set = lua_class_self(L, &lua_address_set_class, "AddressSet.tostring");
    lua_pushfstring(L, "AddressSet of %f", (lua_Number)address_set_count(set));
    return 1;
}

static const struct lua_property properties[] = {LUA_SET_PROPERTIES, {0}};

static const struct lua_method methods[] = {
    {"match", set_match, "match(ip)",
     "The longest prefix in the set that the address lies in (`\"10.0.0.0/8\"`, or `\"10.1.2.3\"` for a single "
     "address), "
     "or nil."},
    {"add", set_add, "add(entry)", "Adds an address or a prefix; true when it was not there before."},
    {"remove", set_remove, "remove(entry)", "Takes an address or a prefix out; true when it was there."},
    {0},
};

static const struct lua_method statics[] = {
    {"load", set_load, "load(path, …)",
     "The set of all addresses and prefixes in these files, one a line, with comments after `#`, `;` or `!`; nil and "
     "the "
     "reason when one cannot be read. Lines that cannot be used are left out and told of in `skipped`."},
    {"parse", set_parse, "parse(text [, name])",
     "The set of all that `load` would find in a file of this text; `name` is what `skipped` and the log call it."},
    {0},
};

const struct lua_class lua_address_set_class = {
    .name = "AddressSet",
    .properties = properties,
    .methods = methods,
    .statics = statics,
    .construct = construct,
    .tostring = set_tostring,
    .length = set_length,
    .constructor_signature = "dns.AddressSet([entries])",
    .doc = "A set of addresses and prefixes (`\"192.0.2.1\"`, `\"10.0.0.0/8\"`, `\"2001:db8::/32\"`; bits behind the "
           "prefix do not count), IPv4 and IPv6. IPv4 addresses inside IPv6 (`::ffff:192.0.2.1`) are IPv4 addresses. "
           "`#set` is the number of entries.",
};
