/* IP addresses with a port, and their text. */
#ifndef MOONDNS_BASE_ADDRESS_H
#define MOONDNS_BASE_ADDRESS_H

#include "base/status.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>

enum {
    ADDRESS_TEXT_MAX = 80 /* room for an address, a scope, a port, brackets and NUL */
};

struct address {
    sa_family_t family; /* AF_INET, AF_INET6; AF_UNSPEC: none */
    uint16_t port;      /* host byte order */
    uint32_t scope;     /* IPv6 zone (interface index), 0: none */
    uint8_t bytes[16];  /* network byte order; IPv4 uses the first four */
};

/* Takes "192.0.2.1" or "2001:db8::1" or "fe80::1%eth0" and nothing else; the port is 0. */
MUST_CHECK enum status address_from_ip(const char *text, size_t length, struct address *out);

/* Takes "ip", "ip:port", "[ipv6]", "[ipv6]:port"; the port is `default_port` where none is given. The reason says what
 * is wrong with the text. */
MUST_CHECK enum status address_from_text(const char *text, size_t length, uint16_t default_port, struct address *out,
                                         struct reason *reason);

/* The address alone, as in RFC 5952; returns `out`. */
const char *address_ip_text(const struct address *address, char out[static ADDRESS_TEXT_MAX]);

/* "192.0.2.1:53" or "[2001:db8::1]:53"; returns `out`. */
const char *address_text(const struct address *address, char out[static ADDRESS_TEXT_MAX]);

static inline bool address_equal(const struct address *a, const struct address *b)
{
    if (a->family != b->family || a->port != b->port || a->scope != b->scope)
        return false;
    return a->family == AF_INET6 ? !memcmp(a->bytes, b->bytes, 16) : !memcmp(a->bytes, b->bytes, 4);
}

/* How many of an address's bits are left: of IPv4 at most 32, of IPv6 at most 128. */
struct address_cut {
    uint8_t ipv4, ipv6;
};

/* Sets the other bits to 0, and the scope; the port stays. An IPv4 address inside IPv6 (::ffff:192.0.2.1) is cut as an
 * IPv4 address. */
void address_cut(struct address *address, struct address_cut left);

/* Where a client on this machine finds a listener: the wildcard address becomes the loopback one, others stay. */
void address_to_reach(struct address *address);

/* To and from the socket API's form: a struct sockaddr_in or sockaddr_in6, of which the length is given. From an
 * unknown family: AF_UNSPEC. */
socklen_t address_to_sockaddr(const struct address *address, struct sockaddr *out);
struct address address_from_sockaddr(const struct sockaddr *from);

#endif
