#include "lua/class.h"

#include <limits.h>

enum {
    ROOM_FOR_NAMES = 64, /* members of one class, at most */
    SLOTS_AT_START = 7,  /* what a table has room for without memory of its own */
};

_Static_assert(sizeof(struct lua_object) == 16, "an object's struct stays aligned");

/* The object at `index` if it is of this class. */
static struct lua_object *object_of(lua_State *L, int index, const struct lua_class *class)
{
    struct lua_object *object = lua_touserdata(L, index);
    /* Light userdata has no length. */
    return object && lua_objlen(L, index) >= sizeof *object && object->class == class ? object : NULL;
}

static const char class_key; /* its address is the key of a metatable's class */

/* The registry's key of the class table is the address of the class; its metatable's is a number, which is found
 * faster: negative, as references are positive, and the same for no two classes of one program. */
static int metatable_key(const struct lua_class *class)
{
    return -(int)((uintptr_t) class / 16 % INT_MAX) - 1;
}

static void push_address(lua_State *L, const void *address)
{
    lua_pushlightuserdata(L, (void *)(uintptr_t)address);
}

static void push_registered(lua_State *L, const void *key)
{
    push_address(L, key);
    lua_rawget(L, LUA_REGISTRYINDEX);
}

/* --- metamethods; upvalue 1: the members (name to property or function), 2: the properties once more --- */

/* The properties of a class by name: equal strings of one state are one object, so its address (lua_topointer) is the
 * key. Open addressing; the names are kept alive by the table of members. */
struct properties {
    const struct lua_class *class;
    unsigned shift; /* of a hash, to get a slot */
    size_t mask;
    struct property_slot {
        const void *name; /* NULL: free */
        const struct lua_property *property;
    } slots[];
};

static inline size_t first_slot(const struct properties *properties, const void *name)
{
    return (size_t)((uintptr_t)name * UINT64_C(0x9e3779b97f4a7c15) >> properties->shift);
}

/* The member named by the value at 2: its property, or NULL for anything else. */
static inline const struct lua_property *find_property(lua_State *L, const struct properties *properties)
{
    const void *name = lua_topointer(L, 2);
    const struct property_slot *slot = &properties->slots[first_slot(properties, name)];
    for (; slot->name; slot = &properties->slots[(size_t)(slot + 1 - properties->slots) & properties->mask])
        if (slot->name == name)
            return slot->property;
    return NULL;
}

/* Pushes the method named by the value at 2; raises when there is none. */
static void push_method(lua_State *L, const struct lua_class *class)
{
    lua_pushvalue(L, 2);
    lua_rawget(L, lua_upvalueindex(1));
    if (lua_isnil(L, -1))
        lua_raise_unknown(L, 2, class);
}

/* Whose metamethod runs. Only its own objects have it, and scripts cannot get hold of it (__metatable): the class is
 * compared to be sure. */
static struct lua_object *check_object(lua_State *L, const struct lua_class *class)
{
    struct lua_object *object = lua_touserdata(L, 1);
    if (!object || object->class != class)
        lua_raise_expected(L, 1, class->name, class->name);
    return object;
}

static int object_index(lua_State *L)
{
    const struct properties *properties = lua_touserdata(L, lua_upvalueindex(2));
    struct lua_object *object = check_object(L, properties->class);
    const struct lua_property *property = find_property(L, properties);
    if (property)
        property->get(L, object + 1);
    else
        push_method(L, properties->class);
    return 1;
}

static int object_newindex(lua_State *L)
{
    const struct properties *properties = lua_touserdata(L, lua_upvalueindex(2));
    struct lua_object *object = check_object(L, properties->class);
    const struct lua_property *property = find_property(L, properties);
    if (!property || !property->set) {
        if (!property)
            push_method(L, properties->class);
        luaL_where(L, 1);
        lua_pushfstring(L, "%s.%s: cannot be set", properties->class->name, lua_tostring(L, 2));
        lua_concat(L, 2);
        return lua_error(L);
    }
    property->set(L, object + 1, 3);
    return 0;
}

/* The class whose closure runs. */
static const struct lua_class *own_class(lua_State *L)
{
    return ((const struct properties *)lua_touserdata(L, lua_upvalueindex(2)))->class;
}

static int object_equal(lua_State *L)
{
    const struct lua_class *class = own_class(L);
    if (!object_of(L, 1, class) || !object_of(L, 2, class)) {
        lua_pushboolean(L, false);
        return 1;
    }
    return class->equal(L);
}

/* --- the class table --- */

static int class_call(lua_State *L)
{
    const struct lua_class *class = own_class(L);
    return class->construct(L);
}

/* A name that is no static: a method, or an error. */
static int class_index(lua_State *L)
{
    const struct lua_class *class = own_class(L);
    lua_settop(L, 2);
    lua_pushvalue(L, 2);
    lua_rawget(L, lua_upvalueindex(1));
    if (lua_isfunction(L, 3))
        return 1;
    const char *names[ROOM_FOR_NAMES + 1];
    size_t count = 0;
    for (const struct lua_method *method = class->statics; method && method->name && count < ROOM_FOR_NAMES; method++)
        names[count++] = method->name;
    names[count] = NULL;
    return lua_raise_no_name(L, 2, class->name, "function", names);
}

static void set_functions(lua_State *L, int table, const struct lua_method *methods)
{
    for (; methods && methods->name; methods++) {
        lua_pushstring(L, methods->name);
        lua_pushcfunction(L, methods->function);
        lua_rawset(L, table);
    }
}

void lua_functions_push(lua_State *L, const struct lua_method *functions)
{
    lua_newtable(L);
    set_functions(L, lua_gettop(L), functions);
}

/* Adds the property with the name at the top. */
static void add_property(lua_State *L, struct properties *properties, const struct lua_property *property)
{
    const void *name = lua_topointer(L, -1);
    size_t at = first_slot(properties, name);
    while (properties->slots[at].name)
        at = (at + 1) & properties->mask;
    properties->slots[at] = (struct property_slot){name, property};
}

/* Pushes the members and the properties. */
static void push_members(lua_State *L, const struct lua_class *class)
{
    enum { SLOTS_EACH = 4, HASH_BITS = 64 };
    unsigned bits = 1;
    size_t count = 0;
    while (class->properties && class->properties[count].name)
        count++;
    while ((size_t)1 << bits < SLOTS_EACH * count)
        bits++;
    lua_newtable(L);
    int members = lua_gettop(L);
    size_t size = sizeof(struct properties) + sizeof(struct property_slot) * ((size_t)1 << bits);
    struct properties *properties = lua_newuserdata(L, size);
    memset(properties, 0, size);
    properties->class = class;
    properties->shift = HASH_BITS - bits;
    properties->mask = ((size_t)1 << bits) - 1;
    for (size_t i = 0; i < count; i++) {
        lua_pushstring(L, class->properties[i].name);
        add_property(L, properties, &class->properties[i]);
        lua_pushboolean(L, true);
        lua_rawset(L, members);
    }
    set_functions(L, members, class->methods);
}

/* Sets a closure over the members (at `members`) and the properties (behind them) as a field of the table at `table`.
 */
static void set_metamethod(lua_State *L, int table, const char *name, lua_CFunction function, int members)
{
    lua_pushvalue(L, members);
    lua_pushvalue(L, members + 1);
    lua_pushcclosure(L, function, 2);
    lua_setfield(L, table, name);
}

static void make_metatable(lua_State *L, const struct lua_class *class, int members)
{
    lua_newtable(L);
    int metatable = lua_gettop(L);
    set_metamethod(L, metatable, "__index", object_index, members);
    set_metamethod(L, metatable, "__newindex", object_newindex, members);
    if (class->equal)
        set_metamethod(L, metatable, "__eq", object_equal, members);
    if (class->tostring) {
        lua_pushcfunction(L, class->tostring);
        lua_setfield(L, metatable, "__tostring");
    }
    if (class->length) {
        lua_pushcfunction(L, class->length);
        lua_setfield(L, metatable, "__len");
    }
    lua_pushstring(L, class->name);
    lua_setfield(L, metatable, "__metatable");
    push_address(L, &class_key);
    push_address(L, class);
    lua_rawset(L, metatable);
    lua_rawseti(L, LUA_REGISTRYINDEX, metatable_key(class));
}

static void make_class_table(lua_State *L, const struct lua_class *class, int members)
{
    lua_newtable(L);
    int table = lua_gettop(L);
    set_functions(L, table, class->statics);
    lua_newtable(L);
    set_metamethod(L, table + 1, "__index", class_index, members);
    if (class->construct)
        set_metamethod(L, table + 1, "__call", class_call, members);
    lua_pushstring(L, class->name);
    lua_setfield(L, table + 1, "__metatable");
    lua_setmetatable(L, table);
    push_address(L, class);
    lua_pushvalue(L, table);
    lua_rawset(L, LUA_REGISTRYINDEX);
}

void lua_class_register(lua_State *L, const struct lua_class *class)
{
    luaL_checkstack(L, 12, NULL);
    lua_class_push(L, class);
    if (!lua_isnil(L, -1))
        return;
    lua_pop(L, 1);
    int members = lua_gettop(L) + 1;
    push_members(L, class);
    make_metatable(L, class, members);
    make_class_table(L, class, members);
    lua_replace(L, members);
    lua_settop(L, members);
}

void lua_class_push_metatable(lua_State *L, const struct lua_class *class)
{
    lua_rawgeti(L, LUA_REGISTRYINDEX, metatable_key(class));
}

void lua_class_push(lua_State *L, const struct lua_class *class)
{
    push_registered(L, class);
}

/* --- objects --- */

void *lua_class_new_bare(lua_State *L, const struct lua_class *class, size_t size)
{
    enum { STEP = 16 /* bytes: sizes that differ by less share the allocator's free blocks */ };
    struct lua_object *object = lua_newuserdata(L, sizeof *object + (size + STEP - 1) / STEP * STEP);
    *object = (struct lua_object){.class = class};
    lua_rawgeti(L, LUA_REGISTRYINDEX, metatable_key(class));
    lua_setmetatable(L, -2);
    return object + 1;
}

void *lua_class_new(lua_State *L, const struct lua_class *class, size_t size)
{
    return memset(lua_class_new_bare(L, class, size), 0, size);
}

const struct lua_class *lua_class_of(lua_State *L, int index)
{
    if (!lua_isuserdata(L, index) || !lua_getmetatable(L, index))
        return NULL;
    push_address(L, &class_key);
    lua_rawget(L, -2);
    const struct lua_class *class = lua_touserdata(L, -1);
    lua_pop(L, 2);
    return class;
}

const char *lua_class_name_of(lua_State *L, int index)
{
    const struct lua_class *class = lua_class_of(L, index);
    return class ? class->name : NULL;
}

void *lua_class_test(lua_State *L, int index, const struct lua_class *class)
{
    struct lua_object *object = object_of(L, index, class);
    return object ? object + 1 : NULL;
}

void *lua_class_check(lua_State *L, int index, const struct lua_class *class, const char *what)
{
    void *self = lua_class_test(L, index, class);
    if (!self)
        lua_raise_expected(L, index, what, class->name);
    return self;
}

void *lua_class_self(lua_State *L, const struct lua_class *class, const char *what)
{
    void *self = lua_class_test(L, 1, class);
    if (!self) {
        lua_settop(L, 1);
        luaL_where(L, 1);
        lua_push_shown(L, 1);
        lua_pushfstring(L, "%s: %s expected as self, got %s (call the method with a colon)", what, class->name,
                        lua_tostring(L, -1));
        lua_remove(L, -2);
        lua_concat(L, 2);
        lua_error(L);
    }
    return self;
}

/* --- slots --- */

void lua_class_slot_get(lua_State *L, int object, int slot)
{
    const struct lua_object *at = lua_touserdata(L, object);
    if (!lua_class_slot_used(at + 1, slot)) {
        lua_pushnil(L);
        return;
    }
    lua_class_slot_push(L, object, at + 1, slot);
}

void lua_class_slot_reach(lua_State *L, int object, const void *self, int slot)
{
    const struct lua_object *at = (const struct lua_object *)self - 1;
    lua_getfenv(L, object);
    if (!at->direct)
        lua_rawgeti(L, -1, at->first + slot);
}

void lua_class_slot_push(lua_State *L, int object, const void *self, int slot)
{
    lua_class_slot_reach(L, object, self, slot);
    if (!((const struct lua_object *)self)[-1].direct)
        lua_remove(L, -2);
}

void lua_class_slots_push(lua_State *L, int object, void *self)
{
    struct lua_object *at = (struct lua_object *)self - 1;
    if (at->has_table) {
        lua_getfenv(L, object);
        return;
    }
    if (object < 0)
        object = lua_gettop(L) + 1 + object;
    lua_createtable(L, SLOTS_AT_START, 0);
    if (at->direct) {
        lua_getfenv(L, object);
        lua_rawseti(L, -2, at->direct);
    }
    lua_pushvalue(L, -1);
    lua_setfenv(L, object);
    at->direct = 0;
    at->has_table = true;
}

void lua_class_slots_share(lua_State *L, int slots, void *self, int first)
{
    struct lua_object *at = (struct lua_object *)self - 1;
    lua_pushvalue(L, slots);
    lua_setfenv(L, -2);
    at->first = (uint8_t)(first - 1);
    at->has_table = true;
}

/* Pops a value into the slot. */
static void set_slot(lua_State *L, int object, struct lua_object *at, int slot)
{
    int value = lua_gettop(L);
    lua_class_slots_push(L, object < 0 ? value + 1 + object : object, at + 1);
    lua_pushvalue(L, value);
    lua_rawseti(L, -2, at->first + slot);
    lua_settop(L, value - 1);
}

void lua_class_slot_set(lua_State *L, int object, int slot)
{
    struct lua_object *at = lua_touserdata(L, object);
    uint32_t bit = 1u << slot;
    int type = lua_type(L, -1);
    if (type == LUA_TTABLE && !at->has_table && (at->slots & ~bit) == 0) {
        lua_setfenv(L, object);
        at->direct = (uint8_t)slot;
    } else {
        set_slot(L, object, at, slot);
    }
    at->slots = type == LUA_TNIL ? at->slots & ~bit : at->slots | bit;
}

/* --- what the classes of one state share --- */

static const char workspace_key;

static int workspace_free(lua_State *L)
{
    struct lua_workspace *workspace = lua_touserdata(L, 1);
    buffer_free(&workspace->scratch);
    arena_free(&workspace->arena);
    return 0;
}

struct lua_workspace *lua_workspace(lua_State *L)
{
    push_registered(L, &workspace_key);
    struct lua_workspace *workspace = lua_touserdata(L, -1);
    lua_pop(L, 1);
    if (workspace)
        return workspace;
    luaL_checkstack(L, 6, NULL);
    workspace = lua_newuserdata(L, sizeof *workspace);
    memset(workspace, 0, sizeof *workspace);
    lua_newtable(L);
    lua_pushcfunction(L, workspace_free);
    lua_setfield(L, -2, "__gc");
    lua_setmetatable(L, -2);
    push_address(L, &workspace_key);
    lua_insert(L, -2);
    lua_rawset(L, LUA_REGISTRYINDEX);
    return workspace;
}

struct buffer *lua_scratch(lua_State *L)
{
    struct buffer *scratch = &lua_workspace(L)->scratch;
    buffer_clear(scratch);
    return scratch;
}
