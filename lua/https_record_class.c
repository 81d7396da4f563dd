#include "lua/https_record_class.h"

#include "dns/json.h"
#include "lua/json.h"
#include "lua/svcb.h"

#include <math.h>
#include <stdlib.h>

enum { SLOT_PARAMS = 1, VALUE_MAX = 65535 };

struct https_record {
    uint16_t priority;
    struct dns_name target;
};

/* --- parameters: raw values by number, in a table --- */

/* Pushes a table of the parameters in checked data. */
static void push_params(lua_State *L, const struct svcb *svcb)
{
    struct span left = svcb->params, value;
    uint16_t key;
    lua_newtable(L);
    while (svcb_next(&left, &key, &value)) {
        lua_pushlstring(L, (const char *)value.data, value.length);
        lua_rawseti(L, -2, key);
    }
}

/* Adds the typed parameters in the table `typed` to the raw ones in the table at the top. */
static void add_typed(lua_State *L, int typed, const char *what)
{
    struct reason reason;
    struct svcb svcb;
    struct span value;
    uint16_t key;
    struct cJSON *json = lua_json_check(L, typed, what);
    struct buffer *data = lua_scratch(L);
    cJSON_AddNumberToObject(json, "priority", 1);
    cJSON_AddStringToObject(json, "target_name", ".");
    enum status status = dns_svcb_from_json(json, data, &reason);
    cJSON_Delete(json);
    if (lua_memory_check(L, status))
        lua_raise_reason(L, what, &reason);
    if (!svcb_read(data->data, data->length, &svcb))
        lua_raise_expected(L, typed, what, "service parameters");
    while (svcb_next(&svcb.params, &key, &value)) {
        lua_rawgeti(L, -1, key);
        if (!lua_isnil(L, -1)) {
            reason_set(&reason, "parameter %u is given twice, by number and by name", key);
            lua_raise_reason(L, what, &reason);
        }
        lua_pop(L, 1);
        lua_pushlstring(L, (const char *)value.data, value.length);
        lua_rawseti(L, -2, key);
    }
}

/* Checks the key and value at -2 and -1: a number and bytes. */
static bool check_raw(lua_State *L, struct reason *reason)
{
    double key = lua_type(L, -2) == LUA_TNUMBER ? lua_tonumber(L, -2) : -1;
    if (!(key >= 0 && key <= UINT16_MAX && key == floor(key))) {
        if (lua_type(L, -2) == LUA_TSTRING)
            reason_set(reason, "number from 0 to 65535 (dns.svc_params) expected as key, got '%.40s'",
                       lua_tostring(L, -2));
        else
            reason_set(reason, "number from 0 to 65535 (dns.svc_params) expected as key");
        return false;
    }
    if (lua_type(L, -1) != LUA_TSTRING || lua_objlen(L, -1) > VALUE_MAX) {
        reason_set(reason, "[%d]: string of at most %d bytes expected, got %s", (int)key, VALUE_MAX,
                   luaL_typename(L, -1));
        return false;
    }
    return true;
}

/* Pushes a fresh table of raw parameters by number for the table at `index`, in which those with a name are typed. */
static void push_converted(lua_State *L, int index, const char *what)
{
    struct reason reason;
    bool typed = false;
    lua_check_table(L, index, what);
    lua_newtable(L); /* typed ones */
    int names = lua_gettop(L);
    lua_newtable(L); /* raw ones */
    lua_pushnil(L);
    while (lua_next(L, index)) {
        lua_pushvalue(L, -2);
        lua_pushvalue(L, -2);
        if (lua_type(L, -2) == LUA_TSTRING) {
            typed = true;
            lua_rawset(L, names);
        } else {
            if (!check_raw(L, &reason))
                lua_raise_reason(L, what, &reason);
            lua_rawset(L, names + 1);
        }
        lua_pop(L, 1);
    }
    if (typed)
        add_typed(L, names, what);
    lua_remove(L, names);
}

static int compare_keys(const void *a, const void *b)
{
    return *(const uint16_t *)a - *(const uint16_t *)b;
}

/* Gives the keys of the table at the top in order, in memory that the caller frees. */
static MUST_CHECK enum status sorted_keys(lua_State *L, uint16_t **out, size_t *out_count, struct reason *reason)
{
    size_t count = 0, capacity = 0;
    uint16_t *keys = NULL;
    int table = lua_gettop(L);
    lua_pushnil(L);
    while (lua_next(L, table)) {
        if (count == capacity) {
            capacity = capacity ? capacity * 2 : 16;
            uint16_t *more = realloc(keys, capacity * sizeof *keys);
            if (!more) {
                free(keys);
                lua_settop(L, table);
                return STATUS_NO_MEMORY;
            }
            keys = more;
        }
        if (!check_raw(L, reason)) {
            free(keys);
            lua_settop(L, table);
            return STATUS_INVALID;
        }
        keys[count++] = (uint16_t)lua_tointeger(L, -2);
        lua_pop(L, 1);
    }
    if (count)
        qsort(keys, count, sizeof *keys, compare_keys);
    *out = keys;
    *out_count = count;
    return STATUS_OK;
}

/* Appends the record data of the object at `index`. Never raises. */
static MUST_CHECK enum status append(lua_State *L, int index, struct buffer *out, struct reason *reason)
{
    const struct https_record *self = lua_class_test(L, index, &lua_https_record_class);
    uint16_t *keys;
    size_t count;
    lua_class_slot_get(L, index, SLOT_PARAMS);
    enum status status = sorted_keys(L, &keys, &count, reason);
    if (status) {
        lua_pop(L, 1);
        if (status == STATUS_INVALID)
            reason_prefix(reason, "params: ");
        return status;
    }
    buffer_u16(out, self->priority);
    buffer_append(out, self->target.wire, self->target.length);
    for (size_t i = 0; i < count; i++) {
        lua_rawgeti(L, -1, keys[i]);
        size_t length;
        const char *value = lua_tolstring(L, -1, &length);
        buffer_u16(out, keys[i]);
        buffer_u16(out, (uint16_t)length);
        buffer_append(out, value, length);
        lua_pop(L, 1);
    }
    free(keys);
    lua_pop(L, 1);
    return buffer_status(out);
}

void lua_https_record_append(lua_State *L, int index, struct buffer *out, const char *what)
{
    struct reason reason;
    if (lua_memory_check(L, append(L, index, out, &reason)))
        lua_raise_reason(L, what, &reason);
}

/* --- making one --- */

/* Pushes the object for this data; false (and pushes nothing) when it does not fit. */
static bool push_from_data(lua_State *L, const uint8_t *data, size_t length)
{
    struct svcb svcb;
    if (!svcb_read(data, length, &svcb))
        return false;
    struct https_record *self = lua_class_new(L, &lua_https_record_class, sizeof *self);
    self->priority = svcb.priority;
    self->target.length = (uint8_t)svcb.target.length;
    memcpy(self->target.wire, svcb.target.data, svcb.target.length);
    push_params(L, &svcb);
    lua_class_slot_set(L, -2, SLOT_PARAMS);
    return true;
}

static int construct(lua_State *L)
{
    struct dns_name target;
    lua_settop(L, 4);
    uint16_t priority = (uint16_t)lua_check_integer(L, 2, 0, UINT16_MAX, "HTTPSRecord.priority");
    lua_name_check(L, 3, &target, "HTTPSRecord.target_name");
    if (lua_isnil(L, 4)) {
        lua_newtable(L);
        lua_replace(L, 4);
    }
    push_converted(L, 4, "HTTPSRecord.params");
    struct https_record *self = lua_class_new(L, &lua_https_record_class, sizeof *self);
    self->priority = priority;
    self->target = target;
    lua_insert(L, -2);
    lua_class_slot_set(L, -2, SLOT_PARAMS);
    return 1;
}

static int unpack(lua_State *L)
{
    size_t length;
    const char *data = lua_check_text(L, 1, &length, "HTTPSRecord.unpack");
    if (!push_from_data(L, (const uint8_t *)data, length))
        return lua_raise_expected(L, 1, "HTTPSRecord.unpack", "data of an HTTPS record");
    return 1;
}

static int from_json(lua_State *L)
{
    struct reason reason;
    lua_check_table(L, 1, "HTTPSRecord.from_json");
    struct cJSON *json = lua_json_check(L, 1, "HTTPSRecord.from_json");
    struct buffer *data = lua_scratch(L);
    enum status status = dns_svcb_from_json(json, data, &reason);
    cJSON_Delete(json);
    if (lua_memory_check(L, status))
        return lua_raise_reason(L, "HTTPSRecord.from_json", &reason);
    if (!push_from_data(L, data->data, data->length))
        return lua_raise_expected(L, 1, "HTTPSRecord.from_json", "{priority, target_name, …}");
    return 1;
}

/* --- attributes --- */

static void get_priority(lua_State *L, void *self)
{
    lua_pushinteger(L, ((struct https_record *)self)->priority);
}

static void set_priority(lua_State *L, void *self, int value)
{
    ((struct https_record *)self)->priority =
        (uint16_t)lua_check_integer(L, value, 0, UINT16_MAX, "HTTPSRecord.priority");
}

static void get_target_name(lua_State *L, void *self)
{
    lua_name_push(L, ((struct https_record *)self)->target.wire, DNS_NAME_LOWER);
}

static void set_target_name(lua_State *L, void *self, int value)
{
    lua_name_check(L, value, &((struct https_record *)self)->target, "HTTPSRecord.target_name");
}

static void get_params(lua_State *L, void *self)
{
    (void)self;
    lua_class_slot_get(L, 1, SLOT_PARAMS);
}

static void set_params(lua_State *L, void *self, int value)
{
    (void)self;
    push_converted(L, value, "HTTPSRecord.params");
    lua_class_slot_set(L, 1, SLOT_PARAMS);
}

/* --- methods --- */

static int pack(lua_State *L)
{
    lua_class_self(L, &lua_https_record_class, "HTTPSRecord.pack");
    struct buffer *out = lua_scratch(L);
    lua_https_record_append(L, 1, out, "HTTPSRecord.pack");
    lua_pushlstring(L, (const char *)out->data, out->length);
    return 1;
}

static int tostring(lua_State *L)
{
    struct reason reason;
    struct buffer data = {0}, *out = lua_scratch(L);
    lua_class_self(L, &lua_https_record_class, "HTTPSRecord.tostring");
    enum status status = append(L, 1, &data, &reason);
    if (status == STATUS_OK) {
        struct dns_record record = {.type = DNS_TYPE_HTTPS, .data = data.data, .data_length = (uint16_t)data.length};
        dns_rdata_to_text(&record, out);
        status = buffer_status(out);
    } else if (status == STATUS_INVALID) {
        buffer_format(out, "(%s)", reason.text);
        status = buffer_status(out);
    }
    buffer_free(&data);
    (void)lua_memory_check(L, status);
    lua_pushlstring(L, (const char *)out->data, out->length);
    return 1;
}

static int equal(lua_State *L)
{
    struct reason reason;
    struct buffer a = {0}, b = {0};
    bool both = append(L, 1, &a, &reason) == STATUS_OK && append(L, 2, &b, &reason) == STATUS_OK;
    both = both && dns_rdata_equal_caseless(DNS_TYPE_HTTPS, a.data, a.length, b.data, b.length);
    buffer_free(&a);
    buffer_free(&b);
    lua_pushboolean(L, both);
    return 1;
}

static struct cJSON *json_of(lua_State *L, int index, struct reason *reason)
{
    struct buffer data = {0};
    struct cJSON *json = NULL;
    enum status status = append(L, index, &data, reason);
    if (status == STATUS_OK) {
        json = dns_svcb_to_json(data.data, data.length);
        if (!json)
            reason_set(reason, "a parameter does not fit its type");
    } else if (status == STATUS_NO_MEMORY) {
        reason_set(reason, "out of memory");
    }
    buffer_free(&data);
    return json;
}

static int to_json(lua_State *L)
{
    lua_class_self(L, &lua_https_record_class, "HTTPSRecord.to_json");
    return lua_json_push_object(L, 1, "HTTPSRecord.to_json");
}

static void copy(lua_State *L, int index, const char *what)
{
    (void)what;
    struct https_record *made = lua_class_new(L, &lua_https_record_class, sizeof *made);
    *made = *(const struct https_record *)lua_class_test(L, index, &lua_https_record_class);
    lua_newtable(L);
    lua_class_slot_get(L, index, SLOT_PARAMS);
    for (lua_pushnil(L); lua_next(L, -2); lua_pop(L, 1)) {
        lua_pushvalue(L, -2);
        lua_pushvalue(L, -2);
        lua_rawset(L, -6);
    }
    lua_pop(L, 1);
    lua_class_slot_set(L, -2, SLOT_PARAMS);
}

static const struct lua_property properties[] = {
    {"priority", get_priority, set_priority, "integer from 0 to 65535",
     "SvcPriority: 0 is an alias, the smallest of the others is asked first."},
    {"target_name", get_target_name, set_target_name, "name",
     "The name of the service or of its alias; `.` is the record's own owner."},
    {"params", get_params, set_params, "table",
     "The parameters: raw values (byte strings) by number, one of `dns.svc_params`. A plain table, the same each time. "
     "A "
     "table that is set may be keyed by name too, the values then typed; `params` reads as a fresh table by number "
     "then."},
    {0},
};

static const struct lua_method methods[] = {
    {"pack", pack, "pack()",
     "The record data as wire bytes. Raises for parameters that are no numbers with byte strings."},
    {"to_json", to_json, "to_json()",
     "A table `{priority=, target_name=, …}` with the parameters by name and typed, unregistered ones as `key667 = "
     "\"0x…\"`. "
     "Raises when a parameter does not fit its type."},
    {0},
};

static const struct lua_method statics[] = {
    {"unpack", unpack, "unpack(data)",
     "The HTTPSRecord that record data holds (`rr.data`); raises when it does not fit."},
    {"from_json", from_json, "from_json(t)", "The HTTPSRecord that a table of `to_json`'s form stands for."},
    {0},
};

const struct lua_class lua_https_record_class = {
    .name = "HTTPSRecord",
    .properties = properties,
    .methods = methods,
    .statics = statics,
    .construct = construct,
    .tostring = tostring,
    .equal = equal,
    .to_json = json_of,
    .copy = copy,
    .constructor_signature = "dns.HTTPSRecord(priority, target_name [, params])",
    .doc = "The data of an HTTPS or SVCB record (RFC 9460). `params` is keyed by number, the value then raw bytes, or "
           "by name, "
           "the value then typed: `mandatory = {\"alpn\"}`, `alpn = {\"h2\", \"h3\"}`, `no_default_alpn = true`, `port "
           "= 443`, "
           "`ipv4hint = {\"192.0.2.1\"}`, `ech = \"base64\"`, `ipv6hint = {\"2001:db8::1\"}`. `tostring(r)` is the "
           "zone file's "
           "form.",
};
