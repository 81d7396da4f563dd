#include "dns/rdata/layout.h"
#include "dns/text.h"

/* --- the tables --- */

#define F(name, kind)      \
    {                      \
#name, KIND_##kind \
    }
#define NO_LAYOUT                 \
    {                             \
        NULL, (enum dns_kind_id)0 \
    }
#define TYPE(symbol, number, mnemonic, names, ...) \
    static const struct dns_field layout_##symbol[] = {__VA_ARGS__, {NULL, (enum dns_kind_id)0}};
#define IN_TYPE TYPE
#define RARE_TYPE TYPE
#include "dns/rdata/types.def"
#undef RARE_TYPE
#undef IN_TYPE
#undef TYPE
#undef NO_LAYOUT
#undef F

static const struct dns_field *const layouts[DNS_DENSE_TYPES] = {
#define TYPE(symbol, number, mnemonic, names, ...) [number] = layout_##symbol,
#define IN_TYPE TYPE
#define RARE_TYPE(...)
#include "dns/rdata/types.def"
#undef RARE_TYPE
#undef IN_TYPE
#undef TYPE
};

static const struct {
    uint16_t type;
    const struct dns_field *fields;
} rare_layouts[] = {
#define TYPE(...)
#define IN_TYPE TYPE
#define RARE_TYPE(symbol, number, mnemonic, names, ...) {number, layout_##symbol},
#include "dns/rdata/types.def"
#undef RARE_TYPE
#undef IN_TYPE
#undef TYPE
};

const struct dns_field *dns_layout(uint16_t type)
{
    const struct dns_field *fields = NULL;
    if (type < DNS_DENSE_TYPES)
        fields = layouts[type];
    for (size_t i = 0; type >= DNS_DENSE_TYPES && i < sizeof rare_layouts / sizeof rare_layouts[0]; i++)
        if (rare_layouts[i].type == type)
            fields = rare_layouts[i].fields;
    return fields && fields->name ? fields : NULL;
}

/* Class 0 is nobody's, NONE and ANY stand for the class of a zone (RFC 2136 sections 2.4 and 2.5). */
uint16_t dns_rdata_type_of_class(uint16_t type, uint16_t class_)
{
    static const bool in_alone[DNS_DENSE_TYPES] = {
#define TYPE(...)
#define IN_TYPE(symbol, number, mnemonic, names, ...) [number] = true,
#define RARE_TYPE(...)
#include "dns/rdata/types.def"
#undef RARE_TYPE
#undef IN_TYPE
#undef TYPE
    };
    const bool as_in = class_ <= DNS_CLASS_IN || class_ == DNS_CLASS_NONE || class_ == DNS_CLASS_ANY;
    return as_in || type >= DNS_DENSE_TYPES || !in_alone[type] ? type : DNS_TYPE_NO_LAYOUT;
}

bool dns_rdata_has_layout(uint16_t type)
{
    return dns_layout(type) != NULL;
}

/* --- reading --- */

enum { DNS_TYPE_LOC = 29 };

bool dns_rdata_fits(uint16_t type, const uint8_t *data, size_t length)
{
    const struct dns_field *fields = dns_layout(type);
    return !fields || (dns_fields_fit(fields, data, length) && (type != DNS_TYPE_LOC || dns_loc_check(data, length)));
}

enum status dns_rdata_to_value(uint16_t type, const uint8_t *data, size_t length, struct arena *arena,
                               struct dns_value **out)
{
    const struct dns_field *fields = dns_layout(type);
    if (!fields)
        return STATUS_NOT_FOUND;
    if (!dns_rdata_fits(type, data, length))
        return STATUS_MALFORMED;
    struct dns_value *map = dns_fields_to_value(fields, data, length, arena);
    if (!map)
        return STATUS_NO_MEMORY;
    *out = map;
    return STATUS_OK;
}

void dns_layout_print(uint16_t type, const uint8_t *data, size_t length, struct buffer *out)
{
    if (type == DNS_TYPE_LOC)
        dns_loc_print(data, out);
    else
        dns_fields_print(dns_layout(type), data, length, out);
}

/* Whether the field holds nothing but names. */
static bool holds_names(const struct dns_data_in *in)
{
    enum { GATEWAY_TYPE_AT = 1, GATEWAY_NAME = 3 };
    if (in->kind == &dns_kind_gateway || in->kind == &dns_kind_relay)
        return (in->cursor.data[GATEWAY_TYPE_AT] & in->kind->mask) == GATEWAY_NAME;
    return in->kind == &dns_kind_name || in->kind == &dns_kind_names;
}

bool dns_rdata_equal_caseless(uint16_t type, const uint8_t *a, size_t a_length, const uint8_t *b, size_t b_length)
{
    if (a_length != b_length)
        return false;
    if (a_length == 0 || memcmp(a, b, a_length) == 0)
        return true;
    const struct dns_field *field = dns_layout(type);
    if (!field || !dns_rdata_fits(type, a, a_length) || !dns_rdata_fits(type, b, b_length))
        return false;
    struct dns_data_in in = {.cursor = cursor_over(a, a_length)};
    for (; field->name; field++) {
        in.kind = dns_kinds[field->kind];
        bool fold = holds_names(&in);
        size_t at = in.cursor.offset;
        if (!in.kind->check(&in))
            return false;
        for (; at < in.cursor.offset; at++)
            if (a[at] != b[at] && (!fold || dns_lower(a[at]) != dns_lower(b[at])))
                return false;
    }
    return true;
}

/* --- writing --- */

/* Puts the buffer back to `start` when something failed, and refuses what is too long or, all in all, does not fit. */
static enum status finish(uint16_t type, enum status status, struct buffer *out, size_t start_at, struct reason *reason)
{
    if (status == STATUS_OK)
        status = buffer_status(out);
    if (status == STATUS_OK && out->length - start_at > UINT16_MAX) {
        reason_set(reason, "data of at most 65535 bytes expected, got %zu", out->length - start_at);
        status = STATUS_INVALID;
    }
    const uint8_t *data = out->length > start_at ? out->data + start_at : NULL;
    if (status == STATUS_OK && !dns_rdata_fits(type, data, out->length - start_at)) {
        if (type == DNS_TYPE_LOC && data)
            status = dns_loc_refuse(data, reason);
        else
            status = dns_fields_refuse(dns_layout(type), data, out->length - start_at, reason);
    }
    if (status)
        out->length = start_at;
    return status;
}

enum status dns_rdata_from_value(uint16_t type, const struct dns_value *fields, struct buffer *out,
                                 struct reason *reason)
{
    const struct dns_field *layout = dns_layout(type);
    const size_t start_at = out->length;
    if (!layout) {
        reason_set(reason, "the type has no fields");
        return STATUS_NOT_FOUND;
    }
    return finish(type, dns_fields_from_value(layout, fields, out, reason), out, start_at, reason);
}

/* --- text --- */

/* \# LENGTH HEX (RFC 3597 section 5), behind the \#. */
static enum status scan_generic(struct dns_scanner *scanner, struct buffer *out, struct reason *reason)
{
    struct dns_token word;
    struct dns_data_out to = {.buffer = out, .start = out->length, .kind = &dns_kind_u16};
    enum status status = dns_scanner_next(scanner, &word, reason);
    if (status == STATUS_OK)
        status = dns_kind_u16.scan_word(&word, &to, reason);
    if (status == STATUS_NOT_FOUND) {
        reason_set(reason, "length expected behind \\#");
        return STATUS_INVALID;
    }
    if (status || out->failed)
        return status ? status : STATUS_NO_MEMORY;
    size_t length = load_u16(out->data + to.start);
    out->length = to.start;
    to.kind = &dns_kind_hex;
    status = dns_kind_hex.scan(scanner, &to, reason);
    if (status == STATUS_OK && out->length - to.start != length) {
        reason_set(reason, "%zu bytes in hex expected, got %zu", length, out->length - to.start);
        status = STATUS_INVALID;
    }
    return status;
}

enum status dns_rdata_scan(uint16_t type, struct dns_scanner *scanner, struct buffer *out, struct reason *reason)
{
    const struct dns_field *layout = dns_layout(type);
    struct dns_scanner ahead = *scanner;
    struct dns_token word;
    size_t start_at = out->length;
    enum status status = dns_scanner_next(&ahead, &word, reason);
    if (status == STATUS_OK && !word.quoted && word.length == 2 && memcmp(word.text, "\\#", 2) == 0) {
        *scanner = ahead;
        status = scan_generic(scanner, out, reason);
        if (status == STATUS_OK)
            status = dns_scanner_expect_end(scanner, "end of the record", reason);
        if (status)
            out->length = start_at;
        return status;
    }
    if (status == STATUS_OK || status == STATUS_NOT_FOUND) {
        if (!layout) {
            reason_set(reason, "\\# LENGTH HEX expected for data of this type and class");
            return STATUS_INVALID;
        }
        status =
            type == DNS_TYPE_LOC ? dns_loc_scan(scanner, out, reason) : dns_fields_scan(layout, scanner, out, reason);
    }
    if (status == STATUS_OK)
        status = dns_scanner_expect_end(scanner, "end of the record", reason);
    return finish(type, status, out, start_at, reason);
}
