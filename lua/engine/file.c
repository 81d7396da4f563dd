#include "lua/engine/file.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

enum { CHUNK = 16384 };

enum status file_read(const char *path, struct buffer *out, struct reason *reason)
{
    enum status status = STATUS_OK;
    ssize_t got = 0;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    buffer_clear(out);
    while (fd >= 0 && buffer_reserve(out, CHUNK) && (got = read(fd, out->data + out->length, CHUNK)) > 0)
        out->length += (size_t)got;
    if (fd < 0 || got < 0) {
        status = errno == ENOENT ? STATUS_NOT_FOUND : STATUS_IO;
        reason_set(reason, "%s", errno == EISDIR ? "a folder, not a file" : strerror(errno));
    } else if (out->failed) {
        status = STATUS_NO_MEMORY;
        reason_set(reason, "out of memory");
    }
    if (fd >= 0)
        close(fd);
    return status;
}

uint64_t file_hash(const struct buffer *text)
{
    uint64_t hash = 14695981039346656037u; /* FNV-1a */
    for (size_t i = 0; i < text->length; i++)
        hash = (hash ^ text->data[i]) * 1099511628211u;
    return hash;
}
