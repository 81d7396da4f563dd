/* dns.ResourceRecord: the data by field, as a Lua table, there and back. */
#include "lua/fields.h"
#include "lua/record_class.h"

static const char place[] = "ResourceRecord.rdata";

void lua_record_get_rdata(lua_State *L, void *self)
{
    const struct lua_record *record = self;
    struct arena *arena = &lua_workspace(L)->arena;
    struct dns_value *fields;
    arena_reset(arena);
    enum status status =
        dns_rdata_to_value(lua_record_layout(record), record->data.data, record->data.length, arena, &fields);
    if (lua_memory_check(L, status))
        lua_pushnil(L);
    else
        lua_fields_push(L, fields);
}

void lua_rdata_append(lua_State *L, int index, uint16_t type, struct buffer *out, const char *what)
{
    struct reason reason;
    arena_reset(&lua_workspace(L)->arena);
    struct dns_value *fields = lua_fields_check(L, index, what);
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
    if (!dns_rdata_equal_caseless(lua_record_layout(record), had->data, had->length, given->data, given->length))
        return false;
    arena_reset(arena);
    bool same = dns_rdata_to_value(lua_record_layout(record), had->data, had->length, arena, &fields) == STATUS_OK &&
                dns_rdata_from_value(lua_record_layout(record), fields, &lowered, NULL) == STATUS_OK &&
                lowered.length == given->length && memcmp(lowered.data, given->data, given->length) == 0;
    buffer_free(&lowered);
    return same;
}

void lua_record_set_rdata(lua_State *L, void *self, int value)
{
    struct lua_record *record = self;
    if (!dns_rdata_has_layout(lua_record_layout(record))) {
        struct reason reason;
        char type[DNS_MNEMONIC_MAX];
        reason_set(&reason, "does not apply to %s records", dns_registry_to_text(DNS_TYPES, record->type, type));
        lua_raise_reason(L, place, &reason);
    }
    lua_check_table(L, value, place);
    struct buffer *out = lua_scratch(L);
    lua_rdata_append(L, value, lua_record_layout(record), out, place);
    if (!is_as_read(L, record, out))
        lua_record_set_data(L, 1, record, out->data, out->length);
}
