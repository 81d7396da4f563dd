/* Messages on a stream: each behind its length in two bytes (RFC 1035 section 4.2.2, RFC 7766 section 8). */
#ifndef MOONDNS_NET_FRAMING_H
#define MOONDNS_NET_FRAMING_H

#include "base/bytes.h"

/* What came and was not used yet. All zeros: nothing. */
struct framing {
    struct buffer kept;
};

enum framing_result {
    FRAMING_MORE,   /* all whole messages were handed out */
    FRAMING_PAUSED, /* the receiver wants no more; the rest is kept */
    FRAMING_EMPTY,  /* a message of length zero: the stream is to be closed */
    FRAMING_NO_MEMORY,
};

/* Hands each whole message in what was kept and in `data` to `message`, borrowed for the call; it says whether it takes
 * another one. What is left is kept. With no data it goes on after a pause. */
enum framing_result framing_feed(struct framing *framing, const uint8_t *data, size_t length,
                                 bool (*message)(void *context, const uint8_t *wire, size_t length), void *context);

/* Whether a message has begun and is not whole (or waits after a pause). */
static inline bool framing_holds(const struct framing *framing)
{
    return framing->kept.length > 0;
}

void framing_free(struct framing *framing);

/* Appends the message with its length. It is at most 65535 bytes. */
void framing_append(struct buffer *out, const uint8_t *wire, size_t length);

/* The same to output of which the first `*written` bytes are done with: once they are the larger part, they make room.
 */
void framing_append_behind(struct buffer *out, size_t *written, const uint8_t *wire, size_t length);

#endif
