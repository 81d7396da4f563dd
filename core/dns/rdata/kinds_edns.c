/* Fields that only EDNS options have. */
#include "base/address.h"
#include "dns/rdata/encoding.h"
#include "dns/rdata/layout.h"

/* --- cookies (RFC 7873 section 4): one of eight bytes, and perhaps one of 8 to 32 behind it --- */

enum { COOKIE_LEAST = 8, COOKIE_MOST = 32 };

static struct span take_cookie(struct dns_data_in *in)
{
    const size_t left = cursor_left(&in->cursor), length = in->kind->optional ? left : COOKIE_LEAST;
    return (struct span){cursor_take(&in->cursor, length), length};
}

static bool good_length(const struct dns_kind *kind, size_t length)
{
    return length >= COOKIE_LEAST && length <= (kind->optional ? COOKIE_MOST : COOKIE_LEAST);
}

static bool check_cookie(struct dns_data_in *in)
{
    if (in->kind->optional && cursor_left(&in->cursor) == 0)
        return true;
    const struct span cookie = take_cookie(in);
    return cookie.data && good_length(in->kind, cookie.length);
}

static void print_cookie(struct dns_data_in *in, struct buffer *out)
{
    const struct span cookie = take_cookie(in);
    dns_hex_write(cookie.data, cookie.length, out);
}

static struct dns_value *decode_cookie(struct dns_data_in *in, struct arena *arena)
{
    const struct span cookie = take_cookie(in);
    return dns_value_bytes(arena, cookie.data, cookie.length);
}

static enum status scan_cookie(const struct dns_token *word, struct dns_data_out *out, struct reason *reason)
{
    const size_t at = out->buffer->length;
    size_t length = word->length;
    buffer_append(out->buffer, word->text, length);
    if (out->buffer->failed)
        return STATUS_NO_MEMORY;
    if (length == 0 || dns_hex_read(out->buffer->data + at, &length) || !good_length(out->kind, length))
        return dns_word_refuse(word, out->kind->expected, reason);
    out->buffer->length = at + length;
    return STATUS_OK;
}

static enum status encode_cookie(const struct dns_value *value, struct dns_data_out *out, struct reason *reason)
{
    if (!dns_value_is_string(value) || !good_length(out->kind, value->bytes.length))
        return dns_value_refuse(value, out->kind->expected, reason);
    buffer_append(out->buffer, value->bytes.data, value->bytes.length);
    return STATUS_OK;
}

const struct dns_kind dns_kind_client_cookie = {
    .expected = "cookie of 8 bytes",
    .check = check_cookie,
    .print = print_cookie,
    .decode = decode_cookie,
    .scan_word = scan_cookie,
    .encode = encode_cookie,
};

const struct dns_kind dns_kind_server_cookie = {
    .expected = "cookie of 8 to 32 bytes",
    .optional = true,
    .check = check_cookie,
    .print = print_cookie,
    .decode = decode_cookie,
    .scan_word = scan_cookie,
    .encode = encode_cookie,
};

/* --- the address of a client's subnet (RFC 7871 section 6), behind family and prefix lengths --- */

enum {
    FAMILY_AT = 0,
    SOURCE_AT = 2,
    SCOPE_AT = 3,
    HEAD_SIZE = 4,
    IPV4_FAMILY = 1,
    IPV6_FAMILY = 2,
    IPV4_BITS = 32,
    IPV6_BITS = 128,
};

/* How long addresses of a family are, in bits; none at all for family 0, -1 for unknown ones. */
static int address_bits(uint16_t family)
{
    static const int bits[] = {0, IPV4_BITS, IPV6_BITS};
    return family < sizeof bits / sizeof bits[0] ? bits[family] : -1;
}

/* Clears the bits behind the first `kept` of what is `length` bytes long. */
static void mask(uint8_t *bytes, size_t length, unsigned kept)
{
    for (size_t i = 0; i<length; i++, kept = kept> 8 ? kept - 8 : 0)
        bytes[i] = (uint8_t)(bytes[i] & (kept >= 8 ? 0xff : 0xff << (8 - kept)));
}

/* As many bytes as the source prefix needs, and no bit behind it. */
static bool check_subnet(struct dns_data_in *in)
{
    const uint8_t *head = in->cursor.data;
    const int bits = address_bits(load_u16(head + FAMILY_AT));
    const unsigned source = head[SOURCE_AT];
    const size_t length = (source + 7u) / 8;
    uint8_t address[IPV6_BITS / 8];
    const uint8_t *at = cursor_take(&in->cursor, length);
    if (!at || (int)source > bits || head[SCOPE_AT] > bits)
        return false;
    memcpy(address, at, length);
    mask(address, length, source);
    return memcmp(address, at, length) == 0;
}

/* The address as text, with zeros for the bytes that are left out; "" for family 0. */
static size_t take_text(struct dns_data_in *in, char out[static ADDRESS_TEXT_MAX])
{
    const size_t length = cursor_left(&in->cursor);
    const uint8_t *at = cursor_take(&in->cursor, length);
    const uint16_t family = load_u16(in->cursor.data + FAMILY_AT);
    struct address address = {.family = family == IPV4_FAMILY ? AF_INET : AF_INET6};
    out[0] = '\0';
    if (family == 0)
        return 0;
    memcpy(address.bytes, at, length);
    return strlen(address_ip_text(&address, out));
}

static void print_subnet(struct dns_data_in *in, struct buffer *out)
{
    char text[ADDRESS_TEXT_MAX];
    buffer_append(out, text, take_text(in, text));
}

static struct dns_value *decode_subnet(struct dns_data_in *in, struct arena *arena)
{
    char text[ADDRESS_TEXT_MAX];
    return dns_value_text(arena, text, take_text(in, text));
}

/* Puts as much of the address as the source prefix length says, and the family where it was left out. */
static bool put_subnet(const char *text, size_t length, struct dns_data_out *out)
{
    struct address address;
    if (out->buffer->failed)
        return true;
    uint8_t *head = out->buffer->data + out->start;
    const uint16_t family = load_u16(head + FAMILY_AT);
    const unsigned source = head[SOURCE_AT];
    if (length == 0)
        return family == 0;
    if (memchr(text, '%', length) || address_from_ip(text, length, &address))
        return false;
    const uint16_t own = address.family == AF_INET ? IPV4_FAMILY : IPV6_FAMILY;
    if ((family != 0 && family != own) || (int)source > address_bits(own))
        return false;
    store_u16(head + FAMILY_AT, own);
    mask(address.bytes, sizeof address.bytes, source);
    buffer_append(out->buffer, address.bytes, (source + 7u) / 8);
    return true;
}

static enum status scan_subnet(struct dns_scanner *scanner, struct dns_data_out *out, struct reason *reason)
{
    struct dns_token word;
    const enum status status = dns_scanner_next(scanner, &word, reason);
    if (status == STATUS_NOT_FOUND && put_subnet("", 0, out))
        return STATUS_OK;
    if (status == STATUS_OK && !put_subnet(word.text, word.length, out))
        return dns_word_refuse(&word, out->kind->expected, reason);
    return status;
}

static enum status encode_subnet(const struct dns_value *value, struct dns_data_out *out, struct reason *reason)
{
    if (!dns_value_is_string(value) || !put_subnet((const char *)value->bytes.data, value->bytes.length, out))
        return dns_value_refuse(value, out->kind->expected, reason);
    return STATUS_OK;
}

const struct dns_kind dns_kind_subnet = {
    .expected = "address of the family, with at least source_prefix_length and scope_prefix_length bits",
    .implied = true,
    .check = check_subnet,
    .print = print_subnet,
    .decode = decode_subnet,
    .scan = scan_subnet,
    .encode = encode_subnet,
};
