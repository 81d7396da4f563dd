#include "observe/pages.h"

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/event_struct.h>
#include <event2/listener.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    CONNECTIONS_MAX = 32, /* beyond that the oldest makes room: they take no descriptors from queries */
    HEAD_MAX = 8192,      /* bytes of a request's lines */
    TIMEOUT_S = 10,       /* for the request, and again for the answer */
    PAUSE_S = 1,          /* when none can be accepted */
};

enum stage {
    STAGE_FIRST_LINE,
    STAGE_HEADERS,
    STAGE_ANSWERED, /* what still comes is not looked at */
};

struct connection {
    TAILQ_ENTRY(connection) entry;
    struct pages *pages;
    struct bufferevent *stream;
    struct event deadline;
    enum stage stage;
    size_t head_length; /* bytes of lines so far */
    bool is_head, is_allowed;
    bool has_ended; /* the client sends no more */
    struct page_request request;
};

struct pages {
    struct pages_config config;
    struct evconnlistener *listener;
    struct event *pause;
    TAILQ_HEAD(, connection) connections; /* the oldest first */
    struct pages_counters counters;
};

static void connection_free(struct connection *connection)
{
    struct pages *pages = connection->pages;
    TAILQ_REMOVE(&pages->connections, connection, entry);
    pages->counters.open--;
    event_del(&connection->deadline);
    bufferevent_free(connection->stream);
    free(connection);
}

/* --- answers --- */

static const char *words_of(int code)
{
    static const struct {
        int code;
        const char *words;
    } table[] = {{200, "OK"},
                 {400, "Bad Request"},
                 {404, "Not Found"},
                 {405, "Method Not Allowed"},
                 {431, "Request Header Fields Too Large"},
                 {500, "Internal Server Error"},
                 {503, "Service Unavailable"}};
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        if (table[i].code == code)
            return table[i].words;
    return "";
}

/* False: it cannot be sent, and the connection has to be closed. The connection is closed by the client, once it has
 * read all; until then what it still sends is read, as a reset could take the answer from it (RFC 9112 section 9.6). */
static bool send_answer(struct connection *connection, const struct page_answer *answer)
{
    const struct timeval timeout = {.tv_sec = TIMEOUT_S};
    struct evbuffer *out = bufferevent_get_output(connection->stream);
    connection->stage = STAGE_ANSWERED;
    if (evbuffer_add_printf(out,
                            "HTTP/1.1 %d %s\r\nContent-Type: %s\r\nContent-Length: %zu\r\n%sConnection: close\r\n\r\n",
                            answer->code, words_of(answer->code), answer->type, answer->text.length,
                            answer->code == 405 ? "Allow: GET, HEAD\r\n" : "") < 0)
        return false;
    if (!connection->is_head && evbuffer_add(out, answer->text.data, answer->text.length))
        return false;
    return event_add(&connection->deadline, &timeout) == 0;
}

static bool send_text(struct connection *connection, int code, const char *text)
{
    struct page_answer answer = {.code = code, .type = "text/plain; charset=utf-8"};
    buffer_text(&answer.text, text);
    bool sent = !buffer_status(&answer.text) && send_answer(connection, &answer);
    buffer_free(&answer.text);
    return sent;
}

static bool serve(struct connection *connection)
{
    struct pages *pages = connection->pages;
    struct page_answer answer = {.code = 404, .type = "text/plain; charset=utf-8"};
    if (!connection->is_allowed)
        return send_text(connection, 405, "only GET and HEAD are served here\n");
    pages->config.serve(pages->config.context, &connection->request, &answer);
    bool sent =
        buffer_status(&answer.text) ? send_text(connection, 500, "out of memory\n") : send_answer(connection, &answer);
    buffer_free(&answer.text);
    return sent;
}

/* --- requests --- */

/* Copies as much as there is room for, behind what is there. */
static void append_text(char *out, size_t size, const char *text, size_t length)
{
    size_t at = strlen(out), room = size - at - 1;
    length = length < room ? length : room;
    memcpy(out + at, text, length);
    out[at + length] = 0;
}

/* The path of a target, which may be a whole URL (RFC 9112 section 3.2). */
static void read_target(struct page_request *request, const char *target)
{
    if (strncasecmp(target, "http://", 7) == 0)
        target += 7 + strcspn(target + 7, "/");
    append_text(request->path, sizeof request->path, target, strcspn(target, "?"));
}

/* "GET /metrics HTTP/1.1". */
static bool read_first_line(struct connection *connection, char *line)
{
    char *rest = NULL;
    const char *method = strtok_r(line, " ", &rest), *target = strtok_r(NULL, " ", &rest);
    const char *version = strtok_r(NULL, " ", &rest);
    if (!method || !target || !version || strncmp(version, "HTTP/1.", 7) != 0 || strtok_r(NULL, " ", &rest))
        return false;
    connection->is_head = strcmp(method, "HEAD") == 0;
    connection->is_allowed = connection->is_head || strcmp(method, "GET") == 0;
    connection->stage = STAGE_HEADERS;
    read_target(&connection->request, target);
    return true;
}

static void read_header(struct page_request *request, const char *line)
{
    static const char name[] = "Accept:";
    if (strncasecmp(line, name, sizeof name - 1) != 0)
        return;
    append_text(request->accept, sizeof request->accept, line + sizeof name - 1, strlen(line + sizeof name - 1));
    append_text(request->accept, sizeof request->accept, ",", 1);
}

/* One line, with its length without the end. False: the connection has to be closed. */
static bool take_line(struct connection *connection, char *line, size_t length)
{
    connection->head_length += length + 1;
    if (strlen(line) != length)
        return send_text(connection, 400, "this is no request\n");
    if (connection->stage == STAGE_FIRST_LINE)
        return !length || read_first_line(connection, line) ||
               send_text(connection, 400, "this is no request of HTTP/1.1\n");
    if (!length)
        return serve(connection);
    read_header(&connection->request, line);
    return true;
}

static void on_readable(struct bufferevent *stream, void *context)
{
    struct connection *connection = context;
    struct evbuffer *in = bufferevent_get_input(stream);
    bool fine = true;
    while (fine && connection->stage != STAGE_ANSWERED) {
        size_t length = 0;
        char *line = evbuffer_readln(in, &length, EVBUFFER_EOL_CRLF);
        size_t so_far = connection->head_length + (line ? length : evbuffer_get_length(in));
        if (so_far > HEAD_MAX)
            fine = send_text(connection, 431, "the request is too long\n");
        else if (line)
            fine = take_line(connection, line, length);
        bool is_last = !line;
        free(line);
        if (is_last)
            break;
    }
    if (fine && connection->stage == STAGE_ANSWERED)
        evbuffer_drain(in, evbuffer_get_length(in));
    if (!fine)
        connection_free(connection);
}

/* Everything is sent: the client learns that by the end of the stream. */
static void on_written(struct bufferevent *stream, void *context)
{
    struct connection *connection = context;
    if (connection->stage == STAGE_ANSWERED && connection->has_ended)
        connection_free(connection);
    else if (connection->stage == STAGE_ANSWERED)
        shutdown(bufferevent_getfd(stream), SHUT_WR);
}

/* A client may end its side once it has asked. */
static void on_event(struct bufferevent *stream, short what, void *context)
{
    struct connection *connection = context;
    bool has_unsent = evbuffer_get_length(bufferevent_get_output(stream)) > 0;
    connection->has_ended = true;
    if ((what & BEV_EVENT_ERROR) || connection->stage != STAGE_ANSWERED || !has_unsent)
        connection_free(connection);
}

static void on_deadline(evutil_socket_t fd, short what, void *context)
{
    (void)fd;
    (void)what;
    struct connection *connection = context;
    connection->pages->counters.timed_out++;
    connection_free(connection);
}

/* --- listening --- */

static void on_accept(struct evconnlistener *listener, evutil_socket_t fd, struct sockaddr *peer, int length,
                      void *context)
{
    (void)listener;
    (void)peer;
    (void)length;
    const struct timeval timeout = {.tv_sec = TIMEOUT_S};
    struct pages *pages = context;
    struct connection *connection = calloc(1, sizeof *connection);
    struct bufferevent *stream =
        connection ? bufferevent_socket_new(pages->config.base, fd, BEV_OPT_CLOSE_ON_FREE) : NULL;
    if (!stream) {
        free(connection);
        close(fd);
        return;
    }
    connection->pages = pages;
    connection->stream = stream;
    evtimer_assign(&connection->deadline, pages->config.base, on_deadline, connection);
    TAILQ_INSERT_TAIL(&pages->connections, connection, entry);
    pages->counters.open++;
    pages->counters.accepted++;
    bufferevent_setcb(stream, on_readable, on_written, on_event, connection);
    if (event_add(&connection->deadline, &timeout) || bufferevent_enable(stream, EV_READ | EV_WRITE)) {
        connection_free(connection);
    } else if (pages->counters.open > CONNECTIONS_MAX) {
        pages->counters.evicted++;
        connection_free(TAILQ_FIRST(&pages->connections));
    }
}

/* Descriptors have run out: the client waits in the backlog, and would wake us for ever. */
static void on_accept_error(struct evconnlistener *listener, void *context)
{
    const struct timeval pause = {.tv_sec = PAUSE_S};
    struct pages *pages = context;
    if (event_add(pages->pause, &pause) == 0)
        evconnlistener_disable(listener);
}

static void on_pause_end(evutil_socket_t fd, short what, void *context)
{
    (void)fd;
    (void)what;
    struct pages *pages = context;
    if (evconnlistener_enable(pages->listener))
        on_accept_error(pages->listener, pages);
}

struct pages *pages_new(const struct pages_config *config)
{
    struct pages *pages = calloc(1, sizeof *pages);
    if (!pages) {
        close(config->fd);
        return NULL;
    }
    pages->config = *config;
    TAILQ_INIT(&pages->connections);
    pages->listener =
        evconnlistener_new(config->base, on_accept, pages,
                           LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC | LEV_OPT_DISABLED, 0, config->fd);
    if (!pages->listener)
        close(config->fd);
    pages->pause = evtimer_new(config->base, on_pause_end, pages);
    if (pages->listener && pages->pause && evconnlistener_enable(pages->listener) == 0) {
        evconnlistener_set_error_cb(pages->listener, on_accept_error);
        return pages;
    }
    pages_free(pages);
    return NULL;
}

struct pages_counters pages_counters(const struct pages *pages)
{
    return pages->counters;
}

void pages_free(struct pages *pages)
{
    if (!pages)
        return;
    while (!TAILQ_EMPTY(&pages->connections))
        connection_free(TAILQ_FIRST(&pages->connections));
    if (pages->listener)
        evconnlistener_free(pages->listener);
    if (pages->pause)
        event_free(pages->pause);
    free(pages);
}
