#include "base/text_file.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

enum { READ_SIZE = 64 * 1024 };

enum status text_file_read(const char *path, struct buffer *out, struct reason *reason)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        int error = errno;
        reason_set(reason, "cannot read %s: %s", path, strerrordesc_np(error));
        return error == ENOENT ? STATUS_NOT_FOUND : STATUS_IO;
    }
    enum status status = STATUS_OK;
    ssize_t got = 1;
    while (got > 0 && !status) {
        if (!buffer_reserve(out, READ_SIZE)) {
            reason_set(reason, "cannot read %s: out of memory", path);
            status = STATUS_NO_MEMORY;
            break;
        }
        got = read(fd, out->data + out->length, READ_SIZE);
        if (got > 0) {
            out->length += (size_t)got;
        } else if (got < 0 && errno == EINTR) {
            got = 1;
        } else if (got < 0) {
            reason_set(reason, "cannot read %s: %s", path, strerrordesc_np(errno));
            status = STATUS_IO;
        }
    }
    close(fd);
    return status;
}
