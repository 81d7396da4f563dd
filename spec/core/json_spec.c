/* Records and messages as JSON: what they look like, that they come back, what is wrong in words. */
#include "dns/json.h"
#include "messages.h"

static struct dns_record record_from_text(const char *text, struct buffer *storage)
{
    struct dns_record record;
    struct reason reason = {""};
    if (dns_record_from_text(text, strlen(text), storage, &record, &reason))
        fail_msg("%s: %s", text, reason.text);
    return record;
}

static void must_come_back(const struct dns_record *record, const char *printed)
{
    struct buffer storage = {0};
    struct dns_record back;
    struct reason reason = {""};
    cJSON *json = cJSON_Parse(printed);
    assert_non_null(json);
    if (dns_record_from_json(json, &storage, &back, &reason))
        fail_msg("%s: %s", printed, reason.text);
    assert_true(dns_record_equal(record, &back));
    cJSON_Delete(json);
    buffer_free(&storage);
}

static void records_read_as_people_write_them_and_come_back(void **state)
{
    static const struct {
        const char *text, *data;
    } cases[] = {
        {"a A 192.0.2.1", "\"192.0.2.1\""},
        {"a A \\# 3 c00002", "\"0xc00002 (invalid A data)\""},
        {"a A \\# 0", "\"0x (invalid A data)\""},
        {"a CNAME Mixed.Example.", "\"Mixed.Example\""},
        {"a CNAME .", "\".\""},
        {"a CNAME 0xab.", "\"0x043078616200\""}, /* its name would read as hex */
        {"a MX 10 Mail.", "\"10 Mail.\""},
        {"a TXT hi", "\"hi\""},
        {"a TXT \"\"", "\"\""},
        {"a TXT a b", "[\"a\",\"b\"]"},
        {"a TXT 0xab", "[\"0xab\"]"},
        {"a TXT 0xa", "\"0xa\""},
        {"a TXT \"0x (invalid TXT data)\"", "[\"0x (invalid TXT data)\"]"},
        {"a TXT \\195\\164", "\"\xc3\xa4\""},
        {"a TXT \\228", "\"0x01e4 (invalid TXT data)\""},
        {"a TXT \\000", "\"0x0100 (invalid TXT data)\""},
        {"a OPENPGPKEY 0xab", "\"0xd3169b\""}, /* base64 that would read as hex */
        {"a NSAP 0x47.00", "\"0x4700\""},
        {"a TYPE65280 \\# 2 0102", "\"0x0102\""},
        {"a HTTPS 0 Other.", "{\"priority\":0,\"target_name\":\"Other\"}"},
        {"a HTTPS 1 . mandatory=alpn alpn=h2,h3 no-default-alpn port=443 ipv4hint=192.0.2.1 ech=AEj+DQ== "
         "ipv6hint=2001:db8::1 key667=hi",
         "{\"priority\":1,\"target_name\":\".\",\"mandatory\":[\"alpn\"],\"alpn\":[\"h2\",\"h3\"],"
         "\"no_default_alpn\":true,\"port\":443,\"ipv4hint\":[\"192.0.2.1\"],\"ech\":\"AEj+DQ==\","
         "\"ipv6hint\":[\"2001:db8::1\"],\"key667\":\"0x6869\"}"},
        {"a SVCB 1 . dohpath=/q{?dns} ohttp tls-supported-groups=29,23 docpath key668",
         "{\"priority\":1,\"target_name\":\".\",\"dohpath\":\"/q{?dns}\",\"ohttp\":true,"
         "\"tls_supported_groups\":[29,23],\"docpath\":[],\"key668\":\"0x\"}"},
        {"a HTTPS 1 . alpn=\\255", "\"0x0001000001000201ff (invalid HTTPS data)\""},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct buffer storage = {0};
        struct dns_record record = record_from_text(cases[i].text, &storage);
        cJSON *json = dns_record_to_json(&record);
        char *printed = cJSON_PrintUnformatted(json);
        char *data = cJSON_PrintUnformatted(cJSON_GetObjectItemCaseSensitive(json, "data"));
        assert_string_equal(data, cases[i].data);
        must_come_back(&record, printed);
        cJSON_Delete(json);
        free(printed);
        free(data);
        buffer_free(&storage);
    }
}

static void a_record_has_its_keys(void **state)
{
    struct buffer storage = {0};
    struct dns_record record = record_from_text("WWW.Example.COM. 300 CLASS42 TXT x", &storage);
    cJSON *json = dns_record_to_json(&record);
    char *printed = cJSON_PrintUnformatted(json);
    (void)state;
    assert_string_equal(
        printed, "{\"name\":\"www.example.com\",\"type\":\"TXT\",\"class\":\"CLASS42\",\"ttl\":300,\"data\":\"x\"}");
    cJSON_Delete(json);
    free(printed);
    buffer_free(&storage);
}

static void what_is_wrong_in_a_record_is_said(void **state)
{
    static const struct {
        const char *json, *reason;
    } cases[] = {
        {"7", "ResourceRecord: object expected, got 7"},
        {"{\"type\":\"A\",\"data\":\"192.0.2.1\"}", "ResourceRecord.name: missing"},
        {"{\"name\":7,\"type\":\"A\",\"data\":\"192.0.2.1\"}", "ResourceRecord.name: name expected, got 7"},
        {"{\"name\":\"a\",\"type\":\"A\"}", "ResourceRecord.data: missing"},
        {"{\"name\":\"a\",\"type\":\"NOSUCH\",\"data\":\"\"}",
         "ResourceRecord.type: integer from 0 to 65535 or a registered name expected, got 'NOSUCH'"},
        {"{\"name\":\"a\",\"type\":\"A\",\"ttl\":\"soon\",\"data\":\"192.0.2.1\"}",
         "ResourceRecord.ttl: integer from 0 to 2147483647 expected, got 'soon'"},
        {"{\"name\":\"a\",\"type\":\"A\",\"ttl\":1.5,\"data\":\"192.0.2.1\"}",
         "ResourceRecord.ttl: integer from 0 to 2147483647 expected, got 1.5"},
        {"{\"name\":\"a\",\"type\":\"A\",\"data\":\"192.0.2\"}",
         "ResourceRecord.data: address: IPv4 address expected, got '192.0.2'"},
        {"{\"name\":\"a\",\"type\":\"A\",\"data\":[]}", "ResourceRecord.data: text expected, got an array"},
        {"{\"name\":\"a\",\"type\":\"TYPE65280\",\"data\":\"hi\"}",
         "ResourceRecord.data: 0x and hex digits expected, got 'hi'"},
        {"{\"name\":\"a\",\"type\":\"TXT\",\"data\":[]}",
         "ResourceRecord.data: text or an array of one text or more expected, got an array"},
        {"{\"name\":\"a\",\"type\":\"A\",\"data\":\"192.0.2.1\",\"tll\":1}", "ResourceRecord has no property 'tll'"},
        {"{\"name\":\"a\",\"type\":\"A\",\"data\":\"192.0.2.1\",\"type\":\"A\"}", "ResourceRecord.type: given twice"},
        {"{\"name\":\"a\",\"type\":\"HTTPS\",\"data\":{\"priority\":1}}", "ResourceRecord.data: target_name: missing"},
        {"{\"name\":\"a\",\"type\":\"HTTPS\",\"data\":{\"priority\":1,\"target_name\":\".\",\"port\":\"443\"}}",
         "ResourceRecord.data: port: integer from 0 to 65535 expected, got '443'"},
        {"{\"name\":\"a\",\"type\":\"HTTPS\",\"data\":{\"priority\":1,\"target_name\":\".\",\"port\":true}}",
         "ResourceRecord.data: port: text, number or array expected, got true"},
        {"{\"name\":\"a\",\"type\":\"HTTPS\",\"data\":{\"priority\":1,\"target_name\":\".\",\"ohttp\":1}}",
         "ResourceRecord.data: ohttp: true expected, got 1"},
        {"{\"name\":\"a\",\"type\":\"HTTPS\",\"data\":{\"priority\":1,\"target_name\":\".\",\"alpn\":\"h2\"}}",
         "ResourceRecord.data: alpn: list of protocol ids expected, got 'h2'"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct buffer storage = {0};
        struct dns_record record = {.ttl = 77};
        struct reason reason = {"no reason"};
        cJSON *json = cJSON_Parse(cases[i].json);
        assert_non_null(json);
        assert_int_equal(dns_record_from_json(json, &storage, &record, &reason), STATUS_INVALID);
        assert_string_equal(reason.text, cases[i].reason);
        assert_int_equal(record.ttl, 77);
        cJSON_Delete(json);
        buffer_free(&storage);
    }
}

/* --- messages --- */

static const char opt_message[] = HEADER("\x85\xb0", "\1", "\1", "\0", "\1") QUESTION ANSWER
    "\0\0\x29\4\xd0\1\0\x80\0\0\x08\0\x0a\0\4\xde\xad\xbe\xef";

static cJSON *message_json(const char *bytes, size_t length, double timestamp, struct dns_message *message)
{
    assert_int_equal(dns_message_parse((const uint8_t *)bytes, length, message, NULL), STATUS_OK);
    cJSON *json = dns_message_to_json(message, timestamp);
    assert_non_null(json);
    return json;
}

static void a_message_has_mitmproxys_keys(void **state)
{
    struct dns_message message;
    cJSON *json = message_json(BYTES(opt_message), 1.5, &message);
    char *printed = cJSON_PrintUnformatted(json);
    (void)state;
    assert_string_equal(
        printed,
        "{\"id\":4660,\"query\":false,\"op_code\":\"QUERY\",\"authoritative_answer\":true,\"truncation\":false,"
        "\"recursion_desired\":true,\"recursion_available\":true,\"reserved\":3,\"response_code\":\"BADVERS\","
        "\"status_code\":500,\"questions\":[{\"name\":\"a.example\",\"type\":\"A\",\"class\":\"IN\"}],"
        "\"answers\":[{\"name\":\"a.example\",\"type\":\"A\",\"class\":\"IN\",\"ttl\":300,\"data\":\"192.0.2.1\"}],"
        "\"authorities\":[],\"additionals\":[{\"name\":\".\",\"type\":\"OPT\",\"class\":\"CLASS1232\",\"ttl\":16809984,"
        "\"data\":\"COOKIE:deadbeef\"}],\"size\":12,\"timestamp\":1.5}");
    cJSON_Delete(json);
    free(printed);
}

static void a_message_comes_back(void **state)
{
    struct dns_message message, back;
    struct buffer wire = {0};
    struct reason reason = {""};
    double timestamp = 0;
    bool equal = false;
    cJSON *json = message_json(BYTES(opt_message), -1, &message);
    (void)state;
    assert_null(cJSON_GetObjectItemCaseSensitive(json, "timestamp"));
    buffer_text(&wire, "kept");
    assert_int_equal(dns_message_from_json(json, &wire, &timestamp, &reason), STATUS_OK);
    assert_memory_equal(wire.data, "kept", 4);
    assert_int_equal(dns_message_parse(wire.data + 4, wire.length - 4, &back, &reason), STATUS_OK);
    assert_int_equal(dns_message_equal(&message, &back, &equal), STATUS_OK);
    assert_true(equal);
    assert_true(timestamp < 0);
    cJSON_Delete(json);
    buffer_free(&wire);
}

/* Makes a message of the JSON text, and gives its header. */
static struct dns_message message_from(const char *text, struct buffer *wire)
{
    struct dns_message message;
    struct reason reason = {""};
    double timestamp;
    cJSON *json = cJSON_Parse(text);
    assert_non_null(json);
    buffer_clear(wire);
    if (dns_message_from_json(json, wire, &timestamp, &reason))
        fail_msg("%s: %s", text, reason.text);
    assert_int_equal(dns_message_parse(wire->data, wire->length, &message, &reason), STATUS_OK);
    cJSON_Delete(json);
    return message;
}

static void keys_may_be_missing(void **state)
{
    struct buffer wire = {0};
    (void)state;
    assert_int_equal(message_from("{}", &wire).header.flags, DNS_FLAG_RD);
    assert_int_equal(wire.length, DNS_HEADER_SIZE);
    assert_int_equal(message_from("{\"query\":false,\"recursion_desired\":false,\"op_code\":4}", &wire).header.flags,
                     DNS_FLAG_QR | 4 << 11);
    buffer_free(&wire);
}

static void a_response_codes_upper_bits_go_into_opt(void **state)
{
    struct buffer wire = {0};
    (void)state;
    struct dns_message message =
        message_from("{\"response_code\":\"BADCOOKIE\",\"additionals\":[{\"name\":\"\",\"type\":\"OPT\",\"data\":\"\","
                     "\"class\":\"CLASS1232\",\"ttl\":32768}]}",
                     &wire);
    assert_int_equal(dns_message_response_code(&message), 23);
    assert_true(message.opt.dnssec_ok);
    message =
        message_from("{\"additionals\":[{\"name\":\"\",\"type\":\"OPT\",\"data\":\"\",\"ttl\":16777216}]}", &wire);
    assert_int_equal(dns_message_response_code(&message), 16);
    buffer_free(&wire);
}

static void what_is_wrong_in_a_message_is_said(void **state)
{
    static const struct {
        const char *json, *reason;
    } cases[] = {
        {"[]", "DNSMessage: object expected, got an array"},
        {"{\"id\":\"x\"}", "DNSMessage.id: integer from 0 to 65535 expected, got 'x'"},
        {"{\"id\":65536}", "DNSMessage.id: integer from 0 to 65535 expected, got 65536"},
        {"{\"id\":-1}", "DNSMessage.id: integer from 0 to 65535 expected, got -1"},
        {"{\"query\":1}", "DNSMessage.query: boolean expected, got 1"},
        {"{\"reserved\":8}", "DNSMessage.reserved: integer from 0 to 7 expected, got 8"},
        {"{\"op_code\":\"NOSUCH\"}",
         "DNSMessage.op_code: integer from 0 to 15 or a registered name expected, got 'NOSUCH'"},
        {"{\"response_code\":4096}",
         "DNSMessage.response_code: integer from 0 to 4095 or a registered name expected, got 4096"},
        {"{\"response_code\":\"BADVERS\"}",
         "DNSMessage.response_code: from 0 to 15 expected without an OPT record, got 16"},
        {"{\"answers\":{}}", "DNSMessage.answers: array expected, got an object"},
        {"{\"questions\":[{\"name\":\"a\"}]}", "DNSMessage.questions[1]: Question.type: missing"},
        {"{\"answers\":[{\"name\":\"a\",\"type\":\"A\",\"data\":\"192.0.2.1\"},7]}",
         "DNSMessage.answers[2]: ResourceRecord: object expected, got 7"},
        {"{\"timestamp\":\"now\"}", "DNSMessage.timestamp: seconds expected, got 'now'"},
        {"{\"Id\":1}", "DNSMessage has no property 'Id'"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct buffer wire = {0};
        struct reason reason = {"no reason"};
        double timestamp = 77;
        cJSON *json = cJSON_Parse(cases[i].json);
        assert_non_null(json);
        assert_int_equal(dns_message_from_json(json, &wire, &timestamp, &reason), STATUS_INVALID);
        assert_string_equal(reason.text, cases[i].reason);
        assert_int_equal(wire.length, 0);
        assert_true(timestamp == 77);
        cJSON_Delete(json);
        buffer_free(&wire);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(records_read_as_people_write_them_and_come_back),
        cmocka_unit_test(a_record_has_its_keys),
        cmocka_unit_test(what_is_wrong_in_a_record_is_said),
        cmocka_unit_test(a_message_has_mitmproxys_keys),
        cmocka_unit_test(a_message_comes_back),
        cmocka_unit_test(keys_may_be_missing),
        cmocka_unit_test(a_response_codes_upper_bits_go_into_opt),
        cmocka_unit_test(what_is_wrong_in_a_message_is_said),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
