#include "lua/commands/attendance.h"

#include "base/clock.h"

#include <event2/event.h>
#include <stdlib.h>
#include <string.h>

struct attendance {
    struct event *watchdog; /* NULL: nobody wants signs of life */
    char *status;
    bool reloading;
    unsigned beats[]; /* of each seat, when it was looked at last */
};

/* A sign of life is given where all loops have turned since the last look; and all are asked to turn until the next
 * one. */
static void on_watchdog(evutil_socket_t fd, short what, void *context)
{
    (void)fd;
    (void)what;
    struct moondns *moondns = context;
    struct attendance *attendance = moondns->attendance;
    bool all = true;
    for (unsigned i = 0; i < moondns->count; i++) {
        unsigned beats = atomic_load_explicit(&moondns->seats[i].beats, memory_order_relaxed);
        all = all && beats != attendance->beats[i];
        attendance->beats[i] = beats;
        worker_wake(moondns->seats[i].worker);
    }
    if (all)
        service_tell(&moondns->service, "WATCHDOG=1");
}

static bool begin_watchdog(struct moondns *moondns)
{
    struct attendance *attendance = moondns->attendance;
    int64_t half_us = moondns->service.watchdog_us / 2; /* as sd_watchdog_enabled(3) recommends */
    struct timeval time = clock_timeval(half_us);
    for (unsigned i = 0; i < moondns->count; i++) {
        attendance->beats[i] = atomic_load_explicit(&moondns->seats[i].beats, memory_order_relaxed);
        worker_wake(moondns->seats[i].worker);
    }
    attendance->watchdog = event_new(worker_base(moondns->seats[0].worker), -1, EV_PERSIST, on_watchdog, moondns);
    return attendance->watchdog && !event_add(attendance->watchdog, &time);
}

enum status attendance_begin(struct moondns *moondns, const char *status, struct reason *reason)
{
    if (moondns->service.fd < 0)
        return STATUS_OK;
    moondns->attendance = calloc(1, sizeof *moondns->attendance + moondns->count * sizeof(unsigned));
    if (moondns->attendance)
        moondns->attendance->status = strdup(status);
    if (!moondns->attendance || !moondns->attendance->status ||
        (moondns->service.watchdog_us && !begin_watchdog(moondns))) {
        reason_set(reason, "out of memory");
        return STATUS_NO_MEMORY;
    }
    service_tell(&moondns->service, "READY=1\nSTATUS=%s", status);
    return STATUS_OK;
}

void attendance_reloading(struct moondns *moondns)
{
    if (!moondns->attendance)
        return;
    moondns->attendance->reloading = true;
    service_tell(&moondns->service, "RELOADING=1\nMONOTONIC_USEC=%lld\nSTATUS=reloading",
                 (long long)clock_monotonic_us());
}

void attendance_reloaded(struct moondns *moondns)
{
    if (!moondns->attendance || !moondns->attendance->reloading)
        return;
    moondns->attendance->reloading = false;
    bool failed = reloader_counts(moondns->reloader)->last_failed;
    service_tell(&moondns->service, "READY=1\nSTATUS=%s%s", moondns->attendance->status,
                 failed ? "; the last reload failed, see the log" : "");
}

void attendance_stopping(struct moondns *moondns)
{
    if (moondns->attendance)
        service_tell(&moondns->service, "STOPPING=1\nSTATUS=answering what is in flight");
}

void attendance_end(struct moondns *moondns)
{
    if (!moondns->attendance)
        return;
    if (moondns->attendance->watchdog)
        event_free(moondns->attendance->watchdog);
    free(moondns->attendance->status);
    free(moondns->attendance);
    moondns->attendance = NULL;
}
