/* Which upstream a query goes to, and how upstreams and listeners are written. */
#include "net/upstream.h"
#include "packets.h"
#include "proxy/options_table.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

/* What one -u says, for the first of its domains. */
static enum status upstream_from_text(const char *text, struct net_upstream *out, struct reason *reason)
{
    struct arena arena = {0};
    struct options_upstream *given;
    size_t count;
    enum status status = options_upstreams_from_text(text, &arena, &given, &count, reason);
    if (!status)
        *out = (struct net_upstream){.target = given->target, .domain = given->domain};
    if (!status && out->domain.length == 0) /* all names: below the root */
        out->domain.length = 1;
    arena_free(&arena);
    return status;
}

static struct upstreams upstreams_of(const char *const *texts)
{
    struct net_upstream items[16];
    struct upstreams upstreams = {0};
    size_t count = 0;
    for (; texts[count]; count++)
        must(upstream_from_text(texts[count], &items[count], NULL));
    must(upstreams_set(&upstreams, items, count));
    return upstreams;
}

/* The server's address for a question (NULL: a query without one); "none". Lives until the next call. */
static const char *chosen(struct upstreams *upstreams, const char *name, unsigned attempt)
{
    static char out[ADDRESS_TEXT_MAX];
    struct flow flow = {0};
    struct upstream_choice target;
    flow.query.wire = message_of(1, 0, name, DNS_TYPE_A);
    must(dns_message_parse(flow.query.wire.data, flow.query.wire.length, &flow.query.view, NULL));
    flow.query.present = true;
    struct route route = {.flow = &flow, .attempt = attempt};
    strcpy(out, "none");
    if (upstreams_choose(upstreams, &route, &target, NULL) == STATUS_OK)
        address_text(&target.target.address, out);
    buffer_free(&flow.query.wire);
    return out;
}

static void asks_in_turn(void **state)
{
    (void)state;
    struct upstreams upstreams = upstreams_of((const char *[]){"192.0.2.1", "192.0.2.2:5353", "tcp://[::1]", NULL});
    assert_string_equal(chosen(&upstreams, "a.example", 0), "192.0.2.1:53");
    assert_string_equal(chosen(&upstreams, "a.example", 1), "192.0.2.2:5353");
    assert_string_equal(chosen(&upstreams, "a.example", 2), "[::1]:53");
    assert_string_equal(chosen(&upstreams, "a.example", 3), "192.0.2.1:53");
    upstreams_free(&upstreams);
}

static void takes_the_longest_domain(void **state)
{
    (void)state;
    struct upstreams upstreams =
        upstreams_of((const char *[]){"[/example/]192.0.2.2", "192.0.2.1", "[/Deep.eXample/]192.0.2.3",
                                      "[/other/]192.0.2.4", "[/EXAMPLE/]192.0.2.5", NULL});
    assert_string_equal(chosen(&upstreams, "a.net", 0), "192.0.2.1:53");
    assert_string_equal(chosen(&upstreams, "EXAMPLE", 0), "192.0.2.2:53");
    assert_string_equal(chosen(&upstreams, "a.example", 1), "192.0.2.5:53");
    assert_string_equal(chosen(&upstreams, "a.example", 2), "192.0.2.2:53");
    assert_string_equal(chosen(&upstreams, "a.DEEP.example", 0), "192.0.2.3:53");
    assert_string_equal(chosen(&upstreams, "a.deep.example", 1), "192.0.2.3:53");
    assert_string_equal(chosen(&upstreams, "notexample", 0), "192.0.2.1:53");
    assert_string_equal(chosen(&upstreams, "x.other", 0), "192.0.2.4:53");
    assert_string_equal(chosen(&upstreams, NULL, 0), "192.0.2.1:53");
    upstreams_free(&upstreams);
}

static void may_have_none(void **state)
{
    (void)state;
    struct upstreams upstreams = upstreams_of((const char *[]){"[/example/]192.0.2.2", NULL});
    assert_string_equal(chosen(&upstreams, "a.net", 0), "none");
    assert_string_equal(chosen(&upstreams, NULL, 0), "none");
    upstreams_free(&upstreams);
    assert_string_equal(chosen(&upstreams, "a.net", 0), "none");
}

static void a_domain_may_have_none(void **state)
{
    (void)state;
    struct net_upstream items[3];
    struct upstreams upstreams = {0};
    struct flow flow = {0};
    struct route route = {.flow = &flow};
    struct upstream_choice target;
    struct reason reason = {""};
    struct buffer text = {0};
    must(upstream_from_text("192.0.2.1", &items[0], NULL));
    must(upstream_from_text("[/corp.example/]192.0.2.2", &items[1], NULL));
    must(upstream_from_text("[/no.corp.example/]192.0.2.3", &items[2], NULL));
    items[2].target = (struct upstream_target){.address = {.family = AF_UNSPEC}};
    must(upstreams_set(&upstreams, items, 3));
    assert_string_equal(chosen(&upstreams, "a.example", 0), "192.0.2.1:53");
    assert_string_equal(chosen(&upstreams, "a.corp.example", 0), "192.0.2.2:53");
    assert_string_equal(chosen(&upstreams, "no.corp.example", 0), "none");
    flow.query.wire = message_of(1, 0, "a.No.corp.example", DNS_TYPE_A);
    must(dns_message_parse(flow.query.wire.data, flow.query.wire.length, &flow.query.view, NULL));
    flow.query.present = true;
    assert_int_equal(upstreams_choose(&upstreams, &route, &target, &reason), STATUS_NOT_FOUND);
    assert_string_equal(reason.text, "no upstream");
    upstreams_describe(&upstreams, &text);
    assert_string_equal(buffer_c_string(&text), "[/no.corp.example/]none, [/corp.example/]192.0.2.2:53, 192.0.2.1:53");
    buffer_free(&flow.query.wire);
    buffer_free(&text);
    upstreams_free(&upstreams);
}

/* What is learnt of queries that were out while the same list was read again (HUP) counts. */
static void the_same_list_read_again_changes_nothing(void **state)
{
    (void)state;
    struct flow flow = {0};
    struct route route = {.flow = &flow};
    struct upstream_choice choice;
    struct upstreams upstreams = upstreams_of((const char *[]){"192.0.2.1", "192.0.2.2", NULL});
    struct upstreams same = upstreams_of((const char *[]){"192.0.2.1", "192.0.2.2", NULL});
    struct upstreams other = upstreams_of((const char *[]){"192.0.2.1", "192.0.2.3", NULL});
    must(upstreams_choose(&upstreams, &route, &choice, NULL));
    upstreams.health[0].timeouts = 7;
    upstreams_replace(&upstreams, &same);
    assert_int_equal(upstreams_index(&upstreams, choice.upstream), 0);
    assert_int_equal(upstreams.health[0].timeouts, 7);
    upstreams_replace(&upstreams, &other);
    assert_int_equal(upstreams_index(&upstreams, choice.upstream), upstreams.count);
    assert_int_equal(upstreams.health[0].timeouts, 7);
    upstreams_free(&upstreams);
}

static void takes_what_the_flow_says(void **state)
{
    (void)state;
    struct upstreams upstreams = upstreams_of((const char *[]){"192.0.2.1", NULL});
    struct flow flow = {0};
    struct upstream_choice target = {0};
    struct route route = {.flow = &flow};
    struct reason reason = {""};
    must(upstream_target_from_text("tcp://192.0.2.9", 15, &flow.target, NULL));
    must(upstreams_choose(&upstreams, &route, &target, NULL));
    assert_int_equal(target.target.scheme, UPSTREAM_TCP);
    assert_int_equal(target.target.address.bytes[3], 9);

    must(upstream_target_from_text("tls://192.0.2.8", 15, &flow.target, NULL));
    assert_int_equal(upstreams_choose(&upstreams, &route, &target, &reason), STATUS_IO);
    assert_int_equal(target.target.address.bytes[3], 8);
    assert_non_null(strstr(reason.text, "tls://"));

    const struct address again = {.family = AF_INET, .port = 53, .bytes = {192, 0, 2, 7}};
    route.stream = true;
    route.again = &again;
    must(upstreams_choose(&upstreams, &route, &target, NULL));
    assert_int_equal(target.target.address.bytes[3], 7);
    upstreams_free(&upstreams);
}

static void describes_itself(void **state)
{
    (void)state;
    struct upstreams upstreams =
        upstreams_of((const char *[]){"192.0.2.1", "udp://192.0.2.2", "[/Corp.Example/]tcp://[::1]:5353", NULL});
    struct buffer text = {0};
    upstreams_describe(&upstreams, &text);
    assert_string_equal(buffer_c_string(&text), "[/corp.example/]tcp://[::1]:5353, 192.0.2.1:53, udp://192.0.2.2:53");
    upstreams_free(&upstreams);
    buffer_clear(&text);
    upstreams_describe(&upstreams, &text);
    assert_string_equal(buffer_c_string(&text), "none");
    buffer_free(&text);
}

static void refuses(const char *text, const char *because)
{
    struct net_upstream upstream;
    struct reason reason = {""};
    assert_int_equal(upstream_from_text(text, &upstream, &reason), STATUS_INVALID);
    if (!strstr(reason.text, because))
        fail_msg("'%s' expected for %s, got '%s'", because, text, reason.text);
}

static void refuses_what_is_not_written_so(void **state)
{
    (void)state;
    refuses("tls://192.0.2.1", "tls:// is not supported yet");
    refuses("https://192.0.2.1", "udp://");
    refuses("gopher://192.0.2.1", "gopher");
    refuses("[/example/", "[/domain/]ADDR");
    refuses("[/a//b/]192.0.2.1", "a domain is missing");
    refuses("[/a..b/]192.0.2.1", "empty label");
    refuses("[/example/]", "IP address");
    refuses("dns.example", "dns.example");
}

static void reads_listeners(void **state)
{
    (void)state;
    struct net_listen listen;
    struct reason reason = {""};
    char text[ADDRESS_TEXT_MAX];
    must(net_listen_from_text("127.0.0.1", 9, &listen, NULL));
    assert_int_equal(listen.transports, 1 << TRANSPORT_UDP | 1 << TRANSPORT_TCP);
    assert_string_equal(address_text(&listen.address, text), "127.0.0.1:5300");
    must(net_listen_from_text("TCP://[::1]:53", 14, &listen, NULL));
    assert_int_equal(listen.transports, 1 << TRANSPORT_TCP);
    assert_string_equal(address_text(&listen.address, text), "[::1]:53");
    must(net_listen_from_text("udp://0.0.0.0:0", 15, &listen, NULL));
    assert_int_equal(listen.transports, 1 << TRANSPORT_UDP);
    assert_int_equal(net_listen_from_text("tls://127.0.0.1", 15, &listen, &reason), STATUS_INVALID);
    assert_non_null(strstr(reason.text, "tls://"));
    assert_int_equal(net_listen_from_text("localhost:53", 12, &listen, &reason), STATUS_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(asks_in_turn),
        cmocka_unit_test(takes_the_longest_domain),
        cmocka_unit_test(may_have_none),
        cmocka_unit_test(a_domain_may_have_none),
        cmocka_unit_test(the_same_list_read_again_changes_nothing),
        cmocka_unit_test(takes_what_the_flow_says),
        cmocka_unit_test(describes_itself),
        cmocka_unit_test(refuses_what_is_not_written_so),
        cmocka_unit_test(reads_listeners),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
