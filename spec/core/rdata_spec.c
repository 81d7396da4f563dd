/* Record data: its zone file's form both ways, its fields as values, what does not fit. */
#include "dns/rdata/layout.h"
#include "dns/text.h"
#include "rdata_cases.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

enum { CASES = sizeof rdata_cases / sizeof rdata_cases[0] };

static uint16_t type_of(const char *name)
{
    uint16_t type = 0;
    assert_int_equal(dns_registry_from_text(DNS_TYPES, name, strlen(name), &type), STATUS_OK);
    return type;
}

static void append_hex(const char *hex, struct buffer *out)
{
    for (; *hex; hex += 2) {
        unsigned byte;
        assert_int_equal(sscanf(hex, "%2x", &byte), 1);
        buffer_u8(out, (uint8_t)byte);
    }
}

static struct dns_record record_of(uint16_t type, const struct buffer *data)
{
    return (struct dns_record){.name = (const uint8_t *)"\1X",
                               .name_length = 3,
                               .type = type,
                               .class_ = DNS_CLASS_IN,
                               .ttl = 300,
                               .data = data->data,
                               .data_length = (uint16_t)data->length};
}

static void text_gives_its_wire_bytes(void **state)
{
    (void)state;
    for (size_t i = 0; i < CASES; i++) {
        struct buffer expected = {0}, made = {0};
        struct reason reason = {""};
        append_hex(rdata_cases[i].hex, &expected);
        if (dns_rdata_from_text(type_of(rdata_cases[i].type), rdata_cases[i].text, strlen(rdata_cases[i].text), &made,
                                &reason) != STATUS_OK)
            fail_msg("%s %s: %s", rdata_cases[i].type, rdata_cases[i].text, reason.text);
        if (made.length != expected.length || (made.length && memcmp(made.data, expected.data, made.length) != 0))
            fail_msg("%s %s gives other bytes", rdata_cases[i].type, rdata_cases[i].text);
        buffer_free(&expected);
        buffer_free(&made);
    }
}

static void wire_bytes_give_their_text(void **state)
{
    (void)state;
    for (size_t i = 0; i < CASES; i++) {
        struct buffer data = {0}, text = {0};
        append_hex(rdata_cases[i].hex, &data);
        struct dns_record record = record_of(type_of(rdata_cases[i].type), &data);
        if (!dns_rdata_has_layout(record.type))
            goto done;
        dns_rdata_to_text(&record, &text);
        assert_string_equal(buffer_c_string(&text),
                            rdata_cases[i].canonical ? rdata_cases[i].canonical : rdata_cases[i].text);
    done:
        buffer_free(&data);
        buffer_free(&text);
    }
}

static void records_come_back_from_their_text(void **state)
{
    (void)state;
    for (size_t i = 0; i < CASES; i++) {
        struct buffer data = {0}, text = {0}, storage = {0};
        struct dns_record back, record;
        append_hex(rdata_cases[i].hex, &data);
        record = record_of(type_of(rdata_cases[i].type), &data);
        dns_record_to_text(&record, &text);
        assert_int_equal(dns_record_from_text((const char *)text.data, text.length, &storage, &back, NULL), STATUS_OK);
        assert_true(dns_record_equal(&record, &back));
        assert_memory_equal(back.name, "\1X", 3);
        buffer_free(&data);
        buffer_free(&text);
        buffer_free(&storage);
    }
}

/* Fields give the very data, but for the case of names; a field less or one too many is refused. */
static void fields_give_the_data_again(void **state)
{
    (void)state;
    for (size_t i = 0; i < CASES; i++) {
        uint16_t type = type_of(rdata_cases[i].type);
        struct buffer data = {0}, made = {0};
        struct arena arena = {0};
        struct dns_value *fields, *last = NULL;
        struct reason reason = {""};
        append_hex(rdata_cases[i].hex, &data);
        if (!dns_rdata_has_layout(type))
            goto done;
        assert_int_equal(dns_rdata_to_value(type, data.data, data.length, &arena, &fields), STATUS_OK);
        assert_int_equal(dns_rdata_from_value(type, fields, &made, &reason), STATUS_OK);
        assert_true(dns_rdata_equal_caseless(type, data.data, data.length, made.data, made.length));

        size_t before = made.length;
        for (last = fields->first; last->next; last = last->next)
            ;
        struct dns_value extra = {.form = DNS_VALUE_NUMBER, .key = "extra"};
        last->next = &extra;
        assert_int_equal(dns_rdata_from_value(type, fields, &made, &reason), STATUS_INVALID);
        assert_string_equal(reason.text, "extra: unknown field");
        last->next = NULL;
        const char *first = fields->first->key;
        fields->first = fields->first->next;
        assert_int_equal(dns_rdata_from_value(type, fields, &made, &reason), STATUS_INVALID);
        assert_int_equal(strncmp(reason.text, first, strlen(first)), 0);
        assert_int_equal(made.length, before);
    done:
        arena_free(&arena);
        buffer_free(&data);
        buffer_free(&made);
    }
}

static void every_layout_has_a_case(void **state)
{
    (void)state;
    size_t count;
    const struct dns_registry_entry *types = dns_registry_entries(DNS_TYPES, &count);
    for (size_t i = 0; i < count; i++) {
        bool found = !dns_rdata_has_layout(types[i].number);
        for (size_t j = 0; j < CASES && !found; j++)
            found = strcmp(rdata_cases[j].type, types[i].name) == 0;
        if (!found)
            fail_msg("%s has no case", types[i].name);
    }
}

static void what_does_not_fit_is_hex(void **state)
{
    static const struct {
        const char *type, *hex;
    } cases[] = {
        {"A", ""},
        {"A", "c00002"},
        {"A", "c000020100"},
        {"AAAA", "c0000201"},
        {"NS", "0161"},     /* a name without end */
        {"NS", "01610000"}, /* a byte behind it */
        {"MX", "000ac00c"}, /* a pointer */
        {"TXT", ""},        /* no string */
        {"TXT", "0361"},    /* half a string */
        {"SOA", "00000000000100000002000000030000000400000005ff"},
        {"NSEC", "0000024000"},     /* zeros at a window's end */
        {"NSEC", "00010140000140"}, /* windows out of order */
        {"NSEC", "000000"},         /* an empty window */
        {"NSEC", "000021ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff"},
        {"NSEC3", "01000000000000"},                 /* no hash */
        {"CAA", "000061"},                           /* no tag */
        {"CAA", "00012d61"},                         /* a tag of other characters */
        {"LOC", "0133161389172dd070be15f000988d20"}, /* another version */
        {"LOC", "00a3161389172dd070be15f000988d20"}, /* ten is no digit */
        {"LOC", "00331613ffffffff70be15f000988d20"}, /* south of the pole */
        {"APL", "0001210100"},                       /* 33 bits of IPv4 */
        {"APL", "000118020a00"},                     /* a zero at the end */
        {"APL", "0003080101"},                       /* a family without text */
        {"IPSECKEY", "0a0402"},                      /* a gateway of no known type */
        {"IPSECKEY", "0a0102c000"},                  /* half an address */
        {"HIP", "0002000161"},                       /* no HIT */
        {"SVCB", "00010000030002003500010003026832"},
        {"SVCB", "000100000300020035000300020035"},
        {"SVCB", "00010000030003003500"}, /* a port of three bytes */
        {"SVCB", "0001000001000100"},     /* an empty protocol id */
        {"SVCB", "00010000020000"},       /* no-default-alpn without alpn */
        {"SVCB", "000100000000020001000300020035"},
        {"SVCB", "000100000000020000"}, /* mandatory names itself */
        {"SVCB", "0001000000040003010203"},
        {"OPT", "000a00020a"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct buffer data = {0}, text = {0}, expected = {0}, storage = {0};
        struct dns_record back;
        struct arena arena = {0};
        struct dns_value *value;
        append_hex(cases[i].hex, &data);
        struct dns_record record = record_of(type_of(cases[i].type), &data);
        assert_false(dns_rdata_fits(record.type, record.data, record.data_length));
        assert_int_equal(dns_rdata_to_value(record.type, record.data, record.data_length, &arena, &value),
                         STATUS_MALFORMED);
        dns_rdata_to_text(&record, &text);
        buffer_format(&expected, "0x%s (invalid %s data)", cases[i].hex, cases[i].type);
        assert_string_equal(buffer_c_string(&text), buffer_c_string(&expected));
        buffer_clear(&text);
        dns_record_to_text(&record, &text);
        assert_int_equal(dns_record_from_text((const char *)text.data, text.length, &storage, &back, NULL), STATUS_OK);
        assert_true(dns_record_equal(&record, &back));
        arena_free(&arena);
        buffer_free(&data);
        buffer_free(&text);
        buffer_free(&expected);
        buffer_free(&storage);
    }
}

static void letter_case_counts_only_outside_names(void **state)
{
    static const struct {
        const char *type, *a, *b;
        bool equal;
    } cases[] = {
        {"MX", "000a0161016200", "000a0141014200", true},
        {"MX", "00610161016200", "00410161016200", false},
        {"TXT", "0161", "0141", false},
        {"RRSIG", "0001000000000000000000000000000000000161006161", "0001000000000000000000000000000000000141006161",
         true},
        {"RRSIG", "0001000000000000000000000000000000000161006161", "0001000000000000000000000000000000000161006141",
         false},
        {"IPSECKEY", "0a0302016100", "0a0302014100", true},
        {"IPSECKEY", "0a010261616161", "0a010261616141", false},
        {"NS", "0161", "0141", false},
        {"TYPE65280", "61", "41", false},
        {"A", "01020304", "01020304", true},
        {"A", "01020304", "010203", false},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct buffer a = {0}, b = {0};
        append_hex(cases[i].a, &a);
        append_hex(cases[i].b, &b);
        assert_int_equal(dns_rdata_equal_caseless(type_of(cases[i].type), a.data, a.length, b.data, b.length),
                         cases[i].equal);
        buffer_free(&a);
        buffer_free(&b);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_gives_its_wire_bytes),
        cmocka_unit_test(wire_bytes_give_their_text),
        cmocka_unit_test(records_come_back_from_their_text),
        cmocka_unit_test(fields_give_the_data_again),
        cmocka_unit_test(every_layout_has_a_case),
        cmocka_unit_test(what_does_not_fit_is_hex),
        cmocka_unit_test(letter_case_counts_only_outside_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
