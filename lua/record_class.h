/* dns.ResourceRecord. Owns its name and data. The class is spread over record_class.c (attributes, text, JSON),
 * record_properties.c (the data as this or that), record_rdata.c (the data by field) and record_factories.c. */
#ifndef MOONDNS_LUA_RECORD_CLASS_H
#define MOONDNS_LUA_RECORD_CLASS_H

#include "dns/rdata.h"
#include "lua/values.h"

enum { LUA_RECORD_SLOT_NAME = 1, LUA_RECORD_SLOT_DATA = 2 };

struct lua_record {
    struct lua_bytes name, data; /* in the object, or in the blob of a slot when they outgrew it */
    uint16_t type, class_;
    uint32_t ttl; /* raw as on the wire */
    struct lua_origin origin;
};

extern const struct lua_class lua_record_class;

/* Pushes a ResourceRecord that copies what it is given. */
struct lua_record *lua_record_push(lua_State *L, const struct dns_record *record);

/* The record's values; they point into the object and hold until it is changed. */
static inline struct dns_record lua_record_view(const struct lua_record *record)
{
    return (struct dns_record){.name = record->name.data,
                               .name_length = (uint8_t)record->name.length,
                               .type = record->type,
                               .class_ = record->class_,
                               .ttl = record->ttl,
                               .data = record->data.data,
                               .data_length = (uint16_t)record->data.length};
}

/* The type whose layout its data has (dns/rdata.h). */
static inline uint16_t lua_record_layout(const struct lua_record *record)
{
    return dns_rdata_type(record->type, record->class_);
}

/* Puts data into the record at `index`; raises "ResourceRecord.data: …" when it is longer than 65535 bytes. */
void lua_record_set_data(lua_State *L, int index, struct lua_record *record, const uint8_t *data, size_t length);

void lua_record_set_ttl(struct lua_record *record, uint32_t ttl);
void lua_record_set_class(struct lua_record *record, uint16_t class_);

/* Appends the character-strings that hold these bytes: as many as it takes, one for none at all. */
void lua_strings_append(struct buffer *out, const char *text, size_t length);

/* Appends the character-strings of the array at `index`, longer ones in pieces; raises with `what`. */
void lua_strings_append_array(lua_State *L, int index, struct buffer *out, const char *what);

/* Appends the data of `type` that the table of fields at `index` stands for; raises "WHAT: …". */
void lua_rdata_append(lua_State *L, int index, uint16_t type, struct buffer *out, const char *what);

/* The parts of the class that are in files of their own. */
extern const struct lua_method lua_record_statics[];

#define LUA_RECORD_PROPERTY(name)                         \
    void lua_record_get_##name(lua_State *L, void *self); \
    void lua_record_set_##name(lua_State *L, void *self, int value)
LUA_RECORD_PROPERTY(text);
LUA_RECORD_PROPERTY(strings);
LUA_RECORD_PROPERTY(ipv4_address);
LUA_RECORD_PROPERTY(ipv6_address);
LUA_RECORD_PROPERTY(domain_name);
LUA_RECORD_PROPERTY(https_alpn);
LUA_RECORD_PROPERTY(https_ech);
LUA_RECORD_PROPERTY(rdata);
#undef LUA_RECORD_PROPERTY

#endif
