/* dns.DNSMessage: the sections, on the wire and as tables. */
#include "lua/message_lent.h"

const char *lua_message_section_name(unsigned section)
{
    static const char *const names[LUA_MESSAGE_SECTIONS] = {"questions", "answers", "authorities", "additionals"};
    return names[section];
}

static int slot_of(unsigned section)
{
    return LUA_MESSAGE_SLOT_SECTION + (int)section;
}

struct lua_message *lua_message_push(lua_State *L, const uint8_t *wire, size_t length, double timestamp)
{
    struct lua_message *self = lua_class_new_bare(L, &lua_message_class, offsetof(struct lua_message, wire) + length);
    *self = (struct lua_message){
        .id = load_u16(wire), .flags = load_u16(wire + 2), .length = (uint32_t)length, .timestamp = timestamp};
    memcpy(self->wire, wire, length);
    return self;
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

void lua_message_measure_name(struct lua_message *self)
{
    self->name_length = (uint8_t)dns_name_wire_length(self->wire + DNS_HEADER_SIZE, self->length - DNS_HEADER_SIZE);
}

/* Fills the table at the top. */
static void decode_questions(lua_State *L, struct lua_message *self)
{
    struct dns_message view;
    struct dns_reader reader;
    struct dns_question question;
    check_view(L, self, &view);
    dns_reader_start_questions(&reader, &view);
    for (int i = 0; dns_reader_next_question(&reader, &question) == STATUS_OK; i++) {
        lua_question_push(L, &question)->origin = origin_in(L, self, DNS_SECTION_QUESTION, i);
        lua_rawseti(L, -2, i + 1);
    }
}

void lua_message_show_questions(lua_State *L, struct lua_message *self)
{
    if (!self->question)
        return;
    self->question->origin.message = serial_of(L, self);
    self->question->origin.section = DNS_SECTION_QUESTION;
    self->question = NULL;
}

/* Fills the table at the top, which a script is about to see. */
static void fill_questions(lua_State *L, int index, struct lua_message *self)
{
    if (!self->question) {
        decode_questions(L, self);
        return;
    }
    lua_class_slot_push(L, index, self, LUA_MESSAGE_SLOT_QUESTION);
    lua_rawseti(L, -2, 1);
    lua_message_show_questions(L, self);
}

void lua_message_push_section(lua_State *L, int index, unsigned section)
{
    struct lua_message *self = lua_class_test(L, index, &lua_message_class);
    if (lua_class_slot_used(self, slot_of(section))) {
        lua_class_slot_push(L, index, self, slot_of(section));
        return;
    }
    unsigned count = lua_message_count_on_wire(self, section);
    lua_createtable(L, (int)count, 0);
    if (section == DNS_SECTION_QUESTION && count)
        fill_questions(L, index, self);
    else if (count)
        decode_records(L, self, section);
    lua_pushvalue(L, -1);
    lua_class_slot_set(L, index, slot_of(section));
}

/* Pushes the question in the table of questions that a script has seen, with something below it. */
static void push_only_element(lua_State *L, int index, const struct lua_message *self)
{
    lua_class_slot_push(L, index, self, slot_of(DNS_SECTION_QUESTION));
    if (lua_objlen(L, -1) == 1)
        lua_rawgeti(L, -1, 1);
    else
        lua_pushnil(L);
}

void lua_message_push_question(lua_State *L, int index, struct lua_message *self)
{
    if (self->question) {
        lua_class_slot_reach(L, index, self, LUA_MESSAGE_SLOT_QUESTION);
    } else if (!lua_message_section_untouched(self, DNS_SECTION_QUESTION)) {
        push_only_element(L, index, self);
    } else if (lua_message_count_on_wire(self, DNS_SECTION_QUESTION) != 1) {
        lua_pushnil(L);
    } else if (self->lent) {
        struct dns_question question = lua_message_only_question(self);
        self->question = lua_message_lend_question(L, index, self, &question);
    } else {
        struct dns_question question = lua_message_only_question(self);
        lua_class_slots_push(L, index, self);
        struct lua_question *object = lua_question_push(L, &question);
        lua_pushvalue(L, -1);
        lua_class_slots_set(L, -3, self, LUA_MESSAGE_SLOT_QUESTION);
        self->question = object;
    }
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

static bool holds_originals_at(lua_State *L, int index, const struct lua_message *self, unsigned section)
{
    lua_class_slot_push(L, index, self, slot_of(section));
    bool same = holds_originals(L, self, section);
    lua_pop(L, 1);
    return same;
}

bool lua_message_section_unchanged(lua_State *L, int index, const struct lua_message *self, unsigned section)
{
    if (section == DNS_SECTION_QUESTION && self->question)
        return !self->question->origin.changed;
    return lua_message_section_untouched(self, section) || holds_originals_at(L, index, self, section);
}

bool lua_message_sections_unchanged(lua_State *L, int index, const struct lua_message *self)
{
    if (self->question && self->question->origin.changed)
        return false;
    if (!lua_message_has_tables(self))
        return true;
    for (unsigned section = 0; section < LUA_MESSAGE_SECTIONS; section++)
        if (!lua_message_section_unchanged(L, index, self, section))
            return false;
    return true;
}

static bool header_changed(const struct lua_message *self)
{
    return self->made || self->id != load_u16(self->wire) || self->flags != load_u16(self->wire + 2);
}

bool lua_message_may_have_changed(const struct lua_message *self)
{
    return header_changed(self) || lua_message_has_tables(self) || (self->question && self->question->origin.changed);
}

bool lua_message_changed(lua_State *L, int index)
{
    const struct lua_message *self = lua_class_known(L, index);
    return header_changed(self) || !lua_message_sections_unchanged(L, index, self);
}

/* --- walking --- */

/* The table at the top without elements: where it has other keys, it is no array. */
static enum status check_empty(lua_State *L, unsigned section, struct reason *reason)
{
    lua_pushnil(L);
    if (!lua_next(L, -2))
        return STATUS_OK;
    reason_set(reason, "%s: array of %s expected, got a table with other keys", lua_message_section_name(section),
               section == DNS_SECTION_QUESTION ? "Question" : "ResourceRecord");
    return STATUS_INVALID;
}

static enum status start_wire(struct lua_message_walk *walk, struct lua_message *self, struct buffer *expanded,
                              struct reason *reason)
{
    unsigned count = lua_message_count_on_wire(self, walk->section);
    if (walk->section == DNS_SECTION_QUESTION && count == 1) {
        walk->alone = true;
        walk->question = self->question ? lua_question_view(self->question) : lua_message_only_question(self);
    } else if (count) {
        enum status status = lua_message_view(self, &walk->view, reason);
        if (status)
            return status;
        dns_reader_start(&walk->reader, &walk->view, walk->section, expanded);
        walk->count = -1;
    }
    return STATUS_OK;
}

enum status lua_message_walk_start(struct lua_message_walk *walk, lua_State *L, int index, struct lua_message *self,
                                   unsigned section, struct buffer *expanded, struct reason *reason)
{
    enum status status = STATUS_OK;
    walk->L = L;
    walk->section = section;
    walk->base = lua_gettop(L);
    walk->next = walk->count = 0;
    walk->alone = false;
    if (lua_class_slot_used(self, slot_of(section))) {
        lua_class_slot_reach(L, index, self, slot_of(section));
        walk->table = lua_gettop(L);
        walk->count = (int)lua_objlen(L, -1);
        if (walk->count == 0)
            status = check_empty(L, section, reason);
    } else {
        status = start_wire(walk, self, expanded, reason);
    }
    if (status)
        lua_settop(L, walk->base);
    return status;
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
    lua_settop(walk->L, walk->base);
}
