#include "dns/text.h"

#include "dns/rdata/encoding.h"
#include "dns/rdata/layout.h"

void dns_rdata_to_text(const struct dns_record *record, struct buffer *out)
{
    const uint16_t layout = dns_rdata_type(record->type, record->class_);
    bool known = dns_rdata_has_layout(layout);
    if (known && dns_rdata_fits(layout, record->data, record->data_length)) {
        dns_layout_print(layout, record->data, record->data_length, out);
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
    const uint16_t layout = dns_rdata_type(record->type, record->class_);
    size_t before = out->length;
    if (dns_rdata_has_layout(layout) && dns_rdata_fits(layout, record->data, record->data_length))
        dns_layout_print(layout, record->data, record->data_length, out);
    if (out->length > before)
        return;
    buffer_format(out, "\\# %u%s", (unsigned)record->data_length, record->data_length ? " " : "");
    dns_hex_write(record->data, record->data_length, out);
}

/* What a word that is no type was meant to be: a TTL or a class out of range, or the type. */
static enum status refuse_head(const struct dns_token *word, bool has_ttl, bool has_class, struct reason *reason)
{
    static const char class[] = "class";
    const size_t prefix = sizeof class - 1;
    const char *text = word->text;
    const size_t sign = word->length > 1 && text[0] == '-';
    size_t i = 0;
    while (i < prefix && i < word->length && dns_lower((uint8_t)text[i]) == (uint8_t) class[i])
        i++;
    if (!has_ttl && !word->quoted && word->length > 0 && text[sign] >= '0' && text[sign] <= '9')
        return dns_word_refuse(word, "TTL from 0 to 2147483647", reason);
    if (!has_class && i == prefix && word->length > prefix && text[prefix] >= '0' && text[prefix] <= '9')
        return dns_word_refuse(word, "class up to CLASS65535", reason);
    return dns_word_refuse(word, "record type", reason);
}

enum status dns_record_scan_head(struct dns_scanner *scanner, struct dns_record *out, bool *has_ttl,
                                 struct reason *reason)
{
    bool has_class = false;
    struct dns_token word;
    *has_ttl = false;
    for (;;) {
        uint32_t ttl;
        uint16_t class;
        enum status status = dns_scanner_next(scanner, &word, reason);
        if (status == STATUS_NOT_FOUND) {
            reason_set(reason, "record type expected, got nothing");
            return STATUS_MALFORMED;
        }
        if (status)
            return status;
        if (!*has_ttl && dns_word_to_seconds(&word, &ttl)) {
            out->ttl = ttl;
            *has_ttl = true;
        } else if (!has_class && dns_registry_from_text(DNS_CLASSES, word.text, word.length, &class) == STATUS_OK) {
            out->class_ = class;
            has_class = true;
        } else {
            break;
        }
    }
    if (dns_registry_from_text(DNS_TYPES, word.text, word.length, &out->type))
        return refuse_head(&word, *has_ttl, has_class, reason);
    if (out->type != DNS_TYPE_OPT && out->ttl > DNS_TTL_MAX) {
        reason_set(reason, "TTL from 0 to 2147483647 expected, got %u", (unsigned)out->ttl);
        return STATUS_INVALID;
    }
    return STATUS_OK;
}

/* A line that begins with a blank has no owner of its own (RFC 1035 section 5.1), and here is none before it. */
static enum status scan_owner(struct dns_scanner *scanner, struct buffer *storage, struct reason *reason)
{
    struct dns_token word;
    struct dns_name name;
    enum status status;
    size_t line;
    do {
        line = scanner->offset;
        status = dns_scanner_next(scanner, &word, reason);
    } while (status == STATUS_NOT_FOUND && dns_scanner_next_line(scanner));
    if (status == STATUS_NOT_FOUND)
        reason_set(reason, "record expected, got nothing");
    if (status)
        return status == STATUS_NOT_FOUND ? STATUS_MALFORMED : status;
    if (scanner->text[line] == ' ' || scanner->text[line] == '\t') {
        reason_set(reason, "owner name at the start of the line expected, got a blank");
        return STATUS_MALFORMED;
    }
    status = dns_word_to_name(&word, NULL, &name, reason);
    if (status == STATUS_OK)
        buffer_append(storage, name.wire, name.length);
    return status;
}

/* Nothing but blanks and comments may follow a single record. */
static enum status expect_no_more(struct dns_scanner *scanner, struct reason *reason)
{
    enum status status = STATUS_OK;
    while (status == STATUS_OK && dns_scanner_next_line(scanner))
        status = dns_scanner_expect_end(scanner, "one record", reason);
    return status;
}

enum status dns_record_from_text(const char *text, size_t length, struct buffer *storage, struct dns_record *out,
                                 struct reason *reason)
{
    struct dns_scanner scanner = dns_scanner_over(text, length);
    struct dns_record record = {.class_ = DNS_CLASS_IN, .ttl = DNS_DEFAULT_TTL};
    bool has_ttl;
    buffer_clear(storage);
    enum status status = scan_owner(&scanner, storage, reason);
    size_t name_length = storage->length;
    if (status == STATUS_OK)
        status = dns_record_scan_head(&scanner, &record, &has_ttl, reason);
    if (status == STATUS_OK)
        status = dns_rdata_scan(dns_rdata_type(record.type, record.class_), &scanner, storage, reason);
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
