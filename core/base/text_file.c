#include "base/text_file.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

enum { READ_SIZE = 64 * 1024 };

static enum status fail(int error, struct reason *reason)
{
    reason_set(reason, "%s", error == EISDIR ? "a folder, not a file" : strerrordesc_np(error));
    return error == ENOENT ? STATUS_NOT_FOUND : STATUS_IO;
}

enum status text_file_read(const char *path, struct buffer *out, struct reason *reason)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return fail(errno, reason);
    enum status status = STATUS_OK;
    ssize_t got = 1;
    while (got != 0 && !status) {
        if (!buffer_reserve(out, READ_SIZE)) {
            reason_set(reason, "out of memory");
            status = STATUS_NO_MEMORY;
            break;
        }
        got = read(fd, out->data + out->length, READ_SIZE);
        if (got > 0)
            out->length += (size_t)got;
        else if (got < 0 && errno != EINTR)
            status = fail(errno, reason);
    }
    close(fd);
    return status;
}

enum status text_file_read_named(const char *path, struct buffer *out, struct reason *reason)
{
    enum status status = text_file_read(path, out, reason);
    if (status)
        reason_prefix(reason, "cannot read %s: ", path);
    return status;
}
