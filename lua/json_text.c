#include "lua/json_text.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LEVELS_MAX = 1000, DIGITS_MAX = 32 };

/* --- reading --- */

struct reader {
    const char *text, *at, *end;
    unsigned depth;
    bool is_object[LEVELS_MAX]; /* what each level is: an object, or an array */
    struct reason *reason;
};

static enum status fail(const struct reader *reader, const char *at, const char *why)
{
    if (at >= reader->end)
        reason_set(reader->reason, "JSON ends too early");
    else
        reason_set(reader->reason, "JSON is broken at byte %zu%s", (size_t)(at - reader->text) + 1, why);
    return STATUS_INVALID;
}

static void skip_blanks(struct reader *reader)
{
    reader->at += strspn(reader->at, " \t\r\n");
}

static enum status read_escape(struct reader *reader)
{
    const char *start = reader->at++;
    if (*reader->at != 'u') {
        if (*reader->at == '\0' || !strchr("\"\\/bfnrt", *reader->at))
            return fail(reader, reader->at, ": no such escape");
        reader->at++;
        return STATUS_OK;
    }
    reader->at++;
    size_t digits = strspn(reader->at, "0123456789abcdefABCDEF");
    if (digits < 4)
        return fail(reader, reader->at + digits, ": four hexadecimal digits expected");
    if (memcmp(reader->at, "0000", 4) == 0)
        return fail(reader, start, ": a string cannot hold a zero byte");
    reader->at += 4;
    return STATUS_OK;
}

static enum status read_string(struct reader *reader)
{
    enum status status = STATUS_OK;
    for (reader->at++; status == STATUS_OK && *reader->at != '"';) {
        if ((unsigned char)*reader->at < 0x20)
            return fail(reader, reader->at, ": a control character in a string must be escaped");
        if (*reader->at == '\\')
            status = read_escape(reader);
        else
            reader->at++;
    }
    reader->at += status == STATUS_OK;
    return status;
}

static bool skip_digits(struct reader *reader)
{
    size_t digits = strspn(reader->at, "0123456789");
    reader->at += digits;
    return digits > 0;
}

static enum status read_number(struct reader *reader)
{
    const char *start = reader->at;
    reader->at += *reader->at == '-';
    const char *whole = reader->at;
    bool good = skip_digits(reader);
    if (good && *whole == '0' && reader->at > whole + 1)
        return fail(reader, whole, ": a number does not begin with 0");
    if (good && *reader->at == '.') {
        reader->at++;
        good = skip_digits(reader);
    }
    if (good && (*reader->at == 'e' || *reader->at == 'E')) {
        reader->at++;
        reader->at += *reader->at == '-' || *reader->at == '+';
        good = skip_digits(reader);
    }
    if (!good)
        return fail(reader, reader->at, ": digit expected");
    return isfinite(strtod(start, NULL)) ? STATUS_OK : fail(reader, start, ": the number is too large");
}

static enum status read_word(struct reader *reader)
{
    static const char *const words[] = {"true", "false", "null"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        size_t same = 0;
        while (words[i][same] && reader->at[same] == words[i][same])
            same++;
        if (!words[i][same]) {
            reader->at += same;
            return STATUS_OK;
        }
        if (same > 0)
            return fail(reader, reader->at + same, "");
    }
    return fail(reader, reader->at, "");
}

/* A member's key and colon. */
static enum status read_key(struct reader *reader)
{
    skip_blanks(reader);
    if (*reader->at != '"')
        return fail(reader, reader->at, ": key in double quotes expected");
    enum status status = read_string(reader);
    if (status)
        return status;
    skip_blanks(reader);
    if (*reader->at != ':')
        return fail(reader, reader->at, ": ':' expected");
    reader->at++;
    return STATUS_OK;
}

/* The start of an array or object; `empty` when that is all of it, else its first value follows. */
static enum status open_level(struct reader *reader, bool *empty)
{
    const bool is_object = *reader->at == '{';
    if (reader->depth == LEVELS_MAX)
        return fail(reader, reader->at, ": nested too deeply");
    reader->at++;
    skip_blanks(reader);
    *empty = *reader->at == (is_object ? '}' : ']');
    if (*empty) {
        reader->at++;
        return STATUS_OK;
    }
    reader->is_object[reader->depth++] = is_object;
    return is_object ? read_key(reader) : STATUS_OK;
}

/* Behind a value: closes the levels that end here. `more` when another value follows. */
static enum status close_levels(struct reader *reader, bool *more)
{
    *more = false;
    for (;;) {
        skip_blanks(reader);
        if (reader->depth == 0)
            return STATUS_OK;
        const bool is_object = reader->is_object[reader->depth - 1];
        if (*reader->at == ',') {
            reader->at++;
            *more = true;
            return is_object ? read_key(reader) : STATUS_OK;
        }
        if (*reader->at != (is_object ? '}' : ']'))
            return fail(reader, reader->at, "");
        reader->at++;
        reader->depth--;
    }
}

enum status json_text_check(const char *text, size_t length, struct reason *reason)
{
    static const char byte_order_mark[] = "\xef\xbb\xbf"; /* may be ignored (section 8.1) */
    struct reader reader = {.text = text, .at = text, .end = text + length, .reason = reason};
    enum status status = STATUS_OK;
    if (!strncmp(text, byte_order_mark, strlen(byte_order_mark)))
        reader.at += strlen(byte_order_mark);
    for (bool more = true; status == STATUS_OK && more;) {
        bool whole = true;
        skip_blanks(&reader);
        if (*reader.at == '{' || *reader.at == '[')
            status = open_level(&reader, &whole);
        else if (*reader.at == '"')
            status = read_string(&reader);
        else if (*reader.at == '-' || (*reader.at >= '0' && *reader.at <= '9'))
            status = read_number(&reader);
        else
            status = read_word(&reader);
        if (status == STATUS_OK && whole)
            status = close_levels(&reader, &more);
    }
    if (status == STATUS_OK && reader.at != reader.end)
        status = fail(&reader, reader.at, ": only one value expected");
    return status;
}

/* --- writing --- */

/* cJSON prints 15 digits, or 17 where these are off by more than the last bit. */
static bool make_exact(cJSON *number)
{
    static const double whole_max = 9007199254740992; /* 2^53 */
    const double value = number->valuedouble;
    char digits[DIGITS_MAX];
    if (fabs(value) <= whole_max && value == floor(value)) {
        if (fabs(value) < 1e15)
            return true;
        snprintf(digits, sizeof digits, "%.0f", value);
    } else {
        snprintf(digits, sizeof digits, "%.15g", value);
        if (strtod(digits, NULL) == value)
            return true;
        snprintf(digits, sizeof digits, "%.17g", value);
    }
    char *kept = cJSON_malloc(strlen(digits) + 1);
    if (!kept)
        return false;
    strcpy(kept, digits);
    number->valuestring = kept;
    number->type = (number->type & ~0xff) | cJSON_Raw;
    return true;
}

/* As deep as the value is, which cJSON bounds alike. */
static bool make_all_exact(cJSON *json)
{
    bool done = !cJSON_IsNumber(json) || make_exact(json);
    for (cJSON *item = json->child; item && done; item = item->next)
        done = make_all_exact(item);
    return done;
}

char *json_text_print(cJSON *json, bool pretty)
{
    if (!make_all_exact(json))
        return NULL;
    return pretty ? cJSON_Print(json) : cJSON_PrintUnformatted(json);
}
