/* dns.DNSMessage: the sections, on the wire and as tables. */
#include "lua/message_object.h"

const char *lua_message_section_name(unsigned section)
{
    static const char *const names[LUA_MESSAGE_SECTIONS] = {"questions", "answers", "authorities", "additionals"};
    return names[section];
}

static int slot_of(unsigned section)
{
    return LUA_MESSAGE_SLOT_SECTION + (int)section;
}

struct lua_message *lua_message_new(lua_State *L, const uint8_t *wire, size_t length, double timestamp)
{
    struct lua_message *self = lua_class_new_partly(L, &lua_message_class, offsetof(struct lua_message, wire) + length,
                                                    offsetof(struct lua_message, wire));
    memcpy(self->wire, wire, length);
    self->length = (uint32_t)length;
    self->timestamp = timestamp;
    self->id = load_u16(wire);
    self->flags = load_u16(wire + 2);
    return self;
}

void lua_message_push(lua_State *L, const uint8_t *wire, size_t length, double timestamp)
{
    lua_message_new(L, wire, length, timestamp);
}

enum status lua_message_view(const struct lua_message *self, struct dns_message *out, struct reason *reason)
{
    return dns_message_parse(self->wire, self->length, out, reason);
}

/* The same where the bytes have been checked before. */
static void check_view(lua_State *L, const struct lua_message *self, struct dns_message *out)
{
    struct reason reason;
    if (lua_message_view(self, out, &reason))
        lua_raise_reason(L, "DNSMessage", &reason);
}

static uint64_t serial_of(lua_State *L, struct lua_message *self)
{
    if (!self->serial)
        self->serial = ++lua_workspace(L)->serial;
    return self->serial;
}

/* --- decoding --- */

static struct lua_origin origin_in(lua_State *L, struct lua_message *self, unsigned section, int index)
{
    return (struct lua_origin){.message = serial_of(L, self), .section = (uint8_t)section, .index = (uint16_t)index};
}

/* Fills the table at the top. */
static void decode_records(lua_State *L, struct lua_message *self, unsigned section)
{
    struct dns_message view;
    struct dns_reader reader;
    struct dns_record record;
    check_view(L, self, &view);
    dns_reader_start(&reader, &view, section, lua_scratch(L));
    for (int i = 0; dns_reader_next(&reader, &record) == STATUS_OK; i++) {
        lua_record_push(L, &record)->origin = origin_in(L, self, section, i);
        lua_rawseti(L, -2, i + 1);
    }
}

/* A message with one question has its name at the very place where the header ends. */
static struct dns_question only_question(const struct lua_message *self)
{
    const uint8_t *name = self->wire + DNS_HEADER_SIZE;
    size_t length = dns_name_wire_length(name, self->length - DNS_HEADER_SIZE);
    return (struct dns_question){
        .name = name,
        .name_length = (uint8_t)length,
        .type = load_u16(name + length),
        .class_ = load_u16(name + length + 2),
    };
}

static void decode_questions(lua_State *L, struct lua_message *self, unsigned count)
{
    struct dns_message view;
    struct dns_reader reader;
    struct dns_question question;
    if (count == 1) {
        question = only_question(self);
        self->question = lua_question_push(L, &question);
        lua_rawseti(L, -2, 1);
        return;
    }
    check_view(L, self, &view);
    dns_reader_start_questions(&reader, &view);
    for (int i = 0; dns_reader_next_question(&reader, &question) == STATUS_OK; i++) {
        lua_question_push(L, &question)->origin = origin_in(L, self, DNS_SECTION_QUESTION, i);
        lua_rawseti(L, -2, i + 1);
    }
}

/* Pushes the table of the section, which may be one that no script has seen. */
static void push_table(lua_State *L, int index, struct lua_message *self, unsigned section)
{
    if (lua_class_slot_used(self, slot_of(section))) {
        lua_class_slot_push(L, index, self, slot_of(section));
        return;
    }
    unsigned count = lua_message_count_on_wire(self, section);
    lua_createtable(L, (int)count, 0);
    if (section == DNS_SECTION_QUESTION && count)
        decode_questions(L, self, count);
    else if (count)
        decode_records(L, self, section);
    lua_pushvalue(L, -1);
    lua_class_slot_set(L, index, slot_of(section));
}

void lua_message_show_questions(lua_State *L, struct lua_message *self)
{
    if (!self->question)
        return;
    self->question->origin.message = serial_of(L, self);
    self->question->origin.section = DNS_SECTION_QUESTION;
    self->question = NULL;
}

void lua_message_push_section(lua_State *L, int index, unsigned section)
{
    struct lua_message *self = lua_class_test(L, index, &lua_message_class);
    push_table(L, index, self, section);
    if (section == DNS_SECTION_QUESTION)
        lua_message_show_questions(L, self);
}

void lua_message_push_question(lua_State *L, int index, struct lua_message *self)
{
    push_table(L, index, self, DNS_SECTION_QUESTION);
    if (self->question || lua_objlen(L, -1) == 1)
        lua_rawgeti(L, -1, 1);
    else
        lua_pushnil(L);
}

/* --- changes --- */

/* Whether the element at the top is the one that was decoded at this place. */
static bool is_original(lua_State *L, const struct lua_message *self, unsigned section, unsigned at)
{
    if (section == DNS_SECTION_QUESTION) {
        const struct lua_question *question = lua_class_test(L, -1, &lua_question_class);
        return question && lua_origin_is(&question->origin, self->serial, section, at);
    }
    const struct lua_record *record = lua_class_test(L, -1, &lua_record_class);
    return record && lua_origin_is(&record->origin, self->serial, section, at);
}

/* The same for the table at the top. */
static bool holds_originals(lua_State *L, const struct lua_message *self, unsigned section)
{
    unsigned count = lua_message_count_on_wire(self, section);
    if (lua_objlen(L, -1) != count)
        return false;
    if (count == 0) {
        lua_pushnil(L);
        if (!lua_next(L, -2))
            return true;
        lua_pop(L, 2);
        return false; /* keys that no section has: packing names them */
    }
    bool same = true;
    for (unsigned i = 0; same && i < count; i++) {
        lua_rawgeti(L, -1, (int)i + 1);
        same = is_original(L, self, section, i);
        lua_pop(L, 1);
    }
    return same;
}

bool lua_message_section_unchanged(lua_State *L, int index, const struct lua_message *self, unsigned section)
{
    if (lua_message_section_untouched(self, section))
        return true;
    if (section == DNS_SECTION_QUESTION && self->question)
        return !self->question->origin.changed;
    lua_class_slot_push(L, index, self, slot_of(section));
    bool same = holds_originals(L, self, section);
    lua_pop(L, 1);
    return same;
}

bool lua_message_changed(lua_State *L, int index)
{
    const struct lua_message *self = lua_class_test(L, index, &lua_message_class);
    if (self->made || self->id != load_u16(self->wire) || self->flags != load_u16(self->wire + 2))
        return true;
    for (unsigned section = 0; section < LUA_MESSAGE_SECTIONS; section++) {
        if (!lua_message_section_unchanged(L, index, self, section))
            return true;
    }
    return false;
}

/* --- walking --- */

/* A table without elements that has other keys is no array. */
static enum status check_empty(lua_State *L, unsigned section, struct reason *reason)
{
    lua_pushnil(L);
    if (!lua_next(L, -2))
        return STATUS_OK;
    reason_set(reason, "%s: array of %s expected, got a table with other keys", lua_message_section_name(section),
               section == DNS_SECTION_QUESTION ? "Question" : "ResourceRecord");
    lua_pop(L, 2);
    return STATUS_INVALID;
}

enum status lua_message_walk_start(struct lua_message_walk *walk, lua_State *L, int index, unsigned section,
                                   struct buffer *expanded, struct reason *reason)
{
    struct lua_message *self = lua_class_test(L, index, &lua_message_class);
    walk->L = L;
    walk->section = section;
    walk->table = 0;
    walk->next = walk->count = 0;
    walk->alone = false;
    if (lua_class_slot_used(self, slot_of(section))) {
        lua_class_slot_push(L, index, self, slot_of(section));
        walk->count = (int)lua_objlen(L, -1);
        enum status status = walk->count ? STATUS_OK : check_empty(L, section, reason);
        if (status)
            lua_pop(L, 1);
        else
            walk->table = lua_gettop(L);
        return status;
    }
    unsigned count = lua_message_count_on_wire(self, section);
    if (section == DNS_SECTION_QUESTION && count == 1) {
        walk->alone = true;
        walk->question = only_question(self);
    } else if (count) {
        enum status status = lua_message_view(self, &walk->view, reason);
        if (status)
            return status;
        dns_reader_start(&walk->reader, &walk->view, section, expanded);
        walk->count = -1;
    }
    lua_pushnil(L);
    return STATUS_OK;
}

/* The next element of the table as an object of its class; its table keeps it alive. */
static enum status next_element(struct lua_message_walk *walk, const struct lua_class *class, const void **out,
                                struct reason *reason)
{
    lua_State *L = walk->L;
    if (walk->next == walk->count)
        return STATUS_NOT_FOUND;
    lua_rawgeti(L, walk->table, ++walk->next);
    const void *object = lua_class_test(L, -1, class);
    if (object) {
        *out = object;
    } else {
        const char *name = lua_class_name_of(L, -1);
        reason_set(reason, "%s[%d]: %s expected, got %s", lua_message_section_name(walk->section), walk->next,
                   class->name, name ? name : luaL_typename(L, -1));
    }
    lua_pop(L, 1);
    return object ? STATUS_OK : STATUS_INVALID;
}

enum status lua_message_walk_record(struct lua_message_walk *walk, struct dns_record *out, struct reason *reason)
{
    const void *record;
    if (walk->count < 0)
        return dns_reader_next(&walk->reader, out);
    enum status status = next_element(walk, &lua_record_class, &record, reason);
    if (status == STATUS_OK)
        *out = lua_record_view(record);
    return status;
}

enum status lua_message_walk_question(struct lua_message_walk *walk, struct dns_question *out, struct reason *reason)
{
    const void *question;
    if (walk->alone) {
        if (walk->next++)
            return STATUS_NOT_FOUND;
        *out = walk->question;
        return STATUS_OK;
    }
    if (walk->count < 0)
        return dns_reader_next_question(&walk->reader, out);
    enum status status = next_element(walk, &lua_question_class, &question, reason);
    if (status == STATUS_OK)
        *out = lua_question_view(question);
    return status;
}

void lua_message_walk_end(struct lua_message_walk *walk)
{
    lua_pop(walk->L, 1);
}
