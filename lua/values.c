#include "lua/values.h"

bool lua_bytes_set(lua_State *L, int object, int slot, struct lua_bytes *bytes, const void *data, size_t length)
{
    if (length == bytes->length && (length == 0 || memcmp(bytes->data, data, length) == 0))
        return false;
    if (length > bytes->capacity) {
        luaL_checkstack(L, 4, NULL);
        size_t capacity = length + length / 2;
        uint8_t *blob = lua_newuserdata(L, capacity);
        memcpy(blob, data, length);
        lua_class_slot_set(L, object, slot);
        bytes->data = blob;
        bytes->capacity = (uint32_t)capacity;
    } else if (length) {
        memmove(bytes->data, data, length);
    }
    bytes->length = (uint32_t)length;
    return true;
}

void lua_name_push(lua_State *L, const uint8_t *wire, unsigned style)
{
    char text[DNS_NAME_TEXT_MAX];
    size_t length = dns_name_to_text(wire, style, text);
    lua_pushlstring(L, text, length);
}

void lua_name_check(lua_State *L, int index, struct dns_name *out, const char *what)
{
    struct reason reason;
    if (lua_type(L, index) != LUA_TSTRING)
        lua_raise_expected(L, index, what, "domain name");
    size_t length;
    const char *text = lua_tolstring(L, index, &length);
    if (dns_name_from_text(text, length, out, &reason))
        lua_raise_reason(L, what, &reason);
}

void lua_address_check(lua_State *L, int index, sa_family_t family, struct address *out, const char *what)
{
    size_t length = 0;
    const char *text = lua_type(L, index) == LUA_TSTRING ? lua_tolstring(L, index, &length) : NULL;
    if (!text || address_from_ip(text, length, out) || (family != AF_UNSPEC && out->family != family) ||
        (out->family == AF_INET6 && memchr(text, '%', length)))
        lua_raise_expected(L, index, what,
                           family == AF_INET    ? "IPv4 address"
                           : family == AF_INET6 ? "IPv6 address"
                                                : "IP address");
}

void lua_address_push(lua_State *L, sa_family_t family, const uint8_t *bytes)
{
    struct address address = {.family = family};
    memcpy(address.bytes, bytes, family == AF_INET ? 4 : 16);
    char text[ADDRESS_TEXT_MAX];
    lua_pushstring(L, address_ip_text(&address, text));
}

enum status lua_memory_check(lua_State *L, enum status status)
{
    if (status == STATUS_NO_MEMORY)
        luaL_error(L, "out of memory");
    return status;
}
