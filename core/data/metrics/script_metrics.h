/* Metrics that scripts declare. All workers share them: a counter's value is the sum of what all have added, a gauge's
 * is what was set last, by whichever worker. They outlive reloads: the same name is the same metric. How many series
 * one owner (a script) makes is bounded, since labels may come from the network.
 *
 * Any thread may call anything here at any time, but for script_metrics_free; a lock is held for a lookup, values are
 * changed without one. */
#ifndef MOONDNS_DATA_METRICS_SCRIPT_METRICS_H
#define MOONDNS_DATA_METRICS_SCRIPT_METRICS_H

#include "base/log.h"
#include "data/metrics/exposition.h"

enum {
    SCRIPT_METRICS_SERIES_MAX = 1000, /* of one owner; a histogram's buckets count as well */
    SCRIPT_METRICS_LABELS_MAX = 8,
    SCRIPT_METRICS_BUCKETS_MAX = 64,
    SCRIPT_METRICS_NAME_MAX = 200,  /* bytes of a name */
    SCRIPT_METRICS_VALUE_MAX = 255, /* bytes of a label's value; a longer one is cut */
};

struct script_metrics;
struct script_metric;
struct script_series;

/* NULL when there is no memory. The log gets a warning where series are too many; borrowed. */
struct script_metrics *script_metrics_new(const struct log *log);
void script_metrics_free(struct script_metrics *metrics); /* NULL is fine */

/* What a script declares. All is borrowed for the call. */
struct script_metric_spec {
    enum metric_kind kind; /* counter, gauge, histogram */
    const char *name;      /* a counter's with or without _total */
    const char *help;
    const char *const *labels; /* their names */
    size_t label_count;
    const double *buckets; /* upper bounds, ascending */
    size_t bucket_count;
    const char *owner; /* a script's path */
    uint64_t loading;  /* which loading of the script it is */
};

/* Declares a metric, or finds the one that has this name already. STATUS_INVALID, and the reason says what to do: a
 * name or label that breaks the rules, or is the proxy's; a metric of that name which is of another kind or has other
 * labels or buckets. Only a later loading of the same script may change those: the metric then begins anew. The metric
 * is the registry's. */
MUST_CHECK enum status script_metrics_declare(struct script_metrics *metrics, const struct script_metric_spec *spec,
                                              struct script_metric **out, struct reason *reason);

/* The metric of this name (a counter's with or without _total), or NULL. */
struct script_metric *script_metrics_find(struct script_metrics *metrics, const char *name);

enum metric_kind script_metric_kind(const struct script_metric *metric);
const char *script_metric_name(const struct script_metric *metric); /* without _total */
size_t script_metric_label_count(const struct script_metric *metric);
const char *script_metric_label(const struct script_metric *metric, size_t index);
size_t script_metric_bucket_count(const struct script_metric *metric);
double script_metric_bucket(const struct script_metric *metric, size_t index);

/* The series with these values of the labels (as many as the metric has), made where it is missing if `make`. NULL: it
 * is not there, or cannot be made. It is the registry's, and stays. */
struct script_series *script_series_find(struct script_metrics *metrics, struct script_metric *metric,
                                         const struct span *values, bool make);

void script_series_add(struct script_series *series, double value);
void script_series_set(struct script_series *series, double value);
void script_series_observe(const struct script_metric *metric, struct script_series *series, double value);

double script_series_value(const struct script_series *series); /* a histogram's: the sum */
/* Of a bucket alone; the one behind the last bound counts what lies above it. */
uint64_t script_series_bucket(const struct script_series *series, size_t index);

/* Appends all metrics, and how many series were left out. */
void script_metrics_write(struct script_metrics *metrics, struct exposition *out);

#endif
