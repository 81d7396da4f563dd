/* The life of a request. */
#include "base/clock.h"
#include "net/http/private.h"

#include <errno.h>
#include <event2/event.h>
#include <stdlib.h>
#include <strings.h>

static const struct {
    const char *name;
    enum evhttp_cmd_type type;
} methods[] = {
    {"GET", EVHTTP_REQ_GET},         {"POST", EVHTTP_REQ_POST},     {"HEAD", EVHTTP_REQ_HEAD},
    {"PUT", EVHTTP_REQ_PUT},         {"DELETE", EVHTTP_REQ_DELETE}, {"PATCH", EVHTTP_REQ_PATCH},
    {"OPTIONS", EVHTTP_REQ_OPTIONS},
};

const char *const http_methods[] = {"GET", "POST", "HEAD", "PUT", "DELETE", "PATCH", "OPTIONS", NULL};

/* --- headers --- */

static void free_headers(struct http_request *request)
{
    for (size_t i = 0; i < request->header_count; i++) {
        free((char *)request->headers[i].name);
        free((char *)request->headers[i].value);
    }
    free(request->headers);
}

static void remove_header(struct http_request *request, const char *name)
{
    size_t kept = 0;
    for (size_t i = 0; i < request->header_count; i++) {
        struct http_header header = request->headers[i];
        if (strcasecmp(header.name, name) != 0) {
            request->headers[kept++] = header;
            continue;
        }
        free((char *)header.name);
        free((char *)header.value);
    }
    request->header_count = kept;
}

/* --- the end --- */

/* Gives the request's turn to one that waits. */
static void end_turn(struct http_request *request)
{
    struct http_client *client = request->client;
    if (!request->has_turn)
        return;
    request->has_turn = false;
    client->connected--;
    if (client->first_waiting)
        event_active(&client->turn, EV_TIMEOUT, 0);
}

static void stop(struct http_request *request)
{
    event_del(&request->step);
    event_del(&request->alarm);
    event_del(&request->patience);
    http_lookup_end(&request->lookup);
    http_connection_close(&request->connection);
    end_turn(request);
}

/* Nothing of the request may be used behind this: it may be gone. */
static void finish(struct http_request *request)
{
    stop(request);
    request->finished = true;
    request->on_finished(request->finished_context);
}

static void fail(struct http_request *request, const char *why)
{
    reason_set(&request->failure, "%s", why);
    finish(request);
}

static void succeed(struct http_request *request)
{
    const struct http_answer *answer = &request->answer;
    http_url_append(&request->url, &request->response_url);
    const char *url = buffer_c_string(&request->response_url);
    if (!url) {
        fail(request, "out of memory");
        return;
    }
    request->response = (struct http_response){
        .status = answer->status,
        .reason = answer->reason,
        .headers = answer->headers,
        .header_count = answer->header_count,
        .body = {answer->body.data, answer->body.length},
        .url = url,
    };
    finish(request);
}

const struct http_response *http_request_response(const struct http_request *request)
{
    return request->response.url ? &request->response : NULL;
}

const char *http_request_failure(const struct http_request *request)
{
    return request->failure.text;
}

/* --- connections to the host's addresses --- */

static void connect_next(struct http_request *request)
{
    size_t left = request->lookup.count - request->attempt;
    struct address address = request->lookup.addresses[request->attempt];
    if (address.port == 0)
        address.port = request->url.port;
    if (http_connection_open(request, &address)) {
        fail(request, "out of memory");
        return;
    }
    if (left > 1) { /* an address that is silent leaves time for the others */
        int64_t us = (request->deadline_us - clock_monotonic_us()) / (int64_t)left;
        struct timeval patience = clock_timeval(us > 0 ? us : 0);
        evtimer_add(&request->patience, &patience);
    }
}

/* The address would not have it: the next one, if there is one. */
static void connect_elsewhere(struct http_request *request, const char *why)
{
    event_del(&request->patience);
    event_del(&request->step); /* of the connection that is given up */
    http_connection_close(&request->connection);
    if (++request->attempt < request->lookup.count)
        connect_next(request);
    else
        fail(request, why);
}

static void on_patience(evutil_socket_t fd, short what, void *context)
{
    (void)fd;
    (void)what;
    struct http_request *request = context;
    if (!http_connection_is_up(&request->connection))
        connect_elsewhere(request, "time-out");
}

static void on_alarm(evutil_socket_t fd, short what, void *context)
{
    (void)fd;
    (void)what;
    fail(context, "time-out");
}

/* --- a hop --- */

static void on_addresses(void *context)
{
    struct http_request *request = context;
    struct reason why;
    request->attempt = 0;
    if (request->lookup.count) {
        connect_next(request);
        return;
    }
    reason_set(&why, "%s: %s", request->url.host, request->lookup.reason.text);
    fail(request, why.text);
}

void http_client_trust(struct http_client *client)
{
    struct reason reason;
    if (!client->trusted)
        client->trusted = http_tls_context(NULL, &reason);
}

/* The certificates that the request trusts. */
static MUST_CHECK enum status need_context(struct http_request *request, struct reason *reason)
{
    struct http_client *client = request->client;
    if (request->context)
        return STATUS_OK;
    if (request->ca_file) {
        request->context = http_tls_context(request->ca_file, reason);
    } else {
        if (!client->trusted)
            client->trusted = http_tls_context(NULL, reason);
        if (client->trusted && SSL_CTX_up_ref(client->trusted))
            request->context = client->trusted;
    }
    return request->context ? STATUS_OK : STATUS_IO;
}

static void begin_hop(struct http_request *request)
{
    const struct http_client_config *config = &request->client->config;
    struct reason why = {"out of memory"};
    request->lookup = (struct http_lookup){.finished = on_addresses, .context = request};
    if (request->url.tls && need_context(request, &why)) {
        fail(request, why.text);
        return;
    }
    if (http_kept_take(request)) {
        if (http_connection_send(request))
            fail(request, why.text);
        return;
    }
    if (request->address.family != AF_UNSPEC || request->url.address.family != AF_UNSPEC) {
        request->lookup.addresses[0] = request->address.family != AF_UNSPEC ? request->address : request->url.address;
        request->lookup.count = 1;
        on_addresses(request);
        return;
    }
    struct exchange *exchange = config->exchange(config->context);
    int64_t left_us = request->deadline_us - clock_monotonic_us();
    if (!exchange)
        fail(request, "nobody answers queries yet");
    else if (http_lookup_start(&request->lookup, &request->client->hosts, exchange, request->url.host,
                               left_us > 0 ? left_us : 1))
        on_addresses(request);
}

static void begin_anew(struct http_request *request)
{
    request->anew = true;
    http_connection_close(&request->connection);
    begin_hop(request);
}

/* --- redirects --- */

/* The address to connect to was given for the first host. */
static void forget_origin(struct http_request *request, const struct http_url *to)
{
    request->address.port = 0;
    if (strcmp(request->url.host, to->host) == 0)
        return;
    request->address.family = AF_UNSPEC;
    remove_header(request, "Host");
    remove_header(request, "Authorization");
    remove_header(request, "Cookie");
}

/* What RFC 9110 section 15.4 makes of the method. */
static void change_method(struct http_request *request)
{
    int status = request->answer.status;
    bool posted = request->method == EVHTTP_REQ_POST;
    bool to_get = status == 303 ? request->method != EVHTTP_REQ_HEAD : posted && (status == 301 || status == 302);
    if (!to_get)
        return;
    request->method = EVHTTP_REQ_GET;
    buffer_free(&request->body);
    remove_header(request, "Content-Type");
    remove_header(request, "Content-Encoding");
}

static bool is_redirect(int status)
{
    return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

static void follow(struct http_request *request, const char *location)
{
    struct http_url to;
    struct reason why;
    if (request->redirects_left == 0) {
        fail(request, "too many redirects");
        return;
    }
    if (http_url_resolve(&request->url, location, &to, &why)) {
        reason_prefix(&why, "redirect: ");
        fail(request, why.text);
        return;
    }
    if (request->url.tls && !to.tls) {
        fail(request, "redirect from https to http");
        return;
    }
    request->redirects_left--;
    change_method(request);
    if (!http_url_same_origin(&request->url, &to))
        forget_origin(request, &to);
    request->url = to;
    request->anew = false;
    http_answer_clear(&request->answer);
    begin_hop(request);
}

static void take_answer(struct http_request *request)
{
    const char *location = http_answer_header(&request->answer, "Location");
    event_del(&request->patience);
    http_kept_add(request);
    if (request->follows && location && is_redirect(request->answer.status))
        follow(request, location);
    else
        succeed(request);
}

/* The server may have closed what was kept just as the request went out. */
static bool goes_anew(const struct http_request *request)
{
    return request->connection.kept && !request->connection.begun;
}

/* It is the request's turn; or a connection has brought what it will bring. */
static void on_step(evutil_socket_t fd, short what, void *context)
{
    (void)fd;
    (void)what;
    struct http_request *request = context;
    struct reason why = {"out of memory"};
    if (!request->connection.handle)
        begin_hop(request);
    else if (request->connection.answered)
        take_answer(request);
    else if (goes_anew(request))
        begin_anew(request);
    else if (http_connection_failure(request, &why))
        connect_elsewhere(request, why.text);
    else
        fail(request, why.text);
}

/* --- turns --- */

static void begin_turn(struct http_request *request)
{
    request->has_turn = true;
    request->client->connected++;
    event_active(&request->step, EV_TIMEOUT, 0);
}

static void leave_waiting(struct http_request *request)
{
    struct http_client *client = request->client;
    *(request->previous_waiting ? &request->previous_waiting->next_waiting : &client->first_waiting) =
        request->next_waiting;
    *(request->next_waiting ? &request->next_waiting->previous_waiting : &client->last_waiting) =
        request->previous_waiting;
    request->previous_waiting = request->next_waiting = NULL;
}

static bool is_waiting(const struct http_request *request)
{
    return request->previous_waiting || request->client->first_waiting == request;
}

static void wait_for_turn(struct http_request *request)
{
    struct http_client *client = request->client;
    if (client->connected < client->config.connections_max && !client->first_waiting) {
        begin_turn(request);
        return;
    }
    request->previous_waiting = client->last_waiting;
    *(client->last_waiting ? &client->last_waiting->next_waiting : &client->first_waiting) = request;
    client->last_waiting = request;
}

static void on_turn(evutil_socket_t fd, short what, void *context)
{
    (void)fd;
    (void)what;
    struct http_client *client = context;
    while (client->first_waiting && client->connected < client->config.connections_max) {
        struct http_request *request = client->first_waiting;
        leave_waiting(request);
        begin_turn(request);
    }
}

/* --- life --- */

static MUST_CHECK enum status copy_ask(struct http_request *request, const struct http_ask *ask)
{
    for (size_t i = 0; i < sizeof methods / sizeof *methods; i++)
        if (strcmp(methods[i].name, ask->method) == 0)
            request->method = methods[i].type;
    request->headers = calloc(ask->header_count + 1, sizeof *request->headers);
    for (size_t i = 0; request->headers && i < ask->header_count; i++) {
        struct http_header *copy = &request->headers[request->header_count++];
        *copy = (struct http_header){strdup(ask->headers[i].name), strdup(ask->headers[i].value)};
        if (!copy->name || !copy->value)
            return STATUS_NO_MEMORY;
    }
    request->ca_file = ask->ca_file ? strdup(ask->ca_file) : NULL;
    buffer_append(&request->body, ask->body.data, ask->body.length);
    return request->headers && (request->ca_file || !ask->ca_file) ? buffer_status(&request->body) : STATUS_NO_MEMORY;
}

static void assign_events(struct http_request *request)
{
    struct event_base *base = request->client->config.base;
    evtimer_assign(&request->step, base, on_step, request);
    evtimer_assign(&request->alarm, base, on_alarm, request);
    evtimer_assign(&request->patience, base, on_patience, request);
}

enum status http_request_start(struct http_client *client, const struct http_ask *ask, struct http_request **out,
                               struct reason *reason)
{
    struct timeval timeout = clock_timeval(ask->timeout_us);
    if (client->requests >= client->config.requests_max) {
        reason_set(reason, "too many requests at once");
        return STATUS_NO_SPACE;
    }
    struct http_request *request = calloc(1, sizeof *request);
    if (!request) {
        reason_set(reason, "out of memory");
        return STATUS_NO_MEMORY;
    }
    request->client = client;
    client->requests++;
    assign_events(request);
    request->max_size = ask->max_size;
    request->redirects_left = ask->redirects;
    request->follows = ask->redirects > 0;
    request->verify = ask->verify;
    request->address = ask->address;
    request->deadline_us = clock_monotonic_us() + ask->timeout_us;
    request->on_finished = ask->finished;
    request->finished_context = ask->context;
    enum status status = http_url_parse(ask->url, ask->url_length, &request->url, reason);
    if (!status && (copy_ask(request, ask) || evtimer_add(&request->alarm, &timeout))) {
        reason_set(reason, "out of memory");
        status = STATUS_NO_MEMORY;
    }
    if (status) {
        http_request_free(request);
        return status;
    }
    wait_for_turn(request);
    *out = request;
    return STATUS_OK;
}

void http_request_free(struct http_request *request)
{
    if (is_waiting(request))
        leave_waiting(request);
    stop(request);
    request->client->requests--;
    http_answer_clear(&request->answer);
    buffer_free(&request->response_url);
    buffer_free(&request->body);
    free_headers(request);
    SSL_CTX_free(request->context);
    free(request->ca_file);
    free(request);
}

struct http_client *http_client_new(const struct http_client_config *config)
{
    struct http_client *client = calloc(1, sizeof *client);
    if (!client)
        return NULL;
    client->config = *config;
    client->hosts.path = "/etc/hosts";
    evtimer_assign(&client->turn, config->base, on_turn, client);
    return client;
}

void http_client_free(struct http_client *client)
{
    if (!client)
        return;
    event_del(&client->turn);
    http_kept_free_all(client);
    http_hosts_free(&client->hosts);
    SSL_CTX_free(client->trusted);
    free(client);
}
