#include "observe/metrics_clients.h"

#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/http.h>
#include <event2/listener.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/socket.h>

enum {
    CLIENTS_MAX = 32,
    LOOK_AGAIN_US = 1000, /* while there is no room */
    EXHAUSTED_S = 1,
};

struct metrics_clients {
    struct evconnlistener *listener; /* evhttp's */
    struct event *look_again;
    struct bufferevent *sockets[CLIENTS_MAX]; /* evhttp's, and held here; the one that was opened first is the first */
    unsigned count;
};

/* evhttp has let go of it: while it has not, it wants to know what happens to it. */
static bool is_closed(struct bufferevent *socket)
{
    bufferevent_event_cb on_event;
    bufferevent_getcb(socket, NULL, NULL, &on_event, NULL);
    return !on_event;
}

static void let_go_of_closed(struct metrics_clients *clients)
{
    unsigned kept = 0;
    for (unsigned i = 0; i < clients->count; i++) {
        struct bufferevent *socket = clients->sockets[i];
        if (is_closed(socket))
            bufferevent_decref(socket);
        else
            clients->sockets[kept++] = socket;
    }
    clients->count = kept;
}

/* Accepts no more than there is room for. */
static void make_room(struct metrics_clients *clients)
{
    const struct timeval pause = {.tv_usec = LOOK_AGAIN_US};
    if (clients->count < CLIENTS_MAX) {
        evconnlistener_enable(clients->listener);
        return;
    }
    if (!event_add(clients->look_again, &pause))
        evconnlistener_disable(clients->listener);
    (void)shutdown(bufferevent_getfd(clients->sockets[0]), SHUT_RDWR); /* evhttp then sees its end */
}

static void on_look_again(evutil_socket_t fd, short what, void *context)
{
    (void)fd;
    (void)what;
    let_go_of_closed(context);
    make_room(context);
}

/* What evhttp would make by itself. NULL has it do so, which happens only where there is no memory for another. */
static struct bufferevent *on_connection(struct event_base *base, void *context)
{
    struct metrics_clients *clients = context;
    let_go_of_closed(clients);
    struct bufferevent *socket = clients->count < CLIENTS_MAX ? bufferevent_socket_new(base, -1, 0) : NULL;
    if (!socket)
        return NULL;
    bufferevent_incref(socket);
    clients->sockets[clients->count++] = socket;
    make_room(clients);
    return socket;
}

static void on_exhausted_over(evutil_socket_t fd, short what, void *context)
{
    (void)fd;
    (void)what;
    evconnlistener_enable(context);
}

/* Descriptors have run out, and the client that waits would wake us for ever. */
static void on_error(struct evconnlistener *listener, void *context)
{
    const struct timeval pause = {.tv_sec = EXHAUSTED_S};
    (void)context;
    if (!event_base_once(evconnlistener_get_base(listener), -1, EV_TIMEOUT, on_exhausted_over, listener, &pause))
        evconnlistener_disable(listener);
}

enum status metrics_clients_new(struct event_base *base, struct evhttp *http, struct evhttp_bound_socket *bound,
                                struct metrics_clients **out)
{
    struct metrics_clients *clients = calloc(1, sizeof *clients);
    if (!clients)
        return STATUS_NO_MEMORY;
    clients->look_again = evtimer_new(base, on_look_again, clients);
    if (!clients->look_again) {
        free(clients);
        return STATUS_NO_MEMORY;
    }
    clients->listener = evhttp_bound_socket_get_listener(bound);
    evconnlistener_set_error_cb(clients->listener, on_error);
    evhttp_set_bevcb(http, on_connection, clients);
    *out = clients;
    return STATUS_OK;
}

void metrics_clients_free(struct metrics_clients *clients)
{
    if (!clients)
        return;
    event_free(clients->look_again);
    for (unsigned i = 0; i < clients->count; i++)
        bufferevent_decref(clients->sockets[i]);
    free(clients);
}
