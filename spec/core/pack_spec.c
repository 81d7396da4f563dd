/* Packing messages: compression and its limits. */
#include "messages.h"

enum { TYPE_RP = 17, TYPE_TSIG = 250 };

static void question_and_answer_share_the_name(void **state)
{
    (void)state;
    struct buffer out = {0};
    struct dns_packer packer;
    buffer_text(&out, "in front");
    start(&packer, &out, DNS_MESSAGE_MAX);
    add_question(&packer, "a.example");
    add_address(&packer, DNS_SECTION_ANSWER, "a.example");
    assert_int_equal(dns_packer_finish(&packer), STATUS_OK);
    assert_int_equal(out.length, 8 + 43);
    assert_memory_equal(out.data + 8, HEADER("\x81\0", "\1", "\1", "\0", "\0") QUESTION ANSWER, 43);
    buffer_free(&out);
}

static void only_the_old_types_are_compressed(void **state)
{
    (void)state;
    struct buffer out = {0};
    struct dns_packer packer;
    char owner[DNS_NAME_TEXT_MAX];
    uint8_t data[256];
    static const char mx[] = "\0\12\2mx\1a\7example";
    static const char srv[] = "\0\1\0\2\0\3\1a\7example";
    static const char soa[] = "\2ns\1a\7example\0\2ns\1a\7example\0"
                              "01234567890123456789";
    start(&packer, &out, DNS_MESSAGE_MAX);
    add_question(&packer, "a.example");
    size_t before = out.length;
    assert_int_equal(add(&packer, DNS_SECTION_ANSWER, "a.example", DNS_TYPE_MX, mx, sizeof mx), STATUS_OK);
    assert_int_equal(out.length - before, 12 + 2 + 3 + 2);
    before = out.length;
    assert_int_equal(add(&packer, DNS_SECTION_ANSWER, "a.example", DNS_TYPE_SRV, srv, sizeof srv), STATUS_OK);
    assert_int_equal(out.length - before, 12 + sizeof srv);
    before = out.length;
    assert_int_equal(add(&packer, DNS_SECTION_ANSWER, "a.example", TYPE_RP, "\1a\7example\0\1a\7example", 22),
                     STATUS_OK);
    assert_int_equal(out.length - before, 12 + 22);
    before = out.length;
    assert_int_equal(add(&packer, DNS_SECTION_AUTHORITY, "a.example", DNS_TYPE_SOA, BYTES(soa)), STATUS_OK);
    assert_int_equal(out.length - before, 12 + 5 + 2 + 20);
    assert_int_equal(dns_packer_finish(&packer), STATUS_OK);
    assert_int_equal(record_at(&out, DNS_SECTION_ANSWER, 0, owner, data), sizeof mx);
    assert_memory_equal(data, mx, sizeof mx);
    assert_int_equal(record_at(&out, DNS_SECTION_AUTHORITY, 0, owner, data), sizeof soa - 1);
    assert_memory_equal(data, soa, sizeof soa - 1);
    buffer_free(&out);
}

static void data_whose_names_a_reader_could_not_expand_is_refused(void **state)
{
    static const struct {
        uint16_t type;
        const char *data;
        size_t length;
    } refused[] = {{DNS_TYPE_CNAME, "\300\14", 2},       {DNS_TYPE_NS, "\261\272\116", 3},
                   {DNS_TYPE_SRV, "123456\300\14", 8},   {DNS_TYPE_MX, "\0\12\1a", 4},
                   {DNS_TYPE_SOA, "\1a\0\1a\300\14", 7}, {TYPE_RP, "\1a\0\300\14", 5}};
    (void)state;
    struct buffer out = {0};
    struct dns_packer packer;
    start(&packer, &out, DNS_MESSAGE_MAX);
    add_question(&packer, "a.example");
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        size_t before = out.length;
        assert_int_equal(
            add(&packer, DNS_SECTION_ANSWER, "b.example", refused[i].type, refused[i].data, refused[i].length),
            STATUS_MALFORMED);
        assert_int_equal(out.length, before);
    }
    assert_int_equal(add(&packer, DNS_SECTION_ANSWER, "a.example", DNS_TYPE_SOA, "\1a\0", 3), STATUS_OK);
    assert_int_equal(add(&packer, DNS_SECTION_ANSWER, "a.example", DNS_TYPE_MX, "\300", 1), STATUS_OK);
    assert_int_equal(add(&packer, DNS_SECTION_ANSWER, "a.example", DNS_TYPE_A, "\300\14", 2), STATUS_OK);
    assert_int_equal(dns_packer_finish(&packer), STATUS_OK);
    char owner[DNS_NAME_TEXT_MAX];
    uint8_t data[256];
    assert_int_equal(record_at(&out, DNS_SECTION_ANSWER, 0, owner, data), 3);
    assert_int_equal(record_at(&out, DNS_SECTION_ANSWER, 1, owner, data), 1);
    assert_int_equal(record_at(&out, DNS_SECTION_ANSWER, 2, owner, data), 2);
    buffer_free(&out);
}

static void letters_are_kept(void **state)
{
    (void)state;
    struct buffer out = {0};
    struct dns_packer packer;
    char owner[DNS_NAME_TEXT_MAX];
    uint8_t data[256];
    static const char *const owners[] = {"www.Example",   "WWW.example", "www.example",
                                         "x.www.Example", "WWW.Example", "."};
    static const size_t sizes[] = {2 + 14, 4 + 9 + 14, 4 + 2 + 14, 2 + 2 + 14, 4 + 2 + 14, 1 + 14};
    start(&packer, &out, DNS_MESSAGE_MAX);
    add_question(&packer, "www.Example");
    for (size_t i = 0; i < sizeof owners / sizeof owners[0]; i++) {
        const size_t before = out.length;
        add_address(&packer, DNS_SECTION_ANSWER, owners[i]);
        assert_int_equal(out.length - before, sizes[i]);
    }
    assert_int_equal(dns_packer_finish(&packer), STATUS_OK);
    for (unsigned i = 0; i < sizeof owners / sizeof owners[0]; i++) {
        record_at(&out, DNS_SECTION_ANSWER, i, owner, data);
        assert_string_equal(owner, owners[i]);
    }
    buffer_free(&out);
}

static void pointers_reach_16383_and_no_further(void **state)
{
    (void)state;
    /* A name at exactly `place` can be pointed at below 16384 only. */
    for (size_t place = 0x3ffe; place <= 0x4001; place++) {
        struct buffer out = {0};
        struct dns_packer packer;
        static const uint8_t filler[0x4000];
        char owner[DNS_NAME_TEXT_MAX];
        uint8_t data[4];
        start(&packer, &out, DNS_MESSAGE_MAX);
        add_question(&packer, ".");
        assert_int_equal(add(&packer, DNS_SECTION_ANSWER, ".", 65280, filler, place - out.length - 11), STATUS_OK);
        assert_int_equal(out.length, place);
        add_address(&packer, DNS_SECTION_ANSWER, "far");
        const size_t before = out.length;
        add_address(&packer, DNS_SECTION_ANSWER, "far");
        assert_int_equal(out.length - before, 14 + (place < 0x4000 ? 2 : 5));
        assert_int_equal(dns_packer_finish(&packer), STATUS_OK);
        for (unsigned i = 1; i < 3; i++) {
            record_at(&out, DNS_SECTION_ANSWER, i, owner, data);
            assert_string_equal(owner, "far");
        }
        buffer_free(&out);
    }
}

/* First parents, then the same label below each of them, then more names than the table has room for, and at last that
 * label alone. */
static const char *nth_name(unsigned n, char out[static 64])
{
    enum { PARENTS = 300, FILLED = 2400 };
    if (n >= FILLED)
        return "web";
    if (n < PARENTS)
        snprintf(out, 64, "d%u.example", n);
    else if (n < 2 * PARENTS)
        snprintf(out, 64, "web.d%u.example", n - PARENTS);
    else
        snprintf(out, 64, "n%u.example", n);
    return out;
}

static void many_names_fill_the_table_and_stay_right(void **state)
{
    (void)state;
    enum { NAMES = 2500 };
    struct buffer out = {0};
    struct dns_packer packer;
    struct dns_message message;
    struct dns_reader reader;
    struct dns_record record;
    struct buffer expanded = {0};
    char text[64], owner[DNS_NAME_TEXT_MAX];
    start(&packer, &out, DNS_MESSAGE_MAX);
    add_question(&packer, "a.example");
    for (unsigned i = 0; i < NAMES; i++)
        add_address(&packer, DNS_SECTION_ANSWER, nth_name(i, text));
    assert_int_equal(dns_packer_finish(&packer), STATUS_OK);
    check_parse(&out, &message);
    dns_reader_start(&reader, &message, DNS_SECTION_ANSWER, &expanded);
    for (unsigned i = 0; i < NAMES; i++) {
        assert_int_equal(dns_reader_next(&reader, &record), STATUS_OK);
        dns_name_to_text(record.name, DNS_NAME_PLAIN, owner);
        assert_string_equal(owner, nth_name(i, text));
    }
    assert_int_equal(dns_reader_next(&reader, &record), STATUS_NOT_FOUND);
    /* The suffixes stay shared: 2 bytes for example, not 9. */
    assert_true(out.length < NAMES * (10 + 2 + 14));
    buffer_free(&expanded);
    buffer_free(&out);
}

static void what_does_not_fit_leaves_no_trace(void **state)
{
    (void)state;
    /* The limit falls on each byte of two records in turn. What is left is whole, and the second's owner, below the
     * first's, points at nothing that was taken back. */
    static const char ns[] = "\2ns\5other";
    for (size_t limit = 27; limit < 27 + 23 + 14 + 2; limit++) {
        struct buffer out = {0};
        struct dns_packer packer;
        struct dns_message message;
        char owner[DNS_NAME_TEXT_MAX];
        uint8_t data[64];
        start(&packer, &out, limit);
        add_question(&packer, "a.example");
        const enum status first = add(&packer, DNS_SECTION_ANSWER, "b", DNS_TYPE_NS, ns, sizeof ns);
        assert_int_equal(first, limit < 27 + 3 + 10 + 10 ? STATUS_NO_SPACE : STATUS_OK);
        const size_t kept = out.length;
        assert_int_equal(kept, first == STATUS_OK ? 50 : 27);
        const enum status second = add(&packer, DNS_SECTION_ADDITIONAL, "c.b", TYPE_TSIG, "", 0);
        assert_int_equal(second, limit < kept + (first == STATUS_OK ? 4 : 5) + 10 ? STATUS_NO_SPACE : STATUS_OK);
        assert_true(out.length <= limit);
        assert_int_equal(dns_packer_finish(&packer), STATUS_OK);
        check_parse(&out, &message);
        assert_int_equal(message.header.counts[DNS_SECTION_ANSWER], first == STATUS_OK);
        assert_int_equal(message.header.counts[DNS_SECTION_ADDITIONAL], second == STATUS_OK);
        if (second == STATUS_OK) {
            record_at(&out, DNS_SECTION_ADDITIONAL, 0, owner, data);
            assert_string_equal(owner, "c.b");
        }
        buffer_free(&out);
    }
}

static void sections_come_in_order(void **state)
{
    (void)state;
    struct buffer out = {0};
    struct dns_packer packer;
    const struct dns_name name = name_of("a");
    start(&packer, &out, DNS_MESSAGE_MAX);
    add_address(&packer, DNS_SECTION_AUTHORITY, "a");
    assert_int_equal(add(&packer, DNS_SECTION_ANSWER, "a", 65280, "", 0), STATUS_INVALID);
    assert_int_equal(
        dns_packer_question(&packer, &(struct dns_question){.name = name.wire, .name_length = name.length}),
        STATUS_INVALID);
    assert_int_equal(dns_packer_finish(&packer), STATUS_OK);
    assert_int_equal(load_u16(out.data + 8), 1);
    buffer_clear(&out);
    start(&packer, &out, 11);
    assert_int_equal(add(&packer, DNS_SECTION_ANSWER, "a", 65280, "", 0), STATUS_NO_SPACE);
    assert_int_equal(dns_packer_finish(&packer), STATUS_NO_SPACE);
    assert_int_equal(out.length, 0);
    buffer_free(&out);
}

static void deep_names_become_one_pointer(void **state)
{
    (void)state;
    /* 127 labels, all suffixes known: found in one walk, written as one pointer. */
    char deep[255];
    struct buffer out = {0};
    struct dns_packer packer;
    for (size_t i = 0; i < 126; i++)
        memcpy(deep + 2 * i, "a.", 3);
    start(&packer, &out, DNS_MESSAGE_MAX);
    add_question(&packer, "q");
    add_address(&packer, DNS_SECTION_ANSWER, deep);
    for (unsigned i = 0; i < 4000; i++) {
        const size_t before = out.length;
        add_address(&packer, DNS_SECTION_ANSWER, deep);
        assert_int_equal(out.length - before, 16);
    }
    assert_int_equal(dns_packer_finish(&packer), STATUS_OK);
    buffer_free(&out);
}

/* How many pointers a reader follows for the name at `place`, which is `expected` written out. */
static unsigned hops_at(const struct buffer *out, size_t place, const char *expected)
{
    const struct dns_name name = name_of(expected);
    unsigned hops = 0;
    for (size_t at = 0; at < name.length;) {
        for (; out->data[place] >= 0xc0; hops++)
            place = load_u16(out->data + place) & 0x3fff;
        const size_t length = out->data[place] + 1u;
        assert_memory_equal(out->data + place, name.wire + at, length);
        place += length;
        at += length;
    }
    return hops;
}

static void chains_of_pointers_are_short(void **state)
{
    (void)state;
    /* l1.x, l2.l1.x, …: each a label before the one in front of it. */
    enum { DEPTH = 50 };
    char text[DNS_NAME_TEXT_MAX] = "x";
    struct buffer out = {0};
    struct dns_packer packer;
    unsigned longest = 0;
    size_t total = 0;
    start(&packer, &out, DNS_MESSAGE_MAX);
    add_question(&packer, "q");
    for (unsigned i = 1; i <= DEPTH; i++) {
        char shorter[DNS_NAME_TEXT_MAX];
        snprintf(shorter, sizeof shorter, "%s", text);
        assert_true(snprintf(text, sizeof text, "l%u.%.240s", i, shorter) < 250);
        for (unsigned twice = 0; twice < 2; twice++) {
            const size_t place = out.length;
            add_address(&packer, DNS_SECTION_ANSWER, text);
            const unsigned hops = hops_at(&out, place, text);
            longest = hops > longest ? hops : longest;
            total += out.length - place - 14;
        }
    }
    assert_int_equal(longest, 8);
    /* Most are still a label or none, and a pointer. */
    assert_in_range(total, 0, DEPTH * 20);
    assert_int_equal(dns_packer_finish(&packer), STATUS_OK);
    char owner[DNS_NAME_TEXT_MAX];
    uint8_t data[256];
    record_at(&out, DNS_SECTION_ANSWER, 2 * DEPTH - 1, owner, data);
    assert_string_equal(owner, text);
    buffer_free(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(question_and_answer_share_the_name),
        cmocka_unit_test(only_the_old_types_are_compressed),
        cmocka_unit_test(data_whose_names_a_reader_could_not_expand_is_refused),
        cmocka_unit_test(letters_are_kept),
        cmocka_unit_test(pointers_reach_16383_and_no_further),
        cmocka_unit_test(many_names_fill_the_table_and_stay_right),
        cmocka_unit_test(what_does_not_fit_leaves_no_trace),
        cmocka_unit_test(sections_come_in_order),
        cmocka_unit_test(deep_names_become_one_pointer),
        cmocka_unit_test(chains_of_pointers_are_short),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
