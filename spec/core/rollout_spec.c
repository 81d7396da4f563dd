/* Changes that reach all members as one, with threads as they are in the proxy. */
#include "proxy/rollout.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

enum { MEMBERS = 4, ROUNDS = 300, NOBODY = -1 };

/* One thread, which works on queries unless it is woken. */
struct worker {
    struct world *world;
    unsigned number;
    pthread_t thread;
    atomic_bool woken;
    int prepared, current; /* versions; its thread's alone */
    unsigned abandoned, queries, stale;
};

struct world {
    struct rollout *rollout;
    struct worker workers[MEMBERS];
    atomic_bool stops;
    atomic_int newest; /* the highest version that anybody began a query with */

    /* the leader's thread's alone */
    int version;
    int fails; /* who cannot prepare this one */
    unsigned finished, switched;
};

static bool prepare(void *context, unsigned member, void *change)
{
    struct world *world = context;
    world->workers[member].prepared = *(int *)change;
    return (int)member != world->fails;
}

static void switch_over(void *context, unsigned member)
{
    struct world *world = context;
    world->workers[member].current = world->workers[member].prepared;
}

static void abandon(void *context, unsigned member)
{
    struct world *world = context;
    world->workers[member].prepared = world->workers[member].current;
    world->workers[member].abandoned++;
}

static void finished(void *context, void *change, bool switched)
{
    struct world *world = context;
    assert_ptr_equal(change, &world->version);
    world->finished++;
    world->switched += switched;
}

static void wake(void *context, unsigned member)
{
    struct world *world = context;
    atomic_store(&world->workers[member].woken, true);
}

static void begin(struct world *world, int version, int fails)
{
    world->version = world->workers[0].prepared = version;
    world->fails = fails;
    rollout_begin(world->rollout, &world->version);
}

/* What a worker does for each query: nobody may begin with less than anybody has begun with before. */
static void query(struct worker *worker)
{
    struct world *world = worker->world;
    int before = atomic_load(&world->newest);
    rollout_catch_up(world->rollout, worker->number);
    worker->stale += worker->current < before;
    worker->queries++;
    while (before < worker->current && !atomic_compare_exchange_weak(&world->newest, &before, worker->current))
        continue;
}

static void turn(struct worker *worker)
{
    query(worker);
    if (atomic_exchange(&worker->woken, false))
        rollout_woken(worker->world->rollout, worker->number);
    query(worker);
}

static void *work(void *context)
{
    struct worker *worker = context;
    while (!atomic_load(&worker->world->stops)) {
        turn(worker);
        sched_yield();
    }
    return NULL;
}

static struct world *world_new(unsigned members)
{
    struct world *world = calloc(1, sizeof *world);
    assert_non_null(world);
    struct rollout_config config = {
        .members = members,
        .prepare = prepare,
        .switch_over = switch_over,
        .abandon = abandon,
        .finished = finished,
        .wake = wake,
        .context = world,
    };
    world->rollout = rollout_new(&config);
    assert_non_null(world->rollout);
    for (unsigned i = 0; i < MEMBERS; i++) {
        world->workers[i].world = world;
        world->workers[i].number = i;
    }
    return world;
}

static void world_free(struct world *world)
{
    rollout_free(world->rollout);
    free(world);
}

static void one_member_switches_at_once(void **state)
{
    (void)state;
    struct world *world = world_new(1);
    begin(world, 1, NOBODY);
    assert_int_equal(world->workers[0].current, 1);
    assert_int_equal(world->switched, 1);
    assert_false(rollout_is_busy(world->rollout));
    assert_int_equal(atomic_load(rollout_number(world->rollout)), 1);
    rollout_woken(world->rollout, 0); /* as it was woken meanwhile */
    assert_int_equal(world->finished, 1);
    world_free(world);
}

/* Without threads: all at the same place. */
static void nobody_switches_before_all_are_ready(void **state)
{
    (void)state;
    struct world *world = world_new(3);
    begin(world, 1, NOBODY);
    assert_true(rollout_is_busy(world->rollout));
    rollout_woken(world->rollout, 0);
    rollout_woken(world->rollout, 1);
    rollout_woken(world->rollout, 1);
    rollout_catch_up(world->rollout, 0);
    assert_int_equal(world->workers[0].current, 0);
    assert_int_equal(world->workers[1].current, 0);
    rollout_woken(world->rollout, 2);
    assert_int_equal(atomic_load(rollout_number(world->rollout)), 1);
    rollout_catch_up(world->rollout, 1); /* a query came */
    assert_int_equal(world->workers[1].current, 1);
    rollout_catch_up(world->rollout, 1);
    rollout_woken(world->rollout, 1);
    rollout_woken(world->rollout, 0);
    assert_true(rollout_is_busy(world->rollout));
    rollout_woken(world->rollout, 2);
    assert_int_equal(world->finished, 0);
    rollout_woken(world->rollout, 0);
    assert_int_equal(world->finished, 1);
    assert_int_equal(world->switched, 1);
    assert_false(rollout_is_busy(world->rollout));
    world_free(world);
}

static void none_switches_when_one_cannot(void **state)
{
    (void)state;
    struct world *world = world_new(3);
    begin(world, 1, 1);
    rollout_woken(world->rollout, 1);
    rollout_woken(world->rollout, 2);
    for (unsigned i = 0; i < 3; i++) {
        rollout_catch_up(world->rollout, i);
        rollout_woken(world->rollout, i);
    }
    rollout_woken(world->rollout, 0);
    assert_int_equal(world->finished, 1);
    assert_int_equal(world->switched, 0);
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(world->workers[i].current, 0);
        assert_int_equal(world->workers[i].abandoned, 1);
    }
    begin(world, 2, NOBODY);
    for (unsigned round = 0; round < 2; round++)
        for (unsigned i = 3; i-- > 0;)
            rollout_woken(world->rollout, i);
    rollout_woken(world->rollout, 0);
    assert_int_equal(world->switched, 1);
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(world->workers[i].current, 2);
    world_free(world);
}

static void no_query_is_begun_with_less_than_another_was(void **state)
{
    (void)state;
    struct world *world = world_new(MEMBERS);
    for (unsigned i = 1; i < MEMBERS; i++)
        assert_int_equal(pthread_create(&world->workers[i].thread, NULL, work, &world->workers[i]), 0);
    unsigned failures = 0;
    for (int round = 1; round <= ROUNDS; round++) {
        int fails = round % 5 == 0 ? round / 5 % (MEMBERS - 1) + 1 : NOBODY;
        failures += fails != NOBODY;
        begin(world, round, fails);
        while (rollout_is_busy(world->rollout))
            turn(&world->workers[0]);
        assert_int_equal(world->finished, round);
        assert_int_equal(world->switched, (unsigned)round - failures);
        assert_int_equal(world->workers[0].current, fails == NOBODY ? round : round - 1);
    }
    atomic_store(&world->stops, true);
    for (unsigned i = 0; i < MEMBERS; i++) {
        const struct worker *worker = &world->workers[i];
        if (i)
            assert_int_equal(pthread_join(worker->thread, NULL), 0);
        assert_int_equal(worker->stale, 0);
        assert_true(worker->queries > 0);
        assert_int_equal(worker->current, ROUNDS % 5 ? ROUNDS : ROUNDS - 1);
        assert_int_equal(worker->abandoned, failures);
    }
    world_free(world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_member_switches_at_once),
        cmocka_unit_test(nobody_switches_before_all_are_ready),
        cmocka_unit_test(none_switches_when_one_cannot),
        cmocka_unit_test(no_query_is_begun_with_less_than_another_was),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
