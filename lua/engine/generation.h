/* One generation of scripts: the hook table that the exchange has, and what to call for each hook. */
#ifndef MOONDNS_LUA_ENGINE_GENERATION_H
#define MOONDNS_LUA_ENGINE_GENERATION_H

#include "lua/engine/compiled.h"

struct engine;
struct script;

struct hook_call {
    int function, self; /* references; self is LUA_NOREF for a global function */
    int compiled;       /* the copy of the function to be compiled; LUA_NOREF: none */
    struct script *script;
};

struct hook_calls {
    struct hook_call *list;
    size_t count;
    struct compiling compiling; /* of the request hooks */
};

struct generation {
    struct hooks hooks; /* first: the exchange's pointer is this generation */
    struct generation *next;
    struct engine *engine;
    struct script **scripts; /* holds one reference to each */
    size_t count;
    struct hook_calls calls[HOOK_COUNT];
    bool keeps; /* a hook may keep something of a flow (dns.keeps) */
};

/* Of all sources' scripts, the next one where there is one; NULL when there is no memory. */
struct generation *generation_new(struct engine *engine);

/* Gathers the hooks once more, after scripts have had a chance to define others; without memory they stay as they
 * were. */
bool generation_gather(struct generation *generation);

void generation_free(struct generation *generation); /* NULL is fine */

#endif
