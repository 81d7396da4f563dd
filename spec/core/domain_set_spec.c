/* Sets and their memory: what they ask for, and what they are when there is none. */
#include "data/list_file.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

/* Blocks from the heap. The one before the last goes as soon as it may: what reads it later is caught. */
struct heap {
    void *now, *before;
    size_t size;
    unsigned left; /* blocks that it still gives */
};

static void *replace(void *context, size_t size)
{
    struct heap *heap = context;
    if (heap->left == 0)
        return NULL;
    heap->left--;
    free(heap->before);
    heap->before = heap->now;
    heap->size = size;
    heap->now = malloc(size);
    memset(heap->now, 0x5a, size);
    return heap->now;
}

static void heap_returned(struct heap *heap)
{
    free(heap->before);
    heap->before = NULL;
}

static const uint64_t secret[2] = {0x0123456789abcdef, 0xfedcba9876543210};

static struct dns_name name_of(unsigned number)
{
    char text[40];
    struct dns_name name;
    snprintf(text, sizeof text, "name%u.example", number);
    assert_int_equal(dns_name_from_text(text, strlen(text), &name, NULL), STATUS_OK);
    return name;
}

/* Adds names from `number` on until there is no memory, or `end` is reached; gives the number that was not added. */
static unsigned add_from(struct domain_set *set, struct heap *heap, unsigned number, unsigned end)
{
    const struct set_memory memory = {replace, heap};
    enum status status = STATUS_OK;
    for (; number < end; number++) {
        const struct dns_name name = name_of(number);
        bool added;
        status = domain_set_add(set, &memory, &name, DOMAIN_ENTRY, &added);
        heap_returned(heap);
        if (status)
            break;
        assert_true(added);
    }
    assert_true(status == STATUS_OK || status == STATUS_NO_MEMORY);
    return number;
}

static void assert_holds(const struct domain_set *set, unsigned count)
{
    assert_int_equal(set->count, count);
    for (unsigned i = 0; i < count; i++) {
        const struct dns_name name = name_of(i);
        assert_ptr_equal(domain_set_match(set, name.wire), name.wire);
    }
    const struct dns_name beyond = name_of(count);
    assert_null(domain_set_match(set, beyond.wire));
}

static void stays_as_it_was_without_memory(void **state)
{
    (void)state;
    struct domain_set set;
    struct heap heap = {.left = 0};
    domain_set_init(&set, secret);
    unsigned count = 0;
    for (unsigned blocks = 0; blocks < 8; blocks++) {
        count = add_from(&set, &heap, count, 100000);
        assert_int_equal(heap.left, 0);
        assert_holds(&set, count);
        heap.left = 1;
    }
    assert_true(count > 500 && count < 100000);
    free(heap.now);
}

static void costs_less_than_52_bytes_a_domain(void **state)
{
    (void)state;
    struct domain_set set;
    struct heap heap = {.left = 100};
    domain_set_init(&set, secret);
    for (unsigned count = 0; count < 200000;) {
        count = add_from(&set, &heap, count, count + 1 + count / 7);
        assert_true(count < 20 || heap.size < (size_t)count * 52);
    }
    free(heap.now);
}

/* Each removal moves others; nothing may get lost, and nothing may stay. */
static void removes_in_any_order(void **state)
{
    (void)state;
    enum { COUNT = 5000, STEP = 1789 /* has no divisor in common with COUNT */ };
    struct domain_set set;
    struct heap heap = {.left = 100};
    domain_set_init(&set, secret);
    assert_int_equal(add_from(&set, &heap, 0, COUNT), COUNT);
    for (unsigned i = 0; i < COUNT; i++) {
        const struct dns_name gone = name_of(i * STEP % COUNT), next = name_of((i + 1) * STEP % COUNT);
        assert_true(domain_set_remove(&set, &gone, DOMAIN_ENTRY));
        assert_null(domain_set_match(&set, gone.wire));
        assert_true(i + 1 == COUNT || domain_set_match(&set, next.wire) == next.wire);
        assert_int_equal(set.count, COUNT - i - 1);
    }
    const unsigned before = heap.left;
    assert_int_equal(add_from(&set, &heap, 0, COUNT), COUNT);
    assert_holds(&set, COUNT);
    assert_int_equal(heap.left, before);
    free(heap.now);
}

static void report_nothing(void *context, size_t line, const char *text, size_t length, const struct reason *reason)
{
    (void)context;
    fail_msg("line %zu, %.*s: %s", line, (int)length, text, reason->text);
}

static void loading_ends_without_memory(void **state)
{
    (void)state;
    char path[] = "/tmp/moondns-spec-XXXXXX";
    const int fd = mkstemp(path);
    FILE *file = fdopen(fd, "w");
    assert_non_null(file);
    for (unsigned i = 0; i < 1000; i++)
        fprintf(file, "name%u.example\n", i);
    fclose(file);
    struct domain_set set;
    struct heap heap = {.left = 3};
    const struct set_memory memory = {replace, &heap};
    const struct list_report report = {report_nothing, NULL};
    struct reason reason;
    domain_set_init(&set, secret);
    assert_int_equal(domain_set_load(&set, &memory, path, &report, &reason), STATUS_NO_MEMORY);
    heap_returned(&heap);
    assert_true(set.count > 0 && set.count < 1000);
    assert_holds(&set, (unsigned)set.count);
    unlink(path);
    free(heap.now);
}

static void digests_depend_on_secret_words_and_order(void **state)
{
    (void)state;
    struct key_set one, other;
    key_set_init(&one, secret);
    key_set_init(&other, (const uint64_t[2]){secret[0], secret[1] ^ 1});
    struct key_hash a = key_hash_start(&one), b = key_hash_start(&other), c = key_hash_start(&one);
    key_hash_word(&a, 1);
    key_hash_word(&a, 2);
    key_hash_word(&b, 1);
    key_hash_word(&b, 2);
    key_hash_word(&c, 2);
    key_hash_word(&c, 1);
    const struct key_digest digests[] = {key_hash_digest(a), key_hash_digest(b), key_hash_digest(c)};
    for (size_t i = 0; i < 3; i++) {
        assert_int_not_equal(digests[i].high, digests[(i + 1) % 3].high);
        assert_int_not_equal(digests[i].low, digests[(i + 1) % 3].low);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(stays_as_it_was_without_memory),
        cmocka_unit_test(costs_less_than_52_bytes_a_domain),
        cmocka_unit_test(removes_in_any_order),
        cmocka_unit_test(loading_ends_without_memory),
        cmocka_unit_test(digests_depend_on_secret_words_and_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
