#include "data/metrics/script_metrics.h"

#include "data/metrics/script_metrics_private.h"

#include <stdlib.h>

/* --- values: doubles that several threads change --- */

static double load(const _Atomic uint64_t *at)
{
    uint64_t bits = atomic_load_explicit(at, memory_order_relaxed);
    double value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

void script_series_set(struct script_series *series, double value)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    atomic_store_explicit(&series->value, bits, memory_order_relaxed);
}

void script_series_add(struct script_series *series, double value)
{
    uint64_t before = atomic_load_explicit(&series->value, memory_order_relaxed), after;
    do {
        double sum;
        memcpy(&sum, &before, sizeof sum);
        sum += value;
        memcpy(&after, &sum, sizeof after);
    } while (!atomic_compare_exchange_weak_explicit(&series->value, &before, after, memory_order_relaxed,
                                                    memory_order_relaxed));
}

void script_series_observe(const struct script_metric *metric, struct script_series *series, double value)
{
    size_t bucket = 0;
    while (bucket < metric->bucket_count && !(value <= metric->buckets[bucket]))
        bucket++;
    atomic_fetch_add_explicit(&series->buckets[bucket], 1, memory_order_relaxed);
    script_series_add(series, value);
}

double script_series_value(const struct script_series *series)
{
    return load(&series->value);
}

uint64_t script_series_bucket(const struct script_series *series, size_t index)
{
    return atomic_load_explicit(&series->buckets[index], memory_order_relaxed);
}

/* --- series --- */

static struct script_owner *find_owner(struct script_metrics *metrics, const char *path)
{
    struct script_owner *owner;
    HASH_FIND_STR(metrics->owners, path, owner);
    if (owner)
        return owner;
    owner = calloc(1, sizeof *owner);
    char *copy = strdup(path);
    if (!owner || !copy) {
        free(owner);
        free(copy);
        return NULL;
    }
    owner->path = copy;
    HASH_ADD_KEYPTR(hh, metrics->owners, owner->path, strlen(owner->path), owner);
    if (owner->hh.tbl)
        return owner;
    free(copy);
    free(owner);
    return NULL;
}

/* Whether the metric's owner may have one more series; warns once where not. */
static bool has_room(struct script_metrics *metrics, const struct script_metric *metric)
{
    struct script_owner *owner = metric->owner;
    size_t more = metric->kind == METRIC_HISTOGRAM ? metric->bucket_count + 3 : 1;
    if (owner->series + more <= SCRIPT_METRICS_SERIES_MAX) {
        owner->series += more;
        return true;
    }
    metrics->left_out++;
    if (!owner->warned && metrics->log)
        log_line(metrics->log, LOG_WARN,
                 "%s: more than %d series of metrics: further label values of '%s' and others are not counted (labels "
                 "are for a few values, not for names or addresses)",
                 owner->path, SCRIPT_METRICS_SERIES_MAX, metric->name);
    owner->warned = true;
    return false;
}

/* The values as one key: each behind its length. */
static size_t make_key(const struct script_metric *metric, const struct span *values, uint8_t *out)
{
    size_t length = 0;
    for (size_t i = 0; i < metric->label_count; i++) {
        size_t cut = values[i].length < SCRIPT_METRICS_VALUE_MAX ? values[i].length : SCRIPT_METRICS_VALUE_MAX;
        out[length++] = (uint8_t)cut;
        if (cut)
            memcpy(out + length, values[i].data, cut);
        length += cut;
    }
    return length;
}

static struct script_series *make_series(struct script_metrics *metrics, struct script_metric *metric,
                                         const uint8_t *key, size_t length)
{
    size_t buckets = metric->kind == METRIC_HISTOGRAM ? metric->bucket_count + 1 : 0;
    if (!has_room(metrics, metric))
        return NULL;
    struct script_series *series = calloc(1, sizeof *series + buckets * sizeof series->buckets[0]);
    uint8_t *copy = malloc(length + 1);
    if (!series || !copy) {
        free(series);
        free(copy);
        return NULL;
    }
    memcpy(copy, key, length);
    series->key = copy;
    HASH_ADD_KEYPTR(hh, metric->series, series->key, length, series);
    if (series->hh.tbl)
        return series;
    free(copy);
    free(series);
    return NULL;
}

struct script_series *script_series_find(struct script_metrics *metrics, struct script_metric *metric,
                                         const struct span *values, bool make)
{
    uint8_t key[SCRIPT_METRICS_LABELS_MAX * (SCRIPT_METRICS_VALUE_MAX + 1)];
    size_t length = make_key(metric, values, key);
    struct script_series *series;
    pthread_mutex_lock(&metrics->lock);
    HASH_FIND(hh, metric->series, key, length, series);
    if (!series && make)
        series = make_series(metrics, metric, key, length);
    pthread_mutex_unlock(&metrics->lock);
    return series;
}

/* --- declaring --- */

static struct script_metric *find_metric(const struct script_metrics *metrics, const char *name)
{
    for (struct script_metric *metric = metrics->first; metric; metric = metric->next)
        if (!metric->replaced && strcmp(metric->name, name) == 0)
            return metric;
    return NULL;
}

struct script_metric *script_metrics_find(struct script_metrics *metrics, const char *name)
{
    char base[SCRIPT_METRICS_NAME_MAX + 1];
    pthread_mutex_lock(&metrics->lock);
    struct script_metric *metric = find_metric(metrics, name);
    if (!metric && script_metric_base_name(name, base)) {
        metric = find_metric(metrics, base);
        if (metric && metric->kind != METRIC_COUNTER)
            metric = NULL;
    }
    pthread_mutex_unlock(&metrics->lock);
    return metric;
}

static void free_metric(struct script_metric *metric)
{
    struct script_series *series, *next;
    HASH_ITER(hh, metric->series, series, next)
    {
        HASH_DEL(metric->series, series);
        free(series->key);
        free(series);
    }
    for (size_t i = 0; i < metric->label_count; i++)
        free(metric->labels[i]);
    free(metric->buckets);
    free(metric->name);
    free(metric->help);
    free(metric);
}

static struct script_metric *make_metric(struct script_metrics *metrics, const struct script_metric_spec *spec,
                                         const char *name)
{
    struct script_metric *metric = calloc(1, sizeof *metric);
    if (!metric)
        return NULL;
    metric->kind = spec->kind;
    metric->name = strdup(name);
    metric->help = strdup(spec->help);
    metric->buckets = calloc(spec->bucket_count + 1, sizeof *metric->buckets);
    metric->owner = find_owner(metrics, spec->owner);
    bool whole = metric->name && metric->help && metric->buckets && metric->owner;
    for (size_t i = 0; i < spec->label_count && whole; i++) {
        metric->labels[i] = strdup(spec->labels[i]);
        whole = metric->labels[i];
        metric->label_count += whole;
    }
    if (!whole) {
        free_metric(metric);
        return NULL;
    }
    if (spec->bucket_count)
        memcpy(metric->buckets, spec->buckets, spec->bucket_count * sizeof *metric->buckets);
    metric->bucket_count = spec->bucket_count;
    struct script_metric **at = &metrics->first;
    while (*at)
        at = &(*at)->next;
    *at = metric;
    return metric;
}

/* A metric that changes its shape begins anew; what held the old one keeps it, unseen. */
static void replace(struct script_metric *metric)
{
    metric->replaced = true;
    size_t each = metric->kind == METRIC_HISTOGRAM ? metric->bucket_count + 3 : 1;
    metric->owner->series -= HASH_COUNT(metric->series) * each;
}

/* Finds or makes it, with the lock held. */
static enum status declare(struct script_metrics *metrics, const struct script_metric_spec *spec, const char *name,
                           struct script_metric **out, struct reason *reason)
{
    struct script_metric *metric = find_metric(metrics, name);
    if (metric && script_metric_compare(metric, spec, reason)) {
        if (strcmp(metric->owner->path, spec->owner) != 0 || metric->loading == spec->loading)
            return STATUS_INVALID;
        replace(metric);
        metric = NULL;
    }
    if (!metric)
        metric = make_metric(metrics, spec, name);
    if (!metric) {
        reason_set(reason, "out of memory");
        return STATUS_NO_MEMORY;
    }
    metric->loading = spec->loading;
    *out = metric;
    return STATUS_OK;
}

enum status script_metrics_declare(struct script_metrics *metrics, const struct script_metric_spec *spec,
                                   struct script_metric **out, struct reason *reason)
{
    char name[SCRIPT_METRICS_NAME_MAX + 1];
    enum status status = script_metric_check(spec, name, reason);
    if (status)
        return status;
    pthread_mutex_lock(&metrics->lock);
    status = declare(metrics, spec, name, out, reason);
    pthread_mutex_unlock(&metrics->lock);
    return status;
}

/* --- reading --- */

enum metric_kind script_metric_kind(const struct script_metric *metric)
{
    return metric->kind;
}

const char *script_metric_name(const struct script_metric *metric)
{
    return metric->name;
}

size_t script_metric_label_count(const struct script_metric *metric)
{
    return metric->label_count;
}

const char *script_metric_label(const struct script_metric *metric, size_t index)
{
    return metric->labels[index];
}

size_t script_metric_bucket_count(const struct script_metric *metric)
{
    return metric->bucket_count;
}

double script_metric_bucket(const struct script_metric *metric, size_t index)
{
    return metric->buckets[index];
}

static void write_series(const struct script_metric *metric, const struct script_series *series, struct exposition *out)
{
    struct metric_label labels[SCRIPT_METRICS_LABELS_MAX];
    uint64_t counts[SCRIPT_METRICS_BUCKETS_MAX + 1];
    const uint8_t *at = series->key;
    for (size_t i = 0; i < metric->label_count; i++) {
        labels[i] = (struct metric_label){metric->labels[i], (const char *)at + 1, *at};
        at += 1 + *at;
    }
    if (metric->kind != METRIC_HISTOGRAM) {
        exposition_sample(out, labels, metric->label_count, script_series_value(series));
        return;
    }
    for (size_t i = 0; i <= metric->bucket_count; i++)
        counts[i] = script_series_bucket(series, i);
    exposition_histogram(out, labels, metric->label_count, metric->buckets, metric->bucket_count, counts,
                         script_series_value(series));
}

void script_metrics_write(struct script_metrics *metrics, struct exposition *out)
{
    pthread_mutex_lock(&metrics->lock);
    for (const struct script_metric *metric = metrics->first; metric; metric = metric->next) {
        struct script_series *series, *next;
        if (metric->replaced)
            continue;
        exposition_family(out, metric->name, metric->kind, metric->help);
        HASH_ITER(hh, metric->series, series, next)
        write_series(metric, series, out);
    }
    uint64_t left_out = metrics->left_out;
    pthread_mutex_unlock(&metrics->lock);
    exposition_family(out, "moondns_script_series_refused", METRIC_COUNTER,
                      "Updates of scripts' metrics that would have made more series than a script may have.");
    exposition_sample(out, NULL, 0, (double)left_out);
}

/* --- life --- */

struct script_metrics *script_metrics_new(const struct log *log)
{
    struct script_metrics *metrics = calloc(1, sizeof *metrics);
    if (!metrics)
        return NULL;
    metrics->log = log;
    pthread_mutex_init(&metrics->lock, NULL);
    return metrics;
}

void script_metrics_free(struct script_metrics *metrics)
{
    struct script_owner *owner, *next;
    if (!metrics)
        return;
    while (metrics->first) {
        struct script_metric *metric = metrics->first;
        metrics->first = metric->next;
        free_metric(metric);
    }
    HASH_ITER(hh, metrics->owners, owner, next)
    {
        HASH_DEL(metrics->owners, owner);
        free(owner->path);
        free(owner);
    }
    pthread_mutex_destroy(&metrics->lock);
    free(metrics);
}
