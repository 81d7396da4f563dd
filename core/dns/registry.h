/* The IANA registries: numbers and their mnemonics. */
#ifndef MOONDNS_DNS_REGISTRY_H
#define MOONDNS_DNS_REGISTRY_H

#include "base/bytes.h"
#include "base/status.h"

enum dns_registry {
    DNS_TYPES,
    DNS_CLASSES,
    DNS_OP_CODES,
    DNS_RESPONSE_CODES,
    DNS_SVC_PARAMS, /* service parameter keys (RFC 9460), in lower case with '-' */
    DNS_EDNS_OPTIONS,
    DNS_EXTENDED_ERRORS, /* info codes of the EDNS option EDE (RFC 8914 section 5.2) */
    DNS_REGISTRY_COUNT,
};

enum dns_type {
    DNS_TYPE_A = 1,
    DNS_TYPE_NS = 2,
    DNS_TYPE_CNAME = 5,
    DNS_TYPE_SOA = 6,
    DNS_TYPE_PTR = 12,
    DNS_TYPE_MX = 15,
    DNS_TYPE_TXT = 16,
    DNS_TYPE_SIG = 24,
    DNS_TYPE_AAAA = 28,
    DNS_TYPE_SRV = 33,
    DNS_TYPE_DNAME = 39,
    DNS_TYPE_OPT = 41,
    DNS_TYPE_SVCB = 64,
    DNS_TYPE_HTTPS = 65,
    DNS_TYPE_SPF = 99,
    DNS_TYPE_TSIG = 250,
    DNS_TYPE_IXFR = 251,
    DNS_TYPE_AXFR = 252,
    DNS_TYPE_ANY = 255,
    DNS_TYPE_CAA = 257,
    DNS_TYPE_NO_LAYOUT = 65535, /* reserved: no record's */
};

enum { DNS_CLASS_IN = 1, DNS_CLASS_NONE = 254, DNS_CLASS_ANY = 255 };

enum dns_op_code {
    DNS_OP_CODE_QUERY = 0,
    DNS_OP_CODE_DSO = 6, /* RFC 8490 */
    DNS_OP_CODE_COUNT = 16,
};

/* EDNS options that the proxy itself deals in. */
enum dns_option {
    DNS_OPTION_KEEPALIVE = 11, /* RFC 7828 */
    DNS_OPTION_PADDING = 12,   /* RFC 7830 */
    DNS_OPTION_EDE = 15,       /* RFC 8914 */
};

/* Info codes of EDE that the proxy itself sends. */
enum dns_extended_error {
    DNS_EDE_OTHER = 0,
    DNS_EDE_BLOCKED = 15,
    DNS_EDE_PROHIBITED = 18,
    DNS_EDE_NO_REACHABLE_AUTHORITY = 22,
    DNS_EDE_NETWORK_ERROR = 23,
};

enum dns_response_code {
    DNS_RCODE_NOERROR = 0,
    DNS_RCODE_FORMERR = 1,
    DNS_RCODE_SERVFAIL = 2,
    DNS_RCODE_NXDOMAIN = 3,
    DNS_RCODE_NOTIMP = 4,
    DNS_RCODE_REFUSED = 5,
    DNS_RCODE_BADVERS = 16,
};

enum { DNS_MNEMONIC_MAX = 40 /* room for any mnemonic and NUL */ };

struct dns_registry_entry {
    const char *name; /* upper case, as the registry writes it (NSAP-PTR) */
    uint16_t number;
};

/* The registry's entries in order of number; `count` is written. Static storage. */
const struct dns_registry_entry *dns_registry_entries(enum dns_registry registry, size_t *count);

/* The mnemonic, or TYPE65280, CLASS42, OPCODE7, RCODE99, key667, OPT65001, EDE99 (RFC 3597 section 5, RFC 9460
 * section 2.1) for a number nobody registered. Returns `out`. */
const char *dns_registry_to_text(enum dns_registry registry, uint16_t number, char out[static DNS_MNEMONIC_MAX]);

/* Takes a mnemonic in any letter case, with '-' or '_', TYPE65280 and the like, and TYPE(65280). STATUS_INVALID for
 * others. */
MUST_CHECK enum status dns_registry_from_text(enum dns_registry registry, const char *text, size_t length,
                                              uint16_t *out);

/* The HTTP status that says about the same as a response code; 500 for those without one. */
unsigned dns_http_equivalent(uint16_t response_code);

#endif
