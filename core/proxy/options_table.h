/* The table of options, and what reading them passes from step to step. Private to options*.c. */
#ifndef MOONDNS_PROXY_OPTIONS_TABLE_H
#define MOONDNS_PROXY_OPTIONS_TABLE_H

#include "proxy/options.h"

/* In the order of --help. */
enum option_id {
    OPTION_SCRIPT,
    OPTION_SET,
    OPTION_SHARED,
    OPTION_ERRORS_IN_ANSWERS,
    OPTION_NO_RELOAD,
    OPTION_LISTEN,
    OPTION_UPSTREAM,
    OPTION_RESOLV_CONF,
    OPTION_UPSTREAM_POLICY,
    OPTION_TIMEOUT,
    OPTION_RETRIES,
    OPTION_OP_CODES,
    OPTION_COALESCE,
    OPTION_HOSTS,
    OPTION_ZONE,
    OPTION_CACHE,
    OPTION_QUIET,
    OPTION_VERBOSE,
    OPTION_FLOW_DETAIL,
    OPTION_LOG_JSON,
    OPTION_ANONYMIZE,
    OPTION_METRICS,
    OPTION_DNSTAP,
    OPTION_DNSTAP_IDENTITY,
    OPTION_ALLOW,
    OPTION_RATE_LIMIT,
    OPTION_RATE_LIMIT_ACTION,
    OPTION_REBIND_PROTECTION,
    OPTION_REBIND_ALLOW,
    OPTION_HOOK_TIMEOUT,
    OPTION_JIT,
    OPTION_SCRIPT_MEMORY,
    OPTION_SHARED_MEMORY,
    OPTION_HELD_MAX,
    OPTION_HELD_MEMORY,
    OPTION_HELD_TIMEOUT,
    OPTION_FLOWS_MAX,
    OPTION_FLOWS_MEMORY,
    OPTION_TCP_CONNECTIONS,
    OPTION_TCP_CONNECTIONS_PER_CLIENT,
    OPTION_TCP_PIPELINE,
    OPTION_TCP_MEMORY,
    OPTION_TCP_IDLE_TIMEOUT,
    OPTION_WORKERS,
    OPTION_USER,
    OPTION_GROUP,
    OPTION_CONFIG,
    OPTION_CHECK,
    OPTION_OPTIONS,
    OPTION_VERSION,
    OPTION_HELP,
    OPTION_COUNT,
};

/* How an option's text becomes a value: a row of options_kinds (options_value.c). */
enum option_kind {
    OPTION_KIND_FLAG,
    OPTION_KIND_TIMES, /* a flag that counts how often it is given */
    OPTION_KIND_INTEGER,
    OPTION_KIND_WORKERS,
    OPTION_KIND_MEBIBYTES,
    OPTION_KIND_SECONDS,
    OPTION_KIND_MICROSECONDS, /* seconds as well; the field holds microseconds */
    OPTION_KIND_CHOICE,       /* one of `choices`; the field is an unsigned: which */
    OPTION_KIND_PREFIXES,
    OPTION_KIND_RATE,
    OPTION_KIND_NAMES,
    OPTION_KIND_CUT,
    OPTION_KIND_TEXT,
    OPTION_KIND_TEXTS,
    OPTION_KIND_SETTINGS,
    OPTION_KIND_LISTENS,
    OPTION_KIND_UPSTREAMS,
    OPTION_KIND_OP_CODES,
    OPTION_KIND_METRICS,
    OPTION_KIND_DNSTAP,
    OPTION_KIND_SHARED, /* `memory`, or a Redis URL */
    OPTION_KIND_ORDER,  /* no value: something to do at once */
    OPTION_KIND_COUNT,
};

enum option_trait {
    OPTION_REPEATS = 1,           /* each further one is added; else the last one counts */
    OPTION_COMMAND_LINE_ONLY = 2, /* no key of config files, and nothing scripts see */
    OPTION_AT_RUN_TIME = 4,       /* counts as soon as a config file is read again */
    OPTION_VALUE_OPTIONAL = 8,    /* --name or --name=VALUE; the former is "true" */
};

struct option_spec {
    const char *name; /* the long name, and the config file's key */
    char letter;      /* 0: none */
    enum option_kind kind;
    unsigned traits;
    size_t offset;             /* of the field in struct options */
    const char *argument;      /* "FILE"; NULL: it takes no value */
    const char *expected;      /* what its value must be, for people */
    const char *initial;       /* the value's text where none is given; NULL: none */
    const char *initial_help;  /* what help says of that; NULL: what `initial` says */
    unsigned long least, most; /* of whole numbers */
    const char *help;
    const char *const *choices; /* ended by NULL */
    const char *heading; /* of the options that begin with this one, in --help; NULL: goes on with those before */
};

extern const struct option_spec options_table[OPTION_COUNT];

/* NULL when there is none. */
const struct option_spec *options_find(const char *name, size_t length);
const struct option_spec *options_find_letter(char letter);

/* The long name nearest to a misspelt one, or NULL. Options with one of `without` (traits) are left out. */
const char *options_nearest(const char *name, unsigned without);

/* Where a value came from; the higher one counts. */
enum option_origin { OPTION_FROM_NOWHERE, OPTION_FROM_TABLE, OPTION_FROM_CONFIG, OPTION_FROM_COMMAND_LINE };

/* An option's values as text. */
struct option_given {
    enum option_origin origin;
    const char *file;   /* the config file; NULL: another origin */
    const char **texts; /* all that is pointed to belongs to the set's arena */
    size_t count, capacity;
};

struct option_set {
    struct arena *arena; /* borrowed */
    struct option_given given[OPTION_COUNT];
};

/* Adds a value (copied). A higher origin, or another file, replaces what there is; a lower one is dropped; so does each
 * further value of an option that does not repeat. */
MUST_CHECK enum status option_set_add(struct option_set *set, enum option_id id, enum option_origin origin,
                                      const char *file, const char *text, size_t length);

/* The same origin gives an empty array: replaces what lower ones gave. */
void option_set_clear(struct option_set *set, enum option_id id, enum option_origin origin, const char *file);

/* Takes the text of a config file, which has a NUL behind its last byte. The reason begins with the file's name. */
MUST_CHECK enum status options_config_read(struct option_set *set, const char *file, const char *text, size_t length,
                                           struct reason *reason);

/* Reads a config file. */
MUST_CHECK enum status options_config_load(struct option_set *set, const char *file, struct reason *reason);

/* Turns an option's texts into its field; the reason begins with what the user wrote ("--timeout: "). */
MUST_CHECK enum status option_apply(const struct option_spec *spec, const struct option_given *given,
                                    struct options *options, struct reason *reason);

/* Appends the option's value as JSON. */
void option_show(const struct option_spec *spec, const struct option_given *given, const struct options *options,
                 struct buffer *out);

/* Puts the table's values in where nothing, or an empty array, was given. */
MUST_CHECK enum status options_set_complete(struct option_set *set, struct reason *reason);

/* Fills `out` (whose arena is the set's) from what was given. */
MUST_CHECK enum status options_from_set(const struct option_set *set, struct options *out, struct reason *reason);

/* What limits are made of (options_limits.c): --allow, --rate-limit, --rebind-allow, --anonymize. */
MUST_CHECK enum status options_apply_prefixes(const struct option_spec *spec, const struct option_given *given,
                                              struct options *options, struct reason *reason);
MUST_CHECK enum status options_apply_rate(const struct option_spec *spec, const struct option_given *given,
                                          struct options *options, struct reason *reason);
MUST_CHECK enum status options_apply_names(const struct option_spec *spec, const struct option_given *given,
                                           struct options *options, struct reason *reason);
MUST_CHECK enum status options_apply_cut(const struct option_spec *spec, const struct option_given *given,
                                         struct options *options, struct reason *reason);

/* [SCHEME://]ADDR[:PORT] of a listener. */
MUST_CHECK enum status options_listen_from_text(const char *text, struct options_listen *out, struct reason *reason);

/* [ADDR:]PORT of the metrics; on the loopback without ADDR. */
MUST_CHECK enum status options_metrics_from_text(const char *text, struct address *out, struct reason *reason);

/* [/domain/…/][SCHEME://]ADDR[:PORT] or `none`; one entry for each domain, in the arena. */
MUST_CHECK enum status options_upstreams_from_text(const char *text, struct arena *arena, struct options_upstream **out,
                                                   size_t *count, struct reason *reason);

#endif
