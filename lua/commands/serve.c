/* moondns without a subcommand: serves. Ports, rights, signals, start and stop. */
#include "lua/commands/attendance.h"
#include "lua/commands/commands.h"
#include "lua/commands/observing.h"
#include "lua/commands/process.h"
#include "lua/commands/stopping.h"

#include <event2/event.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

static void on_stop_signal(void *context)
{
    attendance_stopping(context);
    seats_stop(context);
}

static void on_reload_signal(evutil_socket_t number, short what, void *context)
{
    (void)number;
    (void)what;
    struct moondns *moondns = context;
    if (moondns->stopping)
        return;
    attendance_reloading(moondns);
    observing_reopen(moondns);
    reloader_all(moondns->reloader);
}

static bool watch_signals(struct moondns *moondns)
{
    struct event_base *base = worker_base(moondns->seats[0].worker);
    moondns->reload_signal = evsignal_new(base, SIGHUP, on_reload_signal, moondns);
    return moondns->reload_signal && !event_add(moondns->reload_signal, NULL) &&
           !stopping_watch(base, on_stop_signal, moondns);
}

/* "listening on …, upstream …, scripts: …" */
static void describe_service(const struct moondns *moondns, struct buffer *out)
{
    const struct net *net = worker_net(moondns->seats[0].worker);
    buffer_text(out, "listening on ");
    net_describe_listeners(net, out);
    buffer_text(out, ", upstream ");
    net_describe_upstreams(net, out);
    if (moondns->options.scripts[0]) {
        buffer_text(out, ", scripts: ");
        engine_script_names(moondns->seats[0].engine, out);
    }
}

static enum status say_started(struct moondns *moondns, struct reason *reason)
{
    const struct net *net = worker_net(moondns->seats[0].worker);
    struct buffer text = {0}, clients = {0};
    describe_service(moondns, &text);
    if (buffer_status(&text)) {
        buffer_free(&text);
        return STATUS_NO_MEMORY;
    }
    log_text(&moondns->log, LOG_INFO, (const char *)text.data, text.length);
    net_describe_clients(net, &clients);
    if (clients.length && buffer_c_string(&clients))
        log_line(&moondns->log, LOG_INFO, "clients served: %s; --allow PREFIX or --allow any lets others in",
                 (const char *)clients.data);
    struct address address = net_first_address(net);
    if (address.family != AF_UNSPEC) {
        char ip[ADDRESS_TEXT_MAX];
        address_to_reach(&address);
        log_line(&moondns->log, LOG_INFO, "try: dig @%s -p %u example.com", address_ip_text(&address, ip),
                 (unsigned)address.port);
    }
    const char *said = buffer_c_string(&text);
    enum status status = attendance_begin(moondns, said ? said : "", reason);
    buffer_free(&text);
    buffer_free(&clients);
    return status;
}

static int serve(struct moondns *moondns)
{
    struct seat *first = &moondns->seats[0];
    struct reason reason = {"out of memory"};
    moondns->log.fd = log_open_output(STDERR_FILENO);
    for (unsigned i = 0; i < moondns->count; i++)
        if (worker_bind(moondns->seats[i].worker, i ? first->worker : NULL, &reason))
            goto failed;
    if (observing_open(moondns, &reason))
        goto failed;
    if (privileges_drop(&moondns->privileges, &reason))
        goto failed;
    if (privileges_keep_root(&moondns->privileges))
        log_line(&moondns->log, LOG_WARN, "%s: moondns keeps root's rights; --user NAME gives them away",
                 moondns->options.user ? "--user is root" : "--group without --user");
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
    if (observing_start(moondns, &reason) || say_started(moondns, &reason))
        goto failed;
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
    struct buffer text = {0}, shown = {0};
    if (moondns->options.show_options)
        options_describe(&moondns->options, &text);
    engine_describe_options(engine, &text);
    if (moondns->options.check)
        engine_describe_hooks(engine, &text);
    log_escape_lines(&shown, (const char *)text.data, text.length);
    print_buffer(&shown);
    buffer_free(&text);
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
    signal(SIGHUP, SIG_IGN); /* while there is nothing to reload yet, or not any more */
    int code = process_open(&moondns);
    if (!code && (moondns.options.check || moondns.options.show_options))
        describe(&moondns);
    else if (!code)
        code = serve(&moondns);
    process_close(&moondns);
    stopping_done();
    return code;
}
