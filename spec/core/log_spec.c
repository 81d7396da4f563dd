/* The log: levels, both forms, and that no control byte gets out. */
#include "base/log.h"
#include "base/nearest.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

#include <cjson/cJSON.h>
#include <cmocka.h>

/* What a log wrote, as text. */
struct capture {
    int pipe[2];
    struct log log;
    char text[8192];
};

static void capture_start(struct capture *capture)
{
    *capture = (struct capture){0};
    assert_int_equal(pipe(capture->pipe), 0);
    capture->log = (struct log){.level = LOG_DEBUG, .fd = capture->pipe[1]};
}

static const char *capture_end(struct capture *capture)
{
    close(capture->pipe[1]);
    size_t length = 0;
    ssize_t got;
    while ((got = read(capture->pipe[0], capture->text + length, sizeof capture->text - 1 - length)) > 0)
        length += (size_t)got;
    capture->text[length] = '\0';
    close(capture->pipe[0]);
    return capture->text;
}

static const char *escaped(struct buffer *out, const char *text, size_t length, bool keep_newlines)
{
    buffer_clear(out);
    log_escape(out, text, length, keep_newlines);
    return buffer_c_string(out);
}

#define ESCAPED(text, keep) escaped(&out, text, sizeof text - 1, keep)

/* Marks of direction make a name look like another one (UAX #9); what has its own script's direction stays. */
static void escapes_what_misleads(void **state)
{
    (void)state;
    struct buffer out = {0};
    assert_string_equal(ESCAPED("a\xe2\x80\xae"
                                "b\xe2\x81\xa6"
                                "c\xd8\x9c"
                                "d",
                                false),
                        "a\\xe2\\x80\\xaeb\\xe2\\x81\\xa6c\\xd8\\x9cd");
    assert_string_equal(ESCAPED("\xe2\x80\xa8\xe2\x80\x90\xe2\x80", true), "\\xe2\\x80\\xa8\xe2\x80\x90\\xe2\\x80");
    assert_string_equal(ESCAPED("\xd8\xb9\xd7\x90", false), "\xd8\xb9\xd7\x90");
    buffer_clear(&out);
    log_json_text(&out, "\"\xe2\x80\xae\xd8\x9c\xc2\x9b\x7f\xe2\x82\xac\"", 13);
    assert_string_equal(buffer_c_string(&out), "\"\\u202e\\u061c\\u009b\\u007f\xe2\x82\xac\"");
    buffer_free(&out);
}

static void escapes_control_bytes_and_broken_utf8(void **state)
{
    (void)state;
    struct buffer out = {0};
    assert_string_equal(ESCAPED("plain \xc3\xa9 \xe2\x82\xac \xf0\x9f\x8c\x99 ~", false),
                        "plain \xc3\xa9 \xe2\x82\xac \xf0\x9f\x8c\x99 ~");
    assert_string_equal(ESCAPED("\x1b[31m\x7f\0|\r", false), "\\x1b[31m\\x7f\\x00|\\x0d");
    assert_string_equal(ESCAPED("\xc2\x80\xc2\x9f\xc2\xa0", false), "\\xc2\\x80\\xc2\\x9f\xc2\xa0");
    assert_string_equal(ESCAPED("\xff\x80 \xc3(", false), "\\xff\\x80 \\xc3(");
    assert_string_equal(ESCAPED("\xc0\xaf \xe0\x80\xaf", false), "\\xc0\\xaf \\xe0\\x80\\xaf"); /* overlong */
    assert_string_equal(ESCAPED("\xed\xa0\x80", false), "\\xed\\xa0\\x80");                     /* a surrogate */
    assert_string_equal(ESCAPED("\xf4\x90\x80\x80", false), "\\xf4\\x90\\x80\\x80");            /* above U+10FFFF */
    assert_string_equal(ESCAPED("\xe2\x82", false), "\\xe2\\x82");                              /* cut off */
    assert_string_equal(ESCAPED("a\nb\tc", false), "a\\x0ab\\x09c");
    assert_string_equal(ESCAPED("a\nb\tc", true), "a\n    | b\tc");
    buffer_free(&out);
}

/* Whatever the bytes, the escaped text holds no control byte and is UTF-8 that JSON takes. */
static void escapes_every_pair_of_bytes(void **state)
{
    (void)state;
    struct buffer out = {0};
    for (unsigned pair = 0; pair < 65536; pair++) {
        const char text[] = {(char)(pair >> 8), (char)pair};
        buffer_clear(&out);
        log_escape(&out, text, sizeof text, false);
        log_json_string(&out, text, sizeof text);
        for (size_t i = 0; i < out.length; i++) {
            assert_true(out.data[i] >= 0x20 && out.data[i] != 0x7f);
            if (i && out.data[i - 1] == 0xc2)
                assert_true(out.data[i] >= 0xa0);
        }
    }
    buffer_free(&out);
}

static void json_text_keeps_its_meaning(void **state)
{
    (void)state;
    struct buffer out = {0};
    static const char json[] = "{\"a\": \"\x7f\xc2\x9b\xff \\n \\\"\xc3\xa9\"}";
    log_json_text(&out, json, sizeof json - 1);
    assert_string_equal(buffer_c_string(&out), "{\"a\": \"\\u007f\\u009b\\\\xff \\n \\\"\xc3\xa9\"}");
    buffer_free(&out);
}

static void lines_for_people(void **state)
{
    (void)state;
    struct capture capture;
    capture_start(&capture);
    log_line(&capture.log, LOG_INFO, "listening on %s", "127.0.0.1:5300");
    log_line(&capture.log, LOG_WARN, "hm");
    static const char report[] = "spoof.lua:3: no\nstack traceback:\n\t[C]: in x\x1b\n";
    log_text(&capture.log, LOG_ERROR, report, sizeof report - 1);
    const char *text = capture_end(&capture);
    assert_int_equal(text[0], '[');
    assert_int_equal(text[3], ':');
    assert_int_equal(text[9], '.');
    assert_int_equal(text[13], ']');
    assert_memory_equal(text + 14, " listening on 127.0.0.1:5300\n[", 30);
    assert_non_null(strstr(text, "] warn: hm\n["));
    assert_non_null(strstr(text, "] error: spoof.lua:3: no\n    | stack traceback:\n    | \t[C]: in x\\x1b\n"));
    assert_null(strstr(text, "\n\n"));
    assert_null(strchr(text, '\033'));
}

/* Each line that a log writes either begins with its time or is marked as another's. */
static void no_text_makes_a_line_of_the_log(void **state)
{
    (void)state;
    struct capture capture;
    capture_start(&capture);
    static const char forged[] = "a\tb\n[12:00:00.000] error: forged\r\n\n127.0.0.1:1 A forged.example\n";
    log_text(&capture.log, LOG_INFO, forged, sizeof forged - 1);
    const char *text = capture_end(&capture);
    assert_non_null(strstr(text, "] a\tb\n"));
    unsigned lines = 0;
    for (const char *line = text; *line; line = strchr(line, '\n') + 1, lines++)
        assert_memory_equal(line, lines ? "    | " : "[", lines ? 6 : 1);
    assert_int_equal(lines, 4);
}

static void levels_drop_what_lies_below(void **state)
{
    (void)state;
    struct capture capture;
    capture_start(&capture);
    capture.log.level = LOG_WARN;
    log_line(&capture.log, LOG_DEBUG, "no");
    log_line(&capture.log, LOG_INFO, "no");
    log_line(&capture.log, LOG_WARN, "yes");
    const char *text = capture_end(&capture);
    assert_non_null(strstr(text, "yes"));
    assert_null(strstr(text, "no"));
}

static void colours_only_where_asked(void **state)
{
    (void)state;
    struct capture capture;
    capture_start(&capture);
    capture.log.colour = true;
    log_line(&capture.log, LOG_ERROR, "red");
    assert_non_null(strstr(capture_end(&capture), "\033[31merror: red\033[0m\n"));
    int fds[2];
    assert_int_equal(pipe(fds), 0);
    assert_false(log_wants_colour(fds[1]));
    close(fds[0]);
    close(fds[1]);
}

static void json_lines(void **state)
{
    (void)state;
    struct capture capture;
    capture_start(&capture);
    capture.log.json = true;
    log_line(&capture.log, LOG_WARN, "%s", "say \"a\\b\"\n\tthen\x1b\xff\xc3\xa9");
    const char *text = capture_end(&capture);
    assert_ptr_equal(strchr(text, '\n'), text + strlen(text) - 1);
    cJSON *json = cJSON_Parse(text);
    assert_non_null(json);
    assert_string_equal(cJSON_GetObjectItem(json, "level")->valuestring, "warn");
    assert_string_equal(cJSON_GetObjectItem(json, "message")->valuestring, "say \"a\\b\"\n\tthen\\x1b\\xff\xc3\xa9");
    assert_true(cJSON_GetObjectItem(json, "time")->valuedouble > 1.7e9);
    cJSON_Delete(json);
}

static void long_lines_come_whole(void **state)
{
    (void)state;
    struct capture capture;
    char text[4000];
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    capture_start(&capture);
    log_line(&capture.log, LOG_INFO, "%s!", text);
    const char *written = capture_end(&capture);
    assert_memory_equal(written + 15, text, sizeof text - 1);
    assert_string_equal(written + 15 + sizeof text - 1, "!\n");
}

struct sunk {
    enum log_level level;
    char text[64];
    size_t length;
};

static void sink(void *context, enum log_level level, const char *text, size_t length)
{
    struct sunk *sunk = context;
    sunk->level = level;
    sunk->length = length;
    memcpy(sunk->text, text, length);
}

static void a_sink_gets_the_bytes(void **state)
{
    (void)state;
    struct sunk sunk = {0};
    struct log log = {.level = LOG_INFO, .fd = -1, .sink = sink, .context = &sunk};
    log_text(&log, LOG_DEBUG, "below", 5);
    assert_int_equal(sunk.length, 0);
    log_text(&log, LOG_ERROR, "a\x1b\n", 3);
    assert_int_equal(sunk.level, LOG_ERROR);
    assert_int_equal(sunk.length, 3);
    assert_memory_equal(sunk.text, "a\x1b\n", 3);
}

static void finds_the_nearest_name(void **state)
{
    (void)state;
    static const char *const names[] = {"script", "set", "listen", "upstream", "user", NULL};
    assert_string_equal(nearest_name("scirpt", names), "script");
    assert_string_equal(nearest_name("SCRIPTS", names), "script");
    assert_string_equal(nearest_name("lisen", names), "listen");
    assert_string_equal(nearest_name("up", names), "upstream"); /* the only one that begins so */
    assert_string_equal(nearest_name("ste", names), "set");
    assert_null(nearest_name("banana", names));
    assert_null(nearest_name("", names));
    assert_int_equal(nearest_distance("scirpt", "script"), 1);
    assert_int_equal(nearest_distance("", "abc"), 3);
    assert_int_equal(nearest_distance("kitten", "sitting"), 3);
    char longer[200];
    memset(longer, 'a', sizeof longer - 1);
    longer[sizeof longer - 1] = '\0';
    assert_null(nearest_name(longer, names));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(escapes_what_misleads),
        cmocka_unit_test(escapes_control_bytes_and_broken_utf8),
        cmocka_unit_test(escapes_every_pair_of_bytes),
        cmocka_unit_test(json_text_keeps_its_meaning),
        cmocka_unit_test(lines_for_people),
        cmocka_unit_test(no_text_makes_a_line_of_the_log),
        cmocka_unit_test(levels_drop_what_lies_below),
        cmocka_unit_test(colours_only_where_asked),
        cmocka_unit_test(json_lines),
        cmocka_unit_test(long_lines_come_whole),
        cmocka_unit_test(a_sink_gets_the_bytes),
        cmocka_unit_test(finds_the_nearest_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
