#include "data/metrics/exposition.h"

#include "base/log.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { NUMBER_MAX = 40 };

const char *metric_kind_name(enum metric_kind kind)
{
    static const char *const names[METRIC_KIND_COUNT] = {
        [METRIC_COUNTER] = "counter", [METRIC_GAUGE] = "gauge", [METRIC_HISTOGRAM] = "histogram",
        [METRIC_SUMMARY] = "summary", [METRIC_INFO] = "info",
    };
    return names[kind];
}

/* What the names of its samples end in. */
static const char *suffix_of(enum metric_kind kind)
{
    return kind == METRIC_COUNTER ? "_total" : kind == METRIC_INFO ? "_info" : "";
}

/* The shortest text that reads back as the number. */
static const char *number_text(double number, char out[static NUMBER_MAX])
{
    if (isnan(number))
        return "NaN";
    if (isinf(number))
        return number > 0 ? "+Inf" : "-Inf";
    for (int digits = 15; digits <= 17; digits++) {
        snprintf(out, NUMBER_MAX, "%.*g", digits, number);
        if (strtod(out, NULL) == number)
            break;
    }
    return out;
}

/* A bound as the value of `le`: OpenMetrics has it with a fraction. */
static const char *bound_text(const struct exposition *exposition, double bound, char out[static NUMBER_MAX])
{
    const char *text = number_text(bound, out);
    if (exposition->open_metrics && text == out && !strpbrk(out, ".e"))
        strcat(out, ".0");
    return text;
}

static void escape(struct buffer *out, const uint8_t *text, size_t length, bool quotes)
{
    for (size_t i = 0; i < length; i++) {
        if (text[i] == '\n') {
            buffer_text(out, "\\n");
            continue;
        }
        if (text[i] == '\\' || (quotes && text[i] == '"'))
            buffer_u8(out, '\\');
        buffer_u8(out, text[i]);
    }
}

void exposition_family(struct exposition *exposition, const char *name, enum metric_kind kind, const char *help)
{
    struct buffer *text = &exposition->text;
    bool plain = !exposition->open_metrics; /* there a family is called as its samples are, and knows no info */
    const char *suffix = plain ? suffix_of(kind) : "";
    exposition->name = name;
    exposition->kind = kind;
    buffer_format(text, "# HELP %s%s ", name, suffix);
    buffer_clear(&exposition->scratch);
    log_escape_lines(&exposition->scratch, help, strlen(help));
    escape(text, exposition->scratch.data, exposition->scratch.length, exposition->open_metrics);
    buffer_format(text, "\n# TYPE %s%s %s\n", name, suffix,
                  metric_kind_name(plain && kind == METRIC_INFO ? METRIC_GAUGE : kind));
}

static void write_label(struct exposition *exposition, const struct metric_label *label)
{
    struct buffer *scratch = &exposition->scratch;
    buffer_clear(scratch);
    log_escape(scratch, label->value, label->length, false);
    buffer_format(&exposition->text, "%s=\"", label->name);
    escape(&exposition->text, scratch->data, scratch->length, true);
    buffer_text(&exposition->text, "\"");
}

/* A line; `le` is one label more, NULL: none. */
static void write_sample(struct exposition *exposition, const char *suffix, const struct metric_label *labels,
                         size_t count, const char *le, double value)
{
    struct buffer *text = &exposition->text;
    char number[NUMBER_MAX];
    buffer_format(text, "%s%s", exposition->name, suffix);
    for (size_t i = 0; i < count; i++) {
        buffer_text(text, i ? "," : "{");
        write_label(exposition, &labels[i]);
    }
    if (le)
        buffer_format(text, "%sle=\"%s\"", count ? "," : "{", le);
    buffer_format(text, "%s %s\n", count || le ? "}" : "", number_text(value, number));
}

void exposition_sample(struct exposition *exposition, const struct metric_label *labels, size_t count, double value)
{
    write_sample(exposition, suffix_of(exposition->kind), labels, count, NULL, value);
}

void exposition_summary(struct exposition *exposition, const struct metric_label *labels, size_t count, double sum,
                        uint64_t observations)
{
    write_sample(exposition, "_sum", labels, count, NULL, sum);
    write_sample(exposition, "_count", labels, count, NULL, (double)observations);
}

void exposition_histogram(struct exposition *exposition, const struct metric_label *labels, size_t count,
                          const double *bounds, size_t bound_count, const uint64_t *counts, double sum)
{
    char bound[NUMBER_MAX];
    uint64_t all = 0;
    for (size_t i = 0; i <= bound_count; i++) {
        all += counts[i];
        write_sample(exposition, "_bucket", labels, count,
                     bound_text(exposition, i < bound_count ? bounds[i] : INFINITY, bound), (double)all);
    }
    exposition_summary(exposition, labels, count, sum, all);
}

enum status exposition_end(struct exposition *exposition)
{
    if (exposition->open_metrics)
        buffer_text(&exposition->text, "# EOF\n");
    return buffer_status(&exposition->text);
}

void exposition_free(struct exposition *exposition)
{
    buffer_free(&exposition->text);
    buffer_free(&exposition->scratch);
}
