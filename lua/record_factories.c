/* dns.ResourceRecord: the functions that make records. */
#include "lua/record_class.h"

#include "dns/json.h"
#include "dns/text.h"
#include "lua/https_record_class.h"
#include "lua/json.h"

/* The TTL in {ttl = 300}. One walk tells known keys and unknown ones, as this is done for each record that a hook
 * makes. */
static uint32_t check_option_table(lua_State *L, int index, const char *factory)
{
    static const char ttl_key[] = "ttl";
    static const char *const keys[] = {ttl_key, NULL};
    uint32_t ttl = DNS_DEFAULT_TTL;
    lua_pushnil(L);
    while (lua_next(L, index)) {
        size_t length = 0;
        const char *key = lua_type(L, -2) == LUA_TSTRING ? lua_tolstring(L, -2, &length) : NULL;
        if (length != sizeof ttl_key - 1 || memcmp(key, ttl_key, sizeof ttl_key) != 0)
            lua_raise_no_name(L, -2, factory, "option", keys);
        ttl = (uint32_t)lua_check_integer(L, -1, 0, DNS_TTL_MAX, "ResourceRecord.ttl");
        lua_pop(L, 1);
    }
    return ttl;
}

/* The TTL that the last argument of a factory gives: {ttl = 300}, or the number alone. */
static uint32_t check_options(lua_State *L, int index, const char *factory)
{
    switch (lua_type(L, index)) {
    case LUA_TNIL:
        return DNS_DEFAULT_TTL;
    case LUA_TNUMBER:
        return (uint32_t)lua_check_integer(L, index, 0, DNS_TTL_MAX, "ResourceRecord.ttl");
    case LUA_TTABLE:
        return check_option_table(L, index, factory);
    default:
        lua_raise_expected(L, index, factory, "table or TTL as last argument");
        return 0;
    }
}

/* What all factories share: the owner from argument 1, options from argument `options`; pushes the record. */
static int make(lua_State *L, uint16_t type, const void *data, size_t length, int options, const char *factory)
{
    struct dns_name owner;
    lua_name_check(L, 1, &owner, "ResourceRecord.name");
    if (length > UINT16_MAX)
        lua_raise_expected(L, 2, factory, "at most 65535 bytes of data");
    struct dns_record record = {
        .name = owner.wire,
        .name_length = owner.length,
        .type = type,
        .class_ = DNS_CLASS_IN,
        .ttl = check_options(L, options, factory),
        .data = data,
        .data_length = (uint16_t)length,
    };
    lua_record_push(L, &record);
    return 1;
}

static int make_address(lua_State *L, uint16_t type, sa_family_t family, const char *property, const char *factory)
{
    struct address address;
    lua_settop(L, 3);
    lua_address_check(L, 2, family, &address, property);
    return make(L, type, address.bytes, family == AF_INET ? 4 : 16, 3, factory);
}

static int make_a(lua_State *L)
{
    return make_address(L, DNS_TYPE_A, AF_INET, "ResourceRecord.ipv4_address", "ResourceRecord.A");
}

static int make_aaaa(lua_State *L)
{
    return make_address(L, DNS_TYPE_AAAA, AF_INET6, "ResourceRecord.ipv6_address", "ResourceRecord.AAAA");
}

static int make_name(lua_State *L, uint16_t type, const char *factory)
{
    struct dns_name name;
    lua_settop(L, 3);
    lua_name_check(L, 2, &name, "ResourceRecord.domain_name");
    return make(L, type, name.wire, name.length, 3, factory);
}

static int make_cname(lua_State *L)
{
    return make_name(L, DNS_TYPE_CNAME, "ResourceRecord.CNAME");
}

static int make_ptr(lua_State *L)
{
    return make_name(L, DNS_TYPE_PTR, "ResourceRecord.PTR");
}

static int make_ns(lua_State *L)
{
    return make_name(L, DNS_TYPE_NS, "ResourceRecord.NS");
}

static int make_dname(lua_State *L)
{
    return make_name(L, DNS_TYPE_DNAME, "ResourceRecord.DNAME");
}

static int make_txt(lua_State *L)
{
    size_t length;
    lua_settop(L, 3);
    struct buffer *data = lua_scratch(L);
    if (lua_type(L, 2) == LUA_TTABLE) {
        lua_strings_append_array(L, 2, data, "ResourceRecord.strings");
    } else {
        const char *text = lua_check_text(L, 2, &length, "ResourceRecord.text");
        lua_strings_append(data, text, length);
    }
    (void)lua_memory_check(L, buffer_status(data));
    return make(L, DNS_TYPE_TXT, data->data, data->length, 3, "ResourceRecord.TXT");
}

/* From the table of fields at the top of the stack. */
static int make_fields(lua_State *L, uint16_t type, int options, const char *factory)
{
    struct buffer *data = lua_scratch(L);
    lua_rdata_append(L, lua_gettop(L), type, data, "ResourceRecord.rdata");
    return make(L, type, data->data, data->length, options, factory);
}

/* The same from the arguments behind the owner, which are the fields in order. */
static int make_arguments(lua_State *L, uint16_t type, const char *const *fields, const char *factory)
{
    int options = 2;
    for (const char *const *field = fields; *field; field++)
        options++;
    lua_settop(L, options);
    lua_newtable(L);
    for (int i = 2; i < options; i++) {
        lua_pushvalue(L, i);
        lua_setfield(L, -2, fields[i - 2]);
    }
    return make_fields(L, type, options, factory);
}

static int make_mx(lua_State *L)
{
    static const char *const fields[] = {"preference", "exchange", NULL};
    return make_arguments(L, DNS_TYPE_MX, fields, "ResourceRecord.MX");
}

static int make_srv(lua_State *L)
{
    static const char *const fields[] = {"priority", "weight", "port", "target", NULL};
    return make_arguments(L, DNS_TYPE_SRV, fields, "ResourceRecord.SRV");
}

static int make_caa(lua_State *L)
{
    static const char *const fields[] = {"flags", "tag", "value", NULL};
    return make_arguments(L, DNS_TYPE_CAA, fields, "ResourceRecord.CAA");
}

static int make_soa(lua_State *L)
{
    lua_settop(L, 3);
    lua_check_table(L, 2, "ResourceRecord.rdata");
    lua_pushvalue(L, 2);
    return make_fields(L, DNS_TYPE_SOA, 3, "ResourceRecord.SOA");
}

static int make_svcb(lua_State *L, uint16_t type, const char *factory)
{
    lua_settop(L, 3);
    lua_class_check(L, 2, &lua_https_record_class, factory);
    struct buffer *data = lua_scratch(L);
    lua_https_record_append(L, 2, data, factory);
    return make(L, type, data->data, data->length, 3, factory);
}

static int make_https(lua_State *L)
{
    return make_svcb(L, DNS_TYPE_HTTPS, "ResourceRecord.HTTPS");
}

static int make_plain_svcb(lua_State *L)
{
    return make_svcb(L, DNS_TYPE_SVCB, "ResourceRecord.SVCB");
}

static int from_text(lua_State *L)
{
    struct reason reason;
    struct dns_record record;
    size_t length;
    const char *text = lua_check_text(L, 1, &length, "ResourceRecord.from_text");
    enum status status = dns_record_from_text(text, length, lua_scratch(L), &record, &reason);
    if (lua_memory_check(L, status))
        return lua_raise_reason(L, "ResourceRecord.from_text", &reason);
    lua_record_push(L, &record);
    return 1;
}

static int from_json(lua_State *L)
{
    struct reason reason;
    struct dns_record record;
    lua_check_table(L, 1, "ResourceRecord.from_json");
    struct cJSON *json = lua_json_check(L, 1, "ResourceRecord.from_json");
    enum status status = dns_record_from_json(json, lua_scratch(L), &record, &reason);
    cJSON_Delete(json);
    if (lua_memory_check(L, status))
        return lua_raise_plain(L, &reason);
    lua_record_push(L, &record);
    return 1;
}

const struct lua_method lua_record_statics[] = {
    {"A", make_a, "A(name, ip [, opts])", "An IPv4 address record."},
    {"AAAA", make_aaaa, "AAAA(name, ip [, opts])", "An IPv6 address record (RFC 3596)."},
    {"CNAME", make_cname, "CNAME(alias, canonical [, opts])", "An alias for another name."},
    {"PTR", make_ptr, "PTR(inaddr, ptr [, opts])", "A pointer to a name; `dns.name.reverse(ip)` gives the owner."},
    {"NS", make_ns, "NS(name, server [, opts])", "A name server of a zone."},
    {"DNAME", make_dname, "DNAME(name, target [, opts])", "An alias for all names below (RFC 6672)."},
    {"TXT", make_txt, "TXT(name, text [, opts])",
     "A text record; `text` is a string or an array of strings, each split at 255 bytes."},
    {"MX", make_mx, "MX(name, preference, exchange [, opts])", "A mail exchange."},
    {"SRV", make_srv, "SRV(name, priority, weight, port, target [, opts])", "The place of a service (RFC 2782)."},
    {"SOA", make_soa, "SOA(name, fields [, opts])",
     "The start of a zone; `fields` has `mname`, `rname`, `serial`, `refresh`, `retry`, `expire`, `minimum`."},
    {"CAA", make_caa, "CAA(name, flags, tag, value [, opts])", "Who may issue certificates (RFC 8659)."},
    {"HTTPS", make_https, "HTTPS(name, record [, opts])",
     "How to reach an HTTPS service; `record` is an HTTPSRecord (RFC 9460)."},
    {"SVCB", make_plain_svcb, "SVCB(name, record [, opts])",
     "How to reach any service; `record` is an HTTPSRecord (RFC 9460)."},
    {"from_text", from_text, "from_text(text)",
     "The record that a line of a zone file stands for: `www.example.com. 300 IN A 192.0.2.1`. A missing TTL is 60, a "
     "missing "
     "class IN, names are absolute with or without the final dot; parentheses and comments are taken. Raises for other "
     "text."},
    {"from_json", from_json, "from_json(t)",
     "The record that a table of `to_json`'s form stands for: `from_json(rr:to_json()) == rr`. Raises for values that "
     "do not "
     "fit, and names the attribute."},
    {0},
};
