/* AddressSet against a list that is gone through from end to end, while entries come and go. */
#include "data/address_set.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

enum { LIST_MAX = 600, STEPS = 20000 };

struct list {
    struct address_prefix entries[LIST_MAX];
    size_t count;
};

static uint64_t random_next(uint64_t *state)
{
    uint64_t mixed = *state += UINT64_C(0x9e3779b97f4a7c15);
    mixed = (mixed ^ mixed >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    mixed = (mixed ^ mixed >> 27) * UINT64_C(0x94d049bb133111eb);
    return mixed ^ mixed >> 31;
}

static unsigned bits_of(const struct address *address)
{
    return address->family == AF_INET ? 32 : ADDRESS_BITS_MAX;
}

static bool bit_at(const struct address *address, unsigned at)
{
    return address->bytes[at / 8] >> (7 - at % 8) & 1;
}

/* One of a few addresses, often with one bit changed: so that prefixes lie in one another. */
static struct address random_address(uint64_t *state)
{
    const uint64_t random = random_next(state);
    struct address out = {.family = random & 1 ? AF_INET : AF_INET6};
    uint64_t base = random >> 1 & 63;
    for (unsigned i = 0; i < bits_of(&out) / 8; i++)
        out.bytes[i] = (uint8_t)random_next(&base);
    if (random >> 7 & 3) {
        const unsigned at = (unsigned)(random >> 9) % bits_of(&out);
        out.bytes[at / 8] ^= (uint8_t)(1u << at % 8);
    }
    return out;
}

static struct address_prefix random_prefix(uint64_t *state)
{
    struct address_prefix out = {.address = random_address(state)};
    const unsigned bits = bits_of(&out.address), least = random_next(state) % 64 ? 8 : 0; /* few around very much */
    out.length = (uint8_t)(least + random_next(state) % (bits + 1 - least));
    for (unsigned at = out.length; at < bits; at++)
        out.address.bytes[at / 8] &= (uint8_t) ~(0x80u >> at % 8);
    return out;
}

static bool is_in(const struct address *address, const struct address_prefix *prefix)
{
    if (address->family != prefix->address.family)
        return false;
    for (unsigned at = 0; at < prefix->length; at++)
        if (bit_at(address, at) != bit_at(&prefix->address, at))
            return false;
    return true;
}

static bool same(const struct address_prefix *a, const struct address_prefix *b)
{
    return a->length == b->length && address_equal(&a->address, &b->address);
}

static const struct address_prefix *list_match(const struct list *list, const struct address *address)
{
    const struct address_prefix *best = NULL;
    for (size_t i = 0; i < list->count; i++)
        if (is_in(address, &list->entries[i]) && (!best || list->entries[i].length > best->length))
            best = &list->entries[i];
    return best;
}

static size_t list_find(const struct list *list, const struct address_prefix *prefix)
{
    size_t i = 0;
    while (i < list->count && !same(&list->entries[i], prefix))
        i++;
    return i;
}

/* Blocks from the heap; the last two are kept. */
struct heap {
    void *now, *before;
    size_t size;
};

static void *replace(void *context, size_t size)
{
    struct heap *heap = context;
    free(heap->before);
    heap->before = heap->now;
    heap->size = size;
    heap->now = malloc(size);
    return heap->now;
}

static void heap_free(struct heap *heap)
{
    free(heap->before);
    free(heap->now);
}

static const uint64_t secret[2] = {0x0123456789abcdef, 0xfedcba9876543210};

static void assert_agree(const struct address_set *set, const struct list *list, const struct address *address)
{
    struct address_prefix found;
    const struct address_prefix *expected = list_match(list, address);
    assert_int_equal(address_set_match(set, address, &found), expected != NULL);
    if (expected)
        assert_true(same(&found, expected));
}

static void agrees_with_a_list_while_entries_come_and_go(void **state)
{
    (void)state;
    static struct list list;
    struct address_set set;
    struct heap heap = {NULL, NULL, 0};
    const struct set_memory memory = {replace, &heap};
    uint64_t random = 7;
    size_t hits = 0;
    bool grows = true;
    address_set_init(&set, secret);
    for (unsigned step = 0; step < STEPS; step++) {
        struct address_prefix prefix = random_prefix(&random);
        const bool remove = list.count == LIST_MAX || random_next(&random) % 10 < (grows ? 3u : 7u);
        size_t at = list_find(&list, &prefix);
        bool changed;
        if (remove) {
            if (list.count && random_next(&random) % 4) {
                at = random_next(&random) % list.count;
                prefix = list.entries[at];
            }
            assert_int_equal(address_set_remove(&set, &prefix), at < list.count);
            if (at < list.count)
                list.entries[at] = list.entries[--list.count];
        } else {
            assert_int_equal(address_set_add(&set, &memory, &prefix, &changed), STATUS_OK);
            assert_int_equal(changed, at == list.count);
            if (at == list.count)
                list.entries[list.count++] = prefix;
        }
        assert_int_equal(address_set_count(&set), list.count);
        grows = list.count < 50 || (grows && list.count < LIST_MAX - 1);
        const struct address address = random_address(&random);
        hits += list_match(&list, &address) != NULL;
        assert_agree(&set, &list, &address);
        assert_agree(&set, &list, &prefix.address);
    }
    assert_in_range(hits, STEPS / 10, STEPS - STEPS / 10);
    heap_free(&heap);
}

static struct address_prefix numbered(uint32_t number)
{
    struct address_prefix out = {.address.family = AF_INET6, .length = 64};
    for (unsigned i = 0; i < 4; i++)
        out.address.bytes[4 + i] = (uint8_t)(number >> (24 - i * 8));
    return out;
}

/* The filter in front of the slots has to forget what was removed: else it lets everything through in time. */
static void stays_what_it_is_through_many_changes(void **state)
{
    (void)state;
    enum { KEPT = 1000, CHANGES = 100000 };
    struct address_set set;
    struct heap heap = {NULL, NULL, 0};
    const struct set_memory memory = {replace, &heap};
    bool added;
    address_set_init(&set, secret);
    for (uint32_t i = 0; i < CHANGES; i++) {
        const struct address_prefix next = numbered(i), old = numbered(i - KEPT);
        assert_int_equal(address_set_add(&set, &memory, &next, &added), STATUS_OK);
        assert_true(added);
        assert_true(i < KEPT || address_set_remove(&set, &old));
    }
    assert_int_equal(address_set_count(&set), KEPT);
    assert_true(heap.size <= KEPT * 52);
    unsigned bits = 0;
    for (size_t i = 0; i < set.keys.slots_count / KEY_SLOTS_PER_WORD; i++)
        bits += (unsigned)__builtin_popcountll(set.keys.filter[i]);
    assert_true(bits < set.keys.slots_count * 8 / 3);
    for (uint32_t i = CHANGES - KEPT; i < CHANGES; i++) {
        const struct address_prefix prefix = numbered(i);
        struct address_prefix found;
        assert_true(address_set_match(&set, &prefix.address, &found) && same(&found, &prefix));
    }
    heap_free(&heap);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(agrees_with_a_list_while_entries_come_and_go),
        cmocka_unit_test(stays_what_it_is_through_many_changes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
