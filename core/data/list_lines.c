#include "data/list_lines.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

enum { CHUNK_SIZE = 64 * 1024 /* what is longer is no line */, SHOWN_MAX = 60 };

struct reader {
    const struct list_lines *lines;
    size_t number; /* of the line that begins the chunk */
    bool too_long; /* it began in a chunk before, and was reported */
    size_t length;
    char chunk[CHUNK_SIZE];
};

static MUST_CHECK enum status take(const struct list_lines *lines, size_t number, const char *line, const char *end)
{
    static const char mark[] = "\xef\xbb\xbf";
    if (number == 1 && end - line >= 3 && memcmp(line, mark, 3) == 0)
        line += 3;
    while (line < end && list_is_blank(*line))
        line++;
    while (line < end && list_is_blank(end[-1]))
        end--;
    if (line == end)
        return STATUS_OK;
    return lines->take(lines->context, line, (size_t)(end - line), number);
}

static void report_too_long(const struct list_lines *lines, size_t number, const char *line)
{
    struct reason reason;
    reason_set(&reason, "longer than %d bytes", CHUNK_SIZE);
    lines->report->unusable(lines->report->context, number, line, SHOWN_MAX, &reason);
}

/* Takes the lines in the chunk that have come to their end (at the file's end all have), and leaves the rest. */
static MUST_CHECK enum status take_chunk(struct reader *reader, bool file_ends)
{
    const char *at = reader->chunk, *end = at + reader->length;
    enum status status = STATUS_OK;
    while (at < end && !status) {
        const char *newline = memchr(at, '\n', (size_t)(end - at));
        if (!newline && !file_ends)
            break;
        if (!reader->too_long)
            status = take(reader->lines, reader->number, at, newline ? newline : end);
        reader->too_long = false;
        reader->number++;
        at = newline ? newline + 1 : end;
    }
    reader->length = (size_t)(end - at);
    memmove(reader->chunk, at, reader->length);
    if (reader->length == CHUNK_SIZE) {
        if (!reader->too_long)
            report_too_long(reader->lines, reader->number, reader->chunk);
        reader->too_long = true;
        reader->length = 0;
    }
    return status;
}

static MUST_CHECK enum status open_regular(const char *path, int *out, int *error)
{
    struct stat info;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0 || fstat(fd, &info) != 0) {
        *error = errno;
    } else if (S_ISREG(info.st_mode)) {
        *out = fd;
        return STATUS_OK;
    } else {
        *error = S_ISDIR(info.st_mode) ? EISDIR : 0;
    }
    if (fd >= 0)
        close(fd);
    return STATUS_IO;
}

enum status list_lines_read(const char *path, const struct list_lines *lines, struct reason *reason)
{
    struct reader reader;
    int fd, error = 0;
    if (open_regular(path, &fd, &error)) {
        reason_set(reason, "cannot read %s: %s", path, error ? strerrordesc_np(error) : "Not a regular file");
        return STATUS_IO;
    }
    reader.lines = lines;
    reader.number = 1;
    reader.too_long = false;
    reader.length = 0;
    enum status status = STATUS_OK;
    ssize_t got = 1;
    while (got > 0 && !status) {
        got = read(fd, reader.chunk + reader.length, CHUNK_SIZE - reader.length);
        if (got < 0 && errno == EINTR) {
            got = 1;
        } else if (got < 0) {
            reason_set(reason, "cannot read %s: %s", path, strerrordesc_np(errno));
            status = STATUS_IO;
        } else {
            reader.length += (size_t)got;
            status = take_chunk(&reader, got == 0);
        }
    }
    close(fd);
    return status;
}

enum status list_lines_parse(const char *text, size_t length, const struct list_lines *lines)
{
    const char *at = text, *end = text + length;
    enum status status = STATUS_OK;
    for (size_t number = 1; at < end && !status; number++) {
        const char *newline = memchr(at, '\n', (size_t)(end - at)), *line_end = newline ? newline : end;
        if (line_end - at >= CHUNK_SIZE)
            report_too_long(lines, number, at);
        else
            status = take(lines, number, at, line_end);
        at = newline ? newline + 1 : end;
    }
    return status;
}
