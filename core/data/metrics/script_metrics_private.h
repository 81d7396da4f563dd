/* What the files of script_metrics share. */
#ifndef MOONDNS_DATA_METRICS_SCRIPT_METRICS_PRIVATE_H
#define MOONDNS_DATA_METRICS_SCRIPT_METRICS_PRIVATE_H

#include "data/metrics/script_metrics.h"

#include <pthread.h>
#include <stdatomic.h>
#include <uthash.h>

struct script_series {
    UT_hash_handle hh;
    uint8_t *key;               /* the labels' values, each behind its length in a byte */
    _Atomic uint64_t value;     /* a double's bits; a histogram's sum */
    _Atomic uint64_t buckets[]; /* a histogram's, one more than bounds */
};

/* A script that has declared metrics. */
struct script_owner {
    UT_hash_handle hh;
    char *path;
    size_t series;
    bool warned; /* that there are too many */
};

struct script_metric {
    struct script_metric *next;
    enum metric_kind kind;
    char *name, *help;
    char *labels[SCRIPT_METRICS_LABELS_MAX];
    size_t label_count;
    double *buckets;
    size_t bucket_count;
    struct script_owner *owner;
    uint64_t loading; /* that declared it last */
    bool replaced;    /* by one of another shape */
    struct script_series *series;
};

struct script_metrics {
    const struct log *log;
    pthread_mutex_t lock; /* for all below, but the values in series */
    struct script_metric *first;
    struct script_owner *owners;
    uint64_t left_out; /* updates of series that could not be made */
};

/* Checks name, help, labels and buckets; gives the name without a counter's _total. STATUS_INVALID with the reason. */
MUST_CHECK enum status script_metric_check(const struct script_metric_spec *spec,
                                           char out[static SCRIPT_METRICS_NAME_MAX + 1], struct reason *reason);

/* Whether the metric is what is declared once more; STATUS_INVALID, and the reason says what differs. */
MUST_CHECK enum status script_metric_compare(const struct script_metric *metric, const struct script_metric_spec *spec,
                                             struct reason *reason);

/* The name without _total; false: it does not end so. */
bool script_metric_base_name(const char *name, char out[static SCRIPT_METRICS_NAME_MAX + 1]);

#endif
