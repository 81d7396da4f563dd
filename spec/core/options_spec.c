/* Options: the command line, what its errors say, and what is told of the options. */
#include "options_line.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cjson/cJSON.h>

static void defaults(void **state)
{
    (void)state;
    struct options options;
    accept_line(ARGS(NULL), &options);
    char text[ADDRESS_TEXT_MAX];
    assert_null(options.scripts[0]);
    assert_null(options.settings[0]);
    assert_int_equal(options.listens_count, 1);
    assert_string_equal(address_text(&options.listens[0].address, text), "127.0.0.1:5300");
    assert_int_equal(options.listens[0].transports, 1 << TRANSPORT_UDP | 1 << TRANSPORT_TCP);
    assert_int_equal(options.upstreams_count, 0);
    assert_false(options.upstream_none);
    assert_int_equal(options.timeout_us, 2000000);
    assert_int_equal(options.retries, 2);
    assert_null(options.hosts);
    assert_null(options.zones[0]);
    assert_int_equal(options.cache, 0);
    assert_int_equal(options.workers, 1);
    assert_true(options.hook_timeout == 1.0);
    assert_int_equal(options.script_memory, (size_t)1024 << 20);
    assert_null(options.shared);
    assert_int_equal(options.shared_memory, (size_t)64 << 20);
    assert_int_equal(options.held_max, 10000);
    assert_true(options.held_timeout == 60.0);
    assert_int_equal(options.level, LOG_INFO);
    assert_int_equal(options.flow_detail, 1);
    assert_false(options.jit || options.no_reload || options.check || options.show_options || options.log_json);
    assert_null(options.user);
    assert_null(options.group);
    assert_null(options.filter);
    options_free(&options);
}

static void every_way_to_write_an_option(void **state)
{
    (void)state;
    struct options options;
    accept_line(ARGS("-s", "a.lua", "-sb.lua", "--script", "c.lua", "--script=d.lua", "--set", "x=1", "--set=y=a=b",
                     "-qvv", "--timeout", "0.25", "--retries=0", "--op-codes=query,Notify,OPCODE9", "--hook-timeout",
                     "1e-3", "--workers", "4", "--jit", "--script-memory", "64", "--shared-memory=5", "--shared",
                     "redis://u:p@h:1/2", "--no-reload", "--check", "--options", "--flow-detail", "0", "--log-json",
                     "--user", "nobody", "--group=nogroup", "--hosts", "/etc/hosts", "--zone", "a.zone",
                     "--zone=b.zone", "--cache", "10000", "--held-max=7", "--held-timeout", "0.5"),
                &options);
    static const char *const scripts[] = {"a.lua", "b.lua", "c.lua", "d.lua"};
    for (size_t i = 0; i < 4; i++)
        assert_string_equal(options.scripts[i], scripts[i]);
    assert_null(options.scripts[4]);
    assert_string_equal(options.settings[0], "x=1");
    assert_string_equal(options.settings[1], "y=a=b");
    assert_null(options.settings[2]);
    assert_int_equal(options.level, LOG_DEBUG);
    assert_int_equal(options.flow_detail, 0);
    assert_int_equal(options.timeout_us, 250000);
    assert_int_equal(options.retries, 0);
    assert_int_equal(options.op_codes_refused, (uint16_t) ~(1 << 0 | 1 << 4 | 1 << 9));
    assert_true(options.hook_timeout > 0.0009 && options.hook_timeout < 0.0011);
    assert_int_equal(options.workers, 4);
    assert_int_equal(options.script_memory, 64 << 20);
    assert_int_equal(options.shared_memory, 5 << 20);
    assert_string_equal(options.shared->shown, "redis://u:***@h:1/2");
    assert_int_equal(options.held_max, 7);
    assert_true(options.held_timeout == 0.5);
    assert_true(options.jit && options.no_reload && options.check && options.show_options && options.log_json);
    assert_string_equal(options.user, "nobody");
    assert_string_equal(options.group, "nogroup");
    assert_string_equal(options.hosts, "/etc/hosts");
    assert_string_equal(options.zones[0], "a.zone");
    assert_string_equal(options.zones[1], "b.zone");
    assert_null(options.zones[2]);
    assert_int_equal(options.cache, 10000);
    options_free(&options);
}

static void less_and_more(void **state)
{
    (void)state;
    static const struct {
        const char *argument;
        enum log_level level;
        unsigned detail;
    } cases[] = {
        {"-q", LOG_WARN, 0},   {"-qq", LOG_ERROR, 0}, {"-qqq", LOG_ERROR, 0},   {"-v", LOG_DEBUG, 2},
        {"-vv", LOG_DEBUG, 3}, {"-qv", LOG_INFO, 1},  {"--quiet", LOG_WARN, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct options options;
        accept_line(ARGS(cases[i].argument), &options);
        assert_int_equal(options.level, cases[i].level);
        assert_int_equal(options.flow_detail, cases[i].detail);
        options_free(&options);
        accept_line(ARGS(cases[i].argument, "--flow-detail", "1"), &options);
        assert_int_equal(options.level, cases[i].level);
        assert_int_equal(options.flow_detail, 1);
        options_free(&options);
    }
}

static void workers_auto_counts_cores(void **state)
{
    (void)state;
    struct options options;
    accept_line(ARGS("--workers", "auto"), &options);
    assert_in_range(options.workers, 1, 256);
    assert_int_equal(atoi(value_of(&options, "workers")), options.workers);
    options_free(&options);
}

static void listeners(void **state)
{
    (void)state;
    struct options options;
    char text[ADDRESS_TEXT_MAX];
    accept_line(ARGS("-l", "udp://0.0.0.0:53", "-l", "tcp://[::1]:5353", "-l", "192.0.2.1", "-l", "::"), &options);
    static const struct {
        const char *address;
        unsigned transports;
    } expected[] = {
        {"0.0.0.0:53", 1 << TRANSPORT_UDP},
        {"[::1]:5353", 1 << TRANSPORT_TCP},
        {"192.0.2.1:5300", 1 << TRANSPORT_UDP | 1 << TRANSPORT_TCP},
        {"[::]:5300", 1 << TRANSPORT_UDP | 1 << TRANSPORT_TCP},
    };
    assert_int_equal(options.listens_count, 4);
    for (size_t i = 0; i < 4; i++) {
        assert_string_equal(address_text(&options.listens[i].address, text), expected[i].address);
        assert_int_equal(options.listens[i].transports, expected[i].transports);
    }
    options_free(&options);
}

static void upstreams(void **state)
{
    (void)state;
    struct options options;
    char text[ADDRESS_TEXT_MAX], name[DNS_NAME_TEXT_MAX];
    accept_line(ARGS("-u", "9.9.9.9", "-u", "[/corp.example/2.0.192.in-addr.arpa/]tcp://10.0.0.1:5353", "-u",
                     "[/dark.example/]none", "--upstream=udp://[2001:db8::1]"),
                &options);
    static const struct {
        const char *domain, *address;
        enum upstream_scheme scheme;
    } expected[] = {
        {NULL, "9.9.9.9:53", UPSTREAM_PLAIN},
        {"corp.example", "10.0.0.1:5353", UPSTREAM_TCP},
        {"2.0.192.in-addr.arpa", "10.0.0.1:5353", UPSTREAM_TCP},
        {"dark.example", NULL, UPSTREAM_PLAIN},
        {NULL, "[2001:db8::1]:53", UPSTREAM_UDP},
    };
    assert_int_equal(options.upstreams_count, 5);
    for (size_t i = 0; i < 5; i++) {
        const struct options_upstream *upstream = &options.upstreams[i];
        assert_int_equal(upstream->target.scheme, expected[i].scheme);
        if (expected[i].address)
            assert_string_equal(address_text(&upstream->target.address, text), expected[i].address);
        else
            assert_int_equal(upstream->target.address.family, AF_UNSPEC);
        if (expected[i].domain) {
            dns_name_to_text(upstream->domain.wire, DNS_NAME_PLAIN, name);
            assert_string_equal(name, expected[i].domain);
        } else {
            assert_int_equal(upstream->domain.length, 0);
        }
    }
    options_free(&options);
    accept_line(ARGS("-u", "none", "-u", "[/a.example/]10.0.0.1"), &options);
    assert_true(options.upstream_none);
    assert_int_equal(options.upstreams_count, 1);
    options_free(&options);
}

static void filter_and_end_of_options(void **state)
{
    (void)state;
    struct options options;
    accept_line(ARGS("~d example & !~t AAAA", "-q"), &options);
    assert_string_equal(options.filter, "~d example & !~t AAAA");
    assert_int_equal(options.quiet, 1);
    options_free(&options);
    accept_line(ARGS("-q", "--", "-x"), &options);
    assert_string_equal(options.filter, "-x");
    options_free(&options);
}

static void actions(void **state)
{
    (void)state;
    static const struct {
        const char *argument;
        enum options_action action;
    } cases[] = {{"-h", OPTIONS_HELP}, {"--help", OPTIONS_HELP}, {"-V", OPTIONS_VERSION}, {"-qV", OPTIONS_VERSION}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct options options;
        enum options_action action = OPTIONS_RUN;
        assert_int_equal(parse(ARGS(cases[i].argument, "--nonsense"), &options, &action, NULL), STATUS_OK);
        assert_int_equal(action, cases[i].action);
        options_free(&options);
    }
}

static void errors_say_what_to_do(void **state)
{
    (void)state;
    refuse_line(ARGS("--scirpt", "x"), "unknown option '--scirpt' (did you mean '--script'?)");
    refuse_line(ARGS("--up=1.1.1.1"), "unknown option '--up' (did you mean '--upstream'?)");
    refuse_line(ARGS("--banana"), "unknown option '--banana'; --help lists them all");
    refuse_line(ARGS("-x"), "unknown option '-x'; --help lists them all");
    refuse_line(ARGS("-workers"), "unknown option '-workers' (did you mean '--workers'?)");
    refuse_line(ARGS("--script"), "--script needs a value: --script FILE");
    refuse_line(ARGS("-q", "-s"), "--script needs a value: --script FILE");
    refuse_line(ARGS("--jit=yes"), "--jit takes no value, got 'yes'");
    refuse_line(ARGS("--timeout", "soon"), "--timeout: " SECONDS_EXPECTED " expected, got 'soon'");
    refuse_line(ARGS("--timeout=0"), "--timeout: " SECONDS_EXPECTED " expected, got '0'");
    refuse_line(ARGS("--timeout=-1"), "--timeout: " SECONDS_EXPECTED " expected, got '-1'");
    refuse_line(ARGS("--timeout=nan"), "--timeout: " SECONDS_EXPECTED " expected, got 'nan'");
    refuse_line(ARGS("--timeout=1e300"), "--timeout: " SECONDS_EXPECTED " expected, got '1e300'");
    refuse_line(ARGS("--timeout", "1e9"), "--timeout: " SECONDS_EXPECTED " expected, got '1e9'");
    refuse_line(ARGS("--timeout", "0.0000001"), "--timeout: " SECONDS_EXPECTED " expected, got '0.0000001'");
    refuse_line(ARGS("--timeout="), "--timeout: " SECONDS_EXPECTED " expected, got ''");
    refuse_line(ARGS("--hook-timeout", "1s"), "--hook-timeout: " SECONDS_EXPECTED " expected, got '1s'");
    refuse_line(ARGS("--retries", "-1"), "--retries: integer from 0 to 100 expected, got '-1'");
    refuse_line(ARGS("--retries", "99999999999999999999"),
                "--retries: integer from 0 to 100 expected, got '99999999999999999999'");
    refuse_line(ARGS("--workers", "0"), "--workers: integer from 1 to 256 (or auto) expected, got '0'");
    refuse_line(ARGS("--flow-detail=4"), "--flow-detail: integer from 0 to 3 expected, got '4'");
    refuse_line(ARGS("--set", "novalue"), "--set: NAME=VALUE expected, got 'novalue'");
    refuse_line(ARGS("--set", "=1"), "--set: NAME=VALUE expected, got '=1'");
    refuse_line(ARGS("--hosts="), "--hosts: path of a file expected, got ''");
    refuse_line(ARGS("--timeout", "\x1b[31m"), "--timeout: " SECONDS_EXPECTED " expected, got '\\x1b[31m'");
    refuse_line(ARGS("a", "&", "b"), "one FILTER expected, got 'a' and '&': quote the filter, it is one argument");
}

static void errors_of_addresses(void **state)
{
    (void)state;
    refuse_line(ARGS("-l", "localhost"), "--listen: IP address expected, got 'localhost'");
    refuse_line(ARGS("-l", "127.0.0.1:99999"),
                "--listen: '127.0.0.1:99999': port from 0 to 65535 expected, got '99999'");
    refuse_line(ARGS("-u", "none", "-u", "9.9.9.9"),
                "--upstream: 'none' and an upstream for all names exclude each other; leave one out");
    refuse_line(ARGS("-u", "[/./]9.9.9.9", "-u", "none"),
                "--upstream: 'none' and an upstream for all names exclude each other; leave one out");
    refuse_line(ARGS("-u", "[/a/][/b/]9.9.9.9"),
                "--upstream: '[/a/][/b/]9.9.9.9': [ipv6]:port expected, got '[/b/]9.9.9.9'");
    refuse_line(ARGS("-u", "[//]9.9.9.9"),
                "--upstream: a domain is missing; [/domain/]ADDR expected, got '[//]9.9.9.9'");
    refuse_line(ARGS("-u", "[/a//b/]9.9.9.9"),
                "--upstream: a domain is missing; [/domain/]ADDR expected, got '[/a//b/]9.9.9.9'");
    refuse_line(ARGS("-u", "[/a]9.9.9.9"), "--upstream: [/domain/]ADDR expected, got '[/a]9.9.9.9'");
    static const char *const refused[] = {"tls://127.0.0.1", "https://127.0.0.1", "ftp://127.0.0.1"};
    for (size_t i = 0; i < 3; i++) {
        struct options options;
        enum options_action action;
        struct reason reason = {""};
        assert_int_equal(parse(ARGS("-l", refused[i]), &options, &action, &reason), STATUS_INVALID);
        assert_non_null(strstr(reason.text, "udp"));
        reason.text[0] = '\0';
        assert_int_equal(parse(ARGS("-u", refused[i]), &options, &action, &reason), STATUS_INVALID);
        assert_non_null(strstr(reason.text, "udp"));
    }
    struct options options;
    enum options_action action;
    assert_int_equal(parse(ARGS("-u", "[/a..b/]9.9.9.9"), &options, &action, NULL), STATUS_INVALID);
    assert_int_equal(parse(ARGS("-u", ""), &options, &action, NULL), STATUS_INVALID);
    assert_int_equal(parse(ARGS("~d ("), &options, &action, NULL), STATUS_INVALID);
}

static void a_script_is_no_filter(void **state)
{
    (void)state;
    char path[] = "/tmp/moondns-XXXXXX.lua", expected[160];
    int fd = mkstemps(path, 4);
    assert_true(fd >= 0);
    close(fd);
    snprintf(expected, sizeof expected, "'%s' is a script: run it with --script %s", path, path);
    refuse_line(ARGS(path), expected);
    unlink(path);
}

static void a_value_that_is_not_joined_is_no_filter(void **state)
{
    (void)state;
    struct options options;
    refuse_line(ARGS("--anonymize", "16,32"),
                "'16,32' is no filter; a value is joined to that option: --anonymize=16,32");
    accept_line(ARGS("--anonymize=16,32", "24"), &options);
    assert_string_equal(options.filter, "24");
    options_free(&options);
    accept_line(ARGS("--anonymize", "~tcp"), &options);
    assert_string_equal(options.filter, "~tcp");
    options_free(&options);
}

/* --- what is told of the options --- */

static void values_are_json(void **state)
{
    (void)state;
    struct options options;
    size_t count = 0; /* of values, less that of options which have one */
    accept_line(ARGS("-s", "a \"b\"\n.lua", "--timeout", "0.25", "--jit", "--workers=3", "-q"), &options);
    for (const struct options_value *value = options.values; value->name; value++, count++) {
        cJSON *json = cJSON_Parse(value->value);
        assert_non_null(json);
        cJSON_Delete(json);
        assert_null(strchr(value->script_name, '-'));
        assert_non_null(value->type);
        assert_non_null(value->help);
    }
    for (size_t id = 0; id < OPTION_COUNT; id++)
        count -= !(options_table[id].traits & OPTION_COMMAND_LINE_ONLY);
    assert_int_equal(count, 0);
    assert_string_equal(value_of(&options, "script"), "[\"a \\\"b\\\"\\n.lua\"]");
    assert_string_equal(value_of(&options, "listen"), "[\"127.0.0.1:5300\"]");
    assert_string_equal(value_of(&options, "upstream"), "[]");
    assert_string_equal(value_of(&options, "timeout"), "0.25");
    assert_string_equal(value_of(&options, "hook_timeout"), "1");
    assert_string_equal(value_of(&options, "jit"), "true");
    assert_string_equal(value_of(&options, "no_reload"), "false");
    assert_string_equal(value_of(&options, "workers"), "3");
    assert_string_equal(value_of(&options, "script_memory"), "1024");
    assert_string_equal(value_of(&options, "hosts"), "null");
    assert_string_equal(value_of(&options, "zone"), "[]");
    assert_string_equal(value_of(&options, "flow_detail"), "0");
    assert_null(value_of(&options, "config"));
    assert_null(value_of(&options, "help"));
    options_free(&options);
}

static void help_names_every_option(void **state)
{
    (void)state;
    struct buffer help = {0}, described = {0};
    struct options options;
    options_help(&help);
    accept_line(ARGS(NULL), &options);
    options_describe(&options, &described);
    const char *text = buffer_c_string(&help), *description = buffer_c_string(&described);
    for (size_t id = 0; id < OPTION_COUNT; id++) {
        char name[64];
        const struct option_spec *spec = &options_table[id];
        const char *behind = spec->traits & OPTION_VALUE_OPTIONAL ? "[=" : spec->argument ? " " : "";
        snprintf(name, sizeof name, "--%s%s", spec->name, behind);
        assert_non_null(strstr(text, name));
    }
    for (const char *line = text; *line; line = strchr(line, '\n') + 1)
        assert_true(strchr(line, '\n') - line <= 80);
    for (const struct options_value *value = options.values; value->name; value++)
        assert_non_null(strstr(description, value->name));
    assert_non_null(strstr(description, "timeout = 2\n"));
    options_free(&options);
    buffer_free(&help);
    buffer_free(&described);
}

static void the_table_is_whole(void **state)
{
    (void)state;
    for (size_t id = 0; id < OPTION_COUNT; id++) {
        const struct option_spec *spec = &options_table[id];
        assert_ptr_equal(options_find(spec->name, strlen(spec->name)), spec);
        if (spec->letter)
            assert_ptr_equal(options_find_letter(spec->letter), spec);
        assert_non_null(spec->help);
        if (!(spec->traits & OPTION_COMMAND_LINE_ONLY))
            assert_non_null(spec->expected);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults),
        cmocka_unit_test(every_way_to_write_an_option),
        cmocka_unit_test(less_and_more),
        cmocka_unit_test(workers_auto_counts_cores),
        cmocka_unit_test(listeners),
        cmocka_unit_test(upstreams),
        cmocka_unit_test(filter_and_end_of_options),
        cmocka_unit_test(actions),
        cmocka_unit_test(errors_say_what_to_do),
        cmocka_unit_test(errors_of_addresses),
        cmocka_unit_test(a_script_is_no_filter),
        cmocka_unit_test(a_value_that_is_not_joined_is_no_filter),
        cmocka_unit_test(values_are_json),
        cmocka_unit_test(help_names_every_option),
        cmocka_unit_test(the_table_is_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
