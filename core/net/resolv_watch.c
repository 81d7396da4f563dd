/* The upstreams of resolv.conf, which change as the machine goes from one network to another. */
#include "base/file_watch.h"
#include "net/resolv_conf.h"
#include "net/transport.h"

#include <stdlib.h>

enum {
    QUIET_US = 50000,    /* after a change, as several may come together */
    WRITING_US = 500000, /* after a write, where the file is not closed */
};

struct resolv_watch {
    struct net *net;
    struct file_watch files;
    struct event readable, due;
    bool changed; /* `due` comes after QUIET_US */
};

static bool wants_resolv_conf(const struct net *net)
{
    for (size_t i = 0; i < net->config.upstream_count; i++)
        if (net->given_upstreams[i].domain.length <= 1)
            return false;
    return net->resolv_conf_path != NULL;
}

enum status net_load_upstreams(const struct net *net, bool again, struct upstreams *out, struct reason *reason)
{
    struct resolv_conf conf = {.count = 0};
    const size_t given = net->config.upstream_count;
    enum status status = STATUS_OK;
    if (wants_resolv_conf(net))
        status = resolv_conf_load(net->resolv_conf_path, &conf, reason);
    if (status)
        return status;
    struct net_upstream *all = calloc(given + conf.count + 1, sizeof *all);
    if (!all)
        return STATUS_NO_MEMORY;
    if (given)
        memcpy(all, net->given_upstreams, given * sizeof *all);
    for (size_t i = 0; i < conf.count; i++) {
        all[given + i].domain.length = 1;
        all[given + i].target.address = conf.servers[i];
    }
    struct upstreams next = {.count = 0};
    status = upstreams_set(&next, all, given + conf.count);
    free(all);
    if (!status && again && conf.is_default && !upstreams_equal(&next, &net->upstreams)) {
        upstreams_free(&next);
        reason_set(reason, "%s names no server", net->resolv_conf_path);
        status = STATUS_NOT_FOUND;
    }
    if (!status)
        upstreams_replace(out, &next);
    return status;
}

/* --- watching --- */

static void take(struct net *net)
{
    static const struct log silent = {.level = LOG_ERROR + 1};
    const struct log *log = net->config.silent ? &silent : net->log;
    struct upstreams next = {.count = 0};
    struct reason reason = {"out of memory"};
    struct buffer text = {0};
    if (net_load_upstreams(net, true, &next, &reason)) {
        log_line(log, LOG_WARN, "%s; the old servers stay", reason.text);
        return;
    }
    const bool same = upstreams_equal(&next, &net->upstreams);
    upstreams_replace(&net->upstreams, &next);
    if (same)
        return;
    upstreams_describe(&net->upstreams, &text);
    if (buffer_c_string(&text))
        log_line(log, LOG_INFO, "%s has changed: upstream %s", net->resolv_conf_path, (const char *)text.data);
    buffer_free(&text);
    if (!net->config.silent)
        net_warn_of_self(net);
}

static void on_due(evutil_socket_t fd, short what, void *context)
{
    (void)fd;
    (void)what;
    struct resolv_watch *watch = context;
    watch->changed = false;
    net_enter(watch->net);
    file_watch_add(&watch->files, watch->net->resolv_conf_path, watch); /* links may lead elsewhere now */
    take(watch->net);
    net_leave(watch->net);
}

static void changed(void *owner, enum file_change change)
{
    struct resolv_watch *watch = owner;
    const struct timeval quiet = {.tv_usec = QUIET_US}, writing = {.tv_usec = WRITING_US};
    if (change == FILE_CHANGED && !watch->changed)
        watch->changed = !event_add(&watch->due, &quiet);
    else if (!event_pending(&watch->due, EV_TIMEOUT, NULL))
        event_add(&watch->due, &writing);
}

static void on_readable(evutil_socket_t fd, short what, void *context)
{
    (void)fd;
    (void)what;
    struct resolv_watch *watch = context;
    file_watch_read(&watch->files, changed);
}

void net_resolv_watch_start(struct net *net)
{
    if (!wants_resolv_conf(net))
        return;
    struct resolv_watch *watch = calloc(1, sizeof *watch);
    if (!watch)
        return;
    watch->net = net;
    watch->files.fd = -1;
    if (file_watch_start(&watch->files) < 0) {
        log_line(net->log, LOG_DEBUG, "cannot watch %s: its changes count after a SIGHUP", net->resolv_conf_path);
        free(watch);
        return;
    }
    file_watch_add(&watch->files, net->resolv_conf_path, watch);
    event_assign(&watch->readable, net->base, watch->files.fd, EV_READ | EV_PERSIST, on_readable, watch);
    evtimer_assign(&watch->due, net->base, on_due, watch);
    event_add(&watch->readable, NULL);
    net->resolv_watch = watch;
}

void net_resolv_watch_again(struct net *net)
{
    if (net->resolv_watch)
        changed(net->resolv_watch, FILE_CHANGED);
}

void net_resolv_watch_stop(struct net *net)
{
    struct resolv_watch *watch = net->resolv_watch;
    if (!watch)
        return;
    event_del(&watch->readable);
    event_del(&watch->due);
    file_watch_stop(&watch->files);
    free(watch);
    net->resolv_watch = NULL;
}
