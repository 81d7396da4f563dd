/* http.get and http.request: what scripts fetch from elsewhere, and wait for. */
#ifndef MOONDNS_LUA_ENGINE_HTTP_H
#define MOONDNS_LUA_ENGINE_HTTP_H

struct engine;

/* Sets http as a field of the table at the top of the engine's stack. */
void http_open(struct engine *engine);

/* When no task waits any more. */
void http_close(struct engine *engine);

#endif
