/* dns.Question. Owns its name. */
#ifndef MOONDNS_LUA_QUESTION_CLASS_H
#define MOONDNS_LUA_QUESTION_CLASS_H

#include "dns/record.h"
#include "lua/values.h"

struct lua_question {
    struct lua_bytes name; /* uncompressed wire; slot 1 when it outgrew the object */
    uint16_t type, class_;
    struct lua_origin origin;
};

extern const struct lua_class lua_question_class;

/* Pushes a Question that copies what it is given. */
struct lua_question *lua_question_push(lua_State *L, const struct dns_question *question);

/* The same with room for a name of `room` bytes; and makes a Question with room for it another one. */
struct lua_question *lua_question_push_with_room(lua_State *L, const struct dns_question *question, uint32_t room);
void lua_question_fill(struct lua_question *self, const struct dns_question *question);

/* The Question's values; they point into the object and hold until it is changed. */
static inline struct dns_question lua_question_view(const struct lua_question *question)
{
    return (struct dns_question){.name = question->name.data,
                                 .name_length = (uint8_t)question->name.length,
                                 .type = question->type,
                                 .class_ = question->class_};
}

/* Pushes the Question that the arguments name, type [, class_] from `first` on stand for; raises. */
void lua_question_push_arguments(lua_State *L, int first);

#endif
