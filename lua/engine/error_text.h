/* Errors of scripts as text for people. */
#ifndef MOONDNS_LUA_ENGINE_ERROR_TEXT_H
#define MOONDNS_LUA_ENGINE_ERROR_TEXT_H

#include <lua.h>

/* Replaces the error at the top of the stack by its text. Runs the script's __tostring: only to be called where that is
 * guarded and what is raised is caught (want of memory); an error in it is caught here. */
void error_text_make(lua_State *L);

/* Appends to the text at the top of `L` the traceback of `co` from this level on, without what is not the script's:
 * left out where nothing of it remains. May raise for want of memory. */
void error_text_trace(lua_State *L, lua_State *co, int level);

#endif
