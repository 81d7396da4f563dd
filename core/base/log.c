#include "base/log.h"

#include "base/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

enum { LINE_PATIENCE_MS = 20 };

static const struct {
    const char *name, *colour;
} levels[] = {
    [LOG_DEBUG] = {"debug", "\033[2m"},
    [LOG_INFO] = {"info", ""},
    [LOG_WARN] = {"warn", "\033[33m"},
    [LOG_ERROR] = {"error", "\033[31m"},
};

/* How the few bytes that have a form of their own are written; NULL: as any other byte. */
struct escape_style {
    const char *newline, *tab, *quote, *backslash;
    bool json;        /* the backslash of \xNN is itself escaped */
    bool code_points; /* DEL and C1 as \u00NN */
};

bool log_wants_colour(int fd)
{
    const char *no_colour = getenv("NO_COLOR");
    return isatty(fd) && (!no_colour || !no_colour[0]);
}

/* Characters that change what others look like: marks of direction (UAX #9) and the separators of lines. All of them
 * begin with one of two bytes. */
static bool misleads(const uint8_t *at, size_t size)
{
    static const char *const sequences[] = {
        "\xd8\x9c",     "\xe2\x80\x8e", "\xe2\x80\x8f", "\xe2\x80\xa8", "\xe2\x80\xa9", "\xe2\x80\xaa", "\xe2\x80\xab",
        "\xe2\x80\xac", "\xe2\x80\xad", "\xe2\x80\xae", "\xe2\x81\xa6", "\xe2\x81\xa7", "\xe2\x81\xa8", "\xe2\x81\xa9",
    };
    if (at[0] != 0xd8 && at[0] != 0xe2)
        return false;
    for (size_t i = 0; i < sizeof sequences / sizeof *sequences; i++)
        if (size == strlen(sequences[i]) && !memcmp(at, sequences[i], size))
            return true;
    return false;
}

/* The length of the UTF-8 sequence at the start of `at` (RFC 3629); 0 for a broken one, for C1 controls and for what
 * misleads. */
static size_t printable_sequence(const uint8_t *at, size_t length)
{
    static const struct {
        uint8_t first, last, least, most; /* range of the first byte, and of the second behind it */
        uint8_t size;
    } forms[] = {
        {0xc2, 0xc2, 0xa0, 0xbf, 2}, {0xc3, 0xdf, 0x80, 0xbf, 2}, {0xe0, 0xe0, 0xa0, 0xbf, 3},
        {0xe1, 0xec, 0x80, 0xbf, 3}, {0xed, 0xed, 0x80, 0x9f, 3}, {0xee, 0xef, 0x80, 0xbf, 3},
        {0xf0, 0xf0, 0x90, 0xbf, 4}, {0xf1, 0xf3, 0x80, 0xbf, 4}, {0xf4, 0xf4, 0x80, 0x8f, 4},
    };
    if (at[0] >= 0x20 && at[0] < 0x7f)
        return 1;
    for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++) {
        if (at[0] < forms[i].first || at[0] > forms[i].last)
            continue;
        if (length < forms[i].size || at[1] < forms[i].least || at[1] > forms[i].most)
            return 0;
        for (size_t k = 2; k < forms[i].size; k++) {
            if ((at[k] & 0xc0) != 0x80)
                return 0;
        }
        return misleads(at, forms[i].size) ? 0 : forms[i].size;
    }
    return 0;
}

/* The length of a whole character that must not be seen as it is, though it is right UTF-8: DEL, C1 controls, what
 * misleads; 0: it is none. */
static size_t hidden_character(const uint8_t *at, size_t length, unsigned *code_point)
{
    if (at[0] == 0x7f) {
        *code_point = at[0];
        return 1;
    }
    if (at[0] == 0xc2 && length > 1 && at[1] >= 0x80 && at[1] <= 0x9f) {
        *code_point = at[1];
        return 2;
    }
    for (size_t size = 2; size <= 3 && size <= length; size++) {
        if (!misleads(at, size))
            continue;
        *code_point = size == 2 ? (at[0] & 0x1fu) << 6 | (at[1] & 0x3fu)
                                : (at[0] & 0x0fu) << 12 | (at[1] & 0x3fu) << 6 | (at[2] & 0x3fu);
        return size;
    }
    return 0;
}

static const char *own_form(const struct escape_style *style, uint8_t byte)
{
    switch (byte) {
    case '\n':
        return style->newline;
    case '\t':
        return style->tab;
    case '"':
        return style->quote;
    case '\\':
        return style->backslash;
    default:
        return NULL;
    }
}

static void escape(struct buffer *out, const char *text, size_t length, const struct escape_style *style)
{
    const uint8_t *bytes = (const uint8_t *)text;
    size_t plain = 0, i = 0; /* bytes from `plain` to i go out as they are */
    while (i < length) {
        const char *own = own_form(style, bytes[i]);
        size_t size = own ? 0 : printable_sequence(bytes + i, length - i);
        if (size) {
            i += size;
            continue;
        }
        buffer_append(out, bytes + plain, i - plain);
        unsigned code_point = 0;
        size_t taken = style->code_points ? hidden_character(bytes + i, length - i, &code_point) : 0;
        if (own) {
            buffer_text(out, own);
        } else if (taken) {
            buffer_format(out, "\\u%04x", code_point);
            i += taken - 1;
        } else {
            buffer_format(out, "%s\\x%02x", style->json ? "\\" : "", bytes[i]);
        }
        plain = ++i;
    }
    buffer_append(out, bytes + plain, length - plain);
}

void log_escape(struct buffer *out, const char *text, size_t length, bool keep_newlines)
{
    static const struct escape_style one_line = {0}, lines = {.newline = "\n    | ", .tab = "\t"};
    escape(out, text, length, keep_newlines ? &lines : &one_line);
}

void log_escape_lines(struct buffer *out, const char *text, size_t length)
{
    static const struct escape_style lines = {.newline = "\n", .tab = "\t"};
    escape(out, text, length, &lines);
}

void log_escape_reason(struct reason *reason)
{
    struct buffer text = {0};
    if (!reason)
        return;
    log_escape(&text, reason->text, strlen(reason->text), false);
    if (buffer_c_string(&text))
        reason_set(reason, "%s", (const char *)text.data);
    buffer_free(&text);
}

void log_json_string(struct buffer *out, const char *text, size_t length)
{
    static const struct escape_style json = {
        .newline = "\\n", .tab = "\\t", .quote = "\\\"", .backslash = "\\\\", .json = true};
    buffer_u8(out, '"');
    escape(out, text, length, &json);
    buffer_u8(out, '"');
}

void log_json_text(struct buffer *out, const char *json, size_t length)
{
    static const struct escape_style made = {.json = true, .code_points = true};
    escape(out, json, length, &made);
}

int log_open_output(int fd)
{
    const struct timeval soon = {.tv_usec = 1000};
    struct stat status;
    char path[32];
    if (fstat(fd, &status))
        return fd;
    if (S_ISSOCK(status.st_mode))
        (void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &soon, sizeof soon);
    if (!S_ISFIFO(status.st_mode) && !isatty(fd))
        return fd;
    /* O_NONBLOCK on `fd` itself would be on those of other processes that have it, too. */
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    int opened = open(path, O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    return opened >= 0 ? opened : fd;
}

size_t log_write_some(int fd, const void *data, size_t length)
{
    size_t done = 0;
    while (done < length) {
        ssize_t written = write(fd, (const uint8_t *)data + done, length - done);
        if (written >= 0)
            done += (size_t)written;
        else if (errno == EAGAIN)
            return done;
        else if (errno != EINTR)
            return length;
    }
    return done;
}

/* A line of the log: a reader that is away for longer than this holds up nobody. */
static void write_line(int fd, const uint8_t *line, size_t length)
{
    struct pollfd writable = {.fd = fd, .events = POLLOUT};
    size_t done = log_write_some(fd, line, length);
    if (done < length && poll(&writable, 1, LINE_PATIENCE_MS) > 0)
        (void)log_write_some(fd, line + done, length - done);
}

void log_write(int fd, const void *data, size_t length)
{
    const uint8_t *at = data;
    while (length) {
        ssize_t written = write(fd, at, length);
        if (written >= 0) {
            at += written;
            length -= (size_t)written;
        } else if (errno == EAGAIN) {
            struct pollfd writable = {.fd = fd, .events = POLLOUT};
            if (poll(&writable, 1, -1) < 0 && errno != EINTR)
                return;
        } else if (errno != EINTR) {
            return;
        }
    }
}

static void format_for_people(struct buffer *out, const struct log *log, enum log_level level, const char *text,
                              size_t length)
{
    int64_t now = clock_wall_us();
    time_t seconds = (time_t)(now / 1000000);
    struct tm local;
    localtime_r(&seconds, &local);
    while (length && text[length - 1] == '\n')
        length--;
    bool colour = log->colour && levels[level].colour[0];
    buffer_format(out, "[%02d:%02d:%02d.%03d] ", local.tm_hour, local.tm_min, local.tm_sec,
                  (int)(now % 1000000 / 1000));
    buffer_text(out, colour ? levels[level].colour : "");
    if (level != LOG_INFO)
        buffer_format(out, "%s: ", levels[level].name);
    log_escape(out, text, length, true);
    buffer_text(out, colour ? "\033[0m\n" : "\n");
}

static void format_json(struct buffer *out, enum log_level level, const char *text, size_t length)
{
    int64_t now = clock_wall_us();
    buffer_format(out, "{\"time\": %lld.%06d, \"level\": \"%s\", \"message\": ", (long long)(now / 1000000),
                  (int)(now % 1000000), levels[level].name);
    log_json_string(out, text, length);
    buffer_text(out, "}\n");
}

void log_text(const struct log *log, enum log_level level, const char *text, size_t length)
{
    if (level < log->level)
        return;
    if (log->sink) {
        log->sink(log->context, level, text, length);
        return;
    }
    struct buffer line = {0};
    if (log->json)
        format_json(&line, level, text, length);
    else
        format_for_people(&line, log, level, text, length);
    if (!line.failed)
        write_line(log->fd, line.data, line.length);
    buffer_free(&line);
}

void log_line(const struct log *log, enum log_level level, const char *format, ...)
{
    char text[512];
    va_list arguments;
    if (level < log->level)
        return;
    va_start(arguments, format);
    int length = vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    if (length < 0)
        return;
    if ((size_t)length < sizeof text) {
        log_text(log, level, text, (size_t)length);
        return;
    }
    char *longer = malloc((size_t)length + 1);
    if (!longer) {
        log_text(log, level, text, sizeof text - 1);
        return;
    }
    va_start(arguments, format);
    vsnprintf(longer, (size_t)length + 1, format, arguments);
    va_end(arguments);
    log_text(log, level, longer, (size_t)length);
    free(longer);
}
