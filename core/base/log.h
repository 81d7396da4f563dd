/* The log: lines for people, or one JSON object a line. Whatever comes from the network or a script is escaped on its
 * way out, so no control byte reaches a terminal. */
#ifndef MOONDNS_BASE_LOG_H
#define MOONDNS_BASE_LOG_H

#include "base/bytes.h"
#include "base/status.h"

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };

struct log {
    enum log_level level; /* what lies below is dropped */
    bool json;
    bool colour;
    int fd; /* not owned; each line is one write(2), so lines of several threads stay whole. Where it does not wait (see
             * log_open_output), what is not taken soon is dropped */
    /* When set, lines go here instead of to fd; `text` is unescaped, borrowed for the call. For tests. */
    void (*sink)(void *context, enum log_level level, const char *text, size_t length);
    void *context;
};

/* Whether output to this descriptor is to be coloured: it is a terminal, and NO_COLOR is unset or empty. */
bool log_wants_colour(int fd);

void log_line(const struct log *log, enum log_level level, const char *format, ...) PRINTF_LIKE(3, 4);

/* The same for text that is already made (it may hold any byte; newlines and tabs are kept, other control bytes
 * escaped). Lines behind the first begin with "    | ", so that none of them reads as a line of the log. */
void log_text(const struct log *log, enum log_level level, const char *text, size_t length);

/* Appends `text` with control bytes (C0, DEL, C1), marks of direction and broken UTF-8 as \xNN. With `keep_newlines`
 * tabs stay, and so do newlines, the lines behind them marked as log_text has it. */
void log_escape(struct buffer *out, const char *text, size_t length, bool keep_newlines);

/* The same for text of several lines that stand for themselves. */
void log_escape_lines(struct buffer *out, const char *text, size_t length);

/* Escapes in place what a reason quotes of users and files, for a terminal. NULL: none. */
void log_escape_reason(struct reason *reason);

/* Appends text as a JSON string, quotes included: newlines and tabs in JSON's escapes, what log_escape escapes as \xNN.
 */
void log_json_string(struct buffer *out, const char *text, size_t length);

/* Appends JSON text that is already made, with the control bytes that JSON may hold bare (DEL, C1) and marks of
 * direction as \uNNNN and broken UTF-8 as log_escape has it. */
void log_json_text(struct buffer *out, const char *json, size_t length);

/* A descriptor for the output that `fd` is, on which writing does not wait for whoever reads it: the caller's to close
 * where it is another one. Where there is no such thing (a file, or a pipe that may not be opened again) it is `fd`. */
int log_open_output(int fd);

/* Writes what is taken without waiting, and says how much: all where nobody takes it. */
size_t log_write_some(int fd, const void *data, size_t length);

/* Writes it all, in one write(2) where the system takes it whole. Output that nobody takes is dropped: a log never
 * fails (the process is to ignore SIGPIPE). */
void log_write(int fd, const void *data, size_t length);

#endif
