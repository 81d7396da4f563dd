/* The URLs of HTTP requests (RFC 3986; RFC 9110 section 4.2). */
#ifndef MOONDNS_NET_HTTP_URL_H
#define MOONDNS_NET_HTTP_URL_H

#include "base/address.h"
#include "base/bytes.h"

enum { HTTP_HOST_MAX = 256, HTTP_URL_MAX = 8192 /* bytes */ };

struct http_url {
    bool tls;                  /* https */
    uint16_t port;             /* host byte order; the scheme's where none is given */
    struct address address;    /* where the host is one, with the port; else AF_UNSPEC */
    char host[HTTP_HOST_MAX];  /* in lower case, a name in A-labels without the final dot, IPv6 without brackets */
    char target[HTTP_URL_MAX]; /* path and query, percent-encoded: "/lists/ads.txt?all" */
};

/* Takes "http://host[:port][/path][?query]" and the same of https; a fragment is dropped, bytes above ASCII are
 * percent-encoded, a host in UTF-8 is turned into A-labels. STATUS_INVALID, with the reason, for all else. */
MUST_CHECK enum status http_url_parse(const char *text, size_t length, struct http_url *out, struct reason *reason);

/* Where a reference in an answer from `base` leads to (RFC 3986 section 5.2). STATUS_INVALID as above. */
MUST_CHECK enum status http_url_resolve(const struct http_url *base, const char *reference, struct http_url *out,
                                        struct reason *reason);

/* Whether both lead to the same server: scheme, host and port. */
bool http_url_same_origin(const struct http_url *a, const struct http_url *b);

/* Appends the host as the header has it, with the port where it is not the scheme's; and the whole URL. */
void http_url_append_host(const struct http_url *url, struct buffer *out);
void http_url_append(const struct http_url *url, struct buffer *out);

#endif
