#include "dns/registry.h"

#include <stdio.h>

static const struct dns_registry_entry types[] = {
#define TYPE(symbol, number, mnemonic, names, ...) {mnemonic, number},
#define IN_TYPE TYPE
#define RARE_TYPE TYPE
#include "dns/rdata/types.def"
#undef RARE_TYPE
#undef IN_TYPE
#undef TYPE
};

static const struct dns_registry_entry classes[] = {{"IN", 1}, {"CH", 3}, {"HS", 4}, {"NONE", 254}, {"ANY", 255}};

static const struct dns_registry_entry op_codes[] = {{"QUERY", 0},  {"IQUERY", 1}, {"STATUS", 2},
                                                     {"NOTIFY", 4}, {"UPDATE", 5}, {"DSO", 6}};

static const struct dns_registry_entry response_codes[] = {
    {"NOERROR", 0},  {"FORMERR", 1},    {"SERVFAIL", 2}, {"NXDOMAIN", 3},  {"NOTIMP", 4},
    {"REFUSED", 5},  {"YXDOMAIN", 6},   {"YXRRSET", 7},  {"NXRRSET", 8},   {"NOTAUTH", 9},
    {"NOTZONE", 10}, {"DSOTYPENI", 11}, {"BADVERS", 16}, {"BADKEY", 17},   {"BADTIME", 18},
    {"BADMODE", 19}, {"BADNAME", 20},   {"BADALG", 21},  {"BADTRUNC", 22}, {"BADCOOKIE", 23},
};

static const struct dns_registry_entry svc_params[] = {
    {"mandatory", 0}, {"alpn", 1},     {"no-default-alpn", 2}, {"port", 3},  {"ipv4hint", 4},
    {"ech", 5},       {"ipv6hint", 6}, {"dohpath", 7},         {"ohttp", 8}, {"tls-supported-groups", 9},
    {"docpath", 10},
};

static const struct dns_registry_entry edns_options[] = {
#define OPTION(key, code, mnemonic, ...) {mnemonic, code},
#include "dns/rdata/options.def"
#undef OPTION
};

static const struct dns_registry_entry extended_errors[] = {
    {"OTHER", 0},
    {"UNSUPPORTED_DNSKEY_ALGORITHM", 1},
    {"UNSUPPORTED_DS_DIGEST_TYPE", 2},
    {"STALE_ANSWER", 3},
    {"FORGED_ANSWER", 4},
    {"DNSSEC_INDETERMINATE", 5},
    {"DNSSEC_BOGUS", 6},
    {"SIGNATURE_EXPIRED", 7},
    {"SIGNATURE_NOT_YET_VALID", 8},
    {"DNSKEY_MISSING", 9},
    {"RRSIGS_MISSING", 10},
    {"NO_ZONE_KEY_BIT_SET", 11},
    {"NSEC_MISSING", 12},
    {"CACHED_ERROR", 13},
    {"NOT_READY", 14},
    {"BLOCKED", 15},
    {"CENSORED", 16},
    {"FILTERED", 17},
    {"PROHIBITED", 18},
    {"STALE_NXDOMAIN_ANSWER", 19},
    {"NOT_AUTHORITATIVE", 20},
    {"NOT_SUPPORTED", 21},
    {"NO_REACHABLE_AUTHORITY", 22},
    {"NETWORK_ERROR", 23},
    {"INVALID_DATA", 24},
    {"SIGNATURE_EXPIRED_BEFORE_VALID", 25},
    {"TOO_EARLY", 26},
    {"UNSUPPORTED_NSEC3_ITERATIONS_VALUE", 27},
    {"UNABLE_TO_CONFORM_TO_POLICY", 28},
    {"SYNTHESIZED", 29},
    {"INVALID_QUERY_TYPE", 30},
};

/* Names that are taken and never written. */
static const struct dns_registry_entry type_aliases[] = {{"*", 255}};
static const struct dns_registry_entry class_aliases[] = {{"INTERNET", 1}, {"CHAOS", 3}, {"HESIOD", 4}};
static const struct dns_registry_entry response_code_aliases[] = {{"BADSIG", 16}};
static const struct dns_registry_entry edns_option_aliases[] = {{"ECS", 8}, {"KEEPALIVE", 11}};

#define ENTRIES(array) array, sizeof(array) / sizeof((array)[0])

static const struct {
    const struct dns_registry_entry *entries;
    size_t count;
    const struct dns_registry_entry *aliases;
    size_t alias_count;
    const char *generic; /* what numbers are called that have no name */
    uint16_t most;
} registries[DNS_REGISTRY_COUNT] = {
    [DNS_TYPES] = {ENTRIES(types), ENTRIES(type_aliases), "TYPE", 65535},
    [DNS_CLASSES] = {ENTRIES(classes), ENTRIES(class_aliases), "CLASS", 65535},
    [DNS_OP_CODES] = {ENTRIES(op_codes), NULL, 0, "OPCODE", 15},
    [DNS_RESPONSE_CODES] = {ENTRIES(response_codes), ENTRIES(response_code_aliases), "RCODE", 4095},
    [DNS_SVC_PARAMS] = {ENTRIES(svc_params), NULL, 0, "key", 65535},
    [DNS_EDNS_OPTIONS] = {ENTRIES(edns_options), ENTRIES(edns_option_aliases), "OPT", 65535},
    [DNS_EXTENDED_ERRORS] = {ENTRIES(extended_errors), NULL, 0, "EDE", 65535},
};

const struct dns_registry_entry *dns_registry_entries(enum dns_registry registry, size_t *count)
{
    *count = registries[registry].count;
    return registries[registry].entries;
}

const char *dns_registry_to_text(enum dns_registry registry, uint16_t number, char out[static DNS_MNEMONIC_MAX])
{
    const struct dns_registry_entry *entries = registries[registry].entries;
    size_t low = 0, high = registries[registry].count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (entries[middle].number < number)
            low = middle + 1;
        else
            high = middle;
    }
    if (low < registries[registry].count && entries[low].number == number)
        memcpy(out, entries[low].name, strlen(entries[low].name) + 1);
    else
        snprintf(out, DNS_MNEMONIC_MAX, "%s%u", registries[registry].generic, number);
    return out;
}

/* Letters without regard to case, '_' as '-'. */
static char fold(char byte)
{
    if (byte >= 'a' && byte <= 'z')
        return (char)(byte - 32);
    return byte == '_' ? '-' : byte;
}

/* How many bytes of `text` agree with all of `name`: its length, or 0 when they do not. */
static size_t starts_with(const char *text, size_t length, const char *name)
{
    size_t i = 0;
    for (; name[i]; i++)
        if (i == length || fold(text[i]) != fold(name[i]))
            return 0;
    return i;
}

static bool find(const struct dns_registry_entry *entries, size_t count, const char *text, size_t length, uint16_t *out)
{
    const char first = fold(text[0]);
    for (size_t i = 0; i < count; i++) {
        if (fold(entries[i].name[0]) == first && starts_with(text, length, entries[i].name) == length) {
            *out = entries[i].number;
            return true;
        }
    }
    return false;
}

/* "65280" or "(65280)". */
static enum status number_from_text(const char *text, size_t length, uint16_t most, uint16_t *out)
{
    if (length > 2 && text[0] == '(' && text[length - 1] == ')') {
        text++;
        length -= 2;
    }
    if (length == 0 || length > 5)
        return STATUS_INVALID;
    uint32_t number = 0;
    for (size_t i = 0; i < length; i++) {
        if (text[i] < '0' || text[i] > '9')
            return STATUS_INVALID;
        number = number * 10 + (uint32_t)(text[i] - '0');
    }
    if (number > most)
        return STATUS_INVALID;
    *out = (uint16_t)number;
    return STATUS_OK;
}

enum status dns_registry_from_text(enum dns_registry registry, const char *text, size_t length, uint16_t *out)
{
    if (length == 0)
        return STATUS_INVALID;
    if (find(registries[registry].entries, registries[registry].count, text, length, out) ||
        find(registries[registry].aliases, registries[registry].alias_count, text, length, out))
        return STATUS_OK;
    size_t prefix = starts_with(text, length, registries[registry].generic);
    if (prefix == 0)
        return STATUS_INVALID;
    return number_from_text(text + prefix, length - prefix, registries[registry].most, out);
}

unsigned dns_http_equivalent(uint16_t response_code)
{
    static const uint16_t equivalents[] = {200, 400, 500, 404, 501, 403, 409, 409, 410, 401, 404, 501};
    return response_code < sizeof equivalents / sizeof equivalents[0] ? equivalents[response_code] : 500;
}
