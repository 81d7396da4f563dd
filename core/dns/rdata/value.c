/* Values: how they are built and read. */
#include "dns/rdata/layout.h"

#include <stdio.h>

struct dns_value *dns_value_group(struct arena *arena, enum dns_value_form form)
{
    struct dns_value *value = arena_alloc(arena, sizeof *value);
    if (value)
        value->form = form;
    return value;
}

struct dns_value *dns_value_number(struct arena *arena, uint64_t number)
{
    struct dns_value *value = dns_value_group(arena, DNS_VALUE_NUMBER);
    if (value)
        value->number = number;
    return value;
}

static struct dns_value *string_value(struct arena *arena, enum dns_value_form form, const void *data, size_t length)
{
    struct dns_value *value = dns_value_group(arena, form);
    uint8_t *copy = arena_copy(arena, data, length);
    if (!value || !copy)
        return NULL;
    value->bytes = (struct span){copy, length};
    return value;
}

struct dns_value *dns_value_text(struct arena *arena, const char *text, size_t length)
{
    return string_value(arena, DNS_VALUE_TEXT, text, length);
}

struct dns_value *dns_value_bytes(struct arena *arena, const uint8_t *data, size_t length)
{
    return string_value(arena, DNS_VALUE_BYTES, data, length);
}

bool dns_value_add(struct dns_value *group, struct dns_value **last, struct dns_value *item)
{
    if (!item)
        return false;
    if (*last)
        (*last)->next = item;
    else
        group->first = item;
    *last = item;
    return true;
}

const struct dns_value *dns_value_get(const struct dns_value *map, const char *key)
{
    if (map->form != DNS_VALUE_MAP)
        return NULL;
    for (const struct dns_value *item = map->first; item; item = item->next)
        if (item->key && strcmp(item->key, key) == 0)
            return item;
    return NULL;
}

bool dns_value_is_string(const struct dns_value *value)
{
    return value->form == DNS_VALUE_TEXT || value->form == DNS_VALUE_BYTES;
}

bool dns_value_is_list(const struct dns_value *value)
{
    return value->form == DNS_VALUE_LIST || (value->form == DNS_VALUE_MAP && !value->first);
}

/* What came, for a person: cut, and bytes that do not print as \DDD. */
static void refuse_text(const char *text, size_t length, const char *expected, struct reason *reason)
{
    enum { SHOWN = 60, ESCAPED = 4 };
    char shown[SHOWN + ESCAPED + 1] = "";
    size_t count = 0, used = 0;
    for (; count < length && used < SHOWN; count++) {
        const uint8_t byte = (uint8_t)text[count];
        used += (size_t)sprintf(shown + used, byte >= ' ' && byte <= '~' ? "%c" : "\\%03u", (unsigned)byte);
    }
    reason_set(reason, "%s expected, got '%s'%s", expected, shown, count < length ? "…" : "");
}

enum status dns_value_refuse(const struct dns_value *value, const char *expected, struct reason *reason)
{
    if (dns_value_is_string(value))
        refuse_text((const char *)value->bytes.data, value->bytes.length, expected, reason);
    else if (value->form == DNS_VALUE_NONE)
        reason_set(reason, "%s expected, got %.*s", expected, (int)value->bytes.length,
                   (const char *)value->bytes.data);
    else if (value->form == DNS_VALUE_NUMBER)
        reason_set(reason, "%s expected, got %llu", expected, (unsigned long long)value->number);
    else if (!value->first)
        reason_set(reason, "%s expected, got an empty table", expected);
    else
        reason_set(reason, "%s expected, got %s", expected, value->form == DNS_VALUE_LIST ? "a list" : "a table");
    return STATUS_INVALID;
}

enum status dns_word_refuse(const struct dns_token *word, const char *expected, struct reason *reason)
{
    refuse_text(word->text, word->length, expected, reason);
    return STATUS_INVALID;
}
