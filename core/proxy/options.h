/* The options of the command line and of config files. One table (options_table.c) describes every option; parsing,
 * config files, help, --options and the scripts' ctx.options are loops over it. */
#ifndef MOONDNS_PROXY_OPTIONS_H
#define MOONDNS_PROXY_OPTIONS_H

#include "base/arena.h"
#include "base/log.h"
#include "data/address_set.h"
#include "flow/flow.h"
#include "redis/redis_url.h"

enum {
    OPTIONS_EXIT_DONE = 0,
    OPTIONS_EXIT_FAILURE = 1, /* failed while running */
    OPTIONS_EXIT_USAGE = 2,   /* unknown names and bad values */
    OPTIONS_EXIT_SCRIPT = 3,  /* a script failed to load or configure at start, or is not there */
};

/* What to do; the rest of `struct options` counts for OPTIONS_RUN alone. */
enum options_action { OPTIONS_RUN, OPTIONS_HELP, OPTIONS_VERSION };

struct options_listen {
    unsigned transports; /* bits 1 << enum transport: without a scheme UDP and TCP */
    struct address address;
};

/* One upstream; `[/a.example/b.example/]ADDR` makes one for each domain. */
struct options_upstream {
    struct dns_name domain;        /* length 0: for all names (the root too); else for this domain and below */
    struct upstream_target target; /* AF_UNSPEC: `none`, queries for the domain go nowhere */
};

/* Queries a second, of one network of so many bits. */
struct options_rate {
    unsigned per_second; /* 0: no limit */
    struct address_cut prefix;
};

/* An option as --options lists it and as scripts see it. */
struct options_value {
    const char *name;        /* long name: "hook-timeout" */
    const char *script_name; /* the same in snake_case: "hook_timeout" */
    const char *type;        /* for people: "number of seconds, more than 0" */
    const char *value;       /* JSON text */
    const char *help;
    bool at_run_time; /* a new value of a config file counts without a restart */
};

/* All that is pointed to belongs to the arena. Arrays of text end with NULL. */
struct options {
    struct arena arena;
    const char *const *scripts;
    const char *const *settings;    /* "NAME=VALUE" in order */
    struct options_listen *listens; /* at least one */
    size_t listens_count;
    bool listens_default;               /* none was given */
    struct options_upstream *upstreams; /* without one for all names (and no `none`), resolv.conf's servers are those */
    size_t upstreams_count;
    bool upstream_none;       /* `none` for all names; it is not in `upstreams` */
    const char *resolv_conf;  /* path */
    unsigned upstream_policy; /* enum net_upstream_policy */
    int64_t timeout_us;       /* for one try */
    unsigned retries;
    uint16_t op_codes_refused; /* bits 1 << op code */
    const char *hosts;         /* path, or NULL */
    const char *const *zones;
    bool coalesce;
    unsigned cache;                 /* answers kept; 0: none */
    struct address_prefix *allowed; /* NULL: nothing was given */
    size_t allowed_count;
    bool allow_all; /* `any` is among them */
    struct options_rate rate_limit;
    unsigned rate_limit_action; /* enum turn_away */
    unsigned flows_max;         /* of each worker */
    size_t flows_memory;        /* bytes, of each worker */
    unsigned tcp_connections, tcp_connections_per_client, tcp_pipeline;
    size_t tcp_memory; /* bytes, of each worker */
    int64_t tcp_idle_us;
    bool rebind_protection;
    struct dns_name *rebind_allowed;
    size_t rebind_allowed_count;
    bool anonymize;                   /* what is printed, logged and recorded of clients' addresses is cut … */
    struct address_cut anonymize_cut; /* … to so many bits */
    unsigned workers;                 /* at least 1; `auto` is counted out */
    double hook_timeout;              /* seconds */
    bool jit;
    bool errors_in_answers;
    size_t script_memory;     /* bytes */
    struct redis_url *shared; /* NULL: in memory */
    size_t shared_memory;     /* bytes */
    unsigned held_max;        /* flows that scripts hold at one time */
    size_t held_memory;       /* bytes that these may take */
    double held_timeout;      /* seconds */
    bool no_reload;
    bool check;
    bool show_options;       /* --options */
    unsigned quiet, verbose; /* how often -q and -v */
    enum log_level level;    /* from -q and -v */
    unsigned flow_detail;    /* 0 to 3; from -q and -v where --flow-detail is not given */
    bool log_json;
    const char *dnstap, *dnstap_identity; /* the target, checked; NULL: none, and the host's name */
    struct address metrics;               /* AF_UNSPEC: none */
    const char *user, *group;             /* NULL: stay */
    const char *filter;                   /* FILTER, checked; NULL: none */

    struct options_value *values; /* every option that scripts may see; ended by a NULL name */
};

/* Reads the command line (argv[0] is skipped) and the config files that it names. STATUS_INVALID, STATUS_MALFORMED (a
 * config file is no JSON) and STATUS_IO (it cannot be read) are wrong usage; the reason says what to do. On success the
 * caller owns `out` (options_free). */
MUST_CHECK enum status options_parse(int argc, char **argv, struct options *out, enum options_action *action,
                                     struct reason *reason);
void options_free(struct options *options);

/* The same where up to `words_max` arguments that are no options mean something else than FILTER: they are borrowed in
 * `words`, in order; what is beyond them there stays as it was. */
MUST_CHECK enum status options_parse_words(int argc, char **argv, const char **words, size_t words_max,
                                           struct options *out, enum options_action *action, struct reason *reason);

/* Appends the names of those options whose values differ, joined by ", ": of those that count at run time, or of those
 * that count at the start only. False when there are none. */
bool options_differ(const struct options *before, const struct options *after, bool at_run_time, struct buffer *names);

/* Appends the text of --help. */
void options_help(struct buffer *out);

/* Appends what --options prints of the proxy's own options. */
void options_describe(const struct options *options, struct buffer *out);

#endif
