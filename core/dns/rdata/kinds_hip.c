/* HIP's fields (RFC 8005 section 5): one byte is the HIT's length, one the algorithm, two the key's length; then the
 * HIT and the key. Text gives algorithm, HIT in hex and key in base64. */
#include "dns/rdata/encoding.h"
#include "dns/rdata/layout.h"

enum { HIT_LENGTH_AT = 0, ALGORITHM_AT = 1, KEY_LENGTH_AT = 2, HEAD_SIZE = 4 };

static bool check_head(struct dns_data_in *in)
{
    const uint8_t *head = cursor_take(&in->cursor, HEAD_SIZE);
    return head && head[HIT_LENGTH_AT] > 0 && load_u16(head + KEY_LENGTH_AT) > 0;
}

static void print_algorithm(struct dns_data_in *in, struct buffer *out)
{
    buffer_format(out, "%u", (unsigned)cursor_take(&in->cursor, HEAD_SIZE)[ALGORITHM_AT]);
}

static struct dns_value *decode_algorithm(struct dns_data_in *in, struct arena *arena)
{
    return dns_value_number(arena, cursor_take(&in->cursor, HEAD_SIZE)[ALGORITHM_AT]);
}

/* The head with this algorithm; the lengths come with their fields. */
static enum status put_head(uint64_t algorithm, struct dns_data_out *out)
{
    const uint8_t head[HEAD_SIZE] = {[ALGORITHM_AT] = (uint8_t)algorithm};
    buffer_append(out->buffer, head, sizeof head);
    return STATUS_OK;
}

static enum status scan_algorithm(const struct dns_token *word, struct dns_data_out *out, struct reason *reason)
{
    size_t at = out->buffer->length;
    struct dns_data_out number = {.buffer = out->buffer, .start = out->start, .kind = &dns_kind_algorithm};
    enum status status = dns_kind_algorithm.scan_word(word, &number, reason);
    if (status)
        return status;
    if (out->buffer->failed)
        return STATUS_NO_MEMORY;
    uint8_t algorithm = out->buffer->data[at];
    out->buffer->length = at;
    return put_head(algorithm, out);
}

static enum status encode_algorithm(const struct dns_value *value, struct dns_data_out *out, struct reason *reason)
{
    if (value->form != DNS_VALUE_NUMBER || value->number > UINT8_MAX)
        return dns_value_refuse(value, out->kind->expected, reason);
    return put_head(value->number, out);
}

const struct dns_kind dns_kind_hip_algorithm = {
    .expected = "integer from 0 to 255",
    .check = check_head,
    .print = print_algorithm,
    .decode = decode_algorithm,
    .scan_word = scan_algorithm,
    .encode = encode_algorithm,
};

/* HIT and key differ in where their length stands; the kind's size is its width. */
static struct span take(struct dns_data_in *in)
{
    const uint8_t *head = in->cursor.data;
    size_t length = in->kind->size == 1 ? head[HIT_LENGTH_AT] : load_u16(head + KEY_LENGTH_AT);
    return (struct span){cursor_take(&in->cursor, length), length};
}

static bool check_part(struct dns_data_in *in)
{
    take(in);
    return !in->cursor.failed;
}

static void print_hit(struct dns_data_in *in, struct buffer *out)
{
    struct span bytes = take(in);
    dns_hex_write(bytes.data, bytes.length, out);
}

static void print_key(struct dns_data_in *in, struct buffer *out)
{
    struct span bytes = take(in);
    dns_base64_write(bytes.data, bytes.length, out);
}

static struct dns_value *decode_part(struct dns_data_in *in, struct arena *arena)
{
    struct span bytes = take(in);
    return dns_value_bytes(arena, bytes.data, bytes.length);
}

/* Writes the length of what stands from `at` on into the head. */
static enum status close_part(size_t at, struct dns_data_out *out)
{
    if (out->buffer->failed)
        return STATUS_NO_MEMORY;
    size_t length = out->buffer->length - at;
    uint8_t *head = out->buffer->data + out->start;
    if (length == 0 || length > (out->kind->size == 1 ? UINT8_MAX : UINT16_MAX))
        return STATUS_INVALID;
    if (out->kind->size == 1)
        head[HIT_LENGTH_AT] = (uint8_t)length;
    else
        store_u16(head + KEY_LENGTH_AT, (uint16_t)length);
    return STATUS_OK;
}

static enum status scan_part(const struct dns_token *word, struct dns_data_out *out,
                             enum status (*read)(uint8_t *text, size_t *length))
{
    size_t at = out->buffer->length, length = word->length;
    buffer_append(out->buffer, word->text, word->length);
    if (out->buffer->failed)
        return STATUS_NO_MEMORY;
    if (read(out->buffer->data + at, &length))
        return STATUS_INVALID;
    out->buffer->length = at + length;
    return close_part(at, out);
}

static enum status scan_hit(const struct dns_token *word, struct dns_data_out *out, struct reason *reason)
{
    enum status status = scan_part(word, out, dns_hex_read);
    return status == STATUS_INVALID ? dns_word_refuse(word, out->kind->expected, reason) : status;
}

static enum status scan_key(const struct dns_token *word, struct dns_data_out *out, struct reason *reason)
{
    enum status status = scan_part(word, out, dns_base64_read);
    return status == STATUS_INVALID ? dns_word_refuse(word, out->kind->expected, reason) : status;
}

static enum status encode_part(const struct dns_value *value, struct dns_data_out *out, struct reason *reason)
{
    if (!dns_value_is_string(value))
        return dns_value_refuse(value, out->kind->expected, reason);
    size_t at = out->buffer->length;
    buffer_append(out->buffer, value->bytes.data, value->bytes.length);
    enum status status = close_part(at, out);
    return status == STATUS_INVALID ? dns_value_refuse(value, out->kind->expected, reason) : status;
}

const struct dns_kind dns_kind_hip_hit = {
    .expected = "bytes, 1 to 255",
    .size = 1,
    .check = check_part,
    .print = print_hit,
    .decode = decode_part,
    .scan_word = scan_hit,
    .encode = encode_part,
};

const struct dns_kind dns_kind_hip_key = {
    .expected = "bytes, 1 to 65535",
    .size = 2,
    .check = check_part,
    .print = print_key,
    .decode = decode_part,
    .scan_word = scan_key,
    .encode = encode_part,
};
