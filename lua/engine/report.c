#include "lua/engine/report.h"

#include "base/clock.h"

#include <ctype.h>

enum { QUIET_US = 1000000 };

static uint64_t hash_of(const char *text, size_t length)
{
    uint64_t hash = 14695981039346656037u; /* FNV-1a */
    for (size_t i = 0; i < length; i++)
        hash = (hash ^ (unsigned char)text[i]) * 1099511628211u;
    return hash;
}

/* The length of "file:line:" at the start of the text, else of its first line. */
static size_t place_length(const char *text, size_t length)
{
    const char *end = memchr(text, '\n', length);
    size_t line = end ? (size_t)(end - text) : length;
    for (size_t i = 0; i + 2 < line; i++) {
        if (text[i] != ':' || !isdigit((unsigned char)text[i + 1]))
            continue;
        size_t after = i + 1;
        while (after < line && isdigit((unsigned char)text[after]))
            after++;
        if (after < line && text[after] == ':')
            return after;
    }
    return line;
}

/* The line's entry, else the one that was used longest ago. */
static struct report_line *find(struct report *report, uint64_t hash)
{
    struct report_line *oldest = report->lines;
    for (size_t i = 0; i < REPORT_LINES; i++) {
        if (report->lines[i].hash == hash && report->lines[i].at_us)
            return &report->lines[i];
        if (report->lines[i].at_us < oldest->at_us)
            oldest = &report->lines[i];
    }
    *oldest = (struct report_line){.hash = hash};
    return oldest;
}

void report_init(struct report *report, const struct log *log)
{
    *report = (struct report){.log = log};
    pthread_mutex_init(&report->lock, NULL);
}

void report_end(struct report *report)
{
    pthread_mutex_destroy(&report->lock);
}

/* Whether the line is to be logged now; gives how many like it were left out since the last one. */
static bool take_turn(struct report *report, uint64_t hash, unsigned *left_out)
{
    pthread_mutex_lock(&report->lock);
    struct report_line *line = find(report, hash);
    int64_t now = clock_monotonic_us();
    bool quiet = line->at_us && now - line->at_us < QUIET_US;
    if (quiet) {
        line->left_out++;
    } else {
        *left_out = line->left_out;
        line->at_us = now;
        line->left_out = 0;
    }
    pthread_mutex_unlock(&report->lock);
    return !quiet;
}

void report_error(struct report *report, const char *text, size_t length)
{
    unsigned left_out;
    if (!take_turn(report, hash_of(text, place_length(text, length)), &left_out))
        return;
    if (left_out == 0) {
        log_text(report->log, LOG_ERROR, text, length);
        return;
    }
    struct buffer with_count = {0};
    buffer_append(&with_count, text, length);
    buffer_format(&with_count, "\n(%u more of these since the last one was logged)", left_out);
    if (!with_count.failed)
        log_text(report->log, LOG_ERROR, (const char *)with_count.data, with_count.length);
    buffer_free(&with_count);
}
