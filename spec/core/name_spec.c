/* Names: what RFC 9267 lists as the parsers' classic mistakes, limits to the byte, and text both ways. */
#include "dns/idna.h"
#include "dns/name.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

enum { BODY = 12 /* where the messages' bodies start */ };

/* --- from the wire --- */

/* Reads the name at `offset` of a message that ends where its heap block ends, so that a sanitizer sees each byte too
 * far. The outputs of a failure must be untouched, and reading and skipping must agree. */
static enum status read_at(const uint8_t *message, size_t length, size_t offset, struct dns_name *out, size_t *behind,
                           struct reason *reason)
{
    uint8_t *copy = malloc(length ? length : 1);
    assert_non_null(copy);
    memcpy(copy, message, length);
    struct cursor reading = {.data = copy, .length = length, .offset = offset}, skipping = reading;
    struct reason skipped = {""};
    memset(out, 0xa5, sizeof *out);
    const enum status status = dns_name_read(&reading, out, reason);
    assert_int_equal(dns_name_skip(&skipping, &skipped), status);
    assert_int_equal(reading.failed, status != STATUS_OK);
    assert_int_equal(skipping.failed, status != STATUS_OK);
    if (status == STATUS_OK) {
        assert_int_equal(reading.offset, skipping.offset);
        *behind = reading.offset;
    } else {
        assert_string_equal(skipped.text, reason->text);
        for (size_t i = 0; i < sizeof *out; i++)
            assert_int_equal(((uint8_t *)out)[i], 0xa5);
    }
    free(copy);
    return status;
}

/* The name at `offset` in a message of a zeroed header and `body`. */
static enum status read_body(const void *body, size_t length, size_t offset, struct dns_name *out, size_t *behind,
                             struct reason *reason)
{
    uint8_t message[4096] = {0};
    assert_true(BODY + length <= sizeof message);
    memcpy(message + BODY, body, length);
    return read_at(message, BODY + length, offset, out, behind, reason);
}

static void classic_mistakes(void **state)
{
    (void)state;
    static const struct {
        const char *body;
        size_t length, offset;
        const char *reason;
    } cases[] = {
        {"\xc0\x0c", 2, 12, "name at offset 12 points into itself"},
        {"\1a\xc0\x0c", 4, 12, "name at offset 12 points into itself"},
        {"\1a\xc0\x0e", 4, 12, "name at offset 12 points into itself"},
        {"\xc0\x0e\xc0\x0c", 4, 12, "name at offset 12 points forward"},
        {"\xc0\x0e\xc0\x0c", 4, 14, "name at offset 14 points forward"},
        {"\1a\xc0\x10\1b\0", 7, 12, "name at offset 12 points forward"},
        {"\xc0\xff", 2, 12, "name at offset 12 points forward"},
        {"\0\2a\xc0\x0d\0", 6, 15, "name at offset 15 points into itself"},
        {"\0\3\xc0\x0d\0\0", 6, 14, "name at offset 14 points into itself"},
        {"\1a\0\xff\xff", 5, 15, "name at offset 15 points forward"},
        {"\0\xc0\x00", 3, 13, "name at offset 13 points into the header"},
        {"\0\xc0\x0b", 3, 13, "name at offset 13 points into the header"},
        {"\0\xc0", 2, 13, "name at offset 13 is cut off"},
        {"\1a\xc0", 3, 12, "name at offset 12 is cut off"},
        {"", 0, 12, "name at offset 12 is cut off"},
        {"\3ab", 3, 12, "name at offset 12 is cut off"},
        {"\3abc", 4, 12, "name at offset 12 is cut off"},
        {"\77abc", 4, 12, "name at offset 12 is cut off"},
        {"\x40", 1, 12, "name at offset 12 has a label of an unknown kind"},
        {"\x80\0", 2, 12, "name at offset 12 has a label of an unknown kind"},
        {"\1a\xbf\0", 4, 12, "name at offset 12 has a label of an unknown kind"},
        {"\x41\x61\0\xc0\x0c", 5, 15, "name at offset 15 has a label of an unknown kind"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct dns_name name;
        struct reason reason = {""};
        size_t behind;
        assert_int_equal(read_body(cases[i].body, cases[i].length, cases[i].offset, &name, &behind, &reason),
                         STATUS_MALFORMED);
        assert_string_equal(reason.text, cases[i].reason);
    }
}

static void pointers_lead_backwards(void **state)
{
    (void)state;
    static const char body[] = "\7Example\3com\0\3www\xc0\x0c\xc0\x19\xc0\x14";
    static const struct {
        size_t offset, behind;
        const char *text;
    } cases[] = {{12, 25, "Example.com"}, {25, 31, "www.Example.com"}, {31, 33, "www.Example.com"}, {33, 35, "com"}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct dns_name name;
        struct reason reason;
        size_t behind = 0;
        char text[DNS_NAME_TEXT_MAX];
        assert_int_equal(read_body(body, sizeof body - 1, cases[i].offset, &name, &behind, &reason), STATUS_OK);
        assert_int_equal(behind, cases[i].behind);
        assert_int_equal(dns_name_wire_length(name.wire, name.length), name.length);
        dns_name_to_text(name.wire, DNS_NAME_PLAIN, text);
        assert_string_equal(text, cases[i].text);
    }
}

/* A name of `labels` labels of one byte each; 127 of them make 255 bytes. */
static size_t short_labels(uint8_t *to, size_t labels)
{
    for (size_t i = 0; i < labels; i++) {
        *to++ = 1;
        *to++ = 'a';
    }
    *to = 0;
    return 2 * labels + 1;
}

static void length_ends_at_255(void **state)
{
    (void)state;
    uint8_t body[512];
    struct dns_name name;
    struct reason reason;
    size_t behind;

    assert_int_equal(short_labels(body, 127), 255);
    assert_int_equal(read_body(body, 255, BODY, &name, &behind, &reason), STATUS_OK);
    assert_int_equal(name.length, 255);
    assert_int_equal(dns_name_wire_length(body, 255), 255);

    const size_t length = short_labels(body, 128);
    assert_int_equal(read_body(body, length, BODY, &name, &behind, &reason), STATUS_MALFORMED);
    assert_string_equal(reason.text, "name at offset 12 is longer than 255 bytes");
    assert_int_equal(dns_name_wire_length(body, length), 0);

    /* The same through a pointer: 253 bytes at the target, and one label before it. */
    size_t n = short_labels(body, 126);
    memcpy(body + n, "\1b\xc0\x0c\2bb\xc0\x0c", 9);
    assert_int_equal(read_body(body, n + 9, BODY + n, &name, &behind, &reason), STATUS_OK);
    assert_int_equal(name.length, 255);
    assert_int_equal(read_body(body, n + 9, BODY + n + 4, &name, &behind, &reason), STATUS_MALFORMED);
    assert_string_equal(reason.text, "name at offset 269 is longer than 255 bytes");
}

static void pointer_chains_end(void **state)
{
    (void)state;
    /* Each pointer leads to the one before it: no byte of name, and quadratic work if nobody counts. */
    uint8_t body[1 + 2 * 128];
    struct dns_name name;
    struct reason reason;
    size_t behind;
    body[0] = 0;
    for (size_t i = 0; i < 128; i++)
        store_u16(body + 1 + 2 * i, (uint16_t)(0xc000 | (i == 0 ? BODY : BODY + 2 * i - 1)));
    assert_int_equal(read_body(body, sizeof body, BODY + 1 + 2 * 126, &name, &behind, &reason), STATUS_OK);
    assert_int_equal(name.length, 1);
    assert_int_equal(read_body(body, sizeof body, BODY + 1 + 2 * 127, &name, &behind, &reason), STATUS_MALFORMED);
    assert_string_equal(reason.text, "name at offset 267 has more than 127 pointers");
}

static void wire_length_wants_whole_names(void **state)
{
    (void)state;
    assert_int_equal(dns_name_wire_length((const uint8_t *)"\0", 1), 1);
    assert_int_equal(dns_name_wire_length((const uint8_t *)"\3www\0rest", 9), 5);
    assert_int_equal(dns_name_wire_length((const uint8_t *)"\3www", 4), 0);
    assert_int_equal(dns_name_wire_length((const uint8_t *)"\3ww", 3), 0);
    assert_int_equal(dns_name_wire_length((const uint8_t *)"", 0), 0);
    assert_int_equal(dns_name_wire_length((const uint8_t *)"\3www\xc0\x0c", 6), 0);
    assert_int_equal(dns_name_wire_length((const uint8_t *)"\x40", 1), 0);
}

/* --- text --- */

static void from_text(const char *text, struct dns_name *out)
{
    struct reason reason = {"no reason"};
    if (dns_name_from_text(text, strlen(text), out, &reason) != STATUS_OK)
        fail_msg("'%s': %s", text, reason.text);
}

static void text_becomes_wire(void **state)
{
    (void)state;
    static const struct {
        const char *text, *wire;
        size_t length;
    } cases[] = {
        {"", "\0", 1},
        {".", "\0", 1},
        {"com", "\3com\0", 5},
        {"com.", "\3com\0", 5},
        {"WWW.Example.com", "\3WWW\7Example\3com\0", 17},
        {"a\\.b.c", "\3a.b\1c\0", 7},
        {"a\\032b", "\3a b\0", 5},
        {"\\000\\255", "\2\0\xff\0", 4},
        {"\\\\\\\"\\(\\)\\;\\@\\$\\ ", "\10\\\"();@$ \0", 10},
        {"_sip._tcp.x-1!*'/:=?[]^`{|}~", "\4_sip\4_tcp\22x-1!*'/:=?[]^`{|}~\0", 30},
        {"B\xc3\xbc"
         "cher.example",
         "\15xn--bcher-kva\7example\0", 23},
        {"*.fa\xc3\x9f.example.", "\1*\12xn--fa-hia\7example\0", 22},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct dns_name name;
        from_text(cases[i].text, &name);
        assert_int_equal(name.length, cases[i].length);
        assert_memory_equal(name.wire, cases[i].wire, cases[i].length);
    }
}

static void text_is_refused(void **state)
{
    (void)state;
    static const char label64[] = "0123456789012345678901234567890123456789012345678901234567890123";
    char too_long[300] = "";
    for (size_t i = 0; i < 127; i++)
        memcpy(too_long + 2 * i, "a.", 3);
    struct dns_name name;
    from_text(too_long, &name);
    assert_int_equal(name.length, 255);
    memcpy(too_long, "aa", 2);
    memcpy(too_long + 2, ".a", 2);
    too_long[253] = 'b';
    too_long[254] = '\0';
    const struct {
        const char *text, *reason;
        size_t length;
    } cases[] = {
        {"a..b", "domain name expected, got 'a..b' (empty label)", 4},
        {".a", "domain name expected, got '.a' (empty label)", 2},
        {"..", "domain name expected, got '..' (empty label)", 2},
        {"a..", "domain name expected, got 'a..' (empty label)", 3},
        {"a b", "domain name expected, got 'a b' (character that must be escaped)", 3},
        {"a\nb", "domain name expected, got 'a\\010b' (character that must be escaped)", 3},
        {"a\0b", "domain name expected, got 'a\\000b' (character that must be escaped)", 3},
        {"a@b", "domain name expected, got 'a@b' (character that must be escaped)", 3},
        {"a\\", "domain name expected, got 'a\\' (unfinished escape)", 2},
        {"a\\25", "domain name expected, got 'a\\25' (unfinished escape)", 4},
        {"a\\2x5", "domain name expected, got 'a\\2x5' (unfinished escape)", 5},
        {"a\\256", "domain name expected, got 'a\\256' (escape above \\255)", 5},
        {"\xff.example", "domain name expected, got '\xff.example' (not UTF-8)", 9},
        {"\xc2\xad", "domain name expected, got '\xc2\xad' (empty label)", 2},
        {"a.\xc2\xad", "domain name expected, got 'a.\xc2\xad' (empty label)", 4},
        {"\xc3.example", "domain name expected, got '\xc3.example' (not UTF-8)", 9},
        {"\xc3\xbc\\.x",
         "domain name expected, got '\xc3\xbc\\.x' (escapes, spaces and control characters do not go "
         "with letters beyond ASCII)",
         5},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct reason reason = {""};
        memset(&name, 0xa5, sizeof name);
        assert_int_equal(dns_name_from_text(cases[i].text, cases[i].length, &name, &reason), STATUS_INVALID);
        assert_string_equal(reason.text, cases[i].reason);
        assert_int_equal(name.length, 0xa5);
        assert_int_equal(name.wire[0], 0xa5);
    }
    struct reason reason;
    assert_int_equal(dns_name_from_text(label64, 64, &name, &reason), STATUS_INVALID);
    assert_non_null(strstr(reason.text, "(label longer than 63 bytes)"));
    assert_int_equal(dns_name_from_text(label64, 63, &name, &reason), STATUS_OK);
    assert_int_equal(name.length, 65);
    assert_int_equal(dns_name_from_text(too_long, strlen(too_long), &name, &reason), STATUS_INVALID);
    assert_non_null(strstr(reason.text, "(longer than 255 bytes)"));
}

static void every_byte_survives(void **state)
{
    (void)state;
    for (unsigned byte = 0; byte < 256; byte++) {
        const uint8_t wire[] = {2, (uint8_t)byte, 'Z', 0};
        char text[DNS_NAME_TEXT_MAX];
        struct dns_name name;
        const size_t length = dns_name_to_text(wire, DNS_NAME_PLAIN, text);
        assert_int_equal(length, strlen(text));
        from_text(text, &name);
        assert_int_equal(name.length, sizeof wire);
        assert_memory_equal(name.wire, wire, sizeof wire);
        const bool plain = byte > ' ' && byte < 0x7f && !strchr(".\\\"();@$", (int)byte);
        assert_int_equal(length, plain ? 2 : byte > ' ' && byte < 0x7f ? 3 : 5);
    }
}

static void text_has_styles(void **state)
{
    (void)state;
    const uint8_t *name = (const uint8_t *)"\3WwW\4a.@ \0";
    char text[DNS_NAME_TEXT_MAX];
    dns_name_to_text(name, DNS_NAME_PLAIN, text);
    assert_string_equal(text, "WwW.a\\.\\@\\032");
    dns_name_to_text(name, DNS_NAME_LOWER | DNS_NAME_FINAL_DOT, text);
    assert_string_equal(text, "www.a\\.\\@\\032.");
    assert_int_equal(dns_name_to_text((const uint8_t *)"", DNS_NAME_PLAIN, text), 1);
    assert_string_equal(text, ".");
    assert_int_equal(dns_name_to_text((const uint8_t *)"", DNS_NAME_FINAL_DOT, text), 1);
    assert_string_equal(text, ".");
}

static void longest_text_fits(void **state)
{
    (void)state;
    uint8_t wire[DNS_NAME_MAX] = {0};
    char *text = malloc(DNS_NAME_TEXT_MAX);
    assert_non_null(text);
    wire[0] = wire[64] = wire[128] = 63;
    wire[192] = 61;
    assert_int_equal(dns_name_wire_length(wire, sizeof wire), 255);
    assert_int_equal(dns_name_to_text(wire, DNS_NAME_FINAL_DOT, text), 250 * 4 + 4);
    free(text);
}

/* --- comparing --- */

static void comparing_ignores_case_of_letters_only(void **state)
{
    (void)state;
    const struct {
        const char *a, *b;
        bool equal;
    } cases[] = {
        {"www.example.com", "WWW.eXample.COM", true},
        {"a", "b", false},
        {"a.b", "a\\.b", false},
        {"\\@a", "`a", false},
        {"[a", "{a", false},
        {"com", "com.com", false},
        {"\\195", "\\227", false},
        {".", "com", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct dns_name a, b;
        from_text(cases[i].a, &a);
        from_text(cases[i].b, &b);
        assert_int_equal(dns_name_equal(a.wire, b.wire), cases[i].equal);
        assert_int_equal(dns_name_equal(b.wire, a.wire), cases[i].equal);
    }
}

static void subdomains_end_at_labels(void **state)
{
    (void)state;
    const struct {
        const char *name, *parent;
        bool below;
    } cases[] = {
        {"www.example.com", "Example.com", true},
        {"example.com", "example.com", true},
        {"notexample.com", "example.com", false},
        {"com", "example.com", false},
        {"a", ".", true},
        {".", ".", true},
        {".", "a", false},
        {"a\\003com", "com", false},
        {"a\\.com", "com", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct dns_name name, parent;
        from_text(cases[i].name, &name);
        from_text(cases[i].parent, &parent);
        assert_int_equal(dns_name_is_subdomain(name.wire, parent.wire), cases[i].below);
    }
}

/* --- other scripts --- */

static void idna_both_ways(void **state)
{
    (void)state;
    static const struct {
        const char *unicode, *ascii;
    } cases[] = {
        {"b\xc3\xbc"
         "cher.example",
         "xn--bcher-kva.example"},
        {"fa\xc3\x9f.de.", "xn--fa-hia.de."},
        {"\xe4\xbe\x8b.\xe3\x83\x86\xe3\x82\xb9\xe3\x83\x88", "xn--fsq.xn--zckzah"},
        {"Plain_ASCII.a\\.b", "Plain_ASCII.a\\.b"},
        {"", ""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct buffer out = {0};
        struct reason reason;
        buffer_text(&out, "> ");
        assert_int_equal(dns_idna_to_ascii(cases[i].unicode, strlen(cases[i].unicode), &out, &reason), STATUS_OK);
        assert_string_equal(buffer_c_string(&out) + 2, cases[i].ascii);
        buffer_clear(&out);
        assert_int_equal(dns_idna_to_unicode(cases[i].ascii, strlen(cases[i].ascii), &out, &reason), STATUS_OK);
        assert_string_equal(buffer_c_string(&out), cases[i].unicode);
        buffer_free(&out);
    }
}

static void idna_leaves_what_is_none(void **state)
{
    (void)state;
    static const char *const kept[] = {"xn--", "xn--a-\xff", "xn--0", "xn--aaaa-9999999.x", "XN--foo\\.bar", "a..b"};
    for (size_t i = 0; i < sizeof kept / sizeof kept[0]; i++) {
        struct buffer out = {0};
        struct reason reason;
        assert_int_equal(dns_idna_to_unicode(kept[i], strlen(kept[i]), &out, &reason), STATUS_OK);
        assert_string_equal(buffer_c_string(&out), kept[i]);
        buffer_free(&out);
    }
    struct buffer out = {0};
    struct reason reason;
    buffer_text(&out, "kept");
    assert_int_equal(dns_idna_to_ascii("a.\xe2\x80\xae"
                                       "x",
                                       6, &out, &reason),
                     STATUS_INVALID);
    assert_int_equal(out.length, 4);
    buffer_free(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(classic_mistakes),
        cmocka_unit_test(pointers_lead_backwards),
        cmocka_unit_test(length_ends_at_255),
        cmocka_unit_test(pointer_chains_end),
        cmocka_unit_test(wire_length_wants_whole_names),
        cmocka_unit_test(text_becomes_wire),
        cmocka_unit_test(text_is_refused),
        cmocka_unit_test(every_byte_survives),
        cmocka_unit_test(text_has_styles),
        cmocka_unit_test(longest_text_fits),
        cmocka_unit_test(comparing_ignores_case_of_letters_only),
        cmocka_unit_test(subdomains_end_at_labels),
        cmocka_unit_test(idna_both_ways),
        cmocka_unit_test(idna_leaves_what_is_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
