#include "lua/commands/process.h"

#include "base/random.h"
#include "data/metrics/script_metrics.h"
#include "lua/commands/attendance.h"
#include "lua/commands/observing.h"
#include "lua/commands/renewal.h"
#include "lua/commands/stopping.h"
#include "net/rate_limit.h"

#include <event2/event.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

static void on_reloaded(void *context)
{
    attendance_reloaded(context);
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
        .finished = on_reloaded,
        .context = moondns,
    };
    while (options->scripts[config.scripts])
        config.scripts++;
    moondns->reloader = reloader_new(&config);
    moondns->notices =
        notices_new(&(struct notices_config){.members = options->workers, .wake = seat_wake, .context = moondns});
    if (!options->shared)
        moondns->shared = shared_store_new(options->shared_memory, secret);
    const struct options_rate *rate = &options->rate_limit;
    if (rate->per_second)
        moondns->rate_limit = rate_limit_new(rate->per_second, rate->prefix, secret);
    moondns->script_metrics = script_metrics_new(&moondns->log);
    return moondns->reloader && moondns->notices && (moondns->rate_limit || !rate->per_second) &&
           (options->shared || moondns->shared) && moondns->script_metrics;
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

static int make(struct moondns *moondns)
{
    struct reason reason = {"out of memory"};
    int code = OPTIONS_EXIT_USAGE;
    if (privileges_find(moondns->options.user, moondns->options.group, &moondns->privileges, &reason))
        goto failed;
    code = OPTIONS_EXIT_FAILURE;
    if (service_open(&moondns->service, &reason))
        goto failed;
    if (!moondns->engine_options || !make_common(moondns))
        goto failed;
    code = seats_make(moondns, &reason);
    if (code)
        goto failed;
    return seat_load_scripts(&moondns->seats[0]);
failed:
    log_line(&moondns->log, LOG_ERROR, "%s", reason.text);
    return code;
}

int process_open(struct moondns *moondns)
{
    signal(SIGPIPE, SIG_IGN);
    raise_descriptor_limit();
    moondns->log = (struct log){
        .level = moondns->options.level,
        .json = moondns->options.log_json,
        .colour = log_wants_colour(STDERR_FILENO),
        .fd = STDERR_FILENO,
    };
    moondns->service.fd = -1;
    report_init(&moondns->report, &moondns->log);
    moondns->engine_options = options_for_scripts(&moondns->options);
    return make(moondns);
}

static void end(struct moondns *moondns)
{
    observing_stop(moondns);
    if (!moondns->stopping) /* a second word would not let them answer what is in flight */
        seats_stop(moondns);
    for (unsigned i = 1; i < moondns->count; i++) {
        struct seat *seat = &moondns->seats[i];
        if (seat->has_thread)
            pthread_join(seat->thread, NULL);
    }
    if (moondns->reload_signal)
        event_free(moondns->reload_signal);
    stopping_unwatch();
    if (moondns->count && moondns->seats[0].worker)
        seat_finish(&moondns->seats[0]);
    attendance_end(moondns);
    seats_free(moondns);
    service_close(&moondns->service);
    observing_close(moondns);
    reloader_free(moondns->reloader);
    rate_limit_free(moondns->rate_limit);
    notices_free(moondns->notices);
    shared_store_free(moondns->shared);
    script_metrics_free(moondns->script_metrics);
}

void process_close(struct moondns *moondns)
{
    end(moondns);
    report_end(&moondns->report);
    renewal_free(moondns);
    free(moondns->engine_options);
    options_free(&moondns->options);
    if (moondns->log.fd != STDERR_FILENO)
        close(moondns->log.fd);
}
