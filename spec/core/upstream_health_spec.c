/* When an upstream counts as down and as back, and how its round trips are smoothed. */
#include "net/upstream_health.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

enum { SECOND_US = 1000000 };

static enum upstream_change note(struct upstream_health *health, enum try_outcome outcome, int64_t routed_us,
                                 int64_t now_us)
{
    static uint32_t number;
    struct channel channel = {.number = ++number, .routed_us = routed_us};
    return upstream_health_note(health, &channel, outcome, now_us);
}

static void take_down(struct upstream_health *health, int64_t now_us)
{
    for (int i = 0; i < UPSTREAM_FAILURES_MAX; i++)
        (void)note(health, TRY_TIMED_OUT, now_us - SECOND_US, now_us);
    assert_true(health->down);
}

static void three_failures_in_a_row_and_it_is_down(void **state)
{
    (void)state;
    for (enum try_outcome outcome = TRY_TIMED_OUT; outcome <= TRY_FAILED; outcome++) {
        struct upstream_health health = {0};
        assert_int_equal(note(&health, outcome, 1, 2), UPSTREAM_STAYS);
        assert_int_equal(note(&health, outcome, 2, 3), UPSTREAM_STAYS);
        assert_int_equal(note(&health, outcome, 3, 4), UPSTREAM_WENT_DOWN);
        assert_int_equal(note(&health, outcome, 4, 5), UPSTREAM_STAYS);
        assert_true(health.down);
        assert_int_equal(note(&health, TRY_ANSWERED, 5, 6), UPSTREAM_CAME_UP);
        assert_false(health.down);
        assert_int_equal(note(&health, outcome, 7, 8), UPSTREAM_STAYS);
        assert_int_equal(note(&health, TRY_ANSWERED, 8, 9), UPSTREAM_STAYS);
        assert_int_equal(note(&health, outcome, 10, 11), UPSTREAM_STAYS);
        assert_int_equal(note(&health, outcome, 11, 12), UPSTREAM_STAYS);
        assert_false(health.down);
    }
}

static void unreachable_is_a_failure(void **state)
{
    (void)state;
    struct upstream_health health = {0};
    assert_int_equal(upstream_health_unreachable(&health, 1), UPSTREAM_STAYS);
    assert_int_equal(upstream_health_unreachable(&health, 2), UPSTREAM_STAYS);
    assert_int_equal(upstream_health_unreachable(&health, 3), UPSTREAM_WENT_DOWN);
    assert_int_equal(health.failures, 3);
}

/* Names that it never answers do not take down an upstream that answers others. */
static void time_outs_from_before_its_last_answer_do_not_count(void **state)
{
    (void)state;
    struct upstream_health health = {0};
    assert_int_equal(note(&health, TRY_ANSWERED, 100, 200), UPSTREAM_STAYS);
    for (int i = 0; i < 10; i++)
        assert_int_equal(note(&health, TRY_TIMED_OUT, 150, 300), UPSTREAM_STAYS);
    assert_false(health.down);
    assert_int_equal(health.timeouts, 10);
}

static void a_channel_that_breaks_counts_once(void **state)
{
    (void)state;
    struct upstream_health health = {0};
    struct channel channel = {.number = 77, .routed_us = 5};
    for (int i = 0; i < 10; i++)
        assert_int_equal(upstream_health_note(&health, &channel, TRY_FAILED, 6), UPSTREAM_STAYS);
    assert_int_equal(health.failures, 10);
    assert_int_equal(note(&health, TRY_FAILED, 6, 7), UPSTREAM_STAYS);
    assert_int_equal(note(&health, TRY_FAILED, 7, 8), UPSTREAM_WENT_DOWN);
}

static void what_nobody_waits_for_says_nothing(void **state)
{
    (void)state;
    struct upstream_health health = {0};
    for (int i = 0; i < 10; i++)
        assert_int_equal(note(&health, TRY_ABANDONED, 1, 2), UPSTREAM_STAYS);
    assert_false(health.down);
    take_down(&health, SECOND_US);
    assert_int_equal(note(&health, TRY_ABANDONED, 1, 2), UPSTREAM_STAYS);
    assert_true(health.down);
}

static void probes_come_ever_more_rarely_up_to_some_seconds(void **state)
{
    (void)state;
    struct upstream_health health = {0};
    assert_false(upstream_health_wants_probe(&health, 1000 * (int64_t)SECOND_US));
    int64_t now_us = 10 * (int64_t)SECOND_US;
    take_down(&health, now_us);
    assert_false(upstream_health_wants_probe(&health, now_us));
    const int64_t rests[] = {1, 2, 4, 4, 4};
    for (size_t i = 0; i < sizeof rests / sizeof *rests; i++) {
        assert_false(upstream_health_wants_probe(&health, now_us + rests[i] * SECOND_US - 1));
        now_us += rests[i] * SECOND_US;
        assert_true(upstream_health_wants_probe(&health, now_us));
        assert_false(upstream_health_wants_probe(&health, now_us));
    }
    assert_int_equal(health.probes, 5);
    (void)note(&health, TRY_ANSWERED, now_us, now_us + 1);
    assert_false(upstream_health_wants_probe(&health, now_us + 100 * (int64_t)SECOND_US));
}

static void round_trips_are_smoothed(void **state)
{
    (void)state;
    struct upstream_health health = {0};
    (void)note(&health, TRY_ANSWERED, 1000, 9000);
    assert_int_equal(health.rtt_us, 8000);
    (void)note(&health, TRY_ANSWERED, 10000, 26000);
    assert_int_equal(health.rtt_us, 9000);
    for (int i = 0; i < 200; i++)
        (void)note(&health, TRY_ANSWERED, 30000, 30000);
    assert_in_range(health.rtt_us, 1, 8);
    (void)note(&health, TRY_TIMED_OUT, 40000, 40000 + 2 * SECOND_US);
    assert_true(health.rtt_us > SECOND_US / 8); /* a time-out is a long round trip */
}

/* Nor are they failures: who says so is there. */
static void refusals_are_no_round_trips(void **state)
{
    (void)state;
    struct upstream_health health = {0};
    (void)note(&health, TRY_ANSWERED, 1000, 9000);
    assert_int_equal(health.cost_us, 8000);
    (void)note(&health, TRY_TIMED_OUT, 10000, 18000);
    for (int i = 0; i < 10; i++)
        assert_int_equal(note(&health, TRY_REFUSED, 20000, 20001), UPSTREAM_STAYS);
    assert_int_equal(health.rtt_us, 8000);
    assert_in_range(health.cost_us, UPSTREAM_REFUSAL_US / 2, UPSTREAM_REFUSAL_US);
    assert_int_equal(health.answers, 11);
    assert_int_equal(health.failed_in_row, 0);
    for (int i = 0; i < 200; i++)
        (void)note(&health, TRY_ANSWERED, 30000, 38000);
    assert_in_range(health.cost_us, 8000, 8100);
    take_down(&health, 10 * SECOND_US);
    assert_int_equal(note(&health, TRY_REFUSED, 10 * SECOND_US, 11 * SECOND_US), UPSTREAM_CAME_UP);
    assert_int_equal(health.cost_us, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(three_failures_in_a_row_and_it_is_down),
        cmocka_unit_test(unreachable_is_a_failure),
        cmocka_unit_test(time_outs_from_before_its_last_answer_do_not_count),
        cmocka_unit_test(a_channel_that_breaks_counts_once),
        cmocka_unit_test(what_nobody_waits_for_says_nothing),
        cmocka_unit_test(probes_come_ever_more_rarely_up_to_some_seconds),
        cmocka_unit_test(round_trips_are_smoothed),
        cmocka_unit_test(refusals_are_no_round_trips),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
