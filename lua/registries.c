/* dns.types, dns.classes, dns.op_codes and the other registries. */
#include "lua/registries.h"
#include "base/nearest.h"
#include "dns/registry.h"

#include <stdio.h>

enum { MNEMONICS_MAX = 300 };

const struct lua_registry lua_registries[] = {
    {DNS_TYPES, "types", "type", 65535, "Record types (RFC 1035 section 3.2.2 and the IANA registry)."},
    {DNS_CLASSES, "classes", "class", 65535, "Classes (RFC 1035 section 3.2.4)."},
    {DNS_OP_CODES, "op_codes", "op code", 15, "Op codes (RFC 1035 section 4.1.1)."},
    {DNS_RESPONSE_CODES, "response_codes", "response code", 4095,
     "Response codes (RFC 1035 section 4.1.1, RFC 6895 section 2.3)."},
    {DNS_SVC_PARAMS, "svc_params", "service parameter", 65535,
     "Service parameter keys of SVCB and HTTPS records (RFC 9460 section 14.3)."},
    {DNS_EDNS_OPTIONS, "edns_options", "EDNS option", 65535,
     "Codes of EDNS options (RFC 6891 section 9 and the IANA registry)."},
    {DNS_EXTENDED_ERRORS, "ede", "extended error", 65535,
     "Info codes of the EDNS option EDE (RFC 8914 section 5.2 and the IANA registry)."},
    {0, NULL, NULL, 0, NULL},
};

static const struct lua_registry *registry_of(int number)
{
    const struct lua_registry *registry = lua_registries;
    while (registry->name && (int)registry->number != number)
        registry++;
    return registry;
}

/* A mnemonic as a key: upper case, '_' for '-'. Returns `out`. */
static const char *key_of(const char *mnemonic, char out[static DNS_MNEMONIC_MAX])
{
    size_t i = 0;
    for (; mnemonic[i] && i + 1 < DNS_MNEMONIC_MAX; i++) {
        char byte = mnemonic[i];
        out[i] = (char)(byte == '-' ? '_' : byte >= 'a' && byte <= 'z' ? byte - 32 : byte);
    }
    out[i] = '\0';
    return out;
}

/* Raises for the value at `index`, which is no name or number of the registry. */
static int raise_unregistered(lua_State *L, int index, const struct lua_registry *registry, const char *what)
{
    const char *names[MNEMONICS_MAX + 1];
    size_t count, used = 0;
    const struct dns_registry_entry *entries = dns_registry_entries(registry->number, &count);
    for (; used < count && used < MNEMONICS_MAX; used++)
        names[used] = entries[used].name;
    names[used] = NULL;
    const char *near = lua_type(L, index) == LUA_TSTRING ? nearest_name(lua_tostring(L, index), names) : NULL;
    luaL_checkstack(L, 8, NULL);
    luaL_where(L, 1);
    lua_push_shown(L, index);
    lua_pushfstring(L, "%s: %s (name or integer from 0 to %d) expected, got %s", what, registry->what, registry->most,
                    lua_tostring(L, -1));
    lua_remove(L, -2);
    if (near)
        lua_pushfstring(L, " (did you mean '%s'?)", near);
    else
        lua_pushliteral(L, "");
    lua_concat(L, 3);
    return lua_error(L);
}

uint16_t lua_check_registered(lua_State *L, int index, int registry, const char *what)
{
    const struct lua_registry *known = registry_of(registry);
    uint16_t number;
    size_t length;
    if (lua_type(L, index) == LUA_TNUMBER) {
        double value = lua_tonumber(L, index);
        if (value >= 0 && value <= known->most && value == (double)(uint16_t)value)
            return (uint16_t)value;
    } else if (lua_type(L, index) == LUA_TSTRING) {
        const char *text = lua_tolstring(L, index, &length);
        if (dns_registry_from_text(known->number, text, length, &number) == STATUS_OK)
            return number;
    }
    raise_unregistered(L, index, known, what);
    return 0;
}

/* --- the tables; upvalue 1 of their functions is the registry --- */

static const struct lua_registry *own_registry(lua_State *L)
{
    return lua_touserdata(L, lua_upvalueindex(1));
}

static const char *push_place(lua_State *L, const char *function)
{
    return lua_pushfstring(L, "dns.%s.%s", own_registry(L)->name, function);
}

static int registry_to_str(lua_State *L)
{
    const struct lua_registry *registry = own_registry(L);
    char text[DNS_MNEMONIC_MAX];
    lua_settop(L, 1);
    int64_t number = lua_check_integer(L, 1, 0, registry->most, push_place(L, "to_str"));
    lua_pushstring(L, dns_registry_to_text(registry->number, (uint16_t)number, text));
    return 1;
}

static int registry_from_str(lua_State *L)
{
    lua_settop(L, 1);
    const char *place = push_place(L, "from_str");
    lua_check_text(L, 1, NULL, place);
    lua_pushinteger(L, lua_check_registered(L, 1, (int)own_registry(L)->number, place));
    return 1;
}

static int http_equiv_status_code(lua_State *L)
{
    uint16_t code = lua_check_registered(L, 1, DNS_RESPONSE_CODES, "dns.response_codes.http_equiv_status_code");
    lua_pushinteger(L, (lua_Integer)dns_http_equivalent(code));
    return 1;
}

/* A key that is not there: a misspelt name must not compare as nil. */
static int registry_missing(lua_State *L)
{
    const struct lua_registry *registry = own_registry(L);
    char keys[MNEMONICS_MAX][DNS_MNEMONIC_MAX];
    const char *names[MNEMONICS_MAX + 1];
    size_t count, used = 0;
    const struct dns_registry_entry *entries = dns_registry_entries(registry->number, &count);
    for (; used < count && used < MNEMONICS_MAX; used++)
        names[used] = key_of(entries[used].name, keys[used]);
    names[used] = NULL;
    lua_settop(L, 2);
    return lua_raise_no_name(L, 2, lua_pushfstring(L, "dns.%s", registry->name), registry->what, names);
}

static void set_function(lua_State *L, const char *name, lua_CFunction function, const struct lua_registry *registry)
{
    lua_pushlightuserdata(L, (void *)(uintptr_t)registry);
    lua_pushcclosure(L, function, 1);
    lua_setfield(L, -2, name);
}

static void push_registry(lua_State *L, const struct lua_registry *registry)
{
    size_t count;
    char key[DNS_MNEMONIC_MAX];
    const struct dns_registry_entry *entries = dns_registry_entries(registry->number, &count);
    lua_createtable(L, 0, (int)count + 3);
    for (size_t i = 0; i < count; i++) {
        lua_pushinteger(L, entries[i].number);
        lua_setfield(L, -2, key_of(entries[i].name, key));
    }
    set_function(L, "to_str", registry_to_str, registry);
    set_function(L, "from_str", registry_from_str, registry);
    if (registry->number == DNS_RESPONSE_CODES)
        set_function(L, "http_equiv_status_code", http_equiv_status_code, registry);
    lua_createtable(L, 0, 1);
    set_function(L, "__index", registry_missing, registry);
    lua_setmetatable(L, -2);
}

void lua_registries_open(lua_State *L)
{
    luaL_checkstack(L, 8, NULL);
    for (const struct lua_registry *registry = lua_registries; registry->name; registry++) {
        push_registry(L, registry);
        lua_setfield(L, -2, registry->name);
    }
}
