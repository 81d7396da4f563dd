#include "dns/json_read.h"

#include <stdio.h>

enum status json_refuse(const cJSON *json, const char *expected, struct reason *reason)
{
    if (!json)
        reason_set(reason, "missing");
    else if (cJSON_IsString(json))
        reason_set(reason, "%s expected, got '%.60s'%s", expected, json->valuestring,
                   strlen(json->valuestring) > 60 ? "…" : "");
    else if (cJSON_IsNumber(json))
        reason_set(reason, "%s expected, got %.15g", expected, json->valuedouble);
    else if (cJSON_IsBool(json))
        reason_set(reason, "%s expected, got %s", expected, cJSON_IsTrue(json) ? "true" : "false");
    else
        reason_set(reason, "%s expected, got %s", expected,
                   cJSON_IsArray(json)    ? "an array"
                   : cJSON_IsObject(json) ? "an object"
                                          : "null");
    return STATUS_INVALID;
}

enum status json_check_object(const cJSON *json, const char *class, const char *const *keys, struct reason *reason)
{
    if (!cJSON_IsObject(json)) {
        json_refuse(json, "object", reason);
        reason_prefix(reason, "%s: ", class);
        return STATUS_INVALID;
    }
    for (const cJSON *item = json->child; item; item = item->next) {
        const char *const *key = keys;
        while (*key && strcmp(*key, item->string) != 0)
            key++;
        if (!*key) {
            reason_set(reason, "%s has no property '%.60s'", class, item->string);
            return STATUS_INVALID;
        }
        if (cJSON_GetObjectItemCaseSensitive(json, item->string) != item) {
            reason_set(reason, "%s.%s: given twice", class, item->string);
            return STATUS_INVALID;
        }
    }
    return STATUS_OK;
}

enum status json_integer(const cJSON *json, double least, double most, double *out, struct reason *reason)
{
    if (cJSON_IsNumber(json) && json->valuedouble >= least && json->valuedouble <= most &&
        (double)(int64_t)json->valuedouble == json->valuedouble) {
        *out = json->valuedouble;
        return STATUS_OK;
    }
    char expected[64];
    snprintf(expected, sizeof expected, "integer from %.0f to %.0f", least, most);
    return json_refuse(json, expected, reason);
}

enum status json_boolean(const cJSON *json, bool *out, struct reason *reason)
{
    if (!cJSON_IsBool(json))
        return json_refuse(json, "boolean", reason);
    *out = cJSON_IsTrue(json);
    return STATUS_OK;
}

enum status json_registered(const cJSON *json, enum dns_registry registry, uint16_t most, uint16_t *out,
                            struct reason *reason)
{
    double number;
    uint16_t value;
    bool known = false;
    if (cJSON_IsString(json))
        known = dns_registry_from_text(registry, json->valuestring, strlen(json->valuestring), &value) == STATUS_OK &&
                value <= most;
    else if (json_integer(json, 0, most, &number, NULL) == STATUS_OK) {
        value = (uint16_t)number;
        known = true;
    }
    if (!known) {
        char expected[64];
        snprintf(expected, sizeof expected, "integer from 0 to %u or a registered name", (unsigned)most);
        return json_refuse(json, expected, reason);
    }
    *out = value;
    return STATUS_OK;
}

enum status json_name(const cJSON *json, struct buffer *out, uint8_t *length, struct reason *reason)
{
    struct dns_name name;
    if (!cJSON_IsString(json))
        return json_refuse(json, "name", reason);
    enum status status = dns_name_from_text(json->valuestring, strlen(json->valuestring), &name, reason);
    if (status)
        return status;
    buffer_append(out, name.wire, name.length);
    *length = name.length;
    return buffer_status(out);
}

/* How many bytes the UTF-8 character at `text` has; 0 when it is none (RFC 3629 section 4) or NUL. */
static size_t character_length(const uint8_t *text, size_t length)
{
    static const struct {
        uint8_t first, last, second_least, second_most;
        size_t length;
    } forms[] = {{0x01, 0x7f, 0, 0, 1},       {0xc2, 0xdf, 0x80, 0xbf, 2}, {0xe0, 0xe0, 0xa0, 0xbf, 3},
                 {0xe1, 0xec, 0x80, 0xbf, 3}, {0xed, 0xed, 0x80, 0x9f, 3}, {0xee, 0xef, 0x80, 0xbf, 3},
                 {0xf0, 0xf0, 0x90, 0xbf, 4}, {0xf1, 0xf3, 0x80, 0xbf, 4}, {0xf4, 0xf4, 0x80, 0x8f, 4}};
    for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++) {
        if (text[0] < forms[i].first || text[0] > forms[i].last)
            continue;
        if (forms[i].length > length)
            return 0;
        if (forms[i].length > 1 && (text[1] < forms[i].second_least || text[1] > forms[i].second_most))
            return 0;
        for (size_t j = 2; j < forms[i].length; j++)
            if (text[j] >> 6 != 2)
                return 0;
        return forms[i].length;
    }
    return 0;
}

bool json_is_text(const uint8_t *text, size_t length)
{
    while (length > 0) {
        size_t step = character_length(text, length);
        if (step == 0)
            return false;
        text += step;
        length -= step;
    }
    return true;
}

cJSON *json_from_text(const uint8_t *text, size_t length)
{
    struct buffer copy = {0};
    if (!json_is_text(text, length))
        return NULL;
    buffer_append(&copy, text, length);
    const char *string = buffer_c_string(&copy);
    cJSON *made = string ? cJSON_CreateString(string) : NULL;
    buffer_free(&copy);
    return made;
}

bool json_add(cJSON *to, const char *key, cJSON *item)
{
    if (to && item && (key ? cJSON_AddItemToObject(to, key, item) : cJSON_AddItemToArray(to, item)))
        return true;
    cJSON_Delete(item);
    return false;
}
