/* Between struct flow and the Lua object: what scripts changed goes over after each hook. */
#ifndef MOONDNS_LUA_ENGINE_FLOW_SYNC_H
#define MOONDNS_LUA_ENGINE_FLOW_SYNC_H

#include <stdbool.h>

struct flow_run;
struct script;

/* Before a hook: what the object has kept and the flow has no longer is forgotten. */
void flow_sync_begin(struct flow_run *run);

/* After one script's hook: notes who changed the response, which only costs where the script is not alone. A reader is
 * no author: who edits in place what an earlier one assigned leaves it that one's. */
void flow_sync_note(struct flow_run *run, const struct script *script, bool alone);

/* After all scripts' hooks: takes changes over into the flow. */
void flow_sync_changes(struct flow_run *run);

/* When the flow ends: marked, comment and metadata, where they are set. */
void flow_sync_notes(struct flow_run *run);

#endif
