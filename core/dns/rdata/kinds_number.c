/* Fields that hold one number. */
#include "dns/rdata/layout.h"

#include <time.h>

static uint64_t take(struct dns_data_in *in)
{
    const uint8_t *at = cursor_take(&in->cursor, in->kind->size);
    uint64_t number = 0;
    for (unsigned i = 0; at && i < in->kind->size; i++)
        number = number << 8 | at[i];
    return number;
}

static void put(uint64_t number, struct dns_data_out *out)
{
    for (unsigned i = out->kind->size; i-- > 0;)
        buffer_u8(out->buffer, (uint8_t)(number >> (8 * i)));
}

static uint64_t most(const struct dns_kind *kind)
{
    return kind->size == 8 ? UINT64_MAX : ((uint64_t)1 << (8 * kind->size)) - 1;
}

/* Decimal digits and nothing else. */
static bool parse(const struct dns_token *word, uint64_t limit, uint64_t *out)
{
    uint64_t number = 0;
    for (size_t i = 0; i < word->length; i++) {
        unsigned digit = (unsigned)(word->text[i] - '0');
        if (digit > 9 || number > (UINT64_MAX - digit) / 10)
            return false;
        number = number * 10 + digit;
    }
    if (word->length == 0 || number > limit)
        return false;
    *out = number;
    return true;
}

static bool check_number(struct dns_data_in *in)
{
    take(in);
    return !in->cursor.failed;
}

static void print_number(struct dns_data_in *in, struct buffer *out)
{
    buffer_format(out, "%llu", (unsigned long long)take(in));
}

static struct dns_value *decode_number(struct dns_data_in *in, struct arena *arena)
{
    return dns_value_number(arena, take(in));
}

static enum status scan_number(const struct dns_token *word, struct dns_data_out *out, struct reason *reason)
{
    uint64_t number;
    if (!parse(word, most(out->kind), &number))
        return dns_word_refuse(word, out->kind->expected, reason);
    put(number, out);
    return STATUS_OK;
}

static enum status scan_period(const struct dns_token *word, struct dns_data_out *out, struct reason *reason)
{
    uint32_t seconds;
    if (!dns_word_to_seconds(word, &seconds))
        return dns_word_refuse(word, out->kind->expected, reason);
    put(seconds, out);
    return STATUS_OK;
}

static enum status encode_number(const struct dns_value *value, struct dns_data_out *out, struct reason *reason)
{
    if (value->form != DNS_VALUE_NUMBER || value->number > most(out->kind))
        return dns_value_refuse(value, out->kind->expected, reason);
    put(value->number, out);
    return STATUS_OK;
}

#define NUMBER_KIND(bytes, range, scan_as)                                                                   \
    {                                                                                                        \
        .expected = "integer from 0 to " range, .size = bytes, .check = check_number, .print = print_number, \
        .decode = decode_number, .scan_word = scan_as, .encode = encode_number                               \
    }

const struct dns_kind dns_kind_u8 = NUMBER_KIND(1, "255", scan_number);
const struct dns_kind dns_kind_u16 = NUMBER_KIND(2, "65535", scan_number);
const struct dns_kind dns_kind_u32 = NUMBER_KIND(4, "4294967295", scan_number);
const struct dns_kind dns_kind_u48 = NUMBER_KIND(6, "281474976710655", scan_number);
const struct dns_kind dns_kind_period = NUMBER_KIND(4, "4294967295", scan_period);

/* Not every caller's numbers are that wide: digits are taken too. */
static enum status encode_u64(const struct dns_value *value, struct dns_data_out *out, struct reason *reason)
{
    const struct dns_token word = {(const char *)value->bytes.data, value->bytes.length, false};
    return dns_value_is_string(value) ? scan_number(&word, out, reason) : encode_number(value, out, reason);
}

const struct dns_kind dns_kind_u64 = {
    .expected = "integer from 0 to 18446744073709551615",
    .size = 8,
    .check = check_number,
    .print = print_number,
    .decode = decode_number,
    .scan_word = scan_number,
    .encode = encode_u64,
};

#define IMPLIED_KIND(bytes, range)                                                                        \
    {                                                                                                     \
        .expected = "integer from 0 to " range, .implied = true, .size = bytes, .check = check_number,    \
        .print = print_number, .decode = decode_number, .scan_word = scan_number, .encode = encode_number \
    }

const struct dns_kind dns_kind_implied_u8 = IMPLIED_KIND(1, "255");
const struct dns_kind dns_kind_implied_u16 = IMPLIED_KIND(2, "65535");

/* --- lists of numbers, to the end --- */

static bool check_list(struct dns_data_in *in)
{
    const size_t length = cursor_left(&in->cursor);
    return cursor_take(&in->cursor, length) && length % in->kind->size == 0;
}

static void print_list(struct dns_data_in *in, struct buffer *out)
{
    for (bool first = true; cursor_left(&in->cursor) > 0; first = false) {
        if (!first)
            buffer_u8(out, ' ');
        print_number(in, out);
    }
}

static struct dns_value *decode_list(struct dns_data_in *in, struct arena *arena)
{
    struct dns_value *list = dns_value_group(arena, DNS_VALUE_LIST), *last = NULL;
    while (list && cursor_left(&in->cursor) > 0)
        if (!dns_value_add(list, &last, decode_number(in, arena)))
            return NULL;
    return list;
}

static enum status scan_list(struct dns_scanner *scanner, struct dns_data_out *out, struct reason *reason)
{
    struct dns_token word;
    enum status status;
    while ((status = dns_scanner_next(scanner, &word, reason)) == STATUS_OK) {
        status = scan_number(&word, out, reason);
        if (status)
            return status;
    }
    return status == STATUS_NOT_FOUND ? STATUS_OK : status;
}

static enum status encode_list(const struct dns_value *value, struct dns_data_out *out, struct reason *reason)
{
    if (!dns_value_is_list(value))
        return dns_value_refuse(value, "list of numbers", reason);
    enum status status = STATUS_OK;
    for (const struct dns_value *item = value->first; item && status == STATUS_OK; item = item->next)
        status = encode_number(item, out, reason);
    return status;
}

#define LIST_KIND(bytes, range)                                                                          \
    {                                                                                                    \
        .expected = "integer from 0 to " range, .size = bytes, .check = check_list, .print = print_list, \
        .decode = decode_list, .scan = scan_list, .encode = encode_list                                  \
    }

const struct dns_kind dns_kind_u8_list = LIST_KIND(1, "255");
const struct dns_kind dns_kind_u16_list = LIST_KIND(2, "65535");

/* --- numbers that have names --- */

/* The name in the kind's own list, or NULL. */
static const char *own_name(const struct dns_kind *kind, uint64_t number)
{
    for (const struct dns_registry_entry *entry = kind->names; entry && entry->name; entry++)
        if (entry->number == number)
            return entry->name;
    return NULL;
}

/* The name in the registry; NULL for a number that the registry cannot hold (an RCODE above 4095). */
static const char *registered_name(const struct dns_kind *kind, uint16_t number, char out[static DNS_MNEMONIC_MAX])
{
    uint16_t back;
    if (kind->registry < 0)
        return NULL;
    enum dns_registry registry = (enum dns_registry)kind->registry;
    dns_registry_to_text(registry, number, out);
    return dns_registry_from_text(registry, out, strlen(out), &back) == STATUS_OK ? out : NULL;
}

static void print_mnemonic(struct dns_data_in *in, struct buffer *out)
{
    uint64_t number = take(in);
    char text[DNS_MNEMONIC_MAX];
    const char *name = in->kind->print_number ? NULL : own_name(in->kind, number);
    if (!name)
        name = registered_name(in->kind, (uint16_t)number, text);
    if (name)
        buffer_text(out, name);
    else
        buffer_format(out, "%llu", (unsigned long long)number);
}

static bool equal_caseless(const struct dns_token *word, const char *name)
{
    if (strlen(name) != word->length)
        return false;
    for (size_t i = 0; i < word->length; i++)
        if (dns_lower((uint8_t)word->text[i]) != dns_lower((uint8_t)name[i]))
            return false;
    return true;
}

static enum status scan_mnemonic(const struct dns_token *word, struct dns_data_out *out, struct reason *reason)
{
    const struct dns_kind *kind = out->kind;
    uint64_t number;
    uint16_t registered;
    for (const struct dns_registry_entry *entry = kind->names; entry && entry->name; entry++) {
        if (equal_caseless(word, entry->name)) {
            put(entry->number, out);
            return STATUS_OK;
        }
    }
    if (kind->registry >= 0 &&
        dns_registry_from_text((enum dns_registry)kind->registry, word->text, word->length, &registered) == STATUS_OK)
        number = registered;
    else if (!parse(word, most(kind), &number))
        return dns_word_refuse(word, kind->expected, reason);
    put(number, out);
    return STATUS_OK;
}

static enum status encode_mnemonic(const struct dns_value *value, struct dns_data_out *out, struct reason *reason)
{
    if (!dns_value_is_string(value))
        return encode_number(value, out, reason);
    struct dns_token word = {(const char *)value->bytes.data, value->bytes.length, false};
    uint64_t number;
    if (parse(&word, UINT64_MAX, &number) || scan_mnemonic(&word, out, NULL))
        return dns_value_refuse(value, out->kind->expected, reason);
    return STATUS_OK;
}

#define MNEMONIC_KIND(bytes, own, shared, as_number, what)                                                   \
    {                                                                                                        \
        .expected = what, .size = bytes, .names = own, .registry = shared, .print_number = as_number,        \
        .check = check_number, .print = print_mnemonic, .decode = decode_number, .scan_word = scan_mnemonic, \
        .encode = encode_mnemonic                                                                            \
    }

static const struct dns_registry_entry algorithms[] = {
    {"RSAMD5", 1},
    {"DH", 2},
    {"DSA", 3},
    {"ECC", 4},
    {"RSASHA1", 5},
    {"DSANSEC3SHA1", 6},
    {"RSASHA1NSEC3SHA1", 7},
    {"RSASHA256", 8},
    {"RSASHA512", 10},
    {"ECCGOST", 12},
    {"ECDSAP256SHA256", 13},
    {"ECDSAP384SHA384", 14},
    {"ED25519", 15},
    {"ED448", 16},
    {"INDIRECT", 252},
    {"PRIVATEDNS", 253},
    {"PRIVATEOID", 254},
    {"DSA-NSEC3-SHA1", 6}, /* what else they are called, taken and not written */
    {"NSEC3DSA", 6},
    {"RSASHA1-NSEC3-SHA1", 7},
    {"NSEC3RSASHA1", 7},
    {"ECC-GOST", 12},
    {NULL, 0},
};

static const struct dns_registry_entry cert_types[] = {
    {"PKIX", 1},   {"SPKI", 2},    {"PGP", 3},   {"IPKIX", 4}, {"ISPKI", 5}, {"IPGP", 6},
    {"ACPKIX", 7}, {"IACPKIX", 8}, {"URI", 253}, {"OID", 254}, {NULL, 0},
};

static const struct dns_registry_entry tsig_errors[] = {{"BADSIG", 16}, {NULL, 0}};
static const struct dns_registry_entry dsync_schemes[] = {{"NOTIFY", 1}, {NULL, 0}};
static const struct dns_registry_entry protocols[] = {
    {"ICMP", 1}, {"IGMP", 2}, {"GGP", 3},  {"TCP", 6}, {"EGP", 8},   {"IGP", 9},    {"PUP", 12},
    {"UDP", 17}, {"RDP", 27}, {"ESP", 50}, {"AH", 51}, {"OSPF", 89}, {"SCTP", 132}, {NULL, 0},
};

const struct dns_kind dns_kind_type = MNEMONIC_KIND(2, NULL, DNS_TYPES, false, "record type");
const struct dns_kind dns_kind_algorithm = MNEMONIC_KIND(1, algorithms, -1, true, "algorithm, 0 to 255 or its name");
const struct dns_kind dns_kind_cert_algorithm =
    MNEMONIC_KIND(1, algorithms, -1, false, "algorithm, 0 to 255 or its name");
const struct dns_kind dns_kind_cert_type =
    MNEMONIC_KIND(2, cert_types, -1, false, "certificate type, 0 to 65535 or its name");
const struct dns_kind dns_kind_response_code =
    MNEMONIC_KIND(2, tsig_errors, DNS_RESPONSE_CODES, false, "response code");
const struct dns_kind dns_kind_extended_error =
    MNEMONIC_KIND(2, NULL, DNS_EXTENDED_ERRORS, false, "extended error, 0 to 65535 or its name");
const struct dns_kind dns_kind_dsync_scheme =
    MNEMONIC_KIND(1, dsync_schemes, -1, false, "scheme, 0 to 255 or its name");
const struct dns_kind dns_kind_protocol = MNEMONIC_KIND(1, protocols, -1, true, "IP protocol, 0 to 255 or its name");

/* --- times --- */

enum { TIME_DIGITS = 14, SECONDS_DIGITS = 10 };

static void print_time(struct dns_data_in *in, struct buffer *out)
{
    time_t seconds = (time_t)take(in);
    struct tm utc;
    char text[TIME_DIGITS + 1];
    if (gmtime_r(&seconds, &utc) && strftime(text, sizeof text, "%Y%m%d%H%M%S", &utc))
        buffer_text(out, text);
}

static int two_digits(const char *text)
{
    return (text[0] - '0') * 10 + (text[1] - '0');
}

static enum status scan_time(const struct dns_token *word, struct dns_data_out *out, struct reason *reason)
{
    uint64_t number;
    if (!parse(word, UINT64_MAX, &number))
        return dns_word_refuse(word, out->kind->expected, reason);
    if (word->length <= SECONDS_DIGITS)
        return scan_number(word, out, reason);
    if (word->length != TIME_DIGITS)
        return dns_word_refuse(word, out->kind->expected, reason);
    const char *text = word->text;
    struct tm given = {.tm_year = two_digits(text) * 100 + two_digits(text + 2) - 1900,
                       .tm_mon = two_digits(text + 4) - 1,
                       .tm_mday = two_digits(text + 6),
                       .tm_hour = two_digits(text + 8),
                       .tm_min = two_digits(text + 10),
                       .tm_sec = two_digits(text + 12)};
    struct tm normal = given;
    time_t seconds = timegm(&normal);
    bool exact = given.tm_mon == normal.tm_mon && given.tm_mday == normal.tm_mday && given.tm_hour == normal.tm_hour &&
                 given.tm_min == normal.tm_min && given.tm_sec == normal.tm_sec;
    if (!exact || seconds < 0 || seconds > UINT32_MAX)
        return dns_word_refuse(word, out->kind->expected, reason);
    put((uint64_t)seconds, out);
    return STATUS_OK;
}

const struct dns_kind dns_kind_time = {
    .expected = "time in seconds or as YYYYMMDDHHMMSS",
    .size = 4,
    .check = check_number,
    .print = print_time,
    .decode = decode_number,
    .scan_word = scan_time,
    .encode = encode_number,
};

/* --- a byte that two fields share: bit 7, then the rest --- */

static bool check_high(struct dns_data_in *in)
{
    return cursor_left(&in->cursor) > 0;
}

static uint8_t take_masked(struct dns_data_in *in)
{
    uint8_t byte = in->cursor.data[in->cursor.offset];
    if (in->kind->mask == 0x80)
        return byte >> 7;
    in->cursor.offset++;
    return byte & 0x7f;
}

static void print_masked(struct dns_data_in *in, struct buffer *out)
{
    buffer_format(out, "%u", (unsigned)take_masked(in));
}

static struct dns_value *decode_masked(struct dns_data_in *in, struct arena *arena)
{
    return dns_value_number(arena, take_masked(in));
}

static void put_masked(uint64_t number, struct dns_data_out *out)
{
    if (out->kind->mask == 0x80)
        buffer_u8(out->buffer, (uint8_t)(number << 7));
    else if (!out->buffer->failed)
        out->buffer->data[out->buffer->length - 1] |= (uint8_t)number;
}

static uint64_t most_masked(const struct dns_kind *kind)
{
    return kind->mask == 0x80 ? 1 : kind->mask;
}

static enum status scan_masked(const struct dns_token *word, struct dns_data_out *out, struct reason *reason)
{
    uint64_t number;
    if (!parse(word, most_masked(out->kind), &number))
        return dns_word_refuse(word, out->kind->expected, reason);
    put_masked(number, out);
    return STATUS_OK;
}

static enum status encode_masked(const struct dns_value *value, struct dns_data_out *out, struct reason *reason)
{
    if (value->form != DNS_VALUE_NUMBER || value->number > most_masked(out->kind))
        return dns_value_refuse(value, out->kind->expected, reason);
    put_masked(value->number, out);
    return STATUS_OK;
}

const struct dns_kind dns_kind_high_bit = {
    .expected = "0 or 1",
    .mask = 0x80,
    .check = check_high,
    .print = print_masked,
    .decode = decode_masked,
    .scan_word = scan_masked,
    .encode = encode_masked,
};

const struct dns_kind dns_kind_low_bits = {
    .expected = "integer from 0 to 127",
    .size = 1,
    .mask = 0x7f,
    .check = check_number,
    .print = print_masked,
    .decode = decode_masked,
    .scan_word = scan_masked,
    .encode = encode_masked,
};
