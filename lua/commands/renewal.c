#include "lua/commands/renewal.h"

#include "lua/commands/seat.h"

#include <stdlib.h>

/* One reading of the options. */
struct renewal {
    struct options options;
    struct engine_option *changed; /* that count at run time; ended by a NULL name */
};

static void renewal_drop(struct renewal *renewal)
{
    if (!renewal)
        return;
    free(renewal->changed);
    options_free(&renewal->options);
    free(renewal);
}

/* What counts now. */
static const struct options *options_now(const struct moondns *moondns)
{
    return moondns->accepted ? &moondns->accepted->options : &moondns->options;
}

/* Makes the list of what is new. */
static enum status gather(struct renewal *renewal, const struct options *now)
{
    size_t count = 0;
    while (now->values[count].name)
        count++;
    struct engine_option *list = renewal->changed = calloc(count + 1, sizeof *list);
    if (!list)
        return STATUS_NO_MEMORY;
    for (size_t i = 0; i < count; i++) {
        const struct options_value *value = &renewal->options.values[i];
        if (value->at_run_time && strcmp(value->value, now->values[i].value) != 0)
            *list++ = (struct engine_option){value->script_name, value->value};
    }
    return STATUS_OK;
}

static enum status read_again(struct moondns *moondns, struct renewal *renewal, struct reason *reason)
{
    enum options_action action;
    enum status status = options_parse(moondns->argc, moondns->argv, &renewal->options, &action, reason);
    return status ? status : gather(renewal, options_now(moondns));
}

bool renewal_offer(void *context, struct loading *loading)
{
    bool fine = false;
    struct moondns *moondns = context;
    struct reason reason = {"out of memory"};
    struct buffer names = {0};
    struct renewal *renewal = calloc(1, sizeof *renewal);
    if (!renewal || read_again(moondns, renewal, &reason)) {
        log_line(&moondns->log, LOG_ERROR, "%s; the options stay as they are", reason.text);
        goto done;
    }
    fine = true;
    if (options_differ(&moondns->options, &renewal->options, false, &names) && buffer_c_string(&names))
        log_line(&moondns->log, LOG_WARN, "%s: a new value needs a restart", (const char *)names.data);
    if (renewal->changed[0].name) {
        moondns->offered = renewal;
        loading_offer(loading, renewal->options.settings, renewal->changed);
        renewal = NULL;
    }
done:
    renewal_drop(renewal);
    buffer_free(&names);
    return fine;
}

void renewal_take(void *context, unsigned number)
{
    struct moondns *moondns = context;
    struct seat *seat = &moondns->seats[number];
    if (!moondns->offered)
        return;
    const struct options *options = &moondns->offered->options;
    engine_set_limits(seat->engine, options->hook_timeout, options->held_max, options->held_memory,
                      options->held_timeout);
    if (worker_exchange(seat->worker))
        exchange_set_tries(worker_exchange(seat->worker), options->timeout_us, options->retries);
}

void renewal_end(void *context, bool taken)
{
    struct moondns *moondns = context;
    struct buffer names = {0};
    if (!moondns->offered)
        return;
    (void)options_differ(options_now(moondns), &moondns->offered->options, true, &names);
    if (buffer_c_string(&names))
        log_line(&moondns->log, taken ? LOG_INFO : LOG_ERROR, "%s: %s", (const char *)names.data,
                 taken ? "the new values count" : "the new values are refused; options and scripts stay as they are");
    buffer_free(&names);
    struct renewal **old = taken ? &moondns->accepted : &moondns->offered;
    renewal_drop(*old);
    *old = NULL;
    if (taken)
        moondns->accepted = moondns->offered;
    moondns->offered = NULL;
}

void renewal_free(struct moondns *moondns)
{
    renewal_drop(moondns->offered);
    renewal_drop(moondns->accepted);
    moondns->offered = moondns->accepted = NULL;
}
