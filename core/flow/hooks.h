/* The hook table: how the exchange calls scripts without knowing of Lua. One table is one generation of scripts; a
 * reload makes a new one, and flows in flight end with the one they began with. */
#ifndef MOONDNS_FLOW_HOOKS_H
#define MOONDNS_FLOW_HOOKS_H

#include "flow/flow.h"

#include <stdatomic.h>

enum hook { HOOK_REQUEST, HOOK_RESPONSE, HOOK_ERROR, HOOK_COUNT };

enum hook_result {
    HOOK_DONE,      /* all scripts ran; the flow stands as they left it */
    HOOK_SUSPENDED, /* one of them waits; exchange_resume is called when they are done */
};

struct hooks {
    void *context;
    unsigned defined; /* bit 1 << enum hook: some script defines it; nothing is called otherwise */
    unsigned flows;   /* flows in flight that began with this table; the exchange counts */

    /* Runs all scripts' hooks. The flow is alive for the call, and as long as it is suspended. */
    enum hook_result (*run)(struct hooks *hooks, enum hook hook, struct flow *flow);

    /* The flow ends; called only where flow->wrapper is set, before observers see it: the script's notes (marked,
     * comment, metadata) are written into the flow, the wrapper lets go of it, flow->wrapper is NULL afterwards. */
    void (*ended)(struct hooks *hooks, struct flow *flow);

    /* A stream client came or went (bit HOOK_COUNT of `defined`). */
    void (*connection)(struct hooks *hooks, const struct reply_to *connection, bool connected);

    /* Where several exchanges change their tables as one: `*latest` counts the changes, and once it is not `number` any
     * more, no query may begin with this table. `outdated` is called then, to put the next one in (exchange_set_hooks).
     * NULL: the exchange is alone. */
    const atomic_uint *latest;
    unsigned number;
    void (*outdated)(struct hooks *hooks);

    /* No flow uses this table any more, and it is not the current one: it may be freed. */
    void (*unused)(struct hooks *hooks);
};

enum { HOOKS_CONNECTION_BIT = 1 << HOOK_COUNT };

#endif
