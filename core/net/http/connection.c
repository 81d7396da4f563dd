/* One connection to a server: what libevent's HTTP client does. */
#include "base/room.h"
#include "net/http/private.h"
#include "net/transport.h"

#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent_ssl.h>
#include <event2/http_struct.h>
#include <event2/keyvalq_struct.h>
#include <openssl/err.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/queue.h>

enum { HEADERS_MAX = 64 * 1024 /* bytes of an answer's */ };

/* --- answers --- */

void http_answer_clear(struct http_answer *answer)
{
    for (size_t i = 0; i < answer->header_count; i++) {
        free((char *)answer->headers[i].name);
        free((char *)answer->headers[i].value);
    }
    free(answer->headers);
    free(answer->reason);
    buffer_free(&answer->body);
    *answer = (struct http_answer){0};
}

const char *http_answer_header(const struct http_answer *answer, const char *name)
{
    for (size_t i = 0; i < answer->header_count; i++)
        if (strcasecmp(answer->headers[i].name, name) == 0)
            return answer->headers[i].value;
    return NULL;
}

static MUST_CHECK enum status copy_headers(struct evkeyvalq *list, struct http_answer *out)
{
    size_t count = 0;
    const struct evkeyval *header;
    TAILQ_FOREACH(header, list, next)
    count++;
    out->headers = calloc(count + 1, sizeof *out->headers);
    if (!out->headers)
        return STATUS_NO_MEMORY;
    TAILQ_FOREACH(header, list, next)
    {
        struct http_header *copy = &out->headers[out->header_count++];
        *copy = (struct http_header){strdup(header->key), strdup(header->value)};
        if (!copy->name || !copy->value)
            return STATUS_NO_MEMORY;
    }
    return STATUS_OK;
}

/* Whether the connection is good for another request (RFC 9112 section 9.3): the answer ended by itself, and the server
 * has not said that it closes, whereupon libevent would have closed too. */
static bool may_go_on(const struct http_answer *answer, const struct evhttp_request *from)
{
    const bool empty = from->type == EVHTTP_REQ_HEAD || answer->status == 204 || answer->status == 304;
    const bool framed = http_answer_header(answer, "Content-Length") || http_answer_header(answer, "Transfer-Encoding");
    return from->major == 1 && from->minor >= 1 && (empty || framed);
}

static MUST_CHECK enum status copy_answer(struct evhttp_request *from, struct http_answer *out)
{
    struct evbuffer *body = evhttp_request_get_input_buffer(from);
    size_t length = evbuffer_get_length(body);
    const char *reason = evhttp_request_get_response_code_line(from);
    out->status = evhttp_request_get_response_code(from);
    out->reason = strdup(reason ? reason : "");
    if (!out->reason || copy_headers(evhttp_request_get_input_headers(from), out))
        return STATUS_NO_MEMORY;
    if (length && buffer_reserve(&out->body, length)) {
        evbuffer_remove(body, out->body.data, length);
        out->body.length = length;
    }
    return buffer_status(&out->body);
}

/* --- libevent's callbacks --- */

static void on_error(enum evhttp_request_error error, void *context)
{
    struct http_request *request = context;
    request->connection.has_error = true;
    request->connection.error = error;
}

static int on_headers(struct evhttp_request *from, void *context)
{
    struct http_request *request = context;
    (void)from;
    request->connection.begun = true;
    return 0;
}

static void on_done(struct evhttp_request *from, void *context)
{
    struct http_request *request = context;
    struct http_connection *connection = &request->connection;
    if (from && evhttp_request_get_response_code(from) != 0) {
        http_answer_clear(&request->answer);
        connection->answered = copy_answer(from, &request->answer) == STATUS_OK;
        connection->persistent = connection->answered && may_go_on(&request->answer, from);
        if (!connection->answered)
            connection->system_error = ENOMEM;
    } else if (connection->ssl) {
        connection->tls_error = bufferevent_get_openssl_error(evhttp_connection_get_bufferevent(connection->handle));
    }
    event_active(&request->step, EV_TIMEOUT, 0);
}

/* Notes why the connection cannot be made, which libevent then forgets. */
static void on_connecting(struct bufferevent *stream, short what, void *context)
{
    struct http_request *request = context;
    if (what & BEV_EVENT_ERROR)
        request->connection.system_error = EVUTIL_SOCKET_ERROR();
    request->connection.connecting(stream, what, request->connection.connecting_context);
}

static void watch_connecting(struct http_request *request, struct bufferevent *stream)
{
    struct http_connection *connection = &request->connection;
    bufferevent_getcb(stream, NULL, NULL, &connection->connecting, &connection->connecting_context);
    if (connection->connecting)
        bufferevent_setcb(stream, NULL, NULL, on_connecting, request);
}

/* --- opening --- */

/* The connection's bufferevent, which owns its socket and its TLS. */
static struct bufferevent *make_stream(struct http_request *request)
{
    enum { OPTIONS = BEV_OPT_CLOSE_ON_FREE | BEV_OPT_DEFER_CALLBACKS };
    struct event_base *base = request->client->config.base;
    if (!request->url.tls)
        return bufferevent_socket_new(base, -1, OPTIONS);
    SSL *ssl = http_tls_session(request->context, &request->url, request->verify);
    if (!ssl || !room_is_there(ROOM_BYTES)) {
        SSL_free(ssl);
        return NULL;
    }
    SSL_up_ref(ssl); /* the stream's, which libevent gives back also where it makes none */
    request->connection.ssl = ssl;
    return bufferevent_openssl_socket_new(base, -1, ssl, BUFFEREVENT_SSL_CONNECTING, OPTIONS);
}

static MUST_CHECK enum status add_header(struct evhttp_request *to, const char *name, const char *value)
{
    return evhttp_add_header(evhttp_request_get_output_headers(to), name, value) == 0 ? STATUS_OK : STATUS_NO_MEMORY;
}

static bool has_header(const struct http_request *request, const char *name)
{
    for (size_t i = 0; i < request->header_count; i++)
        if (strcasecmp(request->headers[i].name, name) == 0)
            return true;
    return false;
}

static MUST_CHECK enum status add_headers(const struct http_request *request, struct evhttp_request *to)
{
    struct buffer text = {0};
    http_url_append_host(&request->url, &text);
    const char *host = buffer_c_string(&text);
    enum status status = host ? STATUS_OK : STATUS_NO_MEMORY;
    if (!status && !has_header(request, "Host"))
        status = add_header(to, "Host", host);
    if (!status && !has_header(request, "User-Agent"))
        status = add_header(to, "User-Agent", "moondns/" MOONDNS_VERSION);
    if (!status && !has_header(request, "Accept"))
        status = add_header(to, "Accept", "*/*");
    for (size_t i = 0; i < request->header_count && !status; i++)
        status = add_header(to, request->headers[i].name, request->headers[i].value);
    if (!status)
        status = add_header(to, "Connection", "keep-alive");
    buffer_clear(&text);
    buffer_format(&text, "%zu", request->body.length);
    const char *length = buffer_c_string(&text);
    if (!status && request->body.length)
        status = length ? add_header(to, "Content-Length", length) : STATUS_NO_MEMORY;
    if (!status && evbuffer_add(evhttp_request_get_output_buffer(to), request->body.data, request->body.length) != 0)
        status = STATUS_NO_MEMORY;
    buffer_free(&text);
    return status;
}

enum status http_connection_send(struct http_request *request)
{
    struct http_connection *connection = &request->connection;
    struct evhttp_request *to = room_is_there(ROOM_BYTES) ? evhttp_request_new(on_done, request) : NULL;
    if (!to)
        return STATUS_NO_MEMORY;
    evhttp_connection_set_max_body_size(connection->handle, (ev_ssize_t)request->max_size);
    evhttp_request_set_header_cb(to, on_headers);
    evhttp_request_set_error_cb(to, on_error);
    if (add_headers(request, to)) {
        evhttp_request_free(to);
        return STATUS_NO_MEMORY;
    }
    /* Takes the request, also where it fails. */
    if (evhttp_make_request(connection->handle, to, request->method, request->url.target) != 0)
        return STATUS_NO_MEMORY;
    return STATUS_OK;
}

enum status http_connection_open(struct http_request *request, const struct address *address)
{
    enum { TIMEOUT_SECONDS = 100000 /* never: the request's own time is the limit */ };
    struct http_connection *connection = &request->connection;
    char ip[ADDRESS_TEXT_MAX];
    struct bufferevent *stream = make_stream(request);
    if (!stream)
        return STATUS_NO_MEMORY;
    if (!room_is_there(ROOM_BYTES)) {
        bufferevent_free(stream);
        return STATUS_NO_MEMORY;
    }
    connection->handle = evhttp_connection_base_bufferevent_new(request->client->config.base, NULL, stream,
                                                                address_ip_text(address, ip), address->port);
    if (!connection->handle) {
        bufferevent_free(stream);
        return STATUS_NO_MEMORY;
    }
    evhttp_connection_set_timeout(connection->handle, TIMEOUT_SECONDS);
    evhttp_connection_set_max_headers_size(connection->handle, HEADERS_MAX);
    if (http_connection_send(request))
        return STATUS_NO_MEMORY;
    watch_connecting(request, stream);
    return STATUS_OK;
}

bool http_connection_is_up(const struct http_connection *connection)
{
    struct sockaddr_storage peer;
    socklen_t length = sizeof peer;
    evutil_socket_t fd = bufferevent_getfd(evhttp_connection_get_bufferevent(connection->handle));
    return fd >= 0 && getpeername(fd, (struct sockaddr *)&peer, &length) == 0;
}

void http_connection_close(struct http_connection *connection)
{
    if (connection->handle)
        evhttp_connection_free(connection->handle);
    SSL_free(connection->ssl);
    *connection = (struct http_connection){0};
}

/* --- failures --- */

bool http_connection_failure(const struct http_request *request, struct reason *reason)
{
    static const char *const texts[] = {
        [EVREQ_HTTP_TIMEOUT] = "time-out",
        [EVREQ_HTTP_EOF] = "the connection was closed before the answer was whole",
        [EVREQ_HTTP_INVALID_HEADER] = "the answer is not HTTP, or its headers are too large",
        [EVREQ_HTTP_BUFFER_ERROR] = "the connection broke",
        [EVREQ_HTTP_REQUEST_CANCEL] = "cancelled",
    };
    const struct http_connection *connection = &request->connection;
    if (connection->ssl && http_tls_failure(connection->ssl, connection->tls_error, reason))
        return false;
    if (connection->has_error && connection->error == EVREQ_HTTP_DATA_TOO_LONG)
        reason_set(reason, "too large: more than %zu bytes", request->max_size);
    else if (connection->has_error)
        reason_set(reason, "%s", texts[connection->error]);
    else if (connection->system_error)
        reason_set(reason, "%s", net_error_text(connection->system_error));
    else
        reason_set(reason, "no connection");
    return !connection->has_error;
}
