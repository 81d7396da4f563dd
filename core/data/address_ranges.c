#include "data/address_ranges.h"

#include <assert.h>
#include <stdlib.h>

enum { WORD_BITS = 64, IPV4_BITS = 32, MAPPED_BITS = 96, RANGES_AT_ONCE = 32 };

static const uint64_t mapped = 0xffff00000000; /* ::ffff:0:0/96 (RFC 4291 section 2.5.5.2), its lower half */

static uint64_t load(const uint8_t *bytes, size_t length)
{
    uint64_t word = 0;
    for (size_t i = 0; i < length; i++)
        word = word << 8 | bytes[i];
    return word;
}

static void load_bits(const uint8_t *bytes, size_t length, uint64_t out[static 2])
{
    out[0] = length == 4 ? 0 : load(bytes, 8);
    out[1] = length == 4 ? mapped | load(bytes, 4) : load(bytes + 8, 8);
}

static uint64_t mask_of(unsigned length)
{
    return length == 0 ? 0 : length >= WORD_BITS ? UINT64_MAX : UINT64_MAX << (WORD_BITS - length);
}

static struct address_range range_of(const struct address_prefix *prefix)
{
    struct address_range range;
    const bool ipv4 = prefix->address.family == AF_INET;
    const unsigned length = prefix->length + (ipv4 ? MAPPED_BITS : 0u);
    load_bits(prefix->address.bytes, ipv4 ? 4 : 16, range.bits);
    range.mask[0] = mask_of(length);
    range.mask[1] = mask_of(length > WORD_BITS ? length - WORD_BITS : 0);
    range.bits[0] &= range.mask[0];
    range.bits[1] &= range.mask[1];
    return range;
}

enum status address_ranges_set(struct address_ranges *ranges, const struct address_prefix *prefixes, size_t count)
{
    struct address_range *items = calloc(count + 1, sizeof *items);
    if (!items)
        return STATUS_NO_MEMORY;
    for (size_t i = 0; i < count; i++)
        items[i] = range_of(&prefixes[i]);
    address_ranges_free(ranges);
    *ranges = (struct address_ranges){items, count};
    return STATUS_OK;
}

enum status address_ranges_set_texts(struct address_ranges *ranges, const char *const *texts, size_t count)
{
    struct address_prefix prefixes[RANGES_AT_ONCE];
    assert(count <= RANGES_AT_ONCE);
    for (size_t i = 0; i < count; i++)
        if (address_prefix_from_text(texts[i], strlen(texts[i]), &prefixes[i], NULL))
            return STATUS_INVALID;
    return address_ranges_set(ranges, prefixes, count);
}

void address_ranges_free(struct address_ranges *ranges)
{
    free(ranges->items);
    *ranges = (struct address_ranges){0};
}

/* IPv4 addresses lie in no prefix of IPv6 that is shorter than the one they are written under: ::/0 has none of them.
 */
static bool match(const struct address_ranges *ranges, const uint64_t bits[static 2])
{
    const bool ipv4 = bits[0] == 0 && (bits[1] & ~(uint64_t)UINT32_MAX) == mapped;
    const uint64_t least = ipv4 ? ~(uint64_t)UINT32_MAX : 0;
    for (size_t i = 0; i < ranges->count; i++) {
        const struct address_range *range = &ranges->items[i];
        if (range->mask[1] >= least && (bits[1] & range->mask[1]) == range->bits[1] &&
            (bits[0] & range->mask[0]) == range->bits[0])
            return true;
    }
    return false;
}

bool address_ranges_match(const struct address_ranges *ranges, const struct address *address)
{
    uint64_t bits[2];
    load_bits(address->bytes, address->family == AF_INET ? 4 : 16, bits);
    return match(ranges, bits);
}

bool address_ranges_match_bytes(const struct address_ranges *ranges, const uint8_t *bytes, size_t length)
{
    uint64_t bits[2];
    load_bits(bytes, length, bits);
    return match(ranges, bits);
}
