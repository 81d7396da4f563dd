/* SVCB and HTTPS data as JSON: {priority, target_name, params by name}. */
#include "dns/json_read.h"
#include "dns/rdata/svcb.h"

/* The registry's name with '_' for '-'. */
static const char *key_text(uint16_t key, char out[static DNS_MNEMONIC_MAX])
{
    dns_registry_to_text(DNS_SVC_PARAMS, key, out);
    for (char *at = out; *at; at++)
        if (*at == '-')
            *at = '_';
    return out;
}

static cJSON *json_from_value(const struct dns_value *value)
{
    if (value->form == DNS_VALUE_NUMBER)
        return cJSON_CreateNumber((double)value->number);
    if (dns_value_is_string(value))
        return json_from_text(value->bytes.data, value->bytes.length);
    cJSON *array = cJSON_CreateArray();
    for (const struct dns_value *item = value->first; array && item; item = item->next) {
        if (!json_add(array, NULL, json_from_value(item))) {
            cJSON_Delete(array);
            return NULL;
        }
    }
    return array;
}

static cJSON *json_from_param(uint16_t key, struct span raw, struct arena *arena)
{
    const struct svc_format *format = svc_format(key);
    if (svc_is_flag(key))
        return cJSON_CreateTrue();
    const struct dns_value *value = format->decode(format, raw, arena);
    return value ? json_from_value(value) : NULL;
}

cJSON *dns_svcb_to_json(const uint8_t *data, size_t length)
{
    if (!dns_rdata_fits(DNS_TYPE_SVCB, data, length))
        return NULL;
    cJSON *json = cJSON_CreateObject();
    struct arena arena = {0};
    struct cursor cursor = cursor_over(data, length);
    char name[DNS_NAME_TEXT_MAX], key_name[DNS_MNEMONIC_MAX];
    uint16_t key;
    struct span raw;
    bool good = json_add(json, "priority", cJSON_CreateNumber(cursor_u16(&cursor)));
    cursor_take(&cursor, dns_name_wire_length(data + cursor.offset, cursor_left(&cursor)));
    dns_name_to_text(data + 2, DNS_NAME_PLAIN, name);
    good = good && json_add(json, "target_name", cJSON_CreateString(name));
    while (good && svc_next(&cursor, &key, &raw))
        good = json_add(json, key_text(key, key_name), json_from_param(key, raw, &arena));
    if (!good) {
        cJSON_Delete(json);
        json = NULL;
    }
    arena_free(&arena);
    return json;
}

/* What an empty table of Lua's is: it may have been meant for an array. */
static bool is_empty_object(const cJSON *json)
{
    return cJSON_IsObject(json) && !json->child;
}

/* What is no value of a field becomes NULL, with a reason. */
static struct dns_value *value_from_json(const cJSON *json, bool flag, struct arena *arena, struct reason *reason)
{
    if (flag && cJSON_IsTrue(json))
        return dns_value_number(arena, 1);
    if (cJSON_IsString(json))
        return dns_value_text(arena, json->valuestring, strlen(json->valuestring));
    double number;
    if (!flag && cJSON_IsNumber(json) && json_integer(json, 0, UINT32_MAX, &number, NULL) == STATUS_OK)
        return dns_value_number(arena, (uint64_t)number);
    if (!cJSON_IsArray(json) && !is_empty_object(json)) {
        json_refuse(json, flag ? "true" : "text, number or array", reason);
        return NULL;
    }
    struct dns_value *list = dns_value_group(arena, DNS_VALUE_LIST), *last = NULL;
    for (const cJSON *item = json->child; list && item; item = item->next) {
        if (cJSON_IsArray(item) || is_empty_object(item)) {
            json_refuse(item, "text or number", reason);
            return NULL;
        }
        if (!dns_value_add(list, &last, value_from_json(item, false, arena, reason)))
            return NULL;
    }
    return list;
}

static bool is_flag_name(const char *name)
{
    uint16_t key;
    return dns_registry_from_text(DNS_SVC_PARAMS, name, strlen(name), &key) == STATUS_OK && svc_is_flag(key);
}

/* Puts a key's value where the layout wants it: priority and target_name among the fields, the others into `params`. */
static enum status place(const cJSON *item, struct arena *arena, struct dns_value *fields,
                         struct dns_value **last_field, struct dns_value *params, struct dns_value **last_param,
                         struct reason *reason)
{
    struct reason inner = {"no memory"};
    bool field = strcmp(item->string, "priority") == 0 || strcmp(item->string, "target_name") == 0;
    struct dns_value *value = value_from_json(item, is_flag_name(item->string), arena, &inner);
    if (!value) {
        reason_set(reason, "%.60s: %.150s", item->string, inner.text);
        return STATUS_INVALID;
    }
    value->key = item->string;
    dns_value_add(field ? fields : params, field ? last_field : last_param, value);
    return STATUS_OK;
}

/* In JSON the parameters are not in a field of their own: takes its name off the reason. */
static void without_field(struct reason *reason)
{
    static const char field[] = "params: ";
    const size_t length = sizeof field - 1;
    if (reason && strncmp(reason->text, field, length) == 0)
        memmove(reason->text, reason->text + length, strlen(reason->text + length) + 1);
}

enum status dns_svcb_from_json(const cJSON *json, struct buffer *out, struct reason *reason)
{
    if (!cJSON_IsObject(json))
        return json_refuse(json, "object with priority, target_name and parameters", reason);
    struct arena arena = {0};
    struct dns_value *fields = dns_value_group(&arena, DNS_VALUE_MAP), *last_field = NULL;
    struct dns_value *params = dns_value_group(&arena, DNS_VALUE_MAP), *last_param = NULL;
    enum status status = fields && params ? STATUS_OK : STATUS_NO_MEMORY;
    for (const cJSON *item = json->child; item && status == STATUS_OK; item = item->next)
        status = place(item, &arena, fields, &last_field, params, &last_param, reason);
    if (status == STATUS_OK) {
        params->key = "params";
        dns_value_add(fields, &last_field, params);
        status = dns_rdata_from_value(DNS_TYPE_SVCB, fields, out, reason);
        if (status == STATUS_INVALID)
            without_field(reason);
    }
    arena_free(&arena);
    return status;
}
