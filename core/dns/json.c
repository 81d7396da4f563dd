/* Questions and records as JSON. */
#include "dns/json_read.h"
#include "dns/rdata/encoding.h"
#include "dns/rdata/layout.h"

static bool add_owner(cJSON *json, const uint8_t *name)
{
    char text[DNS_NAME_TEXT_MAX];
    dns_name_to_text(name, DNS_NAME_LOWER, text);
    return json_add(json, "name", cJSON_CreateString(text));
}

static bool add_code(cJSON *json, const char *key, enum dns_registry registry, uint16_t number)
{
    char text[DNS_MNEMONIC_MAX];
    return json_add(json, key, cJSON_CreateString(dns_registry_to_text(registry, number, text)));
}

cJSON *dns_question_to_json(const struct dns_question *question)
{
    cJSON *json = cJSON_CreateObject();
    if (add_owner(json, question->name) && add_code(json, "type", DNS_TYPES, question->type) &&
        add_code(json, "class", DNS_CLASSES, question->class_))
        return json;
    cJSON_Delete(json);
    return NULL;
}

/* --- data --- */

static bool is_text_type(uint16_t type)
{
    return type == DNS_TYPE_TXT || type == DNS_TYPE_SPF;
}

static bool is_svcb_type(uint16_t type)
{
    return type == DNS_TYPE_SVCB || type == DNS_TYPE_HTTPS;
}

/* Whether the data is one name and nothing else. */
static bool is_single_name(uint16_t type)
{
    const struct dns_field *field = dns_layout(type);
    return field && field[0].kind == KIND_NAME && !field[1].name;
}

/* The hex digits of "0x…" or "0x… (invalid TYPE data)"; NULL when the text is neither. */
static const char *hex_part(const char *text, size_t *length)
{
    static const char opening[] = " (invalid ", closing[] = " data)";
    if (strncmp(text, "0x", 2) != 0)
        return NULL;
    *length = strspn(text + 2, "0123456789abcdefABCDEF");
    const char *rest = text + 2 + *length;
    size_t left = strlen(rest);
    bool whole = left == 0 ||
                 (left >= sizeof opening - 1 + sizeof closing - 1 && strncmp(rest, opening, sizeof opening - 1) == 0 &&
                  strcmp(rest + left - (sizeof closing - 1), closing) == 0);
    return *length % 2 == 0 && whole ? text + 2 : NULL;
}

static bool reads_as_hex(const char *text)
{
    size_t length;
    return hex_part(text, &length) != NULL;
}

/* "0x…", and that it is invalid where the type has a layout, so that nobody takes it for the data's text. */
static cJSON *hex_data(const struct dns_record *record, bool invalid)
{
    struct buffer text = {0};
    char type[DNS_MNEMONIC_MAX];
    buffer_text(&text, "0x");
    dns_hex_write(record->data, record->data_length, &text);
    if (invalid)
        buffer_format(&text, " (invalid %s data)", dns_registry_to_text(DNS_TYPES, record->type, type));
    const char *string = buffer_c_string(&text);
    cJSON *json = string ? cJSON_CreateString(string) : NULL;
    buffer_free(&text);
    return json;
}

/* The character-strings: one as text, several, or one that reads as hex, as an array. NULL when JSON cannot hold them.
 */
static cJSON *strings_data(const struct dns_record *record)
{
    struct cursor in = cursor_over(record->data, record->data_length);
    cJSON *array = cJSON_CreateArray();
    while (array && cursor_left(&in) > 0) {
        size_t length = cursor_u8(&in);
        if (!json_add(array, NULL, json_from_text(cursor_take(&in, length), length))) {
            cJSON_Delete(array);
            return NULL;
        }
    }
    if (!array || cJSON_GetArraySize(array) != 1 || reads_as_hex(array->child->valuestring))
        return array;
    cJSON *only = cJSON_DetachItemFromArray(array, 0);
    cJSON_Delete(array);
    return only;
}

static cJSON *layout_data(const struct dns_record *record)
{
    struct buffer text = {0};
    const uint16_t layout = dns_rdata_type(record->type, record->class_);
    dns_layout_print(layout, record->data, record->data_length, &text);
    if (is_single_name(layout) && text.length > 1)
        text.length--;
    const char *string = buffer_c_string(&text);
    cJSON *json = NULL;
    if (string && !reads_as_hex(string))
        json = cJSON_CreateString(string);
    else if (string)
        json = hex_data(record, false);
    buffer_free(&text);
    return json;
}

static cJSON *data_to_json(const struct dns_record *record)
{
    cJSON *json = NULL;
    const uint16_t layout = dns_rdata_type(record->type, record->class_);
    if (!dns_rdata_has_layout(layout))
        return hex_data(record, false);
    if (dns_rdata_fits(layout, record->data, record->data_length)) {
        if (is_text_type(layout))
            json = strings_data(record);
        else if (is_svcb_type(layout))
            json = dns_svcb_to_json(record->data, record->data_length);
        else
            return layout_data(record);
    }
    return json ? json : hex_data(record, true);
}

cJSON *dns_record_to_json(const struct dns_record *record)
{
    cJSON *json = cJSON_CreateObject();
    if (add_owner(json, record->name) && add_code(json, "type", DNS_TYPES, record->type) &&
        add_code(json, "class", DNS_CLASSES, record->class_) &&
        json_add(json, "ttl", cJSON_CreateNumber(dns_ttl_effective(record->type, record->ttl))) &&
        json_add(json, "data", data_to_json(record)))
        return json;
    cJSON_Delete(json);
    return NULL;
}

/* --- the way back --- */

static enum status in_class(enum status status, const char *class, const char *key, struct reason *reason)
{
    if (status && status != STATUS_NO_MEMORY)
        reason_prefix(reason, "%s.%s: ", class, key);
    return status;
}

/* What questions and records have in common: the object's keys checked, name, type and class read. */
static enum status head_from_json(const cJSON *json, const char *class, const char *const *keys, struct buffer *storage,
                                  struct dns_question *out, struct reason *reason)
{
    const cJSON *class_json = cJSON_GetObjectItemCaseSensitive(json, "class");
    buffer_clear(storage);
    *out = (struct dns_question){.class_ = DNS_CLASS_IN};
    enum status status = json_check_object(json, class, keys, reason);
    if (status)
        return status;
    status = in_class(json_name(cJSON_GetObjectItemCaseSensitive(json, "name"), storage, &out->name_length, reason),
                      class, "name", reason);
    if (status == STATUS_OK)
        status = in_class(
            json_registered(cJSON_GetObjectItemCaseSensitive(json, "type"), DNS_TYPES, UINT16_MAX, &out->type, reason),
            class, "type", reason);
    if (status == STATUS_OK && class_json)
        status = in_class(json_registered(class_json, DNS_CLASSES, UINT16_MAX, &out->class_, reason), class, "class",
                          reason);
    return status;
}

enum status dns_question_from_json(const cJSON *json, struct buffer *storage, struct dns_question *out,
                                   struct reason *reason)
{
    static const char *const keys[] = {"name", "type", "class", NULL};
    struct dns_question made;
    enum status status = head_from_json(json, "Question", keys, storage, &made, reason);
    if (status)
        return status;
    made.name = storage->data;
    *out = made;
    return STATUS_OK;
}

static enum status hex_from_text(const char *digits, size_t length, struct buffer *out)
{
    size_t at = out->length;
    buffer_append(out, digits, length);
    if (out->failed)
        return STATUS_NO_MEMORY;
    if (length > 0 && dns_hex_read(out->data + at, &length))
        return STATUS_INVALID;
    out->length = at + length;
    return STATUS_OK;
}

/* Text as character-strings of at most 255 bytes; "" is an empty one. */
static void put_strings(const char *text, size_t length, struct buffer *out)
{
    do {
        size_t part = length < UINT8_MAX ? length : UINT8_MAX;
        buffer_u8(out, (uint8_t)part);
        buffer_append(out, text, part);
        text += part;
        length -= part;
    } while (length > 0);
}

static enum status strings_from_json(const cJSON *json, struct buffer *out, struct reason *reason)
{
    if (!json->child)
        return json_refuse(json, "text or an array of one text or more", reason);
    for (const cJSON *item = json->child; item; item = item->next) {
        if (!cJSON_IsString(item))
            return json_refuse(item, "text", reason);
        put_strings(item->valuestring, strlen(item->valuestring), out);
    }
    return STATUS_OK;
}

static enum status data_from_json(uint16_t type, const cJSON *json, struct buffer *out, struct reason *reason)
{
    if (is_svcb_type(type) && cJSON_IsObject(json))
        return dns_svcb_from_json(json, out, reason);
    if (is_text_type(type) && cJSON_IsArray(json))
        return strings_from_json(json, out, reason);
    if (!cJSON_IsString(json))
        return json_refuse(json, is_svcb_type(type) ? "object or text" : "text", reason);
    size_t length;
    const char *digits = hex_part(json->valuestring, &length);
    if (digits)
        return hex_from_text(digits, length, out);
    if (!dns_rdata_has_layout(type))
        return json_refuse(json, "0x and hex digits", reason);
    length = strlen(json->valuestring);
    if (!is_text_type(type))
        return dns_rdata_from_text(type, json->valuestring, length, out, reason);
    put_strings(json->valuestring, length, out);
    return STATUS_OK;
}

static enum status ttl_from_json(const cJSON *json, uint16_t type, uint32_t *out, struct reason *reason)
{
    double ttl;
    enum status status = json_integer(json, 0, type == DNS_TYPE_OPT ? UINT32_MAX : DNS_TTL_MAX, &ttl, reason);
    if (status == STATUS_OK)
        *out = (uint32_t)ttl;
    return status;
}

enum status dns_record_from_json(const cJSON *json, struct buffer *storage, struct dns_record *out,
                                 struct reason *reason)
{
    static const char class[] = "ResourceRecord";
    static const char *const keys[] = {"name", "type", "class", "ttl", "data", NULL};
    struct dns_question head;
    uint32_t ttl = DNS_DEFAULT_TTL;
    const cJSON *ttl_json = cJSON_GetObjectItemCaseSensitive(json, "ttl");
    enum status status = head_from_json(json, class, keys, storage, &head, reason);
    if (status == STATUS_OK && ttl_json)
        status = in_class(ttl_from_json(ttl_json, head.type, &ttl, reason), class, "ttl", reason);
    if (status == STATUS_OK)
        status = in_class(data_from_json(dns_rdata_type(head.type, head.class_),
                                         cJSON_GetObjectItemCaseSensitive(json, "data"), storage, reason),
                          class, "data", reason);
    if (status == STATUS_OK)
        status = buffer_status(storage);
    if (status == STATUS_OK && storage->length - head.name_length > UINT16_MAX) {
        reason_set(reason, "ResourceRecord.data: at most 65535 bytes expected");
        status = STATUS_INVALID;
    }
    if (status)
        return status;
    *out = (struct dns_record){.name = storage->data,
                               .name_length = head.name_length,
                               .type = head.type,
                               .class_ = head.class_,
                               .ttl = ttl,
                               .data = storage->data + head.name_length,
                               .data_length = (uint16_t)(storage->length - head.name_length)};
    return STATUS_OK;
}
