/* Whole files. */
#ifndef MOONDNS_LUA_ENGINE_FILE_H
#define MOONDNS_LUA_ENGINE_FILE_H

#include "base/bytes.h"

/* Replaces what `out` holds with the file's bytes. STATUS_NOT_FOUND, STATUS_IO (a folder, no rights); the reason is the
 * system's word for it. */
MUST_CHECK enum status file_read(const char *path, struct buffer *out, struct reason *reason);

/* For telling whether a text has changed. */
uint64_t file_hash(const struct buffer *text);

#endif
