/* A stream cut anywhere, with pauses, gives the same messages as the stream in one piece. The first byte seeds the
 * cuts. */
#include "messages.h"

#include "net/framing.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct taken {
    struct buffer bytes; /* the messages with their lengths */
    unsigned count, pause_every;
};

static bool take(void *context, const uint8_t *wire, size_t length)
{
    struct taken *taken = context;
    MUST(length > 0 && length <= UINT16_MAX);
    framing_append(&taken->bytes, wire, length);
    taken->count++;
    return taken->pause_every == 0 || taken->count % taken->pause_every != 0;
}

/* Feeds the stream in pieces of sizes that the seed makes; false once an empty message came. */
static bool feed(const uint8_t *data, size_t size, unsigned seed, struct taken *taken)
{
    struct framing framing = {0};
    enum framing_result result = FRAMING_MORE;
    for (size_t at = 0; at < size && result != FRAMING_EMPTY;) {
        seed = seed * 1103515245u + 12345u;
        size_t piece = taken->pause_every ? 1 + (seed >> 16) % 300 : size;
        if (piece > size - at)
            piece = size - at;
        result = framing_feed(&framing, data + at, piece, take, taken);
        while (result == FRAMING_PAUSED)
            result = framing_feed(&framing, data, 0, take, taken);
        at += piece;
    }
    framing_free(&framing);
    return result != FRAMING_EMPTY;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1)
        return 0;
    struct taken whole = {0}, cut = {.pause_every = 1 + data[0] % 7};
    const bool whole_open = feed(data + 1, size - 1, 0, &whole);
    const bool cut_open = feed(data + 1, size - 1, data[0], &cut);
    MUST(whole_open == cut_open);
    MUST(whole.count == cut.count);
    MUST(whole.bytes.length == cut.bytes.length);
    if (whole.bytes.length) {
        MUST(!memcmp(whole.bytes.data, cut.bytes.data, whole.bytes.length));
        MUST(whole.bytes.length <= size - 1 && !memcmp(whole.bytes.data, data + 1, whole.bytes.length));
    }
    buffer_free(&whole.bytes);
    buffer_free(&cut.bytes);
    return 0;
}
