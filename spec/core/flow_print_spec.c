/* Printed flows: what stands on each line, for every way a flow can end. */
#include "proxy/flow_print.h"

#include "dns/text.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

#include <cjson/cJSON.h>
#include <cmocka.h>

enum { MADE_AT = 1700000000 };

/* A printer that writes into a pipe, and the flow it is shown. */
struct bench {
    struct flow flow;
    struct flow_print *print;
    int pipe[2];
    char text[65536];
};

static struct address address_of(const char *text)
{
    struct address address;
    assert_int_equal(address_from_text(text, strlen(text), 53, &address, NULL), STATUS_OK);
    return address;
}

/* Makes a message: flags, one question (NULL: none), records in the zone file's form ended by NULL, all answers. */
static void make_message(struct flow_message *message, uint16_t flags, const char *name, uint16_t type, uint16_t class_,
                         const char *const *records)
{
    struct buffer wire = {0}, storage = {0};
    struct dns_packer packer;
    struct dns_header header = {.id = 4660, .flags = flags};
    dns_packer_start(&packer, &wire, &header, DNS_MESSAGE_MAX);
    if (name) {
        struct dns_name owner;
        assert_int_equal(dns_name_from_text(name, strlen(name), &owner, NULL), STATUS_OK);
        struct dns_question question = {owner.wire, owner.length, type, class_};
        assert_int_equal(dns_packer_question(&packer, &question), STATUS_OK);
    }
    for (; records && *records; records++) {
        struct dns_record record;
        assert_int_equal(dns_record_from_text(*records, strlen(*records), &storage, &record, NULL), STATUS_OK);
        assert_int_equal(dns_packer_record(&packer, DNS_SECTION_ANSWER, &record), STATUS_OK);
    }
    assert_int_equal(dns_packer_finish(&packer), STATUS_OK);
    assert_int_equal(flow_message_set(message, wire.data, wire.length, MADE_AT * 1000000LL, NULL), STATUS_OK);
    buffer_free(&wire);
    buffer_free(&storage);
}

#define RECORDS(...) ((const char *const[]){__VA_ARGS__, NULL})

static void respond(struct bench *bench, uint16_t flags, const char *const *records)
{
    make_message(&bench->flow.response, (uint16_t)(DNS_FLAG_QR | flags), "example.com", DNS_TYPE_A, DNS_CLASS_IN,
                 records);
}

static void from_upstream(struct bench *bench, const char *server)
{
    bench->flow.source = FLOW_SOURCE_UPSTREAM;
    bench->flow.asked = true;
    bench->flow.server = address_of(server);
}

/* A flow that asks for example.com A; nothing came of it yet. */
static struct bench *bench_new(const struct flow_print_config *config)
{
    struct bench *bench = calloc(1, sizeof *bench);
    struct flow_print_config own = *config;
    assert_non_null(bench);
    assert_int_equal(pipe2(bench->pipe, O_NONBLOCK), 0);
    own.fd = bench->pipe[1];
    assert_int_equal(flow_print_new(&own, &bench->print, NULL), STATUS_OK);
    bench->flow.reply_to.client = address_of("127.0.0.1:40312");
    bench->flow.created_us = MADE_AT * 1000000LL;
    bench->flow.started_us = 1000000;
    bench->flow.finished_us = 1012300;
    make_message(&bench->flow.query, DNS_FLAG_RD, "eXample.com", DNS_TYPE_A, DNS_CLASS_IN, NULL);
    return bench;
}

static const char *read_text(struct bench *bench)
{
    ssize_t length = read(bench->pipe[0], bench->text, sizeof bench->text - 1);
    bench->text[length > 0 ? length : 0] = '\0';
    return bench->text;
}

static void show(struct bench *bench)
{
    struct flow_observer *observer = flow_print_observer(bench->print);
    observer->finished(observer->context, &bench->flow);
}

static const char *printed(struct bench *bench)
{
    show(bench);
    flow_print_flush(bench->print);
    return read_text(bench);
}

static void bench_free(struct bench *bench)
{
    flow_print_free(bench->print);
    flow_message_free(&bench->flow.query);
    flow_message_free(&bench->flow.request);
    flow_message_free(&bench->flow.response);
    close(bench->pipe[0]);
    close(bench->pipe[1]);
    free(bench);
}

static const struct flow_print_config plain = {.detail = 1};

static void an_upstreams_answers(void **state)
{
    (void)state;
    struct bench *bench = bench_new(&plain);
    respond(bench, 0, RECORDS("example.com. 300 IN A 93.184.216.34"));
    from_upstream(bench, "9.9.9.9");
    assert_string_equal(printed(bench), "127.0.0.1:40312 A example.com\n << 93.184.216.34 (12 ms, 9.9.9.9)\n");
    respond(bench, 0,
            RECORDS("example.com. A 192.0.2.1", "example.com. A 192.0.2.2", "example.com. MX 10 mx.example."));
    from_upstream(bench, "[2001:db8::1]:5353");
    bench->flow.finished_us = bench->flow.started_us;
    assert_string_equal(printed(bench), "127.0.0.1:40312 A example.com\n"
                                        " << 192.0.2.1, 192.0.2.2, 10 mx.example. (0 ms, [2001:db8::1]:5353)\n");
    bench_free(bench);
}

static void responses_without_answers(void **state)
{
    (void)state;
    struct bench *bench = bench_new(&plain);
    from_upstream(bench, "9.9.9.9:53");
    respond(bench, DNS_RCODE_NXDOMAIN, NULL);
    assert_non_null(strstr(printed(bench), "\n << NXDOMAIN (12 ms, 9.9.9.9)\n"));
    respond(bench, 0, NULL);
    assert_non_null(strstr(printed(bench), "\n << NODATA (12 ms, 9.9.9.9)\n"));
    respond(bench, DNS_FLAG_TC, NULL);
    assert_non_null(strstr(printed(bench), "\n << NODATA (12 ms, 9.9.9.9, truncated)\n"));
    bench_free(bench);
}

static void other_sources(void **state)
{
    (void)state;
    struct bench *bench = bench_new(&plain);
    respond(bench, DNS_RCODE_NXDOMAIN, NULL);
    bench->flow.source = FLOW_SOURCE_SCRIPT;
    strcpy(bench->flow.source_name, "block.lua");
    assert_non_null(strstr(printed(bench), "\n << NXDOMAIN (script block.lua)\n"));
    respond(bench, 0, RECORDS("example.com. A 127.0.0.1"));
    assert_non_null(strstr(printed(bench), "\n << 127.0.0.1 (script block.lua)\n"));
    bench->flow.source = FLOW_SOURCE_CACHE;
    assert_non_null(strstr(printed(bench), "\n << 127.0.0.1 (cache)\n"));
    bench->flow.source = FLOW_SOURCE_HOSTS;
    assert_non_null(strstr(printed(bench), "\n << 127.0.0.1 (hosts)\n"));
    bench->flow.source = FLOW_SOURCE_ZONE;
    strcpy(bench->flow.source_name, "a\x1b.zone");
    assert_non_null(strstr(printed(bench), "\n << 127.0.0.1 (zone a\\x1b.zone)\n"));
    bench_free(bench);
}

static void flows_that_failed(void **state)
{
    (void)state;
    struct bench *bench = bench_new(&plain);
    respond(bench, DNS_RCODE_SERVFAIL, NULL);
    from_upstream(bench, "9.9.9.9");
    bench->flow.source = FLOW_SOURCE_PROXY;
    strcpy(bench->flow.error, "time-out");
    assert_non_null(strstr(printed(bench), "\n << SERVFAIL (time-out, 9.9.9.9)\n"));
    bench->flow.asked = false;
    strcpy(bench->flow.error, "made up");
    assert_non_null(strstr(printed(bench), "\n << SERVFAIL (made up)\n"));
    bench->flow.error[0] = '\0';
    assert_non_null(strstr(printed(bench), "\n << SERVFAIL (moondns)\n"));
    flow_message_clear(&bench->flow.response);
    bench->flow.source = FLOW_SOURCE_NONE;
    assert_non_null(strstr(printed(bench), "\n << no answer\n"));
    strcpy(bench->flow.error, "time-out");
    assert_non_null(strstr(printed(bench), "\n << no answer (time-out)\n"));
    bench->flow.killed = true;
    assert_non_null(strstr(printed(bench), "\n << killed\n"));
    bench_free(bench);
}

static void odd_questions(void **state)
{
    (void)state;
    struct bench *bench = bench_new(&plain);
    respond(bench, 0, NULL);
    make_message(&bench->flow.query, 0, "version.bind", DNS_TYPE_TXT, 3, NULL);
    assert_non_null(strstr(printed(bench), "127.0.0.1:40312 CH TXT version.bind\n"));
    make_message(&bench->flow.query, 4 << 11, "example.com", DNS_TYPE_SOA, DNS_CLASS_IN, NULL);
    assert_non_null(strstr(printed(bench), "127.0.0.1:40312 NOTIFY SOA example.com\n"));
    make_message(&bench->flow.query, 0, "example.com", 65280, DNS_CLASS_IN, NULL);
    assert_non_null(strstr(printed(bench), "127.0.0.1:40312 TYPE65280 example.com\n"));
    make_message(&bench->flow.query, 0, NULL, 0, 0, NULL);
    assert_non_null(strstr(printed(bench), "127.0.0.1:40312 no question\n"));
    bench_free(bench);
}

/* Names, data, errors and scripts' names with control bytes: none gets out, in no form. */
static void no_control_byte_gets_out(void **state)
{
    (void)state;
    static const struct flow_print_config configs[] = {
        {.detail = 1}, {.detail = 2}, {.detail = 3}, {.detail = 1, .json = true}};
    for (size_t i = 0; i < sizeof configs / sizeof configs[0]; i++) {
        struct bench *bench = bench_new(&configs[i]);
        make_message(&bench->flow.query, 0, "a\\027\\013\\010\\155\\194\\155b.example", DNS_TYPE_TXT, DNS_CLASS_IN,
                     NULL);
        make_message(&bench->flow.response, DNS_FLAG_QR, "a\\027b.example", DNS_TYPE_TXT, DNS_CLASS_IN,
                     RECORDS("a\\027b.example. TXT \"\\027]0;evil\\007\\013\\127\\194\\155 end\""));
        bench->flow.source = FLOW_SOURCE_SCRIPT;
        strcpy(bench->flow.source_name, "e\x1bvil\n\x7f.lua");
        strcpy(bench->flow.error, "b\rad\xc2\x9b");
        const char *text = printed(bench);
        assert_non_null(strstr(text, "end"));
        for (const char *at = text; *at; at++) {
            assert_true((unsigned char)*at >= 0x20 || *at == '\n');
            assert_int_not_equal(*at, 0x7f);
            assert_false((unsigned char)*at == 0xc2 && (unsigned char)at[1] < 0xa0);
        }
        bench_free(bench);
    }
}

static void nothing_at_detail_0(void **state)
{
    (void)state;
    struct bench *bench = bench_new(&(struct flow_print_config){.detail = 0});
    respond(bench, 0, NULL);
    assert_string_equal(printed(bench), "");
    bench_free(bench);
}

static void only_what_the_filter_lets_through(void **state)
{
    (void)state;
    struct bench *bench = bench_new(&(struct flow_print_config){.detail = 1, .filter = "~t AAAA"});
    respond(bench, 0, NULL);
    assert_string_equal(printed(bench), "");
    make_message(&bench->flow.query, 0, "example.com", DNS_TYPE_AAAA, DNS_CLASS_IN, NULL);
    assert_non_null(strstr(printed(bench), "AAAA example.com"));
    bench_free(bench);
    struct flow_print *print = NULL;
    struct reason reason = {""};
    assert_int_equal(flow_print_new(&(struct flow_print_config){.detail = 1, .filter = "~d ("}, &print, &reason),
                     STATUS_INVALID);
    assert_null(print);
    assert_true(reason.text[0]);
}

static void flags_and_records_at_detail_2(void **state)
{
    (void)state;
    struct bench *bench = bench_new(&(struct flow_print_config){.detail = 2});
    respond(bench, DNS_FLAG_RD | DNS_FLAG_RA | DNS_FLAG_AD,
            RECORDS("example.com. 300 IN A 192.0.2.1", "example.com. 300 IN A 192.0.2.2"));
    from_upstream(bench, "9.9.9.9");
    assert_string_equal(printed(bench), "127.0.0.1:40312 A example.com\n"
                                        " << 192.0.2.1, 192.0.2.2 (12 ms, 9.9.9.9)\n"
                                        "    ;; QUERY, NOERROR, id 4660, flags qr rd ra ad\n"
                                        "    ;example.com. IN A\n"
                                        "    example.com. 300 IN A 192.0.2.1\n"
                                        "    example.com. 300 IN A 192.0.2.2\n");
    bench_free(bench);
}

static void whole_messages_at_detail_3(void **state)
{
    (void)state;
    struct bench *bench = bench_new(&(struct flow_print_config){.detail = 3});
    struct buffer wire = {0};
    buffer_append(&wire, bench->flow.query.wire.data, bench->flow.query.wire.length);
    assert_int_equal(dns_message_add_opt(&wire, 1232, 0, true), STATUS_OK);
    assert_int_equal(flow_message_set(&bench->flow.query, wire.data, wire.length, MADE_AT * 1000000LL, NULL),
                     STATUS_OK);
    make_message(&bench->flow.request, 0, "other.example", DNS_TYPE_A, DNS_CLASS_IN, NULL);
    respond(bench, 0, RECORDS("example.com. 300 IN A 192.0.2.1"));
    from_upstream(bench, "9.9.9.9");
    const char *text = printed(bench);
    assert_non_null(strstr(text, "    ;; query from 127.0.0.1:40312 (udp) at 2023-11-1"));
    assert_non_null(strstr(text, ", 40 bytes: QUERY, NOERROR, id 4660, flags rd\n    ;; EDNS version 0, udp 1232, do\n"
                                 "    ;eXample.com. IN A\n"));
    assert_non_null(strstr(text, "    ;; query as scripts changed it at "));
    assert_non_null(strstr(text, "    ;other.example. IN A\n"));
    assert_non_null(strstr(text, "    ;; answer from 9.9.9.9:53 (udp) at "));
    assert_non_null(strstr(text, "    ;; answer\n    example.com. 300 IN A 192.0.2.1\n"));
    buffer_free(&wire);
    bench_free(bench);
}

static void json_is_one_object_a_line(void **state)
{
    (void)state;
    struct bench *bench = bench_new(&(struct flow_print_config){.detail = 1, .json = true});
    respond(bench, 0, RECORDS("example.com. 300 IN A 192.0.2.1"));
    from_upstream(bench, "9.9.9.9");
    const char *text = printed(bench);
    assert_ptr_equal(strchr(text, '\n'), text + strlen(text) - 1);
    cJSON *json = cJSON_Parse(text);
    assert_non_null(json);
    double ended = cJSON_GetObjectItem(json, "time")->valuedouble;
    assert_true(ended > MADE_AT + 0.0122 && ended < MADE_AT + 0.0124);
    const cJSON *flow = cJSON_GetObjectItem(json, "flow");
    const cJSON *questions = cJSON_GetObjectItem(cJSON_GetObjectItem(flow, "request"), "questions");
    assert_string_equal(cJSON_GetObjectItem(cJSON_GetArrayItem(questions, 0), "name")->valuestring, "example.com");
    cJSON_Delete(json);
    bench_free(bench);
}

static void lines_wait_for_the_flush(void **state)
{
    (void)state;
    struct bench *bench = bench_new(&plain);
    bench->flow.killed = true;
    show(bench);
    show(bench);
    assert_string_equal(read_text(bench), "");
    flow_print_flush(bench->print);
    static const char once[] = "127.0.0.1:40312 A example.com\n << killed\n";
    const char *text = read_text(bench);
    assert_int_equal(strlen(text), 2 * strlen(once));
    assert_memory_equal(text, once, strlen(once));
    flow_print_flush(bench->print);
    assert_string_equal(read_text(bench), "");
    size_t shown = 0;
    for (; shown < 65536 && !read_text(bench)[0]; shown++) /* a turn of many flows does not gather for ever */
        show(bench);
    assert_in_range(shown, 2, 65535);
    bench_free(bench);
}

static void colours_frame_the_words(void **state)
{
    (void)state;
    struct bench *bench = bench_new(&(struct flow_print_config){.detail = 1, .colour = true});
    respond(bench, DNS_RCODE_NXDOMAIN, NULL);
    from_upstream(bench, "9.9.9.9");
    assert_string_equal(printed(bench), "127.0.0.1:40312 A \033[1mexample.com\033[0m\n"
                                        " << \033[33mNXDOMAIN\033[0m\033[2m (12 ms, 9.9.9.9)\033[0m\n");
    bench_free(bench);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_upstreams_answers),
        cmocka_unit_test(responses_without_answers),
        cmocka_unit_test(other_sources),
        cmocka_unit_test(flows_that_failed),
        cmocka_unit_test(odd_questions),
        cmocka_unit_test(no_control_byte_gets_out),
        cmocka_unit_test(nothing_at_detail_0),
        cmocka_unit_test(only_what_the_filter_lets_through),
        cmocka_unit_test(flags_and_records_at_detail_2),
        cmocka_unit_test(whole_messages_at_detail_3),
        cmocka_unit_test(json_is_one_object_a_line),
        cmocka_unit_test(lines_wait_for_the_flush),
        cmocka_unit_test(colours_frame_the_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
