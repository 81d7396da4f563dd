/* A whole file in memory. */
#ifndef MOONDNS_BASE_TEXT_FILE_H
#define MOONDNS_BASE_TEXT_FILE_H

#include "base/bytes.h"

/* Appends the file's bytes. STATUS_NOT_FOUND when there is no such file, STATUS_IO when it cannot be read,
 * STATUS_NO_MEMORY; the reason (NULL: nobody asks) is the system's word for it. */
MUST_CHECK enum status text_file_read(const char *path, struct buffer *out, struct reason *reason);

/* The same with a reason that names the file: "cannot read PATH: No such file or directory". */
MUST_CHECK enum status text_file_read_named(const char *path, struct buffer *out, struct reason *reason);

#endif
