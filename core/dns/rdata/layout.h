/* Layouts of record data: what types.def says, and the kinds of fields. Private to the codec. */
#ifndef MOONDNS_DNS_RDATA_LAYOUT_H
#define MOONDNS_DNS_RDATA_LAYOUT_H

#include "dns/rdata.h"
#include "dns/scanner.h"

enum { DNS_DENSE_TYPES = 300 /* below this, tables are indexed by type */ };

enum dns_kind_id {
#define KIND(symbol, name) KIND_##symbol,
#include "dns/rdata/kinds.def"
#undef KIND
    KIND_COUNT,
};

/* Data on its way in: a cursor over the data alone, so that a kind can look at the fields before its own. */
struct dns_data_in {
    struct cursor cursor;
    const struct dns_kind *kind;
};

/* Data on its way out: `buffer` holds it from `start` on. */
struct dns_data_out {
    struct buffer *buffer;
    size_t start;
    const struct dns_kind *kind;
    const struct dns_name *origin; /* of names in text; NULL: they are absolute */
};

/* What a kind can do. `check` moves behind the field and says whether the data fits; `print` and `decode` may rely on
 * that it does. `scan_word` or `scan`, and `encode` append the field's data; where they fail without a reason, the
 * caller makes one from `expected`. */
struct dns_kind {
    const char *expected; /* "integer from 0 to 65535" */
    bool optional;        /* the field may be left out in text and value, being the last */
    bool implied;         /* the field may be left out in a value: zeros, or what a later field makes of them */

    /* what the kinds of one family differ in */
    uint8_t size; /* bytes of a number */
    uint8_t mask; /* where the number shares its byte */
    bool print_number;
    const struct dns_registry_entry *names; /* mnemonics, ended by a NULL name … */
    int registry;                           /* … and then these; -1: none */

    bool (*check)(struct dns_data_in *in);
    void (*print)(struct dns_data_in *in, struct buffer *out);
    struct dns_value *(*decode)(struct dns_data_in *in, struct arena *arena); /* NULL: no memory */
    enum status (*scan_word)(const struct dns_token *word, struct dns_data_out *out, struct reason *reason);
    enum status (*scan)(struct dns_scanner *scanner, struct dns_data_out *out, struct reason *reason);
    enum status (*encode)(const struct dns_value *value, struct dns_data_out *out, struct reason *reason);
};

#define KIND(symbol, name) extern const struct dns_kind dns_kind_##name;
#include "dns/rdata/kinds.def"
#undef KIND

struct dns_field {
    const char *name; /* NULL ends a list of fields */
    enum dns_kind_id kind;
};

/* By enum dns_kind_id. */
extern const struct dns_kind *const dns_kinds[KIND_COUNT];

/* The fields of a type, ended by a NULL name; NULL when there is no layout. */
const struct dns_field *dns_layout(uint16_t type);

/* --- a list of fields, whoever it belongs to: a type or an EDNS option --- */

/* Whether the data is these fields and nothing behind them. */
bool dns_fields_fit(const struct dns_field *fields, const uint8_t *data, size_t length);

/* Says in the reason which field it is that does not fit those in front of it; gives STATUS_INVALID. */
enum status dns_fields_refuse(const struct dns_field *fields, const uint8_t *data, size_t length,
                              struct reason *reason);

/* The text, with blanks between the fields. The data must fit. */
void dns_fields_print(const struct dns_field *fields, const uint8_t *data, size_t length, struct buffer *out);

/* Data that fits as a map of the fields; NULL when there is no memory. */
struct dns_value *dns_fields_to_value(const struct dns_field *fields, const uint8_t *data, size_t length,
                                      struct arena *arena);

/* Append the data that a map or the words of a line give. What fails leaves some of it behind. */
MUST_CHECK enum status dns_fields_from_value(const struct dns_field *fields, const struct dns_value *map,
                                             struct buffer *out, struct reason *reason);
MUST_CHECK enum status dns_fields_scan(const struct dns_field *fields, struct dns_scanner *scanner, struct buffer *out,
                                       struct reason *reason);

/* The fields of an option's data, of no bytes too; NULL when it has no layout or does not fit it. */
const struct dns_field *dns_option_fields(uint16_t code, const uint8_t *data, size_t length);

/* Appends an option's data as the words of its text give it. */
MUST_CHECK enum status dns_option_scan(uint16_t code, struct dns_scanner *scanner, struct buffer *out,
                                       struct reason *reason);

/* Appends the text of data that fits its layout: nothing for empty data. */
void dns_layout_print(uint16_t type, const uint8_t *data, size_t length, struct buffer *out);

/* --- LOC, whose text is nothing like its fields: loc.c --- */
bool dns_loc_check(const uint8_t *data, size_t length);
enum status dns_loc_refuse(const uint8_t *data, struct reason *reason); /* says why the check failed */
void dns_loc_print(const uint8_t *data, struct buffer *out);
MUST_CHECK enum status dns_loc_scan(struct dns_scanner *scanner, struct buffer *out, struct reason *reason);

/* --- building values; NULL when there is no memory --- */
struct dns_value *dns_value_number(struct arena *arena, uint64_t number);
struct dns_value *dns_value_text(struct arena *arena, const char *text, size_t length);
struct dns_value *dns_value_bytes(struct arena *arena, const uint8_t *data, size_t length);
struct dns_value *dns_value_group(struct arena *arena, enum dns_value_form form);

/* Adds `item` behind the last of `group`; `last` is NULL before the first, and moves. False when `item` is NULL. */
bool dns_value_add(struct dns_value *group, struct dns_value **last, struct dns_value *item);

/* The item of a map with that text key, or NULL. */
const struct dns_value *dns_value_get(const struct dns_value *map, const char *key);

/* Whether the value is text or bytes (callers may not know which); whether it is a list (or any empty group). */
bool dns_value_is_string(const struct dns_value *value);
bool dns_value_is_list(const struct dns_value *value);

/* "EXPECTED expected, got 'x'"; gives STATUS_INVALID. */
enum status dns_value_refuse(const struct dns_value *value, const char *expected, struct reason *reason);

#endif
