/* Lists of fields: every form of data is one loop over them. */
#include "dns/rdata/layout.h"

const struct dns_kind *const dns_kinds[KIND_COUNT] = {
#define KIND(symbol, name) [KIND_##symbol] = &dns_kind_##name,
#include "dns/rdata/kinds.def"
#undef KIND
};

/* --- reading --- */

static struct dns_data_in start(const uint8_t *data, size_t length)
{
    static const uint8_t nothing[1];
    return (struct dns_data_in){.cursor = cursor_over(length ? data : nothing, length)};
}

bool dns_fields_fit(const struct dns_field *fields, const uint8_t *data, size_t length)
{
    struct dns_data_in in = start(data, length);
    for (const struct dns_field *field = fields; field->name; field++) {
        in.kind = dns_kinds[field->kind];
        if (!in.kind->check(&in))
            return false;
    }
    return cursor_left(&in.cursor) == 0;
}

enum status dns_fields_refuse(const struct dns_field *fields, const uint8_t *data, size_t length, struct reason *reason)
{
    struct dns_data_in in = start(data, length);
    for (const struct dns_field *field = fields; field->name; field++) {
        in.kind = dns_kinds[field->kind];
        if (in.kind->check(&in))
            continue;
        reason_set(reason, "%s: %s expected", field->name,
                   in.kind->expected ? in.kind->expected : "value that fits the other fields");
        return STATUS_INVALID;
    }
    reason_set(reason, "values do not fit together");
    return STATUS_INVALID;
}

struct dns_value *dns_fields_to_value(const struct dns_field *fields, const uint8_t *data, size_t length,
                                      struct arena *arena)
{
    struct dns_value *map = dns_value_group(arena, DNS_VALUE_MAP), *last = NULL;
    struct dns_data_in in = start(data, length);
    for (const struct dns_field *field = fields; map && field->name; field++) {
        in.kind = dns_kinds[field->kind];
        if (in.kind->optional && cursor_left(&in.cursor) == 0)
            break;
        if (!dns_value_add(map, &last, in.kind->decode(&in, arena)))
            return NULL;
        last->key = field->name;
    }
    return map;
}

void dns_fields_print(const struct dns_field *fields, const uint8_t *data, size_t length, struct buffer *out)
{
    struct dns_data_in in = start(data, length);
    const size_t before = out->length;
    for (const struct dns_field *field = fields; field->name; field++) {
        const size_t at = out->length;
        if (at > before)
            buffer_u8(out, ' ');
        const size_t behind = out->length;
        in.kind = dns_kinds[field->kind];
        in.kind->print(&in, out);
        if (out->length == behind)
            out->length = at;
    }
}

/* --- writing --- */

static bool has_field(const struct dns_field *field, const char *name)
{
    for (; field->name; field++)
        if (strcmp(field->name, name) == 0)
            return true;
    return false;
}

/* Every key must be a field's name, and come once. */
static enum status check_keys(const struct dns_field *fields, const struct dns_value *map, struct reason *reason)
{
    for (const struct dns_value *item = map->first; item; item = item->next) {
        if (!item->key)
            reason_set(reason, "%u: unknown field", (unsigned)item->key_number);
        else if (!has_field(fields, item->key))
            reason_set(reason, "%s: unknown field", item->key);
        else if (dns_value_get(map, item->key) != item)
            reason_set(reason, "%s: given twice", item->key);
        else
            continue;
        return STATUS_INVALID;
    }
    return STATUS_OK;
}

static enum status encode_field(const struct dns_field *field, const struct dns_value *value, struct dns_data_out *to,
                                struct reason *reason)
{
    to->kind = dns_kinds[field->kind];
    if (value) {
        enum status status = to->kind->encode(value, to, reason);
        if (status && status != STATUS_NO_MEMORY)
            reason_prefix(reason, "%s: ", field->name);
        return status;
    }
    if (!to->kind->optional && !to->kind->implied) {
        reason_set(reason, "%s: missing", field->name);
        return STATUS_INVALID;
    }
    for (unsigned i = 0; to->kind->implied && i < to->kind->size; i++)
        buffer_u8(to->buffer, 0);
    return STATUS_OK;
}

enum status dns_fields_from_value(const struct dns_field *fields, const struct dns_value *map, struct buffer *out,
                                  struct reason *reason)
{
    if (map->form != DNS_VALUE_MAP && (map->form != DNS_VALUE_LIST || map->first))
        return dns_value_refuse(map, "table of fields", reason);
    enum status status = check_keys(fields, map, reason);
    struct dns_data_out to = {.buffer = out, .start = out->length};
    for (const struct dns_field *field = fields; field->name && status == STATUS_OK; field++)
        status = encode_field(field, dns_value_get(map, field->name), &to, reason);
    return status;
}

static enum status scan_field(struct dns_scanner *scanner, struct dns_data_out *to, struct reason *reason)
{
    const struct dns_kind *kind = to->kind;
    struct dns_token word;
    enum status status = STATUS_OK;
    if (kind->scan) {
        status = kind->scan(scanner, to, reason);
    } else {
        status = dns_scanner_next(scanner, &word, reason);
        if (status == STATUS_OK)
            return kind->scan_word(&word, to, reason);
        if (status == STATUS_NOT_FOUND && kind->optional)
            return STATUS_OK;
    }
    if (status != STATUS_NOT_FOUND)
        return status;
    reason_set(reason, "%s expected, got nothing", kind->expected);
    return STATUS_INVALID;
}

enum status dns_fields_scan(const struct dns_field *fields, struct dns_scanner *scanner, struct buffer *out,
                            struct reason *reason)
{
    struct dns_data_out to = {.buffer = out, .start = out->length, .origin = scanner->origin};
    for (const struct dns_field *field = fields; field->name; field++) {
        to.kind = dns_kinds[field->kind];
        enum status status = scan_field(scanner, &to, reason);
        if (status && status != STATUS_NO_MEMORY)
            reason_prefix(reason, "%s: ", field->name);
        if (status)
            return status;
    }
    return STATUS_OK;
}
