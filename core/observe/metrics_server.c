#include "observe/metrics_server.h"

#include "net/port_owner.h"
#include "observe/pages.h"

#include <errno.h>
#include <event2/event.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

enum {
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
    struct pages *pages;
    struct event *stop;
    int fd, stop_fd;
    pthread_t thread;
    bool has_thread;
    pthread_mutex_t lock;
    pthread_cond_t changed; /* on the monotonic clock */
    unsigned round;         /* guarded: of requests to the workers */
    bool stopping;          /* guarded */
    struct desk *desks;
    const struct snapshot **taken; /* room for the desks' */
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

/* What this server counts itself. */
static void write_connections(const struct metrics_server *server, struct exposition *out)
{
    const struct pages_counters counters = pages_counters(server->pages);
    const struct {
        const char *event;
        uint64_t count;
    } events[] = {{"accepted", counters.accepted}, {"evicted", counters.evicted}, {"timed_out", counters.timed_out}};
    exposition_family(out, "moondns_metrics_connections", METRIC_GAUGE, "Connections to the metrics port open now.");
    exposition_sample(out, NULL, 0, counters.open);
    exposition_family(
        out, "moondns_metrics_connection_events", METRIC_COUNTER,
        "Connections to the metrics port: accepted; evicted to make room for others; timed out, with half "
        "a request or an answer that is not read.");
    for (size_t i = 0; i < sizeof events / sizeof *events; i++) {
        struct metric_label labels[1] = {{"event", events[i].event, strlen(events[i].event)}};
        exposition_sample(out, labels, 1, (double)events[i].count);
    }
}

static void serve_metrics(struct metrics_server *server, const struct page_request *request, struct page_answer *answer)
{
    static const char plain[] = "text/plain; version=0.0.4; charset=utf-8";
    static const char open[] = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    (void)gather(server);
    struct exposition out = {.open_metrics = strstr(request->accept, "application/openmetrics-text")};
    for (unsigned i = 0; i < server->config.workers; i++)
        server->taken[i] = server->desks[i].taken;
    metrics_write(&out, server->taken, server->config.workers, &server->config.common);
    write_connections(server, &out);
    if (server->config.more)
        server->config.more(server->config.context, &out);
    answer->code = 200;
    answer->type = out.open_metrics ? open : plain;
    if (exposition_end(&out))
        out.text.failed = true;
    answer->text = out.text;
    out.text = (struct buffer){0};
    exposition_free(&out);
}

static void serve_health(struct metrics_server *server, struct page_answer *answer)
{
    bool all = gather(server) == server->config.workers;
    answer->code = all ? 200 : 503;
    buffer_text(&answer->text, all ? "ok\n" : "not every worker's loop turns\n");
}

static void serve(void *context, const struct page_request *request, struct page_answer *answer)
{
    if (!strcmp(request->path, "/metrics"))
        serve_metrics(context, request, answer);
    else if (!strcmp(request->path, "/health"))
        serve_health(context, answer);
    else
        buffer_text(&answer->text, "here are /metrics and /health\n");
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
    server->taken = calloc(server->config.workers, sizeof *server->taken);
    for (unsigned i = 0; server->desks && i < server->config.workers; i++) {
        struct desk *desk = &server->desks[i];
        desk->filling = calloc(1, sizeof *desk->filling);
        desk->published = calloc(1, sizeof *desk->published);
        desk->taken = calloc(1, sizeof *desk->taken);
        if (!desk->filling || !desk->published || !desk->taken)
            return false;
    }
    return server->desks && server->taken;
}

static bool make_base(struct metrics_server *server)
{
    server->base = event_base_new();
    server->stop = server->base ? event_new(server->base, server->stop_fd, EV_READ, on_stop, server->base) : NULL;
    return server->stop && !event_add(server->stop, NULL);
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
    if (server->stop_fd < 0 || !make_desks(server) || !make_base(server))
        goto done;
    status = listen_there(server, reason);
    if (status)
        goto done;
    server->pages =
        pages_new(&(struct pages_config){.base = server->base, .fd = server->fd, .serve = serve, .context = server});
    server->fd = -1; /* the pages' now */
    if (!server->pages) {
        status = STATUS_NO_MEMORY;
        goto done;
    }
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
    pages_free(server->pages);
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
    free(server->taken);
    pthread_cond_destroy(&server->changed);
    pthread_mutex_destroy(&server->lock);
    free(server);
}

struct address metrics_server_address(const struct metrics_server *server)
{
    return server->config.address;
}
