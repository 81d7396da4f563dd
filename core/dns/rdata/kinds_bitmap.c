/* Fields that hold sets of numbers as bit maps. */
#include "dns/rdata/layout.h"

#include <limits.h>
#include <strings.h>

enum {
    NUMBERS = 65536,
    WINDOW_SIZE = 32,     /* bytes at most, for 256 types */
    OLD_BITMAP_SIZE = 16, /* for 128 types */
};

/* A set of 16-bit numbers, bit 7 of the first byte being 0. */
struct set {
    uint8_t bits[NUMBERS / CHAR_BIT];
};

static void set_add(struct set *set, uint16_t number)
{
    set->bits[number / CHAR_BIT] |= (uint8_t)(0x80 >> number % CHAR_BIT);
}

/* The length of `size` bytes without the zeros at their end. */
static size_t trimmed(const uint8_t *bits, size_t size)
{
    while (size > 0 && bits[size - 1] == 0)
        size--;
    return size;
}

/* Calls `each` for every bit that is set in `map`, which stands for the numbers from `base` on; false when one said no.
 */
static bool for_bits(const uint8_t *map, size_t length, unsigned base, bool (*each)(void *context, uint16_t number),
                     void *context)
{
    for (size_t i = 0; i < length * CHAR_BIT; i++)
        if (map[i / CHAR_BIT] & 0x80 >> i % CHAR_BIT && !each(context, (uint16_t)(base + i)))
            return false;
    return true;
}

/* --- the three forms on the wire: for_each walks one, put writes it --- */

static bool check_windows(struct dns_data_in *in)
{
    int last = -1;
    while (cursor_left(&in->cursor) > 0) {
        int window = cursor_u8(&in->cursor);
        size_t length = cursor_u8(&in->cursor);
        const uint8_t *map = cursor_take(&in->cursor, length);
        if (!map || window <= last || length < 1 || length > WINDOW_SIZE || map[length - 1] == 0)
            return false;
        last = window;
    }
    return true;
}

static bool for_windows(struct cursor *cursor, bool (*each)(void *context, uint16_t number), void *context)
{
    while (cursor_left(cursor) > 0) {
        unsigned window = cursor_u8(cursor);
        size_t length = cursor_u8(cursor);
        const uint8_t *map = cursor_take(cursor, length);
        if (!map || !for_bits(map, length, window << CHAR_BIT, each, context))
            return false;
    }
    return true;
}

static bool put_windows(const struct set *set, struct buffer *out)
{
    for (unsigned window = 0; window < NUMBERS / CHAR_BIT / WINDOW_SIZE; window++) {
        const uint8_t *map = set->bits + (size_t)window * WINDOW_SIZE;
        size_t length = trimmed(map, WINDOW_SIZE);
        if (length == 0)
            continue;
        buffer_u8(out, (uint8_t)window);
        buffer_u8(out, (uint8_t)length);
        buffer_append(out, map, length);
    }
    return true;
}

/* A bare map, as long as the kind's size allows. */
static size_t most_bytes(const struct dns_kind *kind)
{
    return kind->size ? kind->size : NUMBERS / CHAR_BIT;
}

static bool check_bare(struct dns_data_in *in)
{
    size_t length = cursor_left(&in->cursor);
    const uint8_t *map = cursor_take(&in->cursor, length);
    return length == 0 || (length <= most_bytes(in->kind) && map[length - 1] != 0);
}

static bool for_bare(struct cursor *cursor, bool (*each)(void *context, uint16_t number), void *context)
{
    size_t length = cursor_left(cursor);
    const uint8_t *map = cursor_take(cursor, length);
    return length == 0 || for_bits(map, length, 0, each, context);
}

static bool put_bare(const struct set *set, struct dns_data_out *out)
{
    size_t length = trimmed(set->bits, sizeof set->bits);
    if (length > most_bytes(out->kind))
        return false;
    buffer_append(out->buffer, set->bits, length);
    return true;
}

static bool is_windowed(const struct dns_kind *kind)
{
    return kind == &dns_kind_bitmap;
}

static bool for_each(struct dns_data_in *in, bool (*each)(void *context, uint16_t number), void *context)
{
    return is_windowed(in->kind) ? for_windows(&in->cursor, each, context) : for_bare(&in->cursor, each, context);
}

/* --- text and values --- */

struct printer {
    struct buffer *out;
    const struct dns_kind *kind;
    bool more;
};

static bool print_one(void *context, uint16_t number)
{
    struct printer *printer = context;
    char text[DNS_MNEMONIC_MAX];
    if (printer->more)
        buffer_u8(printer->out, ' ');
    printer->more = true;
    if (printer->kind->registry >= 0)
        buffer_text(printer->out, dns_registry_to_text((enum dns_registry)printer->kind->registry, number, text));
    else
        buffer_format(printer->out, "%u", (unsigned)number);
    return true;
}

static void print_set(struct dns_data_in *in, struct buffer *out)
{
    struct printer printer = {.out = out, .kind = in->kind};
    for_each(in, print_one, &printer);
}

struct lister {
    struct arena *arena;
    struct dns_value *list, *last;
};

static bool list_one(void *context, uint16_t number)
{
    struct lister *lister = context;
    return dns_value_add(lister->list, &lister->last, dns_value_number(lister->arena, number));
}

static struct dns_value *decode_set(struct dns_data_in *in, struct arena *arena)
{
    struct lister lister = {.arena = arena, .list = dns_value_group(arena, DNS_VALUE_LIST)};
    return lister.list && for_each(in, list_one, &lister) ? lister.list : NULL;
}

/* The services of a WKS record's ports by name, taken and not written. They are here, and not the system's, so that a
 * zone means the same on every machine. */
static const struct dns_registry_entry services[] = {
    {"ECHO", 7},       {"DISCARD", 9},     {"SYSTAT", 11},      {"DAYTIME", 13},      {"QOTD", 17},
    {"CHARGEN", 19},   {"FTP-DATA", 20},   {"FTP", 21},         {"SSH", 22},          {"TELNET", 23},
    {"SMTP", 25},      {"TIME", 37},       {"NAMESERVER", 42},  {"WHOIS", 43},        {"NICNAME", 43},
    {"TACACS", 49},    {"DOMAIN", 53},     {"BOOTPS", 67},      {"BOOTPC", 68},       {"TFTP", 69},
    {"GOPHER", 70},    {"FINGER", 79},     {"HTTP", 80},        {"WWW", 80},          {"KERBEROS", 88},
    {"HOSTNAME", 101}, {"HOSTNAMES", 101}, {"ISO-TSAP", 102},   {"RTELNET", 107},     {"POP2", 109},
    {"POP3", 110},     {"SUNRPC", 111},    {"AUTH", 113},       {"SFTP", 115},        {"UUCP-PATH", 117},
    {"NNTP", 119},     {"NTP", 123},       {"NETBIOS-NS", 137}, {"NETBIOS-DGM", 138}, {"NETBIOS-SSN", 139},
    {"IMAP", 143},     {"IMAP2", 143},     {"SNMP", 161},       {"SNMP-TRAP", 162},   {"SNMPTRAP", 162},
    {"BGP", 179},      {"IRC", 194},       {"LDAP", 389},       {"HTTPS", 443},       {"SUBMISSIONS", 465},
    {"SYSLOG", 514},   {"PRINTER", 515},   {"SUBMISSION", 587}, {"LDAPS", 636},       {"DOMAIN-S", 853},
    {"IMAPS", 993},    {"POP3S", 995},     {NULL, 0},
};

static bool service_from_text(const char *text, size_t length, uint16_t *out)
{
    const struct dns_registry_entry *entry = services;
    while (entry->name && (strlen(entry->name) != length || strncasecmp(entry->name, text, length) != 0))
        entry++;
    if (entry->name)
        *out = entry->number;
    return entry->name != NULL;
}

static bool number_from_text(const struct dns_kind *kind, const char *text, size_t length, uint16_t *out)
{
    if (kind->registry >= 0)
        return dns_registry_from_text((enum dns_registry)kind->registry, text, length, out) == STATUS_OK;
    uint32_t number = 0;
    for (size_t i = 0; i < length; i++) {
        unsigned digit = (unsigned)(text[i] - '0');
        if (digit > 9)
            return service_from_text(text, length, out);
        if (number > UINT16_MAX)
            return false;
        number = number * 10 + digit;
    }
    *out = (uint16_t)number;
    return length > 0 && number <= UINT16_MAX;
}

static enum status put_set(const struct set *set, struct dns_data_out *out, struct reason *reason)
{
    if (is_windowed(out->kind) ? put_windows(set, out->buffer) : put_bare(set, out))
        return STATUS_OK;
    reason_set(reason, "numbers below %zu expected", most_bytes(out->kind) * CHAR_BIT);
    return STATUS_INVALID;
}

static enum status scan_set(struct dns_scanner *scanner, struct dns_data_out *out, struct reason *reason)
{
    struct set set = {0};
    struct dns_token word;
    enum status status;
    while ((status = dns_scanner_next(scanner, &word, reason)) == STATUS_OK) {
        uint16_t number;
        if (!number_from_text(out->kind, word.text, word.length, &number))
            return dns_word_refuse(&word, out->kind->expected, reason);
        set_add(&set, number);
    }
    return status == STATUS_NOT_FOUND ? put_set(&set, out, reason) : status;
}

static enum status encode_set(const struct dns_value *value, struct dns_data_out *out, struct reason *reason)
{
    if (!dns_value_is_list(value))
        return dns_value_refuse(value, "list of numbers", reason);
    struct set set = {0};
    for (const struct dns_value *item = value->first; item; item = item->next) {
        uint16_t number = (uint16_t)item->number;
        bool good = dns_value_is_string(item)
                        ? number_from_text(out->kind, (const char *)item->bytes.data, item->bytes.length, &number)
                        : item->form == DNS_VALUE_NUMBER && item->number <= UINT16_MAX;
        if (!good)
            return dns_value_refuse(item, out->kind->expected, reason);
        set_add(&set, number);
    }
    return put_set(&set, out, reason);
}

const struct dns_kind dns_kind_bitmap = {
    .expected = "record type",
    .registry = DNS_TYPES,
    .check = check_windows,
    .print = print_set,
    .decode = decode_set,
    .scan = scan_set,
    .encode = encode_set,
};

const struct dns_kind dns_kind_old_bitmap = {
    .expected = "record type",
    .registry = DNS_TYPES,
    .size = OLD_BITMAP_SIZE,
    .check = check_bare,
    .print = print_set,
    .decode = decode_set,
    .scan = scan_set,
    .encode = encode_set,
};

const struct dns_kind dns_kind_ports = {
    .expected = "port from 0 to 65535 or a service's name",
    .registry = -1,
    .check = check_bare,
    .print = print_set,
    .decode = decode_set,
    .scan = scan_set,
    .encode = encode_set,
};
