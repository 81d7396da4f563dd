/* The store that threads share. */
#include "data/shared_store.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { KIB = 1024, SECOND = 1000000 };

static const uint64_t secret[2] = {0x0123456789abcdef, 0xfedcba9876543210};

#define TEXT(literal) ((struct shared_text){literal, sizeof literal - 1})

static struct shared_value number(double value)
{
    return (struct shared_value){.kind = SHARED_NUMBER, .number = value};
}

static struct shared_value text(const char *bytes, size_t length)
{
    return (struct shared_value){.kind = SHARED_TEXT, .text = {bytes, length}};
}

static struct shared_store *store_new(size_t bytes)
{
    struct shared_store *store = shared_store_new(bytes, secret);
    assert_non_null(store);
    return store;
}

static void set_number(struct shared_store *store, struct shared_text key, double value, int64_t now_us, int64_t ttl_us)
{
    struct shared_value wrapped = number(value);
    assert_int_equal(shared_store_set(store, key, now_us, &wrapped, ttl_us), STATUS_OK);
}

static void assert_number(struct shared_store *store, struct shared_text key, double value, int64_t now_us)
{
    struct buffer room = {0};
    struct shared_value got;
    assert_int_equal(shared_store_get(store, key, now_us, &got, &room), STATUS_OK);
    assert_int_equal(got.kind, SHARED_NUMBER);
    assert_true(got.number == value);
    buffer_free(&room);
}

static void assert_missing(struct shared_store *store, struct shared_text key, int64_t now_us)
{
    struct buffer room = {0};
    struct shared_value got;
    assert_int_equal(shared_store_get(store, key, now_us, &got, &room), STATUS_NOT_FOUND);
    buffer_free(&room);
}

static size_t count_keys(struct shared_store *store, struct shared_text prefix, int64_t now_us)
{
    struct buffer keys = {0};
    assert_int_equal(shared_store_keys(store, prefix, now_us, &keys), STATUS_OK);
    size_t count = 0, length;
    for (size_t at = 0; at < keys.length; at += sizeof length + length) {
        memcpy(&length, keys.data + at, sizeof length);
        assert_true(length >= prefix.length);
        assert_memory_equal(keys.data + at + sizeof length, prefix.bytes, prefix.length);
        count++;
    }
    buffer_free(&keys);
    return count;
}

static void values_come_back_as_they_are(void **state)
{
    (void)state;
    struct shared_store *store = store_new(64 * KIB);
    struct buffer room = {0};
    struct shared_value got, yes = {.kind = SHARED_BOOLEAN, .boolean = true};
    assert_missing(store, TEXT("a"), 0);
    set_number(store, TEXT("a"), 1.5, 0, SHARED_TTL_NONE);
    assert_number(store, TEXT("a"), 1.5, 0);
    assert_int_equal(shared_store_set(store, TEXT("a"), 0, &yes, SHARED_TTL_NONE), STATUS_OK);
    assert_int_equal(shared_store_get(store, TEXT("a"), 0, &got, &room), STATUS_OK);
    assert_int_equal(got.kind, SHARED_BOOLEAN);
    assert_true(got.boolean);
    const char *const texts[] = {"", "short", "longer than what was there before", "cut", "\0\xff in it"};
    const size_t lengths[] = {0, 5, 33, 3, 8};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct shared_value value = text(texts[i], lengths[i]);
        assert_int_equal(shared_store_set(store, TEXT("a"), 0, &value, SHARED_TTL_NONE), STATUS_OK);
        assert_int_equal(shared_store_get(store, TEXT("a"), 0, &got, &room), STATUS_OK);
        assert_int_equal(got.kind, SHARED_TEXT);
        assert_int_equal(got.text.length, lengths[i]);
        assert_memory_equal(got.text.bytes, texts[i], lengths[i]);
    }
    assert_true(shared_store_delete(store, TEXT("a"), 0));
    assert_false(shared_store_delete(store, TEXT("a"), 0));
    assert_missing(store, TEXT("a"), 0);
    assert_int_equal(shared_store_counters(store).bytes, 0);
    buffer_free(&room);
    shared_store_free(store);
}

static void keys_are_bytes_of_any_length(void **state)
{
    (void)state;
    enum { COUNT = 600 };
    char bytes[COUNT];
    struct shared_store *store = store_new(1024 * KIB);
    memset(bytes, 'k', sizeof bytes);
    bytes[3] = '\0';
    for (size_t i = 0; i < COUNT; i++)
        set_number(store, (struct shared_text){bytes, i}, (double)i, 0, SHARED_TTL_NONE);
    for (size_t i = 0; i < COUNT; i++)
        assert_number(store, (struct shared_text){bytes, i}, (double)i, 0);
    assert_int_equal(count_keys(store, TEXT(""), 0), COUNT);
    assert_int_equal(count_keys(store, (struct shared_text){bytes, 100}, 0), COUNT - 100);
    assert_int_equal(count_keys(store, TEXT("x"), 0), 0);
    shared_store_free(store);
}

static void values_end_with_their_time(void **state)
{
    (void)state;
    struct shared_store *store = store_new(64 * KIB);
    set_number(store, TEXT("brief"), 1, 100, SECOND / 2);
    set_number(store, TEXT("lasting"), 1, 100, SHARED_TTL_NONE);
    set_number(store, TEXT("endless"), 1, 100, INT64_MAX);
    assert_number(store, TEXT("brief"), 1, 100 + SECOND / 2 - 1);
    assert_missing(store, TEXT("brief"), 100 + SECOND / 2);
    assert_int_equal(count_keys(store, TEXT(""), 100 + SECOND), 2);
    assert_number(store, TEXT("endless"), 1, INT64_MAX - 1);
    assert_number(store, TEXT("lasting"), 1, INT64_MAX - 1);
    set_number(store, TEXT("lasting"), 2, 100, SECOND); /* the new value has its own time */
    assert_missing(store, TEXT("lasting"), 100 + SECOND);
    set_number(store, TEXT("again"), 2, 100, SECOND);
    set_number(store, TEXT("again"), 3, 100, SHARED_TTL_NONE);
    assert_number(store, TEXT("again"), 3, INT64_MAX - 1);
    set_number(store, TEXT("gone"), 2, 100, SECOND);
    assert_false(shared_store_delete(store, TEXT("gone"), 100 + SECOND));
    shared_store_free(store);
}

static void add_leaves_what_is_there(void **state)
{
    (void)state;
    struct shared_store *store = store_new(64 * KIB);
    struct shared_value one = number(1), two = number(2);
    bool added = false;
    assert_int_equal(shared_store_add(store, TEXT("a"), 0, &one, SECOND, &added), STATUS_OK);
    assert_true(added);
    size_t bytes = shared_store_counters(store).bytes;
    assert_int_equal(shared_store_add(store, TEXT("a"), 0, &two, SECOND, &added), STATUS_OK);
    assert_false(added);
    assert_number(store, TEXT("a"), 1, 0);
    assert_int_equal(shared_store_counters(store).bytes, bytes);
    assert_int_equal(shared_store_add(store, TEXT("a"), SECOND, &two, SECOND, &added), STATUS_OK);
    assert_true(added);
    assert_number(store, TEXT("a"), 2, SECOND);
    shared_store_free(store);
}

static void incr_counts(void **state)
{
    (void)state;
    struct shared_store *store = store_new(64 * KIB);
    struct shared_initial initial = {10, SECOND};
    struct shared_value word = text("word", 4);
    double sum = -1;
    assert_int_equal(shared_store_incr(store, TEXT("a"), 0, 1, NULL, &sum), STATUS_NOT_FOUND);
    assert_true(sum == -1);
    assert_int_equal(shared_store_incr(store, TEXT("a"), 0, 1, &initial, &sum), STATUS_OK);
    assert_true(sum == 11);
    assert_int_equal(shared_store_incr(store, TEXT("a"), SECOND / 2, -0.5, &initial, &sum), STATUS_OK);
    assert_true(sum == 10.5);
    assert_int_equal(shared_store_incr(store, TEXT("a"), SECOND, 1, &initial, &sum), STATUS_OK);
    assert_true(sum == 11); /* its time was over, and had not begun again */
    assert_int_equal(shared_store_set(store, TEXT("w"), 0, &word, SHARED_TTL_NONE), STATUS_OK);
    assert_int_equal(shared_store_incr(store, TEXT("w"), 0, 1, &initial, &sum), STATUS_INVALID);
    shared_store_free(store);
}

static struct shared_text numbered(char key[static 16], int i)
{
    return (struct shared_text){key, (size_t)snprintf(key, 16, "key%d", i)};
}

static void the_least_used_makes_room(void **state)
{
    (void)state;
    enum { LIMIT = 256 * KIB, COUNT = 20000 };
    struct shared_store *store = store_new(LIMIT);
    char key[16];
    for (int i = 0; i < COUNT; i++) {
        set_number(store, numbered(key, i), i, i, SHARED_TTL_NONE);
        assert_number(store, TEXT("key0"), 0, i); /* always in use */
        assert_true(shared_store_counters(store).bytes <= LIMIT);
    }
    size_t kept = count_keys(store, TEXT("key"), COUNT);
    assert_in_range(kept, LIMIT / 200, LIMIT / 100);
    assert_int_equal(shared_store_counters(store).evicted, COUNT - kept);
    for (int i = 0; i < 100; i++)
        assert_number(store, numbered(key, COUNT - 1 - i), COUNT - 1 - i, COUNT);
    for (int i = 1; i < COUNT / 2; i++)
        assert_missing(store, numbered(key, i), COUNT);
    shared_store_free(store);
}

static void what_has_ended_makes_room_first(void **state)
{
    (void)state;
    enum { LIMIT = 256 * KIB, ROUNDS = 50, COUNT = 500 };
    struct shared_store *store = store_new(LIMIT);
    char key[16];
    for (int round = 0; round < ROUNDS; round++)
        for (int i = 0; i < COUNT; i++)
            set_number(store, numbered(key, round * COUNT + i), i, round * SECOND, SECOND);
    assert_int_equal(shared_store_counters(store).evicted, 0);
    assert_int_equal(count_keys(store, TEXT(""), (ROUNDS - 1) * SECOND), COUNT);
    shared_store_free(store);
}

static void one_value_may_fill_the_store_and_no_more(void **state)
{
    (void)state;
    enum { LIMIT = 64 * KIB };
    struct shared_store *store = store_new(LIMIT);
    char *bytes = calloc(1, LIMIT);
    char key[16];
    assert_non_null(bytes);
    for (int i = 0; i < 100; i++)
        set_number(store, numbered(key, i), i, 0, SHARED_TTL_NONE);
    struct shared_value huge = text(bytes, LIMIT), large = text(bytes, LIMIT - 200);
    bool added;
    assert_int_equal(shared_store_set(store, TEXT("key1"), 0, &huge, SHARED_TTL_NONE), STATUS_NO_SPACE);
    assert_int_equal(shared_store_add(store, TEXT("huge"), 0, &huge, SHARED_TTL_NONE, &added), STATUS_NO_SPACE);
    assert_int_equal(count_keys(store, TEXT(""), 0), 100); /* nothing had to go for what does not fit */
    assert_number(store, TEXT("key1"), 1, 0);
    assert_int_equal(shared_store_set(store, TEXT("large"), 0, &large, SHARED_TTL_NONE), STATUS_OK);
    assert_in_range(count_keys(store, TEXT(""), 0), 1, 2);
    assert_true(shared_store_counters(store).bytes <= LIMIT);
    free(bytes);
    shared_store_free(store);
}

/* --- threads --- */

enum { THREADS = 4, TURNS = 20000 };

struct counting {
    struct shared_store *store;
    int added;
};

static void *count_and_crowd(void *context)
{
    struct counting *counting = context;
    struct shared_initial initial = {0, SHARED_TTL_NONE};
    struct buffer room = {0};
    struct shared_value got;
    char key[16];
    for (int i = 0; i < TURNS; i++) {
        double sum;
        struct shared_value value = text("0123456789abcdef0123456789abcdef", (size_t)i % 32);
        bool added = false;
        if (shared_store_incr(counting->store, TEXT("count"), i, 1, &initial, &sum))
            return NULL;
        if (shared_store_set(counting->store, numbered(key, i % 5000), i, &value, i % 100 + 1))
            return NULL;
        buffer_clear(&room);
        if (!shared_store_get(counting->store, numbered(key, i * 7 % 5000), i, &got, &room) && got.text.length &&
            memcmp(got.text.bytes, "0123456789abcdef0123456789abcdef", got.text.length))
            return NULL;
        if (i % 16 == 0)
            (void)shared_store_delete(counting->store, numbered(key, i % 5000), i);
        if (i % 5000 == 0) {
            buffer_clear(&room);
            if (shared_store_keys(counting->store, TEXT("key"), i, &room))
                return NULL;
        }
        if (shared_store_add(counting->store, (struct shared_text){"once", 4}, i, &value, SHARED_TTL_NONE, &added))
            return NULL;
        counting->added += added;
    }
    buffer_free(&room);
    return counting;
}

static void threads_count_exactly(void **state)
{
    (void)state;
    struct shared_store *store = store_new(1024 * KIB);
    pthread_t threads[THREADS];
    struct counting countings[THREADS];
    int added = 0;
    for (size_t i = 0; i < THREADS; i++) {
        countings[i] = (struct counting){store, 0};
        assert_int_equal(pthread_create(&threads[i], NULL, count_and_crowd, &countings[i]), 0);
    }
    for (size_t i = 0; i < THREADS; i++) {
        void *ended;
        assert_int_equal(pthread_join(threads[i], &ended), 0);
        assert_ptr_equal(ended, &countings[i]);
        added += countings[i].added;
    }
    assert_number(store, TEXT("count"), THREADS * TURNS, 0);
    assert_int_equal(added, 1);
    shared_store_free(store);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_come_back_as_they_are),
        cmocka_unit_test(keys_are_bytes_of_any_length),
        cmocka_unit_test(values_end_with_their_time),
        cmocka_unit_test(add_leaves_what_is_there),
        cmocka_unit_test(incr_counts),
        cmocka_unit_test(the_least_used_makes_room),
        cmocka_unit_test(what_has_ended_makes_room_first),
        cmocka_unit_test(one_value_may_fill_the_store_and_no_more),
        cmocka_unit_test(threads_count_exactly),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
