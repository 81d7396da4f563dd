/* Hooks that run as machine code (lua/visit.h): dns_request, where no hook of the generation keeps anything of its
 * flows, and all scripts' dns_request end of themselves (dns.keeps). LuaJIT is given time to compile them; where it
 * does not, and where one waits, they run as all other hooks do. */
#ifndef MOONDNS_LUA_ENGINE_COMPILED_H
#define MOONDNS_LUA_ENGINE_COMPILED_H

#include "flow/hooks.h"

#include <stdbool.h>

struct generation;
struct hook_calls;

/* How far the hooks are on their way to be compiled: all zeros at first. */
struct compiling {
    bool possible;   /* there is a copy of each to be compiled */
    bool shares;     /* one may look at the records of an answer */
    unsigned called; /* without an error, one after the other, before they are compiled; … */
    unsigned tried;  /* … and since */
};

/* One of them failed where it runs as others do. */
void compiled_note_failure(struct hook_calls *calls);

/* Runs the request hooks of a flow that has not met a hook before; false where they have to be run as others are. */
bool compiled_run_hooks(struct generation *generation, struct flow *flow, enum hook_result *out);

#endif
