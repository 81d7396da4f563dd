/* Which answers may be kept, and for how long. */
#include "flow/cache/cache_private.h"

enum { SOA_LENGTH_LEAST = 22 /* two names, of at least a byte each, and five numbers */ };

/* A record of a checked message, by place. */
struct place {
    enum dns_section section;
    uint16_t type;
    uint32_t ttl; /* as it counts */
    size_t ttl_at;
    struct span data;
};

/* Walks all records but OPT. */
struct walk {
    const struct dns_message *message;
    size_t at;
    unsigned left;
    enum dns_section section;
};

static struct walk walk_over(const struct dns_message *message)
{
    return (struct walk){.message = message,
                         .at = message->section[DNS_SECTION_ANSWER],
                         .left = message->header.counts[DNS_SECTION_ANSWER],
                         .section = DNS_SECTION_ANSWER};
}

static size_t behind_name(const uint8_t *wire, size_t at)
{
    while (wire[at] && wire[at] < 0xc0)
        at += wire[at] + 1u;
    return at + (wire[at] ? 2 : 1);
}

static bool walk_next(struct walk *walk, struct place *out)
{
    const struct dns_message *message = walk->message;
    for (;;) {
        while (walk->left == 0) {
            if (walk->section == DNS_SECTION_ADDITIONAL)
                return false;
            walk->left = message->header.counts[++walk->section];
        }
        walk->left--;
        size_t fixed = behind_name(message->wire, walk->at);
        const uint8_t *wire = message->wire + fixed;
        struct place place = {.section = walk->section, .type = load_u16(wire), .ttl_at = fixed + 4};
        place.ttl = dns_ttl_effective(place.type, load_u32(wire + 4));
        place.data = (struct span){wire + 10, load_u16(wire + 8)};
        walk->at = fixed + 10 + place.data.length;
        if (place.type == DNS_TYPE_OPT && place.section == DNS_SECTION_ADDITIONAL)
            continue;
        *out = place;
        return true;
    }
}

/* For how long an SOA in the authority section says that there is nothing. */
static bool is_negative_soa(const struct place *place, uint32_t *seconds)
{
    if (place->section != DNS_SECTION_AUTHORITY || place->type != DNS_TYPE_SOA || place->data.length < SOA_LENGTH_LEAST)
        return false;
    uint32_t minimum = dns_ttl_effective(DNS_TYPE_SOA, load_u32(place->data.data + place->data.length - 4));
    *seconds = place->ttl < minimum ? place->ttl : minimum;
    if (*seconds > CACHE_NEGATIVE_SECONDS_MAX)
        *seconds = CACHE_NEGATIVE_SECONDS_MAX;
    return true;
}

/* Whether no option makes the answer one client's. */
static bool is_for_everyone(const struct dns_message *answer)
{
    struct cursor cursor = cursor_over(answer->opt.options.data, answer->opt.options.length);
    while (cursor_left(&cursor)) {
        uint16_t code = cursor_u16(&cursor), length = cursor_u16(&cursor);
        const uint8_t *data = cursor_take(&cursor, length);
        if (!data || code == CACHE_OPTION_COOKIE)
            return false;
        if (code == CACHE_OPTION_SUBNET && (length < 4 || data[3] > 0)) /* family, source, scope */
            return false;
    }
    return true;
}

/* Whether the answer has nothing of the type that was asked for (RFC 2308 section 2). */
static bool is_negative(const struct dns_message *answer)
{
    struct walk walk = walk_over(answer);
    struct place place;
    if ((answer->header.flags & DNS_FLAG_RCODE) == DNS_RCODE_NXDOMAIN)
        return true;
    while (walk_next(&walk, &place) && place.section == DNS_SECTION_ANSWER)
        if (place.type == answer->question.type || answer->question.type == DNS_TYPE_ANY)
            return false;
    return true;
}

static uint32_t least(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

uint32_t cache_seconds(const struct dns_message *answer)
{
    uint16_t code = dns_message_response_code(answer), flags = answer->header.flags;
    if (!(flags & DNS_FLAG_QR) || flags & (DNS_FLAG_OPCODE | DNS_FLAG_TC) ||
        (code != DNS_RCODE_NOERROR && code != DNS_RCODE_NXDOMAIN) || answer->header.counts[DNS_SECTION_QUESTION] != 1 ||
        answer->opt.count > 1 || !is_for_everyone(answer))
        return 0;
    uint32_t seconds = CACHE_SECONDS_MAX, negative;
    bool has_soa = false;
    struct walk walk = walk_over(answer);
    struct place place;
    bool nothing = is_negative(answer);
    while (walk_next(&walk, &place)) {
        seconds = least(seconds, place.ttl);
        if (nothing && is_negative_soa(&place, &negative)) {
            seconds = least(seconds, negative);
            has_soa = true;
        }
    }
    return nothing && !has_soa ? 0 : seconds;
}

size_t cache_find_ttls(const struct dns_message *answer, uint16_t *out)
{
    struct walk walk = walk_over(answer);
    struct place place;
    size_t count = 0;
    while (walk_next(&walk, &place))
        out[count++] = (uint16_t)place.ttl_at;
    return count;
}

void cache_limit_soa(const struct dns_message *answer, uint8_t *wire)
{
    struct walk walk = walk_over(answer);
    struct place place;
    uint32_t seconds;
    if (!is_negative(answer))
        return;
    while (walk_next(&walk, &place))
        if (is_negative_soa(&place, &seconds))
            store_u32(wire + place.ttl_at, seconds);
}
