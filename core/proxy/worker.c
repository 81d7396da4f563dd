#include "proxy/worker.h"

#include "proxy/flow_print.h"

#include <errno.h>
#include <event2/event.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <unistd.h>

enum { DRAIN_SECONDS_MAX = 5, PAYLOAD_SIZE = 1232, DESCRIPTORS_ASIDE = 32, FLUSH_AGAIN_US = 20000 };

enum { ASKED_STOP = 1, ASKED_WAKE = 2 };

struct worker {
    struct worker_config config;
    struct event_base *base;
    struct net *net;
    struct exchange *exchange;
    struct flow_print *print;
    struct flow_observer flush_observer; /* first in the list: sees to it that printed lines leave with the turn */
    struct event *flush, *asked, *drain_timer;
    bool flush_pending, draining;
    int asked_fd; /* eventfd: other threads wake the loop */
    atomic_uint asked_bits;
};

static void flow_finished(void *context, const struct flow *flow)
{
    (void)flow;
    struct worker *worker = context;
    if (worker->flush_pending)
        return;
    worker->flush_pending = true;
    event_active(worker->flush, 0, 0); /* runs at the end of this turn */
}

static void on_flush(evutil_socket_t fd, short what, void *context)
{
    (void)fd;
    (void)what;
    struct worker *worker = context;
    const struct timeval soon = {.tv_usec = FLUSH_AGAIN_US};
    worker->flush_pending = !flow_print_flush(worker->print) && !event_add(worker->flush, &soon);
}

static void break_loop(void *context)
{
    struct worker *worker = context;
    event_base_loopbreak(worker->base);
}

static void on_drain_time(evutil_socket_t fd, short what, void *context)
{
    (void)fd;
    (void)what;
    struct worker *worker = context;
    log_line(worker->config.log, LOG_WARN, "stopping with %zu queries unanswered", exchange_flows(worker->exchange));
    break_loop(worker);
}

static void drain(struct worker *worker)
{
    worker->draining = true;
    struct timeval most = {.tv_sec = DRAIN_SECONDS_MAX};
    evtimer_add(worker->drain_timer, &most);
    net_stop_listening(worker->net);
    if (worker->config.on_draining)
        worker->config.on_draining(worker->config.context);
}

static void on_asked(evutil_socket_t fd, short what, void *context)
{
    (void)what;
    struct worker *worker = context;
    uint64_t count;
    if (read(fd, &count, sizeof count) < 0 && errno != EAGAIN)
        log_line(worker->config.log, LOG_ERROR, "eventfd: %s", strerror(errno));
    unsigned bits = atomic_exchange(&worker->asked_bits, 0);
    if (bits & ASKED_WAKE && worker->config.on_woken)
        worker->config.on_woken(worker->config.context);
    if (bits & ASKED_STOP && worker->draining)
        break_loop(worker);
    else if (bits & ASKED_STOP)
        drain(worker);
}

static void on_connection(void *context, const struct reply_to *connection, bool connected)
{
    struct worker *worker = context;
    if (worker->config.on_connection)
        worker->config.on_connection(worker->config.context, connection, connected);
}

/* A worker's share of the descriptors that the process may have open, less those for files, logs and loops. */
static unsigned descriptors_each(unsigned workers)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) || limit.rlim_cur == RLIM_INFINITY)
        return 0;
    rlim_t share = limit.rlim_cur / workers;
    return share > DESCRIPTORS_ASIDE + 1 ? (unsigned)(share < UINT_MAX ? share : UINT_MAX) - DESCRIPTORS_ASIDE : 1;
}

/* The kernel spreads connections evenly enough. */
static unsigned share_of(unsigned all, unsigned workers)
{
    return (all + workers - 1) / workers;
}

/* What all workers together may open, by their limits. */
static void warn_of_descriptors(const struct worker *worker, const struct net_config *config)
{
    const struct options *options = worker->config.options;
    struct rlimit limit;
    rlim_t needed = config->tcp_connections_max + config->upstream_sockets_max + DESCRIPTORS_ASIDE * 3u;
    needed *= options->workers;
    if (worker->config.silent || options->check || options->show_options || getrlimit(RLIMIT_NOFILE, &limit) ||
        limit.rlim_cur >= needed)
        return;
    log_line(
        worker->config.log, LOG_WARN,
        "only %llu files may be open at one time, and --tcp-connections %u needs %llu: fewer connections are taken; "
        "'ulimit -n %llu' as root, or LimitNOFILE=%llu in a systemd unit, allows them",
        (unsigned long long)limit.rlim_cur, options->tcp_connections, (unsigned long long)needed,
        (unsigned long long)needed, (unsigned long long)needed);
}

static enum status make_net(struct worker *worker, struct reason *reason)
{
    const struct options *options = worker->config.options;
    struct net_config config = net_config_defaults();
    struct net_listen *listens = calloc(options->listens_count, sizeof *listens);
    struct net_upstream *upstreams = calloc(options->upstreams_count + 1, sizeof *upstreams);
    enum status status = STATUS_NO_MEMORY;
    if (!listens || !upstreams)
        goto done;
    for (size_t i = 0; i < options->listens_count; i++)
        listens[i] = (struct net_listen){options->listens[i].transports, options->listens[i].address};
    for (size_t i = 0; i < options->upstreams_count; i++) {
        upstreams[i] = (struct net_upstream){options->upstreams[i].target, options->upstreams[i].domain};
        if (upstreams[i].domain.length == 0)
            upstreams[i].domain = (struct dns_name){.length = 1}; /* the root: all names */
    }
    config.listens = listens;
    config.inherited = worker->config.inherited;
    config.inherited_count = worker->config.inherited_count;
    config.listen_count = config.inherited_count && options->listens_default ? 0 : options->listens_count;
    config.upstreams = upstreams;
    config.upstream_count = options->upstreams_count;
    config.upstream_policy = (enum net_upstream_policy)options->upstream_policy;
    config.silent = worker->config.silent;
    config.resolv_conf = options->upstream_none ? NULL : options->resolv_conf;
    config.hosts = options->hosts;
    config.zones = options->zones;
    config.allowed = options->allowed;
    config.allowed_count = options->allowed_count;
    config.allow_all = options->allow_all;
    config.rate_limit = worker->config.rate_limit;
    config.rate_action = (enum turn_away)options->rate_limit_action;
    config.rebind_protection = options->rebind_protection;
    config.rebind_allowed = options->rebind_allowed;
    config.rebind_allowed_count = options->rebind_allowed_count;
    config.tcp_connections_max = share_of(options->tcp_connections, options->workers);
    config.tcp_connections_per_client = share_of(options->tcp_connections_per_client, options->workers);
    config.tcp_pipeline_max = options->tcp_pipeline;
    config.tcp_memory_max = options->tcp_memory;
    config.tcp_idle_us = options->tcp_idle_us;
    config.reuse_port = options->workers > 1;
    config.descriptors_max = descriptors_each(options->workers);
    config.on_connection = on_connection;
    config.on_idle = break_loop;
    config.context = worker;
    config.log = worker->config.log;
    warn_of_descriptors(worker, &config);
    status = net_new(worker->base, &config, &worker->net, reason);
done:
    free(listens);
    free(upstreams);
    return status;
}

enum status worker_new(const struct worker_config *config, struct worker **out, struct reason *reason)
{
    struct worker *worker = calloc(1, sizeof *worker);
    if (!worker)
        return STATUS_NO_MEMORY;
    enum status status = STATUS_NO_MEMORY;
    worker->config = *config;
    worker->asked_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    worker->base = event_base_new();
    if (!worker->base || worker->asked_fd < 0) {
        reason_set(reason, "cannot make an event loop: %s", strerror(errno));
        goto done;
    }
    worker->flush = event_new(worker->base, -1, 0, on_flush, worker);
    worker->drain_timer = evtimer_new(worker->base, on_drain_time, worker);
    worker->asked = event_new(worker->base, worker->asked_fd, EV_READ | EV_PERSIST, on_asked, worker);
    if (!worker->flush || !worker->drain_timer || !worker->asked || event_add(worker->asked, NULL))
        goto done;
    struct flow_print_config print = {
        .detail = config->options->flow_detail,
        .json = config->options->log_json,
        .anonymize = config->options->anonymize,
        .cut = config->options->anonymize_cut,
        .colour = config->colour,
        .fd = STDOUT_FILENO,
        .log = config->log,
        .filter = config->options->filter,
    };
    if ((status = flow_print_new(&print, &worker->print, reason)) || (status = make_net(worker, reason)))
        goto done;
    *out = worker;
    worker = NULL;
done:
    worker_free(worker);
    return status;
}

enum status worker_bind(struct worker *worker, const struct worker *sibling, struct reason *reason)
{
    return net_bind(worker->net, sibling ? sibling->net : NULL, reason);
}

enum status worker_start(struct worker *worker, struct hooks *hooks, struct reason *reason)
{
    const struct options *options = worker->config.options;
    struct exchange_config config = {
        .timeout_us = options->timeout_us,
        .retries = options->retries,
        .flows_max = options->flows_max,
        .memory_max = options->flows_memory,
        .payload_size = PAYLOAD_SIZE,
        .coalesce = options->coalesce,
        .cache_entries = options->cache,
        .op_codes_refused = options->op_codes_refused,
        .stream_idle_us = options->tcp_idle_us,
    };
    struct flow_observer *observers = worker->config.observers;
    if (options->flow_detail > 0) {
        struct flow_observer *printer = flow_print_observer(worker->print);
        printer->next = observers;
        worker->flush_observer = (struct flow_observer){.next = printer, .context = worker, .finished = flow_finished};
        observers = &worker->flush_observer;
    }
    worker->exchange = exchange_new(&config, net_io(worker->net), hooks, observers);
    if (!worker->exchange)
        return STATUS_NO_MEMORY;
    return net_start(worker->net, worker->exchange, reason);
}

void worker_run(struct worker *worker)
{
    event_base_loop(worker->base, EVLOOP_NO_EXIT_ON_EMPTY);
    flow_print_flush(worker->print);
}

static void ask(struct worker *worker, unsigned bits)
{
    uint64_t one = 1;
    atomic_fetch_or(&worker->asked_bits, bits);
    if (write(worker->asked_fd, &one, sizeof one) < 0 && errno != EAGAIN)
        log_line(worker->config.log, LOG_ERROR, "eventfd: %s", strerror(errno));
}

void worker_stop(struct worker *worker)
{
    ask(worker, ASKED_STOP);
}

void worker_wake(struct worker *worker)
{
    ask(worker, ASKED_WAKE);
}

void worker_end_flows(struct worker *worker)
{
    exchange_free(worker->exchange);
    worker->exchange = NULL;
    flow_print_flush(worker->print);
}

void worker_free(struct worker *worker)
{
    if (!worker)
        return;
    if (worker->exchange)
        worker_end_flows(worker);
    if (worker->net)
        net_free(worker->net);
    flow_print_free(worker->print);
    struct event *events[] = {worker->flush, worker->drain_timer, worker->asked};
    for (size_t i = 0; i < sizeof events / sizeof *events; i++)
        if (events[i])
            event_free(events[i]);
    if (worker->base) {
        /* Nothing of ours is left in it, but bufferevents whose callbacks were put off live until those have run. */
        (void)event_base_loop(worker->base, EVLOOP_NONBLOCK);
        event_base_free(worker->base);
    }
    if (worker->asked_fd >= 0)
        close(worker->asked_fd);
    free(worker);
}

struct event_base *worker_base(struct worker *worker)
{
    return worker->base;
}

struct net *worker_net(struct worker *worker)
{
    return worker->net;
}

struct exchange *worker_exchange(struct worker *worker)
{
    return worker->exchange;
}
