/* Zone transfers: where they end. A transfer is a text: S1 an SOA of serial 1, r another record, | the next message. */
#include "flow/transfer.h"
#include "packets.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static void add_soa(struct buffer *wire, enum dns_section section, uint32_t serial)
{
    uint8_t data[22] = {0};
    store_u32(data + 2, serial);
    add_record(wire, section, "example.com", DNS_TYPE_SOA, data, sizeof data);
}

/* A request; `version` below 0: it names none. */
static struct transfer start(uint16_t type, int64_t version)
{
    struct transfer transfer;
    struct dns_message request;
    struct buffer wire = message_of(1, 0, "example.com", type);
    if (version >= 0)
        add_soa(&wire, DNS_SECTION_AUTHORITY, (uint32_t)version);
    must(dns_message_parse(wire.data, wire.length, &request, NULL));
    assert_true(transfer_start(&transfer, &request));
    buffer_free(&wire);
    return transfer;
}

/* Feeds the messages; gives how many were taken when it ended, 0: it did not. */
static unsigned feed(struct transfer transfer, const char *text)
{
    unsigned messages = 0;
    bool more = true;
    while (more && *text) {
        struct buffer wire = message_of(1, DNS_FLAG_QR, "example.com", DNS_TYPE_AXFR);
        for (; *text && *text != '|'; text++) {
            if (*text == 'S')
                add_soa(&wire, DNS_SECTION_ANSWER, (uint32_t)strtoul(text + 1, NULL, 10));
            else if (*text == 'r')
                add_a(&wire, "r.example.com", 1);
        }
        text += *text == '|';
        struct dns_message answer;
        must(dns_message_parse(wire.data, wire.length, &answer, NULL));
        more = transfer_feed(&transfer, &answer);
        messages++;
        buffer_free(&wire);
    }
    return more ? 0 : messages;
}

/* RFC 5936 section 2.2 */
static void whole_zones_go_from_soa_to_soa(void **state)
{
    (void)state;
    assert_int_equal(feed(start(DNS_TYPE_AXFR, -1), "S1 r r S1"), 1);
    assert_int_equal(feed(start(DNS_TYPE_AXFR, -1), "S1|r r|r|S1|r"), 4);
    assert_int_equal(feed(start(DNS_TYPE_AXFR, -1), "S1|S1"), 2);
    assert_int_equal(feed(start(DNS_TYPE_AXFR, -1), "S1 r|r r|r"), 0);
    assert_int_equal(feed(start(DNS_TYPE_AXFR, -1), "S1 r||r S2"), 3);
}

static void what_is_no_transfer_is_one_message(void **state)
{
    (void)state;
    assert_int_equal(feed(start(DNS_TYPE_AXFR, -1), "r r|r"), 1);
    assert_int_equal(feed(start(DNS_TYPE_AXFR, -1), "|r"), 1);
}

static void an_error_ends_it(void **state)
{
    (void)state;
    struct transfer transfer = start(DNS_TYPE_AXFR, -1);
    struct buffer wire = message_of(1, DNS_FLAG_QR | DNS_RCODE_REFUSED, "example.com", DNS_TYPE_AXFR);
    struct dns_message answer;
    must(dns_message_parse(wire.data, wire.length, &answer, NULL));
    assert_false(transfer_feed(&transfer, &answer));
    buffer_free(&wire);
}

/* RFC 1995 section 4 */
static void differences_end_with_the_newest_soa(void **state)
{
    (void)state;
    assert_int_equal(feed(start(DNS_TYPE_IXFR, 1), "S3 S1 r S2 r S2 r S3 r S3"), 1);
    assert_int_equal(feed(start(DNS_TYPE_IXFR, 1), "S3|S1|r|S2|r|S2|r|S3|r|S3|r"), 10);
    assert_int_equal(feed(start(DNS_TYPE_IXFR, 2), "S3 S2 S3 S3|r"), 1); /* nothing lost, nothing won */
    assert_int_equal(feed(start(DNS_TYPE_IXFR, 1), "S3 S1 r S3 r"), 0);
}

static void differences_may_be_a_whole_zone(void **state)
{
    (void)state;
    assert_int_equal(feed(start(DNS_TYPE_IXFR, 1), "S3 r|r S3|r"), 2);
    assert_int_equal(feed(start(DNS_TYPE_IXFR, 1), "S3 S3|r"), 1);
}

/* RFC 1995 section 2, RFC 1982 section 3.2 */
static void one_soa_is_all_for_who_is_up_to_date(void **state)
{
    (void)state;
    assert_int_equal(feed(start(DNS_TYPE_IXFR, 3), "S3|r"), 1);
    assert_int_equal(feed(start(DNS_TYPE_IXFR, 4), "S3|r"), 1);
    assert_int_equal(feed(start(DNS_TYPE_IXFR, 2), "S3|r"), 0);
    assert_int_equal(feed(start(DNS_TYPE_IXFR, 4294967295), "S3|r"), 0);
    assert_int_equal(feed(start(DNS_TYPE_IXFR, 3), "S4294967295|r"), 1);
    assert_int_equal(feed(start(DNS_TYPE_IXFR, -1), "S3|r"), 1);
}

static void other_questions_are_none(void **state)
{
    (void)state;
    struct transfer transfer;
    struct dns_message request;
    struct buffer wires[] = {message_of(1, 0, "example.com", DNS_TYPE_A), message_of(1, 0, NULL, 0),
                             message_of(1, 4 << 11, "example.com", DNS_TYPE_AXFR)};
    for (size_t i = 0; i < sizeof wires / sizeof *wires; i++) {
        must(dns_message_parse(wires[i].data, wires[i].length, &request, NULL));
        assert_false(transfer_start(&transfer, &request));
        buffer_free(&wires[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whole_zones_go_from_soa_to_soa),
        cmocka_unit_test(what_is_no_transfer_is_one_message),
        cmocka_unit_test(an_error_ends_it),
        cmocka_unit_test(differences_end_with_the_newest_soa),
        cmocka_unit_test(differences_may_be_a_whole_zone),
        cmocka_unit_test(one_soa_is_all_for_who_is_up_to_date),
        cmocka_unit_test(other_questions_are_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
