/* resolv.conf: which servers it names. */
#include "net/resolv_conf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

/* The servers that the text names, joined by spaces; lives until the next call. */
static const char *servers_of(const char *text)
{
    static char out[RESOLV_CONF_SERVERS_MAX * ADDRESS_TEXT_MAX];
    char one[ADDRESS_TEXT_MAX];
    const struct resolv_conf conf = resolv_conf_parse(text, strlen(text));
    out[0] = '\0';
    for (size_t i = 0; i < conf.count; i++) {
        strcat(out, i ? " " : "");
        strcat(out, address_text(&conf.servers[i], one));
    }
    return out;
}

static void takes_servers_in_order(void **state)
{
    (void)state;
    assert_string_equal(servers_of("nameserver 192.0.2.1\nnameserver\t2001:DB8::1 \nnameserver 192.0.2.2"),
                        "192.0.2.1:53 [2001:db8::1]:53 192.0.2.2:53");
    assert_string_equal(servers_of("nameserver fe80::1%1\r\n"), "[fe80::1%lo]:53");
}

static void passes_over_the_rest(void **state)
{
    (void)state;
    assert_string_equal(servers_of("# nameserver 192.0.2.9\n; nameserver 192.0.2.9\nsearch example.com\n"
                                   "options timeout:1 attempts:2\n nameserver 192.0.2.9\nnameservers 192.0.2.9\n"
                                   "nameserver\nnameserver # 192.0.2.9\nnameserver dns.example\n\n"
                                   "nameserver 192.0.2.1 # ours\n"),
                        "192.0.2.1:53");
}

static void falls_back_to_this_machine(void **state)
{
    (void)state;
    assert_string_equal(servers_of(""), "127.0.0.1:53");
    assert_string_equal(servers_of("search example.com\n"), "127.0.0.1:53");
    struct resolv_conf conf;
    struct reason reason = {""};
    assert_int_equal(resolv_conf_load("/nonexistent/resolv.conf", &conf, &reason), STATUS_OK);
    assert_int_equal(conf.count, 1);
    assert_int_equal(resolv_conf_load("/", &conf, &reason), STATUS_IO);
    assert_non_null(strstr(reason.text, "cannot read /:"));
}

static void is_bounded(void **state)
{
    (void)state;
    char text[40 * 32] = "";
    for (int i = 0; i < 40; i++)
        sprintf(text + strlen(text), "nameserver 192.0.2.%d\n", i);
    assert_int_equal(resolv_conf_parse(text, strlen(text)).count, RESOLV_CONF_SERVERS_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(takes_servers_in_order),
        cmocka_unit_test(passes_over_the_rest),
        cmocka_unit_test(falls_back_to_this_machine),
        cmocka_unit_test(is_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
