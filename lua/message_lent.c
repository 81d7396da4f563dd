#include "lua/message_lent.h"

enum { ROOM = 192 /* bytes of a message that is used again */ };

_Static_assert(offsetof(struct lua_message, wire) % _Alignof(struct lua_lent) == 0 &&
                   ROOM % _Alignof(struct lua_lent) == 0,
               "what stands behind the wire is aligned");

static void fill(struct lua_message *self, const uint8_t *wire, size_t length, double timestamp)
{
    struct lua_lent *lent = self->lent;
    *self = (struct lua_message){
        .id = load_u16(wire), .flags = load_u16(wire + 2), .length = (uint32_t)length, .timestamp = timestamp};
    self->lent = lent;
    memcpy(self->wire, wire, length);
}

static struct lua_message *push_with_room(lua_State *L, size_t more)
{
    return lua_class_new_bare(L, &lua_message_class, offsetof(struct lua_message, wire) + ROOM + more);
}

struct lua_message *lua_message_lend(lua_State *L, const uint8_t *wire, size_t length, double timestamp)
{
    if (length > ROOM)
        return NULL;
    struct lua_message *self = push_with_room(L, sizeof(struct lua_lent));
    self->lent = (struct lua_lent *)(void *)(self->wire + ROOM);
    *self->lent = (struct lua_lent){0};
    fill(self, wire, length, timestamp);
    return self;
}

bool lua_message_lend_again(struct lua_message *self, const struct dns_message *message, double timestamp)
{
    if (message->length > ROOM)
        return false;
    lua_class_slots_forget(self);
    self->lent->answered = false;
    fill(self, message->wire, message->length, timestamp);
    if (message->header.counts[DNS_SECTION_QUESTION] == 1)
        self->name_length = message->question.name_length;
    return true;
}

struct lua_question *lua_message_lend_question(lua_State *L, int index, struct lua_message *self,
                                               const struct dns_question *question)
{
    struct lua_lent *lent = self->lent;
    if (lent->question) {
        lua_question_fill(lent->question, question);
        lua_class_slot_reach(L, index, self, LUA_MESSAGE_SLOT_QUESTION);
        lua_class_slot_note(self, LUA_MESSAGE_SLOT_QUESTION);
        return lent->question;
    }
    lua_class_slots_push(L, index, self);
    struct lua_question *object = lua_question_push_with_room(L, question, DNS_NAME_MAX);
    lua_pushvalue(L, -1);
    lua_class_slots_set(L, -3, self, LUA_MESSAGE_SLOT_QUESTION);
    lent->question = object;
    return object;
}

struct lua_message *lua_message_lend_answer(lua_State *L, int index, struct lua_message *self, size_t length,
                                            double timestamp)
{
    struct lua_lent *lent = self->lent;
    if (lent->answered || length > ROOM)
        return NULL;
    if (lent->answer) {
        lua_class_slots_drop(lent->answer);
        lua_class_slot_reach(L, index, self, LUA_MESSAGE_SLOT_ANSWER);
    } else {
        lua_class_slots_push(L, index, self);
        struct lua_message *answer = push_with_room(L, 0);
        answer->lent = NULL;
        lua_pushvalue(L, -1);
        lua_class_slots_set(L, -3, self, LUA_MESSAGE_SLOT_ANSWER);
        lent->answer = answer;
    }
    fill(lent->answer, self->wire, length, timestamp);
    lent->answered = true;
    return lent->answer;
}
