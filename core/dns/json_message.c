/* Messages as JSON. */
#include "dns/json_read.h"

enum { SECTIONS = 4, OP_CODE_SHIFT = 11, RESERVED_SHIFT = 4, EXTENDED_RCODE_SHIFT = 24, MOST_RESPONSE_CODE = 4095 };

static const char *const section_keys[SECTIONS] = {"questions", "answers", "authorities", "additionals"};

/* The header's bits that are booleans. */
static const struct {
    const char *key;
    uint16_t flag;
    bool inverse; /* true when the bit is clear */
} booleans[] = {
    {"query", DNS_FLAG_QR, true},
    {"authoritative_answer", DNS_FLAG_AA, false},
    {"truncation", DNS_FLAG_TC, false},
    {"recursion_desired", DNS_FLAG_RD, false},
    {"recursion_available", DNS_FLAG_RA, false},
};

enum { BOOLEANS = sizeof booleans / sizeof booleans[0] };

static bool add_boolean(cJSON *json, unsigned index, uint16_t flags)
{
    bool set = (flags & booleans[index].flag) != 0;
    return json_add(json, booleans[index].key, cJSON_CreateBool(set != booleans[index].inverse));
}

static bool add_header(cJSON *json, const struct dns_message *message)
{
    uint16_t flags = message->header.flags, code = dns_message_response_code(message);
    char text[DNS_MNEMONIC_MAX];
    bool good = json_add(json, "id", cJSON_CreateNumber(message->header.id)) && add_boolean(json, 0, flags);
    dns_registry_to_text(DNS_OP_CODES, (uint16_t)((flags & DNS_FLAG_OPCODE) >> OP_CODE_SHIFT), text);
    good = good && json_add(json, "op_code", cJSON_CreateString(text));
    for (unsigned i = 1; good && i < BOOLEANS; i++)
        good = add_boolean(json, i, flags);
    good = good && json_add(json, "reserved", cJSON_CreateNumber((flags & DNS_FLAG_Z) >> RESERVED_SHIFT));
    dns_registry_to_text(DNS_RESPONSE_CODES, code, text);
    return good && json_add(json, "response_code", cJSON_CreateString(text)) &&
           json_add(json, "status_code", cJSON_CreateNumber(dns_http_equivalent(code)));
}

static cJSON *questions_to_json(const struct dns_message *message)
{
    struct dns_reader reader;
    struct dns_question question;
    enum status status;
    cJSON *array = cJSON_CreateArray();
    dns_reader_start_questions(&reader, message);
    while ((status = dns_reader_next_question(&reader, &question)) == STATUS_OK &&
           json_add(array, NULL, dns_question_to_json(&question)))
        ;
    if (status == STATUS_NOT_FOUND)
        return array;
    cJSON_Delete(array);
    return NULL;
}

static cJSON *section_to_json(const struct dns_message *message, enum dns_section section, struct buffer *expanded,
                              size_t *size)
{
    struct dns_reader reader;
    struct dns_record record;
    enum status status;
    cJSON *array = cJSON_CreateArray();
    dns_reader_start(&reader, message, section, expanded);
    while ((status = dns_reader_next(&reader, &record)) == STATUS_OK &&
           json_add(array, NULL, dns_record_to_json(&record)))
        *size += record.data_length;
    if (status == STATUS_NOT_FOUND)
        return array;
    cJSON_Delete(array);
    return NULL;
}

cJSON *dns_message_to_json(const struct dns_message *message, double timestamp)
{
    cJSON *json = cJSON_CreateObject();
    struct buffer expanded = {0};
    size_t size = 0;
    bool good = json && add_header(json, message);
    good = good && json_add(json, section_keys[DNS_SECTION_QUESTION], questions_to_json(message));
    for (unsigned i = DNS_SECTION_ANSWER; good && i <= DNS_SECTION_ADDITIONAL; i++)
        good = json_add(json, section_keys[i], section_to_json(message, (enum dns_section)i, &expanded, &size));
    good = good && json_add(json, "size", cJSON_CreateNumber((double)size));
    if (timestamp >= 0)
        good = good && json_add(json, "timestamp", cJSON_CreateNumber(timestamp));
    buffer_free(&expanded);
    if (good)
        return json;
    cJSON_Delete(json);
    return NULL;
}

/* --- the way back --- */

struct draft {
    struct dns_header header;
    double timestamp;
    bool has_code; /* response_code was given, its upper bits are */
    uint8_t extended_code;
    const cJSON *sections[SECTIONS];
};

static enum status read_codes(const cJSON *json, struct draft *draft, const char **key, struct reason *reason)
{
    const cJSON *op_code = cJSON_GetObjectItemCaseSensitive(json, *key = "op_code");
    uint16_t number = 0;
    enum status status = STATUS_OK;
    if (op_code)
        status = json_registered(op_code, DNS_OP_CODES, DNS_FLAG_OPCODE >> OP_CODE_SHIFT, &number, reason);
    if (status)
        return status;
    draft->header.flags |= (uint16_t)(number << OP_CODE_SHIFT);
    const cJSON *code = cJSON_GetObjectItemCaseSensitive(json, *key = "response_code");
    if (!code)
        return STATUS_OK;
    status = json_registered(code, DNS_RESPONSE_CODES, MOST_RESPONSE_CODE, &number, reason);
    if (status)
        return status;
    draft->has_code = true;
    draft->extended_code = (uint8_t)(number >> 4);
    draft->header.flags |= number & DNS_FLAG_RCODE;
    return STATUS_OK;
}

static enum status read_booleans(const cJSON *json, struct draft *draft, const char **key, struct reason *reason)
{
    for (unsigned i = 0; i < BOOLEANS; i++) {
        uint16_t flag = booleans[i].flag;
        bool value = flag == DNS_FLAG_QR || flag == DNS_FLAG_RD;
        const cJSON *item = cJSON_GetObjectItemCaseSensitive(json, *key = booleans[i].key);
        enum status status = item ? json_boolean(item, &value, reason) : STATUS_OK;
        if (status)
            return status;
        if (value != booleans[i].inverse)
            draft->header.flags |= flag;
    }
    return STATUS_OK;
}

/* Numbers; size and status_code follow from the rest, and are only looked at. */
static enum status read_numbers(const cJSON *json, struct draft *draft, const char **key, struct reason *reason)
{
    static const struct {
        const char *key;
        double most;
    } numbers[] = {{"id", UINT16_MAX}, {"reserved", DNS_FLAG_Z >> RESERVED_SHIFT}, {"status_code", 999}, {"size", 1e9}};
    double values[sizeof numbers / sizeof numbers[0]] = {0};
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        const cJSON *item = cJSON_GetObjectItemCaseSensitive(json, *key = numbers[i].key);
        enum status status = item ? json_integer(item, 0, numbers[i].most, &values[i], reason) : STATUS_OK;
        if (status)
            return status;
    }
    draft->header.id = (uint16_t)values[0];
    draft->header.flags |= (uint16_t)((unsigned)values[1] << RESERVED_SHIFT);
    const cJSON *timestamp = cJSON_GetObjectItemCaseSensitive(json, *key = "timestamp");
    if (!timestamp || cJSON_IsNull(timestamp))
        return STATUS_OK;
    if (!cJSON_IsNumber(timestamp) || !(timestamp->valuedouble >= 0))
        return json_refuse(timestamp, "seconds", reason);
    draft->timestamp = timestamp->valuedouble;
    return STATUS_OK;
}

static enum status read_sections(const cJSON *json, struct draft *draft, const char **key, struct reason *reason)
{
    for (unsigned i = 0; i < SECTIONS; i++) {
        draft->sections[i] = cJSON_GetObjectItemCaseSensitive(json, *key = section_keys[i]);
        if (draft->sections[i] && !cJSON_IsArray(draft->sections[i]))
            return json_refuse(draft->sections[i], "array", reason);
    }
    return STATUS_OK;
}

static enum status read_draft(const cJSON *json, struct draft *draft, struct reason *reason)
{
    static const char *const keys[] = {
        "id",       "query",         "op_code",     "authoritative_answer", "truncation", "recursion_desired",
        "reserved", "response_code", "status_code", "recursion_available",  "questions",  "answers",
        "size",     "timestamp",     "authorities", "additionals",          NULL};
    static enum status (*const readers[])(const cJSON *json, struct draft *draft, const char **key,
                                          struct reason *reason) = {read_numbers, read_booleans, read_codes,
                                                                    read_sections};
    enum status status = json_check_object(json, "DNSMessage", keys, reason);
    for (size_t i = 0; status == STATUS_OK && i < sizeof readers / sizeof readers[0]; i++) {
        const char *key = "";
        status = readers[i](json, draft, &key, reason);
        if (status)
            reason_prefix(reason, "DNSMessage.%s: ", key);
    }
    return status;
}

static enum status at_item(enum status status, const char *section, unsigned number, struct reason *reason)
{
    if (status != STATUS_NO_MEMORY)
        reason_prefix(reason, "DNSMessage.%s[%u]: ", section, number);
    return status;
}

static enum status pack_questions(const struct draft *draft, struct dns_packer *packer, struct buffer *storage,
                                  struct reason *reason)
{
    unsigned number = 1;
    const cJSON *section = draft->sections[DNS_SECTION_QUESTION];
    for (const cJSON *item = section ? section->child : NULL; item; item = item->next, number++) {
        struct dns_question question;
        enum status status = dns_question_from_json(item, storage, &question, reason);
        if (status)
            return at_item(status, "questions", number, reason);
        status = dns_packer_question(packer, &question);
        if (status)
            return status;
    }
    return STATUS_OK;
}

/* The first OPT record of the additional section has the response code's upper bits (RFC 6891 section 6.1.3);
 * `opt_seen` is told of it. */
static enum status pack_section(const struct draft *draft, enum dns_section section, struct dns_packer *packer,
                                struct buffer *storage, bool *opt_seen, struct reason *reason)
{
    unsigned number = 1;
    const cJSON *array = draft->sections[section];
    for (const cJSON *item = array ? array->child : NULL; item; item = item->next, number++) {
        struct dns_record record;
        enum status status = dns_record_from_json(item, storage, &record, reason);
        if (status)
            return at_item(status, section_keys[section], number, reason);
        if (record.type == DNS_TYPE_OPT && section == DNS_SECTION_ADDITIONAL && !*opt_seen) {
            *opt_seen = true;
            if (draft->has_code)
                record.ttl = (record.ttl & 0xffffff) | (uint32_t)draft->extended_code << EXTENDED_RCODE_SHIFT;
        }
        status = dns_packer_record(packer, section, &record);
        if (status == STATUS_MALFORMED) {
            reason_set(reason, "data: domain name expected");
            return at_item(STATUS_INVALID, section_keys[section], number, reason);
        }
        if (status)
            return status;
    }
    return STATUS_OK;
}

enum status dns_message_from_json(const cJSON *json, struct buffer *wire, double *timestamp, struct reason *reason)
{
    struct draft draft = {.timestamp = -1};
    struct dns_packer packer;
    struct buffer storage = {0};
    bool opt_seen = false;
    size_t start = wire->length;
    enum status status = read_draft(json, &draft, reason);
    if (status)
        return status;
    dns_packer_start(&packer, wire, &draft.header, DNS_MESSAGE_MAX);
    status = pack_questions(&draft, &packer, &storage, reason);
    for (unsigned i = DNS_SECTION_ANSWER; status == STATUS_OK && i <= DNS_SECTION_ADDITIONAL; i++)
        status = pack_section(&draft, (enum dns_section)i, &packer, &storage, &opt_seen, reason);
    if (status == STATUS_OK && draft.extended_code && !opt_seen) {
        reason_set(reason, "DNSMessage.response_code: from 0 to 15 expected without an OPT record, got %u",
                   (unsigned)draft.extended_code << 4 | (draft.header.flags & DNS_FLAG_RCODE));
        status = STATUS_INVALID;
    }
    if (status == STATUS_OK)
        status = dns_packer_finish(&packer);
    if (status == STATUS_NO_SPACE)
        reason_set(reason, "DNSMessage: at most 65535 bytes expected");
    if (status)
        wire->length = start;
    else
        *timestamp = draft.timestamp;
    buffer_free(&storage);
    return status;
}
