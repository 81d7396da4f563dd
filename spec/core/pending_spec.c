/* The table of pending queries, against a plain list that does the same slowly. */
#include "flow/pending.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

enum { ENTRIES = 3000, TIMEOUT_US = 2000000 };

struct setup {
    struct pending_table table;
    struct random random;
    struct pending entries[ENTRIES];
};

static int setup(void **state)
{
    struct setup *made = calloc(1, sizeof *made);
    assert_non_null(made);
    made->table.random = &made->random;
    *state = made;
    return 0;
}

static int teardown(void **state)
{
    struct setup *made = *state;
    pending_free(&made->table);
    free(made);
    return 0;
}

static void add(struct setup *made, size_t i, uint32_t channel, int64_t now_us, int64_t timeout_us)
{
    assert_int_equal(pending_add(&made->table, &made->entries[i], channel, now_us, timeout_us), STATUS_OK);
    assert_true(made->entries[i].waiting);
    assert_int_equal(made->entries[i].deadline_us, now_us + timeout_us);
}

static void empty_table_finds_nothing(void **state)
{
    struct setup *made = *state;
    assert_null(pending_find(&made->table, 1, 1));
    assert_null(pending_first(&made->table));
    assert_null(pending_take_channel(&made->table, 1));
    assert_int_equal(pending_count(&made->table), 0);
}

static void channel_is_given_back_with_its_oldest_first(void **state)
{
    struct setup *made = *state;
    for (size_t i = 0; i < 100; i++)
        add(made, i, 5, (int64_t)i, TIMEOUT_US);
    pending_remove(&made->table, &made->entries[0]);
    pending_remove(&made->table, &made->entries[50]);
    const struct pending *chain = pending_take_channel(&made->table, 5);
    for (size_t i = 1; i < 100; i++) {
        if (i == 50)
            continue;
        assert_ptr_equal(chain, &made->entries[i]);
        chain = chain->channel_next;
    }
    assert_null(chain);
}

static void entry_is_found_by_channel_and_id_alone(void **state)
{
    struct setup *made = *state;
    add(made, 0, 5, 0, TIMEOUT_US);
    uint16_t id = made->entries[0].id;
    assert_ptr_equal(pending_find(&made->table, 5, id), &made->entries[0]);
    assert_null(pending_find(&made->table, 6, id));
    assert_null(pending_find(&made->table, 5, (uint16_t)(id + 1)));
    pending_remove(&made->table, &made->entries[0]);
    assert_null(pending_find(&made->table, 5, id));
    assert_false(made->entries[0].waiting);
}

/* What the list says about the table: all that wait are found, and the first one due is the first one due. */
static void check(const struct setup *made)
{
    size_t waiting = 0;
    int64_t first = INT64_MAX;
    for (size_t i = 0; i < ENTRIES; i++) {
        const struct pending *entry = &made->entries[i];
        if (!entry->waiting)
            continue;
        waiting++;
        first = entry->deadline_us < first ? entry->deadline_us : first;
        assert_ptr_equal(pending_find(&made->table, entry->channel, entry->id), entry);
    }
    assert_int_equal(pending_count(&made->table), waiting);
    if (waiting)
        assert_int_equal(pending_first(&made->table)->deadline_us, first);
    else
        assert_null(pending_first(&made->table));
}

/* Entries come and go, on few channels and with many durations, some of them in whole channels. */
static void table_agrees_with_a_list_whatever_happens(void **state)
{
    static const int64_t timeouts[] = {TIMEOUT_US, 1000, 5000000, 7, 2500, 900000, 3};
    struct setup *made = *state;
    struct random random = {0};
    for (int64_t step = 0; step < 60000; step++) {
        struct pending *entry = &made->entries[random_below(&random, ENTRIES)];
        uint32_t channel = random_below(&random, 6);
        if (random_below(&random, 2000) == 0) {
            struct pending *chain = pending_take_channel(&made->table, channel);
            for (; chain; chain = chain->channel_next) {
                assert_int_equal(chain->channel, channel);
                assert_false(chain->waiting);
            }
            for (size_t i = 0; i < ENTRIES; i++)
                assert_false(made->entries[i].waiting && made->entries[i].channel == channel);
        } else if (entry->waiting) {
            pending_remove(&made->table, entry);
        } else {
            int64_t timeout_us = timeouts[random_below(&random, sizeof timeouts / sizeof *timeouts)];
            assert_int_equal(pending_add(&made->table, entry, channel, step, timeout_us), STATUS_OK);
        }
        if (step % 500 == 0)
            check(made);
    }
    check(made);
}

static void entries_come_due_in_order(void **state)
{
    struct setup *made = *state;
    for (size_t i = 0; i < ENTRIES; i++)
        add(made, i, 1, (int64_t)i, i % 3 ? TIMEOUT_US : TIMEOUT_US - 1500 + (int64_t)(i * 7 % 11));
    int64_t last = 0;
    for (size_t i = 0; i < ENTRIES; i++) {
        struct pending *first = pending_first(&made->table);
        assert_true(first->deadline_us >= last);
        last = first->deadline_us;
        pending_remove(&made->table, first);
    }
    assert_null(pending_first(&made->table));
}

static void ids_are_unique_on_a_channel_and_free_on_another(void **state)
{
    struct setup *made = *state;
    static bool seen[65536];
    memset(seen, 0, sizeof seen);
    for (size_t i = 0; i < ENTRIES; i++) {
        add(made, i, 1, 0, TIMEOUT_US);
        assert_false(seen[made->entries[i].id]);
        seen[made->entries[i].id] = true;
    }
}

static void full_channel_is_refused_and_not_searched_for_ever(void **state)
{
    struct setup *made = *state;
    struct pending *many = calloc(65536, sizeof *many);
    assert_non_null(many);
    size_t added = 0;
    while (added < 65535 && !pending_add(&made->table, &many[added], 1, 0, TIMEOUT_US))
        added++;
    assert_true(added > 40000 && added < 65535);
    assert_false(many[added].waiting);
    assert_int_equal(pending_count(&made->table), added);
    add(made, 0, 2, 0, TIMEOUT_US); /* another channel has room */
    free(many);
}

static void alarms_come_due_among_the_queries_and_are_nothing_else(void **state)
{
    struct setup *made = *state;
    add(made, 0, 0, 0, TIMEOUT_US);
    pending_add_alarm(&made->table, &made->entries[1], 10, TIMEOUT_US / 2);
    pending_add_alarm(&made->table, &made->entries[2], 10, 2 * TIMEOUT_US);
    assert_int_equal(pending_count(&made->table), 1);
    assert_ptr_equal(pending_first(&made->table), &made->entries[1]);
    assert_int_equal(made->entries[1].deadline_us, 10 + TIMEOUT_US / 2);
    assert_ptr_equal(pending_take_channel(&made->table, 0), &made->entries[0]);
    pending_remove(&made->table, &made->entries[1]);
    assert_false(made->entries[1].waiting);
    assert_ptr_equal(pending_first(&made->table), &made->entries[2]);
    add(made, 1, 3, 0, TIMEOUT_US); /* what was an alarm can be a query */
    assert_ptr_equal(pending_find(&made->table, 3, made->entries[1].id), &made->entries[1]);
}

/* As scripts have them: delays and time-outs of all lengths. Work that grows with what waits would be minutes. */
static void deadlines_of_all_lengths_cost_little(void **state)
{
    enum { MANY = 100000, MOST_CPU_SECONDS = 10 };
    struct setup *made = *state;
    struct pending *entries = calloc(MANY, sizeof *entries);
    assert_non_null(entries);
    const clock_t began = clock();
    for (size_t i = 0; i < MANY; i++)
        pending_add_alarm(&made->table, &entries[i], (int64_t)i, 1 + random_below(&made->random, 10 * TIMEOUT_US));
    for (size_t i = 0; i < MANY; i += 3) /* whoever does not wait for its time */
        pending_remove(&made->table, &entries[i]);
    for (size_t i = 1; i < MANY; i += 3)
        pending_wait_on(&made->table, &entries[i], MANY, 1 + random_below(&made->random, 10 * TIMEOUT_US));
    int64_t last_us = 0;
    size_t count = 0;
    for (struct pending *first; (first = pending_first(&made->table)); count++) {
        assert_true(first->deadline_us >= last_us);
        last_us = first->deadline_us;
        pending_remove(&made->table, first);
    }
    assert_int_equal(count, MANY - (MANY + 2) / 3);
    assert_true((clock() - began) / CLOCKS_PER_SEC < MOST_CPU_SECONDS);
    free(entries);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(empty_table_finds_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(entry_is_found_by_channel_and_id_alone, setup, teardown),
        cmocka_unit_test_setup_teardown(channel_is_given_back_with_its_oldest_first, setup, teardown),
        cmocka_unit_test_setup_teardown(table_agrees_with_a_list_whatever_happens, setup, teardown),
        cmocka_unit_test_setup_teardown(entries_come_due_in_order, setup, teardown),
        cmocka_unit_test_setup_teardown(ids_are_unique_on_a_channel_and_free_on_another, setup, teardown),
        cmocka_unit_test_setup_teardown(alarms_come_due_among_the_queries_and_are_nothing_else, setup, teardown),
        cmocka_unit_test_setup_teardown(deadlines_of_all_lengths_cost_little, setup, teardown),
        cmocka_unit_test_setup_teardown(full_channel_is_refused_and_not_searched_for_ever, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
