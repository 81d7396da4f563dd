#include "lua/svcb.h"

#include "dns/name.h"

bool svcb_next(struct span *params, uint16_t *key, struct span *value)
{
    struct cursor cursor = cursor_over(params->data, params->length);
    uint16_t number = cursor_u16(&cursor), length = cursor_u16(&cursor);
    const uint8_t *data = cursor_take(&cursor, length);
    if (cursor.failed)
        return false;
    *key = number;
    *value = (struct span){data, length};
    *params = (struct span){params->data + cursor.offset, params->length - cursor.offset};
    return true;
}

bool svcb_read(const uint8_t *data, size_t length, struct svcb *out)
{
    size_t target = length < 2 ? 0 : dns_name_wire_length(data + 2, length - 2);
    if (!target)
        return false;
    struct span left = {data + 2 + target, length - 2 - target}, value;
    struct svcb svcb = {load_u16(data), {data + 2, target}, left};
    uint16_t key;
    for (int last = -1; svcb_next(&left, &key, &value); last = key) {
        if (key <= last)
            return false;
    }
    if (left.length)
        return false;
    *out = svcb;
    return true;
}

bool svcb_find(const struct svcb *svcb, uint16_t key, struct span *out)
{
    struct span left = svcb->params, value;
    uint16_t at;
    while (svcb_next(&left, &at, &value)) {
        if (at == key) {
            *out = value;
            return true;
        }
    }
    return false;
}

static void write_param(struct buffer *out, uint16_t key, struct span value)
{
    buffer_u16(out, key);
    buffer_u16(out, (uint16_t)value.length);
    buffer_append(out, value.data, value.length);
}

void svcb_write_with(const struct svcb *svcb, uint16_t key, const struct span *value, struct buffer *out)
{
    struct span left = svcb->params, kept;
    bool written = !value;
    uint16_t at;
    buffer_u16(out, svcb->priority);
    buffer_append(out, svcb->target.data, svcb->target.length);
    while (svcb_next(&left, &at, &kept)) {
        if (!written && at >= key) {
            write_param(out, key, *value);
            written = true;
        }
        if (at != key)
            write_param(out, at, kept);
    }
    if (!written)
        write_param(out, key, *value);
}
