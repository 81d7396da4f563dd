/* The response cache's room: what is dropped, and when. */
#include "cache_world.h"

/* --- flushing --- */

static void flushing_drops_a_name_and_those_below(void **state)
{
    struct world *world = *state;
    static const char *const names[] = {
        "example.com", "www.example.com", "a.b.eXample.com", "notexample.com", "com", "."};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        fill_name(world, names[i]);
    struct dns_name name = name_of("Example.COM");
    assert_int_equal(exchange_flush_cache(world->exchange, name.wire), 3);
    assert_int_equal(counters_of(world)->flushed, 3);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        assert_int_equal(is_kept(world, names[i]), i >= 3);
    assert_int_equal(exchange_flush_cache(world->exchange, NULL), 3);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        assert_false(is_kept(world, names[i]));
    fill_name(world, "a.example");
    name = name_of(".");
    assert_int_equal(exchange_flush_cache(world->exchange, name.wire), 1);
    assert_int_equal(exchange_flush_cache(world->exchange, NULL), 0);
}

static void answers_to_what_was_asked_before_a_flush_are_not_kept(void **state)
{
    struct world *world = *state;
    assert_true(asks_plainly(world));
    exchange_flush_cache(world->exchange, NULL);
    reply_from_upstream(world, address_answer(world, 300, 1));
    assert_int_equal(world_reply_a(world), 1);
    fill(world, 300);
    assert_false(asks_plainly(world));
}

/* --- room --- */

static void what_was_not_found_for_longest_makes_room(void **state)
{
    struct world *world = *state;
    begin(world, 3);
    fill_name(world, "a");
    fill_name(world, "b");
    fill_name(world, "c");
    assert_true(is_kept(world, "a"));
    fill_name(world, "d");
    assert_int_equal(counters_of(world)->evicted, 1);
    assert_true(is_kept(world, "a"));
    assert_true(is_kept(world, "c"));
    assert_true(is_kept(world, "d"));
    assert_false(is_kept(world, "b"));
}

static void large_answers_take_more_room(void **state)
{
    struct world *world = *state;
    static uint8_t text[60000];
    for (int i = 0; i < 40; i++) {
        char name[16];
        snprintf(name, sizeof name, "n%d", i);
        assert_true(asks(world, TRANSPORT_TCP, query_for(name, DNS_TYPE_A)));
        struct buffer wire = empty_answer(world, FLAGS);
        add_timed(&wire, DNS_SECTION_ANSWER, name, DNS_TYPE_A, 300, text, sizeof text);
        reply_from_upstream(world, wire);
    }
    assert_int_equal(counters_of(world)->kept, 40);
    assert_int_equal(counters_of(world)->evicted, 40 - CACHE_BYTES_LEAST / sizeof text);
    assert_false(asks(world, TRANSPORT_TCP, query_for("n39", DNS_TYPE_A)));
}

static void fill_names(struct world *world, char first, int count)
{
    for (int i = 0; i < count; i++) {
        char name[16];
        snprintf(name, sizeof name, "%c%d", first, i);
        fill_name(world, name);
    }
}

/* Also where there is room for both. */
static void expired_answers_go_while_others_come(void **state)
{
    struct world *world = *state;
    fill_names(world, 'n', ENTRIES / 2);
    world_sleep(world, 301 * (int64_t)SECOND);
    fill_names(world, 'm', ENTRIES / 2);
    assert_int_equal(counters_of(world)->expired, ENTRIES / 2);
    world_sleep(world, 301 * (int64_t)SECOND);
    fill_names(world, 'l', ENTRIES);
    assert_int_equal(counters_of(world)->expired, ENTRIES);
    assert_int_equal(counters_of(world)->evicted, 0);
}

/* --- the store against a plain one --- */

enum { NAMES = 300, ROOM = 64, STEPS = 200000 };

struct plain {
    int64_t expires_us, kept_us;
    uint64_t used; /* 0: not kept */
    uint8_t value;
    uint32_t ttl;
};

static struct buffer named(unsigned name, uint16_t flags)
{
    char text[32];
    snprintf(text, sizeof text, "n%u.%s", name, name % 3 ? "a" : "b");
    return message_of((uint16_t)name, flags, text, DNS_TYPE_A);
}

struct model {
    struct cache *cache;
    struct plain plain[NAMES];
    uint64_t use;
    int64_t now_us;
};

static size_t plain_count(const struct model *model)
{
    size_t count = 0;
    for (unsigned i = 0; i < NAMES; i++)
        count += model->plain[i].used > 0;
    return count;
}

/* Forgets the one used longest ago. */
static void plain_make_room(struct model *model)
{
    unsigned oldest = NAMES;
    if (plain_count(model) < ROOM)
        return;
    for (unsigned i = 0; i < NAMES; i++)
        if (model->plain[i].used && (oldest == NAMES || model->plain[i].used < model->plain[oldest].used))
            oldest = i;
    model->plain[oldest].used = 0;
}

static struct cache_key key_of(const struct model *model, const struct buffer *wire, struct dns_message *query)
{
    struct cache_key key;
    must(dns_message_parse(wire->data, wire->length, query, NULL));
    assert_true(cache_key_of(model->cache, query, &key));
    return key;
}

static void step_find(struct model *model, unsigned name)
{
    struct buffer wire = named(name, 0);
    struct dns_message query;
    struct cache_key key = key_of(model, &wire, &query);
    struct flow_message found = {0};
    struct plain *plain = &model->plain[name];
    if (plain->used && plain->expires_us <= model->now_us)
        plain->used = 0;
    assert_int_equal(cache_find(model->cache, &key, &query, &found), plain->used > 0);
    if (plain->used) {
        struct dns_message again;
        plain->used = ++model->use;
        must(dns_message_parse(found.wire.data, found.wire.length, &again, NULL));
        assert_int_equal(again.header.id, name);
        assert_int_equal(found.wire.data[found.wire.length - 1], plain->value);
        uint32_t age = (uint32_t)((model->now_us - plain->kept_us) / SECOND);
        assert_int_equal(load_u32(found.wire.data + found.wire.length - 10), plain->ttl - age);
    }
    flow_message_free(&found);
    buffer_free(&wire);
}

static void step_keep(struct model *model, unsigned name)
{
    struct plain *plain = &model->plain[name];
    struct buffer asked = named(name, 0), wire = named(name, DNS_FLAG_QR);
    struct dns_message query, answer;
    struct cache_key key = key_of(model, &asked, &query);
    uint8_t value = (uint8_t)rand();
    uint32_t ttl = 1 + (uint32_t)rand() % 50;
    add_address(&wire, "x", ttl, value);
    must(dns_message_parse(wire.data, wire.length, &answer, NULL));
    cache_keep(model->cache, &key, &answer);
    buffer_free(&asked);
    buffer_free(&wire);
    plain->used = 0;
    plain_make_room(model);
    *plain = (struct plain){model->now_us + ttl * (int64_t)SECOND, model->now_us, ++model->use, value, ttl};
}

static void step_flush(struct model *model)
{
    struct dns_name parent = name_of(rand() % 2 ? "a" : "b");
    size_t before = cache_count(model->cache);
    size_t dropped = cache_flush(model->cache, parent.wire);
    assert_int_equal(dropped, before - cache_count(model->cache));
    for (unsigned i = 0; i < NAMES; i++)
        if ((i % 3 != 0) == (parent.wire[1] == 'a'))
            model->plain[i].used = 0;
}

/* Time stands still but for jumps after which all is over, so that both have to evict the same. */
static void the_store_does_what_a_plain_one_does(void **state)
{
    (void)state;
    struct random random = {0};
    struct cache_counters counters = {0};
    struct model model = {.cache = cache_new(ROOM, &random, &counters), .now_us = 1};
    assert_non_null(model.cache);
    srand(4);
    for (unsigned i = 0; i < STEPS; i++) {
        unsigned name = (unsigned)rand() % (i % 2000 < 1000 ? NAMES : ROOM / 2), what = (unsigned)rand() % 2000;
        cache_set_time(model.cache, model.now_us, model.now_us);
        if (what == 0) {
            step_flush(&model);
        } else if (what == 1) {
            model.now_us += 100 * (int64_t)SECOND; /* all is over */
            cache_set_time(model.cache, model.now_us, model.now_us);
            for (unsigned j = 0; j < NAMES; j++)
                step_find(&model, j);
            assert_int_equal(cache_count(model.cache), 0);
            assert_int_equal(cache_bytes(model.cache), 0);
        } else if (what % 2) {
            step_find(&model, name);
        } else {
            step_keep(&model, name);
        }
        assert_int_equal(cache_count(model.cache), plain_count(&model));
    }
    assert_true(counters.hits > STEPS / 10 && counters.misses > STEPS / 10 && counters.evicted > STEPS / 20);
    cache_free(model.cache);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CACHE_TEST(flushing_drops_a_name_and_those_below),
        CACHE_TEST(answers_to_what_was_asked_before_a_flush_are_not_kept),
        CACHE_TEST(what_was_not_found_for_longest_makes_room),
        CACHE_TEST(large_answers_take_more_room),
        CACHE_TEST(expired_answers_go_while_others_come),
        cmocka_unit_test(the_store_does_what_a_plain_one_does),
    };
    return cmocka_run_group_tests_name("the cache's room", tests, NULL, NULL);
}
