/* What the classes of sets have in common. A set lives in blobs in its object's slots, so that the collector sees all
 * of its memory, and nothing of it needs to be freed. */
#ifndef MOONDNS_LUA_SET_OBJECT_H
#define MOONDNS_LUA_SET_OBJECT_H

#include "data/list_file.h"
#include "lua/class.h"

/* What a class of sets is made of. `set` is the object's struct. None of the functions raises. */
struct lua_set_kind {
    const struct lua_class *class;
    size_t size;       /* of the struct */
    const char *entry; /* what an entry is, for errors: "domain name" */
    void (*init)(void *set, const uint64_t secret[static 2]);
    /* Each takes an entry as text; a wrong one is STATUS_INVALID with the reason. */
    enum status (*add)(void *set, const struct set_memory *memory, const char *text, size_t length, bool *added,
                       struct reason *reason);
    enum status (*remove)(void *set, const char *text, size_t length, bool *removed, struct reason *reason);
    enum status (*load)(void *set, const struct set_memory *memory, const char *path, const struct list_report *report,
                        struct reason *reason);
    enum status (*parse)(void *set, const struct set_memory *memory, const char *text, size_t length,
                         const struct list_report *report);
};

/* The constructor's call: of an array of entries at 2, or nothing. */
int lua_set_construct(lua_State *L, const struct lua_set_kind *kind);

/* The methods add and remove. */
int lua_set_add(lua_State *L, const struct lua_set_kind *kind);
int lua_set_remove(lua_State *L, const struct lua_set_kind *kind);

/* The function load: a set of what is in the files whose paths are its arguments; nil and the reason when one of them
 * cannot be read. Lines that cannot be used are kept for `skipped`, and told to the calling script's log.warn. */
int lua_set_load(lua_State *L, const struct lua_set_kind *kind);

/* The function parse: the same of a text at 1; a name for it may be at 2. */
int lua_set_parse(lua_State *L, const struct lua_set_kind *kind);

/* The properties that tell of skipped lines, as entries of the class's table. */
void lua_set_get_skipped(lua_State *L, void *set);
void lua_set_get_skipped_count(lua_State *L, void *set);

/* What is the same in each class's file: its `kind`, and the functions that Lua calls. `name` is the struct's, whose
 * functions NAME_init, NAME_load and NAME_parse are; add_entry, remove_entry and entry_name are the file's own. */
#define LUA_SET_FUNCTIONS(name)                                                                                \
    static void init(void *set, const uint64_t secret[static 2])                                               \
    {                                                                                                          \
        name##_init(set, secret);                                                                              \
    }                                                                                                          \
    static enum status load_file(void *set, const struct set_memory *memory, const char *path,                 \
                                 const struct list_report *report, struct reason *reason)                      \
    {                                                                                                          \
        return name##_load(set, memory, path, report, reason);                                                 \
    }                                                                                                          \
    static enum status parse_text(void *set, const struct set_memory *memory, const char *text, size_t length, \
                                  const struct list_report *report)                                            \
    {                                                                                                          \
        return name##_parse(set, memory, text, length, report);                                                \
    }                                                                                                          \
    static const struct lua_set_kind kind = {                                                                  \
        .class = &lua_##name##_class,                                                                          \
        .size = sizeof(struct name),                                                                           \
        .entry = entry_name,                                                                                   \
        .init = init,                                                                                          \
        .add = add_entry,                                                                                      \
        .remove = remove_entry,                                                                                \
        .load = load_file,                                                                                     \
        .parse = parse_text,                                                                                   \
    };                                                                                                         \
    static int construct(lua_State *L)                                                                         \
    {                                                                                                          \
        return lua_set_construct(L, &kind);                                                                    \
    }                                                                                                          \
    static int set_add(lua_State *L)                                                                           \
    {                                                                                                          \
        return lua_set_add(L, &kind);                                                                          \
    }                                                                                                          \
    static int set_remove(lua_State *L)                                                                        \
    {                                                                                                          \
        return lua_set_remove(L, &kind);                                                                       \
    }                                                                                                          \
    static int set_load(lua_State *L)                                                                          \
    {                                                                                                          \
        return lua_set_load(L, &kind);                                                                         \
    }                                                                                                          \
    static int set_parse(lua_State *L)                                                                         \
    {                                                                                                          \
        return lua_set_parse(L, &kind);                                                                        \
    }

#define LUA_SET_PROPERTIES                                                                                            \
    {"skipped", lua_set_get_skipped, NULL, "array of tables",                                                         \
     "The lines that `load` could not use, the first 100: `{file=, line=, text=, reason=}`. A script's log tells of " \
     "the first ten, too."},                                                                                          \
    {                                                                                                                 \
        "skipped_count", lua_set_get_skipped_count, NULL, "integer", "How many there were."                           \
    }

#endif
