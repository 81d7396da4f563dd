/* http.get and http.request: what scripts fetch from elsewhere, and wait for. */
#ifndef MOONDNS_LUA_ENGINE_HTTP_H
#define MOONDNS_LUA_ENGINE_HTTP_H

#include <stddef.h>

struct engine;

/* Sets http as a field of the table at the top of the engine's stack. */
void http_open(struct engine *engine);

/* A script of this text is loaded: if it will fetch something, what takes long is done now and not while queries wait.
 */
void http_expect(struct engine *engine, const char *text, size_t length);

/* When no task waits any more. */
void http_close(struct engine *engine);

#endif
