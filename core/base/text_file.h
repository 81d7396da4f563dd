/* A whole file in memory. */
#ifndef MOONDNS_BASE_TEXT_FILE_H
#define MOONDNS_BASE_TEXT_FILE_H

#include "base/bytes.h"

/* Appends the file's bytes. STATUS_NOT_FOUND when there is no such file, STATUS_IO when it can't be read, each with a
 * reason that names it. */
MUST_CHECK enum status text_file_read(const char *path, struct buffer *out, struct reason *reason);

#endif
