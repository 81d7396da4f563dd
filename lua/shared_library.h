/* shared: the key-value store of all workers, as scripts see it. */
#ifndef MOONDNS_LUA_SHARED_LIBRARY_H
#define MOONDNS_LUA_SHARED_LIBRARY_H

#include "data/shared_call.h"
#include "lua/class.h"

/* Where the functions of one `shared` go: to a store in memory, or to one that they wait for. All is borrowed. */
struct lua_shared {
    struct shared_store *store; /* NULL: `wait` */

    /* Makes the call and waits: gives what a C function returns to Lua, with what lua_shared_push_answer pushes. `what`
     * names the function in errors. */
    int (*wait)(lua_State *L, void *context, const struct shared_call *call, const char *what);
    void *context;
};

/* Pushes what the call gives the script; gives the number of values. */
int lua_shared_push_answer(lua_State *L, enum shared_verb verb, const struct shared_answer *answer);

/* Pushes the table `shared`. The struct lua_shared is the userdata, light or full, at `access`; the clock at `clock` is
 * a function that gives seconds, or nil: the system's. */
void lua_shared_push(lua_State *L, int access, int clock);

/* Pushes a `shared` with a store in memory of its own, which goes with it: shared(bytes [, clock]). */
int lua_shared_new(lua_State *L);

/* What the table holds; for the reference too. */
extern const struct lua_method lua_shared_functions[];

#endif
