/* EDNS options (RFC 6891 section 6.1.2) as a field of OPT. Text, for which there is no standard, is "NAME:" for each
 * and the words of its fields behind it ('EDE: BLOCKED "why" NSID: "fra1"'), or NAME:HEX where it has no fields. */
#include "dns/edns.h"
#include "dns/rdata/encoding.h"
#include "dns/rdata/layout.h"

enum { OPTION_HEAD = 4 };

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
        const struct span data = option.data;
        const struct dns_field *fields = dns_option_fields(option.code, data.data, data.length);
        buffer_format(out, "%s%s:", first ? "" : " ", dns_registry_to_text(DNS_EDNS_OPTIONS, option.code, text));
        if (data.length > 0 && fields) {
            buffer_u8(out, ' ');
            dns_fields_print(fields, data.data, data.length, out);
        } else {
            dns_hex_write(data.data, data.length, out);
        }
    }
}

/* --- values: {code, data}, and its fields behind the option's key --- */

static bool add(struct dns_value *map, struct dns_value **last, const char *key, struct dns_value *item)
{
    if (!dns_value_add(map, last, item))
        return false;
    item->key = key;
    return true;
}

static struct dns_value *decode_option(const struct option *option, struct arena *arena)
{
    struct dns_value *map = dns_value_group(arena, DNS_VALUE_MAP), *last = NULL, *fields = NULL;
    if (!map || !add(map, &last, "code", dns_value_number(arena, option->code)) ||
        !add(map, &last, "data", dns_value_bytes(arena, option->data.data, option->data.length)))
        return NULL;
    enum status status = dns_option_to_value(option->code, option->data.data, option->data.length, arena, &fields);
    if (status == STATUS_NO_MEMORY || (status == STATUS_OK && !add(map, &last, dns_option_key(option->code), fields)))
        return NULL;
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

/* An entry on its way in: what it holds, borrowed. */
struct entry {
    const struct dns_value *code, *data, *fields;
    uint16_t typed_code; /* what the key of `fields` stands for */
};

static enum status read_entry(const struct dns_value *map, struct entry *out, struct reason *reason)
{
    *out = (struct entry){0};
    if (map->form != DNS_VALUE_MAP)
        return dns_value_refuse(map, "table of code and data, or of an option by name,", reason);
    for (const struct dns_value *item = map->first; item; item = item->next) {
        if (item->key && strcmp(item->key, "code") == 0) {
            out->code = item;
        } else if (item->key && strcmp(item->key, "data") == 0) {
            out->data = item;
        } else if (item->key && !out->fields && dns_option_from_key(item->key, &out->typed_code) == STATUS_OK) {
            out->fields = item;
        } else {
            reason_set(reason, "%s: %s", item->key ? item->key : "key",
                       out->fields ? "one option expected" : "unknown option");
            return STATUS_INVALID;
        }
    }
    return STATUS_OK;
}

static enum status check_code(const struct entry *entry, struct reason *reason)
{
    const struct dns_value *code = entry->code;
    if (code && code->form == DNS_VALUE_NUMBER && code->number <= UINT16_MAX &&
        (!entry->fields || code->number == entry->typed_code))
        return STATUS_OK;
    if (!code && entry->fields)
        return STATUS_OK;
    if (code)
        (void)dns_value_refuse(code, entry->fields ? "the option's own code" : "integer from 0 to 65535", reason);
    else
        reason_set(reason, "missing");
    reason_prefix(reason, "code: ");
    return STATUS_INVALID;
}

static bool equal(struct span a, struct span b)
{
    return a.length == b.length && (a.length == 0 || memcmp(a.data, b.data, a.length) == 0);
}

/* Whether reading the fields of `data` and writing them gives `written`: names read in lower case, so that such fields
 * say nothing about case. */
static bool reads_as(uint16_t code, struct span data, struct span written)
{
    struct arena arena = {0};
    struct buffer again = {0};
    struct dns_value *fields;
    const bool same = dns_option_to_value(code, data.data, data.length, &arena, &fields) == STATUS_OK &&
                      dns_option_from_value(code, fields, &again, NULL) == STATUS_OK &&
                      equal((struct span){again.data, again.length}, written);
    buffer_free(&again);
    arena_free(&arena);
    return same;
}

/* Whether an option with this code is there whose data is these bytes, or whose fields give them. */
static bool is_there(struct span had, uint16_t code, struct span bytes, bool by_fields)
{
    struct cursor cursor = cursor_over(had.data, had.length);
    struct option option;
    while (cursor_left(&cursor) > 0 && take(&cursor, &option))
        if (option.code == code && (by_fields ? reads_as(code, option.data, bytes) : equal(option.data, bytes)))
            return true;
    return false;
}

/* Data and fields are both given; `out` holds what the fields give, from `at` on. Leaves what counts there. */
static enum status settle(const struct entry *entry, struct span had, struct buffer *out, size_t at,
                          struct reason *reason)
{
    const struct span data = entry->data->bytes, fields = {out->data + at, out->length - at};
    const uint16_t code = entry->typed_code;
    if (!dns_value_is_string(entry->data) || data.length > UINT16_MAX) {
        (void)dns_value_refuse(entry->data, "at most 65535 bytes", reason);
        reason_prefix(reason, "data: ");
        return STATUS_INVALID;
    }
    if (!reads_as(code, data, fields)) {
        if (is_there(had, code, data, false))
            return STATUS_OK;
        if (!is_there(had, code, fields, true)) {
            reason_set(reason, "data and %s say different things", entry->fields->key);
            return STATUS_INVALID;
        }
    }
    out->length = at;
    buffer_append(out, data.data, data.length);
    return buffer_status(out);
}

static enum status encode_data(const struct entry *entry, struct span had, struct buffer *out, struct reason *reason)
{
    const size_t at = out->length;
    if (!entry->fields) {
        if (!entry->data || !dns_value_is_string(entry->data) || entry->data->bytes.length > UINT16_MAX) {
            char name[DNS_MNEMONIC_MAX];
            reason_set(reason, "%s: data: string of at most 65535 bytes expected",
                       dns_registry_to_text(DNS_EDNS_OPTIONS, (uint16_t)entry->code->number, name));
            return STATUS_INVALID;
        }
        buffer_append(out, entry->data->bytes.data, entry->data->bytes.length);
        return buffer_status(out);
    }
    enum status status = dns_option_from_value(entry->typed_code, entry->fields, out, reason);
    if (status && status != STATUS_NO_MEMORY)
        reason_prefix(reason, "%s: ", entry->fields->key);
    if (status == STATUS_OK && entry->data)
        status = settle(entry, had, out, at, reason);
    return status;
}

enum status dns_option_from_entry(const struct dns_value *map, struct span had, struct buffer *out,
                                  struct reason *reason)
{
    struct entry entry;
    const size_t at = out->length;
    enum status status = read_entry(map, &entry, reason);
    if (status == STATUS_OK)
        status = check_code(&entry, reason);
    if (status)
        return status;
    buffer_u16(out, entry.fields ? entry.typed_code : (uint16_t)entry.code->number);
    buffer_u16(out, 0);
    status = encode_data(&entry, had, out, reason);
    if (status == STATUS_OK)
        store_u16(out->data + at + 2, (uint16_t)(out->length - at - OPTION_HEAD));
    else
        out->length = at;
    return status;
}

static enum status encode_options(const struct dns_value *value, struct dns_data_out *out, struct reason *reason)
{
    if (!dns_value_is_list(value))
        return dns_value_refuse(value, "list of options", reason);
    enum status status = STATUS_OK;
    unsigned number = 1;
    for (const struct dns_value *item = value->first; item && status == STATUS_OK; item = item->next, number++) {
        status = dns_option_from_entry(item, (struct span){0}, out->buffer, reason);
        if (status && status != STATUS_NO_MEMORY)
            reason_prefix(reason, "#%u: ", number);
    }
    return status;
}

/* --- text --- */

static bool is_hex(const char *text, size_t length)
{
    for (size_t i = 0; i < length; i++)
        if (!memchr("0123456789abcdefABCDEF", text[i], 22))
            return false;
    return true;
}

/* Whether a word begins an option: "NAME:", or "NAME:HEX"; `hex` is what stands behind the ':'. No field's word does:
 * names end with a dot, and no group of an address is a name. */
static bool begins_option(const struct dns_token *word, uint16_t *code, struct span *hex)
{
    const char *colon = word->quoted ? NULL : memchr(word->text, ':', word->length);
    if (!colon)
        return false;
    const size_t front = (size_t)(colon - word->text);
    *hex = (struct span){(const uint8_t *)colon + 1, word->length - front - 1};
    return dns_registry_from_text(DNS_EDNS_OPTIONS, word->text, front, code) == STATUS_OK &&
           is_hex(colon + 1, hex->length);
}

/* Moves the words up to the next option, or the end of the line, into `out`; `next` is then that option's. */
static enum status take_words(struct dns_scanner *scanner, struct buffer *out, struct dns_token *next,
                              struct reason *reason)
{
    uint16_t code;
    struct span hex;
    enum status status;
    while ((status = dns_scanner_next(scanner, next, reason)) == STATUS_OK && !begins_option(next, &code, &hex)) {
        const char *quote = next->quoted ? "\"" : "";
        buffer_text(out, quote);
        buffer_append(out, next->text, next->length);
        buffer_text(out, quote);
        buffer_u8(out, ' ');
    }
    return out->failed ? STATUS_NO_MEMORY : status;
}

/* Appends the data that hex digits give, or the fields' words. */
static enum status scan_data(uint16_t code, struct span hex, const struct buffer *words, const struct dns_name *origin,
                             struct buffer *out, struct reason *reason)
{
    const size_t at = out->length;
    size_t length = hex.length;
    if (words->length > 0 && length == 0) {
        struct dns_scanner scanner = dns_scanner_over((const char *)words->data, words->length);
        scanner.origin = origin;
        return dns_option_scan(code, &scanner, out, reason);
    }
    buffer_append(out, hex.data, length);
    if (out->failed)
        return STATUS_NO_MEMORY;
    if (words->length > 0 || (length > 0 && dns_hex_read(out->data + at, &length)) || length > UINT16_MAX) {
        reason_set(reason, "at most 65535 bytes in hex expected, and no word behind them");
        return STATUS_INVALID;
    }
    out->length = at + length;
    return STATUS_OK;
}

static enum status scan_option(struct dns_scanner *scanner, struct dns_token *word, struct dns_data_out *out,
                               struct reason *reason)
{
    struct buffer words = {0}, *to = out->buffer;
    struct span hex;
    uint16_t code;
    char name[DNS_MNEMONIC_MAX];
    const size_t at = to->length;
    if (!begins_option(word, &code, &hex))
        return dns_word_refuse(word, out->kind->expected, reason);
    buffer_u16(to, code);
    buffer_u16(to, 0);
    const enum status more = take_words(scanner, &words, word, reason);
    enum status status = more == STATUS_OK || more == STATUS_NOT_FOUND ? STATUS_OK : more;
    if (status == STATUS_OK) {
        status = scan_data(code, hex, &words, out->origin, to, reason);
        if (status && status != STATUS_NO_MEMORY)
            reason_prefix(reason, "%s: ", dns_registry_to_text(DNS_EDNS_OPTIONS, code, name));
    }
    if (status == STATUS_OK)
        store_u16(to->data + at + 2, (uint16_t)(to->length - at - OPTION_HEAD));
    buffer_free(&words);
    return status ? status : more;
}

static enum status scan_options(struct dns_scanner *scanner, struct dns_data_out *out, struct reason *reason)
{
    struct dns_token word;
    enum status status = dns_scanner_next(scanner, &word, reason);
    while (status == STATUS_OK)
        status = scan_option(scanner, &word, out, reason);
    return status == STATUS_NOT_FOUND ? STATUS_OK : status;
}

const struct dns_kind dns_kind_options = {
    .expected = "option as NAME: and its fields, or NAME:HEX",
    .check = check_options,
    .print = print_options,
    .decode = decode_options,
    .scan = scan_options,
    .encode = encode_options,
};
