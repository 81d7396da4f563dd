/* Fields that hold addresses of the network and of machines. */
#include "base/address.h"
#include "dns/rdata/encoding.h"
#include "dns/rdata/layout.h"

#include <stdio.h>

enum { IPV4_SIZE = 4, IPV6_SIZE = 16 };

static const char *ip_text(const uint8_t *bytes, size_t size, char out[static ADDRESS_TEXT_MAX])
{
    struct address address = {.family = size == IPV4_SIZE ? AF_INET : AF_INET6};
    memcpy(address.bytes, bytes, size);
    return address_ip_text(&address, out);
}

/* An address of that size and without a scope. */
static bool ip_from_text(const char *text, size_t length, size_t size, struct address *out)
{
    if (memchr(text, '%', length) || address_from_ip(text, length, out))
        return false;
    return out->family == (size == IPV4_SIZE ? AF_INET : AF_INET6);
}

static const uint8_t *take(struct dns_data_in *in)
{
    return cursor_take(&in->cursor, in->kind->size);
}

static bool check_fixed(struct dns_data_in *in)
{
    return take(in) != NULL;
}

static void print_ip(struct dns_data_in *in, struct buffer *out)
{
    char text[ADDRESS_TEXT_MAX];
    buffer_text(out, ip_text(take(in), in->kind->size, text));
}

static struct dns_value *decode_ip(struct dns_data_in *in, struct arena *arena)
{
    char text[ADDRESS_TEXT_MAX];
    ip_text(take(in), in->kind->size, text);
    return dns_value_text(arena, text, strlen(text));
}

static enum status scan_ip(const struct dns_token *word, struct dns_data_out *out, struct reason *reason)
{
    struct address address;
    if (!ip_from_text(word->text, word->length, out->kind->size, &address))
        return dns_word_refuse(word, out->kind->expected, reason);
    buffer_append(out->buffer, address.bytes, out->kind->size);
    return STATUS_OK;
}

/* Text values are taken as words are. */
static enum status encode_as_word(const struct dns_value *value, struct dns_data_out *out, struct reason *reason)
{
    if (!dns_value_is_string(value))
        return dns_value_refuse(value, out->kind->expected, reason);
    struct dns_token word = {(const char *)value->bytes.data, value->bytes.length, false};
    if (out->kind->scan_word(&word, out, NULL))
        return dns_value_refuse(value, out->kind->expected, reason);
    return STATUS_OK;
}

#define FIXED_KIND(what, bytes, name, scan_as)                                                                 \
    {                                                                                                          \
        .expected = what, .size = bytes, .check = check_fixed, .print = print_##name, .decode = decode_##name, \
        .scan_word = scan_as, .encode = encode_as_word                                                         \
    }

const struct dns_kind dns_kind_ipv4 = FIXED_KIND("IPv4 address", IPV4_SIZE, ip, scan_ip);
const struct dns_kind dns_kind_ipv6 = FIXED_KIND("IPv6 address", IPV6_SIZE, ip, scan_ip);

/* --- bytes in hex, in groups --- */

/* How many bytes make a group, and what stands between two. */
static size_t group_size(const struct dns_kind *kind)
{
    return kind->mask;
}

static char separator(const struct dns_kind *kind)
{
    return group_size(kind) == 1 ? '-' : ':';
}

static void print_groups(struct dns_data_in *in, struct buffer *out)
{
    const uint8_t *bytes = take(in);
    size_t group = group_size(in->kind);
    for (size_t i = 0; i < in->kind->size; i += group) {
        if (i)
            buffer_u8(out, (uint8_t)separator(in->kind));
        dns_hex_write(bytes + i, group, out);
    }
}

static struct dns_value *decode_groups(struct dns_data_in *in, struct arena *arena)
{
    struct buffer text = {0};
    print_groups(in, &text);
    struct dns_value *value = text.failed ? NULL : dns_value_text(arena, (const char *)text.data, text.length);
    buffer_free(&text);
    return value;
}

/* Appends a group's digits, with the zeros that locators may leave out in front; false when they are too few or many.
 */
static bool put_group(const char *text, size_t length, size_t group, struct buffer *out)
{
    size_t digits = 2 * group;
    if (length > digits || length < (group == 1 ? digits : 1))
        return false;
    for (size_t i = length; i < digits; i++)
        buffer_u8(out, '0');
    buffer_append(out, text, length);
    return true;
}

static enum status scan_groups(const struct dns_token *word, struct dns_data_out *out, struct reason *reason)
{
    const struct dns_kind *kind = out->kind;
    size_t at = out->buffer->length, length = 2 * (size_t)kind->size, groups = kind->size / group_size(kind);
    const char *text = word->text, *end = word->text + word->length;
    for (; groups > 0; groups--) {
        const char *stop = text < end ? memchr(text, separator(kind), (size_t)(end - text)) : NULL;
        if ((stop == NULL) != (groups == 1))
            return dns_word_refuse(word, kind->expected, reason);
        if (!put_group(text, (size_t)((stop ? stop : end) - text), group_size(kind), out->buffer))
            return dns_word_refuse(word, kind->expected, reason);
        text = stop ? stop + 1 : end;
    }
    if (out->buffer->failed)
        return STATUS_NO_MEMORY;
    if (dns_hex_read(out->buffer->data + at, &length))
        return dns_word_refuse(word, kind->expected, reason);
    out->buffer->length = at + length;
    return STATUS_OK;
}

#define GROUPS_KIND(what, bytes, group)                                                              \
    {                                                                                                \
        .expected = what, .size = bytes, .mask = group, .check = check_fixed, .print = print_groups, \
        .decode = decode_groups, .scan_word = scan_groups, .encode = encode_as_word                  \
    }

const struct dns_kind dns_kind_locator64 = GROUPS_KIND("eight bytes as 0123:4567:89ab:cdef", 8, 2);
const struct dns_kind dns_kind_eui48 = GROUPS_KIND("six bytes as 01-23-45-67-89-ab", 6, 1);
const struct dns_kind dns_kind_eui64 = GROUPS_KIND("eight bytes as 01-23-45-67-89-ab-cd-ef", 8, 1);

/* --- a gateway: nothing, an address or a name, by the lower bits of byte 1 --- */

enum { GATEWAY_TYPE_AT = 1, GATEWAY_NONE = 0, GATEWAY_IPV4 = 1, GATEWAY_IPV6 = 2, GATEWAY_NAME = 3 };

/* The kind of what stands there; NULL for nothing. False when nobody knows that type. */
static bool gateway_kind(uint8_t type, const struct dns_kind **out)
{
    static const struct dns_kind *const kinds[] = {NULL, &dns_kind_ipv4, &dns_kind_ipv6, &dns_kind_name};
    if (type > GATEWAY_NAME)
        return false;
    *out = kinds[type];
    return true;
}

static const struct dns_kind *gateway_in(const struct dns_data_in *in)
{
    const struct dns_kind *kind = NULL;
    gateway_kind(in->cursor.data[GATEWAY_TYPE_AT] & in->kind->mask, &kind);
    return kind;
}

static bool check_gateway(struct dns_data_in *in)
{
    const struct dns_kind *kind;
    if (!gateway_kind(in->cursor.data[GATEWAY_TYPE_AT] & in->kind->mask, &kind))
        return false;
    struct dns_data_in inner = {in->cursor, kind};
    bool fits = !kind || kind->check(&inner);
    in->cursor = inner.cursor;
    return fits;
}

static void print_gateway(struct dns_data_in *in, struct buffer *out)
{
    struct dns_data_in inner = {in->cursor, gateway_in(in)};
    if (inner.kind)
        inner.kind->print(&inner, out);
    else
        buffer_u8(out, '.');
    in->cursor = inner.cursor;
}

static struct dns_value *decode_gateway(struct dns_data_in *in, struct arena *arena)
{
    struct dns_data_in inner = {in->cursor, gateway_in(in)};
    struct dns_value *value = inner.kind ? inner.kind->decode(&inner, arena) : dns_value_text(arena, ".", 1);
    in->cursor = inner.cursor;
    return value;
}

static enum status scan_gateway(const struct dns_token *word, struct dns_data_out *out, struct reason *reason)
{
    if (out->buffer->failed)
        return STATUS_NO_MEMORY;
    uint8_t type = out->buffer->data[out->start + GATEWAY_TYPE_AT] & out->kind->mask;
    struct dns_data_out inner = {.buffer = out->buffer, .start = out->start, .origin = out->origin};
    if (!gateway_kind(type, &inner.kind)) {
        reason_set(reason, "gateway of type 0 to 3 expected, got type %u", (unsigned)type);
        return STATUS_INVALID;
    }
    if (inner.kind)
        return inner.kind->scan_word(word, &inner, reason);
    if (word->length != 1 || word->text[0] != '.')
        return dns_word_refuse(word, "'.'", reason);
    return STATUS_OK;
}

#define GATEWAY_KIND(bits)                                                                                    \
    {                                                                                                         \
        .expected = "address or name as the gateway type says", .mask = bits, .check = check_gateway,         \
        .print = print_gateway, .decode = decode_gateway, .scan_word = scan_gateway, .encode = encode_as_word \
    }

const struct dns_kind dns_kind_gateway = GATEWAY_KIND(0xff);
const struct dns_kind dns_kind_relay = GATEWAY_KIND(0x7f);

/* --- APL's items (RFC 3123 section 4): family, prefix, negation and length, the address without its zeros at the end
 * --- */

enum { APL_IPV4 = 1, APL_IPV6 = 2, APL_NEGATION = 0x80, BITS_PER_BYTE = 8 };

struct prefix {
    size_t size; /* of an address of the family */
    uint16_t family;
    uint8_t bits;
    bool negation;
    uint8_t address[IPV6_SIZE];
};

static bool take_prefix(struct cursor *cursor, struct prefix *out)
{
    *out = (struct prefix){.family = cursor_u16(cursor), .bits = cursor_u8(cursor)};
    uint8_t byte = cursor_u8(cursor), length = byte & (APL_NEGATION - 1);
    out->negation = byte & APL_NEGATION;
    out->size = out->family == APL_IPV4 ? IPV4_SIZE : out->family == APL_IPV6 ? IPV6_SIZE : 0;
    const uint8_t *address = cursor_take(cursor, length);
    if (cursor->failed || length > out->size || out->size == 0 || out->bits > out->size * BITS_PER_BYTE)
        return false;
    if (length && address[length - 1] == 0)
        return false;
    memcpy(out->address, address, length);
    return true;
}

static bool check_prefixes(struct dns_data_in *in)
{
    struct prefix prefix;
    while (cursor_left(&in->cursor) > 0)
        if (!take_prefix(&in->cursor, &prefix))
            return false;
    return true;
}

static void print_prefixes(struct dns_data_in *in, struct buffer *out)
{
    struct prefix prefix;
    char text[ADDRESS_TEXT_MAX];
    for (bool first = true; cursor_left(&in->cursor) > 0 && take_prefix(&in->cursor, &prefix); first = false)
        buffer_format(out, "%s%s%u:%s/%u", first ? "" : " ", prefix.negation ? "!" : "", (unsigned)prefix.family,
                      ip_text(prefix.address, prefix.size, text), (unsigned)prefix.bits);
}

/* Each item is its text: "!1:192.0.2.0/24". */
static struct dns_value *decode_prefixes(struct dns_data_in *in, struct arena *arena)
{
    struct dns_value *list = dns_value_group(arena, DNS_VALUE_LIST), *last = NULL;
    struct prefix prefix;
    while (list && cursor_left(&in->cursor) > 0 && take_prefix(&in->cursor, &prefix)) {
        char ip[ADDRESS_TEXT_MAX], text[ADDRESS_TEXT_MAX + 8];
        int length = snprintf(text, sizeof text, "%s%u:%s/%u", prefix.negation ? "!" : "", (unsigned)prefix.family,
                              ip_text(prefix.address, prefix.size, ip), (unsigned)prefix.bits);
        if (!dns_value_add(list, &last, dns_value_text(arena, text, (size_t)length)))
            return NULL;
    }
    return list;
}

/* "!1:192.0.2.0/24" */
static bool prefix_from_text(const char *text, size_t length, struct prefix *out)
{
    *out = (struct prefix){.negation = length > 0 && text[0] == '!'};
    text += out->negation;
    length -= out->negation;
    if (length < 2 || (text[0] != '0' + APL_IPV4 && text[0] != '0' + APL_IPV6) || text[1] != ':')
        return false;
    out->family = (uint16_t)(text[0] - '0');
    out->size = out->family == APL_IPV4 ? IPV4_SIZE : IPV6_SIZE;
    text += 2;
    length -= 2;
    const char *slash = memchr(text, '/', length);
    struct address address;
    if (!slash || !ip_from_text(text, (size_t)(slash - text), out->size, &address))
        return false;
    memcpy(out->address, address.bytes, out->size);
    const char *end = text + length;
    unsigned bits = 0;
    if (slash + 1 == end || end - slash > 4)
        return false;
    for (const char *at = slash + 1; at < end; at++) {
        if (*at < '0' || *at > '9')
            return false;
        bits = bits * 10 + (unsigned)(*at - '0');
    }
    out->bits = (uint8_t)bits;
    return bits <= out->size * BITS_PER_BYTE;
}

static enum status scan_prefix(const struct dns_token *word, struct dns_data_out *out, struct reason *reason)
{
    struct prefix prefix;
    if (!prefix_from_text(word->text, word->length, &prefix))
        return dns_word_refuse(word, out->kind->expected, reason);
    size_t length = prefix.size;
    while (length > 0 && prefix.address[length - 1] == 0)
        length--;
    buffer_u16(out->buffer, prefix.family);
    buffer_u8(out->buffer, prefix.bits);
    buffer_u8(out->buffer, (uint8_t)(length | (prefix.negation ? APL_NEGATION : 0)));
    buffer_append(out->buffer, prefix.address, length);
    return STATUS_OK;
}

static enum status scan_prefixes(struct dns_scanner *scanner, struct dns_data_out *out, struct reason *reason)
{
    struct dns_token word;
    enum status status;
    while ((status = dns_scanner_next(scanner, &word, reason)) == STATUS_OK) {
        status = scan_prefix(&word, out, reason);
        if (status)
            return status;
    }
    return status == STATUS_NOT_FOUND ? STATUS_OK : status;
}

static enum status encode_prefixes(const struct dns_value *value, struct dns_data_out *out, struct reason *reason)
{
    if (!dns_value_is_list(value))
        return dns_value_refuse(value, "list of prefixes", reason);
    for (const struct dns_value *item = value->first; item; item = item->next) {
        struct dns_token word = {(const char *)item->bytes.data, item->bytes.length, false};
        if (!dns_value_is_string(item) || scan_prefix(&word, out, NULL))
            return dns_value_refuse(item, out->kind->expected, reason);
    }
    return STATUS_OK;
}

const struct dns_kind dns_kind_prefixes = {
    .expected = "prefix as 1:192.0.2.0/24 or !2:2001:db8::/32",
    .check = check_prefixes,
    .print = print_prefixes,
    .decode = decode_prefixes,
    .scan = scan_prefixes,
    .encode = encode_prefixes,
};
