/* Record data by field. One table (rdata/types.def) describes every known layout as a list of (field name, kind);
 * reading, writing, text and JSON are loops over that list. */
#ifndef MOONDNS_DNS_RDATA_H
#define MOONDNS_DNS_RDATA_H

#include "base/arena.h"
#include "dns/record.h"
#include "dns/registry.h"

/* A field's value without regard to wire or text: a small tree. Everything in it belongs to one arena (or, on the way
 * in, to whoever built it). */
enum dns_value_form {
    DNS_VALUE_NUMBER,
    DNS_VALUE_TEXT,  /* what reads as text; ended by NUL when it comes out */
    DNS_VALUE_BYTES, /* binary: as it is */
    DNS_VALUE_LIST,
    DNS_VALUE_NONE, /* what no field can hold, only on the way in: `bytes` say what it is */
    DNS_VALUE_MAP,  /* items with keys; a key is text, or a number when `key` is NULL */
};

struct dns_value {
    enum dns_value_form form;
    const char *key; /* in a map: this item's key, ended by NUL; NULL where the key is key_number */
    uint32_t key_number;
    uint64_t number;
    struct span bytes;              /* TEXT, BYTES and NONE */
    struct dns_value *first, *next; /* a list's or map's items; the sibling */
};

/* The type whose layout the data has: `type`, or DNS_TYPE_NO_LAYOUT for one that is another in this class (an A record
 * of class CH holds no IPv4 address). All functions below want such a one. */
uint16_t dns_rdata_type_of_class(uint16_t type, uint16_t class_);

static inline uint16_t dns_rdata_type(uint16_t type, uint16_t class_)
{
    return class_ == DNS_CLASS_IN ? type : dns_rdata_type_of_class(type, class_);
}

/* Whether the type has a layout: whether `rdata` and the text form by field exist for it. */
bool dns_rdata_has_layout(uint16_t type);

/* The data as a map of its fields, in order, by their RFC names in snake_case. STATUS_MALFORMED when the data does not
 * fit the layout, STATUS_NOT_FOUND when there is none. */
MUST_CHECK enum status dns_rdata_to_value(uint16_t type, const uint8_t *data, size_t length, struct arena *arena,
                                          struct dns_value **out);

/* Appends the data for such a map (keys in any order; a missing or unknown field is an error). The reason starts with
 * the field: "preference: integer from 0 to 65535 expected, got 'x'". */
MUST_CHECK enum status dns_rdata_from_value(uint16_t type, const struct dns_value *fields, struct buffer *out,
                                            struct reason *reason);

/* Whether the data fits the type's layout exactly (true for types without one). */
bool dns_rdata_fits(uint16_t type, const uint8_t *data, size_t length);

/* Whether two pieces of data are equal but for the case of the letters in their names. Data that does not fit compares
 * byte for byte. */
bool dns_rdata_equal_caseless(uint16_t type, const uint8_t *a, size_t a_length, const uint8_t *b, size_t b_length);

/* --- how the codec reads and writes names in data; message.c's business --- */

/* What is done about the names in a type's data. */
enum dns_name_rule {
    DNS_NAMES_NONE,     /* no names, or names that are never compressed: the data is copied */
    DNS_NAMES_EXPAND,   /* names are expanded on reading, and not compressed on writing (RFC 3597 section 4) */
    DNS_NAMES_COMPRESS, /* and are compressed on writing: the types of RFC 1035 */
};
enum dns_name_rule dns_rdata_name_rule(uint16_t type);

/* Appends the data that stands at `cursor` (over the whole message, at the data) for `length` bytes with its names
 * expanded; data of types whose rule is DNS_NAMES_NONE is copied. Data that does not fit the layout otherwise is copied
 * as far as it goes; a name in it that cannot be read within the data is STATUS_MALFORMED, and so is data that is
 * longer than 65535 bytes once expanded. */
MUST_CHECK enum status dns_rdata_expand(uint16_t type, const struct cursor *cursor, size_t length, struct buffer *out,
                                        struct reason *reason);

/* Whether dns_rdata_expand can do it: the same failures, nothing written. */
MUST_CHECK enum status dns_rdata_check_names(uint16_t type, const struct cursor *cursor, size_t length,
                                             struct reason *reason);

/* Calls `piece` for the parts of uncompressed data in order: is_name tells a whole name that may be compressed from
 * bytes that are copied. Data that ends before one of its names comes as one piece of bytes. STATUS_MALFORMED, and no
 * piece, where a reader would expand a name and finds none that is whole and without pointers. */
MUST_CHECK enum status dns_rdata_pieces(uint16_t type, const uint8_t *data, size_t length,
                                        enum status (*piece)(void *context, bool is_name, const uint8_t *at, size_t n),
                                        void *context);

#endif
