/* Fields that hold names and character-strings. */
#include "dns/rdata/layout.h"

enum { STRING_MAX = 255 };

/* --- names --- */

static bool check_name(struct dns_data_in *in)
{
    size_t left = cursor_left(&in->cursor);
    size_t length = left ? dns_name_wire_length(in->cursor.data + in->cursor.offset, left) : 0;
    return length && cursor_take(&in->cursor, length);
}

static const uint8_t *take_name(struct dns_data_in *in)
{
    const uint8_t *name = in->cursor.data + in->cursor.offset;
    in->cursor.offset += dns_name_wire_length(name, cursor_left(&in->cursor));
    return name;
}

static void print_name(struct dns_data_in *in, struct buffer *out)
{
    char text[DNS_NAME_TEXT_MAX];
    buffer_append(out, text, dns_name_to_text(take_name(in), DNS_NAME_FINAL_DOT, text));
}

static struct dns_value *decode_name(struct dns_data_in *in, struct arena *arena)
{
    char text[DNS_NAME_TEXT_MAX];
    size_t length = dns_name_to_text(take_name(in), DNS_NAME_LOWER, text);
    return dns_value_text(arena, text, length);
}

static enum status scan_name(const struct dns_token *word, struct dns_data_out *out, struct reason *reason)
{
    struct dns_name name;
    enum status status = dns_word_to_name(word, out->origin, &name, reason);
    if (status == STATUS_OK)
        buffer_append(out->buffer, name.wire, name.length);
    return status;
}

static enum status encode_name(const struct dns_value *value, struct dns_data_out *out, struct reason *reason)
{
    const struct dns_token word = {.text = (const char *)value->bytes.data, .length = value->bytes.length};
    if (!dns_value_is_string(value))
        return dns_value_refuse(value, out->kind->expected, reason);
    return scan_name(&word, out, reason);
}

const struct dns_kind dns_kind_name = {
    .expected = "domain name",
    .check = check_name,
    .print = print_name,
    .decode = decode_name,
    .scan_word = scan_name,
    .encode = encode_name,
};

/* --- lists: one after another to the end --- */

static bool check_each(struct dns_data_in *in, bool (*check)(struct dns_data_in *in))
{
    while (cursor_left(&in->cursor) > 0)
        if (!check(in))
            return false;
    return true;
}

static void print_each(struct dns_data_in *in, struct buffer *out,
                       void (*print)(struct dns_data_in *in, struct buffer *out))
{
    for (bool first = true; cursor_left(&in->cursor) > 0; first = false) {
        if (!first)
            buffer_u8(out, ' ');
        print(in, out);
    }
}

static struct dns_value *decode_each(struct dns_data_in *in, struct arena *arena,
                                     struct dns_value *(*decode)(struct dns_data_in *in, struct arena *arena))
{
    struct dns_value *list = dns_value_group(arena, DNS_VALUE_LIST), *last = NULL;
    while (list && cursor_left(&in->cursor) > 0)
        if (!dns_value_add(list, &last, decode(in, arena)))
            return NULL;
    return list;
}

static enum status scan_each(struct dns_scanner *scanner, struct dns_data_out *out, struct reason *reason,
                             enum status (*scan)(const struct dns_token *word, struct dns_data_out *out,
                                                 struct reason *reason))
{
    struct dns_token word;
    enum status status;
    while ((status = dns_scanner_next(scanner, &word, reason)) == STATUS_OK) {
        status = scan(&word, out, reason);
        if (status)
            return status;
    }
    return status == STATUS_NOT_FOUND ? STATUS_OK : status;
}

static enum status encode_each(const struct dns_value *value, struct dns_data_out *out, struct reason *reason,
                               enum status (*encode)(const struct dns_value *value, struct dns_data_out *out,
                                                     struct reason *reason))
{
    if (!dns_value_is_list(value))
        return dns_value_refuse(value, out->kind->expected, reason);
    enum status status = STATUS_OK;
    for (const struct dns_value *item = value->first; item && status == STATUS_OK; item = item->next)
        status = encode(item, out, reason);
    return status;
}

static bool check_names(struct dns_data_in *in)
{
    return check_each(in, check_name);
}

static void print_names(struct dns_data_in *in, struct buffer *out)
{
    print_each(in, out, print_name);
}

static struct dns_value *decode_names(struct dns_data_in *in, struct arena *arena)
{
    return decode_each(in, arena, decode_name);
}

static enum status scan_names(struct dns_scanner *scanner, struct dns_data_out *out, struct reason *reason)
{
    return scan_each(scanner, out, reason, scan_name);
}

static enum status encode_names(const struct dns_value *value, struct dns_data_out *out, struct reason *reason)
{
    return encode_each(value, out, reason, encode_name);
}

const struct dns_kind dns_kind_names = {
    .expected = "list of domain names",
    .check = check_names,
    .print = print_names,
    .decode = decode_names,
    .scan = scan_names,
    .encode = encode_names,
};

/* --- character-strings (RFC 1035 section 3.3) --- */

static struct span take_string(struct dns_data_in *in)
{
    size_t length = cursor_u8(&in->cursor);
    return (struct span){cursor_take(&in->cursor, length), length};
}

static bool check_string(struct dns_data_in *in)
{
    take_string(in);
    return !in->cursor.failed;
}

static void print_quoted(struct span bytes, struct buffer *out)
{
    buffer_u8(out, '"');
    dns_escape(bytes.data, bytes.length, out);
    buffer_u8(out, '"');
}

static void print_string(struct dns_data_in *in, struct buffer *out)
{
    print_quoted(take_string(in), out);
}

static struct dns_value *decode_string(struct dns_data_in *in, struct arena *arena)
{
    struct span bytes = take_string(in);
    return dns_value_bytes(arena, bytes.data, bytes.length);
}

static enum status scan_string(const struct dns_token *word, struct dns_data_out *out, struct reason *reason)
{
    size_t at = out->buffer->length;
    buffer_u8(out->buffer, 0);
    enum status status = dns_unescape(word->text, word->length, out->buffer);
    if (status == STATUS_MALFORMED)
        return dns_word_refuse(word, "text with whole escapes", reason);
    if (status)
        return status;
    size_t length = out->buffer->length - at - 1;
    if (length > STRING_MAX) {
        reason_set(reason, "text of at most 255 bytes expected, got %zu", length);
        return STATUS_INVALID;
    }
    out->buffer->data[at] = (uint8_t)length;
    return STATUS_OK;
}

static enum status encode_string(const struct dns_value *value, struct dns_data_out *out, struct reason *reason)
{
    if (!dns_value_is_string(value) || value->bytes.length > STRING_MAX)
        return dns_value_refuse(value, "text of at most 255 bytes", reason);
    buffer_u8(out->buffer, (uint8_t)value->bytes.length);
    buffer_append(out->buffer, value->bytes.data, value->bytes.length);
    return STATUS_OK;
}

const struct dns_kind dns_kind_string = {
    .expected = "text of at most 255 bytes",
    .check = check_string,
    .print = print_string,
    .decode = decode_string,
    .scan_word = scan_string,
    .encode = encode_string,
};

static bool check_optional_string(struct dns_data_in *in)
{
    return cursor_left(&in->cursor) == 0 || check_string(in);
}

static void print_optional_string(struct dns_data_in *in, struct buffer *out)
{
    if (cursor_left(&in->cursor) > 0)
        print_string(in, out);
}

const struct dns_kind dns_kind_optional_string = {
    .expected = "text of at most 255 bytes",
    .optional = true,
    .check = check_optional_string,
    .print = print_optional_string,
    .decode = decode_string,
    .scan_word = scan_string,
    .encode = encode_string,
};

static bool is_alphanumeric(uint8_t byte)
{
    byte = dns_lower(byte);
    return (byte >= 'a' && byte <= 'z') || (byte >= '0' && byte <= '9');
}

static bool is_tag(const uint8_t *data, size_t length)
{
    for (size_t i = 0; i < length; i++)
        if (!is_alphanumeric(data[i]))
            return false;
    return length >= 1 && length <= STRING_MAX;
}

static bool check_tag(struct dns_data_in *in)
{
    struct span tag = take_string(in);
    return !in->cursor.failed && is_tag(tag.data, tag.length);
}

static void print_tag(struct dns_data_in *in, struct buffer *out)
{
    struct span tag = take_string(in);
    buffer_append(out, tag.data, tag.length);
}

static enum status scan_tag(const struct dns_token *word, struct dns_data_out *out, struct reason *reason)
{
    if (!is_tag((const uint8_t *)word->text, word->length))
        return dns_word_refuse(word, out->kind->expected, reason);
    return scan_string(word, out, reason);
}

static enum status encode_tag(const struct dns_value *value, struct dns_data_out *out, struct reason *reason)
{
    if (!dns_value_is_string(value) || !is_tag(value->bytes.data, value->bytes.length))
        return dns_value_refuse(value, out->kind->expected, reason);
    return encode_string(value, out, reason);
}

const struct dns_kind dns_kind_tag = {
    .expected = "letters and digits",
    .check = check_tag,
    .print = print_tag,
    .decode = decode_string,
    .scan_word = scan_tag,
    .encode = encode_tag,
};

static bool check_strings(struct dns_data_in *in)
{
    return cursor_left(&in->cursor) > 0 && check_each(in, check_string);
}

static void print_strings(struct dns_data_in *in, struct buffer *out)
{
    print_each(in, out, print_string);
}

static struct dns_value *decode_strings(struct dns_data_in *in, struct arena *arena)
{
    return decode_each(in, arena, decode_string);
}

static enum status scan_strings(struct dns_scanner *scanner, struct dns_data_out *out, struct reason *reason)
{
    size_t before = out->buffer->length;
    enum status status = scan_each(scanner, out, reason, scan_string);
    if (status == STATUS_OK && out->buffer->length == before) {
        reason_set(reason, "text expected");
        return STATUS_INVALID;
    }
    return status;
}

static enum status encode_strings(const struct dns_value *value, struct dns_data_out *out, struct reason *reason)
{
    if (!dns_value_is_list(value) || !value->first)
        return dns_value_refuse(value, out->kind->expected, reason);
    return encode_each(value, out, reason, encode_string);
}

const struct dns_kind dns_kind_strings = {
    .expected = "list of one text or more",
    .check = check_strings,
    .print = print_strings,
    .decode = decode_strings,
    .scan = scan_strings,
    .encode = encode_strings,
};
