/* The registries: order, names both ways, generic names and their limits. */
#include "dns/registry.h"

#include <ctype.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static enum status from(enum dns_registry registry, const char *text, uint16_t *out)
{
    return dns_registry_from_text(registry, text, strlen(text), out);
}

static void entries_are_in_order_of_number(void **state)
{
    (void)state;
    for (int registry = 0; registry < DNS_REGISTRY_COUNT; registry++) {
        size_t count;
        const struct dns_registry_entry *entries = dns_registry_entries((enum dns_registry)registry, &count);
        assert_true(count > 4);
        for (size_t i = 0; i < count; i++) {
            assert_true(i == 0 || entries[i - 1].number < entries[i].number);
            assert_true(strlen(entries[i].name) < DNS_MNEMONIC_MAX);
        }
    }
}

static void names_come_back_in_any_letter_case(void **state)
{
    (void)state;
    for (int registry = 0; registry < DNS_REGISTRY_COUNT; registry++) {
        size_t count;
        const struct dns_registry_entry *entries = dns_registry_entries((enum dns_registry)registry, &count);
        for (size_t i = 0; i < count; i++) {
            char text[DNS_MNEMONIC_MAX];
            uint16_t number = 0;
            assert_string_equal(dns_registry_to_text((enum dns_registry)registry, entries[i].number, text),
                                entries[i].name);
            for (char *at = text; *at; at++)
                *at = *at == '-' ? '_' : (char)(isupper(*at) ? tolower(*at) : toupper(*at));
            assert_int_equal(from((enum dns_registry)registry, text, &number), STATUS_OK);
            assert_int_equal(number, entries[i].number);
        }
    }
}

static void numbers_nobody_registered_have_generic_names(void **state)
{
    static const struct {
        enum dns_registry registry;
        uint16_t number;
        const char *text, *other;
    } cases[] = {
        {DNS_TYPES, 65280, "TYPE65280", "type(65280)"}, {DNS_CLASSES, 42, "CLASS42", "CLASS(42)"},
        {DNS_OP_CODES, 7, "OPCODE7", "OPCODE(7)"},      {DNS_RESPONSE_CODES, 99, "RCODE99", "RCODE(99)"},
        {DNS_SVC_PARAMS, 667, "key667", "KEY667"},      {DNS_TYPES, 0, "TYPE0", "TYPE(0)"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char text[DNS_MNEMONIC_MAX];
        uint16_t number = 1, other = 1;
        assert_string_equal(dns_registry_to_text(cases[i].registry, cases[i].number, text), cases[i].text);
        assert_int_equal(from(cases[i].registry, cases[i].text, &number), STATUS_OK);
        assert_int_equal(from(cases[i].registry, cases[i].other, &other), STATUS_OK);
        assert_int_equal(number, cases[i].number);
        assert_int_equal(other, cases[i].number);
    }
}

static void generic_names_of_registered_numbers_are_taken(void **state)
{
    uint16_t number = 0;
    (void)state;
    assert_int_equal(from(DNS_TYPES, "TYPE28", &number), STATUS_OK);
    assert_int_equal(number, DNS_TYPE_AAAA);
    assert_int_equal(from(DNS_CLASSES, "CLASS(1)", &number), STATUS_OK);
    assert_int_equal(number, DNS_CLASS_IN);
}

static void other_names_of_a_number_are_taken_and_not_written(void **state)
{
    uint16_t number = 0;
    char text[DNS_MNEMONIC_MAX];
    (void)state;
    assert_int_equal(from(DNS_RESPONSE_CODES, "BADSIG", &number), STATUS_OK);
    assert_int_equal(number, DNS_RCODE_BADVERS);
    assert_string_equal(dns_registry_to_text(DNS_RESPONSE_CODES, number, text), "BADVERS");
    assert_int_equal(from(DNS_TYPES, "*", &number), STATUS_OK);
    assert_int_equal(number, DNS_TYPE_ANY);
}

static void others_are_refused_and_leave_the_output(void **state)
{
    static const struct {
        enum dns_registry registry;
        const char *text;
    } cases[] = {
        {DNS_TYPES, ""},           {DNS_TYPES, "AAAAA"},       {DNS_TYPES, "AAA"},
        {DNS_TYPES, "TYPE"},       {DNS_TYPES, "TYPE65536"},   {DNS_TYPES, "TYPE()"},
        {DNS_TYPES, "TYPE(1"},     {DNS_TYPES, "TYPE-1"},      {DNS_TYPES, "1"},
        {DNS_TYPES, "TYPE000001"}, {DNS_TYPES, "CLASS1"},      {DNS_TYPES, "TYPE1x"},
        {DNS_TYPES, "A "},         {DNS_OP_CODES, "OPCODE16"}, {DNS_CLASSES, "CLASS 1"},
        {DNS_SVC_PARAMS, "key"},   {DNS_TYPES, "NSAPPTR"},     {DNS_RESPONSE_CODES, "RCODE4096"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        uint16_t number = 12345;
        assert_int_equal(from(cases[i].registry, cases[i].text, &number), STATUS_INVALID);
        assert_int_equal(number, 12345);
    }
}

static void response_codes_have_http_equivalents(void **state)
{
    static const unsigned expected[] = {200, 400, 500, 404, 501, 403, 409, 409, 410,
                                        401, 404, 501, 500, 500, 500, 500, 500};
    (void)state;
    for (uint16_t code = 0; code < sizeof expected / sizeof expected[0]; code++)
        assert_int_equal(dns_http_equivalent(code), expected[code]);
    assert_int_equal(dns_http_equivalent(65535), 500);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(entries_are_in_order_of_number),
        cmocka_unit_test(names_come_back_in_any_letter_case),
        cmocka_unit_test(numbers_nobody_registered_have_generic_names),
        cmocka_unit_test(generic_names_of_registered_numbers_are_taken),
        cmocka_unit_test(other_names_of_a_number_are_taken_and_not_written),
        cmocka_unit_test(others_are_refused_and_leave_the_output),
        cmocka_unit_test(response_codes_have_http_equivalents),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
