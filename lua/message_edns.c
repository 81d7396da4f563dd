/* dns.DNSMessage: EDNS (RFC 6891), which lives in the OPT record among the additionals. */
#include "dns/edns.h"
#include "lua/fields.h"
#include "lua/message_object.h"
#include "lua/registries.h"

enum {
    PAYLOAD_SIZE = 1232, /* what scripts get that name none: fits any path without fragments */
    TTL_CODE_SHIFT = 24,
    TTL_VERSION_SHIFT = 16,
    TTL_DNSSEC_OK = 0x8000,
    CODE_IN_HEADER = DNS_FLAG_RCODE,
    CODE_SHIFT = 4, /* of the upper bits */
};

static const char place[] = "DNSMessage.edns";

bool lua_message_find_opt(lua_State *L, int index, struct dns_record *out)
{
    struct lua_message_walk walk;
    struct dns_record record;
    enum status status;
    struct lua_message *self = lua_class_test(L, index, &lua_message_class);
    if (lua_message_walk_start(&walk, L, index, self, DNS_SECTION_ADDITIONAL, lua_scratch(L), NULL))
        return false;
    /* A wrong element is passed over: packing will name it. */
    while ((status = lua_message_walk_record(&walk, &record, NULL)) != STATUS_NOT_FOUND) {
        if (status == STATUS_OK && record.type == DNS_TYPE_OPT) {
            *out = record;
            break;
        }
    }
    lua_message_walk_end(&walk);
    return status == STATUS_OK;
}

/* The response code with OPT's upper bits (RFC 6891 section 6.1.3). */
static uint16_t response_code_of(lua_State *L, int index)
{
    const struct lua_message *self = lua_class_test(L, index, &lua_message_class);
    struct dns_record opt;
    uint32_t upper = lua_message_find_opt(L, index, &opt) ? opt.ttl >> TTL_CODE_SHIFT : 0;
    return (uint16_t)(upper << CODE_SHIFT | (self->flags & CODE_IN_HEADER));
}

/* The OPT record's object in the table at the top, and its place; NULL when there is none. Its table keeps it alive. */
static struct lua_record *find_opt_object(lua_State *L, int *out_place)
{
    int count = (int)lua_objlen(L, -1);
    for (int i = 1; i <= count; i++) {
        lua_rawgeti(L, -1, i);
        struct lua_record *record = lua_class_test(L, -1, &lua_record_class);
        lua_pop(L, 1);
        if (record && record->type == DNS_TYPE_OPT) {
            *out_place = i;
            return record;
        }
    }
    return NULL;
}

static uint32_t opt_ttl(uint32_t upper_code, uint32_t version, bool dnssec_ok)
{
    return upper_code << TTL_CODE_SHIFT | version << TTL_VERSION_SHIFT | (dnssec_ok ? TTL_DNSSEC_OK : 0);
}

static void append_opt(lua_State *L, int index, uint16_t class_, uint32_t ttl, struct span options)
{
    static const uint8_t root[] = {0};
    struct dns_record opt = {
        .name = root,
        .name_length = 1,
        .type = DNS_TYPE_OPT,
        .class_ = class_,
        .ttl = ttl,
        .data = options.data,
        .data_length = (uint16_t)options.length,
    };
    lua_record_push(L, &opt);
    lua_message_push_section(L, index, DNS_SECTION_ADDITIONAL);
    lua_insert(L, -2);
    lua_rawseti(L, -2, (int)lua_objlen(L, -2) + 1);
    lua_pop(L, 1);
}

void lua_message_add_opt(lua_State *L, int index, uint16_t response_code, bool dnssec_ok)
{
    append_opt(L, index, PAYLOAD_SIZE, opt_ttl(response_code >> CODE_SHIFT, 0, dnssec_ok), (struct span){0});
}

/* --- response_code --- */

void lua_message_get_response_code(lua_State *L, void *self)
{
    (void)self;
    lua_pushinteger(L, response_code_of(L, 1));
}

void lua_message_set_response_code(lua_State *L, void *self, int value)
{
    static const char what[] = "DNSMessage.response_code";
    struct lua_message *message = self;
    struct dns_record opt;
    uint32_t code = lua_check_registered(L, value, DNS_RESPONSE_CODES, what), upper = code >> CODE_SHIFT;
    bool has_opt = lua_message_find_opt(L, 1, &opt);
    if (upper && !has_opt)
        lua_raise_expected(L, value, what, "without edns, response code from 0 to 15");
    if (has_opt && opt.ttl >> TTL_CODE_SHIFT != upper) {
        int at;
        lua_message_push_section(L, 1, DNS_SECTION_ADDITIONAL);
        struct lua_record *record = find_opt_object(L, &at);
        lua_record_set_ttl(record, upper << TTL_CODE_SHIFT | (record->ttl & 0xffffff));
        lua_pop(L, 1);
    }
    message->flags = (uint16_t)((message->flags & ~(unsigned)DNS_FLAG_RCODE) | (code & CODE_IN_HEADER));
}

/* --- edns --- */

/* Sets the fields of an option that has a layout, and fits it, in the table at the top. */
static void set_fields(lua_State *L, uint16_t code, const uint8_t *data, size_t length)
{
    struct arena *arena = &lua_workspace(L)->arena;
    struct dns_value *fields;
    arena_reset(arena);
    if (lua_memory_check(L, dns_option_to_value(code, data, length, arena, &fields)))
        return;
    lua_fields_push(L, fields);
    lua_setfield(L, -2, dns_option_key(code));
}

/* Pushes the array of {code, data, and the fields by the option's name}, as far as the options are whole. */
static void push_options(lua_State *L, struct span options)
{
    struct cursor cursor = cursor_over(options.data, options.length);
    int count = 0;
    lua_newtable(L);
    while (cursor_left(&cursor)) {
        uint16_t code = cursor_u16(&cursor), length = cursor_u16(&cursor);
        const uint8_t *data = cursor_take(&cursor, length);
        if (cursor.failed)
            break;
        lua_createtable(L, 0, 3);
        lua_pushinteger(L, code);
        lua_setfield(L, -2, "code");
        lua_pushlstring(L, (const char *)data, length);
        lua_setfield(L, -2, "data");
        set_fields(L, code, data, length);
        lua_rawseti(L, -2, ++count);
    }
}

void lua_message_get_edns(lua_State *L, void *self)
{
    struct dns_record opt;
    (void)self;
    if (!lua_message_find_opt(L, 1, &opt)) {
        lua_pushnil(L);
        return;
    }
    lua_createtable(L, 0, 4);
    lua_pushinteger(L, opt.class_);
    lua_setfield(L, -2, "udp_payload_size");
    lua_pushinteger(L, opt.ttl >> TTL_VERSION_SHIFT & 0xff);
    lua_setfield(L, -2, "version");
    lua_pushboolean(L, (opt.ttl & TTL_DNSSEC_OK) != 0);
    lua_setfield(L, -2, "dnssec_ok");
    push_options(L, (struct span){opt.data, opt.data_length});
    lua_setfield(L, -2, "options");
}

enum { OPTION_NAMES_MAX = 64 };

/* Whether the option's table has its fields; raises for a key that is no option's name. */
static bool has_fields(lua_State *L, int option, const char *what)
{
    const char *keys[OPTION_NAMES_MAX + 3] = {"code", "data"};
    size_t count, used = 2;
    const struct dns_registry_entry *entries = dns_registry_entries(DNS_EDNS_OPTIONS, &count);
    bool found = false;
    for (size_t i = 0; i < count && used < OPTION_NAMES_MAX + 2; i++) {
        keys[used] = dns_option_key(entries[i].number);
        used += keys[used] != NULL;
    }
    keys[used] = NULL;
    lua_check_keys(L, option, keys, what);
    for (size_t i = 2; i < used && !found; i++) {
        lua_getfield(L, option, keys[i]);
        found = !lua_isnil(L, -1);
        lua_pop(L, 1);
    }
    return found;
}

static void append_fields(lua_State *L, int option, struct span had, struct buffer *out, const char *what)
{
    struct reason reason;
    arena_reset(&lua_workspace(L)->arena);
    const struct dns_value *entry = lua_fields_check(L, option, what);
    if (lua_memory_check(L, dns_option_from_entry(entry, had, out, &reason)))
        lua_raise_reason(L, what, &reason);
}

static void append_bytes(lua_State *L, int option, struct buffer *out, const char *what)
{
    size_t length;
    lua_getfield(L, option, "code");
    lua_getfield(L, option, "data");
    int code_at = lua_gettop(L) - 1, data_at = code_at + 1;
    uint16_t code = (uint16_t)lua_check_integer(L, code_at, 0, UINT16_MAX, lua_pushfstring(L, "%s.code", what));
    const char *data = lua_check_text(L, data_at, &length, lua_pushfstring(L, "%s.data", what));
    if (length > UINT16_MAX)
        lua_raise_expected(L, option, what, "at most 65535 bytes of options");
    buffer_u16(out, code);
    buffer_u16(out, (uint16_t)length);
    buffer_append(out, data, length);
}

/* Appends the option that the value at the top stands for, and pops it. */
static void append_option(lua_State *L, int number, struct span had, struct buffer *out)
{
    const char *what = lua_pushfstring(L, "%s.options[%d]", place, number);
    int option = lua_gettop(L) - 1;
    lua_check_table(L, option, what);
    if (has_fields(L, option, what))
        append_fields(L, option, had, out, what);
    else
        append_bytes(L, option, out, what);
    if (out->length > UINT16_MAX)
        lua_raise_expected(L, option, what, "at most 65535 bytes of options");
    lua_settop(L, option - 1);
}

static void append_options(lua_State *L, int table, struct span had, struct buffer *out)
{
    lua_getfield(L, table, "options");
    if (!lua_isnil(L, -1)) {
        if (lua_type(L, -1) != LUA_TTABLE)
            lua_raise_expected(L, -1, "DNSMessage.edns.options", "array of {code=, data=}");
        int count = (int)lua_objlen(L, -1);
        for (int i = 1; i <= count; i++) {
            lua_rawgeti(L, -1, i);
            append_option(L, i, had, out);
        }
    }
    lua_pop(L, 1);
}

/* The field that `what` ends with. */
static int64_t number_field(lua_State *L, int table, const char *what, int64_t most, int64_t missing)
{
    int64_t number = missing;
    int top = lua_gettop(L);
    lua_getfield(L, table, what + sizeof place);
    if (!lua_isnil(L, -1))
        number = lua_check_integer(L, -1, 0, most, what);
    lua_settop(L, top);
    return number;
}

static bool dnssec_field(lua_State *L, int table)
{
    lua_getfield(L, table, "dnssec_ok");
    bool dnssec_ok = !lua_isnil(L, -1) && lua_check_boolean(L, -1, "DNSMessage.edns.dnssec_ok");
    lua_pop(L, 1);
    return dnssec_ok;
}

static void remove_opt(lua_State *L, int index)
{
    int at;
    struct dns_record opt;
    if (response_code_of(L, index) > DNS_FLAG_RCODE) {
        struct reason reason;
        reason_set(&reason, "cannot be removed while the response code is above 15");
        lua_raise_reason(L, place, &reason);
    }
    if (!lua_message_find_opt(L, index, &opt))
        return;
    lua_message_push_section(L, index, DNS_SECTION_ADDITIONAL);
    while (find_opt_object(L, &at)) {
        int count = (int)lua_objlen(L, -1);
        for (; at < count; at++) {
            lua_rawgeti(L, -1, at + 1);
            lua_rawseti(L, -2, at);
        }
        lua_pushnil(L);
        lua_rawseti(L, -2, count);
    }
    lua_pop(L, 1);
}

void lua_message_set_edns(lua_State *L, void *self, int value)
{
    static const char *const keys[] = {"udp_payload_size", "version", "dnssec_ok", "options", NULL};
    struct dns_record had;
    int at;
    (void)self;
    if (lua_isnil(L, value)) {
        remove_opt(L, 1);
        return;
    }
    lua_check_table(L, value, place);
    lua_check_keys(L, value, keys, place);
    uint16_t size = (uint16_t)number_field(L, value, "DNSMessage.edns.udp_payload_size", UINT16_MAX, PAYLOAD_SIZE);
    uint32_t version = (uint32_t)number_field(L, value, "DNSMessage.edns.version", UINT8_MAX, 0);
    bool dnssec_ok = dnssec_field(L, value);
    bool has_opt = lua_message_find_opt(L, 1, &had);
    uint32_t kept =
        has_opt ? had.ttl & 0xff007fff : 0; /* the upper bits of the response code, and flags without a name */
    uint32_t ttl = kept | opt_ttl(0, version, dnssec_ok);
    lua_message_push_section(L, 1, DNS_SECTION_ADDITIONAL); /* decoding uses the scratch buffer too */
    struct lua_record *record = find_opt_object(L, &at);
    struct buffer *options = lua_scratch(L);
    append_options(L, value, record ? (struct span){record->data.data, record->data.length} : (struct span){0},
                   options);
    (void)lua_memory_check(L, buffer_status(options));
    if (!record) {
        append_opt(L, 1, size, ttl, (struct span){options->data, options->length});
        return;
    }
    lua_rawgeti(L, -1, at);
    lua_record_set_data(L, lua_gettop(L), record, options->data, options->length);
    lua_record_set_class(record, size);
    lua_record_set_ttl(record, ttl);
}
