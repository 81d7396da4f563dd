#include "observe/metrics.h"

#include "data/shared_store.h"
#include "observe/process_stats.h"

#include <event2/event.h>
#include <stdio.h>

struct all {
    struct exposition *out;
    const struct snapshot *const *snapshots;
    unsigned workers;
};

static struct metric_label label(const char *name, const char *value)
{
    return (struct metric_label){name, value, strlen(value)};
}

static void write_plain(struct exposition *out, const char *name, enum metric_kind kind, const char *help, double value)
{
    exposition_family(out, name, kind, help);
    exposition_sample(out, NULL, 0, value);
}

/* --- numbers that are summed as they are --- */

/* Rows of one family stand together; only the first says the kind and the help. */
struct row {
    const char *name;
    const char *label, *value; /* NULL: it has none */
    size_t offset;             /* of a uint64_t in struct snapshot */
    enum metric_kind kind;
    const char *help;
};

#define AT(member) offsetof(struct snapshot, member)

static const struct row rows[] = {
    {"moondns_malformed_queries", "outcome", "answered", AT(exchange.malformed_answered), METRIC_COUNTER,
     "Queries that are no well-formed DNS: answered with FORMERR or BADVERS, or dropped."},
    {"moondns_malformed_queries", "outcome", "dropped", AT(exchange.malformed_dropped), 0, NULL},
    {"moondns_dropped", "reason", "overload", AT(exchange.overload_dropped), METRIC_COUNTER,
     "Packets and answers dropped: no memory, a buffer of the kernel full, the client gone; flows that scripts "
     "killed."},
    {"moondns_dropped", "reason", "receive_buffer", AT(net.udp_receive_dropped), 0, NULL},
    {"moondns_dropped", "reason", "send_buffer", AT(net.udp_send_dropped), 0, NULL},
    {"moondns_dropped", "reason", "upstream_send_buffer", AT(net.upstream_send_dropped), 0, NULL},
    {"moondns_dropped", "reason", "client_gone", AT(net.tcp_gone), 0, NULL},
    {"moondns_dropped", "reason", "client_left", AT(exchange.clients_left), 0, NULL},
    {"moondns_dropped", "reason", "killed", AT(exchange.killed), 0, NULL},
    {"moondns_refused", "reason", "prohibited", AT(net.prohibited), METRIC_COUNTER,
     "Queries and connections of clients that are not allowed; queries beyond a client's rate, or beyond those that "
     "may "
     "be in flight, in number or in memory."},
    {"moondns_refused", "reason", "rate_limited", AT(net.rate_limited), 0, NULL},
    {"moondns_refused", "reason", "overload", AT(exchange.overload_refused), 0, NULL},
    {"moondns_refused", "reason", "loop", AT(exchange.loops_refused), 0, NULL},
    {"moondns_refused", "reason", "memory", AT(exchange.memory_refused), 0, NULL},
    {"moondns_errors", NULL, NULL, AT(exchange.errors), METRIC_COUNTER,
     "Flows that came to an error: no upstream answered, or a script set one."},
    {"moondns_truncated_responses", NULL, NULL, AT(exchange.truncated), METRIC_COUNTER,
     "Responses cut to what their client takes."},
    {"moondns_unpackable_responses", NULL, NULL, AT(exchange.unpackable), METRIC_COUNTER,
     "Responses of scripts that could not be packed and became SERVFAIL."},
    {"moondns_script_queries", NULL, NULL, AT(exchange.asks), METRIC_COUNTER, "Queries that scripts made themselves."},
    {"moondns_upstream_queries", NULL, NULL, AT(exchange.upstream_queries), METRIC_COUNTER,
     "Queries sent upstream, each try counted."},
    {"moondns_coalesced", NULL, NULL, AT(exchange.coalesced), METRIC_COUNTER,
     "Queries that took the upstream's answer or failure of an identical one in flight."},
    {"moondns_upstream_answers", NULL, NULL, AT(exchange.upstream_answers), METRIC_COUNTER,
     "Answers of upstreams that matched a query."},
    {"moondns_upstream_timeouts", NULL, NULL, AT(exchange.timeouts), METRIC_COUNTER,
     "Tries that got no answer in time."},
    {"moondns_upstream_failures", NULL, NULL, AT(exchange.channel_failures), METRIC_COUNTER,
     "Tries whose socket or connection failed."},
    {"moondns_upstream_retries", NULL, NULL, AT(exchange.retries), METRIC_COUNTER, "Tries after the first one."},
    {"moondns_upstream_discarded_answers", "reason", "unmatched", AT(exchange.unmatched_dropped), METRIC_COUNTER,
     "Packets of upstreams that answer nothing that was asked, are malformed, or kept from clients (private "
     "addresses)."},
    {"moondns_upstream_discarded_answers", "reason", "malformed", AT(exchange.malformed_answers), 0, NULL},
    {"moondns_upstream_discarded_answers", "reason", "blocked", AT(exchange.blocked_answers), 0, NULL},
    {"moondns_upstream_sockets_opened", "protocol", "udp", AT(net.upstream_sockets_opened), METRIC_COUNTER,
     "Sockets and connections to upstreams that were opened."},
    {"moondns_upstream_sockets_opened", "protocol", "tcp", AT(net.upstream_connections_opened), 0, NULL},
    {"moondns_upstream_sockets_failed", "protocol", "udp", AT(net.upstream_sockets_failed), METRIC_COUNTER,
     "Sockets and connections to upstreams that could not be opened."},
    {"moondns_upstream_sockets_failed", "protocol", "tcp", AT(net.upstream_connections_failed), 0, NULL},
    {"moondns_upstream_sockets", NULL, NULL, AT(net.upstream_sockets), METRIC_GAUGE,
     "UDP sockets to upstreams open now."},
    {"moondns_cache_requests", "result", "hit", AT(exchange.cache.hits), METRIC_COUNTER,
     "Lookups in the response cache."},
    {"moondns_cache_requests", "result", "miss", AT(exchange.cache.misses), 0, NULL},
    {"moondns_cache_insertions", NULL, NULL, AT(exchange.cache.kept), METRIC_COUNTER, "Answers put into the cache."},
    {"moondns_cache_removals", "reason", "expired", AT(exchange.cache.expired), METRIC_COUNTER,
     "Answers taken out of the cache: their time was over, they made room, a script flushed them."},
    {"moondns_cache_removals", "reason", "evicted", AT(exchange.cache.evicted), 0, NULL},
    {"moondns_cache_removals", "reason", "flushed", AT(exchange.cache.flushed), 0, NULL},
    {"moondns_cache_entries", NULL, NULL, AT(cache.entries), METRIC_GAUGE, "Answers in the cache now."},
    {"moondns_cache_bytes", NULL, NULL, AT(cache.bytes), METRIC_GAUGE, "Memory that they take."},
    {"moondns_tcp_connections", NULL, NULL, AT(net.tcp_connections), METRIC_GAUGE, "Clients' connections open now."},
    {"moondns_tcp_connection_events", "event", "accepted", AT(net.tcp_accepted), METRIC_COUNTER,
     "Clients' connections: accepted, closed; refused by a limit, evicted to make room for others, timed out."},
    {"moondns_tcp_connection_events", "event", "closed", AT(net.tcp_closed), 0, NULL},
    {"moondns_tcp_connection_events", "event", "refused", AT(net.tcp_refused), 0, NULL},
    {"moondns_tcp_connection_events", "event", "evicted", AT(net.tcp_evicted), 0, NULL},
    {"moondns_tcp_connection_events", "event", "timed_out", AT(net.tcp_timed_out), 0, NULL},
    {"moondns_flows_in_flight", NULL, NULL, AT(flows_active), METRIC_GAUGE, "Queries of clients under way now."},
    {"moondns_flows_memory_bytes", NULL, NULL, AT(flows_memory), METRIC_GAUGE,
     "Memory that the messages of queries under way take."},
    {"moondns_script_queries_in_flight", NULL, NULL, AT(asks_active), METRIC_GAUGE,
     "Queries of scripts' own under way now."},
    {"moondns_flows_held", NULL, NULL, AT(flows_held), METRIC_GAUGE, "Flows that scripts hold now."},
    {"moondns_dnstap_messages", "result", "queued", AT(dnstap_queued), METRIC_COUNTER,
     "dnstap messages: queued for the writer, or dropped as the queue was full; lost are those of the queued that "
     "could not be written: no reader, a full disk."},
    {"moondns_dnstap_messages", "result", "dropped", AT(dnstap_dropped), 0, NULL},
    {"moondns_dnstap_messages", "result", "lost", AT(dnstap_lost), 0, NULL},
    {"moondns_redis_calls", "result", "ok", AT(redis_answered), METRIC_COUNTER,
     "Calls of scripts' to 'shared' in Redis: answered, or failed."},
    {"moondns_redis_calls", "result", "failed", AT(redis_failed), 0, NULL},
    {"moondns_reloads", "result", "ok", AT(reloads.succeeded), METRIC_COUNTER, "Reloads of scripts and lists."},
    {"moondns_reloads", "result", "failed", AT(reloads.failed), 0, NULL},
};

static uint64_t sum_at(const struct all *all, size_t offset)
{
    uint64_t sum = 0, one;
    for (unsigned i = 0; i < all->workers; i++) {
        memcpy(&one, (const char *)all->snapshots[i] + offset, sizeof one);
        sum += one;
    }
    return sum;
}

static void write_rows(const struct all *all)
{
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const struct row *row = &rows[i];
        if (row->help)
            exposition_family(all->out, row->name, row->kind, row->help);
        struct metric_label labels[1] = {{row->label, row->value, row->value ? strlen(row->value) : 0}};
        exposition_sample(all->out, labels, row->label != NULL, (double)sum_at(all, row->offset));
    }
}

/* --- flows --- */

static const char *const source_names[TALLY_SOURCES] = {
    [FLOW_SOURCE_NONE] = "none",   [FLOW_SOURCE_UPSTREAM] = "upstream", [FLOW_SOURCE_SCRIPT] = "script",
    [FLOW_SOURCE_HOSTS] = "hosts", [FLOW_SOURCE_ZONE] = "zone",         [FLOW_SOURCE_CACHE] = "cache",
    [FLOW_SOURCE_PROXY] = "proxy",
};

/* Samples of counters by transport and number, under the names that a registry has for it; those without one make
 * "other". Zeros are left out. */
static void write_numbered(const struct all *all, size_t offset, size_t count, enum dns_registry registry,
                           const char *label_name)
{
    size_t entries_count;
    const struct dns_registry_entry *entries = dns_registry_entries(registry, &entries_count);
    for (unsigned transport = 0; transport < TALLY_TRANSPORTS; transport++) {
        struct metric_label labels[2] = {label("transport", transport_name((enum transport)transport))};
        size_t row = offset + transport * (count + 1) * sizeof(uint64_t);
        uint64_t others = 0;
        for (size_t i = 0; i <= count; i++)
            others += sum_at(all, row + i * sizeof(uint64_t));
        for (size_t i = 0; i < entries_count && entries[i].number < count; i++) {
            uint64_t sum = sum_at(all, row + entries[i].number * sizeof(uint64_t));
            labels[1] = label(label_name, entries[i].name);
            if (sum)
                exposition_sample(all->out, labels, 2, (double)sum);
            others -= sum;
        }
        labels[1] = label(label_name, "other");
        if (others)
            exposition_sample(all->out, labels, 2, (double)others);
    }
}

static void write_durations(const struct all *all)
{
    exposition_family(all->out, "moondns_response_duration_seconds", METRIC_HISTOGRAM,
                      "Time from a query to its response, by who made the response.");
    for (unsigned source = FLOW_SOURCE_NONE + 1; source < TALLY_SOURCES; source++) {
        struct metric_label labels[1] = {label("source", source_names[source])};
        uint64_t counts[TALLY_BOUNDS + 1], any = 0;
        for (unsigned i = 0; i <= TALLY_BOUNDS; i++) {
            counts[i] = sum_at(all, AT(flows.durations[0][0]) + (source * (TALLY_BOUNDS + 1) + i) * sizeof(uint64_t));
            any |= counts[i];
        }
        uint64_t sum_us = sum_at(all, AT(flows.duration_us[0]) + source * sizeof(uint64_t));
        if (any)
            exposition_histogram(all->out, labels, 1, flow_tally_bounds, TALLY_BOUNDS, counts, (double)sum_us / 1e6);
    }
}

static void write_flows(const struct all *all)
{
    exposition_family(all->out, "moondns_queries", METRIC_COUNTER, "Well-formed queries, by transport and type.");
    write_numbered(all, AT(flows.queries), TALLY_TYPES, DNS_TYPES, "type");
    exposition_family(all->out, "moondns_responses", METRIC_COUNTER,
                      "Responses sent to clients, by transport and response code.");
    write_numbered(all, AT(flows.answers), TALLY_RCODES, DNS_RESPONSE_CODES, "rcode");
    exposition_family(all->out, "moondns_responses_by_source", METRIC_COUNTER,
                      "Responses sent to clients, by who made them.");
    for (unsigned source = FLOW_SOURCE_NONE + 1; source < TALLY_SOURCES; source++) {
        struct metric_label labels[1] = {label("source", source_names[source])};
        exposition_sample(all->out, labels, 1, (double)sum_at(all, AT(flows.sources[0]) + source * sizeof(uint64_t)));
    }
    write_durations(all);
}

/* --- upstreams --- */

struct upstream_column {
    const char *name;
    enum metric_kind kind;
    const char *help;
    size_t offset; /* of a uint64_t in struct upstream_counts */
    double divisor;
    bool known; /* only where it is not 0 */
};

#define AT_UPSTREAM(member) offsetof(struct upstream_counts, member)

static const struct upstream_column upstream_columns[] = {
    {"moondns_upstream_server_up", METRIC_GAUGE, "0 where the upstream rests, as it does not answer.", AT_UPSTREAM(up),
     1, false},
    {"moondns_upstream_server_queries", METRIC_COUNTER, "Tries sent to the upstream.", AT_UPSTREAM(queries), 1, false},
    {"moondns_upstream_server_answers", METRIC_COUNTER, "Its answers.", AT_UPSTREAM(answers), 1, false},
    {"moondns_upstream_server_timeouts", METRIC_COUNTER, "Tries that it did not answer in time.", AT_UPSTREAM(timeouts),
     1, false},
    {"moondns_upstream_server_failures", METRIC_COUNTER, "Tries that its sockets or connections cost.",
     AT_UPSTREAM(failures), 1, false},
    {"moondns_upstream_server_probes", METRIC_COUNTER, "Probes while it rested.", AT_UPSTREAM(probes), 1, false},
    {"moondns_upstream_server_rtt_seconds", METRIC_GAUGE, "Its round trip, smoothed; missing where it is not known.",
     AT_UPSTREAM(rtt_us), 1e6, true},
};

static uint64_t upstream_count(const struct upstream_counts *counts, const struct upstream_column *column)
{
    uint64_t value;
    memcpy(&value, (const char *)counts + column->offset, sizeof value);
    return value;
}

/* The first worker's upstream over all workers: counters are summed, it is up where all find it so, and its round trip
 * is the mean of those that know it. */
static uint64_t sum_upstream(const struct all *all, size_t index, const struct upstream_column *column)
{
    const struct upstream_counts *first = &all->snapshots[0]->upstreams[index];
    uint64_t sum = 0, least = UINT64_MAX;
    unsigned known = 0;
    for (unsigned i = 0; i < all->workers; i++) {
        const struct snapshot *snapshot = all->snapshots[i];
        if (index >= snapshot->upstreams_count || strcmp(snapshot->upstreams[index].name, first->name) != 0)
            continue;
        const uint64_t value = upstream_count(&snapshot->upstreams[index], column);
        sum += value;
        least = value < least ? value : least;
        known += value > 0;
    }
    if (column->kind == METRIC_COUNTER)
        return sum;
    return !column->known ? least : known ? sum / known : 0;
}

static void write_upstreams(const struct all *all)
{
    const struct snapshot *first = all->snapshots[0];
    for (size_t i = 0; i < sizeof upstream_columns / sizeof *upstream_columns; i++) {
        const struct upstream_column *column = &upstream_columns[i];
        exposition_family(all->out, column->name, column->kind, column->help);
        for (size_t j = 0; j < first->upstreams_count; j++) {
            const struct upstream_counts *upstream = &first->upstreams[j];
            struct metric_label labels[2] = {label("upstream", upstream->name), label("domain", upstream->domain)};
            const uint64_t value = sum_upstream(all, j, column);
            if (value || !column->known)
                exposition_sample(all->out, labels, 2, (double)value / column->divisor);
        }
    }
}

/* --- scripts --- */

/* The hook's times summed over the workers from this row on; false: an earlier row was of the same hook. */
static bool sum_hook(const struct all *all, unsigned worker, size_t row, struct hook_time *out)
{
    struct hook_time sum = all->snapshots[worker]->hooks[row];
    for (unsigned i = 0; i < all->workers; i++) {
        const struct snapshot *snapshot = all->snapshots[i];
        for (size_t j = 0; j < snapshot->hooks_count; j++) {
            const struct hook_time *other = &snapshot->hooks[j];
            if ((i == worker && j == row) || strcmp(other->hook, sum.hook) || strcmp(other->script, sum.script))
                continue;
            if (i < worker || (i == worker && j < row))
                return false;
            sum.calls += other->calls;
            sum.nanoseconds += other->nanoseconds;
            sum.errors += other->errors;
        }
    }
    *out = sum;
    return true;
}

static void write_hooks(const struct all *all, bool errors)
{
    for (unsigned i = 0; i < all->workers; i++) {
        for (size_t j = 0; j < all->snapshots[i]->hooks_count; j++) {
            struct hook_time sum;
            if (!sum_hook(all, i, j, &sum))
                continue;
            struct metric_label labels[2] = {label("script", sum.script), label("hook", sum.hook)};
            if (errors)
                exposition_sample(all->out, labels, 2, (double)sum.errors);
            else
                exposition_summary(all->out, labels, 2, (double)sum.nanoseconds / 1e9, sum.calls);
        }
    }
}

/* Up where all workers reach it. */
static void write_redis(const struct all *all)
{
    bool is_up = true;
    for (unsigned i = 0; i < all->workers; i++)
        is_up = is_up && all->snapshots[i]->redis_is_up;
    if (all->snapshots[0]->has_redis)
        write_plain(all->out, "moondns_redis_up", METRIC_GAUGE, "0 where the Redis server of 'shared' is away.", is_up);
}

static void write_scripts(const struct all *all, const struct metrics_common *common)
{
    struct exposition *out = all->out;
    exposition_family(out, "moondns_script_hook_duration_seconds", METRIC_SUMMARY,
                      "Time that scripts' hooks computed; waiting does not count.");
    write_hooks(all, false);
    exposition_family(out, "moondns_script_hook_errors", METRIC_COUNTER, "Errors that scripts' hooks raised.");
    write_hooks(all, true);
    exposition_family(out, "moondns_lua_memory_bytes", METRIC_GAUGE, "Memory of the worker's Lua state.");
    for (unsigned i = 0; i < all->workers; i++) {
        char number[16];
        snprintf(number, sizeof number, "%u", i);
        struct metric_label labels[1] = {label("worker", number)};
        exposition_sample(out, labels, 1, (double)all->snapshots[i]->lua_memory);
    }
    write_plain(out, "moondns_lua_memory_limit_bytes", METRIC_GAUGE, "What --script-memory allows each worker.",
                (double)common->lua_memory_limit);
    const struct reload_counts *reloads = &all->snapshots[0]->reloads;
    write_plain(out, "moondns_reload_last_failed", METRIC_GAUGE, "1 where the last reload failed.",
                reloads->last_failed);
    write_plain(out, "moondns_reload_last_success_timestamp_seconds", METRIC_GAUGE,
                "When scripts and lists were last reloaded, in Unix time; 0: not since the start.",
                (double)reloads->succeeded_us / 1e6);
    write_redis(all);
    if (common->shared) {
        struct shared_counters shared = shared_store_counters(common->shared);
        write_plain(out, "moondns_shared_bytes", METRIC_GAUGE, "What scripts keep in 'shared'.", (double)shared.bytes);
        write_plain(out, "moondns_shared_evictions", METRIC_COUNTER, "Values in 'shared' that made room for others.",
                    (double)shared.evicted);
    }
}

/* --- the process --- */

static void write_process(struct exposition *out)
{
    struct process_stats stats;
    if (process_stats_read(&stats))
        return;
    write_plain(out, "process_cpu_seconds", METRIC_COUNTER, "CPU time of user and system.", stats.cpu_seconds);
    write_plain(out, "process_start_time_seconds", METRIC_GAUGE, "When the process started, in Unix time.",
                stats.start_seconds);
    write_plain(out, "process_resident_memory_bytes", METRIC_GAUGE, "Resident memory.", (double)stats.resident_bytes);
    write_plain(out, "process_virtual_memory_bytes", METRIC_GAUGE, "Virtual memory.", (double)stats.virtual_bytes);
    write_plain(out, "process_open_fds", METRIC_GAUGE, "Open file descriptors.", (double)stats.open_descriptors);
    write_plain(out, "process_max_fds", METRIC_GAUGE, "The limit on them.", (double)stats.descriptors_max);
    write_plain(out, "process_threads", METRIC_GAUGE, "Threads.", stats.threads);
}

void metrics_write(struct exposition *exposition, const struct snapshot *const *snapshots, unsigned workers,
                   const struct metrics_common *common)
{
    struct all all = {exposition, snapshots, workers};
    struct metric_label build[3] = {label("version", MOONDNS_VERSION), label("lua", common->lua_version),
                                    label("libevent", event_get_version())};
    exposition_family(exposition, "moondns_build", METRIC_INFO, "What runs.");
    exposition_sample(exposition, build, 3, 1);
    write_plain(exposition, "moondns_workers", METRIC_GAUGE, "Workers.", workers);
    write_flows(&all);
    write_rows(&all);
    write_upstreams(&all);
    write_scripts(&all, common);
    write_process(exposition);
}
