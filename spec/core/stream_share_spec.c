/* What a server may have of connections, and takes on one. */
#include "net/stream_share.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void open_all(struct stream_share *own, struct stream_share *all)
{
    while (stream_share_opens(own, all)) {
        own->open++;
        all->open++;
    }
}

static void each_server_leaves_something_to_the_next(void **state)
{
    (void)state;
    struct stream_share all = {0}, first = {0}, second = {0}, third = {0};
    open_all(&first, &all);
    open_all(&second, &all);
    open_all(&third, &all);
    assert_int_equal(first.open, SHARE_OPEN_MAX / 2);
    assert_int_equal(second.open, SHARE_OPEN_MAX / 4);
    assert_int_equal(third.open, SHARE_OPEN_MAX / 8);
}

static void those_that_wait_are_in_order(void **state)
{
    (void)state;
    struct stream_share all = {0}, own = {0};
    struct stream_wait waits[4];
    for (size_t i = 0; i < 4; i++)
        stream_share_wait(&own, &all, &waits[i]);
    stream_share_leave(&own, &all, &waits[1]);
    stream_share_leave(&own, &all, &waits[3]);
    assert_int_equal(own.waiting, 2);
    assert_ptr_equal(own.first, &waits[0]);
    stream_share_leave(&own, &all, &waits[0]);
    assert_ptr_equal(own.first, &waits[2]);
    assert_ptr_equal(own.last, &waits[2]);
    stream_share_leave(&own, &all, &waits[2]);
    assert_null(own.first);
    assert_null(own.last);
    assert_int_equal(all.waiting, 0);
}

static void two_cuts_in_a_row_tell_what_a_server_takes(void **state)
{
    (void)state;
    struct stream_habit habit = {0};
    stream_habit_cut(&habit, 5);
    assert_int_equal(stream_habit_queries(&habit), 0);
    stream_habit_whole(&habit, 3, false);
    stream_habit_cut(&habit, 5);
    assert_int_equal(stream_habit_queries(&habit), 0);
    stream_habit_cut(&habit, 4);
    assert_int_equal(stream_habit_queries(&habit), 4);
    stream_habit_cut(&habit, 100000); /* an accident */
    assert_int_equal(stream_habit_queries(&habit), 4);
}

static void one_that_takes_more_is_given_more_in_time(void **state)
{
    (void)state;
    struct stream_habit habit = {0};
    unsigned queries = 1, more = 0;
    stream_habit_cut(&habit, 1);
    stream_habit_cut(&habit, 1);
    for (int i = 0; i < 1000; i++) { /* takes 5 */
        queries = stream_habit_queries(&habit);
        more += queries > 5;
        if (queries > 5)
            stream_habit_cut(&habit, 5);
        else
            stream_habit_whole(&habit, queries, true);
    }
    assert_int_equal(habit.queries, 5);
    assert_in_range(more, 1, 1000 / 16);
    for (int i = 0; i < 1000 && queries > 0; i++) { /* takes any number */
        queries = stream_habit_queries(&habit);
        stream_habit_whole(&habit, queries, true);
    }
    assert_int_equal(queries, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_server_leaves_something_to_the_next),
        cmocka_unit_test(those_that_wait_are_in_order),
        cmocka_unit_test(two_cuts_in_a_row_tell_what_a_server_takes),
        cmocka_unit_test(one_that_takes_more_is_given_more_in_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
