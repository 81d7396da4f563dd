/* Lifecycle hooks that may wait: running, client_connected, client_disconnected. The function of each addon runs as a
 * task of its own, so that one that waits holds up no other. */
#ifndef MOONDNS_LUA_ENGINE_LIFECYCLE_H
#define MOONDNS_LUA_ENGINE_LIFECYCLE_H

#include "lua/engine/script.h"

/* Calls the hook of all addons, with the `arguments` (0 or 1) at the top of the engine's stack, which are popped.
 * Errors are logged. Returns when all have finished or wait; whenever a `running` has finished, the script's hooks are
 * gathered anew. */
void lifecycle_call(struct script *script, enum script_hook hook, int arguments);

/* Abandons those of a script that wait; NULL: of all. Never while Lua runs. */
void lifecycle_cancel(struct engine *engine, const struct script *script);

#endif
