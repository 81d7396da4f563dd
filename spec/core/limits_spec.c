/* What limits are made of: ranges of addresses, cut addresses, rates, private addresses in answers. */
#include "net/rate_limit.h"
#include "net/rebind.h"
#include "packets.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static struct address address_of(const char *text)
{
    struct address address;
    must(address_from_ip(text, strlen(text), &address));
    return address;
}

static void ranges_match_what_lies_in_them(void **state)
{
    (void)state;
    static const char *const texts[] = {"192.0.2.0/24",  "10.0.0.0/8", "198.51.100.7",
                                        "2001:db8::/33", "fe80::/10",  "::1"};
    static const struct {
        const char *address;
        bool inside;
    } cases[] = {
        {"192.0.2.0", true},
        {"192.0.2.255", true},
        {"192.0.3.0", false},
        {"192.0.1.255", false},
        {"10.255.0.1", true},
        {"11.0.0.0", false},
        {"198.51.100.7", true},
        {"198.51.100.6", false},
        {"2001:db8:7fff::", true},
        {"2001:db8:8000::", false},
        {"fe80::1", true},
        {"febf::1", true},
        {"fec0::1", false},
        {"::1", true},
        {"::2", false},
        {"::", false},
        {"::ffff:10.1.2.3", true},
        {"::ffff:11.1.2.3", false},
        {"::ffff:192.0.2.9", true},
        {"::10.1.2.3", false},
        {"0.0.0.1", false},
    };
    struct address_ranges ranges = {0};
    must(address_ranges_set_texts(&ranges, texts, sizeof texts / sizeof *texts));
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct address address = address_of(cases[i].address);
        if (address_ranges_match(&ranges, &address) != cases[i].inside)
            fail_msg("%s", cases[i].address);
        assert_int_equal(address_ranges_match_bytes(&ranges, address.bytes, address.family == AF_INET ? 4 : 16),
                         cases[i].inside);
    }
    address_ranges_free(&ranges);
    struct address any = address_of("10.0.0.1");
    assert_false(address_ranges_match(&ranges, &any));
}

static void a_prefix_of_no_bits_holds_all_of_its_family(void **state)
{
    (void)state;
    static const char *const ipv4[] = {"0.0.0.0/0"}, *const ipv6[] = {"::/0", "::/80", "::fffe:0:0/95"};
    struct address_ranges ranges = {0};
    struct address a = address_of("203.0.113.9"), b = address_of("2001:db8::9"),
                   mapped = address_of("::ffff:203.0.113.9");
    must(address_ranges_set_texts(&ranges, ipv4, 1));
    assert_true(address_ranges_match(&ranges, &a));
    assert_false(address_ranges_match(&ranges, &b));
    assert_true(address_ranges_match(&ranges, &mapped));
    must(address_ranges_set_texts(&ranges, ipv6, 3));
    assert_true(address_ranges_match(&ranges, &b));
    assert_false(address_ranges_match(&ranges, &a));
    assert_false(address_ranges_match(&ranges, &mapped));
    address_ranges_free(&ranges);
}

static void addresses_are_cut(void **state)
{
    (void)state;
    static const struct {
        const char *from, *to;
        struct address_cut left;
    } cases[] = {
        {"192.0.2.77", "192.0.2.0", {24, 48}},
        {"192.0.2.255", "192.0.2.128", {25, 48}},
        {"192.0.2.77", "192.0.2.77", {32, 48}},
        {"192.0.2.77", "0.0.0.0", {0, 48}},
        {"2001:db8:1:2:3:4:5:6", "2001:db8:1::", {24, 48}},
        {"2001:db8:1:ff:3:4:5:6", "2001:db8:1:f0::", {24, 60}},
        {"2001:db8::1", "2001:db8::1", {24, 128}},
        {"::ffff:192.0.2.77", "::ffff:192.0.2.0", {24, 48}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[ADDRESS_TEXT_MAX];
        struct address address = address_of(cases[i].from);
        address.port = 5353;
        address_cut(&address, cases[i].left);
        assert_string_equal(address_ip_text(&address, text), cases[i].to);
        assert_int_equal(address.port, 5353);
    }
}

static unsigned taken(struct rate_limit *limit, const char *client, unsigned tries, int64_t now_us)
{
    struct address address = address_of(client);
    unsigned count = 0;
    for (unsigned i = 0; i < tries; i++)
        count += rate_limit_take(limit, &address, now_us);
    return count;
}

static void a_client_has_its_rate_and_no_more(void **state)
{
    (void)state;
    static const uint64_t secret[2] = {1, 2};
    const int64_t start_us = 5000000000;
    struct rate_limit *limit = rate_limit_new(10, (struct address_cut){32, 56}, secret);
    assert_non_null(limit);
    assert_int_equal(taken(limit, "192.0.2.1", 100, start_us), 10);
    assert_int_equal(taken(limit, "192.0.2.2", 100, start_us), 10);
    assert_int_equal(taken(limit, "192.0.2.1", 100, start_us + 99999), 0);
    assert_int_equal(taken(limit, "192.0.2.1", 100, start_us + 100000), 1);
    assert_int_equal(taken(limit, "192.0.2.1", 100, start_us + 600000), 5);
    assert_int_equal(taken(limit, "192.0.2.1", 100, start_us + 3600000000), 10);
    rate_limit_free(limit);
}

static void networks_count_as_one_client(void **state)
{
    (void)state;
    static const uint64_t secret[2] = {3, 4};
    struct rate_limit *limit = rate_limit_new(10, (struct address_cut){24, 48}, secret);
    assert_non_null(limit);
    assert_int_equal(taken(limit, "192.0.2.1", 6, 1000), 6);
    assert_int_equal(taken(limit, "192.0.2.200", 6, 1000), 4);
    assert_int_equal(taken(limit, "192.0.3.1", 6, 1000), 6);
    assert_int_equal(taken(limit, "2001:db8:1:2::1", 6, 1000), 6);
    assert_int_equal(taken(limit, "2001:db8:1:ffff::2", 6, 1000), 4);
    assert_int_equal(taken(limit, "2001:db8:2::", 6, 1000), 6);
    rate_limit_free(limit);
}

/* A flood from more networks than there are buckets costs no more memory, and hardly helps one that is at its limit. */
static void the_table_is_bounded(void **state)
{
    (void)state;
    static const uint64_t secret[2] = {5, 6};
    struct rate_limit *limit = rate_limit_new(1, (struct address_cut){32, 128}, secret);
    struct address stranger = {.family = AF_INET}, loud = address_of("192.0.2.1");
    unsigned served = 0, loud_served = 0;
    assert_non_null(limit);
    for (uint32_t i = 0; i < 200000; i++) {
        store_u32(stranger.bytes, 0x0b000000 + i);
        served += rate_limit_take(limit, &stranger, i);
        if (i % 10 == 0)
            loud_served += rate_limit_take(limit, &loud, i);
    }
    assert_int_equal(served, 200000);
    assert_in_range(loud_served, 1, 100); /* of 20000 */
    rate_limit_free(limit);
}

/* --- private addresses in answers --- */

static bool finds(struct rebind *rebind, const char *name, uint16_t type, const uint8_t *data, uint16_t length)
{
    struct buffer wire = message_of(1, DNS_FLAG_QR, name, type);
    struct dns_name owner = name_of(name);
    struct dns_message message;
    struct address found;
    store_u16(wire.data + 6, 1);
    buffer_append(&wire, owner.wire, owner.length);
    buffer_u16(&wire, type);
    buffer_u16(&wire, DNS_CLASS_IN);
    buffer_u32(&wire, 60);
    buffer_u16(&wire, length);
    buffer_append(&wire, data, length);
    must(dns_message_parse(wire.data, wire.length, &message, NULL));
    bool result = rebind_finds(rebind, &message.question, &message, &found);
    buffer_free(&wire);
    return result;
}

static bool finds_address(struct rebind *rebind, const char *name, const char *text)
{
    struct address address = address_of(text);
    bool ipv4 = address.family == AF_INET;
    return finds(rebind, name, ipv4 ? DNS_TYPE_A : DNS_TYPE_AAAA, address.bytes, ipv4 ? 4 : 16);
}

static void private_addresses_are_found(void **state)
{
    (void)state;
    static const char *const private[] = {
        "0.0.0.0",
        "10.1.2.3",
        "100.64.0.1",
        "127.0.0.1",
        "169.254.169.254",
        "172.16.0.1",
        "172.31.9.9",
        "192.168.1.1",
        "::",
        "::1",
        "fc00::1",
        "fd12::1",
        "fe80::1",
        "255.255.255.255",
        "::ffff:192.168.1.1",
        "::ffff:127.0.0.1",
        "64:ff9b::10.0.0.1",
        "64:ff9b::192.168.0.1",
    };
    static const char *const public[] = {"9.9.9.9",     "172.32.0.1",       "100.128.0.1",   "192.169.0.1",
                                         "2001:db8::1", "64:ff9b::9.9.9.9", "::ffff:9.9.9.9"};
    struct rebind *rebind;
    must(rebind_new(NULL, 0, &rebind));
    for (size_t i = 0; i < sizeof private / sizeof *private; i++)
        if (!finds_address(rebind, "evil.example", private[i]))
            fail_msg("%s", private[i]);
    for (size_t i = 0; i < sizeof public / sizeof *public; i++)
        if (finds_address(rebind, "good.example", public[i]))
            fail_msg("%s", public[i]);
    rebind_free(rebind);
}

static void hints_are_looked_into(void **state)
{
    (void)state;
    static const uint8_t alpn_and_ipv4[] = {0, 1, 0, 0, 1, 0, 3, 2, 'h', '2', 0, 4, 0, 8, 9, 9, 9, 9, 192, 168, 0, 1};
    static const uint8_t ipv6[] = {0, 1, 1, 'a', 0, 0, 6, 0, 16, 0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1};
    static const uint8_t public[] = {0, 1, 0, 0, 4, 0, 4, 9, 9, 9, 9};
    static const uint8_t broken[] = {0, 1, 0, 0, 4, 0, 200, 192, 168, 0, 1};
    struct rebind *rebind;
    must(rebind_new(NULL, 0, &rebind));
    assert_true(finds(rebind, "a.example", DNS_TYPE_HTTPS, alpn_and_ipv4, sizeof alpn_and_ipv4));
    assert_true(finds(rebind, "a.example", DNS_TYPE_SVCB, ipv6, sizeof ipv6));
    assert_false(finds(rebind, "a.example", DNS_TYPE_HTTPS, public, sizeof public));
    assert_false(finds(rebind, "a.example", DNS_TYPE_HTTPS, broken, sizeof broken));
    assert_false(finds(rebind, "a.example", DNS_TYPE_TXT, alpn_and_ipv4, 1 + alpn_and_ipv4[0]));
    rebind_free(rebind);
}

static void domains_may_be_allowed(void **state)
{
    (void)state;
    struct dns_name allowed[] = {name_of("corp.example"), name_of("home.arpa")};
    struct rebind *rebind;
    must(rebind_new(allowed, 2, &rebind));
    assert_false(finds_address(rebind, "CORP.example", "10.0.0.1"));
    assert_false(finds_address(rebind, "a.b.home.arpa", "10.0.0.1"));
    assert_true(finds_address(rebind, "notcorp.example", "10.0.0.1"));
    assert_true(finds_address(rebind, "example", "10.0.0.1"));
    rebind_free(rebind);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ranges_match_what_lies_in_them),
        cmocka_unit_test(a_prefix_of_no_bits_holds_all_of_its_family),
        cmocka_unit_test(addresses_are_cut),
        cmocka_unit_test(a_client_has_its_rate_and_no_more),
        cmocka_unit_test(networks_count_as_one_client),
        cmocka_unit_test(the_table_is_bounded),
        cmocka_unit_test(private_addresses_are_found),
        cmocka_unit_test(hints_are_looked_into),
        cmocka_unit_test(domains_may_be_allowed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
