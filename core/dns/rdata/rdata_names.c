/* Names in record data that may be compressed (RFC 3597 section 4): on the way of every message, so by tables. */
#include "dns/rdata/layout.h"

/* Where a type's names stand: behind `fixed` bytes and then `strings` character-strings, `names` names in a row. */
struct name_places {
    uint8_t rule, fixed, strings, names;
};

enum { NAMES_MAX = 2 /* no type has more of them in a row */ };

static const struct name_places places[DNS_DENSE_TYPES] = {
#define OPAQUE                  \
    {                           \
        DNS_NAMES_NONE, 0, 0, 0 \
    }
#define EXPAND(fixed, strings, names)           \
    {                                           \
        DNS_NAMES_EXPAND, fixed, strings, names \
    }
#define COMPRESS(fixed, strings, names)           \
    {                                             \
        DNS_NAMES_COMPRESS, fixed, strings, names \
    }
#define TYPE(symbol, number, mnemonic, names, ...) [number] = names,
#define IN_TYPE TYPE
#define RARE_TYPE(...)
#include "dns/rdata/types.def"
#undef RARE_TYPE
#undef IN_TYPE
#undef TYPE
#undef COMPRESS
#undef EXPAND
#undef OPAQUE
};

enum dns_name_rule dns_rdata_name_rule(uint16_t type)
{
    return type < DNS_DENSE_TYPES ? places[type].rule : DNS_NAMES_NONE;
}

/* Moves over what stands in front of the names; false when the data ends before them. */
static bool skip_to_names(struct cursor *cursor, const struct name_places *place)
{
    cursor_take(cursor, place->fixed);
    for (unsigned i = 0; i < place->strings; i++)
        cursor_take(cursor, cursor_u8(cursor));
    return !cursor->failed;
}

/* The data's own bytes as a cursor at its first name; names are read within them, their pointers lead backwards. */
static enum status start(const struct name_places *place, const struct cursor *cursor, size_t length, struct cursor *in,
                         unsigned *names, struct reason *reason)
{
    if (cursor_left(cursor) < length) {
        reason_set(reason, "record data at offset %zu ends outside the message", cursor->offset);
        return STATUS_MALFORMED;
    }
    *in = (struct cursor){.data = cursor->data, .length = cursor->offset + length, .offset = cursor->offset};
    *names = skip_to_names(in, place) ? place->names : 0;
    return STATUS_OK;
}

static enum status too_long(size_t offset, struct reason *reason)
{
    reason_set(reason, "record data at offset %zu is longer than 65535 bytes with its names expanded", offset);
    return STATUS_MALFORMED;
}

enum status dns_rdata_check_names(uint16_t type, const struct cursor *cursor, size_t length, struct reason *reason)
{
    if (dns_rdata_name_rule(type) == DNS_NAMES_NONE)
        return STATUS_OK;
    struct cursor in;
    unsigned names;
    enum status status = start(&places[type], cursor, length, &in, &names, reason);
    size_t expanded = length;
    for (; status == STATUS_OK && names > 0 && cursor_left(&in) > 0; names--) {
        if (length + NAMES_MAX * DNS_NAME_MAX <= UINT16_MAX) {
            status = dns_name_skip(&in, reason);
            continue;
        }
        struct dns_name name = {0};
        size_t at = in.offset;
        status = dns_name_read(&in, &name, reason);
        expanded = expanded + name.length - (in.offset - at);
    }
    if (status == STATUS_OK && expanded > UINT16_MAX)
        status = too_long(cursor->offset, reason);
    return status;
}

enum status dns_rdata_expand(uint16_t type, const struct cursor *cursor, size_t length, struct buffer *out,
                             struct reason *reason)
{
    static const struct name_places none = {0};
    struct cursor in;
    unsigned names;
    enum status status = start(type < DNS_DENSE_TYPES ? &places[type] : &none, cursor, length, &in, &names, reason);
    if (status)
        return status;
    size_t copied = cursor->offset, before = out->length;
    for (; names > 0 && cursor_left(&in) > 0; names--) {
        struct dns_name name;
        size_t at = in.offset;
        status = dns_name_read(&in, &name, reason);
        if (status)
            goto done;
        buffer_append(out, in.data + copied, at - copied);
        buffer_append(out, name.wire, name.length);
        copied = in.offset;
    }
    buffer_append(out, cursor->data + copied, cursor->offset + length - copied);
    status = buffer_status(out);
    if (status == STATUS_OK && out->length - before > UINT16_MAX)
        status = too_long(cursor->offset, reason);
done:
    if (status)
        out->length = before;
    return status;
}

enum status dns_rdata_pieces(uint16_t type, const uint8_t *data, size_t length,
                             enum status (*piece)(void *context, bool is_name, const uint8_t *at, size_t n),
                             void *context)
{
    const enum dns_name_rule rule = dns_rdata_name_rule(type);
    if (rule == DNS_NAMES_NONE || length == 0)
        return piece(context, false, data, length);
    struct cursor in = cursor_over(data, length);
    size_t ends[1 + NAMES_MAX]; /* of what stands in front, and of the names */
    size_t count = 0;
    if (!skip_to_names(&in, &places[type]))
        return piece(context, false, data, length);
    ends[count++] = in.offset;
    for (; count <= places[type].names; count++) {
        size_t n = dns_name_wire_length(data + ends[count - 1], length - ends[count - 1]);
        if (n == 0 && ends[count - 1] < length)
            return STATUS_MALFORMED;
        if (n == 0)
            return piece(context, false, data, length);
        ends[count] = ends[count - 1] + n;
    }
    if (rule == DNS_NAMES_EXPAND)
        return piece(context, false, data, length);
    enum status status = ends[0] ? piece(context, false, data, ends[0]) : STATUS_OK;
    for (size_t i = 1; status == STATUS_OK && i < count; i++)
        status = piece(context, true, data + ends[i - 1], ends[i] - ends[i - 1]);
    size_t rest = length - ends[count - 1];
    if (status == STATUS_OK && rest)
        status = piece(context, false, data + ends[count - 1], rest);
    return status;
}
