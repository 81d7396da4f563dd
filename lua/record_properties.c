/* dns.ResourceRecord: the record's data as text, addresses, a name, service parameters. */
#include "lua/record_class.h"

#include "dns/json.h"
#include "dns/rdata.h"
#include "lua/svcb.h"

enum { STRING_MAX = 255 };

/* Whether the record is of the type, or of one that may hold anything. */
static bool is_of(const struct lua_record *record, uint16_t type)
{
    const uint16_t layout = lua_record_layout(record);
    return layout == type || !dns_rdata_has_layout(layout);
}

static bool is_of_either(const struct lua_record *record, uint16_t type, uint16_t other)
{
    return is_of(record, type) || record->type == other;
}

/* Raises unless the property applies to the record. */
static void check_applies(lua_State *L, const struct lua_record *record, bool applies, const char *what)
{
    struct reason reason;
    char type[DNS_MNEMONIC_MAX];
    if (applies)
        return;
    reason_set(&reason, "does not apply to %s records", dns_registry_to_text(DNS_TYPES, record->type, type));
    lua_raise_reason(L, what, &reason);
}

/* --- character-strings (RFC 1035 section 3.3) --- */

void lua_strings_append(struct buffer *out, const char *text, size_t length)
{
    do {
        size_t piece = length < STRING_MAX ? length : STRING_MAX;
        buffer_u8(out, (uint8_t)piece);
        buffer_append(out, text, piece);
        text += piece;
        length -= piece;
    } while (length > 0);
}

void lua_strings_append_array(lua_State *L, int index, struct buffer *out, const char *what)
{
    int count = (int)lua_objlen(L, index), item = lua_gettop(L) + 1;
    if (count == 0)
        lua_raise_expected(L, index, what, "array of at least one string");
    for (int i = 1; i <= count; i++) {
        lua_rawgeti(L, index, i);
        if (lua_type(L, -1) != LUA_TSTRING)
            lua_raise_expected(L, item, lua_pushfstring(L, "%s[%d]", what, i), "string");
        size_t length;
        const char *text = lua_tolstring(L, -1, &length);
        lua_strings_append(out, text, length);
        lua_pop(L, 1);
    }
}

static bool has_strings(const struct lua_record *record)
{
    return record->type == DNS_TYPE_TXT || record->type == DNS_TYPE_SPF;
}

void lua_record_get_text(lua_State *L, void *self)
{
    const struct lua_record *record = self;
    struct cursor cursor = cursor_over(record->data.data, record->data.length);
    if (!dns_rdata_has_layout(lua_record_layout(record))) {
        lua_pushlstring(L, (const char *)record->data.data, record->data.length);
        return;
    }
    struct buffer *out = lua_scratch(L);
    while (has_strings(record) && cursor_left(&cursor)) {
        uint8_t length = cursor_u8(&cursor);
        const uint8_t *string = cursor_take(&cursor, length);
        if (string)
            buffer_append(out, string, length);
    }
    (void)lua_memory_check(L, buffer_status(out));
    if (cursor.failed || !cursor.offset)
        lua_pushnil(L);
    else
        lua_pushlstring(L, (const char *)out->data, out->length);
}

void lua_record_set_text(lua_State *L, void *self, int value)
{
    struct lua_record *record = self;
    bool plain = !dns_rdata_has_layout(lua_record_layout(record));
    size_t length;
    check_applies(L, record, plain || has_strings(record), "ResourceRecord.text");
    const char *text = lua_check_text(L, value, &length, "ResourceRecord.text");
    struct buffer *out = lua_scratch(L);
    if (plain)
        buffer_append(out, text, length);
    else
        lua_strings_append(out, text, length);
    (void)lua_memory_check(L, buffer_status(out));
    lua_record_set_data(L, 1, record, out->data, out->length);
}

void lua_record_get_strings(lua_State *L, void *self)
{
    const struct lua_record *record = self;
    struct cursor cursor = cursor_over(record->data.data, record->data.length);
    int count = 0;
    if (!has_strings(record) || !dns_rdata_fits(record->type, record->data.data, record->data.length)) {
        lua_pushnil(L);
        return;
    }
    lua_newtable(L);
    while (cursor_left(&cursor)) {
        uint8_t length = cursor_u8(&cursor);
        lua_pushlstring(L, (const char *)cursor_take(&cursor, length), length);
        lua_rawseti(L, -2, ++count);
    }
}

void lua_record_set_strings(lua_State *L, void *self, int value)
{
    struct lua_record *record = self;
    check_applies(L, record, has_strings(record), "ResourceRecord.strings");
    if (lua_type(L, value) != LUA_TTABLE)
        lua_raise_expected(L, value, "ResourceRecord.strings", "array of strings");
    struct buffer *out = lua_scratch(L);
    lua_strings_append_array(L, value, out, "ResourceRecord.strings");
    (void)lua_memory_check(L, buffer_status(out));
    lua_record_set_data(L, 1, record, out->data, out->length);
}

/* --- addresses and names --- */

static void get_address(lua_State *L, const struct lua_record *record, uint16_t type, sa_family_t family, size_t size)
{
    if (is_of(record, type) && record->data.length == size)
        lua_address_push(L, family, record->data.data);
    else
        lua_pushnil(L);
}

static void set_address(lua_State *L, struct lua_record *record, int value, uint16_t type, sa_family_t family,
                        const char *what)
{
    struct address address;
    check_applies(L, record, is_of(record, type), what);
    lua_address_check(L, value, family, &address, what);
    lua_record_set_data(L, 1, record, address.bytes, family == AF_INET ? 4 : 16);
}

void lua_record_get_ipv4_address(lua_State *L, void *self)
{
    get_address(L, self, DNS_TYPE_A, AF_INET, 4);
}

void lua_record_set_ipv4_address(lua_State *L, void *self, int value)
{
    set_address(L, self, value, DNS_TYPE_A, AF_INET, "ResourceRecord.ipv4_address");
}

void lua_record_get_ipv6_address(lua_State *L, void *self)
{
    get_address(L, self, DNS_TYPE_AAAA, AF_INET6, 16);
}

void lua_record_set_ipv6_address(lua_State *L, void *self, int value)
{
    set_address(L, self, value, DNS_TYPE_AAAA, AF_INET6, "ResourceRecord.ipv6_address");
}

static bool has_domain_name(const struct lua_record *record)
{
    return is_of_either(record, DNS_TYPE_CNAME, DNS_TYPE_NS) || record->type == DNS_TYPE_PTR ||
           record->type == DNS_TYPE_DNAME;
}

void lua_record_get_domain_name(lua_State *L, void *self)
{
    const struct lua_record *record = self;
    size_t length = record->data.length;
    if (has_domain_name(record) && length && dns_name_wire_length(record->data.data, length) == length)
        lua_name_push(L, record->data.data, DNS_NAME_LOWER);
    else
        lua_pushnil(L);
}

void lua_record_set_domain_name(lua_State *L, void *self, int value)
{
    struct lua_record *record = self;
    struct dns_name name;
    check_applies(L, record, has_domain_name(record), "ResourceRecord.domain_name");
    lua_name_check(L, value, &name, "ResourceRecord.domain_name");
    lua_record_set_data(L, 1, record, name.wire, name.length);
}

/* --- service parameters (RFC 9460) --- */

static bool has_params(const struct lua_record *record)
{
    return is_of_either(record, DNS_TYPE_HTTPS, DNS_TYPE_SVCB);
}

static bool find_param(const struct lua_record *record, uint16_t key, struct span *out)
{
    struct svcb svcb;
    return has_params(record) && svcb_read(record->data.data, record->data.length, &svcb) && svcb_find(&svcb, key, out);
}

/* Sets the parameter, or takes it out when `value` is NULL. Data that has no parameters to take out stays. */
static void set_param(lua_State *L, struct lua_record *record, uint16_t key, const struct span *value, const char *what)
{
    struct svcb svcb;
    if (!svcb_read(record->data.data, record->data.length, &svcb)) {
        if (!value)
            return;
        struct reason reason;
        reason_set(&reason, "the record's data is no valid SVCB data");
        lua_raise_reason(L, what, &reason);
    }
    struct buffer out = {0}, *scratch = &lua_workspace(L)->scratch;
    svcb_write_with(&svcb, key, value, &out);
    /* The value may lie in the scratch buffer, so the data is put together elsewhere and then takes its place. */
    buffer_clear(scratch);
    buffer_append(scratch, out.data, out.length);
    scratch->failed |= out.failed;
    buffer_free(&out);
    (void)lua_memory_check(L, buffer_status(scratch));
    lua_record_set_data(L, 1, record, scratch->data, scratch->length);
}

void lua_record_get_https_alpn(lua_State *L, void *self)
{
    struct span value;
    int count = 0;
    if (!find_param(self, SVCB_ALPN, &value)) {
        lua_pushnil(L);
        return;
    }
    struct cursor cursor = cursor_over(value.data, value.length);
    lua_newtable(L);
    while (cursor_left(&cursor)) {
        uint8_t length = cursor_u8(&cursor);
        const uint8_t *id = cursor_take(&cursor, length);
        if (!id)
            break;
        lua_pushlstring(L, (const char *)id, length);
        lua_rawseti(L, -2, ++count);
    }
    if (cursor.failed)
        lua_pushnil(L);
}

static void append_protocol(lua_State *L, int index, int number, struct buffer *out)
{
    size_t length = 0;
    const char *id = lua_type(L, index) == LUA_TSTRING ? lua_tolstring(L, index, &length) : NULL;
    if (length < 1 || length > STRING_MAX)
        lua_raise_expected(L, index, lua_pushfstring(L, "ResourceRecord.https_alpn[%d]", number),
                           "protocol id of 1 to 255 bytes");
    buffer_u8(out, (uint8_t)length);
    buffer_append(out, id, length);
}

void lua_record_set_https_alpn(lua_State *L, void *self, int value)
{
    static const char what[] = "ResourceRecord.https_alpn";
    struct lua_record *record = self;
    check_applies(L, record, has_params(record), what);
    if (lua_isnil(L, value)) {
        set_param(L, record, SVCB_ALPN, NULL, what);
        return;
    }
    int count = lua_type(L, value) == LUA_TTABLE ? (int)lua_objlen(L, value) : 0;
    if (count == 0)
        lua_raise_expected(L, value, what, "array of protocol ids");
    struct buffer *out = lua_scratch(L);
    for (int i = 1; i <= count; i++) {
        lua_rawgeti(L, value, i);
        append_protocol(L, lua_gettop(L), i, out);
        lua_pop(L, 1);
    }
    (void)lua_memory_check(L, buffer_status(out));
    struct span param = {out->data, out->length};
    set_param(L, record, SVCB_ALPN, &param, what);
}

/* Base64 is the codec's business: the parameter goes there and back as a record of its own. */
void lua_record_get_https_ech(lua_State *L, void *self)
{
    static const uint8_t root[] = {0};
    const struct svcb alone = {.priority = 1, .target = {root, 1}};
    struct span value;
    if (!find_param(self, SVCB_ECH, &value)) {
        lua_pushnil(L);
        return;
    }
    struct buffer *data = lua_scratch(L);
    svcb_write_with(&alone, SVCB_ECH, &value, data);
    cJSON *json = data->failed ? NULL : dns_svcb_to_json(data->data, data->length);
    const char *text = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(json, "ech"));
    buffer_clear(data);
    if (text)
        buffer_text(data, text);
    cJSON_Delete(json);
    if (text && !data->failed)
        lua_pushlstring(L, (const char *)data->data, data->length);
    else
        lua_pushnil(L);
}

void lua_record_set_https_ech(lua_State *L, void *self, int value)
{
    static const char what[] = "ResourceRecord.https_ech";
    struct lua_record *record = self;
    struct svcb svcb;
    struct span param;
    size_t length;
    check_applies(L, record, has_params(record), what);
    if (lua_isnil(L, value)) {
        set_param(L, record, SVCB_ECH, NULL, what);
        return;
    }
    if (lua_type(L, value) != LUA_TSTRING)
        lua_raise_expected(L, value, what, "base64 text");
    const char *text = lua_tolstring(L, value, &length);
    struct buffer *out = lua_scratch(L);
    cJSON *json = memchr(text, '\0', length) ? NULL : cJSON_CreateObject();
    cJSON_AddNumberToObject(json, "priority", 1);
    cJSON_AddStringToObject(json, "target_name", ".");
    cJSON_AddStringToObject(json, "ech", text);
    enum status status = json ? dns_svcb_from_json(json, out, NULL) : STATUS_INVALID;
    cJSON_Delete(json);
    if (lua_memory_check(L, status) || !svcb_read(out->data, out->length, &svcb) || !svcb_find(&svcb, SVCB_ECH, &param))
        lua_raise_expected(L, value, what, "base64 text");
    set_param(L, record, SVCB_ECH, &param, what);
}
