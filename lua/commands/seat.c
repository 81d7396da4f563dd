#include "lua/commands/seat.h"

#include "lua/commands/observing.h"

#include <signal.h>
#include <stdlib.h>

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

static void on_option_set(void *context, struct span name, struct span text)
{
    struct seat *seat = context;
    if (notices_tell(seat->moondns->notices, seat->number, name, text))
        log_line(&seat->moondns->log, LOG_ERROR, "the other workers were not told of an option: out of memory");
}

static void take_notice(void *context, struct span name, struct span text)
{
    engine_set_option(context, name, text);
}

/* What other workers' scripts have set. */
static void take_notices(struct seat *seat)
{
    if (seat->engine && notices_take(seat->moondns->notices, seat->number, take_notice, seat->engine))
        log_line(&seat->moondns->log, LOG_ERROR, "an option of another worker was not taken: out of memory");
}

static void on_woken(void *context)
{
    struct seat *seat = context;
    atomic_fetch_add_explicit(&seat->beats, 1, memory_order_relaxed);
    take_notices(seat);
    reloader_woken(seat->moondns->reloader, seat->number);
    observing_woken(seat);
}

void seat_wake(void *context, unsigned number)
{
    struct moondns *moondns = context;
    worker_wake(moondns->seats[number].worker);
}

bool seat_prepare_lists(void *context, unsigned number)
{
    struct moondns *moondns = context;
    return net_prepare_lists(worker_net(moondns->seats[number].worker), number > 0);
}

void seat_take_lists(void *context, unsigned number)
{
    struct moondns *moondns = context;
    net_take_lists(worker_net(moondns->seats[number].worker));
}

void seat_drop_lists(void *context, unsigned number)
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

/* The seat's way to the Redis server; NULL when there is no memory. */
static struct redis_store *make_redis(struct seat *seat)
{
    struct redis_store_config config = {
        .url = seat->moondns->options.shared,
        .base = worker_base(seat->worker),
        .log = &seat->moondns->log,
        .silent = seat->number > 0,
    };
    return redis_store_new(&config);
}

int seat_load_scripts(struct seat *seat)
{
    struct moondns *moondns = seat->moondns;
    const struct options *options = &moondns->options;
    struct engine_config config = {
        .scripts = options->scripts,
        .settings = options->settings,
        .options = moondns->engine_options,
        .hook_timeout = options->hook_timeout,
        .jit = options->jit,
        .errors_in_answers = options->errors_in_answers,
        .memory_limit = options->script_memory,
        .held_max = options->held_max,
        .held_memory = options->held_memory,
        .held_timeout = options->held_timeout,
        .log = &moondns->log,
        .report = &moondns->report,
        .shared = moondns->shared,
        .metrics = moondns->script_metrics,
        .base = worker_base(seat->worker),
        .hooks_changed = on_hooks_changed,
        .resumed = on_resumed,
        .exchange = exchange_of,
        .latest = reloader_latest(moondns->reloader),
        .outdated = on_outdated,
        .silent = seat->number > 0,
        .option_set = moondns->count > 1 ? on_option_set : NULL,
        .measure = seat->tally != NULL,
        .context = seat,
    };
    struct reason reason = {"out of memory"};
    if (options->shared && !(config.redis = seat->redis = make_redis(seat))) {
        log_line(&moondns->log, LOG_ERROR, "%s", reason.text);
        return OPTIONS_EXIT_FAILURE;
    }
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

int seat_start(struct seat *seat)
{
    struct reason reason = {"out of memory"};
    if (worker_start(seat->worker, engine_hooks(seat->engine), &reason)) {
        log_line(&seat->moondns->log, LOG_ERROR, "%s", reason.text);
        return OPTIONS_EXIT_FAILURE;
    }
    if (seat->number == 0 && !seat->moondns->options.no_reload && seat->moondns->options.scripts[0])
        reloader_watch(seat->moondns->reloader, worker_base(seat->worker));
    if (seat->redis)
        redis_store_start(seat->redis);
    take_notices(seat);
    engine_running(seat->engine);
    return OPTIONS_EXIT_DONE;
}

void seat_finish(struct seat *seat)
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
    redis_store_free(seat->redis);
    seat->redis = NULL;
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
    bool serves = seat_load_scripts(seat) == OPTIONS_EXIT_DONE && seat_start(seat) == OPTIONS_EXIT_DONE;
    set_state(seat, serves ? SEAT_SERVES : SEAT_FAILED);
    if (serves)
        worker_run(seat->worker);
    seat_finish(seat);
    return NULL;
}
bool seats_start_threads(struct moondns *moondns)
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
int seats_make(struct moondns *moondns, struct reason *reason)
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
            .rate_limit = moondns->rate_limit,
            .silent = i > 0,
            .inherited = moondns->service.sockets,
            .inherited_count = moondns->service.socket_count,
            .on_connection = on_connection,
            .on_woken = on_woken,
            .on_draining = on_draining,
            .context = seat,
        };
        enum status status = observing_seat(seat, &config.observers);
        if (i == 0 && moondns->observer) {
            moondns->observer->next = config.observers;
            config.observers = moondns->observer;
        }
        if (!status)
            status = worker_new(&config, &seat->worker, reason);
        if (status)
            return status == STATUS_INVALID || status == STATUS_NOT_FOUND ? OPTIONS_EXIT_USAGE : OPTIONS_EXIT_FAILURE;
    }
    return OPTIONS_EXIT_DONE;
}

void seats_free(struct moondns *moondns)
{
    for (unsigned i = moondns->count; i-- > 0;) {
        worker_free(moondns->seats[i].worker);
        observing_seat_free(&moondns->seats[i]);
    }
    free(moondns->seats);
}

void seats_stop(struct moondns *moondns)
{
    moondns->stopping = true;
    for (unsigned i = 0; i < moondns->count; i++)
        if (moondns->seats[i].worker)
            worker_stop(moondns->seats[i].worker);
}
