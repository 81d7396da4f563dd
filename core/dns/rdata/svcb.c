/* Service parameters as a field of SVCB and HTTPS records: (key, length, value) in order of keys, each once. */
#include "dns/rdata/svcb.h"

#include "base/nearest.h"

#include <stdlib.h>

enum { NAMES_MAX = 32 /* registered keys that may have been meant */ };

bool svc_is_flag(uint16_t key)
{
    return svc_format(key)->print == NULL;
}

/* "key" and digits: no registered name begins with it. */
static bool is_numbered_key(const char *text, size_t length)
{
    return length > 3 && dns_lower((uint8_t)text[0]) == 'k' && dns_lower((uint8_t)text[1]) == 'e' &&
           dns_lower((uint8_t)text[2]) == 'y';
}

enum status svc_key_from_text(const char *text, size_t length, uint16_t *out)
{
    if (is_numbered_key(text, length) && (text[3] == '(' || (text[3] == '0' && length > 4)))
        return STATUS_INVALID;
    return dns_registry_from_text(DNS_SVC_PARAMS, text, length, out);
}

/* Says that the word is no key, and which one it may have meant. STATUS_INVALID. */
static enum status refuse_key(const char *text, size_t length, struct reason *reason)
{
    char word[DNS_MNEMONIC_MAX] = "";
    const char *names[NAMES_MAX + 1] = {NULL};
    size_t count;
    const struct dns_registry_entry *entries = dns_registry_entries(DNS_SVC_PARAMS, &count);
    for (size_t i = 0; i < count && i < NAMES_MAX; i++)
        names[i] = entries[i].name;
    if (length < sizeof word)
        memcpy(word, text, length);
    const struct dns_token token = {text, length, false};
    const char *near = nearest_name(word, names);
    const enum status status = dns_word_refuse(&token, "service parameter key", reason);
    if (near)
        reason_append(reason, " (did you mean '%s'?)", near);
    return status;
}

bool svc_next(struct cursor *cursor, uint16_t *key, struct span *value)
{
    if (cursor_left(cursor) == 0)
        return false;
    *key = cursor_u16(cursor);
    value->length = cursor_u16(cursor);
    value->data = cursor_take(cursor, value->length);
    return !cursor->failed;
}

/* The value of one key; false when it is not there. */
static bool find(struct span params, uint16_t wanted, struct span *value)
{
    struct cursor cursor = cursor_over(params.data, params.length);
    uint16_t key;
    while (svc_next(&cursor, &key, value))
        if (key == wanted)
            return true;
    return false;
}

/* Every key that `mandatory` lists must be there, itself excepted; both are in order, so one walk does. */
static bool check_mandatory(struct span mandatory, struct span params, struct reason *reason)
{
    struct cursor cursor = cursor_over(params.data, params.length);
    char text[DNS_MNEMONIC_MAX];
    for (size_t i = 0; i < mandatory.length; i += 2) {
        uint16_t wanted = load_u16(mandatory.data + i), key = SVC_MANDATORY;
        struct span value;
        bool more = true;
        while (more && (key < wanted || key == SVC_MANDATORY))
            more = svc_next(&cursor, &key, &value);
        if (wanted == SVC_MANDATORY || key != wanted) {
            reason_set(reason,
                       wanted == SVC_MANDATORY
                           ? "mandatory must not name %s itself"
                           : "mandatory names %s, which is missing: add it, or take it out of mandatory",
                       dns_registry_to_text(DNS_SVC_PARAMS, wanted, text));
            return false;
        }
    }
    return true;
}

/* What the keys demand of one another (RFC 9460 sections 7.1.1 and 8). */
static bool check_together(struct span params, struct reason *reason)
{
    struct span value, other;
    if (find(params, SVC_NO_DEFAULT_ALPN, &value) && !find(params, SVC_ALPN, &other)) {
        reason_set(reason, "no-default-alpn needs alpn beside it");
        return false;
    }
    return !find(params, SVC_MANDATORY, &value) || check_mandatory(value, params, reason);
}

/* Whether the parameters are sorted, each once, fit their formats and each other (RFC 9460 sections 2.2, 7.1.1, 8). */
static bool check(struct span params, struct reason *reason)
{
    struct cursor cursor = cursor_over(params.data, params.length);
    uint16_t key;
    struct span value;
    for (int last = -1; svc_next(&cursor, &key, &value); last = key) {
        char text[DNS_MNEMONIC_MAX];
        const struct svc_format *format = svc_format(key);
        dns_registry_to_text(DNS_SVC_PARAMS, key, text);
        if (key == last)
            reason_set(reason, "%s: given twice, once expected", text);
        else if (key < last)
            reason_set(reason, "%s: out of order", text);
        else if (key == SVC_INVALID)
            reason_set(reason, "%s is reserved: key0 to key65534 expected", text);
        else if (!format->check(format, value))
            reason_set(reason, "%s: %s expected", text, format->expected);
        else
            continue;
        return false;
    }
    return !cursor.failed && check_together(params, reason);
}

static bool check_params(struct dns_data_in *in)
{
    size_t length = cursor_left(&in->cursor);
    return check((struct span){cursor_take(&in->cursor, length), length}, NULL);
}

static void print_params(struct dns_data_in *in, struct buffer *out)
{
    uint16_t key;
    struct span value;
    char text[DNS_MNEMONIC_MAX];
    for (bool first = true; svc_next(&in->cursor, &key, &value); first = false) {
        const struct svc_format *format = svc_format(key);
        buffer_format(out, "%s%s", first ? "" : " ", dns_registry_to_text(DNS_SVC_PARAMS, key, text));
        if (format->print)
            format->print(format, value, out);
    }
}

/* By number, raw. */
static struct dns_value *decode_params(struct dns_data_in *in, struct arena *arena)
{
    struct dns_value *map = dns_value_group(arena, DNS_VALUE_MAP), *last = NULL;
    uint16_t key;
    struct span value;
    while (map && svc_next(&in->cursor, &key, &value)) {
        if (!dns_value_add(map, &last, dns_value_bytes(arena, value.data, value.length)))
            return NULL;
        last->key_number = key;
    }
    return map;
}

/* --- building: parameters in any order, sorted at the end --- */

struct entry {
    uint16_t key;
    size_t at, length; /* of the value in `values` */
};

struct builder {
    struct buffer entries, values;
};

static void builder_free(struct builder *builder)
{
    buffer_free(&builder->entries);
    buffer_free(&builder->values);
}

/* Adds the value that was appended to `values` from `at` on. */
static void builder_add(struct builder *builder, uint16_t key, size_t at)
{
    struct entry entry = {.key = key, .at = at, .length = builder->values.length - at};
    buffer_append(&builder->entries, &entry, sizeof entry);
}

static int compare_entries(const void *a, const void *b)
{
    const struct entry *left = a, *right = b;
    return (int)left->key - (int)right->key;
}

/* Appends the sorted parameters to `out`, once they are found right. */
static enum status builder_finish(struct builder *builder, struct buffer *out, struct reason *reason)
{
    if (builder->entries.failed || builder->values.failed)
        return STATUS_NO_MEMORY;
    struct entry *entries = (struct entry *)(void *)builder->entries.data;
    size_t count = builder->entries.length / sizeof *entries, start = out->length;
    if (count > 0)
        qsort(entries, count, sizeof *entries, compare_entries);
    for (size_t i = 0; i < count; i++) {
        if (entries[i].length > UINT16_MAX) {
            reason_set(reason, "value of at most 65535 bytes expected");
            return STATUS_INVALID;
        }
        buffer_u16(out, entries[i].key);
        buffer_u16(out, (uint16_t)entries[i].length);
        if (entries[i].length > 0)
            buffer_append(out, builder->values.data + entries[i].at, entries[i].length);
    }
    if (out->failed)
        return STATUS_NO_MEMORY;
    bool good = count == 0 || check((struct span){out->data + start, out->length - start}, reason);
    return good ? STATUS_OK : STATUS_INVALID;
}

/* KEY or KEY=VALUE or KEY="VALUE". A key written as a number has its value's bytes as they are (RFC 9460 section 2.1).
 */
static enum status scan_param(const struct dns_token *word, struct builder *builder, struct buffer *scratch,
                              struct reason *reason)
{
    const char *equals = memchr(word->text, '=', word->length), *end = word->text + word->length;
    size_t key_length = equals ? (size_t)(equals - word->text) : word->length;
    const char *value = equals ? equals + 1 : end;
    uint16_t key;
    if (word->quoted)
        return dns_word_refuse(word, "KEY=VALUE", reason);
    if (svc_key_from_text(word->text, key_length, &key))
        return refuse_key(word->text, key_length, reason);
    bool generic = is_numbered_key(word->text, key_length);
    if (end - value >= 2 && *value == '"') {
        value++;
        end--;
    }
    buffer_clear(scratch);
    if (dns_unescape(value, (size_t)(end - value), scratch))
        return dns_word_refuse(word, "value with whole escapes", reason);
    size_t at = builder->values.length;
    const struct svc_format *format = svc_format(generic ? UINT16_MAX : key);
    struct span text = {scratch->length ? scratch->data : (const uint8_t *)"", scratch->length};
    char name[DNS_MNEMONIC_MAX];
    if (format->read(format, text, &builder->values)) {
        dns_registry_to_text(DNS_SVC_PARAMS, key, name);
        dns_word_refuse(&(struct dns_token){(const char *)text.data, text.length, false},
                        format->print ? format->expected : "no value", reason);
        reason_prefix(reason, "%s: ", name);
        return STATUS_INVALID;
    }
    builder_add(builder, key, at);
    return STATUS_OK;
}

static enum status scan_params(struct dns_scanner *scanner, struct dns_data_out *out, struct reason *reason)
{
    struct builder builder = {0};
    struct buffer scratch = {0};
    struct dns_token word;
    enum status status;
    while ((status = dns_scanner_next_pair(scanner, &word, reason)) == STATUS_OK) {
        status = scan_param(&word, &builder, &scratch, reason);
        if (status)
            goto done;
    }
    if (status == STATUS_NOT_FOUND)
        status = builder_finish(&builder, out->buffer, reason);
done:
    buffer_free(&scratch);
    builder_free(&builder);
    return status;
}

/* Keyed by number, with the bytes themselves, or by name, with a typed value. */
static enum status encode_param(const struct dns_value *item, struct builder *builder, struct reason *reason)
{
    uint16_t key = (uint16_t)item->key_number;
    char name[DNS_MNEMONIC_MAX];
    size_t at = builder->values.length;
    if (item->key && svc_key_from_text(item->key, strlen(item->key), &key))
        return refuse_key(item->key, strlen(item->key), reason);
    if (!item->key && item->key_number > UINT16_MAX) {
        reason_set(reason, "service parameter key expected, got a number above 65535");
        return STATUS_INVALID;
    }
    const struct svc_format *format = svc_format(key);
    enum status status = STATUS_OK;
    if (item->key)
        status = format->encode(format, item, &builder->values);
    else if (dns_value_is_string(item))
        buffer_append(&builder->values, item->bytes.data, item->bytes.length);
    else
        status = STATUS_INVALID;
    if (status) {
        dns_value_refuse(item, item->key ? format->expected : "bytes", reason);
        reason_prefix(reason, "%s: ", dns_registry_to_text(DNS_SVC_PARAMS, key, name));
        return status;
    }
    builder_add(builder, key, at);
    return STATUS_OK;
}

static enum status encode_params(const struct dns_value *value, struct dns_data_out *out, struct reason *reason)
{
    if (value->form != DNS_VALUE_MAP && (value->form != DNS_VALUE_LIST || value->first))
        return dns_value_refuse(value, out->kind->expected, reason);
    struct builder builder = {0};
    enum status status = STATUS_OK;
    for (const struct dns_value *item = value->first; item && status == STATUS_OK; item = item->next)
        status = encode_param(item, &builder, reason);
    if (status == STATUS_OK)
        status = builder_finish(&builder, out->buffer, reason);
    builder_free(&builder);
    return status;
}

const struct dns_kind dns_kind_svc_params = {
    .expected = "table of service parameters",
    .check = check_params,
    .print = print_params,
    .decode = decode_params,
    .scan = scan_params,
    .encode = encode_params,
};
