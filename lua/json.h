/* dns.json, and JSON of the codec's classes: cJSON to Lua and back. Objects come as tables; arrays as tables that are
 * marked as such (so that an empty one stays an array); null as dns.json.null. */
#ifndef MOONDNS_LUA_JSON_H
#define MOONDNS_LUA_JSON_H

#include "lua/values.h"

#include <cjson/cJSON.h>

/* Pushes the value. Takes ownership of nothing; may raise out of memory. */
void lua_json_push(lua_State *L, const struct cJSON *json);

/* The value at `index` as cJSON that the caller owns (userdata through their to_json; tables as arrays when they have
 * only 1…n or are marked by dns.json.array). NULL with a reason for what JSON cannot hold. May raise only out of
 * memory. */
struct cJSON *lua_json_from(lua_State *L, int index, struct reason *reason);

/* The same, raising "WHAT: …". */
struct cJSON *lua_json_check(lua_State *L, int index, const char *what);

/* Pushes what `json` holds and deletes it, also where pushing fails for want of memory. NULL raises "WHAT: …". */
void lua_json_push_owned(lua_State *L, struct cJSON *json, const char *what, const struct reason *reason);

/* A to_json method's work: pushes the JSON table of the object at `index`. Returns 1; raises "WHAT: …". */
int lua_json_push_object(lua_State *L, int index, const char *what);

/* What dns.json holds besides `null`; for the reference too. */
extern const struct lua_method lua_json_functions[];

/* Sets dns.json as a field of the table at the top. */
void lua_json_open(lua_State *L);

#endif
