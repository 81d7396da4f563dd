#include "net/framing.h"

#include <assert.h>

enum { LENGTH_SIZE = 2 };

static enum framing_result hand_out(const uint8_t *data, size_t length, size_t *used,
                                    bool (*message)(void *context, const uint8_t *wire, size_t length), void *context)
{
    size_t at = 0;
    enum framing_result result = FRAMING_MORE;
    while (result == FRAMING_MORE && length - at >= LENGTH_SIZE) {
        size_t size = load_u16(data + at);
        if (size == 0) {
            result = FRAMING_EMPTY;
            break;
        }
        if (length - at - LENGTH_SIZE < size)
            break;
        if (!message(context, data + at + LENGTH_SIZE, size))
            result = FRAMING_PAUSED;
        at += LENGTH_SIZE + size;
    }
    *used = at;
    return result;
}

enum framing_result framing_feed(struct framing *framing, const uint8_t *data, size_t length,
                                 bool (*message)(void *context, const uint8_t *wire, size_t length), void *context)
{
    struct buffer *kept = &framing->kept;
    size_t used = 0;
    if (kept->length == 0) {
        enum framing_result result = hand_out(data, length, &used, message, context);
        buffer_append(kept, data + used, length - used);
        return kept->failed ? FRAMING_NO_MEMORY : result;
    }
    buffer_append(kept, data, length);
    if (kept->failed)
        return FRAMING_NO_MEMORY;
    enum framing_result result = hand_out(kept->data, kept->length, &used, message, context);
    kept->length -= used;
    if (kept->length == 0)
        framing_free(framing); /* a stream that waits holds no memory */
    else if (used)
        memmove(kept->data, kept->data + used, kept->length);
    return result;
}

void framing_free(struct framing *framing)
{
    buffer_free(&framing->kept);
}

void framing_append(struct buffer *out, const uint8_t *wire, size_t length)
{
    assert(length <= UINT16_MAX);
    buffer_u16(out, (uint16_t)length);
    buffer_append(out, wire, length);
}

void framing_append_behind(struct buffer *out, size_t *written, const uint8_t *wire, size_t length)
{
    if (*written > out->length / 2) {
        out->length -= *written;
        memmove(out->data, out->data + *written, out->length);
        *written = 0;
    }
    framing_append(out, wire, length);
}
