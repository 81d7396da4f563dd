#include "redis/redis_wire.h"

#include <errno.h>
#include <event2/buffer.h>
#include <event2/event.h>
#include <event2/event_struct.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/un.h>
#include <unistd.h>

enum {
    READ_BYTES = 16384,      /* at one time */
    READER_BYTES = 64 << 10, /* a reader that took more for its replies is given back after them */
    WAITING_FIRST = 64,      /* commands, a power of two */
};

struct waiting {
    redis_wire_fn *fn;
    void *context;
};

struct redis_wire {
    struct redis_wire_config config;
    int fd; /* -1: closed */
    struct event readable, writable;
    struct evbuffer *out;
    redisReader *reader;
    size_t unread;           /* bytes that the reader got since it last had none left */
    struct waiting *waiting; /* a ring of `size`, a power of two: those sent whose replies have not come */
    size_t size, first, count;
    bool is_up;
    bool is_replying; /* within a reply's call; … */
    bool is_over;     /* … the wire was freed there */
};

/* --- waiting for replies --- */

static MUST_CHECK enum status reserve_waiting(struct redis_wire *wire)
{
    if (wire->count < wire->size)
        return STATUS_OK;
    size_t size = wire->size ? wire->size * 2 : WAITING_FIRST;
    struct waiting *ring = calloc(size, sizeof *ring);
    if (!ring)
        return STATUS_NO_MEMORY;
    for (size_t i = 0; i < wire->count; i++)
        ring[i] = wire->waiting[(wire->first + i) & (wire->size - 1)];
    free(wire->waiting);
    wire->waiting = ring;
    wire->size = size;
    wire->first = 0;
    return STATUS_OK;
}

static struct waiting take_waiting(struct redis_wire *wire)
{
    struct waiting waiting = wire->waiting[wire->first];
    wire->first = (wire->first + 1) & (wire->size - 1);
    wire->count--;
    return waiting;
}

static void end(struct redis_wire *wire)
{
    while (wire->count) {
        struct waiting waiting = take_waiting(wire);
        waiting.fn(waiting.context, NULL);
    }
    free(wire->waiting);
    free(wire);
}

void redis_wire_free(struct redis_wire *wire)
{
    event_del(&wire->readable);
    event_del(&wire->writable);
    close(wire->fd);
    evbuffer_free(wire->out);
    redisReaderFree(wire->reader);
    wire->is_over = true;
    if (!wire->is_replying)
        end(wire);
}

/* --- the socket --- */

static void lose(struct redis_wire *wire, const char *why)
{
    wire->config.lost(wire->config.context, why);
}

static bool may_try_again(int error)
{
    return error == EAGAIN || error == EWOULDBLOCK || error == EINTR;
}

static void on_writable(evutil_socket_t fd, short what, void *context)
{
    struct redis_wire *wire = context;
    int error = 0;
    (void)what;
    if (!wire->is_up && getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &(socklen_t){sizeof error}))
        error = errno;
    if (error) {
        lose(wire, strerror(error));
        return;
    }
    wire->is_up = true;
    if (evbuffer_get_length(wire->out) && evbuffer_write(wire->out, fd) < 0 && !may_try_again(errno))
        lose(wire, strerror(errno));
    else if (!evbuffer_get_length(wire->out))
        event_del(&wire->writable);
}

/* --- replies --- */

/* NULL when there is no memory. */
static redisReader *make_reader(void)
{
    redisReader *reader = redisReaderCreate();
    if (reader)
        reader->maxbuf = 0; /* it would give back its own room, and end the process if it then got none */
    return reader;
}

/* A reader keeps the room that its largest replies took; without memory for a new one, so does this. */
static void renew_reader(struct redis_wire *wire)
{
    redisReader *reader = wire->unread > READER_BYTES ? make_reader() : NULL;
    wire->unread = 0;
    if (!reader)
        return;
    redisReaderFree(wire->reader);
    wire->reader = reader;
}

/* Gives the next reply that is whole to who waits for it; false: there is none, or the wire is no more. */
static bool give_reply(struct redis_wire *wire)
{
    void *reply = NULL;
    if (redisReaderGetReply(wire->reader, &reply) != REDIS_OK) {
        lose(wire, wire->reader->errstr);
        return false;
    }
    if (!reply) {
        if (wire->reader->pos == wire->reader->len)
            renew_reader(wire);
        return false;
    }
    if (!wire->count) {
        const redisReply *said = reply;
        const bool is_error = said->type == REDIS_REPLY_ERROR; /* "max number of clients reached" */
        lose(wire, is_error ? said->str : "it answers what nobody asked");
        freeReplyObject(reply);
        return false;
    }
    struct waiting waiting = take_waiting(wire);
    wire->is_replying = true;
    waiting.fn(waiting.context, reply);
    wire->is_replying = false;
    freeReplyObject(reply);
    if (!wire->is_over)
        return true;
    end(wire);
    return false;
}

static void on_readable(evutil_socket_t fd, short what, void *context)
{
    struct redis_wire *wire = context;
    char bytes[READ_BYTES];
    (void)what;
    ssize_t got = recv(fd, bytes, sizeof bytes, 0);
    if (got < 0 && may_try_again(errno))
        return;
    if (got <= 0) {
        lose(wire, got ? strerror(errno) : "it closed the connection");
        return;
    }
    wire->unread += (size_t)got;
    if (redisReaderFeed(wire->reader, bytes, (size_t)got) != REDIS_OK) {
        lose(wire, wire->reader->errstr);
        return;
    }
    while (give_reply(wire))
        continue;
}

/* --- commands --- */

enum status redis_wire_send(struct redis_wire *wire, const char *command, size_t length, redis_wire_fn *fn,
                            void *context)
{
    enum status status = reserve_waiting(wire);
    if (!status && evbuffer_add(wire->out, command, length))
        status = STATUS_NO_MEMORY;
    if (status)
        return status;
    wire->waiting[(wire->first + wire->count) & (wire->size - 1)] = (struct waiting){fn, context};
    wire->count++;
    event_add(&wire->writable, NULL);
    return STATUS_OK;
}

void redis_wire_look(struct redis_wire *wire)
{
    event_add(&wire->readable, NULL);
    event_add(&wire->writable, NULL);
}

/* --- life --- */

static MUST_CHECK enum status begin_to_connect(struct redis_wire *wire)
{
    const struct redis_wire_config *config = &wire->config;
    struct sockaddr_storage inet = {0};
    struct sockaddr_un local = {.sun_family = AF_UNIX};
    const struct sockaddr *name = config->path ? (void *)&local : (void *)&inet;
    socklen_t length = sizeof local;
    if (config->path && strlen(config->path) >= sizeof local.sun_path) {
        errno = ENAMETOOLONG;
        return STATUS_IO;
    }
    if (config->path)
        memcpy(local.sun_path, config->path, strlen(config->path));
    else
        length = address_to_sockaddr(&config->address, (struct sockaddr *)&inet);
    wire->fd = socket(name->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (wire->fd < 0)
        return STATUS_IO;
    if (!config->path)
        setsockopt(wire->fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
    if (connect(wire->fd, name, length) && errno != EINPROGRESS && errno != EINTR)
        return STATUS_IO;
    return STATUS_OK;
}

enum status redis_wire_new(const struct redis_wire_config *config, struct redis_wire **out, struct reason *reason)
{
    struct redis_wire *wire = calloc(1, sizeof *wire);
    if (!wire)
        return STATUS_NO_MEMORY;
    enum status status = STATUS_NO_MEMORY;
    wire->config = *config;
    wire->fd = -1;
    wire->out = evbuffer_new();
    wire->reader = make_reader();
    if (!wire->out || !wire->reader)
        goto done;
    status = begin_to_connect(wire);
    if (status) {
        reason_set(reason, "%s", strerror(errno));
        goto done;
    }
    event_assign(&wire->readable, config->base, wire->fd, EV_READ | EV_PERSIST, on_readable, wire);
    event_assign(&wire->writable, config->base, wire->fd, EV_WRITE | EV_PERSIST, on_writable, wire);
    if (event_add(&wire->readable, NULL) || event_add(&wire->writable, NULL)) {
        event_del(&wire->readable);
        status = STATUS_NO_MEMORY;
        goto done;
    }
    *out = wire;
    return STATUS_OK;
done:
    if (wire->reader)
        redisReaderFree(wire->reader);
    if (wire->out)
        evbuffer_free(wire->out);
    if (wire->fd >= 0)
        close(wire->fd);
    free(wire);
    return status;
}
