/* moondns without a subcommand: serves. Holds the process: options, rights, signals, start and stop. */
#include "base/random.h"
#include "data/metrics/script_metrics.h"
#include "lua/commands/commands.h"
#include "lua/commands/observing.h"
#include "lua/commands/renewal.h"
#include "lua/commands/seat.h"
#include "net/rate_limit.h"

#include <event2/event.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

static void on_stop_signal(evutil_socket_t number, short what, void *context)
{
    (void)number;
    (void)what;
    seats_stop(context);
}

static void on_reload_signal(evutil_socket_t number, short what, void *context)
{
    (void)number;
    (void)what;
    struct moondns *moondns = context;
    observing_reopen(moondns);
    reloader_all(moondns->reloader);
}

static bool watch_signals(struct moondns *moondns)
{
    struct event_base *base = worker_base(moondns->seats[0].worker);
    moondns->signals[0] = evsignal_new(base, SIGINT, on_stop_signal, moondns);
    moondns->signals[1] = evsignal_new(base, SIGTERM, on_stop_signal, moondns);
    moondns->signals[2] = evsignal_new(base, SIGHUP, on_reload_signal, moondns);
    for (size_t i = 0; i < 3; i++)
        if (!moondns->signals[i] || event_add(moondns->signals[i], NULL))
            return false;
    return true;
}

static void say_started(struct moondns *moondns)
{
    struct net *net = worker_net(moondns->seats[0].worker);
    struct buffer text = {0};
    buffer_text(&text, "listening on ");
    net_describe_listeners(net, &text);
    buffer_text(&text, ", upstream ");
    net_describe_upstreams(net, &text);
    if (moondns->options.scripts[0]) {
        buffer_text(&text, ", scripts: ");
        engine_script_names(moondns->seats[0].engine, &text);
    }
    log_text(&moondns->log, LOG_INFO, (const char *)text.data, text.length);
    buffer_clear(&text);
    net_describe_clients(net, &text);
    if (text.length && buffer_c_string(&text))
        log_line(&moondns->log, LOG_INFO, "clients served: %s; --allow PREFIX or --allow any lets others in",
                 (const char *)text.data);
    struct address address = net_first_address(net);
    if (address.family != AF_UNSPEC) {
        char ip[ADDRESS_TEXT_MAX];
        address_to_reach(&address);
        log_line(&moondns->log, LOG_INFO, "try: dig @%s -p %u example.com", address_ip_text(&address, ip),
                 (unsigned)address.port);
    }
    buffer_free(&text);
}

static int serve(struct moondns *moondns)
{
    struct seat *first = &moondns->seats[0];
    struct reason reason = {"out of memory"};
    for (unsigned i = 0; i < moondns->count; i++)
        if (worker_bind(moondns->seats[i].worker, i ? first->worker : NULL, &reason))
            goto failed;
    if (observing_open(moondns, &reason))
        goto failed;
    if (privileges_drop(&moondns->privileges, &reason))
        goto failed;
    if (observing_begin(moondns, &reason))
        goto failed;
    if (seat_start(first))
        return OPTIONS_EXIT_FAILURE;
    if (!watch_signals(moondns))
        goto failed;
    if (!seats_start_threads(moondns)) {
        reason_set(&reason, "not all workers could start");
        goto failed;
    }
    reloader_started(moondns->reloader);
    if (observing_start(moondns, &reason))
        goto failed;
    say_started(moondns);
    worker_run(first->worker);
    return OPTIONS_EXIT_DONE;
failed:
    log_line(&moondns->log, LOG_ERROR, "%s", reason.text);
    return OPTIONS_EXIT_FAILURE;
}

static void print_buffer(struct buffer *text)
{
    if (text->length)
        log_write(STDOUT_FILENO, text->data, text->length);
    buffer_free(text);
}

/* What --check and --options print. */
static void describe(struct moondns *moondns)
{
    struct engine *engine = moondns->seats[0].engine;
    struct buffer text = {0};
    if (moondns->options.show_options)
        options_describe(&moondns->options, &text);
    engine_describe_options(engine, &text);
    if (moondns->options.check)
        engine_describe_hooks(engine, &text);
    print_buffer(&text);
}

/* What all engines have in common. */
static bool make_common(struct moondns *moondns)
{
    const struct options *options = &moondns->options;
    struct random random = {0};
    uint64_t secret[2];
    for (size_t i = 0; i < 2; i++)
        secret[i] = (uint64_t)random_u32(&random) << 32 | random_u32(&random);
    struct reloader_config config = {
        .engines = options->workers,
        .log = &moondns->log,
        .wake = seat_wake,
        .prepare_lists = seat_prepare_lists,
        .take_lists = seat_take_lists,
        .drop_lists = seat_drop_lists,
        .offer_options = renewal_offer,
        .take_options = renewal_take,
        .end_options = renewal_end,
        .context = moondns,
    };
    while (options->scripts[config.scripts])
        config.scripts++;
    moondns->reloader = reloader_new(&config);
    if (!options->shared)
        moondns->shared = shared_store_new(options->shared_memory, secret);
    const struct options_rate *rate = &options->rate_limit;
    if (rate->per_second)
        moondns->rate_limit = rate_limit_new(rate->per_second, rate->prefix, secret);
    moondns->script_metrics = script_metrics_new(&moondns->log);
    return moondns->reloader && (moondns->rate_limit || !rate->per_second) && (options->shared || moondns->shared) &&
           moondns->script_metrics;
}

static int run(struct moondns *moondns)
{
    struct reason reason = {"out of memory"};
    if (privileges_find(moondns->options.user, moondns->options.group, &moondns->privileges, &reason)) {
        log_line(&moondns->log, LOG_ERROR, "%s", reason.text);
        return OPTIONS_EXIT_USAGE;
    }
    int code = make_common(moondns) ? seats_make(moondns, &reason) : OPTIONS_EXIT_FAILURE;
    if (code) {
        log_line(&moondns->log, LOG_ERROR, "%s", reason.text);
        return code;
    }
    code = seat_load_scripts(&moondns->seats[0]);
    if (code)
        return code;
    if (moondns->options.check || moondns->options.show_options) {
        describe(moondns);
        return OPTIONS_EXIT_DONE;
    }
    return serve(moondns);
}

static void tear_down(struct moondns *moondns)
{
    observing_stop(moondns);
    if (!moondns->stopping) /* a second word would not let them answer what is in flight */
        seats_stop(moondns);
    for (unsigned i = 1; i < moondns->count; i++) {
        struct seat *seat = &moondns->seats[i];
        if (seat->has_thread)
            pthread_join(seat->thread, NULL);
    }
    for (size_t i = 0; i < 3; i++)
        if (moondns->signals[i])
            event_free(moondns->signals[i]);
    if (moondns->count && moondns->seats[0].worker)
        seat_finish(&moondns->seats[0]);
    seats_free(moondns);
    observing_close(moondns);
    reloader_free(moondns->reloader);
    rate_limit_free(moondns->rate_limit);
    shared_store_free(moondns->shared);
    script_metrics_free(moondns->script_metrics);
}

static struct engine_option *options_for_scripts(const struct options *options)
{
    size_t count = 0;
    while (options->values[count].name)
        count++;
    struct engine_option *list = calloc(count + 1, sizeof *list);
    for (size_t i = 0; list && i < count; i++)
        list[i] = (struct engine_option){options->values[i].script_name, options->values[i].value};
    return list;
}

/* Every connection and every upstream socket takes a descriptor. */
static void raise_descriptor_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
}

static int usage_error(const struct reason *reason)
{
    fprintf(stderr, "moondns: %s\n", reason->text);
    fprintf(stderr, "moondns --help lists the options\n");
    return OPTIONS_EXIT_USAGE;
}
int command_serve(int argc, char **argv)
{
    struct moondns moondns = {
        .lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER, .argc = argc, .argv = argv};
    struct reason reason = {"out of memory"};
    enum options_action action = OPTIONS_RUN;
    if (options_parse(argc, argv, &moondns.options, &action, &reason))
        return usage_error(&reason);
    if (action != OPTIONS_RUN) {
        struct buffer text = {0};
        if (action == OPTIONS_HELP)
            options_help(&text);
        else
            buffer_text(&text, "moondns " MOONDNS_VERSION "\n");
        print_buffer(&text);
        return OPTIONS_EXIT_DONE;
    }
    signal(SIGPIPE, SIG_IGN);
    raise_descriptor_limit();
    moondns.log = (struct log){
        .level = moondns.options.level,
        .json = moondns.options.log_json,
        .colour = log_wants_colour(STDERR_FILENO),
        .fd = STDERR_FILENO,
    };
    report_init(&moondns.report, &moondns.log);
    moondns.engine_options = options_for_scripts(&moondns.options);
    int code = moondns.engine_options ? run(&moondns) : OPTIONS_EXIT_FAILURE;
    tear_down(&moondns);
    report_end(&moondns.report);
    renewal_free(&moondns);
    free(moondns.engine_options);
    options_free(&moondns.options);
    return code;
}
