#include "proxy/options_table.h"

#include "base/nearest.h"

#define FIELD(member) .offset = offsetof(struct options, member)
#define FLAG .kind = OPTION_KIND_FLAG, .expected = "true or false"
#define SECONDS_EXPECTED "seconds from 0.000001 to 31622400 (366 days)"

static const char *const rate_limit_actions[] = {"truncate", "drop", "refuse", NULL};
static const char *const upstream_policies[] = {"first", "round-robin", "fastest", "all", NULL};

const struct option_spec options_table[OPTION_COUNT] = {
    [OPTION_SCRIPT] = {"script", 's', OPTION_KIND_TEXTS, OPTION_REPEATS, FIELD(scripts), .argument = "FILE",
                       .expected = "paths of Lua files", .heading = "Scripts",
                       .help = "run a Lua script; again for more, in that order; reloaded when it changes"},
    [OPTION_SET] = {"set", 0, OPTION_KIND_SETTINGS, OPTION_REPEATS | OPTION_AT_RUN_TIME, FIELD(settings),
                    .argument = "NAME=VALUE", .expected = "NAME=VALUE",
                    .help = "set an option that a script declares; again for more, for a list option to append"},
    [OPTION_SHARED] = {"shared", 0, OPTION_KIND_SHARED, 0, FIELD(shared), .argument = "URL",
                       .expected = "memory or redis://…", .initial = "memory",
                       .help = "where scripts keep 'shared': in memory, or for several instances in common at "
                               "redis://[[USER]:PASSWORD@]HOST[:PORT][/DATABASE]"},
    [OPTION_ERRORS_IN_ANSWERS] = {"errors-in-answers", 0, FLAG, FIELD(errors_in_answers),
                                  .help = "tell clients that use EDNS of scripts' errors, as extended errors"},
    [OPTION_NO_RELOAD] = {"no-reload", 0, FLAG, FIELD(no_reload), .help = "do not watch the scripts"},
    [OPTION_LISTEN] = {"listen", 'l', OPTION_KIND_LISTENS, OPTION_REPEATS, FIELD(listens),
                       .argument = "[SCHEME://]ADDR[:PORT]", .expected = "addresses to listen on",
                       .initial = "127.0.0.1:5300", .heading = "Listening and upstreams",
                       .help =
                           "listen; again for more; SCHEME is udp or tcp, without one both; PORT is 5300 without one"},
    [OPTION_UPSTREAM] = {"upstream", 'u', OPTION_KIND_UPSTREAMS, OPTION_REPEATS, FIELD(upstreams),
                         .argument = "[SCHEME://]ADDR[:PORT]", .expected = "addresses of upstream servers",
                         .initial_help = "resolv.conf's servers",
                         .help =
                             "where queries go; again for more; 'none' for no upstream; [/domain/]ADDR for one domain "
                             "and below"},
    [OPTION_RESOLV_CONF] = {"resolv-conf", 0, OPTION_KIND_TEXT, 0, FIELD(resolv_conf), .argument = "FILE",
                            .expected = "path of a file", .initial = "/etc/resolv.conf",
                            .help = "where upstreams come from when none are given; taken anew when it changes"},
    [OPTION_UPSTREAM_POLICY] = {"upstream-policy", 0, OPTION_KIND_CHOICE, 0, FIELD(upstream_policy),
                                .argument = "POLICY", .expected = "first, round-robin, fastest or all",
                                .initial = "first", .choices = upstream_policies,
                                .help =
                                    "which of several upstreams is asked: 'first' in order, the next when one fails; "
                                    "'round-robin'; 'fastest'; 'all' at once, the first good answer counts"},
    [OPTION_TIMEOUT] = {"timeout", 0, OPTION_KIND_MICROSECONDS, OPTION_AT_RUN_TIME, FIELD(timeout_us),
                        .argument = "SECONDS", .expected = SECONDS_EXPECTED, .initial = "2",
                        .help = "how long to wait for an upstream's answer, for each try; fractions are allowed"},
    [OPTION_RETRIES] = {"retries", 0, OPTION_KIND_INTEGER, OPTION_AT_RUN_TIME, FIELD(retries), .argument = "N",
                        .expected = "integer from 0 to 100", .initial = "2", .most = 100,
                        .help = "further tries, each at the next upstream"},
    [OPTION_OP_CODES] = {"op-codes", 0, OPTION_KIND_OP_CODES, 0, FIELD(op_codes_refused), .argument = "LIST",
                         .expected = "op codes joined by commas, or 'all'", .initial = "all",
                         .help =
                             "what is sent to upstreams, as in 'query,notify'; the others get NOTIMP, unless a script "
                             "answers; DSO is never sent on"},
    [OPTION_COALESCE] = {"coalesce", 0, FLAG, FIELD(coalesce),
                         .help =
                             "ask upstreams once for identical questions that are in flight at one time; each query "
                             "still has its own hooks"},
    [OPTION_HOSTS] = {"hosts", 0, OPTION_KIND_TEXT, 0, FIELD(hosts), .argument = "FILE", .expected = "path of a file",
                      .heading = "Answers of the proxy itself",
                      .help =
                          "answer A, AAAA and PTR from a hosts file, after the request hooks; the response hooks run"},
    [OPTION_ZONE] = {"zone", 0, OPTION_KIND_TEXTS, OPTION_REPEATS, FIELD(zones), .argument = "FILE",
                     .expected = "paths of master files",
                     .help = "answer for the zone in a master file, after the hosts file; again for more"},
    [OPTION_CACHE] = {"cache", 0, OPTION_KIND_INTEGER, 0, FIELD(cache), .argument = "ENTRIES",
                      .expected = "integer from 0 to 10000000", .initial = "0", .initial_help = "0: none",
                      .most = 10000000,
                      .help =
                          "keep so many of the upstreams' answers for each worker, and answer from them until their "
                          "TTL is over"},
    [OPTION_QUIET] = {"quiet", 'q', OPTION_KIND_TIMES, OPTION_REPEATS, FIELD(quiet),
                      .expected = "how often (integer from 0 to 9)", .initial = "0", .initial_help = "", .most = 9,
                      .heading = "Output", .help = "print less: no flows, warnings and errors; twice: errors"},
    [OPTION_VERBOSE] = {"verbose", 'v', OPTION_KIND_TIMES, OPTION_REPEATS, FIELD(verbose),
                        .expected = "how often (integer from 0 to 9)", .initial = "0", .initial_help = "", .most = 9,
                        .help = "print more: debug messages and flow detail 2; twice: flow detail 3"},
    [OPTION_FLOW_DETAIL] = {"flow-detail", 0, OPTION_KIND_INTEGER, 0, FIELD(flow_detail), .argument = "0..3",
                            .expected = "integer from 0 to 3", .initial = "1", .most = 3,
                            .help =
                                "how much of each flow is printed: nothing, two lines, flags and records, everything"},
    [OPTION_LOG_JSON] = {"log-json", 0, FLAG, FIELD(log_json), .help = "print one JSON object a line, logs and flows"},
    [OPTION_ANONYMIZE] = {"anonymize", 0, OPTION_KIND_CUT, OPTION_VALUE_OPTIONAL, FIELD(anonymize_cut),
                          .argument = "IPV4,IPV6", .expected = "bits that are left (24,48), true or false",
                          .initial = "false", .initial_help = "24,48 where no value is given",
                          .help = "cut clients' addresses to so many bits in all that is printed, logged and recorded"},
    [OPTION_METRICS] = {"metrics", 0, OPTION_KIND_METRICS, 0, FIELD(metrics), .argument = "[ADDR:]PORT",
                        .expected = "[ADDR:]PORT", .heading = "Observing",
                        .help = "serve metrics for Prometheus on http://ADDR:PORT/metrics; ADDR is 127.0.0.1 without "
                                "one"},
    [OPTION_DNSTAP] = {"dnstap", 0, OPTION_KIND_DNSTAP, 0, FIELD(dnstap),
                       .argument = "unix:PATH|tcp:HOST:PORT|file:PATH",
                       .expected = "unix:PATH, tcp:HOST:PORT or file:PATH",
                       .help = "send all queries and answers, of clients and upstreams, to a dnstap reader or file"},
    [OPTION_DNSTAP_IDENTITY] = {"dnstap-identity", 0, OPTION_KIND_TEXT, 0, FIELD(dnstap_identity), .argument = "TEXT",
                                .expected = "text", .initial_help = "the host's name",
                                .help = "who dnstap messages say that they are from"},
    [OPTION_ALLOW] = {"allow", 0, OPTION_KIND_PREFIXES, OPTION_REPEATS, FIELD(allowed), .argument = "PREFIX",
                      .expected = "addresses or prefixes, or any",
                      .initial_help = "loopback and private networks where a listener is not on loopback itself",
                      .heading = "Who is served",
                      .help =
                          "clients that are served, such as 192.0.2.0/24; again for more; 'any' for all; others get "
                          "REFUSED"},
    [OPTION_RATE_LIMIT] = {"rate-limit", 0, OPTION_KIND_RATE, 0, FIELD(rate_limit), .argument = "QPS[/IPV4[/IPV6]]",
                           .expected = "queries a second from 1 to 1000000, then perhaps prefix lengths (100/24/56)",
                           .initial_help = "none",
                           .help =
                               "queries a second that a client may send; those whose addresses agree in so many bits "
                               "(32 of IPv4, 56 of IPv6) count as one"},
    [OPTION_RATE_LIMIT_ACTION] = {"rate-limit-action", 0, OPTION_KIND_CHOICE, 0, FIELD(rate_limit_action),
                                  .argument = "ACTION", .expected = "truncate, drop or refuse", .initial = "truncate",
                                  .choices = rate_limit_actions,
                                  .help = "what becomes of queries beyond that: 'truncate' over UDP, so that honest "
                                          "clients ask again over TCP; 'drop'; 'refuse'"},
    [OPTION_REBIND_PROTECTION] = {"rebind-protection", 0, FLAG, FIELD(rebind_protection),
                                  .help = "keep answers with private addresses from clients, but of upstreams that are "
                                          "given for a domain"},
    [OPTION_REBIND_ALLOW] = {"rebind-allow", 0, OPTION_KIND_NAMES, OPTION_REPEATS, FIELD(rebind_allowed),
                             .argument = "DOMAIN", .expected = "names of domains",
                             .help = "let this domain and all below have private addresses; again for more"},
    [OPTION_HOOK_TIMEOUT] = {"hook-timeout", 0, OPTION_KIND_SECONDS, OPTION_AT_RUN_TIME, FIELD(hook_timeout),
                             .argument = "SECONDS", .expected = SECONDS_EXPECTED, .initial = "1",
                             .heading = "Limits of scripts",
                             .help = "how long a hook may compute before it is cut off; waiting does not count"},
    [OPTION_JIT] = {"jit", 0, FLAG, FIELD(jit),
                    .help = "compile all of the scripts' code, and turn the guard against endless hooks off"},
    [OPTION_SCRIPT_MEMORY] = {"script-memory", 0, OPTION_KIND_MEBIBYTES, 0, FIELD(script_memory), .argument = "MIB",
                              .expected = "integer from 1 to 1048576 (MiB)", .initial = "1024", .least = 1,
                              .most = 1048576, .help = "cap on one worker's Lua memory, in MiB"},
    [OPTION_SHARED_MEMORY] = {"shared-memory", 0, OPTION_KIND_MEBIBYTES, 0, FIELD(shared_memory), .argument = "MIB",
                              .expected = "integer from 1 to 1048576 (MiB)", .initial = "64", .least = 1,
                              .most = 1048576,
                              .help = "cap on what scripts keep in 'shared', in MiB; beyond it the least used goes"},
    [OPTION_HELD_MAX] = {"held-max", 0, OPTION_KIND_INTEGER, OPTION_AT_RUN_TIME, FIELD(held_max), .argument = "N",
                         .expected = "integer from 0 to 1000000", .initial = "10000", .most = 1000000,
                         .help =
                             "flows that scripts of one worker may hold at one time; beyond that they get SERVFAIL"},
    [OPTION_HELD_MEMORY] = {"held-memory", 0, OPTION_KIND_MEBIBYTES, OPTION_AT_RUN_TIME, FIELD(held_memory),
                            .argument = "MIB", .expected = "integer from 1 to 1048576 (MiB)", .initial = "64",
                            .least = 1, .most = 1048576,
                            .help =
                                "memory that held flows of one worker may take, in MiB; beyond that they get SERVFAIL"},
    [OPTION_HELD_TIMEOUT] = {"held-timeout", 0, OPTION_KIND_SECONDS, OPTION_AT_RUN_TIME, FIELD(held_timeout),
                             .argument = "SECONDS", .expected = SECONDS_EXPECTED, .initial = "60",
                             .help = "how long a script may hold a flow before it gets SERVFAIL"},
    [OPTION_FLOWS_MAX] = {"flows-max", 0, OPTION_KIND_INTEGER, 0, FIELD(flows_max), .argument = "N",
                          .expected = "integer from 1 to 10000000", .initial = "65536", .least = 1, .most = 10000000,
                          .heading = "Limits of queries and connections",
                          .help =
                              "queries in flight in each worker; further ones are not asked upstream and get SERVFAIL"},
    [OPTION_FLOWS_MEMORY] = {"flows-memory", 0, OPTION_KIND_MEBIBYTES, 0, FIELD(flows_memory), .argument = "MIB",
                             .expected = "integer from 1 to 1048576 (MiB)", .initial = "128", .least = 1,
                             .most = 1048576,
                             .help = "memory in each worker, in MiB, of the messages of queries in flight; beyond it "
                                     "further ones with long messages get SERVFAIL"},
    [OPTION_TCP_CONNECTIONS] = {"tcp-connections", 0, OPTION_KIND_INTEGER, 0, FIELD(tcp_connections), .argument = "N",
                                .expected = "integer from 1 to 1000000", .initial = "10000", .least = 1,
                                .most = 1000000,
                                .help = "TCP connections of clients; beyond that the one idle for longest makes room"},
    [OPTION_TCP_CONNECTIONS_PER_CLIENT] = {"tcp-connections-per-client", 0, OPTION_KIND_INTEGER, 0,
                                           FIELD(tcp_connections_per_client), .argument = "N",
                                           .expected = "integer from 1 to 1000000", .initial = "1000", .least = 1,
                                           .most = 1000000, .help = "the same for those of one address"},
    [OPTION_TCP_PIPELINE] = {"tcp-pipeline", 0, OPTION_KIND_INTEGER, 0, FIELD(tcp_pipeline), .argument = "N",
                             .expected = "integer from 1 to 65536", .initial = "256", .least = 1, .most = 65536,
                             .help = "queries in flight on one TCP connection; beyond that it is not read from"},
    [OPTION_TCP_MEMORY] = {"tcp-memory", 0, OPTION_KIND_MEBIBYTES, 0, FIELD(tcp_memory), .argument = "MIB",
                           .expected = "integer from 1 to 1048576 (MiB)", .initial = "64", .least = 1, .most = 1048576,
                           .help = "memory in each worker, in MiB, of answers that TCP clients do not take and queries "
                                   "that they half sent; beyond it those with the most are closed"},
    [OPTION_TCP_IDLE_TIMEOUT] = {"tcp-idle-timeout", 0, OPTION_KIND_MICROSECONDS, 0, FIELD(tcp_idle_us),
                                 .argument = "SECONDS", .expected = SECONDS_EXPECTED, .initial = "10",
                                 .help = "how long a TCP connection of a client may be idle; half of that for one that "
                                         "sent half a query or does not take its answers"},
    [OPTION_WORKERS] = {"workers", 0, OPTION_KIND_WORKERS, 0, FIELD(workers), .argument = "N",
                        .expected = "integer from 1 to 256 (or auto)", .initial = "1", .least = 1, .most = 256,
                        .heading = "The process",
                        .help = "threads; 'auto' is one a core; each has script globals of its own"},
    [OPTION_USER] = {"user", 0, OPTION_KIND_TEXT, 0, FIELD(user), .argument = "NAME", .expected = "name of a user",
                     .help = "become that user once the ports are bound"},
    [OPTION_GROUP] = {"group", 0, OPTION_KIND_TEXT, 0, FIELD(group), .argument = "NAME", .expected = "name of a group",
                      .initial_help = "the user's", .help = "become that group once the ports are bound"},
    [OPTION_CONFIG] = {"config", 'C', OPTION_KIND_ORDER, OPTION_REPEATS | OPTION_COMMAND_LINE_ONLY, .argument = "FILE",
                       .expected = "path of a JSON file",
                       .help =
                           "options from a JSON file, keys as the long names, repeatable ones as arrays; the command "
                           "line wins and replaces an array"},
    [OPTION_CHECK] = {"check", 0, FLAG, .traits = OPTION_COMMAND_LINE_ONLY, FIELD(check),
                      .help = "load the scripts, print the options and hooks they declare, and exit"},
    [OPTION_OPTIONS] = {"options", 0, FLAG, .traits = OPTION_COMMAND_LINE_ONLY, FIELD(show_options),
                        .help = "list every option with its type, value and help, and exit"},
    [OPTION_VERSION] = {"version", 'V', OPTION_KIND_ORDER, OPTION_COMMAND_LINE_ONLY,
                        .help = "print the version and exit"},
    [OPTION_HELP] = {"help", 'h', OPTION_KIND_ORDER, OPTION_COMMAND_LINE_ONLY, .help = "print this and exit"},
};

const struct option_spec *options_find(const char *name, size_t length)
{
    for (size_t id = 0; id < OPTION_COUNT; id++) {
        if (strlen(options_table[id].name) == length && !memcmp(options_table[id].name, name, length))
            return &options_table[id];
    }
    return NULL;
}

const struct option_spec *options_find_letter(char letter)
{
    for (size_t id = 0; id < OPTION_COUNT; id++) {
        if (options_table[id].letter && options_table[id].letter == letter)
            return &options_table[id];
    }
    return NULL;
}

const char *options_nearest(const char *name, unsigned without)
{
    const char *names[OPTION_COUNT + 1];
    size_t count = 0;
    for (size_t id = 0; id < OPTION_COUNT; id++) {
        if (!(options_table[id].traits & without))
            names[count++] = options_table[id].name;
    }
    names[count] = NULL;
    return nearest_name(name, names);
}
