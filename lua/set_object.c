#include "lua/set_object.h"

#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

enum {
    SLOT_BLOB = 1, /* the set's memory */
    SLOT_SKIPPED,
    SLOT_SKIPPED_COUNT,
    SKIPPED_MAX = 100, /* lines that are kept */
    LOGGED_MAX = 10,
    LARGE_BLOB = 4 * 1024 * 1024, /* bytes */
    TEXT_MAX = 80,                /* bytes of a line that are kept */
};

/* --- memory --- */

/* The memory of the object at 1, for one call from Lua. */
struct blob {
    lua_State *L;
    int maker; /* on the stack: the function make_blob, and behind it the blob that was replaced last */
};

/* Lookups in a large set go all over it: in large pages that takes a quarter less time. Only a hint to the system. */
static void ask_for_large_pages(void *blob, size_t size)
{
    const uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE), at = (uintptr_t)blob;
    const uintptr_t first = (at + page - 1) / page * page, end = (at + size) / page * page;
    (void)madvise((void *)first, end - first, MADV_HUGEPAGE);
}

/* make_blob(object, size): a new blob in the object's slot. */
static int make_blob(lua_State *L)
{
    const size_t size = (size_t)lua_tonumber(L, 2);
    void *blob = lua_newuserdata(L, size);
    if (size >= LARGE_BLOB)
        ask_for_large_pages(blob, size);
    lua_pushvalue(L, -1);
    lua_class_slot_set(L, 1, SLOT_BLOB);
    return 1;
}

/* Anything that may raise happens in make_blob. */
static void *replace_blob(void *context, size_t size)
{
    const struct blob *blob = context;
    lua_State *L = blob->L;
    lua_class_slot_get(L, 1, SLOT_BLOB);
    lua_replace(L, blob->maker + 1);
    lua_pushvalue(L, blob->maker);
    lua_pushvalue(L, 1);
    lua_pushnumber(L, (double)size);
    void *made = lua_pcall(L, 2, 1, 0) == 0 ? lua_touserdata(L, -1) : NULL;
    lua_pop(L, 1);
    return made;
}

/* The memory of the set at 1. Pushes two values, which have to stay for as long as it is used. */
static struct set_memory open_memory(lua_State *L, struct blob *out)
{
    luaL_checkstack(L, 12, NULL);
    lua_pushcfunction(L, make_blob);
    lua_pushnil(L);
    *out = (struct blob){L, lua_gettop(L) - 1};
    return (struct set_memory){replace_blob, out};
}

/* --- making and changing --- */

/* Pushes a new, empty set. */
static void *push_new(lua_State *L, const struct lua_set_kind *kind)
{
    uint64_t secret[2];
    struct random *random = &lua_workspace(L)->random;
    for (size_t i = 0; i < 2; i++)
        secret[i] = (uint64_t)random_u32(random) << 32 | random_u32(random);
    void *set = lua_class_new(L, kind->class, kind->size);
    kind->init(set, secret);
    return set;
}

/* Raises unless all went well. */
static void check(lua_State *L, enum status status, const char *what, const struct reason *reason)
{
    if (status == STATUS_NO_MEMORY)
        luaL_error(L, "out of memory");
    if (status)
        lua_raise_reason(L, what, reason);
}

/* Adds the entries of the array at 2 to the set at 1. */
static void add_all(lua_State *L, const struct lua_set_kind *kind, void *set)
{
    struct blob blob;
    struct reason reason = {""};
    size_t keys = 0;
    const size_t count = lua_objlen(L, 2);
    const struct set_memory memory = open_memory(L, &blob);
    for (lua_pushnil(L); lua_next(L, 2); lua_pop(L, 1))
        keys++;
    if (keys != count)
        lua_raise_expected(L, 2, kind->class->name, "array without holes and other keys");
    for (size_t i = 1; i <= count; i++) {
        char what[64];
        size_t length;
        bool added;
        snprintf(what, sizeof what, "%s[%zu]", kind->class->name, i);
        lua_rawgeti(L, 2, (int)i);
        if (lua_type(L, -1) != LUA_TSTRING)
            lua_raise_expected(L, -1, what, kind->entry);
        const char *text = lua_tolstring(L, -1, &length);
        check(L, kind->add(set, &memory, text, length, &added, &reason), what, &reason);
        lua_pop(L, 1);
    }
}

int lua_set_construct(lua_State *L, const struct lua_set_kind *kind)
{
    lua_settop(L, 2);
    if (!lua_isnil(L, 2))
        lua_check_table(L, 2, kind->class->name);
    void *set = push_new(L, kind);
    lua_replace(L, 1);
    if (!lua_isnil(L, 2))
        add_all(L, kind, set);
    lua_settop(L, 1);
    return 1;
}

/* The entry at 2, checked to be text, of a method whose name is put into `what`. */
static const char *method_entry(lua_State *L, const struct lua_set_kind *kind, const char *name, void **set,
                                size_t *length, char what[static 64])
{
    snprintf(what, 64, "%s.%s", kind->class->name, name);
    *set = lua_class_self(L, kind->class, what);
    lua_settop(L, 2);
    if (lua_type(L, 2) != LUA_TSTRING)
        lua_raise_expected(L, 2, what, kind->entry);
    return lua_tolstring(L, 2, length);
}

int lua_set_add(lua_State *L, const struct lua_set_kind *kind)
{
    char what[64];
    void *set;
    size_t length;
    struct blob blob;
    struct reason reason = {""};
    bool added;
    const char *text = method_entry(L, kind, "add", &set, &length, what);
    const struct set_memory memory = open_memory(L, &blob);
    check(L, kind->add(set, &memory, text, length, &added, &reason), what, &reason);
    lua_pushboolean(L, added);
    return 1;
}

int lua_set_remove(lua_State *L, const struct lua_set_kind *kind)
{
    char what[64];
    void *set;
    size_t length;
    struct reason reason = {""};
    bool removed;
    const char *text = method_entry(L, kind, "remove", &set, &length, what);
    check(L, kind->remove(set, text, length, &removed, &reason), what, &reason);
    lua_pushboolean(L, removed);
    return 1;
}

/* --- loading --- */

/* Lines that could not be used, until all files have been read: only then may Lua be asked for anything. */
struct skipped {
    struct buffer *kept; /* the state's scratch: for each the file's number, the line's, and both texts */
    uint32_t file;
    size_t count;
};

static void keep_text(struct buffer *out, const char *text, size_t length, size_t most)
{
    if (length > most)
        length = most;
    buffer_u8(out, (uint8_t)length);
    buffer_append(out, text, length);
}

static void keep(void *context, size_t line, const char *text, size_t length, const struct reason *reason)
{
    struct skipped *skipped = context;
    if (++skipped->count > SKIPPED_MAX)
        return;
    buffer_u32(skipped->kept, skipped->file);
    buffer_u32(skipped->kept, line < UINT32_MAX ? (uint32_t)line : UINT32_MAX);
    keep_text(skipped->kept, text, length, TEXT_MAX);
    keep_text(skipped->kept, reason->text, strlen(reason->text), sizeof reason->text);
}

static void set_text(lua_State *L, struct cursor *kept, const char *name)
{
    const size_t length = cursor_u8(kept);
    lua_pushlstring(L, (const char *)cursor_take(kept, length), length);
    lua_setfield(L, -2, name);
}

/* Puts what was kept into the object at `object`; the paths are at 2 and up. */
static void set_skipped(lua_State *L, const struct skipped *skipped)
{
    struct cursor kept = cursor_over(skipped->kept->data, skipped->kept->length);
    lua_newtable(L);
    for (int i = 1; cursor_left(&kept) > 0; i++) {
        lua_createtable(L, 0, 4);
        lua_pushvalue(L, (int)cursor_u32(&kept));
        lua_setfield(L, -2, "file");
        lua_pushinteger(L, (lua_Integer)cursor_u32(&kept));
        lua_setfield(L, -2, "line");
        set_text(L, &kept, "text");
        set_text(L, &kept, "reason");
        lua_rawseti(L, -2, i);
    }
    lua_class_slot_set(L, 1, SLOT_SKIPPED);
    lua_pushnumber(L, (lua_Number)skipped->count);
    lua_class_slot_set(L, 1, SLOT_SKIPPED_COUNT);
}

/* Pushes log.warn of the Lua function that called; false (and nothing) where it has none. */
static bool push_log_warn(lua_State *L)
{
    lua_Debug caller;
    const int top = lua_gettop(L);
    for (int level = 1; lua_getstack(L, level, &caller); level++) {
        lua_getinfo(L, "Sf", &caller);
        if (caller.what[0] != 'C') {
            lua_getfenv(L, -1);
            lua_getfield(L, -1, "log");
            if (lua_istable(L, -1)) {
                lua_getfield(L, -1, "warn");
                lua_replace(L, top + 1);
                lua_settop(L, top + 1);
                if (lua_isfunction(L, -1))
                    return true;
            }
            break;
        }
        lua_settop(L, top);
    }
    lua_settop(L, top);
    return false;
}

/* Pushes "file:line: 'text': reason" for the element `i` of the array at `list`. */
static void push_message(lua_State *L, int list, int i)
{
    lua_rawgeti(L, list, i);
    const int line = lua_gettop(L);
    lua_getfield(L, line, "file");
    lua_getfield(L, line, "line");
    lua_getfield(L, line, "text");
    lua_getfield(L, line, "reason");
    lua_pushfstring(L, "%s:%d: '%s': %s", lua_tostring(L, line + 1), (int)lua_tointeger(L, line + 2),
                    lua_tostring(L, line + 3), lua_tostring(L, line + 4));
    lua_replace(L, line);
    lua_settop(L, line);
}

static void log_skipped(lua_State *L, size_t count)
{
    luaL_checkstack(L, 12, NULL);
    if (count == 0 || !push_log_warn(L))
        return;
    const int warn = lua_gettop(L);
    lua_class_slot_get(L, 1, SLOT_SKIPPED);
    const size_t logged = count < LOGGED_MAX ? count : LOGGED_MAX;
    for (size_t i = 1; i <= logged; i++) {
        lua_pushvalue(L, warn);
        push_message(L, warn + 1, (int)i);
        lua_call(L, 1, 0);
    }
    if (count > logged) {
        lua_pushvalue(L, warn);
        lua_pushfstring(L, "and %f more could not be used", (lua_Number)(count - logged));
        lua_call(L, 1, 0);
    }
}

/* What is left to do when all has been read; gives the set, at 1. */
static int finish_loading(lua_State *L, enum status status, const char *what, const struct reason *reason,
                          const struct skipped *skipped)
{
    if (!status)
        status = buffer_status(skipped->kept);
    check(L, status, what, reason);
    set_skipped(L, skipped);
    log_skipped(L, skipped->count);
    lua_settop(L, 1);
    return 1;
}

int lua_set_load(lua_State *L, const struct lua_set_kind *kind)
{
    struct blob blob;
    struct reason reason = {""};
    char what[64];
    const int count = lua_gettop(L);
    snprintf(what, sizeof what, "%s.load", kind->class->name);
    for (int i = 1; i <= count || i == 1; i++) {
        size_t length;
        const char *path = lua_check_text(L, i, &length, what);
        if (memchr(path, '\0', length))
            lua_raise_expected(L, i, what, "path");
    }
    void *set = push_new(L, kind);
    lua_insert(L, 1);
    const struct set_memory memory = open_memory(L, &blob);
    struct skipped skipped = {.kept = lua_scratch(L)};
    const struct list_report report = {keep, &skipped};
    enum status status = STATUS_OK;
    for (int i = 2; i <= count + 1 && !status; i++) {
        skipped.file = (uint32_t)i;
        status = kind->load(set, &memory, lua_tostring(L, i), &report, &reason);
    }
    if (status == STATUS_IO) {
        lua_pushnil(L);
        lua_pushstring(L, reason.text);
        return 2;
    }
    return finish_loading(L, status, what, &reason, &skipped);
}

int lua_set_parse(lua_State *L, const struct lua_set_kind *kind)
{
    enum { TEXT = 2, NAME = 3 }; /* behind the set */
    struct blob blob;
    const struct reason reason = {"out of memory"};
    char what[64];
    size_t length;
    lua_settop(L, 2);
    snprintf(what, sizeof what, "%s.parse", kind->class->name);
    (void)lua_check_text(L, 1, &length, what);
    if (lua_isnil(L, 2)) {
        lua_pushliteral(L, "text");
        lua_replace(L, 2);
    }
    (void)lua_check_text(L, 2, &length, what);
    void *set = push_new(L, kind);
    lua_insert(L, 1);
    const struct set_memory memory = open_memory(L, &blob);
    struct skipped skipped = {.kept = lua_scratch(L), .file = NAME};
    const struct list_report report = {keep, &skipped};
    const char *text = lua_tolstring(L, TEXT, &length);
    enum status status = kind->parse(set, &memory, text, length, &report);
    return finish_loading(L, status, what, &reason, &skipped);
}

void lua_set_get_skipped(lua_State *L, void *set)
{
    (void)set;
    lua_class_slot_get(L, 1, SLOT_SKIPPED);
    if (!lua_isnil(L, -1))
        return;
    lua_pop(L, 1);
    lua_newtable(L);
}

void lua_set_get_skipped_count(lua_State *L, void *set)
{
    (void)set;
    lua_class_slot_get(L, 1, SLOT_SKIPPED_COUNT);
    lua_pushinteger(L, lua_tointeger(L, -1));
}
