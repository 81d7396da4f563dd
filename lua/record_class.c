#include "lua/record_class.h"

#include "dns/json.h"
#include "lua/json.h"
#include "lua/registries.h"

enum {
    NAME_ROOM = 32, /* bytes a name and data can have at least before they need a blob */
    DATA_ROOM = 16,
    DATA_MAX = 65535,
};

struct lua_record *lua_record_push(lua_State *L, const struct dns_record *record)
{
    uint32_t name_room = record->name_length > NAME_ROOM ? record->name_length : NAME_ROOM;
    uint32_t data_room = record->data_length > DATA_ROOM ? record->data_length : DATA_ROOM;
    struct lua_record *self = lua_class_new_bare(L, &lua_record_class, sizeof *self + name_room + data_room);
    uint8_t *bytes = (uint8_t *)(self + 1);
    *self = (struct lua_record){.name = {bytes, record->name_length, name_room},
                                .data = {bytes + name_room, record->data_length, data_room},
                                .type = record->type,
                                .class_ = record->class_,
                                .ttl = record->ttl};
    memcpy(self->name.data, record->name, record->name_length);
    if (record->data_length)
        memcpy(self->data.data, record->data, record->data_length);
    return self;
}

static uint32_t check_ttl(lua_State *L, int index, uint16_t type)
{
    int64_t most = type == DNS_TYPE_OPT ? UINT32_MAX : DNS_TTL_MAX;
    return (uint32_t)lua_check_integer(L, index, 0, most, "ResourceRecord.ttl");
}

/* Raises for data that is too long for a record (RFC 1035 section 4.1.3). */
static void check_data_length(lua_State *L, size_t length)
{
    struct reason reason;
    if (length <= DATA_MAX)
        return;
    reason_set(&reason, "at most %d bytes expected, got %zu", DATA_MAX, length);
    lua_raise_reason(L, "ResourceRecord.data", &reason);
}

static const uint8_t *check_data(lua_State *L, int index, size_t *length)
{
    const char *data = lua_check_text(L, index, length, "ResourceRecord.data");
    check_data_length(L, *length);
    return (const uint8_t *)data;
}

static int record_construct(lua_State *L)
{
    struct dns_name name;
    size_t length;
    lua_settop(L, 6);
    lua_name_check(L, 2, &name, "ResourceRecord.name");
    struct dns_record record = {
        .name = name.wire, .name_length = name.length, .class_ = DNS_CLASS_IN, .ttl = DNS_DEFAULT_TTL};
    record.type = lua_check_registered(L, 3, DNS_TYPES, "ResourceRecord.type");
    if (!lua_isnil(L, 4))
        record.class_ = lua_check_registered(L, 4, DNS_CLASSES, "ResourceRecord.class_");
    if (!lua_isnil(L, 5))
        record.ttl = check_ttl(L, 5, record.type);
    record.data = check_data(L, 6, &length);
    record.data_length = (uint16_t)length;
    lua_record_push(L, &record);
    return 1;
}

/* --- attributes --- */

static void get_name(lua_State *L, void *self)
{
    const struct lua_record *record = self;
    lua_name_push(L, record->name.data, DNS_NAME_LOWER);
}

static void set_name(lua_State *L, void *self, int value)
{
    struct lua_record *record = self;
    struct dns_name name;
    lua_name_check(L, value, &name, "ResourceRecord.name");
    if (lua_bytes_set(L, 1, LUA_RECORD_SLOT_NAME, &record->name, name.wire, name.length))
        record->origin.changed = true;
}

static void get_original_name(lua_State *L, void *self)
{
    const struct lua_record *record = self;
    lua_name_push(L, record->name.data, DNS_NAME_PLAIN);
}

static void get_type(lua_State *L, void *self)
{
    lua_pushinteger(L, ((struct lua_record *)self)->type);
}

static void set_type(lua_State *L, void *self, int value)
{
    struct lua_record *record = self;
    uint16_t type = lua_check_registered(L, value, DNS_TYPES, "ResourceRecord.type");
    record->origin.changed |= record->type != type;
    record->type = type;
}

static void get_class(lua_State *L, void *self)
{
    lua_pushinteger(L, ((struct lua_record *)self)->class_);
}

void lua_record_set_class(struct lua_record *record, uint16_t class_)
{
    record->origin.changed |= record->class_ != class_;
    record->class_ = class_;
}

static void set_class(lua_State *L, void *self, int value)
{
    lua_record_set_class(self, lua_check_registered(L, value, DNS_CLASSES, "ResourceRecord.class_"));
}

static void get_ttl(lua_State *L, void *self)
{
    const struct lua_record *record = self;
    lua_pushnumber(L, dns_ttl_effective(record->type, record->ttl));
}

void lua_record_set_ttl(struct lua_record *record, uint32_t ttl)
{
    if (dns_ttl_effective(record->type, record->ttl) == ttl)
        return;
    record->origin.changed = true;
    record->ttl = ttl;
}

static void set_ttl(lua_State *L, void *self, int value)
{
    struct lua_record *record = self;
    lua_record_set_ttl(record, check_ttl(L, value, record->type));
}

static void get_data(lua_State *L, void *self)
{
    const struct lua_record *record = self;
    lua_pushlstring(L, (const char *)record->data.data, record->data.length);
}

void lua_record_set_data(lua_State *L, int index, struct lua_record *record, const uint8_t *data, size_t length)
{
    check_data_length(L, length);
    if (lua_bytes_set(L, index, LUA_RECORD_SLOT_DATA, &record->data, data, length))
        record->origin.changed = true;
}

static void set_data(lua_State *L, void *self, int value)
{
    size_t length;
    const uint8_t *data = check_data(L, value, &length);
    lua_record_set_data(L, 1, self, data, length);
}

/* --- methods --- */

static int record_tostring(lua_State *L)
{
    struct dns_record record = lua_record_view(lua_class_self(L, &lua_record_class, "ResourceRecord.tostring"));
    struct buffer *out = lua_scratch(L);
    dns_rdata_to_text(&record, out);
    (void)lua_memory_check(L, buffer_status(out));
    lua_pushlstring(L, (const char *)out->data, out->length);
    return 1;
}

static int record_equal(lua_State *L)
{
    struct dns_record a = lua_record_view(lua_class_test(L, 1, &lua_record_class));
    struct dns_record b = lua_record_view(lua_class_test(L, 2, &lua_record_class));
    lua_pushboolean(L, dns_record_equal(&a, &b));
    return 1;
}

static struct cJSON *record_json(lua_State *L, int index, struct reason *reason)
{
    struct dns_record record = lua_record_view(lua_class_test(L, index, &lua_record_class));
    struct cJSON *json = dns_record_to_json(&record);
    if (!json)
        reason_set(reason, "out of memory");
    return json;
}

static int record_to_json(lua_State *L)
{
    lua_class_self(L, &lua_record_class, "ResourceRecord.to_json");
    return lua_json_push_object(L, 1, "ResourceRecord.to_json");
}

static int record_to_text(lua_State *L)
{
    struct dns_record record = lua_record_view(lua_class_self(L, &lua_record_class, "ResourceRecord.to_text"));
    struct buffer *out = lua_scratch(L);
    dns_record_to_text(&record, out);
    (void)lua_memory_check(L, buffer_status(out));
    lua_pushlstring(L, (const char *)out->data, out->length);
    return 1;
}

static const struct lua_property properties[] = {
    {"name", get_name, set_name, "name",
     "The owner: text in lower case without the final dot, special bytes escaped (RFC 1035 section 5.1). What is set "
     "keeps "
     "its letter case on the wire; UTF-8 is turned into A-labels."},
    {"original_name", get_original_name, NULL, "name", "The owner in the letter case that it has on the wire."},
    {"type", get_type, set_type, "integer from 0 to 65535",
     "The record type, one of `dns.types`; set from a number or a name. The data stays as it is."},
    {"class_", get_class, set_class, "integer from 0 to 65535",
     "The class, one of `dns.classes`; set from a number or a name. OPT keeps its UDP payload size here (RFC 6891 "
     "section "
     "6.1.2)."},
    {"ttl", get_ttl, set_ttl, "integer from 0 to 2147483647",
     "Seconds that the record may be kept. One received above 2^31-1 reads as 0 (RFC 2181 section 8); OPT's reads raw, "
     "as it "
     "holds flags and the upper bits of the response code."},
    {"data", get_data, set_data, "bytes",
     "The record data as on the wire, names in it uncompressed; at most 65535 bytes."},
    {"text", lua_record_get_text, lua_record_set_text, "text or nil",
     "TXT, SPF: the character-strings joined; what is set is split into strings of at most 255 bytes (RFC 1035 section "
     "3.3.14). Types without a known layout: the data itself."},
    {"strings", lua_record_get_strings, lua_record_set_strings, "array of bytes or nil",
     "TXT, SPF: a fresh array of the character-strings. Longer ones that are set are split at 255 bytes."},
    {"ipv4_address", lua_record_get_ipv4_address, lua_record_set_ipv4_address, "address or nil",
     "A: the address (RFC 1035 "
     "section 3.4.1)."},
    {"ipv6_address", lua_record_get_ipv6_address, lua_record_set_ipv6_address, "address or nil",
     "AAAA: the address (RFC 3596) in the form of RFC 5952."},
    {"domain_name", lua_record_get_domain_name, lua_record_set_domain_name, "name or nil",
     "CNAME, NS, PTR, DNAME: the name."},
    {"https_alpn", lua_record_get_https_alpn, lua_record_set_https_alpn, "array of text or nil",
     "HTTPS, SVCB: a fresh array of the protocol ids in the parameter `alpn` (RFC 9460 section 7.1); nil when there is "
     "none, "
     "set nil to remove it."},
    {"https_ech", lua_record_get_https_ech, lua_record_set_https_ech, "base64 or nil",
     "HTTPS, SVCB: the ECHConfigList in the parameter `ech`; nil when there is none, set nil to remove it."},
    {"rdata", lua_record_get_rdata, lua_record_set_rdata, "table or nil",
     "Types with a known layout: a fresh table of the fields by their RFC names in snake_case, `{preference=10, "
     "exchange=\"mx.example\"}`: binary fields as byte strings, types as numbers, times as seconds. Set from such a "
     "table: a "
     "field that is missing, unknown or does not fit raises. nil when the data does not fit its type."},
    {0},
};

static const struct lua_method methods[] = {
    {"to_text", record_to_text, "to_text()",
     "The record in the zone file's form: `www.example.com. 300 IN A 192.0.2.1` (RFC 1035 section 5, RFC 3597, RFC "
     "9460). "
     "Keeps the case of the owner."},
    {"to_json", record_to_json, "to_json()",
     "A table `{name=, type=, class=, ttl=, data=}`; `data` is the text of the data, for HTTPS and SVCB a table of its "
     "parameters."},
    {0},
};

static void record_copy(lua_State *L, int index, const char *what)
{
    (void)what;
    struct dns_record record = lua_record_view(lua_class_test(L, index, &lua_record_class));
    lua_record_push(L, &record);
}

const struct lua_class lua_record_class = {
    .name = "ResourceRecord",
    .properties = properties,
    .methods = methods,
    .statics = lua_record_statics,
    .construct = record_construct,
    .tostring = record_tostring,
    .equal = record_equal,
    .to_json = record_json,
    .copy = record_copy,
    .constructor_signature = "dns.ResourceRecord(name, type, class_, ttl, data)",
    .doc = "One record (RFC 1035 section 4.1.3). `class_` nil is IN, `ttl` nil is `ResourceRecord.DEFAULT_TTL`, 60. A "
           "property "
           "that does not apply to the record's data reads as nil, and raises when it is set. A type without a known "
           "layout "
           "takes any of `text`, `ipv4_address`, `ipv6_address`, `domain_name`, `https_alpn`, `https_ech` as the "
           "format of "
           "its data. `tostring(rr)` is the data alone as text; `==` compares what goes on the wire, owners without "
           "regard "
           "to case.",
};
