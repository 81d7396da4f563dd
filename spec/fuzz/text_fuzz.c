/* Record data in all its forms. Text gives a record whose text gives the same; wire data of any type comes back from
 * its text, its JSON, its fields and a message that holds it; a message comes back from its JSON; JSON of any kind
 * gives a record or a reason.
 */
#include "dns/json.h"
#include "messages.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool data_equal(const struct dns_record *a, const struct dns_record *b)
{
    return a->data_length == b->data_length && (a->data_length == 0 || !memcmp(a->data, b->data, a->data_length));
}

static void must_come_back_from_text(const struct dns_record *record)
{
    struct buffer text = {0}, storage = {0};
    struct dns_record back;
    struct reason reason = {""};
    dns_record_to_text(record, &text);
    for (size_t i = 0; i < text.length; i++)
        MUST(text.data[i] >= ' ' && text.data[i] <= '~');
    MUST(dns_record_from_text((const char *)text.data, text.length, &storage, &back, &reason) == STATUS_OK);
    MUST(dns_record_equal(record, &back) && data_equal(record, &back));
    MUST(memcmp(record->name, back.name, record->name_length) == 0);
    buffer_free(&text);
    buffer_free(&storage);
}

static void must_come_back_from_json(const struct dns_record *record)
{
    struct buffer storage = {0};
    struct dns_record back;
    struct reason reason = {""};
    cJSON *json = dns_record_to_json(record);
    MUST(json);
    char *printed = cJSON_PrintUnformatted(json);
    cJSON *parsed = cJSON_Parse(printed);
    MUST(printed && parsed);
    MUST(dns_record_from_json(parsed, &storage, &back, &reason) == STATUS_OK);
    MUST(dns_record_equal(record, &back) && data_equal(record, &back));
    cJSON_Delete(json);
    cJSON_Delete(parsed);
    free(printed);
    buffer_free(&storage);
}

static void must_come_back_from_value(const struct dns_record *record)
{
    struct arena arena = {0};
    struct buffer made = {0};
    struct dns_value *value;
    struct reason reason = {""};
    enum status status = dns_rdata_to_value(record->type, record->data, record->data_length, &arena, &value);
    bool fits = dns_rdata_fits(record->type, record->data, record->data_length);
    MUST(dns_rdata_has_layout(record->type) ? status == (fits ? STATUS_OK : STATUS_MALFORMED)
                                            : status == STATUS_NOT_FOUND && fits);
    if (status == STATUS_OK) {
        MUST(dns_rdata_from_value(record->type, value, &made, &reason) == STATUS_OK);
        MUST(dns_rdata_equal_caseless(record->type, record->data, record->data_length, made.data, made.length));
    }
    arena_free(&arena);
    buffer_free(&made);
}

/* Whatever the data is: a message that holds it is refused, or gives it back. */
static void must_come_back_from_message(const struct dns_record *record)
{
    struct buffer wire = {0}, expanded = {0};
    struct dns_packer packer;
    struct dns_message message;
    struct dns_reader reader;
    struct dns_record back;
    dns_packer_start(&packer, &wire, &(struct dns_header){.flags = DNS_FLAG_QR}, DNS_MESSAGE_MAX);
    MUST(dns_packer_question(&packer, &(struct dns_question){.name = record->name,
                                                             .name_length = record->name_length,
                                                             .type = record->type,
                                                             .class_ = record->class_}) == STATUS_OK);
    enum status status = dns_packer_record(&packer, DNS_SECTION_ANSWER, record);
    MUST(status == STATUS_OK || status == STATUS_MALFORMED);
    MUST(status == STATUS_OK || !dns_rdata_fits(record->type, record->data, record->data_length));
    MUST(dns_packer_finish(&packer) == STATUS_OK);
    MUST(dns_message_parse(wire.data, wire.length, &message, NULL) == STATUS_OK);
    if (status == STATUS_OK) {
        dns_reader_start(&reader, &message, DNS_SECTION_ANSWER, &expanded);
        MUST(dns_reader_next(&reader, &back) == STATUS_OK);
        MUST(dns_record_equal(record, &back) && data_equal(record, &back));
    }
    buffer_free(&wire);
    buffer_free(&expanded);
}

static void must_come_back(const struct dns_record *record)
{
    struct buffer text = {0};
    dns_rdata_to_text(record, &text);
    for (size_t i = 0; i < text.length; i++)
        MUST(text.data[i] >= ' ' && text.data[i] <= '~');
    buffer_free(&text);
    must_come_back_from_text(record);
    must_come_back_from_json(record);
    must_come_back_from_value(record);
    if (record->data_length <= 4096)
        must_come_back_from_message(record);
}

static void try_text(const uint8_t *data, size_t size)
{
    struct buffer storage = {0};
    struct dns_record record;
    struct reason reason = {""};
    if (dns_record_from_text((const char *)data, size, &storage, &record, &reason) == STATUS_OK)
        must_come_back(&record);
    else
        MUST(reason.text[0] != '\0');
    buffer_free(&storage);
}

/* Two bytes choose the type: a registered one, or any. */
static void try_wire(const uint8_t *data, size_t size)
{
    if (size < 3 || size > 4096)
        return;
    size_t count;
    const struct dns_registry_entry *types = dns_registry_entries(DNS_TYPES, &count);
    uint16_t type = data[0] == 0xff ? load_u16(data + 1) : types[data[0] % count].number;
    uint8_t *copy = malloc(size - 2);
    MUST(copy);
    memcpy(copy, data + 2, size - 2);
    struct dns_record record = {.name = (const uint8_t *)"\1X",
                                .name_length = 3,
                                .type = type,
                                .class_ = data[1],
                                .ttl = data[1] * UINT32_C(0x1010101),
                                .data = copy,
                                .data_length = (uint16_t)(size - 2)};
    must_come_back(&record);
    free(copy);
}

static void try_message(const uint8_t *data, size_t size)
{
    struct dns_message message, back;
    struct buffer wire = {0};
    struct reason reason = {""};
    double timestamp = 0;
    bool equal = false;
    if (dns_message_parse(data, size, &message, NULL))
        return;
    cJSON *json = dns_message_to_json(&message, 1.5);
    MUST(json);
    enum status status = dns_message_from_json(json, &wire, &timestamp, &reason);
    MUST(status == STATUS_OK || status == STATUS_NO_SPACE);
    if (status == STATUS_OK) {
        MUST(timestamp == 1.5);
        MUST(dns_message_parse(wire.data, wire.length, &back, &reason) == STATUS_OK);
        MUST(dns_message_equal(&message, &back, &equal) == STATUS_OK && equal);
    }
    cJSON_Delete(json);
    buffer_free(&wire);
}

static void try_json(const uint8_t *data, size_t size)
{
    struct buffer out = {0};
    struct dns_record record;
    struct reason reason = {""}, message_reason = {""};
    double timestamp;
    cJSON *json = cJSON_ParseWithLength((const char *)data, size);
    if (dns_record_from_json(json, &out, &record, &reason) == STATUS_OK)
        must_come_back(&record);
    else
        MUST(reason.text[0] != '\0');
    buffer_clear(&out);
    if (dns_message_from_json(json, &out, &timestamp, &message_reason))
        MUST(message_reason.text[0] != '\0' && out.length == 0);
    buffer_free(&out);
    cJSON_Delete(json);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static void (*const tries[])(const uint8_t *data, size_t size) = {try_text, try_wire, try_message, try_json};
    if (size > 0)
        tries[data[0] % 4](data + 1, size - 1);
    return 0;
}
