#include "data/address_set.h"

#include "base/bytes.h"

#include <stdio.h>

enum {
    MAPPED_BITS = 96,
    MAPPED_WORD = 0xffff, /* the third of an IPv4 address in IPv6 (RFC 4291 section 2.5.5.2) */
    STRIDE = 5,           /* lengths that share a key: a level */
    LEVELS = ADDRESS_BITS_MAX / STRIDE + 1,
    FEW_LEVELS = 8,
    WORD_BITS = 64,
};

/* --- prefixes --- */

/* The bits of an address, the first the highest. */
struct bits {
    uint64_t words[2];
    bool is_ipv4; /* 32 of them */
};

static uint64_t load_word(const uint8_t *at)
{
    return (uint64_t)load_u32(at) << 32 | load_u32(at + 4);
}

static inline struct bits bits_from(const struct address *address)
{
    if (address->family == AF_INET)
        return (struct bits){{(uint64_t)load_u32(address->bytes) << 32, 0}, true};
    const uint64_t first = load_word(address->bytes), second = load_word(address->bytes + 8);
    if (first == 0 && second >> 32 == MAPPED_WORD)
        return (struct bits){{second << 32, 0}, true};
    return (struct bits){{first, second}, false};
}

/* The prefix of the first `length` bits. */
static struct address_prefix prefix_from(const struct bits *bits, unsigned length)
{
    struct address_prefix out = {.address.family = bits->is_ipv4 ? AF_INET : AF_INET6, .length = (uint8_t)length};
    for (unsigned i = 0; i * 32 < length; i++) {
        const uint32_t word = (uint32_t)(bits->words[i / 2] >> (i % 2 ? 0 : 32)), left = length - i * 32;
        store_u32(out.address.bytes + i * 4, left < 32 ? word & ~(UINT32_MAX >> left) : word);
    }
    return out;
}

static unsigned bits_of(const struct address *address)
{
    return address->family == AF_INET ? 32 : ADDRESS_BITS_MAX;
}

static bool length_from_text(const char *text, const char *end, unsigned most, unsigned *out)
{
    unsigned value = 0;
    if (text == end || end - text > 3)
        return false;
    for (; text < end; text++) {
        if (*text < '0' || *text > '9')
            return false;
        value = value * 10 + (unsigned)(*text - '0');
    }
    *out = value;
    return value <= most;
}

enum status address_prefix_from_text(const char *text, size_t length, struct address_prefix *out, struct reason *reason)
{
    struct address address;
    const char *slash = memchr(text, '/', length), *end = text + length;
    const size_t ip_length = slash ? (size_t)(slash - text) : length;
    if (memchr(text, '%', ip_length) || address_from_ip(text, ip_length, &address)) {
        reason_set(reason, "IP address or prefix expected, got '%.*s'", (int)(length < 64 ? length : 64), text);
        return STATUS_INVALID;
    }
    unsigned bits = bits_of(&address);
    if (slash && !length_from_text(slash + 1, end, bits, &bits)) {
        reason_set(reason, "prefix length from 0 to %u expected, got '%.*s'", bits_of(&address),
                   (int)(end - slash < 16 ? end - slash - 1 : 16), slash + 1);
        return STATUS_INVALID;
    }
    const struct bits words = bits_from(&address),
                      whole = {{load_word(address.bytes), load_word(address.bytes + 8)}, false};
    const bool inside = words.is_ipv4 && address.family == AF_INET6;
    if (inside && bits >= MAPPED_BITS)
        *out = prefix_from(&words, bits - MAPPED_BITS);
    else
        *out = prefix_from(inside ? &whole : &words, bits);
    return STATUS_OK;
}

const char *address_prefix_text(const struct address_prefix *prefix, char out[static ADDRESS_PREFIX_TEXT_MAX])
{
    address_ip_text(&prefix->address, out);
    if (!address_prefix_is_single(prefix)) {
        const size_t length = strlen(out);
        snprintf(out + length, ADDRESS_PREFIX_TEXT_MAX - length, "/%u", prefix->length);
    }
    return out;
}

bool address_prefix_is_single(const struct address_prefix *prefix)
{
    return prefix->length == bits_of(&prefix->address);
}

/* --- keys --- */

/* The first `length` bits, of at most 63, and a one. */
static inline uint64_t mark_end(uint64_t word, unsigned length)
{
    const uint64_t one = UINT64_C(1) << (WORD_BITS - 1 - length);
    return (word & ~(one * 2 - 1)) | one;
}

/* The product of two words, as two words. */
static inline void multiply(uint64_t a, uint64_t b, uint64_t *high, uint64_t *low)
{
#ifdef __SIZEOF_INT128__
    __extension__ const unsigned __int128 product = (unsigned __int128)a * b;
    *high = (uint64_t)(product >> 64);
    *low = (uint64_t)product;
#else
    const uint64_t half = UINT32_MAX, b_low = b & half, b_high = b >> 32;
    const uint64_t first = (a & half) * b_low, second = (a >> 32) * b_low + (first >> 32);
    const uint64_t third = (a & half) * b_high + (second & half);
    *high = (a >> 32) * b_high + (second >> 32) + (third >> 32);
    *low = third << 32 | (first & half);
#endif
}

/* The digest of a level's key. What is hashed are its bits with a one behind them, as two words. The product of their
 * sums with the secret's words is a universal hash (UMAC's NH, RFC 4418 section 5.2.2), which is then spread over the
 * digest. */
static inline struct key_digest digest_level(const struct key_set *keys, const struct bits *bits, unsigned level)
{
    const unsigned length = level * STRIDE;
    uint64_t first = bits->words[0], second = bits->is_ipv4, high, low;
    if (length < WORD_BITS)
        first = mark_end(first, length);
    else
        second = mark_end(bits->words[1], length - WORD_BITS);
    multiply(first + keys->secret[0], second + (keys->secret[1] | 1), &high, &low);
    const uint64_t mixed = (high ^ low) * UINT64_C(0x9e3779b97f4a7c15);
    return (struct key_digest){mixed ^ mixed >> 32, (uint32_t)(low >> 32)};
}

/* The four bits behind a level's key; zeros behind the address. */
static unsigned bits_behind(const struct bits *bits, unsigned level)
{
    const unsigned length = level * STRIDE;
    return (unsigned)(bits->words[length / WORD_BITS] << length % WORD_BITS >> (WORD_BITS - STRIDE + 1));
}

/* The mark of the prefix that has `more` bits (at most four) behind the key's: those bits as a number behind a one. */
static uint32_t mark_of(unsigned behind, unsigned more)
{
    return UINT32_C(1) << (1u << more | behind >> (STRIDE - 1 - more));
}

/* The marks of all prefixes that an address with these bits behind the key's lies in. */
static uint32_t marks_around(unsigned behind)
{
    return mark_of(behind, 0) | mark_of(behind, 1) | mark_of(behind, 2) | mark_of(behind, 3) | mark_of(behind, 4);
}

/* How many bits the longest of the prefixes with these marks has behind the key's; there is one. */
static unsigned longest_in(uint32_t marks)
{
    const unsigned last = 31 - (unsigned)__builtin_clz(marks);
    return 31 - (unsigned)__builtin_clz(last);
}

/* --- the set --- */

void address_set_init(struct address_set *set, const uint64_t secret[static 2])
{
    *set = (struct address_set){.count = 0};
    key_set_init(&set->keys, secret);
}

/* Where a prefix is in the set. */
struct place {
    struct key_digest digest;
    uint32_t mark;
    unsigned level;
    bool is_ipv4;
};

static struct place place_of(const struct address_set *set, const struct address_prefix *prefix)
{
    const struct bits bits = bits_from(&prefix->address);
    const unsigned level = prefix->length / STRIDE;
    return (struct place){digest_level(&set->keys, &bits, level),
                          mark_of(bits_behind(&bits, level), prefix->length % STRIDE), level, bits.is_ipv4};
}

enum status address_set_add(struct address_set *set, const struct set_memory *memory,
                            const struct address_prefix *prefix, bool *added)
{
    const struct place place = place_of(set, prefix);
    enum status status = key_set_add(&set->keys, memory, &place.digest, place.mark, added);
    if (status)
        return status;
    *(place.is_ipv4 ? &set->ipv4 : &set->ipv6) |= UINT32_C(1) << place.level;
    set->count += *added;
    return STATUS_OK;
}

bool address_set_remove(struct address_set *set, const struct address_prefix *prefix)
{
    const struct place place = place_of(set, prefix);
    const bool removed = key_set_remove(&set->keys, &place.digest, place.mark);
    set->count -= removed;
    return removed;
}

/* --- matching --- */

/* A key around an address. */
struct candidate {
    struct key_digest digest;
    unsigned level;
};

/* The keys around the address that the filter lets through, the shortest first. All of a step's memory is fetched at
 * once; of few levels, that of both steps. */
static inline size_t find_candidates(const struct address_set *set, const struct bits *bits,
                                     struct candidate out[static LEVELS])
{
    const struct key_set keys = set->keys;
    const uint32_t levels = bits->is_ipv4 ? set->ipv4 : set->ipv6;
    const bool few = __builtin_popcount(levels) <= FEW_LEVELS;
    size_t tried = 0, count = 0;
    for (uint32_t left = levels; left; left &= left - 1, tried++) {
        const unsigned level = (unsigned)__builtin_ctz(left);
        out[tried] = (struct candidate){digest_level(&keys, bits, level), level};
        key_set_prefetch_filter(&keys, &out[tried].digest);
        if (few)
            key_set_prefetch_slot(&keys, &out[tried].digest);
    }
    for (size_t i = 0; i < tried; i++) {
        if (__builtin_expect(!key_set_may_have(&keys, &out[i].digest), true))
            continue;
        key_set_prefetch_slot(&keys, &out[i].digest);
        out[count++] = out[i];
    }
    return count;
}

bool address_set_match(const struct address_set *set, const struct address *address, struct address_prefix *out)
{
    struct candidate candidates[LEVELS];
    if (set->count == 0)
        return false;
    const struct bits bits = bits_from(address);
    for (size_t left = find_candidates(set, &bits, candidates); left-- > 0;) {
        const unsigned level = candidates[left].level;
        const uint32_t marks =
            key_set_marks(&set->keys, &candidates[left].digest) & marks_around(bits_behind(&bits, level));
        if (marks == 0)
            continue;
        *out = prefix_from(&bits, level * STRIDE + longest_in(marks));
        return true;
    }
    return false;
}
