#include "lua/commands/observing.h"

#include "data/metrics/script_metrics.h"
#include "observe/dnstap.h"
#include "observe/metrics_server.h"

#include <luajit.h>
#include <stdlib.h>

enum status observing_seat(struct seat *seat, struct flow_observer **out)
{
    const struct options *options = &seat->moondns->options;
    *out = NULL;
    if (options->metrics.family != AF_UNSPEC) {
        seat->tally = malloc(sizeof *seat->tally);
        if (!seat->tally)
            return STATUS_NO_MEMORY;
        flow_tally_init(seat->tally);
        *out = &seat->tally->observer;
    }
    if (options->dnstap) {
        seat->tap = malloc(sizeof *seat->tap);
        if (!seat->tap)
            return STATUS_NO_MEMORY;
        dnstap_tap_init(seat->tap);
        seat->tap->observer.next = *out;
        *out = &seat->tap->observer;
    }
    return STATUS_OK;
}

void observing_seat_free(struct seat *seat)
{
    if (seat->tap)
        dnstap_tap_close(seat->tap);
    free(seat->tally);
    free(seat->tap);
    seat->tally = NULL;
    seat->tap = NULL;
}

enum status observing_begin(struct moondns *moondns, struct reason *reason)
{
    const struct options *options = &moondns->options;
    if (!options->dnstap)
        return STATUS_OK;
    struct dnstap_config config = {
        .target = options->dnstap,
        .identity = options->dnstap_identity,
        .log = &moondns->log,
        .workers = moondns->count,
        .anonymize = options->anonymize ? &options->anonymize_cut : NULL,
    };
    enum status status = dnstap_new(&config, &moondns->dnstap, reason);
    for (unsigned i = 0; i < moondns->count && !status; i++)
        dnstap_tap_open(moondns->seats[i].tap, moondns->dnstap, i);
    return status;
}

void observing_reopen(struct moondns *moondns)
{
    dnstap_reopen(moondns->dnstap);
}

static void write_scripts_own(void *context, struct exposition *out)
{
    const struct moondns *moondns = context;
    script_metrics_write(moondns->script_metrics, out);
}

enum status observing_open(struct moondns *moondns, struct reason *reason)
{
    if (moondns->options.metrics.family == AF_UNSPEC)
        return STATUS_OK;
    struct metrics_server_config config = {
        .address = moondns->options.metrics,
        .workers = moondns->count,
        .common = {LUAJIT_VERSION, moondns->options.script_memory, moondns->shared},
        .wake = seat_wake,
        .more = write_scripts_own,
        .context = moondns,
        .log = &moondns->log,
    };
    return metrics_server_new(&config, &moondns->metrics, reason);
}

enum status observing_start(struct moondns *moondns, struct reason *reason)
{
    if (!moondns->metrics)
        return STATUS_OK;
    enum status status = metrics_server_start(moondns->metrics, reason);
    if (status)
        return status;
    struct address address = metrics_server_address(moondns->metrics);
    char text[ADDRESS_TEXT_MAX];
    log_line(&moondns->log, LOG_INFO, "metrics on http://%s/metrics", address_text(&address, text));
    return STATUS_OK;
}

/* In the seat's thread, between two turns. */
static void fill_in(struct seat *seat, struct snapshot *out)
{
    struct exchange *exchange = worker_exchange(seat->worker);
    snapshot_take_net(out, worker_net(seat->worker));
    out->flows = seat->tally->counts;
    if (exchange) {
        out->exchange = *exchange_counters(exchange);
        out->cache = exchange_cache_size(exchange);
        out->flows_active = exchange_flows(exchange);
        out->flows_memory = exchange_memory(exchange);
        out->asks_active = exchange_asks(exchange);
    }
    if (seat->tap) {
        out->dnstap_queued = seat->tap->queued;
        out->dnstap_dropped = seat->tap->dropped;
    }
    if (seat->redis) {
        const struct redis_counters redis = redis_store_counters(seat->redis);
        out->has_redis = true;
        out->redis_is_up = redis.is_up;
        out->redis_answered = redis.answered;
        out->redis_failed = redis.failed;
    }
    if (seat->engine)
        engine_snapshot(seat->engine, out);
    if (seat->number == 0) {
        out->dnstap_lost = dnstap_lost(seat->moondns->dnstap);
        out->reloads = *reloader_counts(seat->moondns->reloader);
    }
}

void observing_woken(struct seat *seat)
{
    struct metrics_server *server = seat->moondns->metrics;
    if (!server || !metrics_server_wants(server, seat->number))
        return;
    fill_in(seat, metrics_server_begin(server, seat->number));
    metrics_server_publish(server, seat->number);
}

void observing_stop(struct moondns *moondns)
{
    metrics_server_stop(moondns->metrics);
}

void observing_close(struct moondns *moondns)
{
    dnstap_free(moondns->dnstap);
    metrics_server_free(moondns->metrics);
    moondns->metrics = NULL;
}
