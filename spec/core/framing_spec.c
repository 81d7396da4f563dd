/* Messages on a stream, however the stream is cut. */
#include "net/framing.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

struct taken {
    struct buffer text; /* the messages, each with a '|' behind it */
    unsigned count, limit;
};

static bool take(void *context, const uint8_t *wire, size_t length)
{
    struct taken *taken = context;
    buffer_append(&taken->text, wire, length);
    buffer_text(&taken->text, "|");
    return ++taken->count != taken->limit;
}

static struct buffer stream_of(const char *const *messages)
{
    struct buffer stream = {0};
    for (; *messages; messages++)
        framing_append(&stream, (const uint8_t *)*messages, strlen(*messages));
    return stream;
}

static void hands_out_whole_messages(void **state)
{
    (void)state;
    struct buffer stream = stream_of((const char *[]){"one", "x", "three", NULL});
    for (size_t piece = 1; piece <= stream.length; piece++) {
        struct framing framing = {0};
        struct taken taken = {0};
        for (size_t at = 0; at < stream.length; at += piece) {
            size_t length = stream.length - at < piece ? stream.length - at : piece;
            assert_int_equal(framing_feed(&framing, stream.data + at, length, take, &taken), FRAMING_MORE);
        }
        assert_string_equal(buffer_c_string(&taken.text), "one|x|three|");
        assert_false(framing_holds(&framing));
        assert_null(framing.kept.data); /* a quiet stream holds no memory */
        buffer_free(&taken.text);
    }
    buffer_free(&stream);
}

static void keeps_what_is_not_whole(void **state)
{
    (void)state;
    struct framing framing = {0};
    struct taken taken = {0};
    assert_int_equal(framing_feed(&framing, (const uint8_t *)"\0\3ab", 4, take, &taken), FRAMING_MORE);
    assert_true(framing_holds(&framing));
    assert_int_equal(taken.count, 0);
    assert_int_equal(framing_feed(&framing, (const uint8_t *)"c", 1, take, &taken), FRAMING_MORE);
    assert_string_equal(buffer_c_string(&taken.text), "abc|");
    buffer_free(&taken.text);
}

static void pauses(void **state)
{
    (void)state;
    struct framing framing = {0};
    struct taken taken = {.limit = 2};
    struct buffer stream = stream_of((const char *[]){"a", "b", "c", "d", NULL});
    assert_int_equal(framing_feed(&framing, stream.data, stream.length, take, &taken), FRAMING_PAUSED);
    assert_string_equal(buffer_c_string(&taken.text), "a|b|");
    assert_true(framing_holds(&framing));
    taken.limit = 3;
    assert_int_equal(framing_feed(&framing, stream.data, 0, take, &taken), FRAMING_PAUSED);
    taken.limit = 0;
    assert_int_equal(framing_feed(&framing, stream.data, 0, take, &taken), FRAMING_MORE);
    assert_string_equal(buffer_c_string(&taken.text), "a|b|c|d|");
    assert_false(framing_holds(&framing));
    buffer_free(&taken.text);
    buffer_free(&stream);
}

static void tells_of_an_empty_message(void **state)
{
    (void)state;
    struct framing framing = {0};
    struct taken taken = {0};
    assert_int_equal(framing_feed(&framing, (const uint8_t *)"\0\1a\0\0\0\1b", 8, take, &taken), FRAMING_EMPTY);
    assert_string_equal(buffer_c_string(&taken.text), "a|");
    framing_free(&framing);
    buffer_free(&taken.text);
}

static void takes_the_largest(void **state)
{
    (void)state;
    struct framing framing = {0};
    struct taken taken = {0};
    struct buffer stream = {0};
    uint8_t *message = calloc(1, UINT16_MAX);
    framing_append(&stream, message, UINT16_MAX);
    assert_int_equal(stream.length, UINT16_MAX + 2);
    assert_int_equal(framing_feed(&framing, stream.data, 1000, take, &taken), FRAMING_MORE);
    assert_int_equal(taken.count, 0);
    assert_int_equal(framing_feed(&framing, stream.data + 1000, stream.length - 1000, take, &taken), FRAMING_MORE);
    assert_int_equal(taken.text.length, UINT16_MAX + 1);
    free(message);
    buffer_free(&taken.text);
    buffer_free(&stream);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hands_out_whole_messages),
        cmocka_unit_test(keeps_what_is_not_whole),
        cmocka_unit_test(pauses),
        cmocka_unit_test(tells_of_an_empty_message),
        cmocka_unit_test(takes_the_largest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
