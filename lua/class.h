/* How a C struct becomes a Lua class: tables of properties and methods, strict checkers, and errors that name class and
 * property. From the same tables comes the reference (docs/api.md).
 *
 * Objects are userdata without __gc: whatever they hold is Lua's own memory (inline, or strings, tables and blobs in the
 * object's environment table), so the collector sees all of it. Lua errors are longjmps: check every argument before
 * acquiring anything. */
#ifndef MOONDNS_LUA_CLASS_H
#define MOONDNS_LUA_CLASS_H

#include "base/bytes.h"
#include "base/status.h"

#include <lauxlib.h>
#include <lua.h>

struct lua_property {
    const char *name;
    void (*get)(lua_State *L, void *self);            /* pushes one value; the object is at index 1 */
    void (*set)(lua_State *L, void *self, int value); /* NULL: read-only. Raises through the checkers; the object is at 1 */
    const char *type;                                 /* for the reference: "integer from 0 to 65535" */
    const char *doc;
};

struct lua_method {
    const char *name;
    lua_CFunction function; /* an instance's has self at 1 (checked by itself, with lua_class_check) */
    const char *signature;  /* for the reference: "fail(response_code)" */
    const char *doc;
};

struct lua_class {
    const char *name;                      /* "ResourceRecord" */
    const struct lua_property *properties; /* ended by a NULL name; may be NULL */
    const struct lua_method *methods;      /* the same */
    const struct lua_method *statics;      /* functions of the class table: factories, unpack, from_json */
    lua_CFunction construct;               /* __call of the class table, which is at 1; NULL: none. */
    lua_CFunction tostring, equal, length; /* metamethods; NULL: none. equal is only called for two objects of this class */
    const char *constructor_signature;     /* for the reference */
    const char *doc;
};

/* Registers the class in this state and pushes the class table (its statics, callable when it can be constructed). Twice
 * is fine. Metatables are closed to scripts (__metatable). */
void lua_class_register(lua_State *L, const struct lua_class *class);

/* Pushes the class table of a registered class. */
void lua_class_push(lua_State *L, const struct lua_class *class);

/* A new zeroed object of `size` bytes with the class's metatable, pushed. */
void *lua_class_new(lua_State *L, const struct lua_class *class, size_t size);

/* The object at `index` if it is of this class, else NULL. */
void *lua_class_test(lua_State *L, int index, const struct lua_class *class);

/* The same, raising "WHAT: DNSMessage expected, got string". */
void *lua_class_check(lua_State *L, int index, const struct lua_class *class, const char *what);

/* The class's name of the value at `index`, or NULL (dns.typeof). */
const char *lua_class_name_of(lua_State *L, int index);

/* The slot `slot` (1, 2, …) of the object's own environment table: pushes its value (nil where there is none yet). */
void lua_class_slot_get(lua_State *L, int object, int slot);

/* Pops a value into the slot; the table is made when the first slot is set. */
void lua_class_slot_set(lua_State *L, int object, int slot);

/* --- checkers. `what` names the place: "ResourceRecord.ttl". They raise "WHAT: EXPECTED expected, got VALUE". Nothing is
 * coerced: "7" is no integer, 0 no boolean. --- */
int64_t lua_check_integer(lua_State *L, int index, int64_t least, int64_t most, const char *what);
double lua_check_number(lua_State *L, int index, const char *what);
bool lua_check_boolean(lua_State *L, int index, const char *what);
const char *lua_check_text(lua_State *L, int index, size_t *length, const char *what);
void lua_check_table(lua_State *L, int index, const char *what);

/* Raises "WHAT: EXPECTED expected, got <the value at index>". */
int lua_raise_expected(lua_State *L, int index, const char *what, const char *expected);

/* Raises "WHAT: <reason>". */
int lua_raise_reason(lua_State *L, const char *what, const struct reason *reason);

/* Raises for an unknown key: "Question has no property 'class' (did you mean 'class_'?)". */
int lua_raise_unknown(lua_State *L, const struct lua_class *class, const char *key);

/* Raises for a key of the table at `index` that is no name in `keys` (ended by NULL): constructors and option tables. */
void lua_check_keys(lua_State *L, int index, const char *const *keys, const char *what);

/* The nearest of `names` (ended by NULL) to a misspelt word, or NULL when none is near. */
const char *lua_nearest(const char *word, const char *const *names);

/* A scratch buffer that belongs to the state, emptied: for C results on their way to a Lua string. Survives errors, is
 * reused by the next caller: never hold it across a call that may use it too. */
struct buffer *lua_scratch(lua_State *L);

#endif
