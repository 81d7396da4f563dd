/* JSON text (RFC 8259), more strictly than cJSON has it. */
#ifndef MOONDNS_LUA_JSON_TEXT_H
#define MOONDNS_LUA_JSON_TEXT_H

#include "base/status.h"

#include <cjson/cJSON.h>
#include <stdbool.h>

/* Whether `text`, which ends with NUL behind its `length` bytes, is one JSON value that cJSON and Lua hold in full: no
 * zero byte in a string, no number beyond a double's range, at most 1000 levels. STATUS_INVALID with the reason. */
MUST_CHECK enum status json_text_check(const char *text, size_t length, struct reason *reason);

/* The value as text, which the caller ends with cJSON_free: numbers in as many digits as they need, whole ones up to
 * 2^53 in all of theirs. Changes how `json` holds such numbers: print it once. NULL: no memory. */
char *json_text_print(cJSON *json, bool pretty);

#endif
