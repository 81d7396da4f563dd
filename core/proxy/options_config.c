/* Config files: one JSON object, keys as the long names. */
#include "proxy/options_table.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

enum { CONFIG_SIZE_MAX = 4 << 20 };

static const char *json_type_name(const cJSON *json)
{
    static const struct {
        int type;
        const char *name;
    } names[] = {
        {cJSON_False, "false"},     {cJSON_True, "true"},      {cJSON_NULL, "null"},        {cJSON_Number, "a number"},
        {cJSON_String, "a string"}, {cJSON_Array, "an array"}, {cJSON_Object, "an object"},
    };
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if ((json->type & 0xff) == names[i].type)
            return names[i].name;
    }
    return "something else";
}

/* What an option's JSON value may be. */
enum json_form { FORM_BOOLEAN = 1, FORM_NUMBER = 2, FORM_TEXT = 4, FORM_TEXTS = 8, FORM_OBJECT = 16 };

static const struct {
    unsigned forms;
    const char *expected;
} kind_forms[OPTION_KIND_COUNT] = {
    [OPTION_KIND_FLAG] = {FORM_BOOLEAN, "true or false"},
    [OPTION_KIND_TIMES] = {FORM_NUMBER, "number"},
    [OPTION_KIND_INTEGER] = {FORM_NUMBER, "number"},
    [OPTION_KIND_WORKERS] = {FORM_NUMBER | FORM_TEXT, "number or \"auto\""},
    [OPTION_KIND_MEBIBYTES] = {FORM_NUMBER, "number"},
    [OPTION_KIND_SECONDS] = {FORM_NUMBER, "number"},
    [OPTION_KIND_MICROSECONDS] = {FORM_NUMBER, "number"},
    [OPTION_KIND_CHOICE] = {FORM_TEXT, "string"},
    [OPTION_KIND_PREFIXES] = {FORM_TEXTS, "array of strings"},
    [OPTION_KIND_RATE] = {FORM_NUMBER | FORM_TEXT, "number or \"QPS/IPV4/IPV6\""},
    [OPTION_KIND_NAMES] = {FORM_TEXTS, "array of strings"},
    [OPTION_KIND_CUT] = {FORM_BOOLEAN | FORM_TEXT, "true, false or \"IPV4,IPV6\""},
    [OPTION_KIND_TEXT] = {FORM_TEXT, "string"},
    [OPTION_KIND_SHARED] = {FORM_TEXT, "string"},
    [OPTION_KIND_TEXTS] = {FORM_TEXTS, "array of strings"},
    [OPTION_KIND_SETTINGS] = {FORM_TEXTS | FORM_OBJECT, "array of \"NAME=VALUE\" or object"},
    [OPTION_KIND_LISTENS] = {FORM_TEXTS, "array of strings"},
    [OPTION_KIND_UPSTREAMS] = {FORM_TEXTS, "array of strings"},
    [OPTION_KIND_OP_CODES] = {FORM_TEXT, "string"},
    [OPTION_KIND_METRICS] = {FORM_NUMBER | FORM_TEXT, "port number or \"ADDR:PORT\""},
    [OPTION_KIND_DNSTAP] = {FORM_TEXT, "string"},
};

struct config {
    struct option_set *set;
    const char *file;
    const struct option_spec *spec; /* of the key at hand */
    struct reason *reason;
};

static enum status add(const struct config *config, const char *text)
{
    enum option_id id = (enum option_id)(config->spec - options_table);
    enum status status = option_set_add(config->set, id, OPTION_FROM_CONFIG, config->file, text, strlen(text));
    if (status)
        reason_set(config->reason, "out of memory");
    return status;
}

static enum status refuse(const struct config *config, const cJSON *got)
{
    reason_set(config->reason, "%s: %s expected, got %s", config->spec->name, kind_forms[config->spec->kind].expected,
               json_type_name(got));
    return STATUS_INVALID;
}

/* A value that is no array and no object, as text; NULL for others. `number` is room for a number's. */
static const char *scalar_text(const cJSON *json, char number[static 32])
{
    if (cJSON_IsBool(json))
        return cJSON_IsTrue(json) ? "true" : "false";
    if (cJSON_IsString(json))
        return json->valuestring;
    if (!cJSON_IsNumber(json))
        return NULL;
    snprintf(number, 32, "%.15g", json->valuedouble);
    return number;
}

static enum status read_texts(const struct config *config, const cJSON *array)
{
    const cJSON *item;
    enum option_id id = (enum option_id)(config->spec - options_table);
    option_set_clear(config->set, id, OPTION_FROM_CONFIG, config->file);
    cJSON_ArrayForEach(item, array)
    {
        if (!cJSON_IsString(item))
            return refuse(config, item);
        enum status status = add(config, item->valuestring);
        if (status)
            return status;
    }
    return STATUS_OK;
}

static enum status add_setting(const struct config *config, const char *name, const cJSON *value)
{
    char number[32];
    struct buffer setting = {0};
    enum status status = STATUS_NO_MEMORY;
    const char *text = scalar_text(value, number);
    if (!text) {
        reason_set(config->reason, "set: %s: string, number, true, false or an array of them expected, got %s", name,
                   json_type_name(value));
        return STATUS_INVALID;
    }
    buffer_text(&setting, name);
    buffer_text(&setting, "=");
    buffer_text(&setting, text);
    if (buffer_c_string(&setting))
        status = add(config, (const char *)setting.data);
    buffer_free(&setting);
    return status;
}

/* {name: value, name: [value, value]}: an array appends to a list option. */
static enum status read_settings(const struct config *config, const cJSON *object)
{
    const cJSON *member, *item;
    enum status status = STATUS_OK;
    option_set_clear(config->set, OPTION_SET, OPTION_FROM_CONFIG, config->file);
    cJSON_ArrayForEach(member, object)
    {
        if (!cJSON_IsArray(member)) {
            status = add_setting(config, member->string, member);
        } else {
            cJSON_ArrayForEach(item, member)
            {
                status = add_setting(config, member->string, item);
                if (status)
                    break;
            }
        }
        if (status)
            break;
    }
    return status;
}

static enum status read_member(struct config *config, const cJSON *value)
{
    char number[32];
    unsigned forms = kind_forms[config->spec->kind].forms;
    if ((cJSON_IsBool(value) && forms & FORM_BOOLEAN) || (cJSON_IsNumber(value) && forms & FORM_NUMBER) ||
        (cJSON_IsString(value) && forms & FORM_TEXT))
        return add(config, scalar_text(value, number));
    if (cJSON_IsArray(value) && forms & FORM_TEXTS)
        return read_texts(config, value);
    if (cJSON_IsObject(value) && forms & FORM_OBJECT)
        return read_settings(config, value);
    return refuse(config, value);
}

static enum status find_key(struct config *config, const char *key)
{
    config->spec = options_find(key, strlen(key));
    if (!config->spec) {
        const char *nearest = options_nearest(key, OPTION_COMMAND_LINE_ONLY);
        reason_set(config->reason, "unknown key '%s'%s%s%s", key, nearest ? " (did you mean '" : "",
                   nearest ? nearest : "", nearest ? "'?)" : "");
        return STATUS_INVALID;
    }
    if (config->spec->traits & OPTION_COMMAND_LINE_ONLY) {
        reason_set(config->reason, "'%s' is for the command line alone; take it out of this file", key);
        return STATUS_INVALID;
    }
    return STATUS_OK;
}

static enum status read_object(struct config *config, const cJSON *root)
{
    bool seen[OPTION_COUNT] = {false};
    const cJSON *member;
    if (!cJSON_IsObject(root)) {
        reason_set(config->reason, "an object {\"option\": value} expected, got %s", json_type_name(root));
        return STATUS_INVALID;
    }
    cJSON_ArrayForEach(member, root)
    {
        enum status status = find_key(config, member->string);
        if (!status && seen[config->spec - options_table]) {
            reason_set(config->reason, "key '%s' is there twice", member->string);
            status = STATUS_INVALID;
        }
        if (!status) {
            seen[config->spec - options_table] = true;
            status = read_member(config, member);
        }
        if (status)
            return status;
    }
    return STATUS_OK;
}

/* Says where the JSON breaks off, in lines and columns from 1. */
static void locate(const char *text, const char *end, const char *at, struct reason *reason)
{
    unsigned line = 1, column = 1;
    for (; text < at; text++) {
        line += *text == '\n';
        column = *text == '\n' ? 1 : column + 1;
    }
    reason_set(reason, "line %u, column %u: %s", line, column,
               at >= end ? "the JSON ends too early" : "this is no JSON (a comma too many, a quote missing?)");
}

enum status options_config_read(struct option_set *set, const char *file, const char *text, size_t length,
                                struct reason *reason)
{
    enum status status = STATUS_MALFORMED;
    struct config config = {.set = set, .file = file, .reason = reason};
    const char *end = text;
    cJSON *root = cJSON_ParseWithLengthOpts(text, length + 1, &end, false); /* with the NUL, `end` may be the text's */
    const char *rest = end;
    while (root && rest < text + length && strchr(" \t\r\n", *rest) && *rest)
        rest++;
    if (!root || rest != text + length)
        locate(text, text + length, root ? rest : end, reason);
    else
        status = read_object(&config, root);
    cJSON_Delete(root);
    if (status)
        reason_prefix(reason, "%s: ", file);
    return status;
}

enum status options_config_load(struct option_set *set, const char *file, struct reason *reason)
{
    enum status status = STATUS_IO;
    struct buffer text = {0};
    FILE *stream = fopen(file, "re");
    if (!stream) {
        reason_set(reason, "%s: %s", file, strerror(errno));
        return STATUS_IO;
    }
    while (!feof(stream) && !ferror(stream) && text.length <= CONFIG_SIZE_MAX && buffer_reserve(&text, 4096))
        text.length += fread(text.data + text.length, 1, 4096, stream);
    if (ferror(stream))
        reason_set(reason, "%s: %s", file, strerror(errno));
    else if (!buffer_c_string(&text))
        reason_set(reason, "%s: out of memory", file);
    else if (text.length > CONFIG_SIZE_MAX)
        reason_set(reason, "%s: this is no config file: it is larger than %d MiB", file, CONFIG_SIZE_MAX >> 20);
    else
        status = options_config_read(set, file, (const char *)text.data, text.length, reason);
    fclose(stream);
    buffer_free(&text);
    return status;
}
