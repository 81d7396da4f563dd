/* The hosts file: what it answers, and what it says of lines it cannot use. */
#include "net/hosts.h"
#include "packets.h"

#include <setjmp.h>
#include <stdarg.h>

#include "dns/text.h"

#include <cmocka.h>

struct heard {
    unsigned lines;
    char last[300];
};

static void hear(void *context, enum log_level level, const char *text, size_t length)
{
    struct heard *heard = context;
    assert_int_equal(level, LOG_WARN);
    heard->lines++;
    snprintf(heard->last, sizeof heard->last, "%.*s", (int)length, text);
}

static struct hosts *parse(const char *text, struct heard *heard)
{
    const struct log log = {.level = LOG_DEBUG, .sink = hear, .context = heard};
    struct hosts *hosts = NULL;
    *heard = (struct heard){0};
    must(hosts_parse(text, strlen(text), "hosts", &log, &hosts));
    return hosts;
}

/* The answer's records' data joined by spaces; "NODATA"; "forward". Lives until the next call. */
static const char *ask_class(const struct hosts *hosts, const char *name, uint16_t type, uint16_t class_)
{
    static char out[1000];
    struct buffer query = message_of(7, DNS_FLAG_RD, name, type), answer = {0}, text = {0}, expanded = {0};
    struct dns_message asked, view;
    store_u16(query.data + query.length - 2, class_);
    must(dns_message_parse(query.data, query.length, &asked, NULL));
    strcpy(out, "forward");
    if (hosts_answer(hosts, &asked, &answer) == STATUS_OK) {
        must(dns_message_parse(answer.data, answer.length, &view, NULL));
        assert_int_equal(view.header.id, 7);
        assert_int_equal(view.header.flags, DNS_FLAG_QR | DNS_FLAG_AA | DNS_FLAG_RD | DNS_FLAG_RA);
        assert_true(dns_question_equal(&view.question, &asked.question));
        struct dns_reader reader;
        struct dns_record record;
        dns_reader_start(&reader, &view, DNS_SECTION_ANSWER, &expanded);
        while (dns_reader_next(&reader, &record) == STATUS_OK) {
            assert_int_equal(record.ttl, HOSTS_TTL);
            assert_true(dns_name_equal(record.name, asked.question.name));
            buffer_text(&text, text.length ? " " : "");
            dns_rdata_to_text(&record, &text);
        }
        strcpy(out, text.length ? buffer_c_string(&text) : "NODATA");
    }
    buffer_free(&query);
    buffer_free(&answer);
    buffer_free(&text);
    buffer_free(&expanded);
    return out;
}

static const char *ask(const struct hosts *hosts, const char *name, uint16_t type)
{
    return ask_class(hosts, name, type, DNS_CLASS_IN);
}

static const char FILE_TEXT[] = "# the house\n"
                                "192.0.2.1\tPrinter.Example printer # by the door\r\n"
                                "192.0.2.2 printer\n"
                                "192.0.2.1 printer other\n"
                                "2001:db8::1 printer six\n"
                                "fe80::1%lo0 local\n";

static void answers_both_ways(void **state)
{
    (void)state;
    struct heard heard;
    struct hosts *hosts = parse(FILE_TEXT, &heard);
    assert_int_equal(heard.lines, 0);
    assert_int_equal(hosts_count(hosts), 5);
    assert_string_equal(ask(hosts, "printer", DNS_TYPE_A), "192.0.2.1 192.0.2.2");
    assert_string_equal(ask(hosts, "pRINTER.eXAMPLE", DNS_TYPE_A), "192.0.2.1");
    assert_string_equal(ask(hosts, "printer", DNS_TYPE_AAAA), "2001:db8::1");
    assert_string_equal(ask(hosts, "local", DNS_TYPE_AAAA), "fe80::1");
    assert_string_equal(ask(hosts, "1.2.0.192.in-addr.arpa", DNS_TYPE_PTR), "Printer.Example.");
    assert_string_equal(ask(hosts, "2.2.0.192.IN-ADDR.arpa", DNS_TYPE_PTR), "printer.");
    assert_string_equal(
        ask(hosts, "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.B.D.0.1.0.0.2.ip6.arpa", DNS_TYPE_PTR),
        "printer.");
    hosts_free(hosts);
}

static void says_no_data_for_the_other_family(void **state)
{
    (void)state;
    struct heard heard;
    struct hosts *hosts = parse(FILE_TEXT, &heard);
    assert_string_equal(ask(hosts, "other", DNS_TYPE_AAAA), "NODATA");
    assert_string_equal(ask(hosts, "six", DNS_TYPE_A), "NODATA");
    hosts_free(hosts);
}

static void leaves_the_rest(void **state)
{
    (void)state;
    struct heard heard;
    struct hosts *hosts = parse(FILE_TEXT, &heard);
    assert_string_equal(ask(hosts, "absent", DNS_TYPE_A), "forward");
    assert_string_equal(ask(hosts, "sub.printer", DNS_TYPE_A), "forward");
    assert_string_equal(ask(hosts, "printer", DNS_TYPE_MX), "forward");
    assert_string_equal(ask(hosts, "printer", DNS_TYPE_PTR), "forward");
    assert_string_equal(ask(hosts, "1.2.0.192.in-addr.arpa", DNS_TYPE_A), "forward");
    assert_string_equal(ask(hosts, "9.2.0.192.in-addr.arpa", DNS_TYPE_PTR), "forward");
    assert_string_equal(ask_class(hosts, "printer", DNS_TYPE_A, 3), "forward");
    hosts_free(hosts);
}

static void names_lines_of_no_use(void **state)
{
    (void)state;
    struct heard heard;
    struct hosts *hosts = parse("192.0.2.1 good\n\nnonsense good\n192.0.2.2 also-good\n", &heard);
    assert_int_equal(heard.lines, 1);
    assert_non_null(strstr(heard.last, "hosts:3: 'nonsense'"));
    assert_string_equal(ask(hosts, "also-good", DNS_TYPE_A), "192.0.2.2");
    hosts_free(hosts);

    hosts = parse("192.0.2.1\n", &heard);
    assert_non_null(strstr(heard.last, "hosts:1: '192.0.2.1': no name"));
    hosts_free(hosts);

    hosts = parse("192.0.2.1 a..b good\n", &heard);
    assert_non_null(strstr(heard.last, "hosts:1: 'a..b'"));
    assert_string_equal(ask(hosts, "good", DNS_TYPE_A), "192.0.2.1");
    assert_string_equal(ask(hosts, "1.2.0.192.in-addr.arpa", DNS_TYPE_PTR), "good.");
    hosts_free(hosts);
}

static void does_not_flood_the_log(void **state)
{
    (void)state;
    struct heard heard;
    struct buffer text = {0};
    for (int i = 0; i < 1000; i++)
        buffer_text(&text, "nonsense\n");
    struct hosts *hosts = parse(buffer_c_string(&text), &heard);
    assert_int_equal(heard.lines, 11);
    assert_non_null(strstr(heard.last, "990 more"));
    hosts_free(hosts);
    buffer_free(&text);
}

static void gives_opt_to_who_sent_one(void **state)
{
    (void)state;
    struct heard heard;
    struct hosts *hosts = parse(FILE_TEXT, &heard);
    struct buffer query = message_of(1, 0, "printer", DNS_TYPE_A), answer = {0};
    struct dns_message view;
    add_opt(&query, 4096, 0x8000, "", 0);
    must(dns_message_parse(query.data, query.length, &view, NULL));
    must(hosts_answer(hosts, &view, &answer));
    must(dns_message_parse(answer.data, answer.length, &view, NULL));
    assert_int_equal(view.opt.count, 1);
    assert_true(view.opt.dnssec_ok);
    assert_int_equal(view.header.flags, DNS_FLAG_QR | DNS_FLAG_AA | DNS_FLAG_RA);
    buffer_free(&query);
    buffer_free(&answer);
    hosts_free(hosts);
}

static void tells_of_a_file_that_is_not_there(void **state)
{
    (void)state;
    struct hosts *hosts = NULL;
    struct reason reason = {""};
    assert_int_equal(hosts_load("/nonexistent/hosts", NULL, &hosts, &reason), STATUS_IO);
    assert_non_null(strstr(reason.text, "/nonexistent/hosts"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_both_ways),
        cmocka_unit_test(says_no_data_for_the_other_family),
        cmocka_unit_test(leaves_the_rest),
        cmocka_unit_test(names_lines_of_no_use),
        cmocka_unit_test(does_not_flood_the_log),
        cmocka_unit_test(gives_opt_to_who_sent_one),
        cmocka_unit_test(tells_of_a_file_that_is_not_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
