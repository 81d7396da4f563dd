/* One record in the zone file's form: its head, words, quotes, parentheses, and what is wrong in words. */
#include "dns/text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static void every_way_of_writing_a_record_is_read(void **state)
{
    static const struct {
        const char *text, *written;
    } cases[] = {
        {"www.example.com. 300 IN A 192.0.2.1", "www.example.com. 300 IN A 192.0.2.1"},
        {"www.Example.com A 192.0.2.1", "www.Example.com. 60 IN A 192.0.2.1"},
        {". IN 5 NS .", ". 5 IN NS ."},
        {"a in a 192.0.2.1", "a. 60 IN A 192.0.2.1"},
        {"a 1w2d3h4m5s a 192.0.2.1", "a. 788645 IN A 192.0.2.1"},
        {"a 1H30M a 192.0.2.1", "a. 5400 IN A 192.0.2.1"},
        {"a 2147483647 CH TYPE2 b", "a. 2147483647 CH NS b."},
        {"a CLASS42 TYPE65280 \\# 3 ab CDef", "a. 60 CLASS42 TYPE65280 \\# 3 abcdef"},
        {"a 0 ANY ANY \\# 0", "a. 0 ANY ANY \\# 0"},
        {". 4294967295 CLASS1232 OPT \\# 0", ". 4294967295 CLASS1232 OPT \\# 0"},
        {"a MX \\# 4 000a 0000", "a. 60 IN MX \\# 4 000a0000"},
        {"a MX \\# 3 000a00", "a. 60 IN MX 10 ."},
        {"\n ; a comment\na\tA\t192.0.2.1 ; another\r\n\n; and one\n", "a. 60 IN A 192.0.2.1"},
        {"a SOA ns h ( 1 ; serial\n 2 3\n 4 5 )", "a. 60 IN SOA ns. h. 1 2 3 4 5"},
        {"a TXT (\"x\"\n\"y;(z\")", "a. 60 IN TXT \"x\" \"y;(z\""},
        {"a TXT x\\;y\\040\\\"", "a. 60 IN TXT \"x;y(\\\"\""},
        {"a TXT \"\"", "a. 60 IN TXT \"\""},
        {"a OPENPGPKEY AAA=", "a. 60 IN OPENPGPKEY AAA="},
        {"a HTTPS 1 . dohpath=\"/\\195\\188{?a,dns*}{&dns}\"",
         "a. 60 IN HTTPS 1 . dohpath=\"/\\195\\188{?a,dns*}{&dns}\""},
        {"a TXT a\"b\"c", "a. 60 IN TXT \"a\" \"b\" \"c\""},
        {"a\\.b\\032c A 192.0.2.1", "a\\.b\\032c. 60 IN A 192.0.2.1"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct buffer storage = {0}, text = {0};
        struct dns_record record;
        struct reason reason = {""};
        if (dns_record_from_text(cases[i].text, strlen(cases[i].text), &storage, &record, &reason))
            fail_msg("%s: %s", cases[i].text, reason.text);
        dns_record_to_text(&record, &text);
        assert_string_equal(buffer_c_string(&text), cases[i].written);
        buffer_free(&storage);
        buffer_free(&text);
    }
}

static void what_is_wrong_is_said(void **state)
{
    static const struct {
        const char *text, *reason;
    } cases[] = {
        {"", "record expected, got nothing"},
        {" ; nothing\n", "record expected, got nothing"},
        {"a", "record type expected, got nothing"},
        {"a 300 IN", "record type expected, got nothing"},
        {"a 300 IN IN A 192.0.2.1", "record type expected, got 'IN'"},
        {"a 300 300 A 192.0.2.1", "record type expected, got '300'"},
        {"a 2147483648 A 192.0.2.1", "TTL from 0 to 2147483647 expected, got 2147483648"},
        {"a 4294967296 IN A 192.0.2.1", "TTL from 0 to 2147483647 expected, got '4294967296'"},
        {"a IN -1 A 192.0.2.1", "TTL from 0 to 2147483647 expected, got '-1'"},
        {"a class65536 A 192.0.2.1", "class up to CLASS65535 expected, got 'class65536'"},
        {"a 1 TYPE65536 \\# 0", "record type expected, got 'TYPE65536'"},
        {" 300 IN A 192.0.2.1", "owner name at the start of the line expected, got a blank"},
        {"\n\n\ta A 192.0.2.1", "owner name at the start of the line expected, got a blank"},
        {"a 1h30 IN A", "address: IPv4 address expected, got nothing"},
        {"a A 192.0.2.256", "address: IPv4 address expected, got '192.0.2.256'"},
        {"a A 192.0.2.1 x", "end of the record expected, got 'x'"},
        {"a A 192.0.2.1\nb A 192.0.2.1", "one record expected, got 'b'"},
        {"a MX 65536 b", "preference: integer from 0 to 65535 expected, got '65536'"},
        {"a MX ten b", "preference: integer from 0 to 65535 expected, got 'ten'"},
        {"a TXT \"x", "quote without its other half"},
        {"a TXT x)", "strings: ')' without '('"},
        {"a TXT (x", "strings: '(' without ')'"},
        {"a TXT \\256", "strings: text with whole escapes expected, got '\\256'"},
        {"a TXT", "strings: text expected"},
        {"a NOSUCH 1", "record type expected, got 'NOSUCH'"},
        {"a EUI48 0-1-2-3-4-5", "address: six bytes as 01-23-45-67-89-ab expected, got '0-1-2-3-4-5'"},
        {"a L64 1 1:2:3", "locator64: eight bytes as 0123:4567:89ab:cdef expected, got '1:2:3'"},
        {"a L64 1 1:2:3:4:5", "locator64: eight bytes as 0123:4567:89ab:cdef expected, got '1:2:3:4:5'"},
        {"a L64 1 1::3:4", "locator64: eight bytes as 0123:4567:89ab:cdef expected, got '1::3:4'"},
        {"a TYPE65280 1", "\\# LENGTH HEX expected for data of this type and class"},
        {"a A \\#", "length expected behind \\#"},
        {"a A \\# 4 0102", "4 bytes in hex expected, got 2"},
        {"a HTTPS 1 . port=x", "params: port: integer from 0 to 65535 expected, got 'x'"},
        {"a HTTPS 1 . port=1 port=1", "params: port: given twice, once expected"},
        {"a HTTPS 1 . mandatory=port",
         "params: mandatory names port, which is missing: add it, or take it out of mandatory"},
        {"a HTTPS 1 . no-default-alpn", "params: no-default-alpn needs alpn beside it"},
        {"a HTTPS 1 . alpn=h2 no-default-alpn=1", "params: no-default-alpn: no value expected, got '1'"},
        {"a HTTPS 1 . alpn=h2 mandatory=alpn,alpn",
         "params: mandatory: list of service parameter keys, each once, expected"},
        {"a HTTPS 1 . mandatory=mandatory", "params: mandatory must not name mandatory itself"},
        {"a HTTPS 1 . key01=x", "params: service parameter key expected, got 'key01'"},
        {"a HTTPS 1 . key65535", "params: key65535 is reserved: key0 to key65534 expected"},
        {"a HTTPS 1 . mandatory=key04 ipv4hint=192.0.2.1",
         "params: mandatory: list of service parameter keys, each once, expected, got 'key04'"},
        {"a HTTPS 1 . dohpath=/q", "params: dohpath: URI template in UTF-8 with {?dns} expected"},
        {"a HTTPS 1 . dohpath=/q{?dnsx,xdns}{dns", "params: dohpath: URI template in UTF-8 with {?dns} expected"},
        {"a HTTPS 1 . dohpath=\\195/q{?dns}", "params: dohpath: URI template in UTF-8 with {?dns} expected"},
        {"a OPENPGPKEY AAB=", "public_key: bytes in base64 expected, got 'AAB='"},
        {"a OPENPGPKEY AB==", "public_key: bytes in base64 expected, got 'AB=='"},
        {"a NSEC3 1 0 0 - 01 A", "next_hashed_owner_name: bytes in base32hex expected, got '01'"},
        {"a EUI48 \1\xc3'", "address: six bytes as 01-23-45-67-89-ab expected, got '\\001\\195''"},
        {"a LOC 91 N 0 E 0", "latitude up to 90 degrees expected, got 'N'"},
        {"a HTTPS 1 . alpnn=h2", "params: service parameter key expected, got 'alpnn' (did you mean 'alpn'?)"},
        {"a HTTPS 1 . nosuchkey=1", "params: service parameter key expected, got 'nosuchkey'"},
        {"a RRSIG A 5 3 1 20010229000000 0 1 a. AQID",
         "signature_expiration: time in seconds or as YYYYMMDDHHMMSS expected, got '20010229000000'"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct buffer storage = {0};
        struct dns_record record = {.ttl = 77};
        struct reason reason = {"no reason"};
        assert_int_not_equal(dns_record_from_text(cases[i].text, strlen(cases[i].text), &storage, &record, &reason),
                             STATUS_OK);
        assert_string_equal(reason.text, cases[i].reason);
        assert_int_equal(record.ttl, 77);
        buffer_free(&storage);
    }
}

/* RFC 2181 section 8: a TTL received above 2^31-1 counts as 0; OPT's is no TTL. */
static void the_ttl_that_counts_is_written(void **state)
{
    struct buffer text = {0};
    struct dns_record record = {
        .name = (const uint8_t *)"", .name_length = 1, .type = 65280, .class_ = 1, .ttl = 0x80000000};
    (void)state;
    dns_record_to_text(&record, &text);
    assert_string_equal(buffer_c_string(&text), ". 0 IN TYPE65280 \\# 0");
    buffer_clear(&text);
    record.type = DNS_TYPE_OPT;
    dns_record_to_text(&record, &text);
    assert_string_equal(buffer_c_string(&text), ". 2147483648 IN OPT \\# 0");
    buffer_free(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_way_of_writing_a_record_is_read),
        cmocka_unit_test(what_is_wrong_is_said),
        cmocka_unit_test(the_ttl_that_counts_is_written),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
