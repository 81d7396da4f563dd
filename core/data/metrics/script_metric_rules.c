/* The rules for names, labels and buckets: Prometheus's and OpenMetrics's, and that the proxy's own names stay its own.
 */
#include "data/metrics/script_metrics_private.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>

static bool ends_with(const char *text, const char *end)
{
    size_t length = strlen(text), end_length = strlen(end);
    return length > end_length && strcmp(text + length - end_length, end) == 0;
}

static bool begins_with(const char *text, const char *start)
{
    return strncmp(text, start, strlen(start)) == 0;
}

/* Letters, digits and '_', not beginning with a digit. */
static bool is_plain(const char *name)
{
    if (!name[0] || isdigit((unsigned char)name[0]))
        return false;
    for (const char *at = name; *at; at++)
        if ((*at & 0x80) || (!isalnum((unsigned char)*at) && *at != '_'))
            return false;
    return true;
}

bool script_metric_base_name(const char *name, char out[static SCRIPT_METRICS_NAME_MAX + 1])
{
    static const char total[] = "_total";
    size_t length = strlen(name);
    if (!ends_with(name, total) || length > SCRIPT_METRICS_NAME_MAX)
        return false;
    snprintf(out, SCRIPT_METRICS_NAME_MAX + 1, "%.*s", (int)(length - (sizeof total - 1)), name);
    return true;
}

static enum status check_name(enum metric_kind kind, const char *name, struct reason *reason)
{
    static const char *const reserved[] = {"_total", "_bucket", "_count", "_sum", "_info", "_created"};
    if (strlen(name) > SCRIPT_METRICS_NAME_MAX)
        reason_set(reason, "a name has %d bytes at the most", SCRIPT_METRICS_NAME_MAX);
    else if (strchr(name, ':'))
        reason_set(reason, "'%s': colons are for Prometheus's recording rules; use '_'", name);
    else if (!is_plain(name))
        reason_set(reason, "'%s' is no name: letters, digits and '_' expected, not beginning with a digit", name);
    else if (begins_with(name, "moondns_") || begins_with(name, "process_"))
        reason_set(reason, "'%s': names that begin with moondns_ or process_ are the proxy's own; choose another",
                   name);
    else {
        for (size_t i = kind == METRIC_COUNTER ? 1 : 0; i < sizeof reserved / sizeof *reserved; i++) {
            if (!ends_with(name, reserved[i]))
                continue;
            reason_set(reason,
                       i ? "'%s': %s at the end stands for a part of a metric; leave it out"
                         : "'%s': %s at the end stands for a counter; leave it out",
                       name, reserved[i]);
            return STATUS_INVALID;
        }
        return STATUS_OK;
    }
    return STATUS_INVALID;
}

static enum status check_labels(const struct script_metric_spec *spec, struct reason *reason)
{
    if (spec->label_count > SCRIPT_METRICS_LABELS_MAX) {
        reason_set(reason, "%d labels at the most", SCRIPT_METRICS_LABELS_MAX);
        return STATUS_INVALID;
    }
    for (size_t i = 0; i < spec->label_count; i++) {
        const char *name = spec->labels[i];
        reason_set(reason, "label '%.100s'", name);
        if (!is_plain(name) || strlen(name) > SCRIPT_METRICS_NAME_MAX)
            reason_set(reason, "'%.100s' is no label: letters, digits and '_' expected, not beginning with a digit",
                       name);
        else if (begins_with(name, "__"))
            reason_set(reason, "label '%s': names that begin with __ are Prometheus's own; choose another", name);
        else if (!strcmp(name, "le") || !strcmp(name, "quantile"))
            reason_set(reason, "label '%s' is a histogram's own; choose another", name);
        else {
            size_t j = 0;
            while (j < i && strcmp(spec->labels[j], name))
                j++;
            if (j == i)
                continue;
            reason_set(reason, "label '%s' is there twice", name);
        }
        return STATUS_INVALID;
    }
    return STATUS_OK;
}

static enum status check_buckets(const struct script_metric_spec *spec, struct reason *reason)
{
    if (spec->kind != METRIC_HISTOGRAM)
        return STATUS_OK;
    if (spec->bucket_count == 0 || spec->bucket_count > SCRIPT_METRICS_BUCKETS_MAX) {
        reason_set(reason, "buckets: 1 to %d upper bounds expected, got %zu", SCRIPT_METRICS_BUCKETS_MAX,
                   spec->bucket_count);
        return STATUS_INVALID;
    }
    for (size_t i = 0; i < spec->bucket_count; i++) {
        if (isfinite(spec->buckets[i]) && (i == 0 || spec->buckets[i] > spec->buckets[i - 1]))
            continue;
        reason_set(reason,
                   "buckets[%zu]: a number above the one before expected, got %g (there is always one more "
                   "bucket, for what lies above)",
                   i + 1, spec->buckets[i]);
        return STATUS_INVALID;
    }
    return STATUS_OK;
}

enum status script_metric_check(const struct script_metric_spec *spec, char out[static SCRIPT_METRICS_NAME_MAX + 1],
                                struct reason *reason)
{
    enum status status = check_name(spec->kind, spec->name, reason);
    if (status)
        return status;
    if (!spec->help[0]) {
        reason_set(reason, "help: a sentence that says what '%s' counts or measures expected, got ''", spec->name);
        return STATUS_INVALID;
    }
    if ((status = check_labels(spec, reason)) || (status = check_buckets(spec, reason)))
        return status;
    if (spec->kind != METRIC_COUNTER || !script_metric_base_name(spec->name, out))
        snprintf(out, SCRIPT_METRICS_NAME_MAX + 1, "%s", spec->name);
    return STATUS_OK;
}

enum status script_metric_compare(const struct script_metric *metric, const struct script_metric_spec *spec,
                                  struct reason *reason)
{
    const char *what = NULL;
    if (metric->kind != spec->kind) {
        reason_set(reason, "'%s' is a %s already, of %s; choose another name", metric->name,
                   metric_kind_name(metric->kind), metric->owner->path);
        return STATUS_INVALID;
    }
    bool same = metric->label_count == spec->label_count;
    for (size_t i = 0; i < spec->label_count && same; i++)
        same = strcmp(metric->labels[i], spec->labels[i]) == 0;
    if (!same)
        what = "labels";
    else if (metric->bucket_count != spec->bucket_count ||
             (spec->bucket_count &&
              memcmp(metric->buckets, spec->buckets, spec->bucket_count * sizeof *spec->buckets) != 0))
        what = "buckets";
    if (!what)
        return STATUS_OK;
    reason_set(reason, "'%s' was declared with other %s by %s; declare it the same or choose another name",
               metric->name, what, metric->owner->path);
    return STATUS_INVALID;
}
