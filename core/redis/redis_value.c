#include "redis/redis_value.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static const char QUOTE = '\'';

size_t redis_number_write(double number, char out[static REDIS_NUMBER_MAX])
{
    if (isnan(number))
        return (size_t)snprintf(out, REDIS_NUMBER_MAX, "nan");
    int length = snprintf(out, REDIS_NUMBER_MAX, "%.15g", number);
    if (strtod(out, NULL) != number)
        length = snprintf(out, REDIS_NUMBER_MAX, "%.17g", number);
    return (size_t)length;
}

static bool is(const char *text, size_t length, const char *word)
{
    return length == strlen(word) && memcmp(text, word, length) == 0;
}

/* Digits with or without sign, point and exponent; or one of the words. */
static bool read_number(const char *text, size_t length, double *out)
{
    static const struct {
        const char *word;
        double number;
    } words[] = {{"inf", INFINITY}, {"-inf", -INFINITY}, {"nan", NAN}};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (is(text, length, words[i].word)) {
            *out = words[i].number;
            return true;
        }
    }
    char copy[REDIS_NUMBER_MAX * 2], *end;
    if (length == 0 || length >= sizeof copy)
        return false;
    memcpy(copy, text, length);
    copy[length] = '\0';
    const char *digit = copy[0] == '-' ? copy + 1 : copy;
    if (*digit < '0' || *digit > '9' || strspn(copy, "0123456789.eE+-") != length)
        return false;
    double number = strtod(copy, &end);
    if (end != copy + length)
        return false;
    *out = number;
    return true;
}

void redis_value_write(const struct shared_value *value, struct buffer *out)
{
    char number[REDIS_NUMBER_MAX];
    if (value->kind == SHARED_BOOLEAN) {
        buffer_text(out, value->boolean ? "true" : "false");
    } else if (value->kind == SHARED_NUMBER) {
        buffer_append(out, number, redis_number_write(value->number, number));
    } else {
        struct shared_value read = redis_value_read(value->text.bytes, value->text.length);
        if (read.kind != SHARED_TEXT || read.text.length != value->text.length)
            buffer_append(out, &QUOTE, 1);
        buffer_append(out, value->text.bytes, value->text.length);
    }
}

struct shared_value redis_value_read(const char *text, size_t length)
{
    double number;
    bool is_true = is(text, length, "true");
    if (is_true || is(text, length, "false"))
        return (struct shared_value){.kind = SHARED_BOOLEAN, .boolean = is_true};
    if (read_number(text, length, &number))
        return (struct shared_value){.kind = SHARED_NUMBER, .number = number};
    size_t quote = length && text[0] == QUOTE;
    return (struct shared_value){.kind = SHARED_TEXT, .text = {text + quote, length - quote}};
}
