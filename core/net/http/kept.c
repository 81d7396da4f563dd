/* Connections that are kept for the next request. */
#include "base/clock.h"
#include "net/http/private.h"

#include <event2/buffer.h>
#include <event2/event.h>
#include <poll.h>
#include <stdlib.h>

enum {
    KEPT_MAX = 64,
    KEPT_OF_HOST_MAX = 4,
    IDLE_US = 10 * CLOCK_SECOND_US,
};

static void unlink_kept(struct http_kept *kept)
{
    struct http_kept **at = &kept->client->kept;
    while (*at != kept)
        at = &(*at)->next;
    *at = kept->next;
    kept->client->kept_count--;
    event_del(&kept->end);
    evhttp_connection_set_closecb(kept->handle, NULL, NULL);
}

static void free_kept(struct http_kept *kept)
{
    unlink_kept(kept);
    evhttp_connection_free(kept->handle);
    SSL_free(kept->ssl);
    free(kept);
}

void http_kept_free_all(struct http_client *client)
{
    while (client->kept)
        free_kept(client->kept);
}

static void on_end(evutil_socket_t fd, short what, void *context)
{
    (void)fd;
    (void)what;
    free_kept(context);
}

/* Called from within libevent's, which still needs the connection. */
static void on_closed(struct evhttp_connection *handle, void *context)
{
    struct http_kept *kept = context;
    (void)handle;
    event_active(&kept->end, EV_TIMEOUT, 0);
}

/* Whether nothing has come from the server, not even the end. */
static bool is_quiet(struct evhttp_connection *handle)
{
    struct pollfd look = {.fd = bufferevent_getfd(evhttp_connection_get_bufferevent(handle)),
                          .events = POLLIN | POLLRDHUP};
    return look.fd >= 0 && poll(&look, 1, 0) == 0;
}

/* --- taking --- */

/* Whether it does no harm that the request reaches the server twice (RFC 9110 section 9.2.2), should the server close
 * the connection just as it goes out. */
static bool may_repeat(const struct http_request *request)
{
    return request->method != EVHTTP_REQ_POST && request->method != EVHTTP_REQ_PATCH;
}

static bool is_of_host(const struct http_kept *kept, const struct http_request *request)
{
    const struct http_url *url = &request->url;
    return (kept->ssl != NULL) == url->tls && kept->port == url->port && strcmp(kept->host, url->host) == 0;
}

static bool is_for(const struct http_kept *kept, const struct http_request *request)
{
    return is_of_host(kept, request) && kept->verified == request->verify &&
           kept->connect_to.port == request->address.port && address_equal(&kept->connect_to, &request->address);
}

bool http_kept_take(struct http_request *request)
{
    if (request->anew || request->ca_file || !may_repeat(request))
        return false;
    for (struct http_kept *kept = request->client->kept; kept; kept = kept->next) {
        const struct http_connection taken = {.handle = kept->handle, .ssl = kept->ssl, .kept = true};
        if (!is_for(kept, request) || !is_quiet(kept->handle))
            continue;
        unlink_kept(kept);
        free(kept);
        request->connection = taken;
        return true;
    }
    return false;
}

/* --- keeping --- */

/* Whether nothing came behind the answer. */
static bool may_be_kept(const struct http_request *request)
{
    const struct http_connection *connection = &request->connection;
    struct evbuffer *more = bufferevent_get_input(evhttp_connection_get_bufferevent(connection->handle));
    return connection->persistent && !request->ca_file && evbuffer_get_length(more) == 0 &&
           is_quiet(connection->handle);
}

/* The oldest of the host's, or of all, where there are too many. */
static void make_room(const struct http_request *request)
{
    struct http_client *client = request->client;
    struct http_kept *oldest = NULL, *oldest_of_host = NULL;
    unsigned of_host = 0;
    for (struct http_kept *kept = client->kept; kept; kept = kept->next) {
        oldest = kept;
        if (is_of_host(kept, request)) {
            oldest_of_host = kept;
            of_host++;
        }
    }
    if (of_host >= KEPT_OF_HOST_MAX)
        free_kept(oldest_of_host);
    else if (client->kept_count >= KEPT_MAX)
        free_kept(oldest);
}

void http_kept_add(struct http_request *request)
{
    struct http_client *client = request->client;
    const struct timeval idle = clock_timeval(IDLE_US);
    struct http_kept *kept = may_be_kept(request) ? malloc(sizeof *kept) : NULL;
    if (!kept) {
        http_connection_close(&request->connection);
        return;
    }
    make_room(request);
    *kept = (struct http_kept){.next = client->kept,
                               .client = client,
                               .handle = request->connection.handle,
                               .ssl = request->connection.ssl,
                               .port = request->url.port,
                               .verified = request->verify,
                               .connect_to = request->address};
    strcpy(kept->host, request->url.host);
    client->kept = kept;
    client->kept_count++;
    request->connection = (struct http_connection){0};
    evtimer_assign(&kept->end, client->config.base, on_end, kept);
    evtimer_add(&kept->end, &idle);
    evhttp_connection_set_closecb(kept->handle, on_closed, kept);
}
