#include "observe/metrics_server.h"

#include "net/port_owner.h"
#include "observe/metrics_clients.h"

#include <errno.h>
#include <event2/buffer.h>
#include <event2/event.h>
#include <event2/http.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

enum {
    HEADERS_MAX = 8192, /* bytes of a request */
    BODY_MAX = 1024,
    TIMEOUT_S = 10, /* of a connection on which nothing happens */
    PATIENCE_S = 1, /* with the workers */
    BACKLOG = 16,
};

/* A worker's snapshots go round: the worker fills one, the last whole one waits, the server reads a third. */
struct desk {
    struct snapshot *filling;   /* the worker's */
    struct snapshot *published; /* guarded, like the two below */
    unsigned round;             /* the last request that it has answered */
    bool fresh;                 /* `published` is newer than `taken` */
    struct snapshot *taken;     /* the server's */
};

struct metrics_server {
    struct metrics_server_config config;
    struct event_base *base;
    struct evhttp *http;
    struct metrics_clients *clients;
    struct event *stop;
    int fd, stop_fd;
    pthread_t thread;
    bool has_thread;
    pthread_mutex_t lock;
    pthread_cond_t changed; /* on the monotonic clock */
    unsigned round;         /* guarded: of requests to the workers */
    bool stopping;          /* guarded */
    struct desk *desks;
};

/* --- the workers' side --- */

bool metrics_server_wants(struct metrics_server *server, unsigned worker)
{
    pthread_mutex_lock(&server->lock);
    bool wants = server->desks[worker].round != server->round;
    pthread_mutex_unlock(&server->lock);
    return wants;
}

struct snapshot *metrics_server_begin(struct metrics_server *server, unsigned worker)
{
    struct snapshot *snapshot = server->desks[worker].filling;
    snapshot->hooks_count = 0;
    return snapshot;
}

static void swap(struct snapshot **one, struct snapshot **other)
{
    struct snapshot *kept = *one;
    *one = *other;
    *other = kept;
}

void metrics_server_publish(struct metrics_server *server, unsigned worker)
{
    struct desk *desk = &server->desks[worker];
    pthread_mutex_lock(&server->lock);
    swap(&desk->filling, &desk->published);
    desk->fresh = true;
    desk->round = server->round;
    pthread_cond_signal(&server->changed);
    pthread_mutex_unlock(&server->lock);
}

/* --- the server's side --- */

/* How many workers have answered. */
static unsigned count_answered(const struct metrics_server *server)
{
    unsigned count = 0;
    for (unsigned i = 0; i < server->config.workers; i++)
        count += server->desks[i].round == server->round;
    return count;
}

/* Asks all workers, and takes what they have told in time. Gives how many have. */
static unsigned gather(struct metrics_server *server)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += PATIENCE_S;
    pthread_mutex_lock(&server->lock);
    server->round++;
    pthread_mutex_unlock(&server->lock);
    for (unsigned i = 0; i < server->config.workers; i++)
        server->config.wake(server->config.context, i);
    pthread_mutex_lock(&server->lock);
    while (count_answered(server) < server->config.workers && !server->stopping)
        if (pthread_cond_timedwait(&server->changed, &server->lock, &until))
            break;
    unsigned answered = count_answered(server);
    for (unsigned i = 0; i < server->config.workers; i++) {
        struct desk *desk = &server->desks[i];
        if (desk->fresh)
            swap(&desk->published, &desk->taken);
        desk->fresh = false;
    }
    pthread_mutex_unlock(&server->lock);
    return answered;
}

/* Answers with text; NULL: there is no memory for it. */
static void answer(struct evhttp_request *request, int code, const char *words, const char *type, const void *text,
                   size_t length)
{
    struct evbuffer *body = evbuffer_new();
    struct evkeyvalq *headers = evhttp_request_get_output_headers(request);
    if (!body || evbuffer_add(body, text, length) || evhttp_add_header(headers, "Content-Type", type))
        evhttp_send_error(request, HTTP_INTERNAL, NULL);
    else
        evhttp_send_reply(request, code, words, body);
    if (body)
        evbuffer_free(body);
}

static void answer_text(struct evhttp_request *request, int code, const char *words, const char *text)
{
    answer(request, code, words, "text/plain; charset=utf-8", text, strlen(text));
}

/* GET and HEAD pass; all else is answered. */
static bool is_reading(struct evhttp_request *request)
{
    enum evhttp_cmd_type method = evhttp_request_get_command(request);
    if (method == EVHTTP_REQ_GET || method == EVHTTP_REQ_HEAD)
        return true;
    evhttp_add_header(evhttp_request_get_output_headers(request), "Allow", "GET, HEAD");
    answer_text(request, HTTP_BADMETHOD, "Method Not Allowed", "only GET and HEAD are served here\n");
    return false;
}

static void on_metrics(struct evhttp_request *request, void *context)
{
    static const char plain[] = "text/plain; version=0.0.4; charset=utf-8";
    static const char open[] = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    struct metrics_server *server = context;
    if (!is_reading(request))
        return;
    (void)gather(server);
    const char *accept = evhttp_find_header(evhttp_request_get_input_headers(request), "Accept");
    struct exposition out = {.open_metrics = accept && strstr(accept, "application/openmetrics-text")};
    const struct snapshot **snapshots = calloc(server->config.workers, sizeof *snapshots);
    for (unsigned i = 0; snapshots && i < server->config.workers; i++)
        snapshots[i] = server->desks[i].taken;
    if (snapshots) {
        metrics_write(&out, snapshots, server->config.workers, &server->config.common);
        if (server->config.more)
            server->config.more(server->config.context, &out);
    }
    if (exposition_end(&out) || !snapshots)
        evhttp_send_error(request, HTTP_INTERNAL, NULL);
    else
        answer(request, HTTP_OK, "OK", out.open_metrics ? open : plain, out.text.data, out.text.length);
    exposition_free(&out);
    free(snapshots);
}

static void on_health(struct evhttp_request *request, void *context)
{
    struct metrics_server *server = context;
    if (!is_reading(request))
        return;
    if (gather(server) == server->config.workers)
        answer_text(request, HTTP_OK, "OK", "ok\n");
    else
        answer_text(request, HTTP_SERVUNAVAIL, "Service Unavailable", "not every worker's loop turns\n");
}

static void on_other(struct evhttp_request *request, void *context)
{
    (void)context;
    if (is_reading(request))
        answer_text(request, HTTP_NOTFOUND, "Not Found", "here are /metrics and /health\n");
}

static void on_stop(evutil_socket_t fd, short what, void *context)
{
    (void)fd;
    (void)what;
    event_base_loopbreak(context);
}

static void *server_thread(void *context)
{
    struct metrics_server *server = context;
    event_base_dispatch(server->base);
    return NULL;
}

/* --- life --- */

static enum status listen_there(struct metrics_server *server, struct reason *reason)
{
    struct sockaddr_storage name;
    socklen_t length = address_to_sockaddr(&server->config.address, (struct sockaddr *)&name);
    int on = 1;
    server->fd = socket(server->config.address.family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (server->fd < 0 || setsockopt(server->fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) ||
        bind(server->fd, (const struct sockaddr *)&name, length) || listen(server->fd, BACKLOG)) {
        port_owner_explain("/proc", &server->config.address, true, errno, reason);
        reason_prefix(reason, "--metrics: ");
        return STATUS_IO;
    }
    length = sizeof name;
    if (!getsockname(server->fd, (struct sockaddr *)&name, &length))
        server->config.address = address_from_sockaddr((const struct sockaddr *)&name);
    return STATUS_OK;
}

static bool make_desks(struct metrics_server *server)
{
    server->desks = calloc(server->config.workers, sizeof *server->desks);
    for (unsigned i = 0; server->desks && i < server->config.workers; i++) {
        struct desk *desk = &server->desks[i];
        desk->filling = calloc(1, sizeof *desk->filling);
        desk->published = calloc(1, sizeof *desk->published);
        desk->taken = calloc(1, sizeof *desk->taken);
        if (!desk->filling || !desk->published || !desk->taken)
            return false;
    }
    return server->desks;
}

static bool make_http(struct metrics_server *server)
{
    static const ev_uint16_t all_methods = EVHTTP_REQ_GET | EVHTTP_REQ_HEAD | EVHTTP_REQ_POST | EVHTTP_REQ_PUT |
                                           EVHTTP_REQ_DELETE | EVHTTP_REQ_OPTIONS | EVHTTP_REQ_PATCH;
    server->base = event_base_new();
    server->http = server->base ? evhttp_new(server->base) : NULL;
    if (!server->http)
        return false;
    evhttp_set_max_headers_size(server->http, HEADERS_MAX);
    evhttp_set_max_body_size(server->http, BODY_MAX);
    evhttp_set_timeout(server->http, TIMEOUT_S);
    evhttp_set_allowed_methods(server->http, all_methods);
    evhttp_set_gencb(server->http, on_other, server);
    server->stop = event_new(server->base, server->stop_fd, EV_READ, on_stop, server->base);
    return server->stop && !event_add(server->stop, NULL) &&
           !evhttp_set_cb(server->http, "/metrics", on_metrics, server) &&
           !evhttp_set_cb(server->http, "/health", on_health, server);
}

enum status metrics_server_new(const struct metrics_server_config *config, struct metrics_server **out,
                               struct reason *reason)
{
    struct metrics_server *server = calloc(1, sizeof *server);
    pthread_condattr_t attributes;
    if (!server)
        return STATUS_NO_MEMORY;
    server->config = *config;
    server->fd = -1;
    pthread_mutex_init(&server->lock, NULL);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&server->changed, &attributes);
    pthread_condattr_destroy(&attributes);
    server->stop_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    enum status status = STATUS_NO_MEMORY;
    if (server->stop_fd < 0 || !make_desks(server) || !make_http(server))
        goto done;
    status = listen_there(server, reason);
    if (status)
        goto done;
    struct evhttp_bound_socket *bound = evhttp_accept_socket_with_handle(server->http, server->fd);
    if (!bound) {
        status = STATUS_NO_MEMORY;
        goto done;
    }
    server->fd = -1; /* evhttp's now */
    status = metrics_clients_new(server->base, server->http, bound, &server->clients);
    if (status)
        goto done;
    *out = server;
    server = NULL;
done:
    metrics_server_free(server);
    return status;
}

enum status metrics_server_start(struct metrics_server *server, struct reason *reason)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    server->has_thread = pthread_create(&server->thread, NULL, server_thread, server) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (server->has_thread)
        return STATUS_OK;
    reason_set(reason, "--metrics: cannot start a thread");
    return STATUS_IO;
}

void metrics_server_stop(struct metrics_server *server)
{
    uint64_t one = 1;
    if (!server || !server->has_thread)
        return;
    server->has_thread = false;
    pthread_mutex_lock(&server->lock);
    server->stopping = true;
    pthread_cond_signal(&server->changed);
    pthread_mutex_unlock(&server->lock);
    if (write(server->stop_fd, &one, sizeof one) < 0)
        log_line(server->config.log, LOG_ERROR, "eventfd: %s", strerror(errno));
    pthread_join(server->thread, NULL);
}

void metrics_server_free(struct metrics_server *server)
{
    if (!server)
        return;
    metrics_server_stop(server);
    if (server->http)
        evhttp_free(server->http);
    metrics_clients_free(server->clients);
    if (server->stop)
        event_free(server->stop);
    if (server->base)
        event_base_free(server->base);
    if (server->fd >= 0)
        close(server->fd);
    if (server->stop_fd >= 0)
        close(server->stop_fd);
    for (unsigned i = 0; server->desks && i < server->config.workers; i++) {
        struct snapshot *snapshots[] = {server->desks[i].filling, server->desks[i].published, server->desks[i].taken};
        for (size_t j = 0; j < sizeof snapshots / sizeof *snapshots; j++) {
            if (snapshots[j])
                snapshot_free(snapshots[j]);
            free(snapshots[j]);
        }
    }
    free(server->desks);
    pthread_cond_destroy(&server->changed);
    pthread_mutex_destroy(&server->lock);
    free(server);
}

struct address metrics_server_address(const struct metrics_server *server)
{
    return server->config.address;
}
