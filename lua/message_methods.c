/* dns.DNSMessage: making messages, answers to them, copies; JSON, text, comparing. */
#include "base/clock.h"
#include "dns/json.h"
#include "lua/json.h"
#include "lua/message_lent.h"
#include "lua/registries.h"

static double now(void)
{
    return clock_seconds(clock_wall_us());
}

static uint16_t random_id(lua_State *L)
{
    return random_u16(&lua_workspace(L)->random);
}

/* --- new messages --- */

/* Pushes a query with nothing in it but perhaps a question. */
static struct lua_message *push_query(lua_State *L, const struct dns_question *question)
{
    uint8_t wire[DNS_HEADER_SIZE + DNS_NAME_MAX + 4];
    size_t length = DNS_HEADER_SIZE;
    const struct dns_header header = {
        .id = random_id(L), .flags = DNS_FLAG_RD, .counts[DNS_SECTION_QUESTION] = question ? 1 : 0};
    dns_header_write(wire, &header);
    if (question) {
        memcpy(wire + length, question->name, question->name_length);
        length += question->name_length;
        store_u16(wire + length, question->type);
        store_u16(wire + length + 2, question->class_);
        length += 4;
    }
    struct lua_message *self = lua_message_push(L, wire, length, -1);
    self->made = true;
    return self;
}

int lua_message_construct(lua_State *L)
{
    /* In the order in which they are set: flags before the bits in them, edns before the code that needs it. */
    static const char *const keys[] = {
        "id",       "query",       "op_code",     "authoritative_answer", "truncation",        "recursion_desired",
        "reserved", "questions",   "authorities", "recursion_available",  "checking_disabled", "authentic_data",
        "answers",  "additionals", "edns",        "response_code",        "timestamp",         NULL,
    };
    lua_settop(L, 2);
    struct lua_message *self = push_query(L, NULL);
    lua_replace(L, 1);
    if (lua_isnil(L, 2)) {
        lua_settop(L, 1);
        return 1;
    }
    lua_check_table(L, 2, "DNSMessage");
    lua_check_class_keys(L, 2, keys, &lua_message_class);
    for (const char *const *key = keys; *key; key++) {
        const struct lua_property *property = lua_message_properties;
        while (strcmp(property->name, *key) != 0)
            property++;
        lua_getfield(L, 2, *key);
        if (!lua_isnil(L, 3))
            property->set(L, self, 3);
        lua_settop(L, 2);
    }
    lua_settop(L, 1);
    return 1;
}

static int make_query(lua_State *L)
{
    lua_settop(L, 3);
    lua_question_push_arguments(L, 1);
    struct dns_question question = lua_question_view(lua_class_test(L, 4, &lua_question_class));
    push_query(L, &question);
    return 1;
}

static int unpack(lua_State *L)
{
    static const char what[] = "DNSMessage.unpack";
    struct dns_message view;
    struct dns_header header;
    struct reason reason;
    double timestamp = -1;
    size_t length;
    lua_settop(L, 2);
    const uint8_t *wire = (const uint8_t *)lua_check_text(L, 1, &length, what);
    if (!lua_isnil(L, 2)) {
        timestamp = lua_check_number(L, 2, "DNSMessage.timestamp");
        if (!(timestamp >= 0))
            lua_raise_expected(L, 2, "DNSMessage.timestamp", "seconds from 0");
    }
    if (dns_header_read(wire, length, &header)) {
        reason_set(&reason, "header of %d bytes expected, got %zu bytes", DNS_HEADER_SIZE, length);
        return lua_raise_reason(L, what, &reason);
    }
    struct lua_message *self = lua_message_push(L, wire, length, timestamp);
    if (lua_memory_check(L, lua_message_view(self, &view, &reason)))
        return lua_raise_reason(L, what, &reason);
    return 1;
}

void lua_message_push_copy(lua_State *L, int index, const char *what)
{
    struct reason reason;
    struct buffer *wire = lua_scratch(L);
    const struct lua_message *self = lua_class_test(L, index, &lua_message_class);
    if (lua_memory_check(L, lua_message_pack(L, index, wire, &reason)))
        lua_raise_reason(L, what, &reason);
    lua_message_push(L, wire->data, wire->length, self->timestamp);
}

static int copy(lua_State *L)
{
    static const char what[] = "DNSMessage.copy";
    lua_class_self(L, &lua_message_class, what);
    lua_message_push_copy(L, 1, what);
    struct lua_message *made = lua_class_test(L, -1, &lua_message_class);
    made->id = random_id(L);
    return 1;
}

/* --- answers --- */

/* How many bytes the header and the questions have on the wire. */
static size_t questions_end(lua_State *L, struct lua_message *self)
{
    struct dns_message view;
    struct reason reason;
    unsigned count = load_u16(self->wire + 4);
    if (count == 0)
        return DNS_HEADER_SIZE;
    if (count == 1)
        return DNS_HEADER_SIZE + lua_message_only_question(self).name_length + 4u;
    if (lua_message_view(self, &view, &reason))
        lua_raise_reason(L, "DNSMessage", &reason);
    return view.section[DNS_SECTION_ANSWER];
}

/* Sets copies of the edited questions of the message at 1 in the one at the top. */
static void copy_questions(lua_State *L, struct lua_message *self, const char *what)
{
    struct lua_message_walk walk;
    struct dns_question question;
    struct reason reason;
    int answer = lua_gettop(L), count = 0;
    lua_newtable(L);
    enum status status = lua_message_walk_start(&walk, L, 1, self, DNS_SECTION_QUESTION, NULL, &reason);
    while (status == STATUS_OK && (status = lua_message_walk_question(&walk, &question, &reason)) == STATUS_OK) {
        lua_question_push(L, &question);
        lua_rawseti(L, answer + 1, ++count);
    }
    if (status != STATUS_NOT_FOUND)
        lua_raise_reason(L, what, &reason);
    lua_settop(L, answer + 1);
    lua_class_slot_set(L, answer, LUA_MESSAGE_SLOT_SECTION + DNS_SECTION_QUESTION);
}

/* Pushes the answer to the message at 1 that has these flags besides what a response takes over: no records. Questions
 * that nobody changed are shared as bytes. */
static void push_answer(lua_State *L, struct lua_message *self, unsigned flags, const char *what)
{
    bool edited = !lua_message_section_unchanged(L, 1, self, DNS_SECTION_QUESTION);
    size_t length = edited ? DNS_HEADER_SIZE : questions_end(L, self);
    struct lua_message *answer = self->lent ? lua_message_lend_answer(L, 1, self, length, now()) : NULL;
    if (!answer)
        answer = lua_message_push(L, self->wire, length, now());
    answer->made = true;
    answer->name_length = edited ? 0 : self->name_length;
    answer->id = self->id;
    answer->flags = (uint16_t)(DNS_FLAG_QR | flags | (self->flags & (DNS_FLAG_OPCODE | DNS_FLAG_RD | DNS_FLAG_CD)));
    memset(answer->wire + 6, 0, 6);
    if (edited) {
        memset(answer->wire + 4, 0, 2);
        copy_questions(L, self, what);
    }
}

static int fail(lua_State *L)
{
    static const char what[] = "DNSMessage.fail";
    struct lua_message *self = lua_class_self(L, &lua_message_class, what);
    struct dns_record opt;
    lua_settop(L, 2);
    uint16_t code = lua_check_registered(L, 2, DNS_RESPONSE_CODES, what);
    if (code == DNS_RCODE_NOERROR)
        lua_raise_expected(L, 2, what, "response code of an error");
    if (code > DNS_FLAG_RCODE && !lua_message_find_opt(L, 1, &opt))
        lua_raise_expected(L, 2, what, "without edns, response code up to 15");
    push_answer(L, self, code & DNS_FLAG_RCODE, what);
    if (code > DNS_FLAG_RCODE)
        lua_message_add_opt(L, lua_gettop(L), code, opt.ttl & 0x8000);
    return 1;
}

static int succeed(lua_State *L)
{
    static const char what[] = "DNSMessage.succeed";
    struct lua_message *self = lua_class_self(L, &lua_message_class, what);
    if (lua_type(L, 2) != LUA_TTABLE)
        lua_raise_expected(L, 2, what, "array of ResourceRecord");
    push_answer(L, self, DNS_FLAG_RA, what);
    lua_pushvalue(L, 2);
    lua_class_slot_set(L, -2, LUA_MESSAGE_SLOT_SECTION + DNS_SECTION_ANSWER);
    return 1;
}

/* --- JSON --- */

struct cJSON *lua_message_json(lua_State *L, int index, struct reason *reason)
{
    struct buffer wire = {0};
    struct dns_message view;
    struct cJSON *json = NULL;
    enum status status = lua_message_pack(L, index, &wire, reason);
    if (status == STATUS_OK)
        status = dns_message_parse(wire.data, wire.length, &view, reason);
    if (status == STATUS_OK) {
        json = dns_message_to_json(&view, lua_message_timestamp(L, index));
        if (!json)
            reason_set(reason, "out of memory");
    }
    buffer_free(&wire);
    return json;
}

static int to_json(lua_State *L)
{
    lua_class_self(L, &lua_message_class, "DNSMessage.to_json");
    return lua_json_push_object(L, 1, "DNSMessage.to_json");
}

static int from_json(lua_State *L)
{
    struct reason reason;
    double timestamp;
    lua_check_table(L, 1, "DNSMessage.from_json");
    struct cJSON *json = lua_json_check(L, 1, "DNSMessage.from_json");
    struct buffer *wire = lua_scratch(L);
    enum status status = dns_message_from_json(json, wire, &timestamp, &reason);
    cJSON_Delete(json);
    if (lua_memory_check(L, status))
        return lua_raise_plain(L, &reason);
    lua_message_push(L, wire->data, wire->length, timestamp)->made = true;
    return 1;
}

/* --- text and comparing --- */

static void append_lines(lua_State *L, unsigned section, struct buffer *out, struct buffer *expanded)
{
    struct lua_message_walk walk;
    struct dns_question question;
    struct dns_record record;
    struct reason reason;
    char name[DNS_NAME_TEXT_MAX];
    struct lua_message *self = lua_class_test(L, 1, &lua_message_class);
    enum status status = lua_message_walk_start(&walk, L, 1, self, section, expanded, &reason);
    if (status) {
        buffer_format(out, "(%s)\n", reason.text);
        return;
    }
    for (;;) {
        status = section == DNS_SECTION_QUESTION ? lua_message_walk_question(&walk, &question, &reason)
                                                 : lua_message_walk_record(&walk, &record, &reason);
        if (status == STATUS_INVALID)
            buffer_format(out, "(%s)\n", reason.text);
        if (status == STATUS_INVALID)
            continue;
        if (status)
            break;
        if (section == DNS_SECTION_QUESTION)
            buffer_append(out, name, dns_name_to_text(question.name, DNS_NAME_LOWER, name));
        else
            dns_rdata_to_text(&record, out);
        buffer_u8(out, '\n');
    }
    lua_message_walk_end(&walk);
}

int lua_message_tostring(lua_State *L)
{
    struct buffer *out = lua_scratch(L), expanded = {0};
    lua_class_self(L, &lua_message_class, "DNSMessage.tostring");
    for (unsigned section = 0; section < LUA_MESSAGE_SECTIONS; section++)
        append_lines(L, section, out, &expanded);
    buffer_free(&expanded);
    (void)lua_memory_check(L, buffer_status(out));
    lua_pushlstring(L, (const char *)out->data, out->length ? out->length - 1 : 0);
    return 1;
}

static enum status pack_and_parse(lua_State *L, int index, struct buffer *wire, struct dns_message *view)
{
    enum status status = lua_message_pack(L, index, wire, NULL);
    return status ? status : dns_message_parse(wire->data, wire->length, view, NULL);
}

int lua_message_equal(lua_State *L)
{
    struct buffer left = {0}, right = {0};
    struct dns_message a, b;
    bool equal = false;
    enum status status = pack_and_parse(L, 1, &left, &a);
    if (status == STATUS_OK)
        status = pack_and_parse(L, 2, &right, &b);
    if (status == STATUS_OK)
        status = dns_message_equal(&a, &b, &equal);
    buffer_free(&left);
    buffer_free(&right);
    (void)lua_memory_check(L, status);
    lua_pushboolean(L, status == STATUS_OK && equal);
    return 1;
}

const struct lua_method lua_message_methods[] = {
    {"fail", fail, "fail(response_code)",
     "A response with that error: the questions kept, no records. Raises for NOERROR, and for a code above 15 unless "
     "the "
     "message has `edns`; the response then has it too."},
    {"succeed", succeed, "succeed(answers)",
     "A NOERROR response with these answers (the very table), `recursion_available` true."},
    {"copy", copy, "copy()", "A deep copy with a new random id. Raises for what cannot be packed."},
    {"to_json", to_json, "to_json()",
     "A table with the keys of mitmproxy: `id, query, op_code, authoritative_answer, truncation, recursion_desired, "
     "recursion_available, response_code, status_code, questions, answers, authorities, additionals, size, timestamp`, "
     "and "
     "`reserved`. Raises for what cannot be packed."},
    {0},
};

const struct lua_method lua_message_statics[] = {
    {"unpack", unpack, "unpack(buffer [, timestamp])",
     "The message in these bytes, all of them. Raises for malformed bytes and trailing ones, and names the place: "
     "`answer "
     "#1: name at offset 57 points forward` (question, answer, authority, additional; counted from 1)."},
    {"make_query", make_query, "make_query(name, type [, class_])", "A query with one question; the class is IN."},
    {"from_json", from_json, "from_json(t)",
     "The message that a table of `to_json`'s form stands for: `from_json(m:to_json()) == m`. Raises for values that "
     "do not "
     "fit, and names the attribute."},
    {0},
};
