#include "lua/name_library.h"

#include "dns/idna.h"
#include "lua/values.h"

#include <stdio.h>

/* --- dns.name --- */

static int is_subdomain(lua_State *L)
{
    struct dns_name name, parent;
    lua_settop(L, 2);
    lua_name_check(L, 1, &name, "dns.name.is_subdomain");
    lua_name_check(L, 2, &parent, "dns.name.is_subdomain");
    lua_pushboolean(L, dns_name_is_subdomain(name.wire, parent.wire));
    return 1;
}

static int parent(lua_State *L)
{
    struct dns_name name;
    lua_settop(L, 1);
    lua_name_check(L, 1, &name, "dns.name.parent");
    if (name.wire[0] == 0)
        lua_pushnil(L);
    else
        lua_name_push(L, name.wire + name.wire[0] + 1, DNS_NAME_LOWER);
    return 1;
}

static int labels(lua_State *L)
{
    struct dns_name name;
    int count = 0;
    lua_settop(L, 1);
    lua_name_check(L, 1, &name, "dns.name.labels");
    lua_newtable(L);
    for (const uint8_t *at = name.wire; at[0]; at += at[0] + 1) {
        uint8_t alone[DNS_LABEL_MAX + 2];
        memcpy(alone, at, at[0] + 1u);
        alone[at[0] + 1] = 0;
        lua_name_push(L, alone, DNS_NAME_LOWER);
        lua_rawseti(L, -2, ++count);
    }
    return 1;
}

/* Reversed by bytes (RFC 1035 section 3.5), or by half bytes (RFC 3596 section 2.5). */
static int reverse(lua_State *L)
{
    struct address address;
    char text[4 * 16 + sizeof "ip6.arpa"];
    size_t length = 0;
    lua_settop(L, 1);
    lua_address_check(L, 1, AF_UNSPEC, &address, "dns.name.reverse");
    bool four = address.family == AF_INET;
    for (int i = four ? 3 : 15; i >= 0; i--) {
        unsigned byte = address.bytes[i];
        length += (size_t)(four ? snprintf(text + length, sizeof text - length, "%u.", byte)
                                : snprintf(text + length, sizeof text - length, "%x.%x.", byte & 15, byte >> 4));
    }
    snprintf(text + length, sizeof text - length, "%s", four ? "in-addr.arpa" : "ip6.arpa");
    lua_pushstring(L, text);
    return 1;
}

const struct lua_method lua_name_functions[] = {
    {"is_subdomain", is_subdomain, "is_subdomain(name, parent)",
     "Whether `name` lies below `parent` or is the same name; letter case does not count."},
    {"parent", parent, "parent(name)", "The name without its first label; nil for the root."},
    {"labels", labels, "labels(name)", "An array of the name's labels, empty for the root."},
    {"reverse", reverse, "reverse(ip)",
     "The name where the PTR record of an address is: `1.2.0.192.in-addr.arpa` for `192.0.2.1`."},
    {0},
};

/* --- dns.idna --- */

static int convert(lua_State *L, const char *what,
                   enum status (*function)(const char *, size_t, struct buffer *, struct reason *))
{
    struct reason reason = {""};
    size_t length;
    lua_settop(L, 1);
    const char *text = lua_check_text(L, 1, &length, what);
    struct buffer *out = lua_scratch(L);
    if (lua_memory_check(L, function(text, length, out, &reason)))
        return lua_raise_reason(L, what, &reason);
    lua_pushlstring(L, (const char *)out->data, out->length);
    return 1;
}

static int to_ascii(lua_State *L)
{
    return convert(L, "dns.idna.to_ascii", dns_idna_to_ascii);
}

static int to_unicode(lua_State *L)
{
    return convert(L, "dns.idna.to_unicode", dns_idna_to_unicode);
}

const struct lua_method lua_idna_functions[] = {
    {"to_ascii", to_ascii, "to_ascii(name)",
     "The name with A-labels for those in UTF-8 (IDNA 2008): `xn--bcher-kva.example` for `bücher.example`. Raises for "
     "labels "
     "that cannot be."},
    {"to_unicode", to_unicode, "to_unicode(name)",
     "The name in UTF-8; labels that are no valid A-labels stay as they are."},
    {0},
};
