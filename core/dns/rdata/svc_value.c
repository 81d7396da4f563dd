/* The values of service parameters, by the format of their key. */
#include "dns/rdata/svcb.h"

#include "dns/json_read.h"
#include "dns/rdata/encoding.h"

#include <stdlib.h>

static struct dns_data_in item_in(const struct svc_format *format, struct span value)
{
    return (struct dns_data_in){.cursor = cursor_over(value.data, value.length), .kind = format->item};
}

static struct dns_data_out item_out(const struct svc_format *format, struct buffer *out)
{
    return (struct dns_data_out){.buffer = out, .start = out->length, .kind = format->item};
}

/* --- nothing at all --- */

static bool check_flag(const struct svc_format *format, struct span value)
{
    return format->flag && value.length == 0;
}

static enum status read_flag(const struct svc_format *format, struct span text, struct buffer *out)
{
    return check_flag(format, text) ? buffer_status(out) : STATUS_INVALID;
}

/* A true that came as a number, or bytes that are none. */
static enum status encode_flag(const struct svc_format *format, const struct dns_value *value, struct buffer *out)
{
    if (dns_value_is_string(value))
        return read_flag(format, value->bytes, out);
    return value->form == DNS_VALUE_NUMBER && value->number == 1 ? STATUS_OK : STATUS_INVALID;
}

static struct dns_value *decode_flag(const struct svc_format *format, struct span value, struct arena *arena)
{
    return dns_value_number(arena, check_flag(format, value));
}

/* --- one item, and lists of items, with commas between them --- */

static bool check_one(const struct svc_format *format, struct span value)
{
    struct dns_data_in in = item_in(format, value);
    return format->item->check(&in) && cursor_left(&in.cursor) == 0;
}

static void print_list(const struct svc_format *format, struct span value, struct buffer *out)
{
    struct dns_data_in in = item_in(format, value);
    for (char before = '='; cursor_left(&in.cursor) > 0; before = ',') {
        buffer_u8(out, (uint8_t)before);
        format->item->print(&in, out);
    }
}

static enum status read_one(const struct svc_format *format, struct span text, struct buffer *out)
{
    struct dns_data_out to = item_out(format, out);
    struct dns_token word = {(const char *)text.data, text.length, false};
    return format->item->scan_word(&word, &to, NULL);
}

static enum status encode_one(const struct svc_format *format, const struct dns_value *value, struct buffer *out)
{
    struct dns_data_out to = item_out(format, out);
    return format->item->encode(value, &to, NULL);
}

static struct dns_value *decode_one(const struct svc_format *format, struct span value, struct arena *arena)
{
    struct dns_data_in in = item_in(format, value);
    return format->item->decode(&in, arena);
}

static bool check_list(const struct svc_format *format, struct span value)
{
    size_t size = format->item->size;
    if (value.length == 0 || value.length % size)
        return false;
    for (size_t i = size; format->increasing && i < value.length; i += size)
        if (memcmp(value.data + i - size, value.data + i, size) >= 0)
            return false;
    return true;
}

static int compare_u16(const void *a, const void *b)
{
    return memcmp(a, b, 2);
}

/* Puts the items that `out` holds from `at` on in order where the format wants that. */
static void sort_list(const struct svc_format *format, size_t at, struct buffer *out)
{
    if (format->increasing && !out->failed && out->length > at)
        qsort(out->data + at, (out->length - at) / 2, 2, compare_u16);
}

static enum status read_list(const struct svc_format *format, struct span text, struct buffer *out)
{
    size_t at = out->length;
    const uint8_t *item = text.data, *end = text.data + text.length;
    for (bool more = true; more;) {
        const uint8_t *comma = item < end ? memchr(item, ',', (size_t)(end - item)) : NULL;
        const uint8_t *item_end = comma ? comma : end;
        if (read_one(format, (struct span){item, (size_t)(item_end - item)}, out))
            return STATUS_INVALID;
        more = comma != NULL;
        item = item_end + 1;
    }
    sort_list(format, at, out);
    return STATUS_OK;
}

static enum status encode_list(const struct svc_format *format, const struct dns_value *value, struct buffer *out)
{
    if (!dns_value_is_list(value))
        return STATUS_INVALID;
    size_t at = out->length;
    for (const struct dns_value *item = value->first; item; item = item->next)
        if (encode_one(format, item, out))
            return STATUS_INVALID;
    sort_list(format, at, out);
    return STATUS_OK;
}

static struct dns_value *decode_list(const struct svc_format *format, struct span value, struct arena *arena)
{
    struct dns_data_in in = item_in(format, value);
    struct dns_value *list = dns_value_group(arena, DNS_VALUE_LIST), *last = NULL;
    while (list && cursor_left(&in.cursor) > 0)
        if (!dns_value_add(list, &last, format->item->decode(&in, arena)))
            return NULL;
    return list;
}

/* --- keys, by name --- */

static struct dns_value *decode_key(struct dns_data_in *in, struct arena *arena)
{
    char text[DNS_MNEMONIC_MAX];
    dns_registry_to_text(DNS_SVC_PARAMS, cursor_u16(&in->cursor), text);
    return dns_value_text(arena, text, strlen(text));
}

static void print_key(struct dns_data_in *in, struct buffer *out)
{
    char text[DNS_MNEMONIC_MAX];
    buffer_text(out, dns_registry_to_text(DNS_SVC_PARAMS, cursor_u16(&in->cursor), text));
}

static enum status scan_key(const struct dns_token *word, struct dns_data_out *out, struct reason *reason)
{
    uint16_t key;
    if (svc_key_from_text(word->text, word->length, &key))
        return dns_word_refuse(word, out->kind->expected, reason);
    buffer_u16(out->buffer, key);
    return STATUS_OK;
}

static enum status encode_key(const struct dns_value *value, struct dns_data_out *out, struct reason *reason)
{
    if (!dns_value_is_string(value))
        return dns_kind_u16.encode(
            value, &(struct dns_data_out){.buffer = out->buffer, .start = out->start, .kind = &dns_kind_u16}, reason);
    struct dns_token word = {(const char *)value->bytes.data, value->bytes.length, false};
    return scan_key(&word, out, reason);
}

static const struct dns_kind key_kind = {
    .expected = "service parameter key",
    .size = 2,
    .print = print_key,
    .decode = decode_key,
    .scan_word = scan_key,
    .encode = encode_key,
};

/* --- texts behind a length of one byte; commas and '\' in them behind a '\' (RFC 9460 appendix A.1) --- */

static bool check_texts(const struct svc_format *format, struct span value)
{
    struct cursor in = cursor_over(value.data, value.length);
    while (cursor_left(&in) > 0) {
        size_t length = cursor_u8(&in);
        if (length == 0 || !cursor_take(&in, length))
            return false;
    }
    return value.length > 0 || format->flag;
}

/* One byte as it stands in a quoted list. */
static void print_list_byte(uint8_t byte, struct buffer *out)
{
    if (byte == ',')
        buffer_text(out, "\\\\,");
    else if (byte == '\\')
        buffer_text(out, "\\\\\\\\");
    else
        dns_escape(&byte, 1, out);
}

static void print_texts(const struct svc_format *format, struct span value, struct buffer *out)
{
    struct cursor in = cursor_over(value.data, value.length);
    if (check_flag(format, value))
        return;
    buffer_text(out, "=\"");
    for (bool first = true; cursor_left(&in) > 0; first = false) {
        size_t length = cursor_u8(&in);
        const uint8_t *text = cursor_take(&in, length);
        if (!first)
            buffer_u8(out, ',');
        for (size_t i = 0; text && i < length; i++)
            print_list_byte(text[i], out);
    }
    buffer_u8(out, '"');
}

/* Writes the length of the text that began behind `at`; false when it is none. */
static bool close_text(struct buffer *out, size_t at)
{
    if (out->failed || out->length - at - 1 == 0 || out->length - at - 1 > UINT8_MAX)
        return false;
    out->data[at] = (uint8_t)(out->length - at - 1);
    return true;
}

static enum status read_texts(const struct svc_format *format, struct span text, struct buffer *out)
{
    if (check_flag(format, text))
        return STATUS_OK;
    size_t at = out->length;
    buffer_u8(out, 0);
    for (size_t i = 0; i < text.length; i++) {
        uint8_t byte = text.data[i];
        if (byte == ',') {
            if (!close_text(out, at))
                return STATUS_INVALID;
            at = out->length;
            buffer_u8(out, 0);
            continue;
        }
        if (byte == '\\' && ++i == text.length)
            return STATUS_INVALID;
        buffer_u8(out, text.data[i]);
    }
    return close_text(out, at) ? STATUS_OK : STATUS_INVALID;
}

static enum status encode_texts(const struct svc_format *format, const struct dns_value *value, struct buffer *out)
{
    if (!dns_value_is_list(value) || (!value->first && !format->flag))
        return STATUS_INVALID;
    for (const struct dns_value *item = value->first; item; item = item->next) {
        size_t at = out->length;
        if (!dns_value_is_string(item))
            return STATUS_INVALID;
        buffer_u8(out, 0);
        buffer_append(out, item->bytes.data, item->bytes.length);
        if (!close_text(out, at))
            return STATUS_INVALID;
    }
    return STATUS_OK;
}

static struct dns_value *decode_texts(const struct svc_format *format, struct span value, struct arena *arena)
{
    (void)format;
    struct cursor in = cursor_over(value.data, value.length);
    struct dns_value *list = dns_value_group(arena, DNS_VALUE_LIST), *last = NULL;
    while (list && cursor_left(&in) > 0) {
        size_t length = cursor_u8(&in);
        if (!dns_value_add(list, &last, dns_value_text(arena, (const char *)cursor_take(&in, length), length)))
            return NULL;
    }
    return list;
}

/* --- bytes: base64, text, and those of unknown keys --- */

static bool check_some(const struct svc_format *format, struct span value)
{
    return value.length > 0 || format->flag;
}

/* Whether a URI template's expression (RFC 6570 section 2.2), without its braces, has the variable "dns". */
static bool has_dns(const uint8_t *at, const uint8_t *end)
{
    if (at < end && memchr("+#./;?&", *at, 7))
        at++;
    while (end - at >= 3) {
        const uint8_t *comma = memchr(at, ',', (size_t)(end - at));
        if (memcmp(at, "dns", 3) == 0 && (end - at == 3 || memchr(",:*", at[3], 3)))
            return true;
        at = comma ? comma + 1 : end;
    }
    return false;
}

/* A template in UTF-8 that the query can be put in (RFC 9461 section 5). */
static bool check_dohpath(const struct svc_format *format, struct span value)
{
    (void)format;
    if (!json_is_text(value.data, value.length))
        return false;
    const uint8_t *at = value.data, *end = at + value.length;
    while (at < end && (at = memchr(at, '{', (size_t)(end - at)))) {
        const uint8_t *close = memchr(at, '}', (size_t)(end - at));
        if (!close)
            return false;
        if (has_dns(at + 1, close))
            return true;
        at = close;
    }
    return false;
}

static void print_base64(const struct svc_format *format, struct span value, struct buffer *out)
{
    if (check_flag(format, value))
        return;
    buffer_u8(out, '=');
    dns_base64_write(value.data, value.length, out);
}

static enum status read_base64(const struct svc_format *format, struct span text, struct buffer *out)
{
    size_t at = out->length, length = text.length;
    buffer_append(out, text.data, text.length);
    if (out->failed || !check_some(format, text) || dns_base64_read(out->data + at, &length))
        return STATUS_INVALID;
    out->length = at + length;
    return STATUS_OK;
}

static enum status encode_base64(const struct svc_format *format, const struct dns_value *value, struct buffer *out)
{
    return dns_value_is_string(value) ? read_base64(format, value->bytes, out) : STATUS_INVALID;
}

/* The text that `write` makes of the value, behind a prefix. */
static struct dns_value *decode_written(struct span value, const char *prefix, struct arena *arena,
                                        void (*write)(const uint8_t *data, size_t length, struct buffer *out))
{
    struct buffer text = {0};
    buffer_text(&text, prefix);
    write(value.data, value.length, &text);
    struct dns_value *made = text.failed ? NULL : dns_value_text(arena, (const char *)text.data, text.length);
    buffer_free(&text);
    return made;
}

static struct dns_value *decode_base64(const struct svc_format *format, struct span value, struct arena *arena)
{
    return check_some(format, value) ? decode_written(value, "", arena, dns_base64_write) : NULL;
}

static void print_quoted(const struct svc_format *format, struct span value, struct buffer *out)
{
    if (check_flag(format, value))
        return;
    buffer_text(out, "=\"");
    dns_escape(value.data, value.length, out);
    buffer_u8(out, '"');
}

static enum status read_bytes(const struct svc_format *format, struct span text, struct buffer *out)
{
    if (!check_some(format, text))
        return STATUS_INVALID;
    buffer_append(out, text.data, text.length);
    return buffer_status(out);
}

static enum status encode_text(const struct svc_format *format, const struct dns_value *value, struct buffer *out)
{
    return dns_value_is_string(value) ? read_bytes(format, value->bytes, out) : STATUS_INVALID;
}

static struct dns_value *decode_text(const struct svc_format *format, struct span value, struct arena *arena)
{
    return check_some(format, value) ? dns_value_text(arena, (const char *)value.data, value.length) : NULL;
}

/* "0x…" is hex, other text is the bytes themselves. */
static enum status encode_bytes(const struct svc_format *format, const struct dns_value *value, struct buffer *out)
{
    if (!dns_value_is_string(value))
        return STATUS_INVALID;
    size_t at = out->length, length = value->bytes.length;
    if (length < 2 || memcmp(value->bytes.data, "0x", 2) != 0)
        return read_bytes(format, value->bytes, out);
    length -= 2;
    buffer_append(out, value->bytes.data + 2, length);
    if (out->failed || (length > 0 && dns_hex_read(out->data + at, &length)))
        return STATUS_INVALID;
    out->length = at + length;
    return STATUS_OK;
}

static struct dns_value *decode_bytes(const struct svc_format *format, struct span value, struct arena *arena)
{
    return check_some(format, value) ? decode_written(value, "0x", arena, dns_hex_write) : NULL;
}

/* --- the table --- */

#define FLAG                                                                             \
    {                                                                                    \
        "true", NULL, true, false, check_flag, NULL, read_flag, encode_flag, decode_flag \
    }
#define ONE(item, what)                                                                   \
    {                                                                                     \
        what, item, false, false, check_one, print_list, read_one, encode_one, decode_one \
    }
#define LIST(item, increasing, what)                                                               \
    {                                                                                              \
        what, item, false, increasing, check_list, print_list, read_list, encode_list, decode_list \
    }
#define TEXTS(may_be_empty, what)                                                                         \
    {                                                                                                     \
        what, NULL, may_be_empty, false, check_texts, print_texts, read_texts, encode_texts, decode_texts \
    }

const struct svc_format *svc_format(uint16_t key)
{
    static const struct svc_format formats[] = {
        [SVC_MANDATORY] = LIST(&key_kind, true, "list of service parameter keys, each once,"),
        [SVC_ALPN] = TEXTS(false, "list of protocol ids"),
        [SVC_NO_DEFAULT_ALPN] = FLAG,
        [SVC_PORT] = ONE(&dns_kind_u16, "integer from 0 to 65535"),
        [SVC_IPV4HINT] = LIST(&dns_kind_ipv4, false, "list of IPv4 addresses"),
        [SVC_ECH] = {"ECHConfigList in base64", NULL, false, false, check_some, print_base64, read_base64,
                     encode_base64, decode_base64},
        [SVC_IPV6HINT] = LIST(&dns_kind_ipv6, false, "list of IPv6 addresses"),
        [SVC_DOHPATH] = {"URI template in UTF-8 with {?dns}", NULL, false, false, check_dohpath, print_quoted,
                         read_bytes, encode_text, decode_text},
        [SVC_OHTTP] = FLAG,
        [SVC_TLS_SUPPORTED_GROUPS] = LIST(&dns_kind_u16, false, "list of integers from 0 to 65535"),
        [SVC_DOCPATH] = TEXTS(true, "list of path segments"),
    };
    static const struct svc_format unknown = {"bytes",      NULL,       true,         false,       check_some,
                                              print_quoted, read_bytes, encode_bytes, decode_bytes};
    return key < sizeof formats / sizeof formats[0] ? &formats[key] : &unknown;
}
