/* What the response cache keeps, and for how long. */
#include "cache_world.h"

/* --- what is kept --- */

/* The upstream's next answer is this one (taken), and it is not kept. */
static void assert_not_kept(struct world *world, struct buffer wire)
{
    reply_from_upstream(world, wire);
    assert_int_equal(counters_of(world)->kept, 0);
    assert_true(asks_plainly(world));
}

static void answers_that_do_not_last_are_not_kept(void **state)
{
    struct world *world = *state;
    static const uint16_t flags[] = {FLAGS | DNS_RCODE_SERVFAIL,
                                     FLAGS | DNS_RCODE_REFUSED,
                                     FLAGS | DNS_RCODE_FORMERR,
                                     FLAGS | DNS_RCODE_NOTIMP,
                                     FLAGS | 6,
                                     FLAGS | DNS_FLAG_TC};
    assert_true(asks_plainly(world));
    for (size_t i = 0; i < sizeof flags / sizeof *flags; i++) {
        struct buffer wire = address_answer(world, 300, 1);
        add_soa(&wire, 300, 300);
        store_u16(wire.data + 2, flags[i]);
        assert_not_kept(world, wire);
    }
    static const uint32_t ttls[] = {0, 0x80000000, 0xffffffff}; /* RFC 2181 section 8 */
    for (size_t i = 0; i < sizeof ttls / sizeof *ttls; i++) {
        struct buffer wire = address_answer(world, 300, 1);
        add_address(&wire, "example.com", ttls[i], 2);
        assert_not_kept(world, wire);
        wire = address_answer(world, 300, 1);
        add_timed(&wire, DNS_SECTION_ADDITIONAL, "a", DNS_TYPE_A, ttls[i], "\300\0\2\3", 4);
        assert_not_kept(world, wire);
    }
}

static void answers_for_one_client_are_not_kept(void **state)
{
    struct world *world = *state;
    static const struct {
        uint32_t flags;
        const char *options;
        uint16_t length;
    } cases[] = {
        {1 << 24, "", 0},                              /* extended response code 16 */
        {0, "\0\12\0\20clientAAserver12", 20},         /* COOKIE */
        {0, "\0\10\0\7\0\1\30\20\300\0\2", 11},        /* client subnet, scope 16 */
        {0, "\0\3\0\2ns\0\10\0\6\0\1\20\1\300\0", 16}, /* behind another one */
        {0, "\0\10\0\2\0\1\0\0\0\0", 10},              /* cut, and zeros behind */
        {0, "\0\10\0\7\0\1", 6},
        {0, "\0\10\0", 3},
    };
    assert_true(asks_plainly(world));
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct buffer wire = address_answer(world, 300, 1);
        add_opt(&wire, 1232, cases[i].flags, cases[i].options, cases[i].length);
        assert_not_kept(world, wire);
    }
    struct buffer wire = address_answer(world, 300, 1);
    add_opt(&wire, 1232, 0, "", 0);
    add_opt(&wire, 1232, 0, "", 0);
    assert_not_kept(world, wire);
}

/* RFC 7871 section 7.3.1 */
static void a_subnet_without_a_scope_is_kept(void **state)
{
    struct world *world = *state;
    static const struct shape shape = {DNS_FLAG_RD, "example.com", 1, OPT(1232, 0, SUBNET)};
    assert_true(asks(world, TRANSPORT_UDP, query_of(&shape)));
    struct buffer wire = address_answer(world, 300, 1);
    add_opt(&wire, 1232, 0, SUBNET, sizeof SUBNET - 1);
    reply_from_upstream(world, wire);
    assert_false(asks(world, TRANSPORT_UDP, query_of(&shape)));
}

/* --- nothing --- */

/* The upstream says that there is nothing; it is kept for so many seconds. */
static void assert_nothing_kept_for(struct world *world, struct buffer wire, uint32_t seconds)
{
    unsigned answers = load_u16(wire.data + 6);
    reply_from_upstream(world, wire);
    assert_false(asks_plainly(world));
    assert_int_equal(reply_ttl(world, DNS_SECTION_AUTHORITY, 0), seconds);
    assert_int_equal(world_reply_message(world).header.counts[DNS_SECTION_ANSWER], answers);
    world_sleep(world, seconds * (int64_t)SECOND - 1);
    assert_false(asks_plainly(world));
    assert_int_equal(reply_ttl(world, DNS_SECTION_AUTHORITY, 0), 1);
    world_sleep(world, 1);
    assert_true(asks_plainly(world));
}

/* RFC 2308 section 5 */
static void nothing_lasts_as_long_as_the_soa_says(void **state)
{
    struct world *world = *state;
    static const struct {
        uint32_t ttl, minimum, seconds;
    } cases[] = {{3600, 60, 60}, {60, 3600, 60}, {100000, 100000, CACHE_NEGATIVE_SECONDS_MAX}, {5, 5, 5}};
    assert_true(asks_plainly(world));
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct buffer wire = empty_answer(world, FLAGS | DNS_RCODE_NXDOMAIN);
        add_soa(&wire, cases[i].ttl, cases[i].minimum);
        assert_nothing_kept_for(world, wire, cases[i].seconds);
        wire = empty_answer(world, FLAGS);
        add_soa(&wire, cases[i].ttl, cases[i].minimum);
        assert_nothing_kept_for(world, wire, cases[i].seconds);
        wire = empty_answer(world, FLAGS);
        add_timed(&wire, DNS_SECTION_ANSWER, "example.com", DNS_TYPE_CNAME, 200000, "\1a\0", 3);
        add_soa(&wire, cases[i].ttl, cases[i].minimum);
        assert_nothing_kept_for(world, wire, cases[i].seconds);
    }
}

static void another_ttl_may_be_shorter_than_the_soas(void **state)
{
    struct world *world = *state;
    assert_true(asks_plainly(world));
    struct buffer wire = empty_answer(world, FLAGS | DNS_RCODE_NXDOMAIN);
    add_timed(&wire, DNS_SECTION_ANSWER, "example.com", DNS_TYPE_CNAME, 7, "\1a\0", 3);
    add_soa(&wire, 60, 60);
    reply_from_upstream(world, wire);
    world_sleep(world, 7 * SECOND - 1);
    assert_false(asks_plainly(world));
    world_sleep(world, 1);
    assert_true(asks_plainly(world));
}

/* RFC 2308 sections 2 and 5 */
static void nothing_without_an_soa_is_not_kept(void **state)
{
    struct world *world = *state;
    assert_true(asks_plainly(world));
    assert_not_kept(world, empty_answer(world, FLAGS | DNS_RCODE_NXDOMAIN));
    assert_not_kept(world, empty_answer(world, FLAGS));
    struct buffer wire = empty_answer(world, FLAGS); /* a referral */
    add_timed(&wire, DNS_SECTION_AUTHORITY, "com", DNS_TYPE_NS, 300, "\1a\0", 3);
    assert_not_kept(world, wire);
    wire = empty_answer(world, FLAGS); /* half a chain */
    add_timed(&wire, DNS_SECTION_ANSWER, "example.com", DNS_TYPE_CNAME, 300, "\1a\0", 3);
    assert_not_kept(world, wire);
    wire = empty_answer(world, FLAGS | DNS_RCODE_NXDOMAIN); /* an SOA that is none, and one elsewhere */
    add_timed(&wire, DNS_SECTION_AUTHORITY, "com", DNS_TYPE_SOA, 300, "\0\0\0\0\0\5", 6);
    add_timed(&wire, DNS_SECTION_ADDITIONAL, "com", DNS_TYPE_SOA, 300, "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\5",
              22);
    assert_not_kept(world, wire);
    wire = empty_answer(world, FLAGS | DNS_RCODE_NXDOMAIN);
    add_soa(&wire, 300, 0);
    assert_not_kept(world, wire);
}

static void a_referral_is_no_answer_to_a_query_for_servers(void **state)
{
    struct world *world = *state;
    for (int i = 0; i < 2; i++) {
        assert_true(asks(world, TRANSPORT_UDP, query_for("example.com", DNS_TYPE_NS)));
        struct buffer wire = empty_answer(world, FLAGS);
        add_timed(&wire, DNS_SECTION_AUTHORITY, "example.com", DNS_TYPE_NS, 300, "\1a\0", 3);
        reply_from_upstream(world, wire);
    }
}

static void any_is_answered_by_any_record(void **state)
{
    struct world *world = *state;
    assert_true(asks(world, TRANSPORT_UDP, query_for("example.com", DNS_TYPE_ANY)));
    reply_from_upstream(world, address_answer(world, 300, 1));
    assert_false(asks(world, TRANSPORT_UDP, query_for("example.com", DNS_TYPE_ANY)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CACHE_TEST(answers_that_do_not_last_are_not_kept),
        CACHE_TEST(answers_for_one_client_are_not_kept),
        CACHE_TEST(a_subnet_without_a_scope_is_kept),
        CACHE_TEST(nothing_lasts_as_long_as_the_soa_says),
        CACHE_TEST(another_ttl_may_be_shorter_than_the_soas),
        CACHE_TEST(nothing_without_an_soa_is_not_kept),
        CACHE_TEST(a_referral_is_no_answer_to_a_query_for_servers),
        CACHE_TEST(any_is_answered_by_any_record),
    };
    return cmocka_run_group_tests_name("what the cache keeps", tests, NULL, NULL);
}
