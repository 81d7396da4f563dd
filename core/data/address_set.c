#include "data/address_set.h"

#include "base/bytes.h"

#include <stdio.h>

enum {
    MAPPED_BITS = 96,
    MARK = 1,
};

static const uint8_t mapped_prefix[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff}; /* RFC 4291 section 2.5.5.2 */

/* --- prefixes --- */

static unsigned bits_of(const struct address *address)
{
    return address->family == AF_INET ? 32 : ADDRESS_BITS_MAX;
}

static void clear_behind(struct address *address, unsigned length)
{
    for (unsigned i = 0; i < bits_of(address) / 8; i++) {
        const unsigned kept = length > i * 8 ? length - i * 8 : 0;
        if (kept < 8)
            address->bytes[i] &= (uint8_t)(0xff00u >> kept);
    }
}

/* The IPv4 address inside an IPv6 address, or the address as it is; without port and scope. */
static struct address unmapped(const struct address *address)
{
    struct address out = {.family = address->family};
    if (address->family == AF_INET6 && memcmp(address->bytes, mapped_prefix, sizeof mapped_prefix) == 0) {
        out.family = AF_INET;
        memcpy(out.bytes, address->bytes + sizeof mapped_prefix, 4);
    } else {
        memcpy(out.bytes, address->bytes, bits_of(address) / 8);
    }
    return out;
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
    if (bits >= MAPPED_BITS || address.family == AF_INET) {
        const struct address inner = unmapped(&address);
        if (inner.family != address.family)
            bits -= MAPPED_BITS;
        address = inner;
    }
    clear_behind(&address, bits);
    *out = (struct address_prefix){address, (uint8_t)bits};
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

/* --- the set --- */

/* What a prefix is hashed as: its bits with a one behind them, in as few words as hold that. The kinds, which no words
 * tell apart, begin from states of their own, as SipHash's kinds do. */
enum kind {
    KIND_IPV4 = 1,  /* one word */
    KIND_SHORT = 2, /* of IPv6, below 64 bits: one word */
    KIND_LONG = 4,  /* of IPv6, from 64 bits on: two words */
    KIND_WHOLE = 8, /* an IPv6 address: two words, with no room for the one */
};

/* An address, ready for its prefixes to be looked up. */
struct bits {
    bool is_ipv4;
    uint64_t words[2];                /* the first bit is the highest; IPv4 has 32 */
    struct key_hash starts[3], whole; /* by kind, of what all prefixes of the kind have in common */
};

static uint64_t load_word(const uint8_t *at)
{
    return (uint64_t)load_u32(at) << 32 | load_u32(at + 4);
}

static struct key_hash start_kind(const struct address_set *set, enum kind kind)
{
    struct key_hash hash = key_hash_start(&set->keys);
    hash.v[1] ^= kind;
    return hash;
}

static struct bits bits_from(const struct address_set *set, const struct address *address)
{
    struct bits out = {.is_ipv4 = address->family == AF_INET};
    if (out.is_ipv4) {
        out.words[0] = (uint64_t)load_u32(address->bytes) << 32;
        out.starts[0] = start_kind(set, KIND_IPV4);
        return out;
    }
    out.words[0] = load_word(address->bytes);
    out.words[1] = load_word(address->bytes + 8);
    out.starts[1] = start_kind(set, KIND_SHORT);
    out.starts[2] = start_kind(set, KIND_LONG);
    out.whole = start_kind(set, KIND_WHOLE);
    key_hash_word(&out.starts[2], out.words[0]);
    key_hash_word(&out.whole, out.words[0]);
    return out;
}

/* The first `length` bits, of at most 63, and a one. */
static uint64_t mark_end(uint64_t word, unsigned length)
{
    const uint64_t one = UINT64_C(1) << (63 - length);
    return (word & ~(one * 2 - 1)) | one;
}

static struct key_digest digest_of(const struct bits *bits, unsigned length)
{
    struct key_hash hash = bits->is_ipv4 ? bits->starts[0] : bits->starts[length < 64 ? 1 : 2];
    if (length == ADDRESS_BITS_MAX) {
        hash = bits->whole;
        key_hash_word(&hash, bits->words[1]);
    } else {
        key_hash_word(&hash, mark_end(bits->words[length / 64], length % 64));
    }
    return key_hash_digest(hash);
}

static struct key_digest digest_of_prefix(const struct address_set *set, const struct address_prefix *prefix)
{
    const struct bits bits = bits_from(set, &prefix->address);
    return digest_of(&bits, prefix->length);
}

void address_set_init(struct address_set *set, const uint64_t secret[static 2])
{
    *set = (struct address_set){.ipv4 = {0}};
    key_set_init(&set->keys, secret);
}

enum status address_set_add(struct address_set *set, const struct set_memory *memory,
                            const struct address_prefix *prefix, bool *added)
{
    const struct key_digest digest = digest_of_prefix(set, prefix);
    enum status status = key_set_add(&set->keys, memory, &digest, MARK, added);
    if (status)
        return status;
    uint64_t *lengths = prefix->address.family == AF_INET ? set->ipv4 : set->ipv6;
    lengths[prefix->length / 64] |= UINT64_C(1) << prefix->length % 64;
    return STATUS_OK;
}

bool address_set_remove(struct address_set *set, const struct address_prefix *prefix)
{
    const struct key_digest digest = digest_of_prefix(set, prefix);
    return key_set_remove(&set->keys, &digest, MARK);
}

bool address_set_match(const struct address_set *set, const struct address *address, struct address_prefix *out)
{
    struct {
        struct key_digest digest;
        unsigned length;
    } tried[ADDRESS_BITS_MAX + 1];
    struct address_prefix prefix = {.address = unmapped(address)};
    const struct bits bits = bits_from(set, &prefix.address);
    const uint64_t *lengths = bits.is_ipv4 ? set->ipv4 : set->ipv6;
    size_t count = 0;
    if (set->keys.count == 0)
        return false;
    for (unsigned word = bits.is_ipv4 ? 1 : 3; word-- > 0;) {
        for (uint64_t left = lengths[word]; left != 0; count++) {
            const unsigned bit = 63 - (unsigned)__builtin_clzll(left);
            left ^= UINT64_C(1) << bit;
            tried[count].length = word * 64 + bit;
            tried[count].digest = digest_of(&bits, tried[count].length);
            key_set_prefetch(&set->keys, &tried[count].digest);
        }
    }
    for (size_t i = 0; i < count; i++) {
        if (key_set_find(&set->keys, &tried[i].digest)) {
            prefix.length = (uint8_t)tried[i].length;
            clear_behind(&prefix.address, tried[i].length);
            *out = prefix;
            return true;
        }
    }
    return false;
}
