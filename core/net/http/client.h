/* HTTP requests (HTTP/1.1, RFC 9110 and 9112) over libevent's client: names are looked up without blocking, addresses
 * tried in turn, certificates checked, redirects followed; each has limits. A connection is kept for some seconds for
 * the next request to its host. One thread. */
#ifndef MOONDNS_NET_HTTP_CLIENT_H
#define MOONDNS_NET_HTTP_CLIENT_H

#include "base/address.h"
#include "base/bytes.h"

#include <stdint.h>

struct event_base;
struct exchange;
struct http_client;
struct http_request;

struct http_client_config {
    struct event_base *base; /* borrowed */
    /* The exchange, told the time, for names; NULL while there is none. */
    struct exchange *(*exchange)(void *context);
    void *context;
    unsigned connections_max; /* at one time; further requests wait for their turn */
    unsigned requests_max;    /* at one time, those that wait for their turn included */
};

/* NULL when there is no memory. */
struct http_client *http_client_new(const struct http_client_config *config);

/* Reads the certificates that the system trusts now rather than for the first request that needs them, which takes some
 * 20 ms. Where that fails, such a request says why. */
void http_client_trust(struct http_client *client);

/* No request may be left. */
void http_client_free(struct http_client *client); /* NULL is fine */

struct http_header {
    const char *name, *value;
};

/* Methods that there are: "GET", "POST" and so on, ended by NULL. */
extern const char *const http_methods[];

/* What is asked. All it points to is borrowed for the call of http_request_start. */
struct http_ask {
    const char *method; /* of http_methods */
    const char *url;
    size_t url_length;
    const struct http_header *headers; /* checked with http_header_check */
    size_t header_count;
    struct span body;
    int64_t timeout_us;     /* for all of it, look-ups and redirects included */
    size_t max_size;        /* bytes of the answer's body */
    unsigned redirects;     /* that are followed; 0: an answer that redirects is given as it is */
    bool verify;            /* https: the server's certificate is checked */
    const char *ca_file;    /* certificates to trust instead of the system's; NULL: none */
    struct address address; /* where to connect to, whatever the URL's host is; port 0: the URL's; AF_UNSPEC: look up */

    /* It has finished. Called from the event loop, never from within a call of a function here. */
    void (*finished)(void *context);
    void *context;
};

/* Whether the header may be set: a name that is a token and a value without control bytes (RFC 9110 section 5), and not
 * one that the client sets itself. STATUS_INVALID with the reason. */
MUST_CHECK enum status http_header_check(const char *name, size_t name_length, const char *value, size_t value_length,
                                         struct reason *reason);

/* Begins a request; the caller owns it. STATUS_INVALID: the URL cannot be used; STATUS_NO_SPACE: too many requests are
 * under way; each with the reason. */
MUST_CHECK enum status http_request_start(struct http_client *client, const struct http_ask *ask,
                                          struct http_request **out, struct reason *reason);

/* Ends the request, finished or not. */
void http_request_free(struct http_request *request);

struct http_response {
    int status;
    const char *reason;                /* the status line's words; "" for none */
    const struct http_header *headers; /* in the order they came */
    size_t header_count;
    struct span body;
    const char *url; /* that it came from, behind the redirects */
};

/* What a request that has finished got; borrowed until it is freed. NULL: nothing, and http_request_failure says why.
 */
const struct http_response *http_request_response(const struct http_request *request);
const char *http_request_failure(const struct http_request *request);

#endif
