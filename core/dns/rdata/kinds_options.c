/* EDNS options (RFC 6891 section 6.1.2). Text, for which there is no standard, is NAME:HEX for each. */
#include "dns/rdata/encoding.h"
#include "dns/rdata/layout.h"

struct option {
    uint16_t code;
    struct span data;
};

static bool take(struct cursor *cursor, struct option *out)
{
    out->code = cursor_u16(cursor);
    out->data.length = cursor_u16(cursor);
    out->data.data = cursor_take(cursor, out->data.length);
    return !cursor->failed;
}

static bool check_options(struct dns_data_in *in)
{
    struct option option;
    while (cursor_left(&in->cursor) > 0)
        if (!take(&in->cursor, &option))
            return false;
    return true;
}

static void print_options(struct dns_data_in *in, struct buffer *out)
{
    struct option option;
    char text[DNS_MNEMONIC_MAX];
    for (bool first = true; cursor_left(&in->cursor) > 0 && take(&in->cursor, &option); first = false) {
        buffer_format(out, "%s%s:", first ? "" : " ", dns_registry_to_text(DNS_EDNS_OPTIONS, option.code, text));
        dns_hex_write(option.data.data, option.data.length, out);
    }
}

static struct dns_value *decode_option(const struct option *option, struct arena *arena)
{
    struct dns_value *map = dns_value_group(arena, DNS_VALUE_MAP), *last = NULL;
    if (!map || !dns_value_add(map, &last, dns_value_number(arena, option->code)))
        return NULL;
    last->key = "code";
    if (!dns_value_add(map, &last, dns_value_bytes(arena, option->data.data, option->data.length)))
        return NULL;
    last->key = "data";
    return map;
}

static struct dns_value *decode_options(struct dns_data_in *in, struct arena *arena)
{
    struct dns_value *list = dns_value_group(arena, DNS_VALUE_LIST), *last = NULL;
    struct option option;
    while (list && cursor_left(&in->cursor) > 0 && take(&in->cursor, &option))
        if (!dns_value_add(list, &last, decode_option(&option, arena)))
            return NULL;
    return list;
}

static enum status scan_option(const struct dns_token *word, struct dns_data_out *out, struct reason *reason)
{
    const char *colon = memchr(word->text, ':', word->length);
    uint16_t code;
    if (!colon || dns_registry_from_text(DNS_EDNS_OPTIONS, word->text, (size_t)(colon - word->text), &code))
        return dns_word_refuse(word, out->kind->expected, reason);
    size_t at = out->buffer->length + 4, length = (size_t)(word->text + word->length - colon - 1);
    buffer_u16(out->buffer, code);
    buffer_u16(out->buffer, 0);
    buffer_append(out->buffer, colon + 1, length);
    if (out->buffer->failed)
        return STATUS_NO_MEMORY;
    if (dns_hex_read(out->buffer->data + at, &length) || length > UINT16_MAX)
        return dns_word_refuse(word, out->kind->expected, reason);
    store_u16(out->buffer->data + at - 2, (uint16_t)length);
    out->buffer->length = at + length;
    return STATUS_OK;
}

static enum status scan_options(struct dns_scanner *scanner, struct dns_data_out *out, struct reason *reason)
{
    struct dns_token word;
    enum status status;
    while ((status = dns_scanner_next(scanner, &word, reason)) == STATUS_OK) {
        status = scan_option(&word, out, reason);
        if (status)
            return status;
    }
    return status == STATUS_NOT_FOUND ? STATUS_OK : status;
}

static enum status encode_options(const struct dns_value *value, struct dns_data_out *out, struct reason *reason)
{
    if (!dns_value_is_list(value))
        return dns_value_refuse(value, "list of options", reason);
    for (const struct dns_value *item = value->first; item; item = item->next) {
        const struct dns_value *code = dns_value_get(item, "code"), *data = dns_value_get(item, "data");
        if (!code || code->form != DNS_VALUE_NUMBER || code->number > UINT16_MAX || !data ||
            !dns_value_is_string(data) || data->bytes.length > UINT16_MAX)
            return dns_value_refuse(item, "{code = integer from 0 to 65535, data = bytes}", reason);
        buffer_u16(out->buffer, (uint16_t)code->number);
        buffer_u16(out->buffer, (uint16_t)data->bytes.length);
        buffer_append(out->buffer, data->bytes.data, data->bytes.length);
    }
    return STATUS_OK;
}

const struct dns_kind dns_kind_options = {
    .expected = "option as NAME:HEX",
    .check = check_options,
    .print = print_options,
    .decode = decode_options,
    .scan = scan_options,
    .encode = encode_options,
};
