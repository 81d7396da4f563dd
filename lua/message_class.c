/* dns.DNSMessage: the header and the other attributes. */
#include "lua/message_object.h"
#include "lua/registries.h"

#include <math.h>

enum { OP_CODE_SHIFT = 11, RESERVED_SHIFT = 4 };

static void set_bits(struct lua_message *self, unsigned mask, unsigned bits)
{
    self->flags = (uint16_t)((self->flags & ~mask) | (bits & mask));
}

static void get_id(lua_State *L, void *self)
{
    lua_pushinteger(L, ((struct lua_message *)self)->id);
}

static void set_id(lua_State *L, void *self, int value)
{
    ((struct lua_message *)self)->id = (uint16_t)lua_check_integer(L, value, 0, UINT16_MAX, "DNSMessage.id");
}

static void get_query(lua_State *L, void *self)
{
    lua_pushboolean(L, !(((struct lua_message *)self)->flags & DNS_FLAG_QR));
}

static void set_query(lua_State *L, void *self, int value)
{
    set_bits(self, DNS_FLAG_QR, lua_check_boolean(L, value, "DNSMessage.query") ? 0 : DNS_FLAG_QR);
}

/* A flag's getter and setter. */
#define FLAG(name, flag)                                                                               \
    static void get_##name(lua_State *L, void *self)                                                   \
    {                                                                                                  \
        lua_pushboolean(L, (((struct lua_message *)self)->flags & (flag)) != 0);                       \
    }                                                                                                  \
    static void set_##name(lua_State *L, void *self, int value)                                        \
    {                                                                                                  \
        set_bits(self, flag, lua_check_boolean(L, value, "DNSMessage." #name) ? (unsigned)(flag) : 0); \
    }
FLAG(authoritative_answer, DNS_FLAG_AA)
FLAG(truncation, DNS_FLAG_TC)
FLAG(recursion_desired, DNS_FLAG_RD)
FLAG(recursion_available, DNS_FLAG_RA)
FLAG(authentic_data, DNS_FLAG_AD)
FLAG(checking_disabled, DNS_FLAG_CD)
#undef FLAG

static void get_reserved(lua_State *L, void *self)
{
    lua_pushinteger(L, (((struct lua_message *)self)->flags & DNS_FLAG_Z) >> RESERVED_SHIFT);
}

static void set_reserved(lua_State *L, void *self, int value)
{
    set_bits(self, DNS_FLAG_Z, (unsigned)lua_check_integer(L, value, 0, 7, "DNSMessage.reserved") << RESERVED_SHIFT);
}

static void get_op_code(lua_State *L, void *self)
{
    lua_pushinteger(L, (((struct lua_message *)self)->flags & DNS_FLAG_OPCODE) >> OP_CODE_SHIFT);
}

static void set_op_code(lua_State *L, void *self, int value)
{
    unsigned code = lua_check_registered(L, value, DNS_OP_CODES, "DNSMessage.op_code");
    set_bits(self, DNS_FLAG_OPCODE, code << OP_CODE_SHIFT);
}

static void get_timestamp(lua_State *L, void *self)
{
    double timestamp = ((struct lua_message *)self)->timestamp;
    if (timestamp < 0)
        lua_pushnil(L);
    else
        lua_pushnumber(L, timestamp);
}

static void set_timestamp(lua_State *L, void *self, int value)
{
    double timestamp = -1;
    if (!lua_isnil(L, value)) {
        timestamp = lua_check_number(L, value, "DNSMessage.timestamp");
        if (!(timestamp >= 0 && isfinite(timestamp)))
            lua_raise_expected(L, value, "DNSMessage.timestamp", "seconds from 0");
    }
    ((struct lua_message *)self)->timestamp = timestamp;
}

double lua_message_timestamp(lua_State *L, int index)
{
    return ((struct lua_message *)lua_class_test(L, index, &lua_message_class))->timestamp;
}

/* --- sections --- */

static void set_section(lua_State *L, struct lua_message *self, int value, unsigned section, const char *what)
{
    if (lua_type(L, value) != LUA_TTABLE)
        lua_raise_expected(L, value, what,
                           section == DNS_SECTION_QUESTION ? "array of Question" : "array of ResourceRecord");
    if (section == DNS_SECTION_QUESTION)
        lua_message_show_questions(L, self);
    lua_pushvalue(L, value);
    lua_class_slot_set(L, 1, LUA_MESSAGE_SLOT_SECTION + (int)section);
}

#define SECTION(name, section)                                     \
    static void get_##name(lua_State *L, void *self)               \
    {                                                              \
        (void)self;                                                \
        lua_message_push_section(L, 1, section);                   \
    }                                                              \
    static void set_##name(lua_State *L, void *self, int value)    \
    {                                                              \
        set_section(L, self, value, section, "DNSMessage." #name); \
    }
SECTION(questions, DNS_SECTION_QUESTION)
SECTION(answers, DNS_SECTION_ANSWER)
SECTION(authorities, DNS_SECTION_AUTHORITY)
SECTION(additionals, DNS_SECTION_ADDITIONAL)
#undef SECTION

static void get_question(lua_State *L, void *self)
{
    lua_message_push_question(L, 1, self);
}

/* --- the whole --- */

static void get_packed(lua_State *L, void *self)
{
    (void)self;
    lua_message_push_packed(L, 1, "DNSMessage.packed");
}

static void get_size(lua_State *L, void *self)
{
    struct lua_message_walk walk;
    struct dns_record record;
    struct reason reason;
    size_t size = 0;
    for (unsigned section = DNS_SECTION_ANSWER; section < LUA_MESSAGE_SECTIONS; section++) {
        enum status status = lua_message_walk_start(&walk, L, 1, self, section, lua_scratch(L), &reason);
        if (lua_memory_check(L, status))
            lua_raise_reason(L, "DNSMessage.size", &reason);
        while ((status = lua_message_walk_record(&walk, &record, &reason)) == STATUS_OK)
            size += record.data_length;
        if (status != STATUS_NOT_FOUND)
            lua_raise_reason(L, "DNSMessage.size", &reason);
        lua_message_walk_end(&walk);
    }
    lua_pushnumber(L, (lua_Number)size);
}

const struct lua_property lua_message_properties[] = {
    {"id", get_id, set_id, "integer from 0 to 65535", "The message's id; a new message has a random one."},
    {"query", get_query, set_query, "boolean", "Whether this is a query (the QR bit, turned round)."},
    {"op_code", get_op_code, set_op_code, "integer from 0 to 15",
     "What is wanted, one of `dns.op_codes`; set from a number or a name."},
    {"authoritative_answer", get_authoritative_answer, set_authoritative_answer, "boolean",
     "AA: the answer comes from the zone's own server."},
    {"truncation", get_truncation, set_truncation, "boolean", "TC: the message was cut to fit."},
    {"recursion_desired", get_recursion_desired, set_recursion_desired, "boolean", "RD: the client wants recursion."},
    {"recursion_available", get_recursion_available, set_recursion_available, "boolean",
     "RA: the server does recursion."},
    {"reserved", get_reserved, set_reserved, "integer from 0 to 7", "The three bits Z, AD and CD."},
    {"authentic_data", get_authentic_data, set_authentic_data, "boolean",
     "AD: the server has validated the answer (RFC 4035 section 3.2.3); bit 1 of `reserved`."},
    {"checking_disabled", get_checking_disabled, set_checking_disabled, "boolean",
     "CD: the client validates by itself (RFC 4035 section 3.2.2); bit 0 of `reserved`."},
    {"response_code", lua_message_get_response_code, lua_message_set_response_code,
     "integer from 0 to 15, to 4095 with `edns`",
     "One of `dns.response_codes`; set from a number or a name. What is above 15 lies in OPT (RFC 6891 section 6.1.3): "
     "without `edns` it raises."},
    {"questions", get_questions, set_questions, "array of Question",
     "What is asked. The same plain table each time, also the very one that was set; what is wrong in it is found on "
     "packing."},
    {"answers", get_answers, set_answers, "array of ResourceRecord", "The answers; as `questions`."},
    {"authorities", get_authorities, set_authorities, "array of ResourceRecord",
     "The authority section; as `questions`."},
    {"additionals", get_additionals, set_additionals, "array of ResourceRecord",
     "The additional section, OPT included; as `questions`."},
    {"timestamp", get_timestamp, set_timestamp, "number or nil",
     "When the message came or was made: Unix seconds with a fraction. Does not count for `==`."},
    {"question", get_question, NULL, "Question or nil", "The question, nil unless there is exactly one."},
    {"packed", get_packed, NULL, "bytes",
     "The message as on the wire. One that nobody changed gives the very bytes it came with; else names are compressed "
     "(RFC "
     "1035 section 4.1.4). Raises for what cannot be packed, and names it: `answers[2]: ResourceRecord expected, got "
     "string`."},
    {"content", get_packed, NULL, "bytes", "The same as `packed`."},
    {"size", get_size, NULL, "integer", "The summed length of all records' `data`, in bytes."},
    {"edns", lua_message_get_edns, lua_message_set_edns, "table or nil",
     "EDNS (RFC 6891): a fresh table `{udp_payload_size=, version=, dnssec_ok=, options={…}}`, nil without OPT. Set a "
     "table (missing fields: 1232, 0, false, {}) to add or replace OPT, nil to remove it, which raises while the "
     "response code is above 15. An option reads as `{code=, data=}` and, where its data fits, by name too: `{code=15, "
     "data=…, ede={info_code=15, extra_text=\"why\"}}`; given is either form. See \"EDNS options\"."},
    {0},
};

const struct lua_class lua_message_class = {
    .name = "DNSMessage",
    .properties = lua_message_properties,
    .methods = lua_message_methods,
    .statics = lua_message_statics,
    .construct = lua_message_construct,
    .tostring = lua_message_tostring,
    .equal = lua_message_equal,
    .to_json = lua_message_json,
    .copy = lua_message_push_copy,
    .constructor_signature = "dns.DNSMessage{…}",
    .doc = "A DNS message (RFC 1035 section 4). Every attribute may be given in the table, none must: a new `id` is "
           "random, "
           "`query` and `recursion_desired` are true, all other flags false. `tostring(m)` lists the questions and the "
           "records, one a line; `==` compares what goes on the wire, names of owners without regard to case.",
};
