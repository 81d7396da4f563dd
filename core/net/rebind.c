#include "net/rebind.h"

#include <stdlib.h>

enum { SVCB_IPV4_HINT = 4, SVCB_IPV6_HINT = 6 /* RFC 9460 section 7.3 */ };

/* Networks that the public DNS has no business to point to: RFC 6890, RFC 4193, IPv4-compatible and site-local
 * addresses (RFC 4291), and the prefix of a network's own NAT64 (RFC 8215), of which only that network knows where the
 * IPv4 address stands. */
static const char *const private_networks[] = {
    "0.0.0.0/8",     "10.0.0.0/8",     "100.64.0.0/10",  "127.0.0.0/8",   "169.254.0.0/16",
    "172.16.0.0/12", "192.0.0.0/24",   "192.168.0.0/16", "198.18.0.0/15", "240.0.0.0/4",
    "::/96",         "64:ff9b:1::/48", "fc00::/7",       "fe80::/10",     "fec0::/10",
};

/* IPv6 addresses that lead to the IPv4 address inside of them. */
static const struct carrier {
    uint8_t prefix[12];
    size_t length, ipv4_at; /* bytes */
} carriers[] = {
    {{0x00, 0x64, 0xff, 0x9b}, 12, 12}, /* NAT64: RFC 6052 */
    {{0x20, 0x02}, 2, 2},               /* 6to4: RFC 3056 */
};

/* Whose addresses, of 192.0.0.0/24, tell hosts the prefix of their NAT64 (RFC 7050); or are behind that prefix. */
static const char nat64_discovery[] = "ipv4only.arpa";

enum status rebind_new(const struct dns_name *allowed, size_t count, struct rebind **out)
{
    struct rebind *rebind = calloc(1, sizeof *rebind);
    if (!rebind)
        return STATUS_NO_MEMORY;
    rebind->allowed = calloc(count + 1, sizeof *rebind->allowed);
    enum status status = rebind->allowed ? STATUS_OK : STATUS_NO_MEMORY;
    if (!status)
        status = address_ranges_set_texts(&rebind->private, private_networks,
                                          sizeof private_networks / sizeof *private_networks);
    if (!status)
        status = dns_name_from_text(nat64_discovery, sizeof nat64_discovery - 1, &rebind->allowed[count], NULL);
    if (status) {
        rebind_free(rebind);
        return status;
    }
    if (count)
        memcpy(rebind->allowed, allowed, count * sizeof *allowed);
    rebind->allowed_count = count + 1;
    *out = rebind;
    return STATUS_OK;
}

void rebind_free(struct rebind *rebind)
{
    if (!rebind)
        return;
    address_ranges_free(&rebind->private);
    buffer_free(&rebind->expanded);
    free(rebind->allowed);
    free(rebind);
}

static bool is_private(const struct rebind *rebind, const uint8_t *bytes, size_t size)
{
    if (address_ranges_match_bytes(&rebind->private, bytes, size))
        return true;
    for (size_t i = 0; size == 16 && i < sizeof carriers / sizeof *carriers; i++)
        if (!memcmp(bytes, carriers[i].prefix, carriers[i].length))
            return address_ranges_match_bytes(&rebind->private, bytes + carriers[i].ipv4_at, 4);
    return false;
}

/* Looks at addresses that stand one behind the other. */
static bool find_among(const struct rebind *rebind, const uint8_t *bytes, size_t length, size_t size,
                       struct address *out)
{
    for (size_t at = 0; at + size <= length; at += size) {
        if (!is_private(rebind, bytes + at, size))
            continue;
        *out = (struct address){.family = size == 4 ? AF_INET : AF_INET6};
        memcpy(out->bytes, bytes + at, size);
        return true;
    }
    return false;
}

/* RFC 9460 section 2.2: a priority, a name, parameters with key and length. */
static bool find_in_hints(const struct rebind *rebind, const uint8_t *data, size_t length, struct address *out)
{
    struct cursor cursor = cursor_over(data, length);
    (void)cursor_u16(&cursor);
    for (uint8_t label; (label = cursor_u8(&cursor)) != 0;)
        if (!cursor_take(&cursor, label))
            return false;
    while (cursor_left(&cursor)) {
        uint16_t key = cursor_u16(&cursor), size = cursor_u16(&cursor);
        const uint8_t *value = cursor_take(&cursor, size);
        if (!value)
            return false;
        if ((key == SVCB_IPV4_HINT && find_among(rebind, value, size, 4, out)) ||
            (key == SVCB_IPV6_HINT && find_among(rebind, value, size, 16, out)))
            return true;
    }
    return false;
}

static bool find_in_record(const struct rebind *rebind, const struct dns_record *record, struct address *out)
{
    switch (record->type) {
    case DNS_TYPE_A:
        return find_among(rebind, record->data, record->data_length, 4, out);
    case DNS_TYPE_AAAA:
        return find_among(rebind, record->data, record->data_length, 16, out);
    case DNS_TYPE_SVCB:
    case DNS_TYPE_HTTPS:
        return find_in_hints(rebind, record->data, record->data_length, out);
    default:
        return false;
    }
}

static bool is_allowed(const struct rebind *rebind, const struct dns_question *question)
{
    for (size_t i = 0; question && i < rebind->allowed_count; i++)
        if (dns_name_is_subdomain(question->name, rebind->allowed[i].wire))
            return true;
    return false;
}

bool rebind_finds(struct rebind *rebind, const struct dns_question *question, const struct dns_message *answer,
                  struct address *out)
{
    static const enum dns_section sections[] = {DNS_SECTION_ANSWER, DNS_SECTION_ADDITIONAL};
    struct dns_reader reader;
    struct dns_record record;
    for (size_t i = 0; i < sizeof sections / sizeof *sections; i++) {
        dns_reader_start(&reader, answer, sections[i], &rebind->expanded);
        while (!dns_reader_next(&reader, &record))
            if (find_in_record(rebind, &record, out))
                return !is_allowed(rebind, question);
    }
    return false;
}
