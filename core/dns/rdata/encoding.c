#include "dns/rdata/encoding.h"

static const char hex_digits[] = "0123456789abcdef";
static const char base64_digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
static const char base32hex_digits[] = "0123456789abcdefghijklmnopqrstuv";

void dns_hex_write(const uint8_t *data, size_t length, struct buffer *out)
{
    if (!buffer_reserve(out, 2 * length))
        return;
    for (size_t i = 0; i < length; i++) {
        out->data[out->length++] = (uint8_t)hex_digits[data[i] >> 4];
        out->data[out->length++] = (uint8_t)hex_digits[data[i] & 15];
    }
}

/* Appends groups of `bits` bits as digits; the last one is filled up with zeros. */
static void write_digits(const uint8_t *data, size_t length, unsigned bits, const char *digits, struct buffer *out)
{
    if (!buffer_reserve(out, length * 8 / bits + 1))
        return;
    uint32_t held = 0;
    unsigned held_bits = 0;
    for (size_t i = 0; i < length; i++) {
        held = (held << 8 | data[i]) & 0xffff;
        for (held_bits += 8; held_bits >= bits; held_bits -= bits)
            out->data[out->length++] = (uint8_t)digits[held >> (held_bits - bits) & ((1U << bits) - 1)];
    }
    if (held_bits > 0)
        out->data[out->length++] = (uint8_t)digits[held << (bits - held_bits) & ((1U << bits) - 1)];
}

void dns_base64_write(const uint8_t *data, size_t length, struct buffer *out)
{
    write_digits(data, length, 6, base64_digits, out);
    if (length % 3)
        buffer_append(out, "==", 3 - length % 3);
}

void dns_base32hex_write(const uint8_t *data, size_t length, struct buffer *out)
{
    write_digits(data, length, 5, base32hex_digits, out);
}

/* Whether the bits behind the last whole byte are zero, as they must be (RFC 4648 section 3.5). */
static bool are_clear(uint32_t held, unsigned held_bits)
{
    return (held & ((1U << held_bits) - 1)) == 0;
}

/* The value of a digit, or -1. */
static int digit_value(const char *digits, size_t count, uint8_t byte)
{
    const char *at = byte ? memchr(digits, byte, count) : NULL;
    return at ? (int)(at - digits) : -1;
}

static uint8_t lower(uint8_t byte)
{
    return byte >= 'A' && byte <= 'Z' ? (uint8_t)(byte + 32) : byte;
}

enum status dns_hex_read(uint8_t *text, size_t *length)
{
    if (*length % 2)
        return STATUS_MALFORMED;
    for (size_t i = 0; i < *length; i += 2) {
        int high = digit_value(hex_digits, 16, lower(text[i])), low = digit_value(hex_digits, 16, lower(text[i + 1]));
        if (high < 0 || low < 0)
            return STATUS_MALFORMED;
        text[i / 2] = (uint8_t)(high << 4 | low);
    }
    *length /= 2;
    return STATUS_OK;
}

enum status dns_base64_read(uint8_t *text, size_t *length)
{
    size_t count = *length, made = 0;
    if (count % 4)
        return STATUS_MALFORMED;
    if (count && text[count - 1] == '=')
        count -= text[count - 2] == '=' ? 2 : 1;
    uint32_t held = 0;
    unsigned held_bits = 0;
    for (size_t i = 0; i < count; i++) {
        int value = digit_value(base64_digits, 64, text[i]);
        if (value < 0)
            return STATUS_MALFORMED;
        held = (held << 6 | (uint32_t)value) & 0xffff;
        held_bits += 6;
        if (held_bits >= 8) {
            held_bits -= 8;
            text[made++] = (uint8_t)(held >> held_bits);
        }
    }
    if (!are_clear(held, held_bits))
        return STATUS_MALFORMED;
    *length = made;
    return STATUS_OK;
}

enum status dns_base32hex_read(uint8_t *text, size_t *length)
{
    size_t made = 0;
    uint32_t held = 0;
    unsigned held_bits = 0;
    for (size_t i = 0; i < *length; i++) {
        int value = digit_value(base32hex_digits, 32, lower(text[i]));
        if (value < 0)
            return STATUS_MALFORMED;
        held = (held << 5 | (uint32_t)value) & 0xffff;
        held_bits += 5;
        if (held_bits >= 8) {
            held_bits -= 8;
            text[made++] = (uint8_t)(held >> held_bits);
        }
    }
    if (held_bits >= 5 || !are_clear(held, held_bits))
        return STATUS_MALFORMED;
    *length = made;
    return STATUS_OK;
}
