/* dns.cache: what scripts may do with the response cache. */
#ifndef MOONDNS_LUA_ENGINE_CACHE_LIBRARY_H
#define MOONDNS_LUA_ENGINE_CACHE_LIBRARY_H

struct engine;

/* Sets it as a field of the table at the top of the engine's stack. */
void cache_library_open(struct engine *engine);

#endif
