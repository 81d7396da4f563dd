/* moondns: the composition root. Puts workers (core) and engines (Lua) together, one of each a thread, and holds the
 * process: options, rights, signals, start and stop. */
#include "base/random.h"
#include "lua/engine/reloader.h"
#include "lua/shared_library.h"
#include "proxy/options.h"
#include "proxy/privileges.h"
#include "proxy/worker.h"

#include <event2/event.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

enum seat_state { SEAT_STARTING, SEAT_SERVES, SEAT_FAILED };

/* One worker and what runs its hooks. The first seat is the main thread's. */
struct seat {
    struct moondns *moondns;
    struct worker *worker;
    struct engine *engine;
    unsigned number;
    pthread_t thread;
    bool has_thread;
    enum seat_state state; /* guarded by moondns->lock */
};

struct moondns {
    struct options options;
    struct engine_option *engine_options;
    struct log log;
    struct report report;
    struct lua_shared shared;
    struct reloader *reloader;
    struct privileges privileges;
    struct seat *seats;
    unsigned count;
    bool stopping; /* all workers were told to */
    struct event *signals[3];
    pthread_mutex_t lock;
    pthread_cond_t changed;
};

static void on_hooks_changed(void *context, struct hooks *hooks)
{
    struct seat *seat = context;
    if (worker_exchange(seat->worker))
        exchange_set_hooks(worker_exchange(seat->worker), hooks);
}

static void on_resumed(void *context, struct flow *flow)
{
    struct seat *seat = context;
    net_turn(worker_net(seat->worker));
    exchange_resume(worker_exchange(seat->worker), flow);
}

static struct exchange *exchange_of(void *context)
{
    struct seat *seat = context;
    net_turn(worker_net(seat->worker));
    return worker_exchange(seat->worker);
}

static void on_connection(void *context, const struct reply_to *connection, bool connected)
{
    struct seat *seat = context;
    if (seat->engine)
        reloader_catch_up(seat->moondns->reloader, seat->number);
    struct hooks *hooks = seat->engine ? engine_hooks(seat->engine) : NULL; /* gone when the last ones are closed */
    if (hooks && hooks->defined & HOOKS_CONNECTION_BIT)
        hooks->connection(hooks, connection, connected);
}

static void on_outdated(void *context)
{
    struct seat *seat = context;
    reloader_catch_up(seat->moondns->reloader, seat->number);
}

static void on_woken(void *context)
{
    struct seat *seat = context;
    reloader_woken(seat->moondns->reloader, seat->number);
}

static void wake(void *context, unsigned number)
{
    struct moondns *moondns = context;
    worker_wake(moondns->seats[number].worker);
}

static void prepare_lists(void *context, unsigned number)
{
    struct moondns *moondns = context;
    net_prepare_lists(worker_net(moondns->seats[number].worker), number > 0);
}

static void take_lists(void *context, unsigned number)
{
    struct moondns *moondns = context;
    net_take_lists(worker_net(moondns->seats[number].worker));
}

static void drop_lists(void *context, unsigned number)
{
    struct moondns *moondns = context;
    net_drop_lists(worker_net(moondns->seats[number].worker));
}

static void on_draining(void *context)
{
    struct seat *seat = context;
    if (seat->number == 0)
        reloader_stop(seat->moondns->reloader);
}

/* Makes the seat's engine and loads the scripts; in the seat's own thread. Gives an exit code. */
static int load_scripts(struct seat *seat)
{
    struct moondns *moondns = seat->moondns;
    const struct options *options = &moondns->options;
    struct engine_config config = {
        .scripts = options->scripts,
        .settings = options->settings,
        .options = moondns->engine_options,
        .hook_timeout = options->hook_timeout,
        .jit = options->jit,
        .memory_limit = options->script_memory,
        .held_max = options->held_max,
        .held_timeout = options->held_timeout,
        .log = &moondns->log,
        .report = &moondns->report,
        .shared = &moondns->shared,
        .base = worker_base(seat->worker),
        .hooks_changed = on_hooks_changed,
        .resumed = on_resumed,
        .exchange = exchange_of,
        .latest = reloader_latest(moondns->reloader),
        .outdated = on_outdated,
        .silent = seat->number > 0,
        .context = seat,
    };
    struct reason reason = {"out of memory"};
    seat->engine = engine_new(&config);
    enum status status =
        seat->engine ? engine_load(seat->engine, reloader_loading(moondns->reloader), &reason) : STATUS_NO_MEMORY;
    if (status == STATUS_OK) {
        reloader_join(moondns->reloader, seat->number, seat->engine);
        return OPTIONS_EXIT_DONE;
    }
    if (status != STATUS_MALFORMED) /* that one is in the log already, with its place */
        log_line(&moondns->log, LOG_ERROR, "%s", reason.text);
    return status == STATUS_INVALID     ? OPTIONS_EXIT_USAGE
           : status == STATUS_NO_MEMORY ? OPTIONS_EXIT_FAILURE
                                        : OPTIONS_EXIT_SCRIPT;
}

static int start(struct seat *seat)
{
    struct reason reason = {"out of memory"};
    if (worker_start(seat->worker, engine_hooks(seat->engine), &reason)) {
        log_line(&seat->moondns->log, LOG_ERROR, "%s", reason.text);
        return OPTIONS_EXIT_FAILURE;
    }
    if (seat->number == 0 && !seat->moondns->options.no_reload && seat->moondns->options.scripts[0])
        reloader_watch(seat->moondns->reloader, worker_base(seat->worker));
    engine_running(seat->engine);
    return OPTIONS_EXIT_DONE;
}

/* Ends the scripts and their flows, in the seat's own thread: the engine's guard is the thread's. The worker stays, as
 * others may still tell it to stop. */
static void finish(struct seat *seat)
{
    if (seat->number == 0)
        reloader_stop(seat->moondns->reloader);
    if (seat->engine && worker_exchange(seat->worker)) {
        engine_done(seat->engine);
        worker_end_flows(seat->worker);
    }
    reloader_join(seat->moondns->reloader, seat->number, NULL);
    engine_free(seat->engine);
    seat->engine = NULL;
}

static void set_state(struct seat *seat, enum seat_state state)
{
    pthread_mutex_lock(&seat->moondns->lock);
    seat->state = state;
    pthread_cond_signal(&seat->moondns->changed);
    pthread_mutex_unlock(&seat->moondns->lock);
}

static void *seat_thread(void *context)
{
    struct seat *seat = context;
    bool serves = load_scripts(seat) == OPTIONS_EXIT_DONE && start(seat) == OPTIONS_EXIT_DONE;
    set_state(seat, serves ? SEAT_SERVES : SEAT_FAILED);
    if (serves)
        worker_run(seat->worker);
    finish(seat);
    return NULL;
}

/* Starts the other workers' threads, with signals blocked: those are the main thread's. */
static bool start_threads(struct moondns *moondns)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    bool fine = true;
    for (unsigned i = 1; i < moondns->count && fine; i++) {
        struct seat *seat = &moondns->seats[i];
        seat->has_thread = pthread_create(&seat->thread, NULL, seat_thread, seat) == 0;
        fine = seat->has_thread;
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_mutex_lock(&moondns->lock);
    for (unsigned i = 1; i < moondns->count; i++) {
        struct seat *seat = &moondns->seats[i];
        while (seat->has_thread && seat->state == SEAT_STARTING)
            pthread_cond_wait(&moondns->changed, &moondns->lock);
        fine = fine && seat->state == SEAT_SERVES;
    }
    pthread_mutex_unlock(&moondns->lock);
    return fine;
}

static void stop_all(struct moondns *moondns)
{
    moondns->stopping = true;
    for (unsigned i = 0; i < moondns->count; i++)
        if (moondns->seats[i].worker)
            worker_stop(moondns->seats[i].worker);
}

static void on_stop_signal(evutil_socket_t number, short what, void *context)
{
    (void)number;
    (void)what;
    stop_all(context);
}

static void on_reload_signal(evutil_socket_t number, short what, void *context)
{
    (void)number;
    (void)what;
    struct moondns *moondns = context;
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
    if (privileges_drop(&moondns->privileges, &reason))
        goto failed;
    if (start(first))
        return OPTIONS_EXIT_FAILURE;
    if (!watch_signals(moondns))
        goto failed;
    if (!start_threads(moondns)) {
        reason_set(&reason, "not all workers could start");
        goto failed;
    }
    reloader_started(moondns->reloader);
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

static int make_seats(struct moondns *moondns, struct reason *reason)
{
    moondns->seats = calloc(moondns->options.workers, sizeof *moondns->seats);
    if (!moondns->seats)
        return OPTIONS_EXIT_FAILURE;
    moondns->count = moondns->options.workers;
    for (unsigned i = 0; i < moondns->count; i++) {
        struct seat *seat = &moondns->seats[i];
        seat->moondns = moondns;
        seat->number = i;
        struct worker_config config = {
            .options = &moondns->options,
            .log = &moondns->log,
            .colour = log_wants_colour(STDOUT_FILENO),
            .on_connection = on_connection,
            .on_woken = on_woken,
            .on_draining = on_draining,
            .context = seat,
        };
        enum status status = worker_new(&config, &seat->worker, reason);
        if (status)
            return status == STATUS_INVALID || status == STATUS_NOT_FOUND ? OPTIONS_EXIT_USAGE : OPTIONS_EXIT_FAILURE;
    }
    return OPTIONS_EXIT_DONE;
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
        .wake = wake,
        .prepare_lists = prepare_lists,
        .take_lists = take_lists,
        .drop_lists = drop_lists,
        .context = moondns,
    };
    while (options->scripts[config.scripts])
        config.scripts++;
    moondns->reloader = reloader_new(&config);
    moondns->shared = (struct lua_shared){&shared_in_memory, shared_store_new(options->shared_memory, secret)};
    return moondns->reloader && moondns->shared.context;
}

static int run(struct moondns *moondns)
{
    struct reason reason = {"out of memory"};
    if (privileges_find(moondns->options.user, moondns->options.group, &moondns->privileges, &reason)) {
        log_line(&moondns->log, LOG_ERROR, "%s", reason.text);
        return OPTIONS_EXIT_USAGE;
    }
    int code = make_common(moondns) ? make_seats(moondns, &reason) : OPTIONS_EXIT_FAILURE;
    if (code) {
        log_line(&moondns->log, LOG_ERROR, "%s", reason.text);
        return code;
    }
    code = load_scripts(&moondns->seats[0]);
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
    if (!moondns->stopping) /* a second word would not let them answer what is in flight */
        stop_all(moondns);
    for (unsigned i = 1; i < moondns->count; i++) {
        struct seat *seat = &moondns->seats[i];
        if (seat->has_thread)
            pthread_join(seat->thread, NULL);
    }
    for (size_t i = 0; i < 3; i++)
        if (moondns->signals[i])
            event_free(moondns->signals[i]);
    if (moondns->count && moondns->seats[0].worker)
        finish(&moondns->seats[0]);
    for (unsigned i = moondns->count; i-- > 0;)
        worker_free(moondns->seats[i].worker);
    free(moondns->seats);
    reloader_free(moondns->reloader);
    shared_store_free(moondns->shared.context);
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

int main(int argc, char **argv)
{
    struct moondns moondns = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};
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
    free(moondns.engine_options);
    options_free(&moondns.options);
    return code;
}
