#include "streams.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    WINDOW = 1024,
    BUFFER = 16 * 1024,
    EVENTS = 64,
    FRAME_MAX = MALFORMED_MAX + 2,
    CLOSED_WITHIN_MS =
        25000, /* by the proxy, with --timeout, --retries and --tcp-idle-timeout as they are by default */
};

enum ending {
    END_HALF_CLOSE, /* shuts its side down, and waits for all answers and the proxy's end */
    END_ANSWERED,   /* closes once it has all answers */
    END_RESET,      /* RST */
    END_CLOSE,      /* closes, perhaps with answers on the way */
    END_PROXY,      /* the proxy must close */
};

enum extra { EXTRA_NONE, EXTRA_HALF_FRAME, EXTRA_EMPTY_FRAME, EXTRA_GARBAGE };

/* What a client does: asks, sends something more, lives for up to `life_ms`, ends. */
static const struct behaviour {
    enum ending ending;
    unsigned queries, life_ms;
    enum extra extra;
    bool counted; /* its queries must be answered */
    bool deaf;    /* it never reads */
} behaviours[] = {
    {END_HALF_CLOSE, 0, 30000, .counted = true}, /* the steady one */
    {END_HALF_CLOSE, 4, 0, .counted = true},
    {END_ANSWERED, 1, 0, .counted = true},
    {END_RESET, 8, 0, .deaf = false},
    {END_RESET, 8, 200, .deaf = false},
    {END_RESET, 40, 9000, .deaf = true},
    {END_RESET, 2, 500, .extra = EXTRA_HALF_FRAME},
    {END_CLOSE, 200, 2000, .deaf = true},
    {END_CLOSE, 2, 200, .extra = EXTRA_GARBAGE},
    {END_PROXY, 1, 0, .extra = EXTRA_HALF_FRAME},
    {END_PROXY, 40, 0, .deaf = true},
    {END_PROXY, 1, 0, .extra = EXTRA_EMPTY_FRAME},
    {END_PROXY, 0, 0, .deaf = false},
};
enum { STEADY, VISITORS, BEHAVIOURS = sizeof behaviours / sizeof *behaviours };

struct stream {
    int fd;
    const struct behaviour *behaviour;
    bool connected, shut;
    uint64_t ends_at; /* 0 once its end has begun */
    uint64_t closed_by;
    struct window window;
    size_t length;
    struct stream *next, **link;
    uint8_t bytes[BUFFER];
};

struct streams {
    struct sockaddr_in server;
    struct tally *tally;
    uint64_t *random;
    unsigned steady, turn, count;
    bool draining;
    int epoll;
    struct stream *all;
    struct stream **steady_ones; /* NULL while one is away */
};

static void stop(const char *what)
{
    perror(what);
    exit(2);
}

static void forget(struct streams *streams, struct stream *stream)
{
    for (unsigned i = 0; i < streams->steady; i++) {
        if (streams->steady_ones[i] == stream)
            streams->steady_ones[i] = NULL;
    }
}

static void stream_free(struct streams *streams, struct stream *stream)
{
    if (stream->behaviour->counted)
        window_abandon(&stream->window, streams->tally);
    forget(streams, stream);
    window_close(&stream->window);
    *stream->link = stream->next;
    if (stream->next)
        stream->next->link = stream->link;
    streams->count--;
    close(stream->fd);
    free(stream);
}

/* Connects; what it does first it does once that has come true. NULL where no socket is to be had. */
static struct stream *stream_new(struct streams *streams, const struct behaviour *behaviour)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return NULL;
    struct sockaddr_in client = {.sin_family = AF_INET,
                                 .sin_addr.s_addr = htonl(INADDR_LOOPBACK + random_below(streams->random, 32))};
    const struct sockaddr *server = (const struct sockaddr *)&streams->server;
    struct stream *stream = calloc(1, sizeof *stream);
    if (!stream)
        stop("calloc");
    struct epoll_event event = {.events = EPOLLOUT, .data.ptr = stream};
    if (bind(fd, (const struct sockaddr *)&client, sizeof client) ||
        (connect(fd, server, sizeof streams->server) && errno != EINPROGRESS) ||
        epoll_ctl(streams->epoll, EPOLL_CTL_ADD, fd, &event)) {
        free(stream);
        close(fd);
        return NULL;
    }
    *stream = (struct stream){.fd = fd, .behaviour = behaviour, .next = streams->all, .link = &streams->all};
    window_open(&stream->window, WINDOW, true);
    if (stream->next)
        stream->next->link = &stream->next;
    streams->all = stream;
    streams->count++;
    return stream;
}

struct streams *streams_open(const struct sockaddr_in *server, unsigned steady, uint64_t *random, struct tally *tally)
{
    struct streams *streams = calloc(1, sizeof *streams);
    if (!streams)
        stop("calloc");
    *streams = (struct streams){.server = *server,
                                .tally = tally,
                                .random = random,
                                .steady = steady,
                                .epoll = epoll_create1(EPOLL_CLOEXEC),
                                .steady_ones = calloc(steady, sizeof *streams->steady_ones)};
    if (streams->epoll < 0 || !streams->steady_ones)
        stop("epoll");
    return streams;
}

void streams_free(struct streams *streams)
{
    while (streams->all)
        stream_free(streams, streams->all);
    close(streams->epoll);
    free(streams->steady_ones);
    free(streams);
}

int streams_fd(const struct streams *streams)
{
    return streams->epoll;
}

/* Few bytes at a time: they fit, or the proxy no longer reads. */
static bool stream_send(const struct stream *stream, const uint8_t *bytes, size_t length)
{
    return send(stream->fd, bytes, length, MSG_NOSIGNAL) == (ssize_t)length;
}

static size_t put_frame(uint8_t *frame, size_t length)
{
    frame[0] = (uint8_t)(length >> 8);
    frame[1] = (uint8_t)length;
    return length + 2;
}

static bool stream_ask(struct streams *streams, struct stream *stream)
{
    uint8_t frame[FRAME_MAX];
    struct question question = question_draw(streams->random);
    size_t length;
    if (stream->behaviour->counted) {
        length = window_ask(&stream->window, streams->tally, question, frame + 2);
        if (!length)
            return true;
    } else {
        length = question_write(question, (uint16_t)random_below(streams->random, 65536), frame + 2);
        streams->tally->vanished++;
    }
    return stream_send(stream, frame, put_frame(frame, length));
}

static bool send_extra(struct streams *streams, struct stream *stream)
{
    uint8_t frame[FRAME_MAX] = {0};
    size_t length = 0;
    switch (stream->behaviour->extra) {
    case EXTRA_HALF_FRAME:
        length = put_frame(frame, question_write(question_draw(streams->random), 0, frame + 2));
        length = 1 + random_below(streams->random, (uint32_t)length - 1);
        break;
    case EXTRA_EMPTY_FRAME:
        length = 2;
        break;
    case EXTRA_GARBAGE:
        length = put_frame(frame, garbage_write(streams->random, frame + 2));
        break;
    default:
        return true;
    }
    return stream_send(stream, frame, length);
}

/* The connection stands: false where it has gone at once. */
static bool stream_begin(struct streams *streams, struct stream *stream)
{
    const struct behaviour *behaviour = stream->behaviour;
    struct epoll_event event = {.events = behaviour->deaf ? EPOLLRDHUP : EPOLLIN | EPOLLRDHUP, .data.ptr = stream};
    int problem = 0;
    socklen_t size = sizeof problem;
    if (getsockopt(stream->fd, SOL_SOCKET, SO_ERROR, &problem, &size) || problem)
        return false;
    epoll_ctl(streams->epoll, EPOLL_CTL_MOD, stream->fd, &event);
    stream->connected = true;
    stream->ends_at = now_ns() + (uint64_t)random_below(streams->random, behaviour->life_ms + 1) * 1000000u;
    if (behaviour == &behaviours[STEADY])
        stream->ends_at = now_ns() + (uint64_t)behaviour->life_ms * 1000000u;
    for (unsigned i = 0; i < behaviour->queries; i++) {
        if (!stream_ask(streams, stream))
            return false;
    }
    return send_extra(streams, stream);
}

/* Takes the whole answers among the bytes. */
static void take_frames(struct streams *streams, struct stream *stream)
{
    size_t at = 0;
    while (stream->length - at >= 2) {
        size_t length = (size_t)(stream->bytes[at] << 8 | stream->bytes[at + 1]);
        if (stream->length - at - 2 < length)
            break;
        if (stream->behaviour->counted)
            window_settle(&stream->window, streams->tally, stream->bytes + at + 2, length);
        at += length + 2;
    }
    stream->length -= at;
    memmove(stream->bytes, stream->bytes + at, stream->length);
}

/* False when the connection has ended. */
static bool stream_read(struct streams *streams, struct stream *stream)
{
    ssize_t got = recv(stream->fd, stream->bytes + stream->length, BUFFER - stream->length, 0);
    if (got <= 0)
        return got < 0 && errno == EAGAIN;
    stream->length += (size_t)got;
    take_frames(streams, stream);
    return stream->length < BUFFER;
}

void streams_turn(struct streams *streams)
{
    struct epoll_event events[EVENTS];
    int ready = epoll_wait(streams->epoll, events, EVENTS, 0);
    for (int i = 0; i < ready; i++) {
        struct stream *stream = events[i].data.ptr;
        bool stands;
        if (!stream->connected)
            stands = stream_begin(streams, stream);
        else if (stream->behaviour->deaf)
            stands = false;
        else
            stands = stream_read(streams, stream);
        if (!stands)
            stream_free(streams, stream);
    }
}

void streams_ask(struct streams *streams)
{
    unsigned place = streams->turn++ % streams->steady;
    struct stream *stream = streams->steady_ones[place];
    if (!stream && !streams->draining)
        streams->steady_ones[place] = stream_new(streams, &behaviours[STEADY]);
    else if (stream && stream->connected && !stream->shut && !stream_ask(streams, stream))
        stream_free(streams, stream);
}

void streams_visit(struct streams *streams)
{
    (void)stream_new(streams, &behaviours[VISITORS + random_below(streams->random, BEHAVIOURS - VISITORS)]);
}

/* Its life is over. False where it goes with that. */
static bool stream_end(struct streams *streams, struct stream *stream)
{
    uint64_t lost_after = streams->tally->lost_after, now = now_ns();
    struct linger reset = {.l_onoff = 1};
    switch (stream->behaviour->ending) {
    case END_HALF_CLOSE:
        forget(streams, stream);
        shutdown(stream->fd, SHUT_WR);
        stream->shut = true;
        stream->closed_by = now + 2 * lost_after;
        break;
    case END_ANSWERED:
        stream->closed_by = now + 2 * lost_after;
        return stream->window.waiting > 0;
    case END_RESET:
        setsockopt(stream->fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
        return false;
    case END_CLOSE:
        return false;
    case END_PROXY:
        stream->closed_by = now + CLOSED_WITHIN_MS * 1000000ull;
        break;
    }
    stream->ends_at = 0;
    return true;
}

void streams_expire(struct streams *streams)
{
    uint64_t now = now_ns();
    for (struct stream *stream = streams->all, *next; stream; stream = next) {
        next = stream->next;
        if (stream->behaviour->counted)
            window_expire(&stream->window, streams->tally);
        if (stream->closed_by && now > stream->closed_by) {
            streams->tally->stuck++;
            fprintf(stderr, "stuck: a connection of behaviour %td\n", stream->behaviour - behaviours);
            stream_free(streams, stream);
        } else if (stream->connected && stream->ends_at && now >= stream->ends_at && !stream_end(streams, stream)) {
            stream_free(streams, stream);
        }
    }
}

void streams_drain(struct streams *streams)
{
    streams->draining = true;
    for (struct stream *stream = streams->all; stream; stream = stream->next) {
        if (stream->ends_at)
            stream->ends_at = 1;
    }
}

bool streams_gone(const struct streams *streams)
{
    return streams->count == 0;
}
