/* dns.HTTPSRecord: the data of an HTTPS or SVCB record by parts. Its parameters are a plain Lua table. */
#ifndef MOONDNS_LUA_HTTPS_RECORD_CLASS_H
#define MOONDNS_LUA_HTTPS_RECORD_CLASS_H

#include "lua/values.h"

extern const struct lua_class lua_https_record_class;

/* Appends the record data that the HTTPSRecord at `index` stands for; raises "WHAT: …" for wrong parameters. */
void lua_https_record_append(lua_State *L, int index, struct buffer *out, const char *what);

#endif
