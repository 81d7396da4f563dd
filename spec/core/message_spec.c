/* Messages: hostile counts and lengths, cutting to size, edits of OPT, errors. */
#include "messages.h"

/* --- checking --- */

static void reasons_name_the_place(void **state)
{
    (void)state;
    static const struct {
        const char *wire;
        size_t length;
        const char *reason;
    } cases[] = {
        {BYTES(""), "0 bytes are too few for a message"},
        {BYTES("\x12\x34\1\0\0\1\0\0\0\0\0"), "11 bytes are too few for a message"},
        {BYTES(HEADER("\1\0", "\1", "\0", "\0", "\0")), "question #1: missing, the message ends at 12"},
        {BYTES(HEADER("\1\0", "\2", "\0", "\0", "\0") QUESTION), "question #2: missing, the message ends at 27"},
        {BYTES(HEADER("\1\0", "\1", "\0", "\0", "\0") "\1a\7example\0\0\1\0"),
         "question #1: cut off by the message's end at 26"},
        {BYTES(HEADER("\1\0", "\1", "\0", "\0", "\0") "\1a\7exam"), "question #1: name at offset 12 is cut off"},
        {BYTES(HEADER("\1\0", "\1", "\0", "\0", "\0") "\1a\xc0\x0c\0\1\0\1"),
         "question #1: name at offset 12 points into itself"},
        {BYTES(HEADER("\1\0", "\1", "\0", "\0", "\0") QUESTION "abc"), "3 bytes left over behind the last record"},
        {BYTES(HEADER("\1\0", "\1", "\0", "\0", "\0") QUESTION "a"), "1 byte left over behind the last record"},
        {BYTES(HEADER("\x81\0", "\1", "\2", "\0", "\0") QUESTION ANSWER), "answer #2: missing, the message ends at 43"},
        {BYTES(HEADER("\x81\0", "\1", "\1", "\0", "\0") QUESTION "\xc0\x20\0\1\0\1\0\0\1\x2c\0\4\300\0\2\1"),
         "answer #1: name at offset 27 points forward"},
        {BYTES(HEADER("\x81\0", "\1", "\0", "\1", "\0") QUESTION "\xc0\x0c\0\1\0\1\0\0\1\x2c\0"),
         "authority #1: cut off by the message's end at 38"},
        {BYTES(HEADER("\x81\0", "\1", "\0", "\0", "\1") QUESTION "\xc0\x0c\0\1\0\1\0\0\1\x2c\0\4\300\0\2"),
         "additional #1: record data ends at 43, behind the message's 42 bytes"},
        {BYTES(HEADER("\x81\0", "\1", "\0", "\0", "\1") QUESTION "\xc0\x0c\0\1\0\1\0\0\1\x2c\xff\xff"),
         "additional #1: record data ends at 65574, behind the message's 39 bytes"},
        {BYTES(HEADER("\x81\0", "\1", "\1", "\0", "\0") QUESTION "\xc0\x0c\0\5\0\1\0\0\1\x2c\0\2\xc0\x27"),
         "answer #1: name at offset 39 points into itself"},
        {BYTES(HEADER("\x81\0", "\1", "\1", "\0", "\0") QUESTION "\xc0\x0c\0\5\0\1\0\0\1\x2c\0\4\1b\xc0\x40"),
         "answer #1: name at offset 39 points forward"},
        {BYTES(HEADER("\x81\0", "\1", "\2", "\0", "\0") QUESTION "\xc0\x0c\0\5\0\1\0\0\1\x2c\0\2\1b" ANSWER),
         "answer #1: name at offset 39 is cut off"},
        {BYTES(HEADER("\x81\0", "\0", "\1", "\0", "\0") ANSWER), "answer #1: name at offset 12 points into itself"},
        {BYTES("\x12\x34\x81\0\xff\xff\xff\xff\xff\xff\xff\xff" QUESTION),
         "question #2: missing, the message ends at 27"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        uint8_t *copy = malloc(cases[i].length ? cases[i].length : 1);
        struct dns_message message = {.length = 0xa5a5};
        struct reason reason = {""};
        assert_non_null(copy);
        memcpy(copy, cases[i].wire, cases[i].length);
        assert_int_equal(dns_message_parse(copy, cases[i].length, &message, &reason), STATUS_MALFORMED);
        assert_string_equal(reason.text, cases[i].reason);
        assert_int_equal(message.length, 0xa5a5);
        assert_int_equal(dns_message_parse(copy, cases[i].length, &message, NULL), STATUS_MALFORMED);
        free(copy);
    }
}

static void names_in_data_count_only_where_they_may_be_compressed(void **state)
{
    (void)state;
    /* The same data is a forward pointer in a CNAME, and bytes in a TXT or a type that came after RFC 3597. */
    static const uint16_t opaque[] = {16, 39, 46, 64, 65280};
    uint8_t wire[] = HEADER("\x81\0", "\1", "\1", "\0", "\0") QUESTION "\xc0\x0c\0\5\0\1\0\0\1\x2c\0\2\xc0\x40";
    struct dns_message message;
    assert_int_equal(dns_message_parse(wire, sizeof wire - 1, &message, NULL), STATUS_MALFORMED);
    for (size_t i = 0; i < sizeof opaque / sizeof opaque[0]; i++) {
        store_u16(wire + 29, opaque[i]);
        assert_int_equal(dns_message_parse(wire, sizeof wire - 1, &message, NULL), STATUS_OK);
    }
    /* Empty data has no name in it (RFC 2136 section 2.5.2). */
    store_u16(wire + 29, DNS_TYPE_CNAME);
    store_u16(wire + 37, 0);
    assert_int_equal(dns_message_parse(wire, sizeof wire - 3, &message, NULL), STATUS_OK);
}

static void header_alone_is_a_message(void **state)
{
    (void)state;
    struct dns_message message;
    assert_int_equal(dns_message_parse((const uint8_t *)HEADER("\1\0", "\0", "\0", "\0", "\0"), 12, &message, NULL),
                     STATUS_OK);
    assert_null(message.question.name);
    assert_int_equal(message.opt.count, 0);
    for (size_t i = 0; i < 5; i++)
        assert_int_equal(message.section[i], 12);
}

static void opt_counts_in_the_additional_section(void **state)
{
    (void)state;
    static const char opt[] = "\0\0\x29\x04\xd0\x01\0\x80\0\0\5\0\x0f\0\1x";
    static const char other[] = "\0\0\x29\x10\0\0\0\0\0\0\0";
    struct dns_message message;
    struct buffer wire = {0};

    buffer_append(&wire, BYTES(HEADER("\x81\0", "\1", "\0", "\0", "\2") QUESTION));
    buffer_append(&wire, BYTES(opt));
    buffer_append(&wire, BYTES(other));
    check_parse(&wire, &message);
    assert_int_equal(message.opt.count, 2);
    assert_int_equal(message.opt.offset, 27);
    assert_int_equal(message.opt.udp_payload_size, 1232);
    assert_int_equal(message.opt.version, 0);
    assert_true(message.opt.dnssec_ok);
    assert_int_equal(message.opt.options.length, 5);
    assert_memory_equal(message.opt.options.data, "\0\x0f\0\1x", 5);
    assert_int_equal(dns_message_response_code(&message), 16);

    store_u16(wire.data + 6, 2);
    store_u16(wire.data + 10, 0);
    check_parse(&wire, &message);
    assert_int_equal(message.opt.count, 0);
    assert_int_equal(dns_message_response_code(&message), 0);
    buffer_free(&wire);
}

/* --- cutting to size --- */

/* Question, three answers, an authority, two additionals and OPT with an option of its own, at the end or in front. */
static void long_message(struct buffer *out, bool opt_first)
{
    struct dns_packer packer;
    static const char option[] = "\0\x0a\0\10cookie!!";
    buffer_clear(out);
    start(&packer, out, DNS_MESSAGE_MAX);
    add_question(&packer, "www.example");
    for (unsigned i = 0; i < 3; i++)
        add_address(&packer, DNS_SECTION_ANSWER, "www.example");
    assert_int_equal(add(&packer, DNS_SECTION_AUTHORITY, "example", DNS_TYPE_NS, "\2ns\7example", 12), STATUS_OK);
    if (opt_first)
        assert_int_equal(add(&packer, DNS_SECTION_ADDITIONAL, ".", DNS_TYPE_OPT, BYTES(option)), STATUS_OK);
    add_address(&packer, DNS_SECTION_ADDITIONAL, "ns.other");
    add_address(&packer, DNS_SECTION_ADDITIONAL, "deep.ns.other");
    if (!opt_first)
        assert_int_equal(add(&packer, DNS_SECTION_ADDITIONAL, ".", DNS_TYPE_OPT, BYTES(option)), STATUS_OK);
    assert_int_equal(dns_packer_finish(&packer), STATUS_OK);
}

static unsigned record_count(const struct dns_message *message)
{
    return (unsigned)message->header.counts[1] + message->header.counts[2] + message->header.counts[3];
}

static void cut_at_every_length(void **state)
{
    (void)state;
    enum { OPT_BARE = 11, OPT_WHOLE = 23 };
    for (int opt_first = 0; opt_first <= 1; opt_first++) {
        struct buffer whole = {0}, cut = {0};
        struct dns_message before, after;
        unsigned most = 0;
        long_message(&whole, opt_first);
        check_parse(&whole, &before);
        const size_t questions = before.section[1];
        for (size_t limit = DNS_HEADER_SIZE; limit <= whole.length; limit++) {
            buffer_clear(&cut);
            buffer_append(&cut, whole.data, whole.length);
            assert_int_equal(dns_message_truncate(&cut, limit), STATUS_OK);
            assert_true(cut.length <= limit);
            check_parse(&cut, &after);
            assert_int_equal(after.header.id, before.header.id);
            if (limit == whole.length) {
                assert_memory_equal(cut.data, whole.data, whole.length);
                continue;
            }
            assert_int_equal(after.header.flags, before.header.flags | DNS_FLAG_TC);
            assert_int_equal(after.header.counts[0], limit >= questions);
            assert_int_equal(after.opt.count, limit >= questions + OPT_BARE);
            if (limit >= questions + OPT_WHOLE)
                assert_int_equal(after.opt.options.length, 12);
            else
                assert_int_equal(after.opt.options.length, 0);
            /* What is kept grows with the limit, and all that fits is kept. */
            const unsigned kept = record_count(&after);
            assert_true(kept >= most);
            most = kept;
            if (limit >= questions + OPT_WHOLE && limit < before.section[3])
                assert_int_equal(kept, 1 + (limit - questions - OPT_WHOLE) / 16);
        }
        assert_int_equal(most, record_count(&before) - 1);
        assert_int_equal(dns_message_truncate(&whole, DNS_HEADER_SIZE - 1), STATUS_NO_SPACE);
        buffer_free(&cut);
        buffer_free(&whole);
    }
}

/* --- edits --- */

static void opt_goes_from_anywhere(void **state)
{
    (void)state;
    for (int opt_first = 0; opt_first <= 1; opt_first++) {
        struct buffer wire = {0};
        struct dns_message message;
        char owner[DNS_NAME_TEXT_MAX];
        uint8_t data[16];
        long_message(&wire, opt_first);
        const size_t length = wire.length;
        assert_int_equal(dns_message_remove_opt(&wire), STATUS_OK);
        assert_int_equal(wire.length, length - 23);
        check_parse(&wire, &message);
        assert_int_equal(message.opt.count, 0);
        assert_int_equal(message.header.counts[DNS_SECTION_ADDITIONAL], 2);
        record_at(&wire, DNS_SECTION_ADDITIONAL, 0, owner, data);
        assert_string_equal(owner, "ns.other");
        record_at(&wire, DNS_SECTION_ADDITIONAL, 1, owner, data);
        assert_string_equal(owner, "deep.ns.other");
        assert_int_equal(dns_message_remove_opt(&wire), STATUS_OK);
        assert_int_equal(wire.length, length - 23);

        assert_int_equal(dns_message_add_opt(&wire, 4096, 0x123, true), STATUS_OK);
        assert_int_equal(wire.length, length - 12);
        check_parse(&wire, &message);
        assert_int_equal(message.opt.count, 1);
        assert_int_equal(message.opt.udp_payload_size, 4096);
        assert_int_equal(message.opt.extended_response_code, 0x12);
        assert_true(message.opt.dnssec_ok);
        assert_int_equal(dns_message_add_opt(&wire, 512, 0, false), STATUS_OK);
        assert_int_equal(wire.length, length - 12);
        buffer_free(&wire);
    }
}

static void options_go_one_by_one(void **state)
{
    (void)state;
    static const uint16_t own[] = {11, 12};
    static const struct {
        const char *before;
        size_t length;
        const char *after;
        size_t kept;
    } cases[] = {
        {BYTES("\0\x0a\0\2cc\0\x0b\0\0\0\x0c\0\3\0\0\0"), BYTES("\0\x0a\0\2cc")},
        {BYTES("\0\x0b\0\2ab\0\x0a\0\2cc\0\x0c\0\0"), BYTES("\0\x0a\0\2cc")},
        {BYTES("\0\x0b\0\0"), BYTES("")},
        {BYTES(""), BYTES("")},
        {BYTES("\0\x0f\0\0"), BYTES("\0\x0f\0\0")},
        {BYTES("\0\x0c\0\0\0\x0c\0\5ab"), BYTES("\0\x0c\0\5ab")},
        {BYTES("\0\x0c\0\0\0\x0c\0"), BYTES("\0\x0c\0")},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        for (int last = 0; last <= 1; last++) {
            struct buffer wire = {0};
            struct dns_packer packer;
            struct dns_message message;
            start(&packer, &wire, DNS_MESSAGE_MAX);
            add_question(&packer, "a.example");
            assert_int_equal(add(&packer, DNS_SECTION_ADDITIONAL, ".", DNS_TYPE_OPT, cases[i].before, cases[i].length),
                             STATUS_OK);
            if (!last) {
                add_address(&packer, DNS_SECTION_ADDITIONAL, "x.y");
                add_address(&packer, DNS_SECTION_ADDITIONAL, "z.x.y");
            }
            assert_int_equal(dns_packer_finish(&packer), STATUS_OK);
            assert_int_equal(dns_message_remove_options(&wire, own, 2), STATUS_OK);
            check_parse(&wire, &message);
            assert_int_equal(message.opt.count, 1);
            assert_int_equal(message.opt.options.length, cases[i].kept);
            assert_memory_equal(message.opt.options.data, cases[i].after, cases[i].kept);
            assert_int_equal(message.header.counts[DNS_SECTION_ADDITIONAL], last ? 1 : 3);
            if (!last) {
                char owner[DNS_NAME_TEXT_MAX];
                uint8_t data[16];
                record_at(&wire, DNS_SECTION_ADDITIONAL, 2, owner, data);
                assert_string_equal(owner, "z.x.y");
            }
            buffer_free(&wire);
        }
    }
}

static void errors_answer_their_query(void **state)
{
    (void)state;
    static const char query[] = HEADER("\x29\x30", "\1", "\0", "\0", "\1") QUESTION "\0\0\x29\x04\xd0\0\0\x80\0\0\0";
    struct dns_message message, error;
    struct buffer out = {0};
    assert_int_equal(dns_message_parse((const uint8_t *)query, sizeof query - 1, &message, NULL), STATUS_OK);
    assert_int_equal(dns_message_make_error(&message, DNS_RCODE_BADVERS, &out), STATUS_OK);
    check_parse(&out, &error);
    assert_int_equal(error.header.id, 0x1234);
    /* Op code 5, RD and CD are the query's; AD is not. */
    assert_int_equal(error.header.flags, DNS_FLAG_QR | 5 << 11 | DNS_FLAG_RD | DNS_FLAG_CD);
    assert_int_equal(dns_message_response_code(&error), DNS_RCODE_BADVERS);
    assert_true(dns_question_equal(&error.question, &message.question));
    assert_int_equal(error.opt.count, 1);
    assert_true(error.opt.dnssec_ok);

    assert_int_equal(
        dns_message_parse((const uint8_t *)HEADER("\1\0", "\1", "\0", "\0", "\0") QUESTION, 27, &message, NULL),
        STATUS_OK);
    assert_int_equal(dns_message_make_error(&message, DNS_RCODE_SERVFAIL, &out), STATUS_OK);
    assert_int_equal(out.length, 27);
    assert_memory_equal(out.data, HEADER("\x81\2", "\1", "\0", "\0", "\0") QUESTION, 27);
    assert_int_equal(dns_message_make_error(&message, DNS_RCODE_BADVERS, &out), STATUS_INVALID);
    assert_int_equal(out.length, 27);
    buffer_free(&out);
}

static void formerr_keeps_what_can_be_read(void **state)
{
    (void)state;
    struct buffer out = {0};
    assert_int_equal(
        dns_message_make_formerr((const uint8_t *)BYTES(HEADER("\1\0", "\1", "\1", "\0", "\0") QUESTION "?"), &out),
        STATUS_OK);
    assert_int_equal(out.length, 27);
    assert_memory_equal(out.data, HEADER("\x81\1", "\1", "\0", "\0", "\0") QUESTION, 27);
    assert_int_equal(dns_message_make_formerr(
                         (const uint8_t *)BYTES(HEADER("\1\0", "\2", "\0", "\0", "\0") QUESTION QUESTION), &out),
                     STATUS_OK);
    assert_int_equal(out.length, 27);
    assert_int_equal(
        dns_message_make_formerr((const uint8_t *)BYTES(HEADER("\1\0", "\1", "\0", "\0", "\0") "\1a\xc0\x0c"), &out),
        STATUS_OK);
    assert_int_equal(out.length, 12);
    assert_memory_equal(out.data, HEADER("\x81\1", "\0", "\0", "\0", "\0"), 12);
    assert_int_equal(dns_message_make_formerr((const uint8_t *)"\x12\x34\1\0\0\1\0\0\0\0\0", 11, &out),
                     STATUS_MALFORMED);
    assert_int_equal(dns_message_make_formerr((const uint8_t *)HEADER("\x81\0", "\0", "\0", "\0", "\0"), 12, &out),
                     STATUS_MALFORMED);
    assert_int_equal(out.length, 12);
    buffer_free(&out);
}

static void equal_is_what_goes_on_the_wire(void **state)
{
    (void)state;
    static const char plain[] =
        HEADER("\x81\0", "\1", "\1", "\0", "\0") QUESTION "\1A\7eXample\0\0\1\0\1\0\0\1\x2c\0\4\300\0\2\1";
    static const char compressed[] = HEADER("\x81\0", "\1", "\1", "\0", "\0") QUESTION ANSWER;
    struct dns_message a, b;
    bool equal = false;
    assert_int_equal(dns_message_parse((const uint8_t *)BYTES(plain), &a, NULL), STATUS_OK);
    assert_int_equal(dns_message_parse((const uint8_t *)BYTES(compressed), &b, NULL), STATUS_OK);
    assert_int_equal(dns_message_equal(&a, &b, &equal), STATUS_OK);
    assert_true(equal);
    /* Each byte counts: id, flags, type, class, TTL, data. The names' letters are the exception, tried above. */
    static const size_t places[] = {0, 1, 2, 3, 13, 24, 26, 30, 32, 35, 36, 39, 42};
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        uint8_t changed[sizeof compressed];
        struct dns_message c;
        memcpy(changed, compressed, sizeof compressed);
        changed[places[i]] ^= 1;
        assert_int_equal(dns_message_parse(changed, sizeof changed - 1, &c, NULL), STATUS_OK);
        assert_int_equal(dns_message_equal(&b, &c, &equal), STATUS_OK);
        assert_false(equal);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reasons_name_the_place),
        cmocka_unit_test(names_in_data_count_only_where_they_may_be_compressed),
        cmocka_unit_test(header_alone_is_a_message),
        cmocka_unit_test(opt_counts_in_the_additional_section),
        cmocka_unit_test(cut_at_every_length),
        cmocka_unit_test(opt_goes_from_anywhere),
        cmocka_unit_test(options_go_one_by_one),
        cmocka_unit_test(errors_answer_their_query),
        cmocka_unit_test(formerr_keeps_what_can_be_read),
        cmocka_unit_test(equal_is_what_goes_on_the_wire),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
