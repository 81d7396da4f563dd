/* How a C struct becomes a Lua class: tables of properties and methods, strict checkers, and errors that name class and
 * property. From the same tables comes the reference (docs/api.md).
 *
 * Objects are userdata without __gc: whatever they hold is Lua's own memory (inline, or strings, tables and blobs in
 * the object's environment table), so the collector sees all of it. Lua errors are longjmps: check every argument
 * before acquiring anything. */
#ifndef MOONDNS_LUA_CLASS_H
#define MOONDNS_LUA_CLASS_H

#include "base/arena.h"
#include "base/bytes.h"
#include "base/random.h"

#include <lauxlib.h>
#include <lua.h>

struct lua_property {
    const char *name;
    void (*get)(lua_State *L, void *self); /* pushes one value; the object is at index 1 */
    void (*set)(lua_State *L, void *self,
                int value); /* NULL: read-only. Raises through the checkers; the object is at 1 */
    const char *type;       /* for the reference: "integer from 0 to 65535" */
    const char *doc;
};

struct lua_method {
    const char *name;
    lua_CFunction function; /* an instance's has self at 1 (checked by itself, with lua_class_check) */
    const char *signature;  /* for the reference: "fail(response_code)" */
    const char *doc;
};

struct cJSON;

struct lua_class {
    const char *name;                      /* "ResourceRecord" */
    const struct lua_property *properties; /* ended by a NULL name; may be NULL */
    const struct lua_method *methods;      /* the same */
    const struct lua_method *statics;      /* functions of the class table: factories, unpack, from_json */
    lua_CFunction construct;               /* __call of the class table, which is at 1; NULL: none. */
    lua_CFunction tostring, equal,
        length; /* metamethods; NULL: none. equal is only called for two objects of this class */
    /* The object as JSON that the caller owns, for dns.json.encode and the method to_json; NULL with a reason when it
     * has no JSON. Never raises. NULL: the class has none. */
    struct cJSON *(*to_json)(lua_State *L, int index, struct reason *reason);
    /* Pushes an object that holds the same and shares nothing that can change; raises "WHAT: …" where that cannot be
     * made. NULL: copies of what holds an object share it. */
    void (*copy)(lua_State *L, int index, const char *what);
    const char *constructor_signature; /* for the reference */
    const char *doc;
};

/* What the classes share in one Lua state; freed with it. Fields are for one C call: never held across a call into
 * another class or into Lua. */
struct lua_workspace {
    struct buffer scratch; /* lua_scratch gives it emptied */
    struct arena arena;    /* reset by whoever uses it, before use */
    struct random random;
    uint64_t serial; /* of the message that was numbered last */
};
struct lua_workspace *lua_workspace(lua_State *L);

/* Registers the class in this state and pushes the class table: its statics, callable when it can be constructed; its
 * methods are reachable there as well, unknown names raise. Twice is fine. Metatables are closed to scripts
 * (__metatable). */
void lua_class_register(lua_State *L, const struct lua_class *class);

/* Pushes the metatable of a registered class's objects. */
void lua_class_push_metatable(lua_State *L, const struct lua_class *class);

/* Pushes the class table of a registered class. */
void lua_class_push(lua_State *L, const struct lua_class *class);

/* Pushes a table of plain functions (a list as of a class's statics). */
void lua_functions_push(lua_State *L, const struct lua_method *functions);

/* A new object of `size` bytes, which are not written, with the class's metatable, pushed. */
void *lua_class_new_bare(lua_State *L, const struct lua_class *class, size_t size);

/* The same with all bytes zero. */
void *lua_class_new(lua_State *L, const struct lua_class *class, size_t size);

/* The object at `index` if it is of this class, else NULL. */
void *lua_class_test(lua_State *L, int index, const struct lua_class *class);

/* The same, raising "WHAT: DNSMessage expected, got string". */
void *lua_class_check(lua_State *L, int index, const struct lua_class *class, const char *what);

/* The same for a method's self at 1, whose error says how methods are called: "… (call it with a colon)". */
void *lua_class_self(lua_State *L, const struct lua_class *class, const char *what);

/* The class of the object at `index`, NULL for any other value. */
const struct lua_class *lua_class_of(lua_State *L, int index);

/* The class's name of the value at `index`, or NULL (dns.typeof). */
const char *lua_class_name_of(lua_State *L, int index);

/* The slot `slot` (1, 2, …) of the object: pushes its value (nil where there is none yet). */
void lua_class_slot_get(lua_State *L, int object, int slot);

/* The same for a slot that is used, of the object whose struct is `self`. */
void lua_class_slot_push(lua_State *L, int object, const void *self, int slot);

/* The same, for a value that is given back at once: leaves something below it. */
void lua_class_slot_reach(lua_State *L, int object, const void *self, int slot);

/* Pops a value into the slot (1 to LUA_CLASS_SLOTS). Values live in the object's environment: a table of slots, made
 * when it is needed; an object that holds but one table needs none. */
void lua_class_slot_set(lua_State *L, int object, int slot);

enum { LUA_CLASS_SLOTS = 16 };

/* Pushes the object's table of slots, made when there is none. */
void lua_class_slots_push(lua_State *L, int object, void *self);

/* The object's slots are nil from now on. The values stay in the table of slots, where they are, for whoever knows of
 * them and reaches for them; or the object does without that table. */
static inline void lua_class_slots_forget(void *self);
static inline void lua_class_slots_drop(void *self);

/* The slot's value in the table of slots, forgotten before, counts again. */
static inline void lua_class_slot_note(void *self, int slot);

/* Gives the object at the top, which has no slots yet, those from `first` on in the table at `slots`, which is another
 * object's: what they hold lives as long as either of them. */
void lua_class_slots_share(lua_State *L, int slots, void *self, int first);

/* Stands before each object's own struct, which is 16 bytes behind it. */
struct lua_object {
    const struct lua_class *class; /* what tells an object from any other userdata */
    uint32_t slots;                /* a bit for each slot that is not nil */
    uint8_t direct; /* the slot whose value, a table, is the environment itself: the only slot in use; 0: none */
    uint8_t first;  /* what is added to a slot's number in the table, which may be shared */
    bool has_table; /* the environment is a table of slots */
};

/* The struct of the value at `index`, which must be an object. */
static inline void *lua_class_known(lua_State *L, int index)
{
    return (struct lua_object *)lua_touserdata(L, index) + 1;
}

/* Whether the slot of the object whose struct is `self` holds anything but nil. */
static inline bool lua_class_slot_used(const void *self, int slot)
{
    return ((const struct lua_object *)self)[-1].slots & 1u << slot;
}

/* All such slots: a bit for each. */
static inline uint32_t lua_class_slots_used(const void *self)
{
    return ((const struct lua_object *)self)[-1].slots;
}

static inline void lua_class_slots_forget(void *self)
{
    ((struct lua_object *)self)[-1].slots = 0;
}

static inline void lua_class_slots_drop(void *self)
{
    struct lua_object *at = (struct lua_object *)self - 1;
    at->slots = 0;
    at->direct = at->first = 0;
    at->has_table = false;
}

static inline void lua_class_slot_note(void *self, int slot)
{
    ((struct lua_object *)self)[-1].slots |= 1u << slot;
}

/* Pops a value that is not nil into the slot, in the table of slots at `slots`. */
static inline void lua_class_slots_set(lua_State *L, int slots, void *self, int slot)
{
    struct lua_object *at = (struct lua_object *)self - 1;
    lua_rawseti(L, slots, at->first + slot);
    at->slots |= 1u << slot;
}

/* --- checkers. `what` names the place: "ResourceRecord.ttl". They raise "WHAT: EXPECTED expected, got VALUE". Nothing
 * is coerced: "7" is no integer, 0 no boolean. --- */
int64_t lua_check_integer(lua_State *L, int index, int64_t least, int64_t most, const char *what);
double lua_check_number(lua_State *L, int index, const char *what);
bool lua_check_boolean(lua_State *L, int index, const char *what);
const char *lua_check_text(lua_State *L, int index, size_t *length, const char *what);

/* Seconds, more than 0; gives microseconds, at least 1. */
int64_t lua_check_timeout(lua_State *L, int index, const char *what);

void lua_check_table(lua_State *L, int index, const char *what);

/* Raises "WHAT: EXPECTED expected, got <the value at index>". */
int lua_raise_expected(lua_State *L, int index, const char *what, const char *expected);

/* Raises "WHAT: <reason>". */
int lua_raise_reason(lua_State *L, const char *what, const struct reason *reason);

/* The same for a reason that names the place itself. */
int lua_raise_plain(lua_State *L, const struct reason *reason);

/* Raises for the unknown key at `index`: "Question has no property 'class' (did you mean 'class_'?)". */
int lua_raise_unknown(lua_State *L, int index, const struct lua_class *class);

/* Raises "OWNER has no KIND 'key' (did you mean 'name'?)" for the key at `index`; `names` is ended by NULL. */
int lua_raise_no_name(lua_State *L, int index, const char *owner, const char *kind, const char *const *names);

/* Raises for a key of the table at `index` that is no name in `keys` (ended by NULL): constructors and option tables.
 * `what` owns the keys: "DNSMessage". */
void lua_check_keys(lua_State *L, int index, const char *const *keys, const char *what);

/* The same for a class's constructor: other properties of the class are said to be read-only, not unknown. */
void lua_check_class_keys(lua_State *L, int index, const char *const *keys, const struct lua_class *class);

/* Pushes the value at `index` as errors show it: 'soon' (cut and escaped), 7, true, nil, or the name of its class or
 * type. */
void lua_push_shown(lua_State *L, int index);

/* A scratch buffer that belongs to the state, emptied: for C results on their way to a Lua string. Survives errors, is
 * reused by the next caller: never hold it across a call that may use it too. */
struct buffer *lua_scratch(lua_State *L);

#endif
