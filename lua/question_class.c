#include "lua/question_class.h"

#include "dns/json.h"
#include "lua/json.h"
#include "lua/registries.h"

enum { SLOT_NAME = 1, NAME_ROOM = 32 /* bytes a name can have at least before it needs a blob */ };

void lua_question_fill(struct lua_question *self, const struct dns_question *question)
{
    memcpy(self->name.data, question->name, question->name_length);
    self->name.length = question->name_length;
    self->type = question->type;
    self->class_ = question->class_;
    self->origin = (struct lua_origin){0};
}

struct lua_question *lua_question_push_with_room(lua_State *L, const struct dns_question *question, uint32_t room)
{
    struct lua_question *self = lua_class_new_bare(L, &lua_question_class, sizeof *self + room);
    self->name = (struct lua_bytes){.data = (uint8_t *)(self + 1), .capacity = room};
    lua_question_fill(self, question);
    return self;
}

struct lua_question *lua_question_push(lua_State *L, const struct dns_question *question)
{
    return lua_question_push_with_room(L, question,
                                       question->name_length > NAME_ROOM ? question->name_length : NAME_ROOM);
}

void lua_question_push_arguments(lua_State *L, int first)
{
    struct dns_name name;
    lua_name_check(L, first, &name, "Question.name");
    struct dns_question question = {.name = name.wire, .name_length = name.length, .class_ = DNS_CLASS_IN};
    question.type = lua_check_registered(L, first + 1, DNS_TYPES, "Question.type");
    if (!lua_isnoneornil(L, first + 2))
        question.class_ = lua_check_registered(L, first + 2, DNS_CLASSES, "Question.class_");
    lua_question_push(L, &question);
}

static int question_construct(lua_State *L)
{
    lua_question_push_arguments(L, 2);
    return 1;
}

/* --- properties --- */

static void get_name(lua_State *L, void *self)
{
    const struct lua_question *question = self;
    lua_name_push(L, question->name.data, DNS_NAME_LOWER);
}

static void set_name(lua_State *L, void *self, int value)
{
    struct lua_question *question = self;
    struct dns_name name;
    lua_name_check(L, value, &name, "Question.name");
    if (lua_bytes_set(L, 1, SLOT_NAME, &question->name, name.wire, name.length))
        question->origin.changed = true;
}

static void get_original_name(lua_State *L, void *self)
{
    const struct lua_question *question = self;
    lua_name_push(L, question->name.data, DNS_NAME_PLAIN);
}

static void set_number(struct lua_question *question, uint16_t *field, uint16_t value)
{
    question->origin.changed |= *field != value;
    *field = value;
}

static void get_type(lua_State *L, void *self)
{
    lua_pushinteger(L, ((struct lua_question *)self)->type);
}

static void set_type(lua_State *L, void *self, int value)
{
    struct lua_question *question = self;
    set_number(question, &question->type, lua_check_registered(L, value, DNS_TYPES, "Question.type"));
}

static void get_class(lua_State *L, void *self)
{
    lua_pushinteger(L, ((struct lua_question *)self)->class_);
}

static void set_class(lua_State *L, void *self, int value)
{
    struct lua_question *question = self;
    set_number(question, &question->class_, lua_check_registered(L, value, DNS_CLASSES, "Question.class_"));
}

/* --- methods --- */

static int question_tostring(lua_State *L)
{
    const struct lua_question *question = lua_class_self(L, &lua_question_class, "Question.tostring");
    lua_name_push(L, question->name.data, DNS_NAME_LOWER);
    return 1;
}

static int question_equal(lua_State *L)
{
    struct dns_question a = lua_question_view(lua_class_test(L, 1, &lua_question_class));
    struct dns_question b = lua_question_view(lua_class_test(L, 2, &lua_question_class));
    lua_pushboolean(L, dns_question_equal(&a, &b));
    return 1;
}

static struct cJSON *question_json(lua_State *L, int index, struct reason *reason)
{
    struct dns_question question = lua_question_view(lua_class_test(L, index, &lua_question_class));
    struct cJSON *json = dns_question_to_json(&question);
    if (!json)
        reason_set(reason, "out of memory");
    return json;
}

static int question_to_json(lua_State *L)
{
    lua_class_self(L, &lua_question_class, "Question.to_json");
    return lua_json_push_object(L, 1, "Question.to_json");
}

static int question_from_json(lua_State *L)
{
    struct reason reason;
    struct dns_question question;
    lua_check_table(L, 1, "Question.from_json");
    struct cJSON *json = lua_json_check(L, 1, "Question.from_json");
    enum status status = dns_question_from_json(json, lua_scratch(L), &question, &reason);
    cJSON_Delete(json);
    if (lua_memory_check(L, status))
        return lua_raise_plain(L, &reason);
    lua_question_push(L, &question);
    return 1;
}

static const struct lua_property properties[] = {
    {"name", get_name, set_name, "name",
     "The name that is asked for: text in lower case without the final dot, special bytes escaped (RFC 1035 section "
     "5.1). What is set keeps its letter case on the wire; UTF-8 is turned into A-labels."},
    {"original_name", get_original_name, NULL, "name", "The name in the letter case that it has on the wire."},
    {"type", get_type, set_type, "integer from 0 to 65535",
     "The record type that is asked for, one of `dns.types`; set from a number or a name (`\"AAAA\"`, "
     "`\"TYPE65280\"`)."},
    {"class_", get_class, set_class, "integer from 0 to 65535",
     "The class, one of `dns.classes`; set from a number or a name."},
    {0},
};

static const struct lua_method methods[] = {
    {"to_json", question_to_json, "to_json()", "A table `{name=, type=\"AAAA\", class=\"IN\"}`."},
    {0},
};

static const struct lua_method statics[] = {
    {"from_json", question_from_json, "from_json(t)",
     "The Question that such a table stands for. Raises for values that do not fit, and names the attribute."},
    {0},
};

static void question_copy(lua_State *L, int index, const char *what)
{
    (void)what;
    struct dns_question question = lua_question_view(lua_class_test(L, index, &lua_question_class));
    lua_question_push(L, &question);
}

const struct lua_class lua_question_class = {
    .name = "Question",
    .properties = properties,
    .methods = methods,
    .statics = statics,
    .construct = question_construct,
    .tostring = question_tostring,
    .equal = question_equal,
    .to_json = question_json,
    .copy = question_copy,
    .constructor_signature = "dns.Question(name, type [, class_ = IN])",
    .doc = "What a message asks (RFC 1035 section 4.1.2). `tostring(q)` is the name; `==` compares name (without "
           "regard to "
           "case), type and class.",
};
