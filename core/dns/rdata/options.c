/* EDNS options by field. */
#include "dns/edns.h"
#include "dns/rdata/layout.h"

#define F(name, kind)      \
    {                      \
#name, KIND_##kind \
    }
#define NO_LAYOUT                 \
    {                             \
        NULL, (enum dns_kind_id)0 \
    }
#define OPTION(key, code, mnemonic, empty, ...) \
    static const struct dns_field layout_##key[] = {__VA_ARGS__, {NULL, (enum dns_kind_id)0}};
#include "dns/rdata/options.def"
#undef OPTION
#undef NO_LAYOUT
#undef F

/* The fields of an option that is there, and says nothing more. */
static const struct dns_field no_fields[] = {{NULL, (enum dns_kind_id)0}};

struct option_layout {
    const char *key;
    uint16_t code;
    bool may_be_empty;
    const struct dns_field *fields; /* the first without a name: no layout */
};

enum { WHOLE = false, MAY_BE_EMPTY = true };

static const struct option_layout options[] = {
#define OPTION(key, code, mnemonic, empty, ...) {#key, code, empty, layout_##key},
#include "dns/rdata/options.def"
#undef OPTION
};

enum { OPTION_COUNT = sizeof options / sizeof options[0] };

static const struct option_layout *find(uint16_t code)
{
    for (size_t i = 0; i < OPTION_COUNT; i++)
        if (options[i].code == code)
            return options[i].fields[0].name ? &options[i] : NULL;
    return NULL;
}

const char *dns_option_key(uint16_t code)
{
    const struct option_layout *option = find(code);
    return option ? option->key : NULL;
}

enum status dns_option_from_key(const char *key, uint16_t *out)
{
    for (size_t i = 0; i < OPTION_COUNT; i++) {
        if (options[i].fields[0].name && strcmp(options[i].key, key) == 0) {
            *out = options[i].code;
            return STATUS_OK;
        }
    }
    return STATUS_NOT_FOUND;
}

const struct dns_field *dns_option_fields(uint16_t code, const uint8_t *data, size_t length)
{
    const struct option_layout *option = find(code);
    if (!option)
        return NULL;
    if (length == 0 && option->may_be_empty)
        return no_fields;
    return dns_fields_fit(option->fields, data, length) ? option->fields : NULL;
}

enum status dns_option_to_value(uint16_t code, const uint8_t *data, size_t length, struct arena *arena,
                                struct dns_value **out)
{
    if (!find(code))
        return STATUS_NOT_FOUND;
    const struct dns_field *fields = dns_option_fields(code, data, length);
    if (!fields)
        return STATUS_MALFORMED;
    struct dns_value *map = dns_fields_to_value(fields, data, length, arena);
    if (!map)
        return STATUS_NO_MEMORY;
    *out = map;
    return STATUS_OK;
}

/* Puts the buffer back to `start` when something failed, and refuses what is too long or, all in all, does not fit. */
static enum status finish(const struct option_layout *option, enum status status, struct buffer *out, size_t start,
                          struct reason *reason)
{
    const size_t length = out->length - start;
    if (status == STATUS_OK)
        status = buffer_status(out);
    if (status == STATUS_OK && length > UINT16_MAX) {
        reason_set(reason, "data of at most 65535 bytes expected, got %zu", length);
        status = STATUS_INVALID;
    }
    if (status == STATUS_OK && !dns_option_fields(option->code, length ? out->data + start : NULL, length)) {
        status = dns_fields_refuse(option->fields, out->data + start, length, reason);
    }
    if (status)
        out->length = start;
    return status;
}

enum status dns_option_from_value(uint16_t code, const struct dns_value *map, struct buffer *out, struct reason *reason)
{
    const struct option_layout *option = find(code);
    const size_t start = out->length;
    if (!option) {
        reason_set(reason, "the option has no fields");
        return STATUS_NOT_FOUND;
    }
    if (option->may_be_empty && dns_value_is_list(map) && !map->first)
        return STATUS_OK;
    return finish(option, dns_fields_from_value(option->fields, map, out, reason), out, start, reason);
}

enum status dns_option_scan(uint16_t code, struct dns_scanner *scanner, struct buffer *out, struct reason *reason)
{
    const struct option_layout *option = find(code);
    const size_t start = out->length;
    if (!option) {
        reason_set(reason, "bytes in hex expected behind the ':'");
        return STATUS_INVALID;
    }
    enum status status = dns_fields_scan(option->fields, scanner, out, reason);
    if (status == STATUS_OK)
        status = dns_scanner_expect_end(scanner, "next option", reason);
    return finish(option, status, out, start, reason);
}
