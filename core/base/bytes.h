/* Reading and writing bytes within bounds: a cursor that reads, a buffer that grows. Both keep the first failure
 * (sticky), so that a whole structure is read or written and then checked once. Numbers are in network byte order. */
#ifndef MOONDNS_BASE_BYTES_H
#define MOONDNS_BASE_BYTES_H

#include "base/status.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

/* Bytes that somebody else owns. */
struct span {
    const uint8_t *data;
    size_t length;
};

static inline uint16_t load_u16(const uint8_t *at)
{
    return (uint16_t)(at[0] << 8 | at[1]);
}

static inline uint32_t load_u32(const uint8_t *at)
{
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

static inline void store_u16(uint8_t *at, uint16_t value)
{
    at[0] = (uint8_t)(value >> 8);
    at[1] = (uint8_t)value;
}

static inline void store_u32(uint8_t *at, uint32_t value)
{
    store_u16(at, (uint16_t)(value >> 16));
    store_u16(at + 2, (uint16_t)value);
}

/* --- cursor: borrows `data`; a read past the end fails it, and every read after that gives zeros --- */
struct cursor {
    const uint8_t *data;
    size_t length, offset;
    bool failed;
};

static inline struct cursor cursor_over(const uint8_t *data, size_t length)
{
    return (struct cursor){.data = data, .length = length};
}

static inline size_t cursor_left(const struct cursor *cursor)
{
    return cursor->failed ? 0 : cursor->length - cursor->offset;
}

/* The next `length` bytes, borrowed; NULL when there are not that many. */
static inline const uint8_t *cursor_take(struct cursor *cursor, size_t length)
{
    if (cursor->failed || cursor->length - cursor->offset < length) {
        cursor->failed = true;
        return NULL;
    }
    const uint8_t *at = cursor->data + cursor->offset;
    cursor->offset += length;
    return at;
}

static inline uint8_t cursor_u8(struct cursor *cursor)
{
    const uint8_t *at = cursor_take(cursor, 1);
    return at ? at[0] : 0;
}

static inline uint16_t cursor_u16(struct cursor *cursor)
{
    const uint8_t *at = cursor_take(cursor, 2);
    return at ? load_u16(at) : 0;
}

static inline uint32_t cursor_u32(struct cursor *cursor)
{
    const uint8_t *at = cursor_take(cursor, 4);
    return at ? load_u32(at) : 0;
}

/* --- buffer: owns `data` (heap); all zeros is a valid empty buffer --- */
struct buffer {
    uint8_t *data;
    size_t length, capacity;
    bool failed; /* an allocation failed; everything after it was dropped */
};

/* The same as buffer_reserve where there is no room yet. */
bool buffer_grow(struct buffer *buffer, size_t more);

/* Makes room for `more` bytes behind `length`. False (and sticky failure) when there is no memory. */
static inline bool buffer_reserve(struct buffer *buffer, size_t more)
{
    return (buffer->capacity - buffer->length >= more && !buffer->failed) || buffer_grow(buffer, more);
}

/* Frees the bytes; the buffer is empty and usable again. */
void buffer_free(struct buffer *buffer);

/* Empties the buffer and clears its failure, keeping its memory. */
static inline void buffer_clear(struct buffer *buffer)
{
    buffer->length = 0;
    buffer->failed = false;
}

static inline void buffer_append(struct buffer *buffer, const void *data, size_t length)
{
    if (length == 0 || !buffer_reserve(buffer, length))
        return;
    memcpy(buffer->data + buffer->length, data, length);
    buffer->length += length;
}

static inline void buffer_u8(struct buffer *buffer, uint8_t value)
{
    if (buffer_reserve(buffer, 1))
        buffer->data[buffer->length++] = value;
}

static inline void buffer_u16(struct buffer *buffer, uint16_t value)
{
    if (!buffer_reserve(buffer, 2))
        return;
    store_u16(buffer->data + buffer->length, value);
    buffer->length += 2;
}

static inline void buffer_u32(struct buffer *buffer, uint32_t value)
{
    if (!buffer_reserve(buffer, 4))
        return;
    store_u32(buffer->data + buffer->length, value);
    buffer->length += 4;
}

static inline void buffer_text(struct buffer *buffer, const char *text)
{
    buffer_append(buffer, text, strlen(text));
}

void buffer_format(struct buffer *buffer, const char *format, ...) PRINTF_LIKE(2, 3);

/* Puts a NUL behind the last byte, not counted in `length`, and gives the text; NULL after a failure. */
const char *buffer_c_string(struct buffer *buffer);

/* STATUS_OK, or STATUS_NO_MEMORY when an append failed. */
static inline MUST_CHECK enum status buffer_status(const struct buffer *buffer)
{
    return buffer->failed ? STATUS_NO_MEMORY : STATUS_OK;
}

#endif
