/* A file of dnstap messages: one stream, between a START and a STOP frame. libfstrm's own file writer cannot begin
 * anew, and gives up for good where the disk is full; this one cuts off what was written halfway and goes on. */
#include "observe/dnstap_private.h"

#include "base/room.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

struct dnstap_file {
    const struct log *log;
    struct dnstap_fate *fate;
    char *path;
    int fd;
    off_t length; /* of whole frames */
    bool full;    /* the last write failed, and that was told */
    atomic_bool reopen;
};

static int open_file(const char *path)
{
    return open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
}

static bool write_all(int fd, const uint8_t *data, size_t length)
{
    while (length) {
        ssize_t written = write(fd, data, length);
        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0)
            return false;
        data += written;
        length -= (size_t)written;
    }
    return true;
}

/* Writes a control frame of the stream's beginning or end. */
static bool write_control(int fd, fstrm_control_type type)
{
    uint8_t frame[FSTRM_CONTROL_FRAME_LENGTH_MAX];
    size_t length = sizeof frame;
    if (!room_is_there(ROOM_BYTES)) {
        errno = ENOMEM;
        return false;
    }
    struct fstrm_control *control = fstrm_control_init();
    bool fine = fstrm_control_set_type(control, type) == fstrm_res_success &&
                (type != FSTRM_CONTROL_START ||
                 fstrm_control_add_field_content_type(control, (const uint8_t *)DNSTAP_CONTENT_TYPE,
                                                      sizeof DNSTAP_CONTENT_TYPE - 1) == fstrm_res_success) &&
                fstrm_control_encode(control, frame, &length, FSTRM_CONTROL_FLAG_WITH_HEADER) == fstrm_res_success &&
                write_all(fd, frame, length);
    fstrm_control_destroy(&control);
    return fine;
}

static off_t position(int fd)
{
    off_t at = lseek(fd, 0, SEEK_CUR);
    return at < 0 ? 0 : at;
}

/* Whether the path leads to another file than the one that is open. */
static bool was_moved(const struct dnstap_file *file)
{
    struct stat there, open_one;
    if (fstat(file->fd, &open_one))
        return false;
    return stat(file->path, &there) || there.st_ino != open_one.st_ino || there.st_dev != open_one.st_dev;
}

static void begin_anew(struct dnstap_file *file)
{
    if (!was_moved(file))
        return;
    int fd = open_file(file->path);
    if (fd < 0 || !write_control(fd, FSTRM_CONTROL_START)) {
        log_line(file->log, LOG_ERROR, "--dnstap: cannot write %s: %s; the old file stays open", file->path,
                 strerror(errno));
        if (fd >= 0)
            close(fd);
        return;
    }
    (void)write_control(file->fd, FSTRM_CONTROL_STOP);
    close(file->fd);
    file->fd = fd;
    file->length = position(fd);
}

/* The library writes the head of the stream next, for which it ends the process where it has no memory. */
static fstrm_res on_open(void *context)
{
    (void)context;
    return room_is_there(ROOM_BYTES) ? fstrm_res_success : fstrm_res_failure;
}

static fstrm_res on_close(void *context)
{
    (void)context;
    return fstrm_res_success;
}

/* Whole frames. What the disk has no room for is lost; the stream stays whole. */
static fstrm_res on_write(void *context, const struct iovec *parts, int count)
{
    struct dnstap_file *file = context;
    bool fine = true;
    if (atomic_exchange_explicit(&file->reopen, false, memory_order_relaxed))
        begin_anew(file);
    for (int i = 0; i < count && fine; i++)
        fine = write_all(file->fd, parts[i].iov_base, parts[i].iov_len);
    if (fine) {
        file->length = position(file->fd);
        dnstap_fate_handed_on(file->fate, count);
    } else {
        if (!file->full)
            log_line(file->log, LOG_ERROR, "--dnstap: cannot write %s: %s; messages are lost", file->path,
                     strerror(errno));
        if (ftruncate(file->fd, file->length) == 0)
            (void)lseek(file->fd, file->length, SEEK_SET);
    }
    file->full = !fine;
    return fstrm_res_success;
}

static fstrm_res on_destroy(void *context)
{
    struct dnstap_file *file = context;
    if (file->fd >= 0)
        close(file->fd);
    free(file->path);
    free(file);
    return fstrm_res_success;
}

enum status dnstap_file_writer(const char *path, const struct log *log, struct dnstap_fate *fate,
                               struct fstrm_writer **out, struct dnstap_file **file_out, struct reason *reason)
{
    struct dnstap_file *file = calloc(1, sizeof *file);
    if (!file)
        return STATUS_NO_MEMORY;
    file->log = log;
    file->fate = fate;
    file->path = strdup(path);
    file->fd = open_file(path);
    if (file->fd < 0 || !file->path) {
        reason_set(reason, "--dnstap: cannot write %s: %s", path, strerror(errno));
        (void)on_destroy(file);
        return STATUS_IO;
    }
    struct fstrm_rdwr *calls = fstrm_rdwr_init(file);
    struct fstrm_writer_options *options = fstrm_writer_options_init();
    fstrm_rdwr_set_open(calls, on_open);
    fstrm_rdwr_set_close(calls, on_close);
    fstrm_rdwr_set_write(calls, on_write);
    fstrm_rdwr_set_destroy(calls, on_destroy);
    fstrm_writer_options_add_content_type(options, DNSTAP_CONTENT_TYPE, sizeof DNSTAP_CONTENT_TYPE - 1);
    *out = fstrm_writer_init(options, &calls);
    *file_out = file;
    fstrm_writer_options_destroy(&options);
    return STATUS_OK;
}

void dnstap_file_reopen(struct dnstap_file *file)
{
    atomic_store_explicit(&file->reopen, true, memory_order_relaxed);
}
