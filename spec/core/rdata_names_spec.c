/* Names in record data that may arrive compressed (RFC 3597 section 4): which types have them, and where. */
#include "dns/rdata.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

/* A message's body that holds the names "a.b" and, behind it, record data. */
#define HEAD "\0\0\0\0\0\0\0\0\0\0\0\0\1a\1b\0"
#define POINTER "\xc0\x0c"
#define NAME "\1a\1b\0"

enum { DATA_AT = sizeof HEAD - 1 };

static enum status expand(uint16_t type, const char *data, size_t length, struct buffer *out, struct reason *reason)
{
    struct buffer message = {0};
    buffer_append(&message, HEAD, DATA_AT);
    buffer_append(&message, data, length);
    struct cursor cursor = {.data = message.data, .length = message.length, .offset = DATA_AT};
    struct reason checked = {""};
    enum status status = dns_rdata_expand(type, &cursor, length, out, reason);
    if (dns_rdata_name_rule(type) != DNS_NAMES_NONE) {
        assert_int_equal(dns_rdata_check_names(type, &cursor, length, &checked), status);
        if (status)
            assert_string_equal(checked.text, reason->text);
    }
    buffer_free(&message);
    return status;
}

static const struct {
    uint16_t type;
    enum dns_name_rule rule;
    struct span compressed, expanded;
} cases[] = {
#define CASE(type, rule, front, names_in, names_out, behind)                                     \
    {                                                                                            \
        type, rule, {(const uint8_t *)front names_in behind, sizeof(front names_in behind) - 1}, \
        {                                                                                        \
            (const uint8_t *)front names_out behind, sizeof(front names_out behind) - 1          \
        }                                                                                        \
    }
#define ONE(type, rule, front, behind) CASE(type, rule, front, POINTER, NAME, behind)
#define TWO(type, rule, front, behind) CASE(type, rule, front, POINTER "\1c" POINTER, NAME "\1c" NAME, behind)
    ONE(2, DNS_NAMES_COMPRESS, "", ""),
    ONE(3, DNS_NAMES_COMPRESS, "", ""),
    ONE(4, DNS_NAMES_COMPRESS, "", ""),
    ONE(5, DNS_NAMES_COMPRESS, "", ""),
    TWO(6, DNS_NAMES_COMPRESS, "", "\xc0\x0c\0\1\0\0\0\2\0\0\0\3\0\0\0\4\xc0\x0c\0\5"),
    ONE(7, DNS_NAMES_COMPRESS, "", ""),
    ONE(8, DNS_NAMES_COMPRESS, "", ""),
    ONE(9, DNS_NAMES_COMPRESS, "", ""),
    ONE(12, DNS_NAMES_COMPRESS, "", ""),
    TWO(14, DNS_NAMES_COMPRESS, "", ""),
    ONE(15, DNS_NAMES_COMPRESS, "\xc0\x0c", ""),
    TWO(17, DNS_NAMES_EXPAND, "", ""),
    ONE(18, DNS_NAMES_EXPAND, "\xc0\x0c", ""),
    ONE(21, DNS_NAMES_EXPAND, "\xc0\x0c", ""),
    ONE(24, DNS_NAMES_EXPAND,
        "\xc0\x0c"
        "3456789012345678",
        "\xc0\x0csignature"),
    TWO(26, DNS_NAMES_EXPAND, "\xc0\x0c", ""),
    ONE(30, DNS_NAMES_EXPAND, "", "\xc0\x0c"),
    ONE(33, DNS_NAMES_EXPAND, "\xc0\x0c\xc0\x0c\xc0\x0c", ""),
    ONE(35, DNS_NAMES_EXPAND, "\xc0\x0c\xc0\x0c\1s\2\xc0\x0c\0", ""),
};

enum { CASES = sizeof cases / sizeof cases[0] };

static void only_the_types_of_rfc_3597_have_names_to_expand(void **state)
{
    (void)state;
    for (unsigned type = 0; type <= UINT16_MAX; type++) {
        enum dns_name_rule expected = DNS_NAMES_NONE;
        for (size_t i = 0; i < CASES; i++)
            if (cases[i].type == type)
                expected = cases[i].rule;
        assert_int_equal(dns_rdata_name_rule((uint16_t)type), expected);
    }
}

static void names_are_expanded_where_they_stand(void **state)
{
    (void)state;
    for (size_t i = 0; i < CASES; i++) {
        struct buffer out = {0};
        struct reason reason = {""};
        buffer_text(&out, "kept");
        assert_int_equal(
            expand(cases[i].type, (const char *)cases[i].compressed.data, cases[i].compressed.length, &out, &reason),
            STATUS_OK);
        assert_int_equal(out.length, 4 + cases[i].expanded.length);
        assert_memory_equal(out.data + 4, cases[i].expanded.data, cases[i].expanded.length);
        buffer_free(&out);
    }
}

struct pieces {
    struct buffer joined;
    unsigned names;
};

static enum status collect(void *context, bool is_name, const uint8_t *at, size_t n)
{
    struct pieces *pieces = context;
    pieces->names += is_name;
    assert_true(!is_name || dns_name_wire_length(at, n) == n);
    buffer_append(&pieces->joined, at, n);
    return STATUS_OK;
}

static void names_are_found_again_where_they_may_be_compressed(void **state)
{
    (void)state;
    for (size_t i = 0; i < CASES; i++) {
        struct pieces pieces = {0};
        bool two = memmem(cases[i].expanded.data, cases[i].expanded.length, "\1c", 2) != NULL;
        assert_int_equal(
            dns_rdata_pieces(cases[i].type, cases[i].expanded.data, cases[i].expanded.length, collect, &pieces),
            STATUS_OK);
        assert_int_equal(pieces.joined.length, cases[i].expanded.length);
        assert_memory_equal(pieces.joined.data, cases[i].expanded.data, cases[i].expanded.length);
        assert_int_equal(pieces.names, cases[i].rule == DNS_NAMES_EXPAND ? 0 : two ? 2 : 1);
        buffer_free(&pieces.joined);
    }
}

static void data_that_ends_before_its_names_is_copied(void **state)
{
    static const struct {
        uint16_t type;
        const char *data;
        size_t length;
    } short_data[] = {{5, "", 0}, {15, "\xc0", 1}, {15, "\0\12", 2}, {6, NAME, 5}, {35, "\0\1\0\1\5ab", 7}};
    (void)state;
    for (size_t i = 0; i < sizeof short_data / sizeof short_data[0]; i++) {
        struct buffer out = {0};
        struct pieces pieces = {0};
        struct reason reason = {""};
        assert_int_equal(expand(short_data[i].type, short_data[i].data, short_data[i].length, &out, &reason),
                         STATUS_OK);
        assert_int_equal(out.length, short_data[i].length);
        if (out.length)
            assert_memory_equal(out.data, short_data[i].data, out.length);
        assert_int_equal(dns_rdata_pieces(short_data[i].type, out.data, out.length, collect, &pieces), STATUS_OK);
        assert_int_equal(pieces.names, 0);
        assert_int_equal(pieces.joined.length, out.length);
        buffer_free(&out);
        buffer_free(&pieces.joined);
    }
}

static void names_that_leave_the_data_are_malformed(void **state)
{
    static const struct {
        uint16_t type;
        const char *data;
        size_t length;
    } broken[] = {
        {5, "\5abc", 4},            /* ends within a label */
        {5, "\1a", 2},              /* no end */
        {5, "\xc0", 1},             /* half a pointer */
        {5, "\xc0\x11", 2},         /* at itself */
        {5, "\xc0\x40", 2},         /* forward */
        {6, POINTER "\3ab", 5},     /* the second one */
        {15, "\0\12\xff\xff", 4},   /* forward, out of the message */
        {35, "\0\1\0\1\0\0\0\1", 8} /* behind the strings */
    };
    (void)state;
    for (size_t i = 0; i < sizeof broken / sizeof broken[0]; i++) {
        struct buffer out = {0};
        struct reason reason = {""};
        buffer_text(&out, "kept");
        assert_int_equal(expand(broken[i].type, broken[i].data, broken[i].length, &out, &reason), STATUS_MALFORMED);
        assert_int_equal(out.length, 4);
        assert_non_null(strstr(reason.text, "offset"));
        buffer_free(&out);
        struct pieces pieces = {0};
        assert_int_equal(
            dns_rdata_pieces(broken[i].type, (const uint8_t *)broken[i].data, broken[i].length, collect, &pieces),
            STATUS_MALFORMED);
        assert_int_equal(pieces.joined.length, 0);
    }
}

static void data_may_not_grow_beyond_its_length_field(void **state)
{
    (void)state;
    enum { LENGTH = 65534 };
    char *data = calloc(1, LENGTH);
    struct buffer out = {0};
    struct reason reason = {""};
    assert_non_null(data);
    memcpy(data, POINTER POINTER, 4);
    assert_int_equal(expand(6, data, LENGTH, &out, &reason), STATUS_MALFORMED);
    assert_int_equal(out.length, 0);
    assert_int_equal(expand(6, data, LENGTH - 5, &out, &reason), STATUS_OK);
    assert_int_equal(out.length, 65535);
    buffer_free(&out);
    free(data);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_the_types_of_rfc_3597_have_names_to_expand),
        cmocka_unit_test(names_are_expanded_where_they_stand),
        cmocka_unit_test(names_are_found_again_where_they_may_be_compressed),
        cmocka_unit_test(data_that_ends_before_its_names_is_copied),
        cmocka_unit_test(names_that_leave_the_data_are_malformed),
        cmocka_unit_test(data_may_not_grow_beyond_its_length_field),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
