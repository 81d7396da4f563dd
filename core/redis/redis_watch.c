#include "redis/redis_watch.h"

#include <event2/event.h>
#include <event2/event_struct.h>
#include <stdlib.h>

/* Belongs to the connection. */
struct redis_watch {
    redisAsyncContext *connection;
    struct event readable, writable;
};

static void on_readable(evutil_socket_t fd, short what, void *context)
{
    (void)fd;
    (void)what;
    struct redis_watch *watch = context;
    redisAsyncHandleRead(watch->connection);
}

static void on_writable(evutil_socket_t fd, short what, void *context)
{
    (void)fd;
    (void)what;
    struct redis_watch *watch = context;
    redisAsyncHandleWrite(watch->connection);
}

/* --- what hiredis calls --- */

static void add_read(void *context)
{
    struct redis_watch *watch = context;
    event_add(&watch->readable, NULL);
}

static void delete_read(void *context)
{
    struct redis_watch *watch = context;
    event_del(&watch->readable);
}

static void add_write(void *context)
{
    struct redis_watch *watch = context;
    event_add(&watch->writable, NULL);
}

static void delete_write(void *context)
{
    struct redis_watch *watch = context;
    event_del(&watch->writable);
}

static void cleanup(void *context)
{
    delete_read(context);
    delete_write(context);
    free(context);
}

enum status redis_watch_start(redisAsyncContext *connection, struct event_base *base)
{
    struct redis_watch *watch = calloc(1, sizeof *watch);
    if (!watch)
        return STATUS_NO_MEMORY;
    watch->connection = connection;
    event_assign(&watch->readable, base, connection->c.fd, EV_READ, on_readable, watch);
    event_assign(&watch->writable, base, connection->c.fd, EV_WRITE, on_writable, watch);
    connection->ev.addRead = add_read;
    connection->ev.delRead = delete_read;
    connection->ev.addWrite = add_write;
    connection->ev.delWrite = delete_write;
    connection->ev.cleanup = cleanup;
    connection->ev.data = watch;
    if (event_add(&watch->readable, NULL) || event_add(&watch->writable, NULL))
        return STATUS_NO_MEMORY;
    return STATUS_OK;
}

void redis_watch_again(redisAsyncContext *connection)
{
    add_read(connection->ev.data);
    add_write(connection->ev.data);
}
