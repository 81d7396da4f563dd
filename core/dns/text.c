#include "dns/text.h"

#include "dns/encoding.h"
#include "dns/layout.h"

void dns_rdata_to_text(const struct dns_record *record, struct buffer *out)
{
    bool known = dns_rdata_has_layout(record->type);
    if (known && dns_rdata_fits(record->type, record->data, record->data_length)) {
        dns_layout_print(record->type, record->data, record->data_length, out);
        return;
    }
    char type[DNS_MNEMONIC_MAX];
    buffer_text(out, "0x");
    dns_hex_write(record->data, record->data_length, out);
    if (known)
        buffer_format(out, " (invalid %s data)", dns_registry_to_text(DNS_TYPES, record->type, type));
}

void dns_record_to_text(const struct dns_record *record, struct buffer *out)
{
    char name[DNS_NAME_TEXT_MAX], class[DNS_MNEMONIC_MAX], type[DNS_MNEMONIC_MAX];
    dns_name_to_text(record->name, DNS_NAME_FINAL_DOT, name);
    buffer_format(out, "%s %u %s %s ", name, (unsigned)dns_ttl_effective(record->type, record->ttl),
                  dns_registry_to_text(DNS_CLASSES, record->class_, class),
                  dns_registry_to_text(DNS_TYPES, record->type, type));
    size_t before = out->length;
    if (dns_rdata_has_layout(record->type) && dns_rdata_fits(record->type, record->data, record->data_length))
        dns_layout_print(record->type, record->data, record->data_length, out);
    if (out->length > before)
        return;
    buffer_format(out, "\\# %u%s", (unsigned)record->data_length, record->data_length ? " " : "");
    dns_hex_write(record->data, record->data_length, out);
}

/* A TTL in seconds, or in BIND's units: 1w2d3h4m5s. False when it is none at all. */
static bool ttl_from_text(const struct dns_token *word, uint64_t *out)
{
    static const char units[] = "smhdw";
    static const uint32_t seconds[] = {1, 60, 3600, 86400, 604800};
    uint64_t total = 0, number = 0;
    bool digits = false;
    if (word->quoted || word->length == 0 || word->text[0] < '0' || word->text[0] > '9')
        return false;
    for (size_t i = 0; i < word->length; i++) {
        uint8_t byte = dns_lower((uint8_t)word->text[i]);
        const char *unit = byte ? strchr(units, byte) : NULL;
        if (byte >= '0' && byte <= '9' && number <= UINT32_MAX) {
            number = number * 10 + (uint64_t)(byte - '0');
            digits = true;
        } else if (unit && digits) {
            total += number * seconds[unit - units];
            number = 0;
            digits = false;
        } else {
            return false;
        }
        if (total > UINT32_MAX)
            return false;
    }
    *out = total + number;
    return *out <= UINT32_MAX;
}

/* Reads [TTL] [class] type, the first two in any order. */
static enum status scan_head(struct dns_scanner *scanner, struct dns_record *out, struct reason *reason)
{
    bool has_ttl = false, has_class = false;
    struct dns_token word;
    for (;;) {
        uint64_t ttl;
        uint16_t class;
        enum status status = dns_scanner_next(scanner, &word, reason);
        if (status == STATUS_NOT_FOUND) {
            reason_set(reason, "record type expected, got nothing");
            return STATUS_MALFORMED;
        }
        if (status)
            return status;
        if (!has_ttl && ttl_from_text(&word, &ttl)) {
            out->ttl = (uint32_t)ttl;
            has_ttl = true;
        } else if (!has_class && dns_registry_from_text(DNS_CLASSES, word.text, word.length, &class) == STATUS_OK) {
            out->class_ = class;
            has_class = true;
        } else {
            break;
        }
    }
    if (dns_registry_from_text(DNS_TYPES, word.text, word.length, &out->type))
        return dns_word_refuse(&word, "record type", reason);
    if (out->type != DNS_TYPE_OPT && out->ttl > DNS_TTL_MAX) {
        reason_set(reason, "TTL from 0 to 2147483647 expected, got %u", (unsigned)out->ttl);
        return STATUS_INVALID;
    }
    return STATUS_OK;
}

static enum status scan_owner(struct dns_scanner *scanner, struct buffer *storage, struct reason *reason)
{
    struct dns_token word;
    struct dns_name name;
    enum status status;
    while ((status = dns_scanner_next(scanner, &word, reason)) == STATUS_NOT_FOUND && dns_scanner_next_line(scanner))
        ;
    if (status == STATUS_NOT_FOUND)
        reason_set(reason, "record expected, got nothing");
    if (status)
        return status == STATUS_NOT_FOUND ? STATUS_MALFORMED : status;
    status = dns_name_from_text(word.text, word.length, &name, reason);
    if (status == STATUS_OK)
        buffer_append(storage, name.wire, name.length);
    return status;
}

/* Nothing but blanks and comments may follow a single record. */
static enum status expect_no_more(struct dns_scanner *scanner, struct reason *reason)
{
    struct dns_token word;
    while (dns_scanner_next_line(scanner)) {
        enum status status = dns_scanner_next(scanner, &word, reason);
        if (status == STATUS_OK)
            return dns_word_refuse(&word, "one record", reason);
        if (status != STATUS_NOT_FOUND)
            return status;
    }
    return STATUS_OK;
}

enum status dns_record_from_text(const char *text, size_t length, struct buffer *storage, struct dns_record *out,
                                 struct reason *reason)
{
    struct dns_scanner scanner = dns_scanner_over(text, length);
    struct dns_record record = {.class_ = DNS_CLASS_IN, .ttl = DNS_DEFAULT_TTL};
    buffer_clear(storage);
    enum status status = scan_owner(&scanner, storage, reason);
    size_t name_length = storage->length;
    if (status == STATUS_OK)
        status = scan_head(&scanner, &record, reason);
    if (status == STATUS_OK)
        status = dns_rdata_scan(record.type, &scanner, storage, reason);
    if (status == STATUS_OK)
        status = expect_no_more(&scanner, reason);
    if (status == STATUS_OK)
        status = buffer_status(storage);
    if (status)
        return status;
    record.name = storage->data;
    record.name_length = (uint8_t)name_length;
    record.data = storage->data + name_length;
    record.data_length = (uint16_t)(storage->length - name_length);
    *out = record;
    return STATUS_OK;
}

enum status dns_rdata_from_text(uint16_t type, const char *text, size_t length, struct buffer *out,
                                struct reason *reason)
{
    struct dns_scanner scanner = dns_scanner_over(text, length);
    size_t before = out->length;
    enum status status = dns_rdata_scan(type, &scanner, out, reason);
    if (status == STATUS_OK)
        status = expect_no_more(&scanner, reason);
    if (status)
        out->length = before;
    return status;
}
