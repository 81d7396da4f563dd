/* $GENERATE, as BIND has it. */
#include "data/zone_file.h"

#include <stdlib.h>

enum { WIDTH_MAX = 255, NUMBER_MAX = 0x7fffffff, SHOWN_MAX = 40 };

/* --- the range --- */

/* Reads digits at *at, and moves behind them. */
static bool take_number(const char *text, size_t length, size_t *at, uint32_t *out)
{
    uint64_t number = 0;
    size_t start = *at;
    for (; *at < length && text[*at] >= '0' && text[*at] <= '9'; ++*at) {
        number = number * 10 + (uint64_t)(text[*at] - '0');
        if (number > NUMBER_MAX)
            return false;
    }
    *out = (uint32_t)number;
    return *at > start;
}

enum status zone_generate_range(const char *text, size_t length, struct zone_generate *out, struct reason *reason)
{
    struct zone_generate range = {.step = 1};
    size_t at = 0;
    bool good = take_number(text, length, &at, &range.at) && at < length && text[at] == '-';
    if (good) {
        at++;
        good = take_number(text, length, &at, &range.stop);
    }
    if (good && at < length && text[at] == '/') {
        at++;
        good = take_number(text, length, &at, &range.step) && range.step > 0;
    }
    if (!good || at < length || range.stop < range.at) {
        reason_set(
            reason,
            "START-STOP or START-STOP/STEP expected behind $GENERATE (numbers up to %d, STOP not below START, STEP "
            "not 0), got '%.*s'",
            NUMBER_MAX, length < SHOWN_MAX ? (int)length : SHOWN_MAX, text);
        return STATUS_INVALID;
    }
    *out = range;
    return STATUS_OK;
}

/* --- the text --- */

/* What stands in ${…}. */
struct format {
    int32_t offset;
    uint32_t width;
    char base;
};

/* Reads "{offset[,width[,base]]}" at *at and moves behind it. */
static bool take_format(const char *text, size_t length, size_t *at, struct format *out)
{
    struct format format = {.base = 'd'};
    uint32_t number;
    size_t i = *at + 1;
    bool negative = i < length && text[i] == '-';
    i += negative;
    if (!take_number(text, length, &i, &number))
        return false;
    format.offset = negative ? -(int32_t)number : (int32_t)number;
    if (i < length && text[i] == ',') {
        i++;
        if (!take_number(text, length, &i, &format.width) || format.width > WIDTH_MAX)
            return false;
        if (i + 1 < length && text[i] == ',') {
            format.base = text[i + 1];
            i += 2;
        }
    }
    if (i >= length || text[i] != '}' || !format.base || !strchr("doxXnN", format.base))
        return false;
    *at = i + 1;
    *out = format;
    return true;
}

/* The nibbles from the lowest on, dots between them; the width counts both. */
static void put_nibbles(uint32_t number, const struct format *format, struct buffer *out)
{
    const char *digits = format->base == 'n' ? "0123456789abcdef" : "0123456789ABCDEF";
    uint32_t width = format->width;
    for (;;) {
        buffer_u8(out, (uint8_t)digits[number & 15]);
        number >>= 4;
        width -= width > 0;
        if (number == 0 && width == 0)
            return;
        buffer_u8(out, '.');
        width -= width > 0;
    }
}

static void put_number(uint32_t number, const struct format *format, struct buffer *out)
{
    switch (format->base) {
    case 'o':
        buffer_format(out, "%0*o", (int)format->width, number);
        break;
    case 'x':
        buffer_format(out, "%0*x", (int)format->width, number);
        break;
    case 'X':
        buffer_format(out, "%0*X", (int)format->width, number);
        break;
    case 'd':
        buffer_format(out, "%0*u", (int)format->width, number);
        break;
    default:
        put_nibbles(number, format, out);
    }
}

enum status zone_generate_expand(const char *text, size_t length, uint32_t number, struct buffer *out,
                                 struct reason *reason)
{
    for (size_t i = 0; i < length;) {
        struct format format = {.base = 'd'};
        if (text[i] == '\\' && i + 1 < length) {
            buffer_append(out, text + i, 2);
            i += 2;
        } else if (text[i] != '$') {
            buffer_u8(out, (uint8_t)text[i++]);
        } else if (++i < length && text[i] == '$') {
            buffer_text(out, "\\$");
            i++;
        } else {
            if (i < length && text[i] == '{' && !take_format(text, length, &i, &format)) {
                reason_set(
                    reason,
                    "${OFFSET,WIDTH,BASE} expected, with offsets up to %d, widths up to %d and base d, o, x, X, n or N",
                    NUMBER_MAX, WIDTH_MAX);
                return STATUS_INVALID;
            }
            int64_t value = (int64_t)number + format.offset;
            if (value < 0) {
                reason_set(
                    reason,
                    "$GENERATE makes a number below 0, of %u with the offset %d: a higher START or OFFSET expected",
                    number, (int)format.offset);
                return STATUS_INVALID;
            }
            put_number((uint32_t)value, &format, out);
        }
    }
    return buffer_status(out);
}
