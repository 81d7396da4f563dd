/* What the files of the HTTP client share. A request goes hop by hop (one, and one for each redirect): a look-up of the
 * host's addresses, then connections to them in turn, each a struct http_connection, until one brings an answer. */
#ifndef MOONDNS_NET_HTTP_PRIVATE_H
#define MOONDNS_NET_HTTP_PRIVATE_H

#include "net/http/client.h"
#include "net/http/names.h"
#include "net/http/tls.h"

#include <event2/bufferevent.h>
#include <event2/event_struct.h>
#include <event2/http.h>

struct http_client {
    struct http_client_config config;
    SSL_CTX *trusted;       /* with the system's certificates; made when first needed */
    struct http_kept *kept; /* the one kept last first */
    unsigned kept_count;
    struct http_hosts hosts;
    unsigned requests, connected; /* under way; those of them that have had their turn */
    struct http_request *first_waiting, *last_waiting;
    struct event turn; /* there is room for those that wait */
};

/* An answer as it came. */
struct http_answer {
    int status;
    char *reason;
    struct http_header *headers; /* the strings are owned, too */
    size_t header_count;
    struct buffer body;
};

/* A connection that has brought an answer and stays open for the next request to the same place. */
struct http_kept {
    struct http_kept *next;
    struct http_client *client;
    struct evhttp_connection *handle; /* owned */
    SSL *ssl;                         /* owned; NULL: no TLS */
    char host[HTTP_HOST_MAX];
    uint16_t port;
    bool verified;             /* the server's certificate was checked */
    struct address connect_to; /* where that was given, whatever the host is */
    struct event end;          /* it has been idle for too long, or the server has closed it */
};

/* One try at one address. libevent's callbacks only note what came; `step` then acts, outside of them. */
struct http_connection {
    struct evhttp_connection *handle; /* NULL: there is none */
    SSL *ssl;                         /* one reference of ours, to see what was wrong; NULL: no TLS */
    bool kept;                        /* … taken over from another request */
    bool begun;                       /* the answer's headers have come */
    bool answered;                    /* `answer` is whole */
    bool persistent;                  /* … and another request may follow it */
    bool has_error;                   /* … or libevent named an error */
    enum evhttp_request_error error;
    int system_error; /* errno when it could not be made; 0: none */
    unsigned long tls_error;
    bufferevent_event_cb connecting; /* libevent's own, until the connection is made; and its context */
    void *connecting_context;
};

struct http_request {
    struct http_client *client;
    struct http_request *next_waiting, *previous_waiting;
    bool has_turn, finished;

    /* what was asked; owned copies */
    enum evhttp_cmd_type method;
    struct http_header *headers;
    size_t header_count;
    struct buffer body;
    size_t max_size;
    unsigned redirects_left;
    bool follows, verify;
    bool anew;        /* over a new connection: the one that was kept brought nothing */
    SSL_CTX *context; /* for TLS: its own, or the client's; a reference; NULL until needed */
    char *ca_file;
    struct address address;
    int64_t deadline_us; /* monotonic */
    void (*on_finished)(void *context);
    void *finished_context;

    /* this hop */
    struct http_url url;
    struct http_lookup lookup;
    size_t attempt; /* of the look-up's addresses */
    struct http_connection connection;

    struct event step, alarm, patience; /* act on what came; the time is over; the address does not answer */
    struct http_answer answer;
    struct http_response response;
    struct buffer response_url;
    struct reason failure; /* "" while there is none */
};

/* Connects to the address and sends the request; `step` becomes active when there is an answer or none will come. */
MUST_CHECK enum status http_connection_open(struct http_request *request, const struct address *address);

/* Sends the request on the connection that it has. */
MUST_CHECK enum status http_connection_send(struct http_request *request);

/* Gives the request a connection that was kept, if there is one for it. The server may close it just as the request
 * goes out: where nothing of an answer comes, the request is to be sent anew. */
bool http_kept_take(struct http_request *request);

/* Keeps the request's connection, whose answer has been taken, where another request may follow; else closes it. */
void http_kept_add(struct http_request *request);
void http_kept_free_all(struct http_client *client);

/* Whether the server has taken the connection. */
bool http_connection_is_up(const struct http_connection *connection);

/* Why it brought no answer. True: because of the address, and another one may do better. */
bool http_connection_failure(const struct http_request *request, struct reason *reason);

/* Closes it; fine where there is none. */
void http_connection_close(struct http_connection *connection);

void http_answer_clear(struct http_answer *answer);
const char *http_answer_header(const struct http_answer *answer, const char *name); /* NULL: there is none */

#endif
