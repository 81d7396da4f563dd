/* What of a query its answer may depend on, as bytes. */
#include "flow/cache/cache_private.h"

enum {
    TYPE_TKEY = 249, /* to AXFR (252): what concerns one exchange of messages, or a whole zone */
    TYPE_AXFR = 252,
};

/* The key's first bytes: flags, EDNS flags, type, class, length of the options, `enum key_mark`, length of the name.
 * The name follows (CACHE_KEY_NAME), then the options, then zeros. */
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

/* SipHash-1-3 with a key of 256 bits: nobody outside can choose queries that collide. */
static uint32_t hash_of(struct key_hash hash, const uint8_t *bytes, size_t length)
{
    for (size_t i = 0; i < length; i += sizeof(uint64_t)) {
        uint64_t word;
        memcpy(&word, bytes + i, sizeof word);
        key_hash_word(&hash, word);
    }
    hash.v[2] ^= 0xff;
    for (unsigned i = 0; i < 3; i++)
        key_hash_round(&hash);
    uint64_t result = hash.v[0] ^ hash.v[1] ^ hash.v[2] ^ hash.v[3];
    return (uint32_t)(result ^ result >> 32);
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
    for (size_t i = 0; i < question->name_length; i++)
        bytes[CACHE_KEY_NAME + i] = dns_lower(question->name[i]);
    size_t name_end = CACHE_KEY_NAME + question->name_length, length = name_end;
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
    out->length = (uint16_t)((length + 7) & ~(size_t)7);
    memset(bytes + length, 0, out->length - length);
    out->hash = hash_of(cache->seed, bytes, out->length);
    return true;
}
