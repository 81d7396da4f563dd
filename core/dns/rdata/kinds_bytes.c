/* Fields that hold bytes: all that is left of the data, or as many as a length says. */
#include "dns/rdata/encoding.h"
#include "dns/rdata/layout.h"

static struct span take(struct dns_data_in *in, size_t length)
{
    const uint8_t *at = cursor_take(&in->cursor, length);
    return (struct span){at, at ? length : 0};
}

static bool check_rest(struct dns_data_in *in)
{
    take(in, cursor_left(&in->cursor));
    return true;
}

static struct span take_rest(struct dns_data_in *in)
{
    return take(in, cursor_left(&in->cursor));
}

static struct dns_value *decode_rest(struct dns_data_in *in, struct arena *arena)
{
    struct span bytes = take_rest(in);
    return dns_value_bytes(arena, bytes.data, bytes.length);
}

static enum status encode_rest(const struct dns_value *value, struct dns_data_out *out, struct reason *reason)
{
    if (!dns_value_is_string(value))
        return dns_value_refuse(value, out->kind->expected, reason);
    buffer_append(out->buffer, value->bytes.data, value->bytes.length);
    return STATUS_OK;
}

/* Turns the text that `out` holds from `at` on into its bytes. */
static enum status read_encoded(struct buffer *out, size_t at, enum status (*read)(uint8_t *text, size_t *length))
{
    if (out->failed)
        return STATUS_NO_MEMORY;
    size_t length = out->length - at;
    if (length > 0 && read(out->data + at, &length))
        return STATUS_INVALID;
    out->length = at + length;
    return STATUS_OK;
}

/* Joins the words that are left, and reads them as one. */
static enum status scan_joined(struct dns_scanner *scanner, struct dns_data_out *out, struct reason *reason,
                               enum status (*read)(uint8_t *text, size_t *length))
{
    size_t at = out->buffer->length;
    struct dns_token word = {0};
    enum status status;
    while ((status = dns_scanner_next(scanner, &word, reason)) == STATUS_OK)
        buffer_append(out->buffer, word.text, word.length);
    if (status != STATUS_NOT_FOUND)
        return status;
    status = read_encoded(out->buffer, at, read);
    return status == STATUS_INVALID ? dns_word_refuse(&word, out->kind->expected, reason) : status;
}

static enum status scan_one(const struct dns_token *word, struct dns_data_out *out, struct reason *reason,
                            enum status (*read)(uint8_t *text, size_t *length))
{
    size_t at = out->buffer->length;
    buffer_append(out->buffer, word->text, word->length);
    enum status status = read_encoded(out->buffer, at, read);
    return status == STATUS_INVALID ? dns_word_refuse(word, out->kind->expected, reason) : status;
}

static bool is_dash(const struct dns_token *word)
{
    return word->length == 1 && word->text[0] == '-';
}

/* --- all that is left --- */

static void print_quoted_rest(struct dns_data_in *in, struct buffer *out)
{
    struct span bytes = take_rest(in);
    buffer_u8(out, '"');
    dns_escape(bytes.data, bytes.length, out);
    buffer_u8(out, '"');
}

static enum status scan_quoted_rest(const struct dns_token *word, struct dns_data_out *out, struct reason *reason)
{
    enum status status = dns_unescape(word->text, word->length, out->buffer);
    return status == STATUS_MALFORMED ? dns_word_refuse(word, "text with whole escapes", reason) : status;
}

const struct dns_kind dns_kind_quoted_rest = {
    .expected = "text",
    .check = check_rest,
    .print = print_quoted_rest,
    .decode = decode_rest,
    .scan_word = scan_quoted_rest,
    .encode = encode_rest,
};

static void print_optional_quoted_rest(struct dns_data_in *in, struct buffer *out)
{
    if (cursor_left(&in->cursor) > 0)
        print_quoted_rest(in, out);
}

const struct dns_kind dns_kind_optional_quoted_rest = {
    .expected = "text",
    .optional = true,
    .check = check_rest,
    .print = print_optional_quoted_rest,
    .decode = decode_rest,
    .scan_word = scan_quoted_rest,
    .encode = encode_rest,
};

static void print_anything(struct dns_data_in *in, struct buffer *out)
{
    struct span bytes = take_rest(in);
    buffer_format(out, "\\# %zu%s", bytes.length, bytes.length ? " " : "");
    dns_hex_write(bytes.data, bytes.length, out);
}

static enum status scan_anything(const struct dns_token *word, struct dns_data_out *out, struct reason *reason)
{
    return dns_word_refuse(word, out->kind->expected, reason);
}

const struct dns_kind dns_kind_anything = {
    .expected = "\\# LENGTH HEX",
    .check = check_rest,
    .print = print_anything,
    .decode = decode_rest,
    .scan_word = scan_anything,
    .encode = encode_rest,
};

static void print_hex(struct dns_data_in *in, struct buffer *out)
{
    struct span bytes = take_rest(in);
    dns_hex_write(bytes.data, bytes.length, out);
}

static enum status scan_hex(struct dns_scanner *scanner, struct dns_data_out *out, struct reason *reason)
{
    return scan_joined(scanner, out, reason, dns_hex_read);
}

const struct dns_kind dns_kind_hex = {
    .expected = "bytes in hex",
    .check = check_rest,
    .print = print_hex,
    .decode = decode_rest,
    .scan = scan_hex,
    .encode = encode_rest,
};

static void print_nsap(struct dns_data_in *in, struct buffer *out)
{
    buffer_text(out, "0x");
    print_hex(in, out);
}

/* 0x and hex digits, with dots anywhere between them. */
static enum status scan_nsap(const struct dns_token *word, struct dns_data_out *out, struct reason *reason)
{
    if (word->length < 2 || word->text[0] != '0' || dns_lower((uint8_t)word->text[1]) != 'x')
        return dns_word_refuse(word, out->kind->expected, reason);
    size_t at = out->buffer->length;
    for (size_t i = 2; i < word->length; i++)
        if (word->text[i] != '.')
            buffer_u8(out->buffer, (uint8_t)word->text[i]);
    enum status status = read_encoded(out->buffer, at, dns_hex_read);
    return status == STATUS_INVALID ? dns_word_refuse(word, out->kind->expected, reason) : status;
}

const struct dns_kind dns_kind_nsap = {
    .expected = "0x and bytes in hex",
    .check = check_rest,
    .print = print_nsap,
    .decode = decode_rest,
    .scan_word = scan_nsap,
    .encode = encode_rest,
};

static void print_base64(struct dns_data_in *in, struct buffer *out)
{
    struct span bytes = take_rest(in);
    dns_base64_write(bytes.data, bytes.length, out);
}

static enum status scan_base64(struct dns_scanner *scanner, struct dns_data_out *out, struct reason *reason)
{
    return scan_joined(scanner, out, reason, dns_base64_read);
}

const struct dns_kind dns_kind_base64 = {
    .expected = "bytes in base64",
    .check = check_rest,
    .print = print_base64,
    .decode = decode_rest,
    .scan = scan_base64,
    .encode = encode_rest,
};

static void print_base64_or_dash(struct dns_data_in *in, struct buffer *out)
{
    if (cursor_left(&in->cursor) == 0)
        buffer_u8(out, '-');
    print_base64(in, out);
}

static enum status scan_base64_or_dash(const struct dns_token *word, struct dns_data_out *out, struct reason *reason)
{
    return is_dash(word) ? STATUS_OK : scan_one(word, out, reason, dns_base64_read);
}

const struct dns_kind dns_kind_base64_or_dash = {
    .expected = "bytes in base64, or -",
    .check = check_rest,
    .print = print_base64_or_dash,
    .decode = decode_rest,
    .scan_word = scan_base64_or_dash,
    .encode = encode_rest,
};

/* --- behind a length of one byte or two --- */

static struct span take_counted(struct dns_data_in *in)
{
    size_t length = in->kind->size == 1 ? cursor_u8(&in->cursor) : cursor_u16(&in->cursor);
    return take(in, length);
}

static bool check_counted(struct dns_data_in *in)
{
    take_counted(in);
    return !in->cursor.failed;
}

static struct dns_value *decode_counted(struct dns_data_in *in, struct arena *arena)
{
    struct span bytes = take_counted(in);
    return dns_value_bytes(arena, bytes.data, bytes.length);
}

static void put_length(size_t length, struct dns_data_out *out)
{
    if (out->kind->size == 1)
        buffer_u8(out->buffer, (uint8_t)length);
    else
        buffer_u16(out->buffer, (uint16_t)length);
}

/* Writes the length of what stands behind the place that was left for it at `at`. */
static enum status close_counted(size_t at, struct dns_data_out *out)
{
    if (out->buffer->failed)
        return STATUS_NO_MEMORY;
    size_t length = out->buffer->length - at - out->kind->size;
    if (length > (out->kind->size == 1 ? UINT8_MAX : UINT16_MAX))
        return STATUS_INVALID;
    if (out->kind->size == 1)
        out->buffer->data[at] = (uint8_t)length;
    else
        store_u16(out->buffer->data + at, (uint16_t)length);
    return STATUS_OK;
}

static enum status encode_counted(const struct dns_value *value, struct dns_data_out *out, struct reason *reason)
{
    if (!dns_value_is_string(value))
        return dns_value_refuse(value, "bytes", reason);
    size_t at = out->buffer->length;
    put_length(0, out);
    buffer_append(out->buffer, value->bytes.data, value->bytes.length);
    enum status status = close_counted(at, out);
    return status == STATUS_INVALID ? dns_value_refuse(value, "shorter bytes", reason) : status;
}

static enum status scan_counted(const struct dns_token *word, struct dns_data_out *out, struct reason *reason,
                                enum status (*read)(uint8_t *text, size_t *length))
{
    size_t at = out->buffer->length;
    put_length(0, out);
    enum status status = scan_one(word, out, reason, read);
    if (status)
        return status;
    status = close_counted(at, out);
    return status == STATUS_INVALID ? dns_word_refuse(word, "shorter bytes", reason) : status;
}

static void print_salt(struct dns_data_in *in, struct buffer *out)
{
    struct span salt = take_counted(in);
    if (salt.length == 0)
        buffer_u8(out, '-');
    dns_hex_write(salt.data, salt.length, out);
}

static enum status scan_salt(const struct dns_token *word, struct dns_data_out *out, struct reason *reason)
{
    if (!is_dash(word))
        return scan_counted(word, out, reason, dns_hex_read);
    put_length(0, out);
    return STATUS_OK;
}

const struct dns_kind dns_kind_salt = {
    .expected = "bytes in hex, or -",
    .size = 1,
    .check = check_counted,
    .print = print_salt,
    .decode = decode_counted,
    .scan_word = scan_salt,
    .encode = encode_counted,
};

/* Text has no form for an empty hash. */
static bool check_base32hex(struct dns_data_in *in)
{
    return take_counted(in).length > 0;
}

static void print_base32hex(struct dns_data_in *in, struct buffer *out)
{
    struct span hash = take_counted(in);
    dns_base32hex_write(hash.data, hash.length, out);
}

static enum status scan_base32hex(const struct dns_token *word, struct dns_data_out *out, struct reason *reason)
{
    return scan_counted(word, out, reason, dns_base32hex_read);
}

const struct dns_kind dns_kind_base32hex = {
    .expected = "bytes in base32hex",
    .size = 1,
    .check = check_base32hex,
    .print = print_base32hex,
    .decode = decode_counted,
    .scan_word = scan_base32hex,
    .encode = encode_counted,
};

/* The length, and then, unless it is 0, the bytes. */
static void print_counted_base64(struct dns_data_in *in, struct buffer *out)
{
    struct span bytes = take_counted(in);
    buffer_format(out, "%zu%s", bytes.length, bytes.length ? " " : "");
    dns_base64_write(bytes.data, bytes.length, out);
}

static enum status scan_counted_base64(struct dns_scanner *scanner, struct dns_data_out *out, struct reason *reason)
{
    struct dns_token length_word, word;
    enum status status = dns_scanner_next(scanner, &length_word, reason);
    if (status)
        return status;
    size_t length = 0;
    for (size_t i = 0; i < length_word.length; i++) {
        unsigned digit = (unsigned)(length_word.text[i] - '0');
        if (digit > 9 || length > UINT16_MAX)
            return dns_word_refuse(&length_word, "length of the bytes", reason);
        length = length * 10 + digit;
    }
    size_t at = out->buffer->length;
    if (length == 0) {
        put_length(0, out);
        return STATUS_OK;
    }
    status = dns_scanner_next(scanner, &word, reason);
    if (status == STATUS_OK)
        status = scan_counted(&word, out, reason, dns_base64_read);
    if (status == STATUS_OK && out->buffer->length - at - out->kind->size != length)
        return dns_word_refuse(&length_word, "length of the bytes", reason);
    return status;
}

const struct dns_kind dns_kind_counted_base64 = {
    .expected = "length and bytes in base64",
    .size = 2,
    .check = check_counted,
    .print = print_counted_base64,
    .decode = decode_counted,
    .scan = scan_counted_base64,
    .encode = encode_counted,
};
