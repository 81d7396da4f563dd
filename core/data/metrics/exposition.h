/* The text that Prometheus reads: its text format 0.0.4, or OpenMetrics 1.0. A family is a heading (its name, kind and
 * help) and the samples behind it. */
#ifndef MOONDNS_DATA_METRICS_EXPOSITION_H
#define MOONDNS_DATA_METRICS_EXPOSITION_H

#include "base/bytes.h"

enum metric_kind {
    METRIC_COUNTER, /* its samples' names end in _total */
    METRIC_GAUGE,
    METRIC_HISTOGRAM,
    METRIC_SUMMARY, /* a count and a sum, without quantiles */
    METRIC_INFO,    /* labels of a 1; its sample's name ends in _info */
    METRIC_KIND_COUNT,
};

/* "counter", "gauge", … */
const char *metric_kind_name(enum metric_kind kind);

struct exposition {
    struct buffer text;
    bool open_metrics;
    const char *name; /* of the family that was begun last; borrowed until the next one */
    enum metric_kind kind;
    struct buffer scratch;
};

struct metric_label {
    const char *name;
    const char *value; /* any bytes: what is no text is written as \xNN */
    size_t length;     /* of the value */
};

/* Begins a family; `name` is without _total or _info. */
void exposition_family(struct exposition *exposition, const char *name, enum metric_kind kind, const char *help);

/* A sample of a counter, a gauge or an info. */
void exposition_sample(struct exposition *exposition, const struct metric_label *labels, size_t count, double value);

/* A sample of a summary. */
void exposition_summary(struct exposition *exposition, const struct metric_label *labels, size_t count, double sum,
                        uint64_t observations);

/* A sample of a histogram: `counts` has one more than `bounds` (for what lies above), each for its own bucket alone. */
void exposition_histogram(struct exposition *exposition, const struct metric_label *labels, size_t count,
                          const double *bounds, size_t bound_count, const uint64_t *counts, double sum);

/* Ends the text. STATUS_NO_MEMORY where some of it was lost. */
MUST_CHECK enum status exposition_end(struct exposition *exposition);
void exposition_free(struct exposition *exposition);

#endif
