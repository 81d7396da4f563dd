/* A flow as plain data: its messages, its text forms, what hooks do to it. */
#include "flow/flow_json.h"
#include "packets.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static int setup(void **state)
{
    struct flow *flow = calloc(1, sizeof *flow);
    assert_non_null(flow);
    struct buffer query = message_of(77, DNS_FLAG_RD, "Example.com", 1);
    add_opt(&query, 1232, 0, "\0\12\0\2xy", 6);
    must(flow_message_set(&flow->query, query.data, query.length, 1500000, NULL));
    buffer_free(&query);
    *state = flow;
    return 0;
}

static int teardown(void **state)
{
    struct flow *flow = *state;
    flow_message_free(&flow->query);
    flow_message_free(&flow->request);
    flow_message_free(&flow->response);
    free(flow);
    return 0;
}

/* --- messages --- */

static void message_is_a_copy_with_its_view_over_it(void **state)
{
    const struct flow_message *query = &((struct flow *)*state)->query;
    const uint8_t *start = query->wire.data, *end = start + query->wire.length;
    assert_true(query->present);
    assert_ptr_equal(query->view.wire, start);
    assert_ptr_equal(query->view.question.name, start + DNS_HEADER_SIZE);
    assert_int_equal(query->view.opt.options.length, 6);
    assert_ptr_equal(query->view.opt.options.data + 6, end);
    assert_memory_equal(query->view.opt.options.data, "\0\12\0\2xy", 6);
}

static void message_can_be_set_to_its_own_bytes(void **state)
{
    struct flow_message *query = &((struct flow *)*state)->query;
    must(flow_message_set(query, query->wire.data, query->wire.length, 9, NULL));
    assert_int_equal(query->view.header.id, 77);
    assert_ptr_equal(query->view.wire, query->wire.data);
    assert_int_equal(query->timestamp_us, 9);
}

static void malformed_bytes_leave_the_message_as_it_was(void **state)
{
    struct flow_message *query = &((struct flow *)*state)->query;
    struct reason reason = {""};
    assert_int_equal(flow_message_set(query, (const uint8_t *)"no message", 10, 9, &reason), STATUS_MALFORMED);
    assert_true(reason.text[0]);
    assert_true(query->present);
    assert_int_equal(query->view.header.id, 77);
    assert_int_equal(query->timestamp_us, 1500000);
}

static void response_that_cannot_be_set_leaves_none(void **state)
{
    struct flow *flow = *state;
    struct buffer wire = message_of(1, DNS_FLAG_QR, "example.com", 1);
    must(flow_set_response(flow, wire.data, wire.length, FLOW_SOURCE_SCRIPT, "a.lua", NULL));
    assert_string_equal(flow->source_name, "a.lua");
    assert_int_equal(flow_set_response(flow, wire.data, 11, FLOW_SOURCE_SCRIPT, "b.lua", NULL), STATUS_MALFORMED);
    assert_false(flow->response.present);
    assert_true(flow->unpackable);
    assert_int_equal(flow->source, FLOW_SOURCE_NONE);
    must(flow_set_response(flow, wire.data, wire.length, FLOW_SOURCE_SCRIPT, "c.lua", NULL));
    assert_false(flow->unpackable);
    buffer_free(&wire);
}

static void response_that_is_edited_keeps_its_time(void **state)
{
    struct flow *flow = *state;
    must(flow_message_set(&flow->response, flow->query.wire.data, flow->query.wire.length, 4200, NULL));
    must(flow_set_response(flow, flow->query.wire.data, flow->query.wire.length, FLOW_SOURCE_SCRIPT, NULL, NULL));
    assert_int_equal(flow->response.timestamp_us, 4200);
}

static void request_is_the_query_until_a_script_changes_it(void **state)
{
    struct flow *flow = *state;
    assert_ptr_equal(flow_request(flow), &flow->query);
    struct buffer wire = message_of(1, 0, "other.example", 1);
    must(flow_set_request(flow, wire.data, wire.length, NULL));
    assert_ptr_equal(flow_request(flow), &flow->request);
    assert_int_equal(flow->request.timestamp_us, 1500000);
    buffer_free(&wire);
}

static void long_texts_are_cut(void **state)
{
    struct flow *flow = *state;
    char text[400];
    memset(text, 'x', sizeof text);
    text[sizeof text - 1] = '\0';
    flow_set_error(flow, text, 1);
    assert_int_equal(strlen(flow->error), FLOW_ERROR_MAX - 1);
    flow_set_error(flow, "", 1);
    assert_string_equal(flow->error, "");
}

static void ids_differ_by_exchange_and_serial(void **state)
{
    (void)state;
    struct flow flow = {.serial = UINT64_MAX, .exchange_tag = UINT32_MAX};
    char first[FLOW_ID_MAX], second[FLOW_ID_MAX];
    assert_true(strlen(flow_id(&flow, first)) < 32);
    flow.exchange_tag = 1;
    assert_string_not_equal(flow_id(&flow, second), first);
    flow.serial = 2;
    assert_string_not_equal(flow_id(&flow, first), second);
}

/* --- upstreams as text --- */

static void expect_target(const char *text, enum upstream_scheme scheme, const char *address)
{
    struct upstream_target target;
    struct reason reason = {""};
    char out[ADDRESS_TEXT_MAX];
    if (upstream_target_from_text(text, strlen(text), &target, &reason))
        fail_msg("'%s': %s", text, reason.text);
    assert_int_equal(target.scheme, scheme);
    assert_string_equal(address_text(&target.address, out), address);
}

static void upstreams_are_read_with_the_port_of_their_scheme(void **state)
{
    (void)state;
    expect_target("9.9.9.9", UPSTREAM_PLAIN, "9.9.9.9:53");
    expect_target("9.9.9.9:5353", UPSTREAM_PLAIN, "9.9.9.9:5353");
    expect_target("2620:fe::fe", UPSTREAM_PLAIN, "[2620:fe::fe]:53");
    expect_target("udp://9.9.9.9", UPSTREAM_UDP, "9.9.9.9:53");
    expect_target("TCP://[::1]:54", UPSTREAM_TCP, "[::1]:54");
    expect_target("tls://1.1.1.1", UPSTREAM_TLS, "1.1.1.1:853");
    expect_target("https://1.1.1.1", UPSTREAM_HTTPS, "1.1.1.1:443");
}

static void what_is_no_upstream_is_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {"",           "://9.9.9.9",    "gopher://9.9.9.9", "udp://",
                                      "9.9.9.9:0",  "9.9.9.9:70000", "dns.example",      "tls://dns.example",
                                      "udp:9.9.9.9"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct upstream_target target = {.scheme = UPSTREAM_TLS};
        struct reason reason = {""};
        assert_int_equal(upstream_target_from_text(bad[i], strlen(bad[i]), &target, &reason), STATUS_INVALID);
        assert_int_equal(target.scheme, UPSTREAM_TLS);
        assert_true(reason.text[0]);
    }
}

/* --- JSON --- */

static const cJSON *at(const cJSON *json, const char *key)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(json, key);
    if (!item)
        fail_msg("no '%s'", key);
    return item;
}

static void flow_under_way_as_json(void **state)
{
    struct flow *flow = *state;
    flow->created_us = 1700000000500000;
    flow->reply_to = (struct reply_to){.transport = TRANSPORT_TCP,
                                       .connected_us = 1600000000250000,
                                       .client = {.family = AF_INET, .port = 4711, .bytes = {192, 0, 2, 7}}};
    cJSON *json = flow_to_json(flow);
    assert_string_equal(at(json, "type")->valuestring, "dns");
    assert_true(at(json, "timestamp_created")->valuedouble == 1700000000.5);
    assert_true(cJSON_IsTrue(at(json, "live")));
    assert_true(cJSON_IsFalse(at(json, "intercepted")));
    assert_true(cJSON_IsFalse(at(json, "is_replay")));
    assert_string_equal(at(json, "marked")->valuestring, "");
    assert_string_equal(at(json, "comment")->valuestring, "");
    assert_int_equal(cJSON_GetArraySize(at(json, "metadata")), 0);
    const cJSON *client = at(json, "client_conn");
    assert_string_equal(at(client, "address")->valuestring, "192.0.2.7");
    assert_int_equal(at(client, "port")->valueint, 4711);
    assert_string_equal(at(client, "transport")->valuestring, "tcp");
    assert_true(at(client, "timestamp_start")->valuedouble == 1600000000.25);
    assert_string_equal(cJSON_GetArrayItem(at(client, "peername"), 0)->valuestring, "192.0.2.7");
    assert_int_equal(cJSON_GetArrayItem(at(client, "peername"), 1)->valueint, 4711);
    assert_true(cJSON_IsNull(at(json, "server_conn")));
    assert_int_equal(at(at(json, "request"), "id")->valueint, 77);
    assert_true(at(at(json, "request"), "timestamp")->valuedouble == 1.5);
    assert_true(cJSON_IsNull(at(json, "response")));
    assert_true(cJSON_IsNull(at(json, "error")));
    cJSON_Delete(json);
}

static void flow_that_ended_as_json(void **state)
{
    struct flow *flow = *state;
    struct buffer wire = message_of(5, DNS_FLAG_QR, "example.com", 1);
    must(flow_set_response(flow, wire.data, wire.length, FLOW_SOURCE_SCRIPT, "a.lua", NULL));
    buffer_free(&wire);
    flow->finished_us = 1;
    flow->asked = true;
    flow->server = (struct address){.family = AF_INET6, .port = 853, .bytes = {0x20, 1, 0xd, 0xb8, [15] = 1}};
    flow->server_transport = TRANSPORT_TLS;
    flow->asked_us = 2000000;
    flow_set_error(flow, "time-out", 3500000);
    flow->metadata = "{\"seen\":2}";
    flow->comment = "a \"note\"";
    cJSON *json = flow_to_json(flow);
    assert_true(cJSON_IsFalse(at(json, "live")));
    assert_string_equal(at(at(json, "server_conn"), "address")->valuestring, "2001:db8::1");
    assert_string_equal(at(at(json, "server_conn"), "transport")->valuestring, "tls");
    assert_int_equal(at(at(json, "response"), "id")->valueint, 5);
    assert_string_equal(at(at(json, "error"), "msg")->valuestring, "time-out");
    assert_true(at(at(json, "error"), "timestamp")->valuedouble == 3.5);
    assert_int_equal(at(at(json, "metadata"), "seen")->valueint, 2);
    assert_string_equal(at(json, "comment")->valuestring, "a \"note\"");
    cJSON_Delete(json);
    flow->metadata = "no JSON";
    json = flow_to_json(flow);
    assert_true(cJSON_IsObject(at(json, "metadata")));
    cJSON_Delete(json);
}

static void json_tells_that_the_cache_answered(void **state)
{
    struct flow *flow = *state;
    static const char *const notes[] = {NULL, "{}", "{\"seen\":2}", "{\"cache_hit\":true}"};
    static const int sizes[] = {1, 1, 2, 1};
    flow->cache_hit = true;
    for (size_t i = 0; i < sizeof notes / sizeof *notes; i++) {
        flow->metadata = (char *)notes[i];
        cJSON *json = flow_to_json(flow);
        assert_true(cJSON_IsTrue(at(at(json, "metadata"), "cache_hit")));
        assert_int_equal(cJSON_GetArraySize(at(json, "metadata")), sizes[i]);
        cJSON_Delete(json);
    }
    flow->metadata = NULL;
}

#define FLOW_TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        FLOW_TEST(message_is_a_copy_with_its_view_over_it),
        FLOW_TEST(message_can_be_set_to_its_own_bytes),
        FLOW_TEST(malformed_bytes_leave_the_message_as_it_was),
        FLOW_TEST(response_that_cannot_be_set_leaves_none),
        FLOW_TEST(response_that_is_edited_keeps_its_time),
        FLOW_TEST(request_is_the_query_until_a_script_changes_it),
        FLOW_TEST(long_texts_are_cut),
        FLOW_TEST(ids_differ_by_exchange_and_serial),
        FLOW_TEST(upstreams_are_read_with_the_port_of_their_scheme),
        FLOW_TEST(what_is_no_upstream_is_refused),
        FLOW_TEST(flow_under_way_as_json),
        FLOW_TEST(flow_that_ended_as_json),
        FLOW_TEST(json_tells_that_the_cache_answered),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
