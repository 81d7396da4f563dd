/* What of a query its answer may depend on, as bytes. */
#include "flow/cache/cache_private.h"

enum {
    TYPE_TKEY = 249, /* to AXFR (252): what concerns one exchange of messages, or a whole zone */
    TYPE_AXFR = 252,
    WORD = sizeof(uint64_t),
};

/* The key: flags, EDNS flags, type, class, length of the options, marks, length of the name; from CACHE_KEY_NAME on the
 * name, then the options, each followed by zeros up to the next word. */
enum key_mark { MARK_OPT = 1, MARK_COOKIE = 2 };

/* A query like others: one question, and nothing else but perhaps one OPT of the root's. */
static bool is_common(const struct dns_message *query)
{
    const uint16_t *counts = query->header.counts;
    if (query->header.flags & (DNS_FLAG_QR | DNS_FLAG_OPCODE | DNS_FLAG_TC) || counts[DNS_SECTION_QUESTION] != 1 ||
        counts[DNS_SECTION_ANSWER] || counts[DNS_SECTION_AUTHORITY] || counts[DNS_SECTION_ADDITIONAL] > 1)
        return false;
    if (counts[DNS_SECTION_ADDITIONAL] && (query->opt.count != 1 || query->wire[query->opt.offset] != 0))
        return false;
    return query->opt.version == 0 && (query->question.type < TYPE_TKEY || query->question.type > TYPE_AXFR);
}

/* Appends the options that count at `length`; gives the new length, 0 when there is no room or they are malformed. */
static size_t put_options(const struct dns_message *query, uint8_t *bytes, size_t length, uint8_t *marks)
{
    struct cursor cursor = cursor_over(query->opt.options.data, query->opt.options.length);
    while (cursor_left(&cursor)) {
        const uint8_t *option = cursor.data + cursor.offset;
        uint16_t code = cursor_u16(&cursor), size = cursor_u16(&cursor);
        if (!cursor_take(&cursor, size))
            return 0;
        if (code == CACHE_OPTION_COOKIE)
            *marks |= MARK_COOKIE;
        if (code == CACHE_OPTION_COOKIE || code == CACHE_OPTION_KEEPALIVE || code == CACHE_OPTION_PADDING)
            continue;
        if (length + 4u + size > CACHE_KEY_MAX)
            return 0;
        memcpy(bytes + length, option, 4u + size);
        length += 4u + size;
    }
    return length;
}

/* Fills the last word with zeros; gives the length up to its end. */
static size_t pad(uint8_t *bytes, size_t length)
{
    size_t padded = (length + WORD - 1) & ~(size_t)(WORD - 1);
    memset(bytes + length, 0, padded - length);
    return padded;
}

/* Writes the name in lower case, a word at a time: the bytes from 'A' to 'Z' are those whose lower seven bits reach the
 * eighth when what 'A' lacks is added, but not when what follows 'Z' lacks. Gives its padded length. */
static size_t put_name(const struct dns_question *question, uint8_t *bytes)
{
    static const uint64_t ones = 0x0101010101010101, highest = 0x80 * ones;
    memcpy(bytes, question->name, question->name_length);
    size_t length = pad(bytes, question->name_length);
    for (size_t i = 0; i < length; i += WORD) {
        uint64_t word, rest;
        memcpy(&word, bytes + i, WORD);
        rest = word & ~highest;
        word |= ((rest + (0x80 - 'A') * ones) & ~(rest + (0x80 - 'Z' - 1) * ones) & ~word & highest) >> 2;
        memcpy(bytes + i, &word, WORD);
    }
    return length;
}

/* SipHash-1-3 with a key of 256 bits: nobody outside can choose queries that collide. */
static uint32_t hash_of(struct key_hash hash, const uint8_t *bytes, size_t length)
{
    for (size_t i = 0; i < length; i += WORD) {
        uint64_t word;
        memcpy(&word, bytes + i, WORD);
        key_hash_word(&hash, word);
    }
    return (uint32_t)key_hash_digest(hash).high;
}

bool cache_key_of(const struct cache *cache, const struct dns_message *query, struct cache_key *out)
{
    const struct dns_question *question = &query->question;
    uint8_t *bytes = out->bytes, marks = 0;
    if (!is_common(query))
        return false;
    store_u16(bytes, query->header.flags & (DNS_FLAG_RD | DNS_FLAG_Z));
    store_u16(bytes + 2, 0);
    store_u16(bytes + 4, question->type);
    store_u16(bytes + 6, question->class_);
    size_t name_end = CACHE_KEY_NAME + put_name(question, bytes + CACHE_KEY_NAME), length = name_end;
    if (query->opt.count) {
        marks = MARK_OPT;
        memcpy(bytes + 2, query->wire + query->opt.offset + 7, 2); /* behind root, type, size, code and version */
        length = put_options(query, bytes, length, &marks);
        if (!length)
            return false;
    }
    store_u16(bytes + 8, (uint16_t)(length - name_end));
    bytes[10] = marks;
    bytes[11] = question->name_length;
    memset(bytes + 12, 0, CACHE_KEY_NAME - 12);
    out->length = (uint16_t)pad(bytes, length);
    out->hash = hash_of(cache->seed, bytes, out->length);
    return true;
}
