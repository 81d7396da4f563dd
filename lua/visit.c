#include "lua/visit.h"

#include "base/clock.h"
#include "dns/text.h"
#include "lua/lib.h"
#include "lua/message_lent.h"
#include "lua/record_class.h"
#include "lua/registries.h"

#include <stdio.h>

enum {
    WIRE_MAX = 192,  /* bytes of a query */
    OWNER_ROOM = 48, /* bytes that a record's owner and address can have; longer ones are made otherwise */
    ADDRESS_ROOM = 16,
    STOCK_LOW = 8, /* records */
    TYPES_MAX = 1024,
    SLOT_ANSWERS = LUA_MESSAGE_SLOT_SECTION + DNS_SECTION_ANSWER,
};

static const struct lua_class *const classes[LUA_VISIT_CLASSES] = {&lua_flow_class, &lua_message_class,
                                                                   &lua_question_class};

/* --- what compiled code calls; objects begin with their struct lua_object --- */

/* Writes the question's name as text (DNS_NAME_TEXT_MAX bytes have room); gives its length. */
static size_t write_name(const struct lua_object *object, char *out)
{
    const struct lua_question *question = (const void *)(object + 1);
    return dns_name_to_text(question->name.data, DNS_NAME_LOWER, out);
}

/* Makes the visit's answer one to its request, with this code and no records; false where that takes more. */
static bool answer(struct lua_visit *visit, uint32_t response_code)
{
    const struct lua_message *request = visit->request;
    struct lua_message *made = visit->answer;
    if (visit->answered || visit->question->origin.changed)
        return false;
    size_t length = DNS_HEADER_SIZE + request->name_length + 4u;
    lua_class_slots_forget(made);
    *made = (struct lua_message){
        .id = request->id,
        .flags = (uint16_t)(DNS_FLAG_QR | (request->flags & (DNS_FLAG_OPCODE | DNS_FLAG_RD | DNS_FLAG_CD)) |
                            (response_code ? response_code : DNS_FLAG_RA)),
        .made = true,
        .name_length = request->name_length,
        .length = (uint32_t)length,
        .timestamp = clock_seconds(clock_wall_us()),
    };
    memcpy(made->wire, request->wire, length);
    memset(made->wire + 6, 0, 6);
    visit->answered = true;
    return true;
}

/* 0x80 in each of eight bytes that is a capital letter. */
static uint64_t capitals(uint64_t bytes)
{
    const uint64_t ones = 0x0101010101010101, high = 0x80 * ones;
    const uint64_t low = bytes & ~high; /* so that no sum carries into the next byte */
    return (low + (0x80 - 'A') * ones) & ~(low + (0x80 - 'Z' - 1) * ones) & ~bytes & high;
}

/* Copies a name, its letters in lower case; the lengths of labels are below them all. Eight bytes at a time: both have
 * room for as many more as that takes. */
static void copy_lower(uint8_t *to, const uint8_t *from, size_t length)
{
    for (size_t i = 0; i < length; i += sizeof(uint64_t)) {
        uint64_t bytes;
        memcpy(&bytes, from + i, sizeof bytes);
        bytes |= capitals(bytes) >> 2; /* 0x80 becomes 0x20, which makes them small */
        memcpy(to + i, &bytes, sizeof bytes);
    }
}

/* Whether a name has no capital letters; those that stand behind it may count. */
static bool is_lower(const uint8_t *name, size_t length)
{
    uint64_t found = 0;
    for (size_t i = 0; i < length; i += sizeof found) {
        uint64_t bytes;
        memcpy(&bytes, name + i, sizeof bytes);
        found |= capitals(bytes);
    }
    return !found;
}

/* The owner's name: of this text, or of the visit's question where there is none. */
static bool put_owner(const struct lua_visit *visit, struct lua_bytes *owner, const char *text, size_t length)
{
    struct dns_name name;
    struct reason reason;
    const struct lua_question *question = visit->question;
    if (!text && !question->origin.changed) {
        if (question->name.length > OWNER_ROOM)
            return false;
        owner->length = question->name.length;
        copy_lower(owner->data, question->name.data, owner->length);
        return true;
    }
    if (!text || dns_name_from_text(text, length, &name, &reason) || name.length > OWNER_ROOM)
        return false;
    owner->length = name.length;
    memcpy(owner->data, name.wire, name.length);
    return true;
}

/* The address of this text, or (length 0) the one that was read last. */
static bool put_address(struct lua_visit *visit, struct lua_bytes *data, bool four, const char *text, size_t length)
{
    uint8_t *last = four ? visit->ipv4 : visit->ipv6;
    struct address address;
    data->length = four ? sizeof visit->ipv4 : sizeof visit->ipv6;
    if (length) {
        if (address_from_ip(text, length, &address) || address.family != (four ? AF_INET : AF_INET6) ||
            memchr(text, '%', length))
            return false;
        memcpy(last, address.bytes, data->length);
    }
    memcpy(data->data, last, data->length);
    return true;
}

/* Makes the record of the stock one that holds an address; its type is set before, its TTL after. False where the
 * factory has to do it. */
static bool fill(struct lua_visit *visit, struct lua_object *object, const char *owner, size_t owner_length,
                 const char *ip, size_t ip_length)
{
    struct lua_record *record = (void *)(object + 1);
    uint8_t *room = (uint8_t *)(record + 1);
    object->slots = 0;
    *record = (struct lua_record){.name = {room, 0, OWNER_ROOM},
                                  .data = {room + OWNER_ROOM, 0, ADDRESS_ROOM},
                                  .type = record->type,
                                  .class_ = DNS_CLASS_IN};
    return put_owner(visit, &record->name, owner, owner_length) &&
           put_address(visit, &record->data, record->type == DNS_TYPE_A, ip, ip_length);
}

/* Reads the text of an address, for the record that is noted next; false where it is none. */
static bool read_address(struct lua_visit *visit, bool four, const char *text, size_t length)
{
    uint8_t bytes[ADDRESS_ROOM];
    struct lua_bytes address = {bytes, 0, sizeof bytes};
    return length && put_address(visit, &address, four, text, length);
}

static uint16_t length_of_noted(const struct lua_visit *visit)
{
    return visit->noted.type == DNS_TYPE_A ? sizeof visit->ipv4 : sizeof visit->ipv6;
}

/* Makes the visit's answer one with the record that is noted, the question's name its owner; false where that takes
 * more. */
static bool answer_address(struct lua_visit *visit)
{
    if (visit->shares || !visit->records || visit->question->name.length > OWNER_ROOM || !answer(visit, 0))
        return false;
    visit->noted.ttl = visit->ttl;
    visit->noted.type = visit->type;
    if (visit->type == DNS_TYPE_A)
        memcpy(visit->noted.address, visit->ipv4, sizeof visit->ipv4);
    else
        memcpy(visit->noted.address, visit->ipv6, sizeof visit->ipv6);
    visit->single = visit->records--;
    visit->record = visit->records_stocked[visit->records];
    visit->blank = true;
    return true;
}

/* Makes the record of the stock the one that is noted. */
static void write_noted(const struct lua_visit *visit)
{
    const struct lua_message *made = visit->answer;
    struct lua_record *record = (void *)(visit->record + 1);
    uint8_t *room = (uint8_t *)(record + 1);
    visit->record->slots = 0;
    *record = (struct lua_record){.name = {room, made->name_length, OWNER_ROOM},
                                  .data = {room + OWNER_ROOM, length_of_noted(visit), ADDRESS_ROOM},
                                  .type = visit->noted.type,
                                  .class_ = DNS_CLASS_IN,
                                  .ttl = visit->noted.ttl};
    copy_lower(room, made->wire + DNS_HEADER_SIZE, made->name_length);
    memcpy(room + OWNER_ROOM, visit->noted.address, record->data.length);
}

/* --- opening --- */

/* What compiled code looks into, declared for LuaJIT. */
static void push_types(lua_State *L)
{
    enum { HEAD = sizeof(struct lua_object) };
    char text[TYPES_MAX];
    _Static_assert(offsetof(struct lua_visit, record) == 16 && offsetof(struct lua_visit, blank) == 38 &&
                       offsetof(struct lua_visit, records) == 4 && offsetof(struct lua_object, slots) == 8,
                   "as it is declared here");
    snprintf(
        text, sizeof text,
        "struct moondns_object { void *of; uint32_t slots; };"
        "struct moondns_visit { bool is_answered, is_named, shares, answered; uint32_t records, single;"
        " struct moondns_object *record; struct moondns_asked *question; uint32_t ttl; uint16_t type; bool blank; };"
        "struct moondns_asked { uint8_t before[%zu]; uint16_t type, class_; };"
        "struct moondns_flow { uint8_t before[%zu]; uint32_t changed; };"
        "struct moondns_message { uint8_t before[%zu]; uint16_t id, flags; };"
        "struct moondns_question { uint8_t before[%zu]; uint16_t type, class_; };"
        "struct moondns_record { uint8_t before[%zu]; uint16_t type, class_; uint32_t ttl; };",
        offsetof(struct lua_question, type), HEAD + offsetof(struct lua_flow, changed),
        HEAD + offsetof(struct lua_message, id), HEAD + offsetof(struct lua_question, type),
        HEAD + offsetof(struct lua_record, type));
    lua_pushstring(L, text);
}

static void set_address(lua_State *L, const char *name, const void *address)
{
    lua_pushlightuserdata(L, (void *)(uintptr_t)address);
    lua_setfield(L, -2, name);
}

static void set_number(lua_State *L, const char *name, lua_Number number)
{
    lua_pushnumber(L, number);
    lua_setfield(L, -2, name);
}

/* Sets a table of the classes' metamethods of this name. */
static void set_metamethods(lua_State *L, const char *name, const char *metamethod)
{
    lua_createtable(L, 0, LUA_VISIT_CLASSES);
    for (int i = 0; i < LUA_VISIT_CLASSES; i++) {
        lua_class_push_metatable(L, classes[i]);
        lua_getfield(L, -1, metamethod);
        lua_setfield(L, -3, classes[i]->name);
        lua_pop(L, 1);
    }
    lua_setfield(L, -2, name);
}

/* Sets a new table, and gives a reference to it. */
static int set_table(lua_State *L, const char *name)
{
    lua_newtable(L);
    lua_pushvalue(L, -1);
    lua_setfield(L, -3, name);
    return luaL_ref(L, LUA_REGISTRYINDEX);
}

/* Pushes what dns.compiled is given; the module `dns` is at `dns`. */
static void push_given(lua_State *L, int dns, struct lua_visit *visit)
{
    lua_newtable(L);
    push_types(L);
    lua_setfield(L, -2, "types");
    visit->objects = set_table(L, "objects");
    visit->stock = set_table(L, "records");
    set_address(L, "visit", visit);
    set_address(L, "write_name", (const void *)(uintptr_t)write_name);
    set_address(L, "answer", (const void *)(uintptr_t)answer);
    set_address(L, "fill", (const void *)(uintptr_t)fill);
    set_address(L, "read_address", (const void *)(uintptr_t)read_address);
    set_address(L, "answer_address", (const void *)(uintptr_t)answer_address);
    set_address(L, "write_noted", (const void *)(uintptr_t)write_noted);
    set_metamethods(L, "index", "__index");
    set_metamethods(L, "newindex", "__newindex");
    lua_class_push(L, &lua_message_class);
    lua_setfield(L, -2, "message");
    lua_class_push(L, &lua_record_class);
    lua_setfield(L, -2, "record");
    lua_getfield(L, dns, "response_codes");
    lua_setfield(L, -2, "response_codes");
    set_number(L, "name_text_max", DNS_NAME_TEXT_MAX);
    set_number(L, "default_ttl", DNS_DEFAULT_TTL);
    set_number(L, "ttl_max", DNS_TTL_MAX);
    set_number(L, "answers_slot", SLOT_ANSWERS);
    set_number(L, "response_slot", LUA_FLOW_RESPONSE);
    set_number(L, "response_assigned", LUA_FLOW_RESPONSE_ASSIGNED);
    set_number(L, "response_cleared", LUA_FLOW_RESPONSE_CLEARED);
}

/* Copies the fields of the table at the top to the table at `to`; pops the former. */
static void copy_fields(lua_State *L, int to)
{
    lua_pushnil(L);
    while (lua_next(L, -2)) {
        lua_pushvalue(L, -2);
        lua_insert(L, -2);
        lua_rawset(L, to);
    }
    lua_pop(L, 1);
}

void lua_visit_prepare(lua_State *L, struct lua_visit *visit)
{
    lua_lib_load(L, "dns.compiled");
    lua_call(L, 0, 2);
    visit->is_compiled = luaL_ref(L, LUA_REGISTRYINDEX);
    visit->open = luaL_ref(L, LUA_REGISTRYINDEX);
}

void lua_visit_open(lua_State *L, struct lua_visit *visit)
{
    int dns = lua_gettop(L);
    luaL_checkstack(L, 12, NULL);
    lua_rawgeti(L, LUA_REGISTRYINDEX, visit->open);
    push_given(L, dns, visit);
    lua_call(L, 1, 2);
    visit->given = luaL_ref(L, LUA_REGISTRYINDEX);
    for (int i = 0; i < LUA_VISIT_CLASSES; i++) {
        lua_newtable(L);
        lua_class_push_metatable(L, classes[i]);
        copy_fields(L, lua_gettop(L) - 1);
        lua_getfield(L, -2, classes[i]->name);
        copy_fields(L, lua_gettop(L) - 1);
        visit->metatables[i] = luaL_ref(L, LUA_REGISTRYINDEX);
    }
    lua_pop(L, 1);
    visit->flow_object = LUA_NOREF;
}

void lua_visit_push_given(lua_State *L, const struct lua_visit *visit)
{
    lua_rawgeti(L, LUA_REGISTRYINDEX, visit->given);
}

bool lua_visit_is_compiled(lua_State *L, const struct lua_visit *visit, int function)
{
    lua_rawgeti(L, LUA_REGISTRYINDEX, visit->is_compiled);
    lua_rawgeti(L, LUA_REGISTRYINDEX, function);
    lua_call(L, 1, 1);
    bool compiled = lua_toboolean(L, -1);
    lua_pop(L, 1);
    return compiled;
}

/* --- the objects --- */

/* Gives the object at the top the metatable for its visits, sets it in the table of objects at `objects`, and pops it.
 */
static void set_object(lua_State *L, const struct lua_visit *visit, int objects, const char *name, int class)
{
    lua_rawgeti(L, LUA_REGISTRYINDEX, visit->metatables[class]);
    lua_setmetatable(L, -2);
    lua_setfield(L, objects, name);
}

/* Makes objects, this flow's. */
static void make_objects(lua_State *L, struct lua_visit *visit, struct flow *flow, const struct lua_flow_host *host)
{
    enum { FLOW, MESSAGE, QUESTION };
    lua_rawgeti(L, LUA_REGISTRYINDEX, visit->objects);
    int objects = lua_gettop(L), flow_object = objects + 1, request = objects + 2;
    visit->flow = lua_flow_push_live(L, flow, host, true);
    lua_flow_get_request(L, flow_object);
    visit->request = visit->flow->request;
    lua_message_push_question(L, request, visit->request);
    visit->question = visit->request->lent->question;
    set_object(L, visit, objects, "question", QUESTION);
    visit->answer = lua_message_lend_answer(L, request, visit->request, DNS_HEADER_SIZE, 0);
    lua_class_slots_push(L, lua_gettop(L), visit->answer);
    lua_setfield(L, objects, "answer_slots");
    set_object(L, visit, objects, "answer", MESSAGE);
    lua_class_slots_push(L, flow_object, visit->flow);
    lua_setfield(L, objects, "flow_slots");
    lua_pushvalue(L, request);
    set_object(L, visit, objects, "request", MESSAGE);
    lua_pushvalue(L, flow_object);
    visit->flow_object = luaL_ref(L, LUA_REGISTRYINDEX);
    lua_pushvalue(L, flow_object);
    set_object(L, visit, objects, "flow", FLOW);
    lua_settop(L, objects - 1);
}

/* Fills the stock up. */
static void restock(lua_State *L, struct lua_visit *visit)
{
    lua_rawgeti(L, LUA_REGISTRYINDEX, visit->stock);
    while (visit->stocked < LUA_VISIT_RECORDS) {
        struct lua_record *record =
            lua_class_new_bare(L, &lua_record_class, sizeof *record + OWNER_ROOM + ADDRESS_ROOM);
        visit->records_stocked[visit->stocked] = (struct lua_object *)record - 1;
        lua_rawseti(L, -2, (int)++visit->stocked);
    }
    lua_pop(L, 1);
}

bool lua_visit_begin(lua_State *L, struct lua_visit *visit, struct flow *flow, const struct lua_flow_host *host,
                     bool shares)
{
    const struct flow_message *message = flow_request(flow);
    if (message->wire.length > WIRE_MAX || load_u16(message->wire.data + 4) != 1)
        return false;
    if (visit->stocked < STOCK_LOW)
        restock(L, visit);
    if (!visit->flow)
        make_objects(L, visit, flow, host);
    if (!lua_flow_lend_again(visit->flow, flow, host) ||
        !lua_message_lend_again(visit->request, &message->view, clock_seconds(message->timestamp_us)))
        return false;
    visit->flow->request = visit->request;
    visit->flow->changed = LUA_FLOW_REQUEST_TOUCHED;
    lua_class_slot_note(visit->flow, LUA_FLOW_REQUEST);
    struct dns_question question = lua_message_only_question(visit->request);
    lua_question_fill(visit->question, &question);
    visit->request->question = visit->question;
    lua_class_slot_note(visit->request, LUA_MESSAGE_SLOT_QUESTION);
    visit->request->lent->answered = true; /* other answers are objects of their own */
    visit->answered = visit->is_answered = visit->is_named = visit->blank = false;
    visit->shares = shares;
    visit->records = visit->stocked;
    visit->single = 0;
    visit->record = NULL;
    return true;
}

void lua_visit_end(struct lua_visit *visit)
{
    const bool again = visit->blank && visit->single == visit->records + 1;
    visit->stocked = visit->records + again;
    visit->records = 0;
    visit->answered = true;
    lua_flow_leave(visit->flow);
}

/* --- the answer --- */

bool lua_visit_has_answer(const struct lua_visit *visit)
{
    const struct lua_message *made = visit->answer;
    return visit->is_answered && !lua_message_has_tables(made) && !(made->question && made->question->origin.changed);
}

/* Appends a record that belongs to the question's name: a pointer is its owner (RFC 1035 section 4.1.4). */
static void append_at_question(struct buffer *out, uint16_t type, uint32_t ttl, const uint8_t *data, uint16_t length)
{
    enum { POINTER_TO_QUESTION = 0xc000 | DNS_HEADER_SIZE, FIXED = 12 };
    if (!buffer_reserve(out, FIXED + length))
        return;
    uint8_t *at = out->data + out->length;
    store_u16(at, POINTER_TO_QUESTION);
    store_u16(at + 2, type);
    store_u16(at + 4, DNS_CLASS_IN);
    store_u32(at + 6, ttl);
    store_u16(at + 10, length);
    memcpy(at + FIXED, data, length);
    out->length += FIXED + length;
}

/* Whether that is so, and there are no names in its data. The root is shorter than a pointer. */
static bool is_at_question(const struct lua_message *made, const struct lua_record *record)
{
    return (record->type == DNS_TYPE_A || record->type == DNS_TYPE_AAAA) && record->class_ == DNS_CLASS_IN &&
           record->name.length > 1 && record->name.length == made->name_length &&
           memcmp(record->name.data, made->wire + DNS_HEADER_SIZE, record->name.length) == 0;
}

/* The same for the one that is noted: its owner is the question's name with small letters. */
static bool is_noted_at_question(const struct lua_message *made)
{
    return made->name_length > 1 && is_lower(made->wire + DNS_HEADER_SIZE, made->name_length);
}

/* Any record. */
static enum status pack_record(const struct lua_message *made, const struct dns_question *question,
                               const struct lua_record *object, struct buffer *out, struct dns_message *view,
                               struct reason *reason)
{
    const struct dns_header header = {.id = made->id, .flags = made->flags};
    const struct dns_record record = lua_record_view(object);
    struct dns_packer packer;
    char type[DNS_MNEMONIC_MAX];
    dns_packer_start(&packer, out, &header, DNS_MESSAGE_MAX);
    enum status status = dns_packer_question(&packer, question);
    if (!status)
        status = dns_packer_record(&packer, DNS_SECTION_ANSWER, &record);
    if (!status)
        status = dns_packer_finish(&packer);
    if (status == STATUS_MALFORMED)
        reason_set(reason, "answers[1]: record data of %s: domain name expected",
                   dns_registry_to_text(DNS_TYPES, record.type, type));
    else if (status)
        reason_set(reason, "out of memory");
    else if (!dns_packer_view(&packer, view))
        status = dns_message_parse(out->data, out->length, view, reason);
    return status;
}

enum status lua_visit_pack(const struct lua_visit *visit, struct buffer *out, struct dns_message *view,
                           struct reason *reason)
{
    struct lua_message *made = visit->answer;
    const struct lua_record *record = visit->single ? (const void *)(visit->record + 1) : NULL;
    struct dns_question question = lua_message_only_question(made);
    const bool noted = visit->blank && is_noted_at_question(made);
    buffer_clear(out);
    if (visit->blank && !noted)
        write_noted(visit);
    if (record && !noted && !is_at_question(made, record))
        return pack_record(made, &question, record, out, view, reason);
    buffer_append(out, made->wire, made->length);
    if (noted)
        append_at_question(out, visit->noted.type, visit->noted.ttl, visit->noted.address, length_of_noted(visit));
    else if (record)
        append_at_question(out, record->type, record->ttl, record->data.data, (uint16_t)record->data.length);
    if (out->failed) {
        reason_set(reason, "out of memory");
        return STATUS_NO_MEMORY;
    }
    store_u16(out->data, made->id);
    store_u16(out->data + 2, made->flags);
    store_u16(out->data + 6, record ? 1 : 0);
    *view = (struct dns_message){.wire = out->data, .length = out->length, .question = question};
    view->question.name = out->data + DNS_HEADER_SIZE;
    for (unsigned section = 0; section <= LUA_MESSAGE_SECTIONS; section++)
        view->section[section] = section == DNS_SECTION_QUESTION ? DNS_HEADER_SIZE
                                 : section == DNS_SECTION_ANSWER ? made->length
                                                                 : (uint32_t)out->length;
    return dns_header_read(out->data, out->length, &view->header);
}

/* --- parting --- */

/* The answer's only record goes into a table, as those of all other messages. */
static void show_record(lua_State *L, struct lua_visit *visit, int objects)
{
    if (visit->blank)
        write_noted(visit);
    lua_getfield(L, objects, "answer_slots");
    lua_createtable(L, 1, 0);
    lua_rawgeti(L, LUA_REGISTRYINDEX, visit->stock);
    lua_rawgeti(L, -1, (int)visit->single);
    lua_rawseti(L, -3, 1);
    lua_pop(L, 1);
    lua_rawseti(L, -2, SLOT_ANSWERS);
    lua_pop(L, 1);
    lua_class_slot_note(visit->answer, SLOT_ANSWERS);
}

void lua_visit_part(lua_State *L, struct lua_visit *visit)
{
    static const struct {
        const char *name;
        const struct lua_class *class;
    } objects[] = {{"flow", &lua_flow_class},
                   {"request", &lua_message_class},
                   {"answer", &lua_message_class},
                   {"question", &lua_question_class}};
    luaL_checkstack(L, 6, NULL);
    lua_rawgeti(L, LUA_REGISTRYINDEX, visit->objects);
    int table = lua_gettop(L);
    if (visit->single)
        show_record(L, visit, table);
    for (size_t i = 0; i < sizeof objects / sizeof objects[0]; i++) {
        lua_getfield(L, table, objects[i].name);
        lua_class_push_metatable(L, objects[i].class);
        lua_setmetatable(L, -2);
        lua_pop(L, 1);
        lua_pushnil(L);
        lua_setfield(L, table, objects[i].name);
    }
    lua_settop(L, table - 1);
    luaL_unref(L, LUA_REGISTRYINDEX, visit->flow_object);
    visit->flow_object = LUA_NOREF;
    visit->flow = NULL;
    visit->records = visit->stocked = 0;
    visit->answered = true;
}
