/* Config files: what they hold, what counts beside the command line, and what their errors say. */
#include "options_line.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cjson/cJSON.h>

/* A config file for one parse; `path` is the test's. */
static void write_config(char path[static 32], const char *text)
{
    strcpy(path, "/tmp/moondns-config-XXXXXX");
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    close(fd);
}

static void accept_config(const char *text, const char *const *more, struct options *out)
{
    char path[32];
    const char *arguments[ARGUMENTS_MAX] = {"-C", path};
    for (size_t i = 0; more && more[i]; i++)
        arguments[i + 2] = more[i];
    write_config(path, text);
    accept_line(arguments, out);
    unlink(path);
}

static void refuse_config(const char *text, const char *expected)
{
    char path[32], whole[400];
    write_config(path, text);
    snprintf(whole, sizeof whole, "%s: %s", path, expected);
    refuse_line(ARGS("--config", path), whole);
    unlink(path);
}

static void config_holds_every_option(void **state)
{
    (void)state;
    struct options options;
    accept_config("{\"script\": [\"a.lua\", \"b.lua\"], \"set\": {\"x\": 1, \"y\": true, \"z\": [\"p\", 0.5]},"
                  " \"listen\": [\"127.0.0.1:5353\"], \"upstream\": [\"9.9.9.9\", \"[/a/b/]1.1.1.1\"],"
                  " \"timeout\": 0.1, \"retries\": 1, \"hosts\": \"h\", \"workers\": \"auto\","
                  " \"hook-timeout\": 3, \"jit\": true, \"script-memory\": 8, \"shared-memory\": 9, \"no-reload\": "
                  "true, \"verbose\": 1,"
                  " \"quiet\": 0, \"flow-detail\": 3, \"log-json\": false, \"user\": \"u\", \"group\": \"g\"}\n",
                  NULL, &options);
    assert_string_equal(options.scripts[1], "b.lua");
    assert_string_equal(options.settings[0], "x=1");
    assert_string_equal(options.settings[1], "y=true");
    assert_string_equal(options.settings[2], "z=p");
    assert_string_equal(options.settings[3], "z=0.5");
    assert_null(options.settings[4]);
    assert_int_equal(options.listens_count, 1);
    assert_int_equal(options.listens[0].address.port, 5353);
    assert_int_equal(options.upstreams_count, 3);
    assert_int_equal(options.timeout_us, 100000);
    assert_int_equal(options.retries, 1);
    assert_true(options.hook_timeout == 3.0);
    assert_true(options.jit && options.no_reload && !options.log_json);
    assert_int_equal(options.script_memory, 8 << 20);
    assert_int_equal(options.level, LOG_DEBUG);
    assert_int_equal(options.flow_detail, 3);
    assert_string_equal(options.user, "u");
    options_free(&options);
}

static void config_knows_a_form_for_every_option(void **state)
{
    (void)state;
    struct options options;
    for (size_t i = 0; i < OPTION_COUNT; i++) {
        char text[64], path[32];
        enum options_action action;
        struct reason reason = {""};
        if (options_table[i].traits & OPTION_COMMAND_LINE_ONLY)
            continue;
        snprintf(text, sizeof text, "{\"%s\": null}", options_table[i].name);
        write_config(path, text);
        assert_int_not_equal(parse(ARGS("-C", path), &options, &action, &reason), STATUS_OK);
        assert_non_null(strstr(reason.text, " expected, got null"));
        if (strstr(reason.text, "(null)"))
            fail_msg("%s", reason.text);
        unlink(path);
    }
    accept_config(
        "{\"metrics\": 9153, \"dnstap\": \"unix:/run/tap\", \"dnstap-identity\": \"me\", \"op-codes\": \"query\","
        " \"shared\": \"memory\"}",
        NULL, &options);
    assert_int_equal(options.metrics.port, 9153);
    assert_int_equal(options.metrics.family, AF_INET);
    assert_non_null(options.dnstap);
    assert_string_equal(options.dnstap_identity, "me");
    options_free(&options);
    accept_config("{\"metrics\": \"[::1]:9153\"}", NULL, &options);
    assert_int_equal(options.metrics.family, AF_INET6);
    options_free(&options);
    refuse_config("{\"metrics\": true}", "metrics: port number or \"ADDR:PORT\" expected, got true");
}

static void the_command_line_wins(void **state)
{
    (void)state;
    struct options options;
    accept_config("{\"script\": [\"a.lua\", \"b.lua\"], \"set\": [\"x=1\"], \"retries\": 7, \"timeout\": 9}",
                  ARGS("-s", "c.lua", "--retries", "1"), &options);
    assert_string_equal(options.scripts[0], "c.lua");
    assert_null(options.scripts[1]);
    assert_string_equal(options.settings[0], "x=1");
    assert_int_equal(options.retries, 1);
    assert_int_equal(options.timeout_us, 9000000);
    options_free(&options);
}

static void later_files_win(void **state)
{
    (void)state;
    struct options options;
    char first[32], second[32];
    write_config(first, "{\"script\": [\"a.lua\", \"b.lua\"], \"retries\": 7, \"upstream\": [\"9.9.9.9\"]}");
    write_config(second, "{\"script\": [\"c.lua\"], \"listen\": [], \"upstream\": []}");
    accept_line(ARGS("-C", first, "-C", second), &options);
    assert_string_equal(options.scripts[0], "c.lua");
    assert_null(options.scripts[1]);
    assert_int_equal(options.retries, 7);
    assert_int_equal(options.listens_count, 1); /* an empty array: the default */
    assert_int_equal(options.upstreams_count, 0);
    options_free(&options);
    unlink(first);
    unlink(second);
}

static void config_errors_name_the_place(void **state)
{
    (void)state;
    refuse_config("{\"scripts\": []}", "unknown key 'scripts' (did you mean 'script'?)");
    refuse_config("{\"hook_timeout\": 1}", "unknown key 'hook_timeout' (did you mean 'hook-timeout'?)");
    refuse_config("{\"banana\": 1}", "unknown key 'banana'");
    refuse_config("{\"check\": true}", "'check' is for the command line alone; take it out of this file");
    refuse_config("{\"script\": \"a.lua\"}", "script: array of strings expected, got a string");
    refuse_config("{\"script\": [\"a.lua\", 3]}", "script: array of strings expected, got a number");
    refuse_config("{\"timeout\": \"2\"}", "timeout: number expected, got a string");
    refuse_config("{\"timeout\": -2}", "timeout: " SECONDS_EXPECTED " expected, got '-2'");
    refuse_config("{\"retries\": 1.5}", "retries: integer from 0 to 100 expected, got '1.5'");
    refuse_config("{\"jit\": 1}", "jit: true or false expected, got a number");
    refuse_config("{\"hosts\": null}", "hosts: string expected, got null");
    refuse_config("{\"set\": {\"x\": {}}}", "set: x: string, number, true, false or an array of them expected, got an "
                                            "object");
    refuse_config("{\"set\": \"x=1\"}", "set: array of \"NAME=VALUE\" or object expected, got a string");
    refuse_config("{\"retries\": 1, \"retries\": 2}", "key 'retries' is there twice");
    refuse_config("{\"listen\": [\"nowhere\"]}", "listen: IP address expected, got 'nowhere'");
    refuse_config("[]", "an object {\"option\": value} expected, got an array");
    refuse_config("{\n  \"retries\": 1,\n  \"jit\": yes\n}",
                  "line 3, column 10: this is no JSON (a comma too many, a quote missing?)");
    refuse_config("{\"retries\": 1} x", "line 1, column 16: this is no JSON (a comma too many, a quote missing?)");
    refuse_config("{\"retries\": 1", "line 1, column 14: the JSON ends too early");
    refuse_config("", "line 1, column 1: the JSON ends too early");
    refuse_line(ARGS("-C", "/nowhere/at-all.json"), "/nowhere/at-all.json: No such file or directory");
    refuse_line(ARGS("-C", "/tmp"), "/tmp: Is a directory");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(config_holds_every_option),    cmocka_unit_test(config_knows_a_form_for_every_option),
        cmocka_unit_test(the_command_line_wins),        cmocka_unit_test(later_files_win),
        cmocka_unit_test(config_errors_name_the_place),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
