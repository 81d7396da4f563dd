/* dns.resolve and dns.resolve_all: queries of a script's own, which wait for their answers. */
#ifndef MOONDNS_LUA_ENGINE_RESOLVE_H
#define MOONDNS_LUA_ENGINE_RESOLVE_H

struct engine;

/* Sets them as fields of the table at the top of the engine's stack. */
void resolve_open(struct engine *engine);

#endif
