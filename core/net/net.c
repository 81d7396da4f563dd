/* The net's life: made from its configuration, started, stopped; its lists; what it tells of itself. */
#include "net/transport.h"

#include <errno.h>
#include <limits.h>
#include <linux/sock_diag.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

enum { DESCRIPTORS_FOR_OTHERS = 320 /* listeners, upstream connections, files, the Lua side */ };

struct net_config net_config_defaults(void)
{
    return (struct net_config){
        .resolv_conf = "/etc/resolv.conf",
        .tcp_idle_us = 10 * 1000000,
        .tcp_connections_max = 10000,
        .tcp_connections_per_client = 1000,
        .tcp_pipeline_max = 256,
        .tcp_output_max = 256 * 1024,
        .tcp_memory_max = 64 * 1024 * 1024,
        .upstream_idle_us = 10 * 1000000,
        .upstream_sockets_max = 512,
    };
}

const char *net_error_text(int error)
{
    static const struct {
        int error;
        const char *text;
    } texts[] = {
        {ECONNREFUSED, "connection refused"},
        {ECONNRESET, "connection reset"},
        {EPIPE, "connection closed"},
        {ETIMEDOUT, "time-out of the connection"},
        {EHOSTUNREACH, "host unreachable"},
        {ENETUNREACH, "network unreachable"},
        {EMFILE, "too many open files"},
        {ENFILE, "too many open files in the system"},
        {EADDRNOTAVAIL, "address not available"},
        {EACCES, "not permitted"},
        {EPERM, "not permitted (by a firewall?)"},
        {ENOMEM, "out of memory"},
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        if (texts[i].error == error)
            return texts[i].text;
    const char *text = strerrordesc_np(error);
    return text ? text : "unknown error";
}

/* --- lists --- */

static enum status load_hosts(const struct net *net, const struct log *log, struct hosts **out, struct reason *reason)
{
    if (!net->hosts_path)
        return STATUS_OK;
    enum status status = hosts_load(net->hosts_path, log, out, reason);
    if (status)
        return status;
    log_line(log, LOG_DEBUG, "%s: %zu names", net->hosts_path, hosts_count(*out));
    return STATUS_OK;
}

void net_warn_of_self(const struct net *net)
{
    char text[ADDRESS_TEXT_MAX];
    for (size_t i = 0; i < net->upstreams.count; i++) {
        const struct address *address = &net->upstreams.items[i].target.address;
        if (net_is_self(net, address))
            log_line(net->log, LOG_WARN, "upstream %s is this proxy itself and will not be asked; name another with -u",
                     address_text(address, text));
    }
}

bool net_prepare_lists(struct net *net, bool silent)
{
    struct net_lists *next = &net->next;
    struct reason reason = {"out of memory"};
    struct log log = *net->log;
    bool all = true;
    if (silent)
        log.level = LOG_ERROR + 1;
    net_drop_lists(net);
    next->prepared = true;
    next->silent = silent;
    if (load_hosts(net, &log, &next->hosts, &reason)) {
        all = false;
        log_line(&log, LOG_ERROR, "%s; the old one stays", reason.text);
    }
    if (zone_list_copy(&net->zones, &next->zones)) {
        all = false;
        log_line(&log, LOG_ERROR, "out of memory; the old zones stay");
    } else if (!zone_list_reload(&next->zones, &log)) {
        all = false;
    }
    next->has_upstreams = net_load_upstreams(net, true, &next->upstreams, &reason) == STATUS_OK;
    if (!next->has_upstreams)
        log_line(&log, LOG_ERROR, "%s; the old servers stay", reason.text);
    return all && next->has_upstreams;
}

void net_take_lists(struct net *net)
{
    struct net_lists *next = &net->next;
    if (!next->prepared)
        return;
    if (next->hosts) {
        hosts_free(net->hosts);
        net->hosts = next->hosts;
    }
    if (next->zones.items) {
        zone_list_free(&net->zones);
        net->zones = next->zones;
    }
    if (next->has_upstreams)
        upstreams_replace(&net->upstreams, &next->upstreams);
    net_resolv_watch_again(net); /* it may have changed since then */
    if (!next->silent)
        net_warn_of_self(net);
    *next = (struct net_lists){.prepared = false};
}

void net_drop_lists(struct net *net)
{
    hosts_free(net->next.hosts);
    zone_list_free(&net->next.zones);
    upstreams_free(&net->next.upstreams);
    net->next = (struct net_lists){.prepared = false};
}

/* --- life --- */

/* One more than `count`, so that none is no failure. */
static void *copy_items(const void *items, size_t count, size_t size)
{
    void *copy = calloc(count + 1, size);
    if (copy && count)
        memcpy(copy, items, count * size);
    return copy;
}

/* Clients' connections may never use up the descriptors that asking upstreams needs. */
static void fit_limits(struct net_config *config)
{
    struct rlimit limit;
    unsigned all = config->descriptors_max;
    if (all == 0 && !getrlimit(RLIMIT_NOFILE, &limit))
        all = limit.rlim_cur < UINT_MAX ? (unsigned)limit.rlim_cur : UINT_MAX;
    if (all == 0)
        return;
    if (config->upstream_sockets_max > all / 4)
        config->upstream_sockets_max = all / 4;
    unsigned others = all / 4 < DESCRIPTORS_FOR_OTHERS ? all / 4 : DESCRIPTORS_FOR_OTHERS;
    unsigned left = all - config->upstream_sockets_max - others;
    if (config->tcp_connections_max > left)
        config->tcp_connections_max = left;
}

static enum status copy_config(struct net *net, const struct net_config *config)
{
    net->config = *config;
    net->upstreams.policy = config->upstream_policy;
    net_io_set(net);
    fit_limits(&net->config);
    net->log = config->log;
    net->hosts_path = config->hosts ? strdup(config->hosts) : NULL;
    net->resolv_conf_path = config->resolv_conf ? strdup(config->resolv_conf) : NULL;
    net->listens = copy_items(config->listens, config->listen_count, sizeof *config->listens);
    net->inherited = copy_items(config->inherited, config->inherited_count, sizeof *config->inherited);
    net->given_upstreams = copy_items(config->upstreams, config->upstream_count, sizeof *config->upstreams);
    bool whole = (net->hosts_path || !config->hosts) && (net->resolv_conf_path || !config->resolv_conf) &&
                 net->listens && net->inherited && net->given_upstreams;
    return whole ? STATUS_OK : STATUS_NO_MEMORY;
}

static void answer_failed(void *context, void *owner, int error)
{
    struct net *net = context;
    (void)owner;
    (void)error;
    net->counters.udp_send_dropped++;
}

/* A full buffer is overload, and costs one packet; all else is a channel that does not work. */
static void query_failed(void *context, void *owner, int error)
{
    struct net *net = context;
    if (error == EAGAIN || error == EWOULDBLOCK || error == ENOBUFS || error == EMSGSIZE)
        net->counters.upstream_send_dropped++;
    else
        net_channel_failed(net, owner, net_error_text(error));
}

static enum status make_parts(struct net *net)
{
    net->tcp_server = tcp_server_new(net);
    net->datagrams_in = datagrams_in_new();
    net->answers_out = datagrams_out_new(answer_failed, net);
    net->queries_out = datagrams_out_new(query_failed, net);
    net->stream_bytes = malloc(STREAM_READ_SIZE);
    return net->tcp_server && net->datagrams_in && net->answers_out && net->queries_out && net->stream_bytes
               ? STATUS_OK
               : STATUS_NO_MEMORY;
}

static enum status check_schemes(const struct net_config *config, struct reason *reason)
{
    for (size_t i = 0; i < config->upstream_count; i++)
        if (upstream_scheme_check(config->upstreams[i].target.scheme, reason))
            return STATUS_INVALID;
    return STATUS_OK;
}

enum status net_new(struct event_base *base, const struct net_config *config, struct net **out, struct reason *reason)
{
    enum status status = check_schemes(config, reason);
    if (status)
        return status;
    struct net *net = calloc(1, sizeof *net);
    if (!net) {
        reason_set(reason, "out of memory");
        return STATUS_NO_MEMORY;
    }
    net->base = base;
    net_turns_start(net);
    reason_set(reason, "out of memory");
    if ((status = copy_config(net, config)) || (status = net_admission_new(net, config)) ||
        (status = make_parts(net)) || (status = load_hosts(net, net->log, &net->hosts, reason)) ||
        (status = zone_list_load(&net->zones, config->zones, reason)) ||
        (status = net_load_upstreams(net, false, &net->upstreams, reason))) {
        net_free(net);
        return status;
    }
    if (!net->hosts && net->zones.count == 0) /* a reload adds none */
        net->io.local_answer = NULL;
    *out = net;
    return STATUS_OK;
}

const struct exchange_io *net_io(struct net *net)
{
    return &net->io;
}

enum status net_start(struct net *net, struct exchange *exchange, struct reason *reason)
{
    net->exchange = exchange;
    net->started = true;
    net_warn_of_self(net);
    for (size_t i = 0; i < net->listener_count; i++) {
        struct listener *listener = &net->listeners[i];
        event_assign(&listener->event, net->base, listener->fd, EV_READ | EV_PERSIST, listener->ops->readable,
                     listener);
        if (event_add(&listener->event, NULL)) {
            reason_set(reason, "cannot watch a listener");
            return STATUS_IO;
        }
        listener->event_added = true;
    }
    net_resolv_watch_start(net);
    net_turn(net);
    return STATUS_OK;
}

void net_stop_listening(struct net *net)
{
    if (net->stopping || !net->started)
        return;
    net_turn(net);
    net->stopping = true;
    for (size_t i = 0; i < net->listener_count; i++) {
        struct listener *listener = &net->listeners[i];
        if (listener->event_added)
            event_del(&listener->event);
        listener->event_added = false;
        listener->ops->stop(listener);
    }
    tcp_server_stop(net->tcp_server);
}

bool net_is_idle(const struct net *net)
{
    return exchange_flows(net->exchange) == 0 && tcp_server_is_empty(net->tcp_server) &&
           datagrams_out_is_empty(net->answers_out);
}

void net_free(struct net *net)
{
    if (!net)
        return;
    net->config.on_connection = NULL; /* nobody is there any more to be told */
    net->config.on_idle = NULL;
    for (size_t i = 0; i < net->listener_count; i++) {
        struct listener *listener = &net->listeners[i];
        if (listener->event_added)
            event_del(&listener->event);
        listener->event_added = false;
        if (listener->fd >= 0)
            close(listener->fd);
    }
    if (net->answers_out)
        datagrams_flush(net->answers_out);
    tcp_server_free(net->tcp_server);
    net_turns_stop(net);
    datagrams_in_free(net->datagrams_in);
    datagrams_out_free(net->answers_out);
    datagrams_out_free(net->queries_out);
    net_resolv_watch_stop(net);
    net_drop_lists(net);
    upstreams_free(&net->upstreams);
    net_admission_free(net);
    hosts_free(net->hosts);
    zone_list_free(&net->zones);
    free(net->stream_bytes);
    free(net->listeners);
    free(net->listens);
    free(net->inherited);
    free(net->given_upstreams);
    free(net->hosts_path);
    free(net->resolv_conf_path);
    free(net);
}

/* --- what it tells of itself --- */

/* What the kernel dropped for lack of room in this socket's buffer. */
static uint64_t dropped_by_kernel(int fd)
{
    uint32_t info[SK_MEMINFO_VARS] = {0};
    socklen_t length = sizeof info;
    if (getsockopt(fd, SOL_SOCKET, SO_MEMINFO, info, &length))
        return 0;
    return info[SK_MEMINFO_DROPS];
}

struct net_counters net_counters(const struct net *net)
{
    struct net_counters counters = net->counters;
    for (size_t i = 0; i < net->listener_count; i++)
        if (net->listeners[i].ops == &udp_server_transport)
            counters.udp_receive_dropped += dropped_by_kernel(net->listeners[i].fd);
    counters.tcp_connections = counters.tcp_accepted - counters.tcp_closed;
    counters.upstream_sockets = net->udp_sockets;
    return counters;
}

void net_describe_upstreams(const struct net *net, struct buffer *out)
{
    upstreams_describe(&net->upstreams, out);
}

void net_describe_listeners(const struct net *net, struct buffer *out)
{
    char text[ADDRESS_TEXT_MAX];
    for (size_t i = 0; i < net->listener_count; i++) {
        const struct listener *listener = &net->listeners[i];
        bool same = i > 0 && address_equal(&listener->local, &net->listeners[i - 1].local);
        bool last = i + 1 == net->listener_count || !address_equal(&listener->local, &net->listeners[i + 1].local);
        if (!same)
            buffer_format(out, "%s%s (", i ? ", " : "", address_text(&listener->local, text));
        buffer_format(out, "%s%s%s", same ? ", " : "", transport_name(listener->ops->transport), last ? ")" : "");
    }
}

struct address net_first_address(const struct net *net)
{
    return net->listener_count ? net->listeners[0].local : (struct address){.family = AF_UNSPEC};
}
