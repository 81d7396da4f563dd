#include "net/upstream_health.h"

enum { SMOOTHING = 8 /* an RTT counts for the eighth part (RFC 6298 section 2) */ };

static void smooth(int64_t *time_us, int64_t took_us)
{
    if (took_us < 1)
        took_us = 1;
    if (*time_us == 0)
        *time_us = took_us;
    else
        *time_us += (took_us - *time_us) / SMOOTHING;
    if (*time_us < 1)
        *time_us = 1;
}

static void measure(struct upstream_health *health, int64_t took_us)
{
    smooth(&health->rtt_us, took_us);
    smooth(&health->cost_us, took_us);
}

static enum upstream_change fail(struct upstream_health *health, int64_t now_us)
{
    if (health->failed_in_row < UPSTREAM_FAILURES_MAX)
        health->failed_in_row++;
    if (health->down || health->failed_in_row < UPSTREAM_FAILURES_MAX)
        return UPSTREAM_STAYS;
    health->down = true;
    health->rest_us = UPSTREAM_REST_US;
    health->probe_us = now_us + health->rest_us;
    return UPSTREAM_WENT_DOWN;
}

static enum upstream_change answer(struct upstream_health *health, enum try_outcome outcome, int64_t routed_us,
                                   int64_t now_us)
{
    bool was_down = health->down;
    health->answers++;
    health->answered_us = now_us;
    health->failed_in_row = 0;
    health->down = false;
    if (was_down) /* what it was before says little; the first measure comes with the next answer */
        health->rtt_us = health->cost_us = 0;
    else if (outcome == TRY_REFUSED)
        smooth(&health->cost_us, UPSTREAM_REFUSAL_US);
    else
        measure(health, now_us - routed_us);
    return was_down ? UPSTREAM_CAME_UP : UPSTREAM_STAYS;
}

enum upstream_change upstream_health_note(struct upstream_health *health, const struct channel *channel,
                                          enum try_outcome outcome, int64_t now_us)
{
    switch (outcome) {
    case TRY_ANSWERED:
    case TRY_REFUSED:
        return answer(health, outcome, channel->routed_us, now_us);
    case TRY_TIMED_OUT:
        health->timeouts++;
        measure(health, now_us - channel->routed_us);
        /* An upstream that has answered others since is there, though it has no answer to this one. */
        return channel->routed_us < health->answered_us ? UPSTREAM_STAYS : fail(health, now_us);
    case TRY_FAILED:
        health->failures++;
        if (channel->number == health->failed_channel || channel->routed_us < health->answered_us)
            return UPSTREAM_STAYS;
        health->failed_channel = channel->number;
        return fail(health, now_us);
    case TRY_ABANDONED:
        break;
    }
    return UPSTREAM_STAYS;
}

enum upstream_change upstream_health_unreachable(struct upstream_health *health, int64_t now_us)
{
    health->failures++;
    return fail(health, now_us);
}

bool upstream_health_wants_probe(struct upstream_health *health, int64_t now_us)
{
    if (!health->down || now_us < health->probe_us)
        return false;
    health->rest_us = health->rest_us * 2 < UPSTREAM_REST_MAX_US ? health->rest_us * 2 : UPSTREAM_REST_MAX_US;
    health->probe_us = now_us + health->rest_us;
    health->probes++;
    return true;
}
