/* What the files of dns.DNSMessage share. */
#ifndef MOONDNS_LUA_MESSAGE_OBJECT_H
#define MOONDNS_LUA_MESSAGE_OBJECT_H

#include "lua/message_class.h"
#include "lua/question_class.h"
#include "lua/record_class.h"

enum { LUA_MESSAGE_SECTIONS = 4 };

/* Slots of the object: the sections' tables, by enum dns_section from 1 on; the question; an answer that is used again.
 */
enum { LUA_MESSAGE_SLOT_SECTION = 1, LUA_MESSAGE_SLOT_QUESTION = 5, LUA_MESSAGE_SLOT_ANSWER = LUA_MESSAGE_SLOTS };

struct lua_lent;

struct lua_message {
    uint16_t id, flags;  /* as they are now; the wire has those that came */
    bool made;           /* by hand, or as an answer: the wire is only where it began */
    uint8_t name_length; /* of the only question on the wire; 0: not looked for yet */
    uint32_t length;     /* of the wire */
    /* The only one, in its slot, while no script has seen the table of questions; else NULL. */
    struct lua_question *question;
    double timestamp;      /* seconds; negative: none */
    struct lua_lent *lent; /* what is used again with this message (message_lent.h); NULL: it serves once */
    uint64_t serial;       /* of the state's messages, what records decoded from this one bear; 0: none yet */
    uint8_t wire[];
};

/* The section's name as a property: "answers". */
const char *lua_message_section_name(unsigned section);

/* A checked view over the wire, made anew each time: cheaper than room for it in each object. */
MUST_CHECK enum status lua_message_view(const struct lua_message *self, struct dns_message *out, struct reason *reason);

/* Pushes the table of the section, decoding it when nobody has before. */
void lua_message_push_section(lua_State *L, int index, unsigned section);

/* Pushes the question, nil unless there is exactly one; may leave something below it. */
void lua_message_push_question(lua_State *L, int index, struct lua_message *self);

/* A script sees the table of questions, or puts another one in its place: from now on anything may be in it. */
void lua_message_show_questions(lua_State *L, struct lua_message *self);

/* Sets `name_length`. */
void lua_message_measure_name(struct lua_message *self);

/* The only question on the wire. It has its name at the very place where the header ends. */
static inline struct dns_question lua_message_only_question(struct lua_message *self)
{
    const uint8_t *name = self->wire + DNS_HEADER_SIZE;
    if (!self->name_length)
        lua_message_measure_name(self);
    return (struct dns_question){
        .name = name,
        .name_length = self->name_length,
        .type = load_u16(name + self->name_length),
        .class_ = load_u16(name + self->name_length + 2),
    };
}

/* Whether nobody has read or set the section's table. */
static inline bool lua_message_section_untouched(const struct lua_message *self, unsigned section)
{
    return !lua_class_slot_used(self, LUA_MESSAGE_SLOT_SECTION + (int)section);
}

/* Whether somebody has of any. */
static inline bool lua_message_has_tables(const struct lua_message *self)
{
    const unsigned sections = (1u << LUA_MESSAGE_SECTIONS) - 1;
    return lua_class_slots_used(self) & sections << LUA_MESSAGE_SLOT_SECTION;
}

/* How many records the section had when it came. */
static inline unsigned lua_message_count_on_wire(const struct lua_message *self, unsigned section)
{
    return load_u16(self->wire + 4 + 2 * section);
}

/* Whether the section of the message at `index` is what came: never read, or a table that holds the very records it was
 * decoded to, unchanged. */
bool lua_message_section_unchanged(lua_State *L, int index, const struct lua_message *self, unsigned section);

/* The same for all sections. */
bool lua_message_sections_unchanged(lua_State *L, int index, const struct lua_message *self);

/* Walks a section as it is now, in its table or on the wire. Keeps values on the stack until it is ended. Runs no Lua
 * code and never raises. */
struct lua_message_walk {
    lua_State *L;
    unsigned section;
    int base;        /* the top of the stack before */
    int table;       /* where the table stands on it */
    int next, count; /* of the table's elements; -1: the section is on the wire */
    bool alone;      /* there is one question, and this is it (no table has it): */
    struct dns_question question;
    struct dns_message view;
    struct dns_reader reader;
};
MUST_CHECK enum status lua_message_walk_start(struct lua_message_walk *walk, lua_State *L, int index,
                                              struct lua_message *self, unsigned section, struct buffer *expanded,
                                              struct reason *reason);
/* STATUS_NOT_FOUND at the end; STATUS_INVALID for an element that does not belong there, with a reason that names it.
 */
MUST_CHECK enum status lua_message_walk_record(struct lua_message_walk *walk, struct dns_record *out,
                                               struct reason *reason);
MUST_CHECK enum status lua_message_walk_question(struct lua_message_walk *walk, struct dns_question *out,
                                                 struct reason *reason);
void lua_message_walk_end(struct lua_message_walk *walk);

/* The first OPT record among the additionals (its name and options borrowed from the message); false when there is
 * none. */
bool lua_message_find_opt(lua_State *L, int index, struct dns_record *out);

/* Appends an OPT record with the upper bits of this response code, and DO when asked for, to the additionals. */
void lua_message_add_opt(lua_State *L, int index, uint16_t response_code, bool dnssec_ok);

void lua_message_get_edns(lua_State *L, void *self);
void lua_message_set_edns(lua_State *L, void *self, int value);
void lua_message_get_response_code(lua_State *L, void *self);
void lua_message_set_response_code(lua_State *L, void *self, int value);

/* Pushes the packed message; raises "WHAT: …". */
void lua_message_push_packed(lua_State *L, int index, const char *what);

/* Pushes a message that packs to the same bytes as the one at `index`; raises "WHAT: …". */
void lua_message_push_copy(lua_State *L, int index, const char *what);

extern const struct lua_method lua_message_methods[], lua_message_statics[];
extern const struct lua_property lua_message_properties[];
int lua_message_tostring(lua_State *L);
int lua_message_equal(lua_State *L);
struct cJSON *lua_message_json(lua_State *L, int index, struct reason *reason);
int lua_message_construct(lua_State *L);

#endif
