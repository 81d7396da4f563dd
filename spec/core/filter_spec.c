/* The filter language: what matches, how terms are joined, and what is said of mistakes. */
#include "flow/filter.h"
#include "packets.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

/* A flow from 192.0.2.7 over TCP: www.Example.com AAAA, answered by 9.9.9.9 with two A records. */
static int setup(void **state)
{
    struct flow *flow = calloc(1, sizeof *flow);
    assert_non_null(flow);
    struct buffer query = message_of(1, 0, "www.Example.com", 28);
    struct buffer response = message_of(1, DNS_FLAG_QR | DNS_RCODE_NXDOMAIN, "www.Example.com", 28);
    add_a(&response, "www.example.com", 1);
    add_a(&response, "www.example.com", 200);
    must(flow_message_set(&flow->query, query.data, query.length, 0, NULL));
    must(flow_message_set(&flow->response, response.data, response.length, 0, NULL));
    buffer_free(&query);
    buffer_free(&response);
    flow->reply_to = (struct reply_to){.transport = TRANSPORT_TCP,
                                       .client = {.family = AF_INET, .port = 4711, .bytes = {192, 0, 2, 7}}};
    flow->asked = true;
    flow->server = (struct address){.family = AF_INET, .port = 53, .bytes = {9, 9, 9, 9}};
    *state = flow;
    return 0;
}

static int teardown(void **state)
{
    struct flow *flow = *state;
    flow_message_free(&flow->query);
    flow_message_free(&flow->response);
    free(flow);
    return 0;
}

static bool matches(const struct flow *flow, const char *text)
{
    struct filter *filter;
    struct reason reason = {""};
    enum status status = filter_parse(text, &filter, &reason);
    if (status)
        fail_msg("'%s': %s", text, reason.text);
    bool matched = filter_matches(filter, flow);
    assert_int_equal(filter_matches(filter, flow), matched);
    filter_free(filter);
    return matched;
}

#define assert_matches(flow, text)               \
    do {                                         \
        if (!matches(flow, text))                \
            fail_msg("'%s' should match", text); \
    } while (0)
#define assert_matches_not(flow, text)               \
    do {                                             \
        if (matches(flow, text))                     \
            fail_msg("'%s' should not match", text); \
    } while (0)

static void names_are_found_by_regular_expression_whatever_their_case(void **state)
{
    assert_matches(*state, "~d example");
    assert_matches(*state, "~d ^WWW\\.");
    assert_matches(*state, "example\\.com$");
    assert_matches(*state, "~d 'w{3}\\.(exa|foo)'");
    assert_matches(*state, "\"(foo|example)\"");
    assert_matches(*state, "foo|example");
    assert_matches_not(*state, "~d ^example");
    assert_matches_not(*state, "example\\.net");
}

static void types_and_codes_are_names_or_numbers(void **state)
{
    assert_matches(*state, "~t AAAA");
    assert_matches(*state, "~t aaaa");
    assert_matches(*state, "~t 28");
    assert_matches(*state, "~t TYPE28");
    assert_matches(*state, "~t a|~t aaaa");
    assert_matches_not(*state, "!~t aaaa&~all");
    assert_matches_not(*state, "~t A");
    assert_matches(*state, "~c NXDOMAIN");
    assert_matches(*state, "~c 3");
    assert_matches_not(*state, "~c noerror");
}

static void answers_are_found_by_their_text(void **state)
{
    assert_matches(*state, "~a 192.0.2.1");
    assert_matches(*state, "~a '^192\\.0\\.2\\.200$'");
    assert_matches_not(*state, "~a 192.0.2.3");
    flow_message_clear(&((struct flow *)*state)->response);
    assert_matches_not(*state, "~a .");
    assert_matches_not(*state, "~c 0");
}

static void responses_and_errors(void **state)
{
    struct flow *flow = *state;
    assert_matches(flow, "~s");
    assert_matches_not(flow, "~q");
    assert_matches_not(flow, "~e");
    flow_set_error(flow, "time-out", 1);
    assert_matches(flow, "~e");
    flow_message_clear(&flow->response);
    assert_matches(flow, "~q");
    assert_matches_not(flow, "~s");
}

static void peers_and_transports(void **state)
{
    struct flow *flow = *state;
    assert_matches(flow, "~src ^192.0.2.7:4711$");
    assert_matches(flow, "~dst 9.9.9.9:53");
    assert_matches_not(flow, "~dst 192");
    assert_matches(flow, "~tcp");
    assert_matches_not(flow, "~udp");
    flow->asked = false;
    assert_matches_not(flow, "~dst .");
}

static void notes_of_scripts(void **state)
{
    struct flow *flow = *state;
    assert_matches_not(flow, "~marked");
    assert_matches_not(flow, "~comment x");
    assert_matches_not(flow, "~meta x");
    flow->marked = "red";
    flow->comment = "A comment";
    flow->metadata = "{\"tenant\":\"blue\"}";
    assert_matches(flow, "~marked");
    assert_matches(flow, "~marker ^red$");
    assert_matches(flow, "~comment 'a comm'");
    assert_matches(flow, "~meta tenant.*blue");
    flow->marked = "";
    assert_matches_not(flow, "~marked");
}

static void query_without_question_matches_no_name_and_no_type(void **state)
{
    struct flow *flow = *state;
    struct buffer query = message_of(1, 0, NULL, 0);
    must(flow_message_set(&flow->query, query.data, query.length, 0, NULL));
    buffer_free(&query);
    assert_matches_not(flow, "~d .*");
    assert_matches_not(flow, "~t 0");
    assert_matches(flow, "~all");
}

static void operators_bind_as_in_mitmproxy(void **state)
{
    assert_matches(*state, "!~q");
    assert_matches_not(*state, "!~s");
    assert_matches(*state, "!!~s");
    assert_matches(*state, "~s & ~tcp");
    assert_matches_not(*state, "~s & ~udp");
    assert_matches(*state, "~udp | ~tcp");
    assert_matches(*state, "~s | ~q & ~udp");
    assert_matches_not(*state, "(~s | ~q) & ~udp");
    assert_matches_not(*state, "!~q & ~udp");
    assert_matches(*state, "!(~q & ~tcp)");
    assert_matches_not(*state, "~s | ~q ~udp"); /* side by side binds least */
    assert_matches(*state, "~tcp example ~t aaaa");
    assert_matches(*state, "  ( ~tcp ) ");
    assert_matches(*state, "~s&~tcp");
    assert_matches(*state, "(~s)|(~q)");
}

static void expect_error(const char *text, const char *expected)
{
    struct filter *filter = NULL;
    struct reason reason = {""};
    assert_int_equal(filter_parse(text, &filter, &reason), STATUS_INVALID);
    assert_null(filter);
    assert_string_equal(reason.text, expected);
}

static void mistakes_are_named_with_their_place(void **state)
{
    (void)state;
    const char *regex = "regular expression expected (in quotes if it holds parentheses, quotes or blanks)";
    char text[300];
    expect_error("(~s", "filter: at 4: ')' expected");
    expect_error("", "filter: at 1: expression expected");
    snprintf(text, sizeof text, "filter: at 3: %s", regex);
    expect_error("~d", text);
    snprintf(text, sizeof text, "filter: at 4: %s", regex);
    expect_error("~d (a|b)", text);
    expect_error("~s )", "filter: at 4: end of the filter, or a term, expected");
    expect_error("~s & ", "filter: at 6: expression expected");
    expect_error("| ~s", "filter: at 1: expression expected");
    expect_error("~t FOO", "filter: at 4: record type expected (A, AAAA, 65 …)");
    expect_error("~t 65536", "filter: at 4: record type expected (A, AAAA, 65 …)");
    expect_error("~c SOSO", "filter: at 4: response code expected (NOERROR, NXDOMAIN, 2 …)");
    expect_error("~d 'abc", "filter: at 4: string without its closing '");
    expect_error("~s ~nope",
                 "filter: at 4: one of ~a ~all ~c ~comment ~d ~dst ~e ~marked ~marker ~meta ~q ~s ~src ~t ~tcp "
                 "~udp expected");
    expect_error("~d [a", "filter: at 6: regular expression: missing terminating ] for character class");
}

static void nesting_has_an_end(void **state)
{
    char text[2000];
    struct filter *filter = NULL;
    struct reason reason;
    memset(text, '(', sizeof text);
    text[sizeof text - 1] = '\0';
    assert_int_equal(filter_parse(text, &filter, &reason), STATUS_INVALID);
    memset(text, '!', 60);
    memcpy(text + 60, "~s", 3);
    assert_matches(*state, text);
}

/* It would take the age of the universe. */
static void no_regular_expression_stops_the_proxy(void **state)
{
    struct flow *flow = *state;
    char comment[2000];
    memset(comment, 'a', sizeof comment);
    comment[sizeof comment - 1] = '\0';
    flow->comment = comment;
    assert_matches_not(flow, "~comment '^(a+)+$(b)'");
    assert_matches_not(flow, "~comment '^(a|a)*b'");
    assert_matches(flow, "~comment ^a+$");
}

#define FILTER_TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        FILTER_TEST(names_are_found_by_regular_expression_whatever_their_case),
        FILTER_TEST(types_and_codes_are_names_or_numbers),
        FILTER_TEST(answers_are_found_by_their_text),
        FILTER_TEST(responses_and_errors),
        FILTER_TEST(peers_and_transports),
        FILTER_TEST(notes_of_scripts),
        FILTER_TEST(query_without_question_matches_no_name_and_no_type),
        FILTER_TEST(operators_bind_as_in_mitmproxy),
        FILTER_TEST(mistakes_are_named_with_their_place),
        FILTER_TEST(nesting_has_an_end),
        FILTER_TEST(no_regular_expression_stops_the_proxy),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
