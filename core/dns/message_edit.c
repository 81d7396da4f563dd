/* Edits on the wire of checked messages. */
#include "dns/message.h"

enum {
    OPT_SIZE = 11, /* without options: the root, type, class, TTL, data length */
    OPT_DATA_LENGTH = 9,
    OWN_UDP_SIZE = 1232, /* fits every path (dnsflagday.net/2020) */
    COUNT_ADDITIONAL = 10,
};

static void append_opt(struct buffer *out, uint16_t udp_payload_size, uint16_t response_code, bool dnssec_ok)
{
    buffer_u8(out, 0);
    buffer_u16(out, DNS_TYPE_OPT);
    buffer_u16(out, udp_payload_size);
    buffer_u8(out, (uint8_t)(response_code >> 4));
    buffer_u8(out, 0);
    buffer_u16(out, dnssec_ok ? 0x8000 : 0);
    buffer_u16(out, 0);
}

static void set_additional_count(uint8_t *wire, unsigned count)
{
    store_u16(wire + COUNT_ADDITIONAL, (uint16_t)count);
}

/* Where a record of a checked message ends. */
static size_t record_end(const uint8_t *wire, size_t length, size_t offset)
{
    struct cursor cursor = {.data = wire, .length = length, .offset = offset};
    if (dns_name_skip(&cursor, NULL) != STATUS_OK)
        return length;
    cursor_take(&cursor, 8);
    cursor_take(&cursor, cursor_u16(&cursor));
    return cursor.failed ? length : cursor.offset;
}

/* --- errors --- */

static struct dns_header error_header(const struct dns_header *query, uint16_t response_code)
{
    const unsigned kept = query->flags & (DNS_FLAG_OPCODE | DNS_FLAG_RD | DNS_FLAG_CD);
    return (struct dns_header){
        .id = query->id,
        .flags = (uint16_t)(DNS_FLAG_QR | kept | (response_code & DNS_FLAG_RCODE)),
    };
}

enum status dns_message_make_error(const struct dns_message *query, uint16_t response_code, struct buffer *out)
{
    struct dns_header header = error_header(&query->header, response_code);
    const bool with_opt = query->opt.count > 0;
    const size_t length = query->section[DNS_SECTION_ANSWER];
    if (response_code > 0xfff || (response_code > DNS_FLAG_RCODE && !with_opt))
        return STATUS_INVALID;
    if (with_opt && length + OPT_SIZE > DNS_MESSAGE_MAX)
        return STATUS_NO_SPACE;
    header.counts[DNS_SECTION_QUESTION] = query->header.counts[DNS_SECTION_QUESTION];
    header.counts[DNS_SECTION_ADDITIONAL] = with_opt;
    buffer_clear(out);
    if (!buffer_reserve(out, length + OPT_SIZE))
        return STATUS_NO_MEMORY;
    memcpy(out->data, query->wire, length);
    dns_header_write(out->data, &header);
    out->length = length;
    if (with_opt)
        append_opt(out, OWN_UDP_SIZE, response_code, query->opt.dnssec_ok);
    return buffer_status(out);
}

enum status dns_message_make_formerr(const uint8_t *wire, size_t length, struct buffer *out)
{
    struct dns_header query;
    struct cursor cursor = {.data = wire, .length = length, .offset = DNS_HEADER_SIZE};
    size_t kept = DNS_HEADER_SIZE;
    if (dns_header_read(wire, length, &query) != STATUS_OK || query.flags & DNS_FLAG_QR)
        return STATUS_MALFORMED;
    struct dns_header header = error_header(&query, DNS_RCODE_FORMERR);
    if (query.counts[DNS_SECTION_QUESTION] > 0 && dns_name_skip(&cursor, NULL) == STATUS_OK &&
        cursor_take(&cursor, 4)) {
        kept = cursor.offset;
        header.counts[DNS_SECTION_QUESTION] = 1;
    }
    buffer_clear(out);
    buffer_append(out, wire, kept);
    if (!out->failed)
        dns_header_write(out->data, &header);
    return buffer_status(out);
}

/* --- cutting to size --- */

/* What a message cut to its limit consists of. */
struct cut {
    size_t end;         /* of what stays as it is */
    uint16_t counts[4]; /* in it */
    size_t opt_length;  /* of the OPT record that is put behind it; 0: none */
};

/* Makes `cut` as long as goes when `opt_length` bytes are kept free until OPT itself has been met. */
static void cut_records(const struct dns_message *message, size_t limit, size_t opt_length, struct cut *cut)
{
    size_t at = message->section[DNS_SECTION_ANSWER];
    *cut = (struct cut){.end = at, .opt_length = opt_length};
    cut->counts[DNS_SECTION_QUESTION] = message->header.counts[DNS_SECTION_QUESTION];
    for (enum dns_section section = DNS_SECTION_ANSWER; section <= DNS_SECTION_ADDITIONAL; section++) {
        for (unsigned i = 0; i < message->header.counts[section]; i++) {
            const size_t end = record_end(message->wire, message->length, at);
            const size_t reserved = message->opt.count > 0 && at == message->opt.offset ? 0 : cut->opt_length;
            if (end + reserved > limit)
                return;
            cut->opt_length = reserved;
            cut->counts[section]++;
            cut->end = at = end;
        }
    }
}

/* Puts OPT behind what was kept, its owner the root; of the options as many bytes as were planned. */
static void move_opt(const struct dns_message *message, const struct cut *cut, uint8_t *wire)
{
    const uint8_t *fixed = message->opt.options.data - (OPT_SIZE - 1);
    wire[cut->end] = 0;
    memmove(wire + cut->end + 1, fixed, cut->opt_length - 1);
    store_u16(wire + cut->end + OPT_DATA_LENGTH, (uint16_t)(cut->opt_length - OPT_SIZE));
}

enum status dns_message_truncate(struct buffer *wire, size_t limit)
{
    struct dns_message message;
    struct cut cut = {.end = DNS_HEADER_SIZE};
    if (wire->length <= limit)
        return STATUS_OK;
    if (limit < DNS_HEADER_SIZE)
        return STATUS_NO_SPACE;
    const enum status status = dns_message_parse(wire->data, wire->length, &message, NULL);
    if (status != STATUS_OK)
        return status;
    const size_t questions = message.section[DNS_SECTION_ANSWER];
    size_t opt_length = message.opt.count > 0 ? OPT_SIZE + message.opt.options.length : 0;
    if (questions + opt_length > limit)
        opt_length = message.opt.count > 0 && questions + OPT_SIZE <= limit ? OPT_SIZE : 0;
    if (questions <= limit)
        cut_records(&message, limit, opt_length, &cut);
    if (cut.opt_length > 0) {
        move_opt(&message, &cut, wire->data);
        cut.counts[DNS_SECTION_ADDITIONAL]++;
    }
    struct dns_header header = message.header;
    header.flags |= DNS_FLAG_TC;
    memcpy(header.counts, cut.counts, sizeof header.counts);
    dns_header_write(wire->data, &header);
    wire->length = cut.end + cut.opt_length;
    return STATUS_OK;
}

/* --- OPT --- */

static bool is_listed(uint16_t code, const uint16_t *codes, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (codes[i] == code)
            return true;
    return false;
}

/* Copies the options (RFC 6891 section 6.1.2) that are not listed; `to` may be `from`. What is no option is kept. Gives
 * the length of what was kept. */
static size_t filter_options(uint8_t *to, const uint8_t *from, size_t length, const uint16_t *codes, size_t count)
{
    size_t kept = 0, at = 0;
    while (length - at >= 4 && length - at - 4 >= load_u16(from + at + 2)) {
        const size_t n = 4u + load_u16(from + at + 2);
        if (!is_listed(load_u16(from + at), codes, count)) {
            memmove(to + kept, from + at, n);
            kept += n;
        }
        at += n;
    }
    if (at < length)
        memmove(to + kept, from + at, length - at);
    return kept + length - at;
}

/* What is done about OPT while a message is packed anew: it goes, or the listed options do, or one is added. */
struct opt_edit {
    bool remove;
    const uint16_t *codes;
    size_t count;
    struct span add; /* code and length too */
};

static enum status repack_record(struct dns_packer *packer, enum dns_section section, struct dns_record *record,
                                 const struct opt_edit *edit, struct buffer *options)
{
    if (section == DNS_SECTION_ADDITIONAL && record->type == DNS_TYPE_OPT) {
        if (edit->remove)
            return STATUS_OK;
        buffer_clear(options);
        if (!buffer_reserve(options, record->data_length + 1u))
            return STATUS_NO_MEMORY;
        options->length = filter_options(options->data, record->data, record->data_length, edit->codes, edit->count);
        buffer_append(options, edit->add.data, edit->add.length);
        if (options->failed)
            return STATUS_NO_MEMORY;
        if (options->length > UINT16_MAX)
            return STATUS_NO_SPACE;
        record->data_length = (uint16_t)options->length;
        record->data = options->data;
    }
    return dns_packer_record(packer, section, record);
}

static enum status repack_sections(struct dns_packer *packer, const struct dns_message *message,
                                   const struct opt_edit *edit, struct buffer *expanded, struct buffer *options)
{
    struct dns_reader reader;
    struct dns_question question;
    enum status status;
    dns_reader_start_questions(&reader, message);
    while ((status = dns_reader_next_question(&reader, &question)) == STATUS_OK) {
        status = dns_packer_question(packer, &question);
        if (status != STATUS_OK)
            return status;
    }
    for (enum dns_section section = DNS_SECTION_ANSWER; section <= DNS_SECTION_ADDITIONAL; section++) {
        struct dns_record record;
        dns_reader_start(&reader, message, section, expanded);
        while ((status = dns_reader_next(&reader, &record)) == STATUS_OK) {
            status = repack_record(packer, section, &record, edit, options);
            if (status != STATUS_OK)
                return status;
        }
        if (status != STATUS_NOT_FOUND)
            return status;
    }
    return STATUS_OK;
}

/* Packs the message anew, for where bytes that pointers lead over must go. */
static enum status repack(const struct dns_message *message, const struct opt_edit *edit, struct buffer *wire)
{
    struct buffer packed = {0}, expanded = {0}, options = {0};
    struct dns_packer packer;
    dns_packer_start(&packer, &packed, &message->header, DNS_MESSAGE_MAX);
    enum status status = repack_sections(&packer, message, edit, &expanded, &options);
    if (status == STATUS_OK)
        status = dns_packer_finish(&packer);
    if (status == STATUS_OK) {
        const struct buffer old = *wire;
        *wire = packed;
        packed = old;
    }
    buffer_free(&options);
    buffer_free(&expanded);
    buffer_free(&packed);
    return status;
}

/* Whether OPT is the last record, so that what it loses moves nothing. */
static bool opt_is_last(const struct dns_message *message)
{
    const struct span options = message->opt.options;
    return message->opt.count == 1 && options.data + options.length == message->wire + message->length;
}

enum status dns_message_remove_opt(struct buffer *wire)
{
    struct dns_message message;
    const enum status status = dns_message_parse(wire->data, wire->length, &message, NULL);
    if (status != STATUS_OK || message.opt.count == 0)
        return status;
    if (!opt_is_last(&message))
        return repack(&message, &(struct opt_edit){.remove = true}, wire);
    set_additional_count(wire->data, message.header.counts[DNS_SECTION_ADDITIONAL] - 1u);
    wire->length = message.opt.offset;
    return STATUS_OK;
}

enum status dns_message_add_opt(struct buffer *wire, uint16_t udp_payload_size, uint16_t response_code, bool dnssec_ok)
{
    struct dns_message message;
    const enum status status = dns_message_parse(wire->data, wire->length, &message, NULL);
    if (status != STATUS_OK || message.opt.count > 0)
        return status;
    if (wire->length + OPT_SIZE > DNS_MESSAGE_MAX)
        return STATUS_NO_SPACE;
    if (!buffer_reserve(wire, OPT_SIZE))
        return STATUS_NO_MEMORY;
    append_opt(wire, udp_payload_size, response_code, dnssec_ok);
    set_additional_count(wire->data, message.header.counts[DNS_SECTION_ADDITIONAL] + 1u);
    return STATUS_OK;
}

/* Whether a listed option stands in OPT data. */
static bool has_option(struct span options, const uint16_t *codes, size_t count)
{
    for (size_t at = 0; options.length - at >= 4;) {
        const size_t n = 4u + load_u16(options.data + at + 2);
        if (options.length - at < n)
            return false;
        if (is_listed(load_u16(options.data + at), codes, count))
            return true;
        at += n;
    }
    return false;
}

enum status dns_message_remove_options(struct buffer *wire, const uint16_t *codes, size_t count)
{
    struct dns_message message;
    const enum status status = dns_message_parse(wire->data, wire->length, &message, NULL);
    if (status != STATUS_OK || message.opt.count == 0)
        return status;
    if (!opt_is_last(&message)) {
        if (message.opt.count == 1 && !has_option(message.opt.options, codes, count))
            return STATUS_OK;
        return repack(&message, &(struct opt_edit){.codes = codes, .count = count}, wire);
    }
    const size_t old = message.opt.options.length;
    uint8_t *options = wire->data + (wire->length - old);
    const size_t kept = filter_options(options, options, old, codes, count);
    store_u16(options - 2, (uint16_t)kept);
    wire->length -= old - kept;
    return STATUS_OK;
}

/* Puts a whole option behind those of OPT. */
static enum status append_option(struct buffer *wire, struct span option)
{
    struct dns_message message;
    const enum status status = dns_message_parse(wire->data, wire->length, &message, NULL);
    if (status != STATUS_OK)
        return status;
    if (message.opt.count == 0)
        return STATUS_NOT_FOUND;
    if (wire->length + option.length > DNS_MESSAGE_MAX)
        return STATUS_NO_SPACE;
    if (!opt_is_last(&message))
        return repack(&message, &(struct opt_edit){.add = option}, wire);
    const size_t old = message.opt.options.length, at = wire->length - old;
    buffer_append(wire, option.data, option.length);
    if (wire->failed)
        return STATUS_NO_MEMORY;
    store_u16(wire->data + at - 2, (uint16_t)(old + option.length));
    return STATUS_OK;
}

enum status dns_message_add_option(struct buffer *wire, uint16_t code, const void *data, uint16_t length)
{
    struct buffer option = {0};
    buffer_u16(&option, code);
    buffer_u16(&option, length);
    buffer_append(&option, data, length);
    enum status status = buffer_status(&option);
    if (status == STATUS_OK)
        status = append_option(wire, (struct span){option.data, option.length});
    buffer_free(&option);
    return status;
}

enum status dns_message_add_ede(struct buffer *wire, uint16_t info_code, const char *text)
{
    uint8_t data[2 + DNS_EDE_TEXT_MAX];
    const size_t length = strnlen(text, DNS_EDE_TEXT_MAX);
    store_u16(data, info_code);
    memcpy(data + 2, text, length);
    return dns_message_add_option(wire, DNS_OPTION_EDE, data, (uint16_t)(2 + length));
}

/* --- signatures --- */

bool dns_message_is_signed(const struct dns_message *message)
{
    size_t at = message->section[DNS_SECTION_ADDITIONAL];
    const unsigned count = message->header.counts[DNS_SECTION_ADDITIONAL];
    if (count == 0)
        return false;
    for (unsigned i = 1; i < count; i++)
        at = record_end(message->wire, message->length, at);
    struct cursor cursor = {.data = message->wire, .length = message->length, .offset = at};
    if (dns_name_skip(&cursor, NULL) != STATUS_OK)
        return false;
    const uint16_t type = cursor_u16(&cursor);
    cursor_take(&cursor, 8);
    return type == DNS_TYPE_TSIG || (type == DNS_TYPE_SIG && cursor_u16(&cursor) == 0 && !cursor.failed);
}
