#include "base/address.h"

#include <arpa/inet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Four numbers without leading zeros, and nothing else. */
static bool ipv4_from_text(const char *text, size_t length, uint8_t out[static 4])
{
    char copy[INET_ADDRSTRLEN];
    uint8_t parts[4];
    if (length >= sizeof copy)
        return false;
    memcpy(copy, text, length);
    copy[length] = '\0';
    const char *at = copy;
    for (size_t part = 0; part < 4; part++) {
        unsigned digit = (unsigned)(*at++ - '0'), value = digit;
        if (digit > 9)
            return false;
        while (value > 0 && value <= UINT8_MAX && (digit = (unsigned)(*at - '0')) <= 9) {
            value = value * 10 + digit;
            at++;
        }
        if (value > UINT8_MAX || *at++ != (part < 3 ? '.' : '\0'))
            return false;
        parts[part] = (uint8_t)value;
    }
    memcpy(out, parts, sizeof parts);
    return at == copy + length + 1;
}

enum status address_from_ip(const char *text, size_t length, struct address *out)
{
    char copy[INET6_ADDRSTRLEN + IF_NAMESIZE + 2];
    struct address address = {.family = AF_INET};
    if (ipv4_from_text(text, length, address.bytes)) {
        *out = address;
        return STATUS_OK;
    }
    if (length == 0 || length >= sizeof copy || memchr(text, '\0', length))
        return STATUS_INVALID;
    memcpy(copy, text, length);
    copy[length] = '\0';
    char *zone = strchr(copy, '%');
    if (zone) {
        *zone++ = '\0';
        address.scope = if_nametoindex(zone);
        if (address.scope == 0 && zone[0] >= '1' && zone[0] <= '9')
            address.scope = (uint32_t)strtoul(zone, NULL, 10);
        if (address.scope == 0)
            return STATUS_INVALID;
    }
    address = (struct address){.family = AF_INET6, .scope = address.scope};
    if (inet_pton(AF_INET6, copy, address.bytes) != 1)
        return STATUS_INVALID;
    *out = address;
    return STATUS_OK;
}

static bool port_from_text(const char *text, size_t length, uint16_t *out)
{
    unsigned long port = 0;
    if (length == 0 || length > 5)
        return false;
    for (size_t i = 0; i < length; i++) {
        if (text[i] < '0' || text[i] > '9')
            return false;
        port = port * 10 + (unsigned long)(text[i] - '0');
    }
    if (port > UINT16_MAX)
        return false;
    *out = (uint16_t)port;
    return true;
}

enum status address_from_text(const char *text, size_t length, uint16_t default_port, struct address *out,
                              struct reason *reason)
{
    const char *ip = text, *port = NULL, *end = text + length;
    size_t ip_length = length;
    if (length && text[0] == '[') {
        const char *close = memchr(text, ']', length);
        if (!close || (close + 1 != end && close[1] != ':')) {
            reason_set(reason, "[ipv6]:port expected, got '%.*s'", (int)length, text);
            return STATUS_INVALID;
        }
        ip = text + 1;
        ip_length = (size_t)(close - ip);
        port = close + 1 == end ? NULL : close + 2;
    } else {
        const char *colon = memchr(text, ':', length);
        if (colon && !memchr(colon + 1, ':', (size_t)(end - colon - 1))) {
            ip_length = (size_t)(colon - text);
            port = colon + 1;
        }
    }
    struct address address;
    if (address_from_ip(ip, ip_length, &address)) {
        reason_set(reason, "IP address expected, got '%.*s'", (int)length, text);
        return STATUS_INVALID;
    }
    address.port = default_port;
    if (port && !port_from_text(port, (size_t)(end - port), &address.port)) {
        reason_set(reason, "port from 0 to 65535 expected, got '%.*s'", (int)(end - port), port);
        return STATUS_INVALID;
    }
    *out = address;
    return STATUS_OK;
}

const char *address_ip_text(const struct address *address, char out[static ADDRESS_TEXT_MAX])
{
    if (!inet_ntop(address->family, address->bytes, out, ADDRESS_TEXT_MAX)) {
        memcpy(out, "?", 2);
        return out;
    }
    if (address->scope) {
        size_t length = strlen(out);
        char name[IF_NAMESIZE];
        if (if_indextoname(address->scope, name))
            snprintf(out + length, ADDRESS_TEXT_MAX - length, "%%%s", name);
        else
            snprintf(out + length, ADDRESS_TEXT_MAX - length, "%%%u", address->scope);
    }
    return out;
}

const char *address_text(const struct address *address, char out[static ADDRESS_TEXT_MAX])
{
    char ip[ADDRESS_TEXT_MAX];
    address_ip_text(address, ip);
    snprintf(out, ADDRESS_TEXT_MAX, address->family == AF_INET6 ? "[%.70s]:%u" : "%.70s:%u", ip,
             (unsigned)address->port);
    return out;
}

socklen_t address_to_sockaddr(const struct address *address, struct sockaddr *out)
{
    if (address->family == AF_INET) {
        struct sockaddr_in *in = (struct sockaddr_in *)out;
        *in = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(address->port)};
        memcpy(&in->sin_addr, address->bytes, 4);
        return sizeof *in;
    }
    struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)out;
    *in6 = (struct sockaddr_in6){
        .sin6_family = address->family, .sin6_port = htons(address->port), .sin6_scope_id = address->scope};
    memcpy(&in6->sin6_addr, address->bytes, 16);
    return sizeof *in6;
}

struct address address_from_sockaddr(const struct sockaddr *from)
{
    struct address address = {.family = AF_UNSPEC};
    if (from->sa_family == AF_INET) {
        const struct sockaddr_in *in = (const struct sockaddr_in *)from;
        address.family = AF_INET;
        address.port = ntohs(in->sin_port);
        memcpy(address.bytes, &in->sin_addr, 4);
    } else if (from->sa_family == AF_INET6) {
        const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)from;
        address.family = AF_INET6;
        address.port = ntohs(in6->sin6_port);
        address.scope = in6->sin6_scope_id;
        memcpy(address.bytes, &in6->sin6_addr, 16);
    }
    return address;
}

/* Whether it is an IPv4 address inside an IPv6 address (RFC 4291 section 2.5.5.2). */
static bool is_mapped(const struct address *address)
{
    static const uint8_t prefix[] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
    return address->family == AF_INET6 && !memcmp(address->bytes, prefix, sizeof prefix);
}

void address_cut(struct address *address, struct address_cut left)
{
    size_t size = address->family == AF_INET6 ? 16 : 4;
    unsigned bits = address->family == AF_INET6 ? left.ipv6 : left.ipv4;
    if (is_mapped(address))
        bits = 96u + left.ipv4;
    for (unsigned i = 0; i < size; i++) {
        const unsigned kept = bits > i * 8 ? bits - i * 8 : 0;
        if (kept < 8)
            address->bytes[i] &= (uint8_t)(0xff00u >> kept);
    }
    address->scope = 0;
}

void address_to_reach(struct address *address)
{
    size_t size = address->family == AF_INET6 ? 16 : 4;
    for (size_t i = 0; i < size; i++)
        if (address->bytes[i])
            return;
    if (address->family == AF_INET)
        address->bytes[0] = 127;
    address->bytes[size - 1] = 1;
}
