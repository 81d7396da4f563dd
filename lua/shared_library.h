/* shared: the key-value store of all workers, as scripts see it. */
#ifndef MOONDNS_LUA_SHARED_LIBRARY_H
#define MOONDNS_LUA_SHARED_LIBRARY_H

#include "data/shared_store.h"
#include "lua/class.h"

/* What keeps the values. All is borrowed for the call; times to live are microseconds, SHARED_TTL_NONE: none. What can
 * fail at run time (STATUS_NO_SPACE, STATUS_IO with the reason) is told to the script. */
struct shared_backend {
    enum status (*get)(void *context, struct shared_text key, int64_t now_us, struct shared_value *out,
                       struct buffer *text, struct reason *reason);
    enum status (*set)(void *context, struct shared_text key, int64_t now_us, const struct shared_value *value,
                       int64_t ttl_us, struct reason *reason);
    enum status (*add)(void *context, struct shared_text key, int64_t now_us, const struct shared_value *value,
                       int64_t ttl_us, bool *added, struct reason *reason);
    enum status (*incr)(void *context, struct shared_text key, int64_t now_us, double by,
                        const struct shared_initial *initial, double *out, struct reason *reason);
    enum status (*remove)(void *context, struct shared_text key, int64_t now_us, bool *removed, struct reason *reason);
    enum status (*keys)(void *context, struct shared_text prefix, int64_t now_us, struct buffer *out,
                        struct reason *reason);
};

/* A store in memory: the context is a struct shared_store. */
extern const struct shared_backend shared_in_memory;

/* Where the functions of one `shared` go. */
struct lua_shared {
    const struct shared_backend *backend;
    void *context; /* borrowed */
};

/* Pushes the table `shared`. The struct lua_shared is the userdata, light or full, at `access`; the clock at `clock` is
 * a function that gives seconds, or nil: the system's. */
void lua_shared_push(lua_State *L, int access, int clock);

/* Pushes a `shared` with a store in memory of its own, which goes with it: shared(bytes [, clock]). */
int lua_shared_new(lua_State *L);

/* What the table holds; for the reference too. */
extern const struct lua_method lua_shared_functions[];

#endif
