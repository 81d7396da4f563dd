/* From an option's texts to its field, and back to JSON: one row for each kind. */
#include "observe/dnstap.h"
#include "proxy/options_table.h"

#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <strings.h>

struct kind {
    enum status (*apply)(const struct option_spec *spec, const struct option_given *given, struct options *options,
                         struct reason *reason);
    void (*show)(const struct option_spec *spec, const struct option_given *given, const struct options *options,
                 struct buffer *out);
};

/* The field that the option's value goes to, as a pointer to the TYPE it has. */
#define FIELD_OF(type, options, spec) ((type *)(void *)((char *)(options) + (spec)->offset))
#define CONST_FIELD_OF(type, options, spec) ((const type *)(const void *)((const char *)(options) + (spec)->offset))

static enum status refuse(const struct option_spec *spec, const char *text, struct reason *reason)
{
    reason_set(reason, "%s expected, got '%s'", spec->expected, text);
    return STATUS_INVALID;
}

static const char *last_text(const struct option_given *given)
{
    return given->count ? given->texts[given->count - 1] : NULL;
}

static bool whole_number(const struct option_spec *spec, const char *text, unsigned long *out)
{
    char *end;
    if (text[0] < '0' || text[0] > '9')
        return false;
    errno = 0;
    unsigned long number = strtoul(text, &end, 10);
    if (*end || errno || number < spec->least || number > spec->most)
        return false;
    *out = number;
    return true;
}

static enum status apply_flag(const struct option_spec *spec, const struct option_given *given, struct options *options,
                              struct reason *reason)
{
    (void)reason;
    const char *text = last_text(given);
    *FIELD_OF(bool, options, spec) = text && !strcmp(text, "true");
    return STATUS_OK;
}

static void show_flag(const struct option_spec *spec, const struct option_given *given, const struct options *options,
                      struct buffer *out)
{
    (void)given;
    buffer_text(out, *CONST_FIELD_OF(bool, options, spec) ? "true" : "false");
}

static enum status apply_times(const struct option_spec *spec, const struct option_given *given,
                               struct options *options, struct reason *reason)
{
    unsigned long sum = 0, number;
    for (size_t i = 0; i < given->count; i++) {
        if (!whole_number(spec, given->texts[i], &number))
            return refuse(spec, given->texts[i], reason);
        sum += number;
    }
    *FIELD_OF(unsigned, options, spec) = (unsigned)(sum < spec->most ? sum : spec->most);
    return STATUS_OK;
}

static enum status apply_integer(const struct option_spec *spec, const struct option_given *given,
                                 struct options *options, struct reason *reason)
{
    unsigned long number;
    if (!whole_number(spec, last_text(given), &number))
        return refuse(spec, last_text(given), reason);
    *FIELD_OF(unsigned, options, spec) = (unsigned)number;
    return STATUS_OK;
}

static enum status apply_workers(const struct option_spec *spec, const struct option_given *given,
                                 struct options *options, struct reason *reason)
{
    if (strcmp(last_text(given), "auto"))
        return apply_integer(spec, given, options, reason);
    cpu_set_t cores;
    int count = sched_getaffinity(0, sizeof cores, &cores) ? 1 : CPU_COUNT(&cores);
    options->workers = count < 1 ? 1 : (unsigned)count < spec->most ? (unsigned)count : (unsigned)spec->most;
    return STATUS_OK;
}

static void show_integer(const struct option_spec *spec, const struct option_given *given,
                         const struct options *options, struct buffer *out)
{
    (void)given;
    buffer_format(out, "%u", *CONST_FIELD_OF(unsigned, options, spec));
}

static enum status apply_mebibytes(const struct option_spec *spec, const struct option_given *given,
                                   struct options *options, struct reason *reason)
{
    unsigned long number;
    if (!whole_number(spec, last_text(given), &number) || number > SIZE_MAX >> 20)
        return refuse(spec, last_text(given), reason);
    *FIELD_OF(size_t, options, spec) = (size_t)number << 20;
    return STATUS_OK;
}

static void show_mebibytes(const struct option_spec *spec, const struct option_given *given,
                           const struct options *options, struct buffer *out)
{
    (void)given;
    buffer_format(out, "%zu", *CONST_FIELD_OF(size_t, options, spec) >> 20);
}

/* Seconds with or without a fraction, a microsecond to 366 days: SECONDS_EXPECTED of options_table.c says so. */
static bool seconds_from_text(const char *text, double *out)
{
    char *end;
    if (text[strspn(text, "0123456789.eE+-")] || !strchr("0123456789.", text[0]))
        return false;
    double seconds = strtod(text, &end);
    if (end == text || *end || !(seconds >= 1e-6 && seconds <= 366 * 86400.0))
        return false;
    *out = seconds;
    return true;
}

static enum status apply_seconds(const struct option_spec *spec, const struct option_given *given,
                                 struct options *options, struct reason *reason)
{
    if (!seconds_from_text(last_text(given), FIELD_OF(double, options, spec)))
        return refuse(spec, last_text(given), reason);
    return STATUS_OK;
}

static void show_seconds(const struct option_spec *spec, const struct option_given *given,
                         const struct options *options, struct buffer *out)
{
    (void)given;
    buffer_format(out, "%.15g", *CONST_FIELD_OF(double, options, spec));
}

static enum status apply_microseconds(const struct option_spec *spec, const struct option_given *given,
                                      struct options *options, struct reason *reason)
{
    double seconds;
    if (!seconds_from_text(last_text(given), &seconds))
        return refuse(spec, last_text(given), reason);
    *FIELD_OF(int64_t, options, spec) = (int64_t)(seconds * 1e6 + 0.5);
    return STATUS_OK;
}

static void show_microseconds(const struct option_spec *spec, const struct option_given *given,
                              const struct options *options, struct buffer *out)
{
    (void)given;
    buffer_format(out, "%.15g", (double)*CONST_FIELD_OF(int64_t, options, spec) / 1e6);
}

static enum status apply_choice(const struct option_spec *spec, const struct option_given *given,
                                struct options *options, struct reason *reason)
{
    for (unsigned i = 0; spec->choices[i]; i++) {
        if (strcmp(spec->choices[i], last_text(given)))
            continue;
        *FIELD_OF(unsigned, options, spec) = i;
        return STATUS_OK;
    }
    return refuse(spec, last_text(given), reason);
}

static enum status apply_text(const struct option_spec *spec, const struct option_given *given, struct options *options,
                              struct reason *reason)
{
    const char *text = last_text(given);
    if (text && !text[0])
        return refuse(spec, text, reason);
    *FIELD_OF(const char *, options, spec) = text;
    return STATUS_OK;
}

static void show_text(const struct option_spec *spec, const struct option_given *given, const struct options *options,
                      struct buffer *out)
{
    (void)spec;
    (void)options;
    const char *text = last_text(given);
    if (text)
        log_json_string(out, text, strlen(text));
    else
        buffer_text(out, "null");
}

static void show_cut(const struct option_spec *spec, const struct option_given *given, const struct options *options,
                     struct buffer *out)
{
    const struct address_cut *cut = CONST_FIELD_OF(struct address_cut, options, spec);
    (void)given;
    if (options->anonymize)
        buffer_format(out, "\"%u,%u\"", (unsigned)cut->ipv4, (unsigned)cut->ipv6);
    else
        buffer_text(out, "false");
}

static enum status apply_texts(const struct option_spec *spec, const struct option_given *given,
                               struct options *options, struct reason *reason)
{
    const char **texts = arena_alloc(&options->arena, (given->count + 1) * sizeof *texts);
    if (!texts)
        return STATUS_NO_MEMORY;
    for (size_t i = 0; i < given->count; i++) {
        if (!given->texts[i][0])
            return refuse(spec, "", reason);
        texts[i] = given->texts[i];
    }
    *FIELD_OF(const char *const *, options, spec) = texts;
    return STATUS_OK;
}

static void show_texts(const struct option_spec *spec, const struct option_given *given, const struct options *options,
                       struct buffer *out)
{
    (void)spec;
    (void)options;
    buffer_text(out, "[");
    for (size_t i = 0; i < given->count; i++) {
        buffer_text(out, i ? ", " : "");
        log_json_string(out, given->texts[i], strlen(given->texts[i]));
    }
    buffer_text(out, "]");
}

static enum status apply_settings(const struct option_spec *spec, const struct option_given *given,
                                  struct options *options, struct reason *reason)
{
    for (size_t i = 0; i < given->count; i++) {
        const char *equals = strchr(given->texts[i], '=');
        if (!equals || equals == given->texts[i])
            return refuse(spec, given->texts[i], reason);
    }
    return apply_texts(spec, given, options, reason);
}

/* Says which of several texts it was, where the reason does not. */
static enum status name_text(enum status status, const char *text, struct reason *reason)
{
    if (status == STATUS_INVALID && reason && !strstr(reason->text, text))
        reason_prefix(reason, "'%s': ", text);
    return status;
}

static enum status apply_listens(const struct option_spec *spec, const struct option_given *given,
                                 struct options *options, struct reason *reason)
{
    (void)spec;
    options->listens = arena_alloc(&options->arena, given->count * sizeof *options->listens);
    if (!options->listens)
        return STATUS_NO_MEMORY;
    for (size_t i = 0; i < given->count; i++) {
        enum status status = options_listen_from_text(given->texts[i], &options->listens[i], reason);
        if (status)
            return name_text(status, given->texts[i], reason);
    }
    options->listens_count = given->count;
    options->listens_default = given->origin == OPTION_FROM_TABLE;
    return STATUS_OK;
}

/* Takes one --upstream in. `none` for all names is no entry but a mark. */
static enum status add_upstreams(struct options *options, const char *text, size_t *capacity, struct reason *reason)
{
    struct options_upstream *more;
    size_t count;
    enum status status = options_upstreams_from_text(text, &options->arena, &more, &count, reason);
    if (status)
        return status;
    if (more->domain.length == 0 && more->target.address.family == AF_UNSPEC) {
        options->upstream_none = true;
        return STATUS_OK;
    }
    if (count > *capacity - options->upstreams_count) {
        *capacity = (*capacity + count) * 2;
        struct options_upstream *wider = arena_alloc(&options->arena, *capacity * sizeof *wider);
        if (!wider)
            return STATUS_NO_MEMORY;
        if (options->upstreams_count)
            memcpy(wider, options->upstreams, options->upstreams_count * sizeof *wider);
        options->upstreams = wider;
    }
    memcpy(options->upstreams + options->upstreams_count, more, count * sizeof *more);
    options->upstreams_count += count;
    return STATUS_OK;
}

static enum status apply_upstreams(const struct option_spec *spec, const struct option_given *given,
                                   struct options *options, struct reason *reason)
{
    (void)spec;
    size_t capacity = 0;
    for (size_t i = 0; i < given->count; i++) {
        enum status status = add_upstreams(options, given->texts[i], &capacity, reason);
        if (status)
            return name_text(status, given->texts[i], reason);
    }
    for (size_t i = 0; options->upstream_none && i < options->upstreams_count; i++) {
        if (options->upstreams[i].domain.length == 0) {
            reason_set(reason, "'none' and an upstream for all names exclude each other; leave one out");
            return STATUS_INVALID;
        }
    }
    return STATUS_OK;
}

/* Takes the op codes of a list as bits; DSO belongs to one connection (RFC 8490 section 5.1), and no proxy can send it
 * on.
 */
static enum status op_codes_from_text(const struct option_spec *spec, const char *text, unsigned *out,
                                      struct reason *reason)
{
    unsigned op_codes = 0;
    const char *at = text;
    for (;;) {
        const size_t length = strcspn(at, ",");
        uint16_t op_code;
        if (dns_registry_from_text(DNS_OP_CODES, at, length, &op_code) || op_code >= DNS_OP_CODE_COUNT)
            return refuse(spec, text, reason);
        if (op_code == DNS_OP_CODE_DSO) {
            reason_set(reason, "DSO cannot be sent on, as it belongs to one connection; leave it out");
            return STATUS_INVALID;
        }
        op_codes |= 1u << op_code;
        if (!at[length])
            break;
        at += length + 1;
    }
    *out = op_codes;
    return STATUS_OK;
}

static enum status apply_op_codes(const struct option_spec *spec, const struct option_given *given,
                                  struct options *options, struct reason *reason)
{
    unsigned taken = UINT16_MAX & ~(1u << DNS_OP_CODE_DSO);
    if (strcasecmp(last_text(given), "all") && op_codes_from_text(spec, last_text(given), &taken, reason))
        return STATUS_INVALID;
    *FIELD_OF(uint16_t, options, spec) = (uint16_t)~taken;
    return STATUS_OK;
}

static enum status apply_metrics(const struct option_spec *spec, const struct option_given *given,
                                 struct options *options, struct reason *reason)
{
    (void)spec;
    const char *text = last_text(given);
    return text ? options_metrics_from_text(text, &options->metrics, reason) : STATUS_OK;
}

static enum status apply_shared(const struct option_spec *spec, const struct option_given *given,
                                struct options *options, struct reason *reason)
{
    (void)spec;
    options->shared = NULL;
    if (!strcmp(last_text(given), "memory"))
        return STATUS_OK;
    struct redis_url *url = arena_alloc(&options->arena, sizeof *url);
    if (!url)
        return STATUS_NO_MEMORY;
    enum status status = redis_url_parse(last_text(given), &options->arena, url, reason);
    if (!status)
        options->shared = url;
    return status;
}

/* The password is nobody's to see. */
static void show_shared(const struct option_spec *spec, const struct option_given *given, const struct options *options,
                        struct buffer *out)
{
    (void)spec;
    (void)given;
    const char *text = options->shared ? options->shared->shown : "memory";
    log_json_string(out, text, strlen(text));
}

static enum status apply_dnstap(const struct option_spec *spec, const struct option_given *given,
                                struct options *options, struct reason *reason)
{
    const char *text = last_text(given);
    enum status status = text ? dnstap_check(text, reason) : STATUS_OK;
    return status ? status : apply_text(spec, given, options, reason);
}

static const struct kind kinds[OPTION_KIND_COUNT] = {
    [OPTION_KIND_FLAG] = {apply_flag, show_flag},
    [OPTION_KIND_TIMES] = {apply_times, show_integer},
    [OPTION_KIND_INTEGER] = {apply_integer, show_integer},
    [OPTION_KIND_WORKERS] = {apply_workers, show_integer},
    [OPTION_KIND_MEBIBYTES] = {apply_mebibytes, show_mebibytes},
    [OPTION_KIND_SECONDS] = {apply_seconds, show_seconds},
    [OPTION_KIND_MICROSECONDS] = {apply_microseconds, show_microseconds},
    [OPTION_KIND_CHOICE] = {apply_choice, show_text},
    [OPTION_KIND_PREFIXES] = {options_apply_prefixes, show_texts},
    [OPTION_KIND_RATE] = {options_apply_rate, show_text},
    [OPTION_KIND_NAMES] = {options_apply_names, show_texts},
    [OPTION_KIND_CUT] = {options_apply_cut, show_cut},
    [OPTION_KIND_TEXT] = {apply_text, show_text},
    [OPTION_KIND_TEXTS] = {apply_texts, show_texts},
    [OPTION_KIND_SETTINGS] = {apply_settings, show_texts},
    [OPTION_KIND_LISTENS] = {apply_listens, show_texts},
    [OPTION_KIND_UPSTREAMS] = {apply_upstreams, show_texts},
    [OPTION_KIND_OP_CODES] = {apply_op_codes, show_text},
    [OPTION_KIND_METRICS] = {apply_metrics, show_text},
    [OPTION_KIND_SHARED] = {apply_shared, show_shared},
    [OPTION_KIND_DNSTAP] = {apply_dnstap, show_text},
    [OPTION_KIND_ORDER] = {0},
};

enum status option_apply(const struct option_spec *spec, const struct option_given *given, struct options *options,
                         struct reason *reason)
{
    if (!kinds[spec->kind].apply)
        return STATUS_OK;
    enum status status = kinds[spec->kind].apply(spec, given, options, reason);
    if (status == STATUS_NO_MEMORY)
        reason_set(reason, "out of memory");
    if (status && given->origin == OPTION_FROM_CONFIG)
        reason_prefix(reason, "%s: %s: ", given->file, spec->name);
    else if (status)
        reason_prefix(reason, "--%s: ", spec->name);
    return status;
}

void option_show(const struct option_spec *spec, const struct option_given *given, const struct options *options,
                 struct buffer *out)
{
    if (kinds[spec->kind].show)
        kinds[spec->kind].show(spec, given, options, out);
}
