#include "data/address_set.h"

#include "base/bytes.h"

#include <stdio.h>

enum {
    MAPPED_BITS = 96,
    MARK = 1,
    IPV6 = 256, /* beyond any length, and no first word of an IPv4 address */
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

static struct key_digest digest_of(const struct address_set *set, const struct address *address, unsigned length)
{
    struct key_hash hash = key_hash_start(&set->keys);
    uint64_t words[2];
    if (address->family == AF_INET) {
        key_hash_word(&hash, (uint64_t)length << 32 | load_u32(address->bytes));
    } else {
        memcpy(words, address->bytes, sizeof words);
        key_hash_word(&hash, length | IPV6);
        key_hash_word(&hash, words[0]);
        key_hash_word(&hash, words[1]);
    }
    return key_hash_digest(hash);
}

void address_set_init(struct address_set *set, const uint64_t secret[static 2])
{
    *set = (struct address_set){.ipv4 = {0}};
    key_set_init(&set->keys, secret);
}

enum status address_set_add(struct address_set *set, const struct set_memory *memory,
                            const struct address_prefix *prefix, bool *added)
{
    const struct key_digest digest = digest_of(set, &prefix->address, prefix->length);
    enum status status = key_set_add(&set->keys, memory, &digest, MARK, added);
    if (status)
        return status;
    uint64_t *lengths = prefix->address.family == AF_INET ? set->ipv4 : set->ipv6;
    lengths[prefix->length / 64] |= UINT64_C(1) << prefix->length % 64;
    return STATUS_OK;
}

bool address_set_remove(struct address_set *set, const struct address_prefix *prefix)
{
    const struct key_digest digest = digest_of(set, &prefix->address, prefix->length);
    return key_set_remove(&set->keys, &digest, MARK);
}

bool address_set_match(const struct address_set *set, const struct address *address, struct address_prefix *out)
{
    struct {
        struct key_digest digest;
        struct address_prefix prefix;
    } tried[ADDRESS_BITS_MAX + 1];
    struct address_prefix prefix = {.address = unmapped(address)};
    const uint64_t *lengths = prefix.address.family == AF_INET ? set->ipv4 : set->ipv6;
    size_t count = 0;
    if (set->keys.count == 0)
        return false;
    for (unsigned length = bits_of(&prefix.address) + 1; length-- > 0;) {
        if (!(lengths[length / 64] >> length % 64 & 1))
            continue;
        prefix.length = (uint8_t)length;
        clear_behind(&prefix.address, length);
        tried[count].prefix = prefix;
        tried[count].digest = digest_of(set, &prefix.address, length);
        key_set_prefetch(&set->keys, &tried[count++].digest);
    }
    for (size_t i = 0; i < count; i++) {
        if (key_set_find(&set->keys, &tried[i].digest)) {
            *out = tried[i].prefix;
            return true;
        }
    }
    return false;
}
