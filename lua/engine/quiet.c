#include "lua/engine/quiet.h"

#include "base/clock.h"
#include "flow/exchange.h"
#include "lua/engine/engine_private.h"

#include <event2/event.h>
#include <malloc.h>

enum {
    ROUND_MS = 1000,
    BUSY_WAITS = 32, /* in a round: the burst goes on */
    STEP_MS = 10,    /* the collector works in steps, between which queries are served; … */
    STEP_SIZE = 256, /* … each does what it would do for so many KiB */
    CYCLES = 2,      /* the one under way may have missed what became garbage meanwhile */
};

static void add(struct quiet *quiet, int ms)
{
    struct timeval time = clock_timeval(ms * 1000);
    evtimer_add(quiet->timer, &time);
}

static void give_back(struct engine *engine)
{
    struct exchange *exchange = engine->config.exchange ? engine->config.exchange(engine->config.context) : NULL;
    if (exchange)
        exchange_trim(exchange);
    memory_give_back(&engine->memory);
    malloc_trim(0);
}

static void on_timer(evutil_socket_t fd, short what, void *context)
{
    (void)fd;
    (void)what;
    struct engine *engine = context;
    struct quiet *quiet = &engine->quiet;
    bool busy = engine->tasks.waits - quiet->seen > BUSY_WAITS;
    if (quiet->cycles == 0) {
        quiet->seen = engine->tasks.waits;
        if (!busy) {
            task_pool_trim(engine);
            flow_runs_trim(engine);
            quiet->cycles = CYCLES;
        }
        add(quiet, busy ? ROUND_MS : STEP_MS);
        return;
    }
    if (lua_gc(engine->L, LUA_GCSTEP, STEP_SIZE))
        quiet->cycles--;
    if (quiet->cycles)
        add(quiet, STEP_MS);
    else
        give_back(engine);
}

void quiet_watch(struct engine *engine)
{
    struct quiet *quiet = &engine->quiet;
    if (!quiet->timer)
        quiet->timer = evtimer_new(engine->config.base, on_timer, engine);
    if (!quiet->timer || evtimer_pending(quiet->timer, NULL))
        return;
    quiet->seen = engine->tasks.waits;
    quiet->cycles = 0;
    add(quiet, ROUND_MS);
}

void quiet_free(struct engine *engine)
{
    if (engine->quiet.timer)
        event_free(engine->quiet.timer);
    engine->quiet.timer = NULL;
}
