/* dns.ResourceRecord: the data by field, as a Lua table, there and back. */
#include "lua/record_class.h"

#include "dns/rdata.h"

#include <math.h>

enum { DEPTH_MAX = 4 /* of tables in rdata: no layout nests deeper */ };

static const char place[] = "ResourceRecord.rdata";

/* --- to Lua --- */

static void push_value(lua_State *L, const struct dns_value *value);

static void push_list(lua_State *L, const struct dns_value *list)
{
    int count = 0;
    lua_newtable(L);
    for (const struct dns_value *item = list->first; item; item = item->next) {
        push_value(L, item);
        lua_rawseti(L, -2, ++count);
    }
}

static void push_map(lua_State *L, const struct dns_value *map)
{
    lua_newtable(L);
    for (const struct dns_value *item = map->first; item; item = item->next) {
        if (item->key)
            lua_pushstring(L, item->key);
        else
            lua_pushnumber(L, item->key_number);
        push_value(L, item);
        lua_rawset(L, -3);
    }
}

static void push_value(lua_State *L, const struct dns_value *value)
{
    luaL_checkstack(L, 4, NULL);
    switch (value->form) {
    case DNS_VALUE_NUMBER:
        lua_pushnumber(L, (lua_Number)value->number);
        break;
    case DNS_VALUE_TEXT:
    case DNS_VALUE_BYTES:
        lua_pushlstring(L, (const char *)value->bytes.data, value->bytes.length);
        break;
    case DNS_VALUE_LIST:
        push_list(L, value);
        break;
    case DNS_VALUE_MAP:
        push_map(L, value);
        break;
    }
}

void lua_record_get_rdata(lua_State *L, void *self)
{
    const struct lua_record *record = self;
    struct arena *arena = &lua_workspace(L)->arena;
    struct dns_value *fields;
    arena_reset(arena);
    enum status status = dns_rdata_to_value(record->type, record->data.data, record->data.length, arena, &fields);
    if (lua_memory_check(L, status))
        lua_pushnil(L);
    else
        push_value(L, fields);
}

/* --- from Lua: the tree is in the workspace's arena, and borrows the table's strings --- */

static struct dns_value *from_lua(lua_State *L, int index, const char *key, unsigned depth);

static int raise_for_field(lua_State *L, int index, const char *key, const char *expected)
{
    return lua_raise_expected(L, index, key ? lua_pushfstring(L, "%s: %s", place, key) : place, expected);
}

/* Sets the key of an item from the value at -2 of the stack: text, or a number. */
static void set_key(lua_State *L, struct dns_value *item)
{
    if (lua_type(L, -2) == LUA_TSTRING) {
        item->key = lua_tostring(L, -2);
        return;
    }
    double number = lua_type(L, -2) == LUA_TNUMBER ? lua_tonumber(L, -2) : -1;
    if (!(number >= 0 && number <= UINT16_MAX && number == floor(number)))
        raise_for_field(L, lua_gettop(L) - 1, NULL, "field name or number from 0 to 65535");
    item->key_number = (uint32_t)number;
}

static void add_items(lua_State *L, int index, struct dns_value *map, unsigned depth)
{
    struct dns_value **end = &map->first;
    lua_pushnil(L);
    while (lua_next(L, index)) {
        const char *key = lua_type(L, -2) == LUA_TSTRING ? lua_tostring(L, -2) : NULL;
        struct dns_value *item = from_lua(L, lua_gettop(L), key, depth + 1);
        set_key(L, item);
        *end = item;
        end = &item->next;
        lua_pop(L, 1);
    }
}

static void add_list(lua_State *L, int index, const char *key, struct dns_value *list, unsigned depth)
{
    struct dns_value **end = &list->first;
    int count = (int)lua_objlen(L, index);
    for (int i = 1; i <= count; i++) {
        lua_rawgeti(L, index, i);
        struct dns_value *item = from_lua(L, lua_gettop(L), key, depth + 1);
        *end = item;
        end = &item->next;
        lua_pop(L, 1);
    }
}

/* Whether a table has just the keys 1 to n. Service parameters are keyed by number too, and yet no list. */
static bool is_list(lua_State *L, int index, const char *key)
{
    size_t keys = 0;
    if (key && strcmp(key, "params") == 0)
        return false;
    lua_pushnil(L);
    while (lua_next(L, index)) {
        lua_pop(L, 1);
        keys++;
    }
    return keys == lua_objlen(L, index);
}

static struct dns_value *from_lua(lua_State *L, int index, const char *key, unsigned depth)
{
    luaL_checkstack(L, 8, NULL);
    struct dns_value *value = arena_alloc(&lua_workspace(L)->arena, sizeof *value);
    if (!value)
        luaL_error(L, "out of memory");
    double number = lua_tonumber(L, index);
    switch (lua_type(L, index)) {
    case LUA_TNUMBER:
        if (!(number >= 0 && number < 18446744073709551616.0 && number == floor(number)))
            raise_for_field(L, index, key, "integer from 0");
        value->form = DNS_VALUE_NUMBER;
        value->number = (uint64_t)number;
        return value;
    case LUA_TSTRING:
        value->form = DNS_VALUE_TEXT;
        value->bytes.data = (const uint8_t *)lua_tolstring(L, index, &value->bytes.length);
        return value;
    case LUA_TTABLE:
        if (depth >= DEPTH_MAX)
            raise_for_field(L, index, key, "at most three levels of tables");
        value->form = depth > 0 && is_list(L, index, key) ? DNS_VALUE_LIST : DNS_VALUE_MAP;
        if (value->form == DNS_VALUE_LIST)
            add_list(L, index, key, value, depth);
        else
            add_items(L, index, value, depth);
        return value;
    default:
        raise_for_field(L, index, key, "number, string or table");
        return NULL;
    }
}

void lua_rdata_append(lua_State *L, int index, uint16_t type, struct buffer *out, const char *what)
{
    struct reason reason;
    arena_reset(&lua_workspace(L)->arena);
    struct dns_value *fields = from_lua(L, index, NULL, 0);
    if (lua_memory_check(L, dns_rdata_from_value(type, fields, out, &reason)))
        lua_raise_reason(L, what, &reason);
}

/* Whether given data is what reading and setting `rdata` makes of the record's: names read in lower case, so that such
 * a value says nothing about case. */
static bool is_as_read(lua_State *L, const struct lua_record *record, const struct buffer *given)
{
    struct arena *arena = &lua_workspace(L)->arena;
    const struct lua_bytes *had = &record->data;
    struct dns_value *fields;
    struct buffer lowered = {0};
    if (given->length == 0)
        return had->length == 0;
    if (!dns_rdata_equal_caseless(record->type, had->data, had->length, given->data, given->length))
        return false;
    arena_reset(arena);
    bool same = dns_rdata_to_value(record->type, had->data, had->length, arena, &fields) == STATUS_OK &&
                dns_rdata_from_value(record->type, fields, &lowered, NULL) == STATUS_OK &&
                lowered.length == given->length && memcmp(lowered.data, given->data, given->length) == 0;
    buffer_free(&lowered);
    return same;
}

void lua_record_set_rdata(lua_State *L, void *self, int value)
{
    struct lua_record *record = self;
    if (!dns_rdata_has_layout(record->type)) {
        struct reason reason;
        char type[DNS_MNEMONIC_MAX];
        reason_set(&reason, "does not apply to %s records", dns_registry_to_text(DNS_TYPES, record->type, type));
        lua_raise_reason(L, place, &reason);
    }
    lua_check_table(L, value, place);
    struct buffer *out = lua_scratch(L);
    lua_rdata_append(L, value, record->type, out, place);
    if (!is_as_read(L, record, out))
        lua_record_set_data(L, 1, record, out->data, out->length);
}
