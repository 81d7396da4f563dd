/* Layouts of record data: what types.def says, and the kinds of fields. Private to the codec. */
#ifndef MOONDNS_DNS_LAYOUT_H
#define MOONDNS_DNS_LAYOUT_H

#include "dns/rdata.h"
#include "dns/scanner.h"

enum { DNS_DENSE_TYPES = 300 /* below this, tables are indexed by type */ };

/* The kinds of fields. One that lasts to the end of the data must come last. */
enum dns_kind_id {
    KIND_U8,
    KIND_U16,
    KIND_U32,
    KIND_U48,
    KIND_U64,
    KIND_TIME,          /* u32, seconds since 1970 as a serial number; text YYYYMMDDHHMMSS (RFC 4034 section 3.2) */
    KIND_SECONDS,       /* the same, text in seconds */
    KIND_TYPE,          /* u16, text is the mnemonic */
    KIND_ALGORITHM,     /* u8, text is the number; mnemonics are taken (RFC 4034 appendix A.1) */
    KIND_CERT_TYPE,     /* u16, text is the mnemonic (RFC 4398 section 2.1) */
    KIND_RESPONSE_CODE, /* u16, text is the mnemonic */
    KIND_DSYNC_SCHEME,  /* u8, text is the mnemonic (RFC 9859) */
    KIND_PROTOCOL,      /* u8, an IP protocol */
    KIND_HIGH_BIT,      /* bit 7 of a byte … */
    KIND_LOW_BITS,      /* … and its bits 0 to 6 */
    KIND_NAME,
    KIND_NAMES,           /* names to the end */
    KIND_STRING,          /* character-string, quoted */
    KIND_OPTIONAL_STRING, /* the same, or nothing */
    KIND_DECIMAL,         /* character-string that holds a number (RFC 1712) */
    KIND_TAG,             /* character-string of letters and digits, bare (RFC 8659 section 4.1) */
    KIND_STRINGS,         /* one or more character-strings, to the end */
    KIND_QUOTED_REST,     /* all that is left, quoted */
    KIND_ANYTHING,        /* all that is left; text in the form of RFC 3597 */
    KIND_IPV4,
    KIND_IPV6,
    KIND_PREFIXES,  /* APL's items (RFC 3123) */
    KIND_GATEWAY,   /* what gateway_type in byte 1 says (RFC 4025 section 2.5) */
    KIND_RELAY,     /* what the lower bits of byte 1 say (RFC 8777 section 4.2.4) */
    KIND_LOCATOR64, /* u64 in four groups of hex (RFC 6742 section 2.1) */
    KIND_EUI48,
    KIND_EUI64,
    KIND_NSAP,           /* all that is left, text 0x… */
    KIND_HEX,            /* all that is left */
    KIND_BASE64,         /* all that is left */
    KIND_BASE64_OR_NONE, /* the same, and may be empty */
    KIND_BASE64_OR_DASH, /* the same, empty is "-" */
    KIND_SALT,           /* u8 length, hex, empty is "-" (RFC 5155 section 3.3) */
    KIND_BASE32HEX,      /* u8 length, base32hex without padding */
    KIND_BASE64_16,      /* u16 length, base64 */
    KIND_COUNTED_BASE64, /* the same, the length written in front of it */
    KIND_HIP_ALGORITHM,  /* HIP's head, which holds the lengths of … (RFC 8005 section 5) */
    KIND_HIP_HIT,        /* … the HIT, hex */
    KIND_HIP_KEY,        /* … and the public key, base64 */
    KIND_BITMAP,         /* types (RFC 4034 section 4.1.2) */
    KIND_OLD_BITMAP,     /* types below 128 (RFC 2535 section 5.2) */
    KIND_PORTS,          /* a bit map of ports (RFC 1035 section 3.4.2) */
    KIND_SVC_PARAMS,     /* RFC 9460 section 2.2 */
    KIND_OPTIONS,        /* EDNS options (RFC 6891 section 6.1.2) */
    KIND_COUNT,
};

/* Data on its way out: `buffer` holds it from `start` on, so that a kind can look at the fields before its own. */
struct dns_data_out {
    struct buffer *buffer;
    size_t start;
};

/* What a kind can do. Cursors stand over the data alone; all but `check` may rely on what `check` has seen. */
struct dns_kind {
    const char *expected;             /* for reasons: "integer from 0 to 65535" */
    bool optional;                    /* text and value may leave the field out, when it is the last */
    bool (*check)(struct cursor *in); /* moves behind the field; false when the data does not fit */
    void (*print)(struct cursor *in, struct buffer *out);
    struct dns_value *(*decode)(struct cursor *in, struct arena *arena); /* NULL: no memory */
    /* Append the field's data. The scanner's reasons are its own; an INVALID of `encode` without a reason is made one
     * from `expected`. */
    enum status (*scan)(struct dns_scanner *scanner, struct dns_data_out *out, struct reason *reason);
    enum status (*encode)(const struct dns_value *value, struct dns_data_out *out, struct reason *reason);
};

extern const struct dns_kind *const dns_kinds[KIND_COUNT];

struct dns_field {
    const char *name; /* NULL ends a list of fields */
    uint8_t kind;     /* enum dns_kind_id */
};

/* The fields of a type, ended by a NULL name; NULL when there is no layout. */
const struct dns_field *dns_layout(uint16_t type);

#endif
