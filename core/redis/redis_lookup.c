#include "redis/redis_lookup.h"

#include <event2/event.h>
#include <netdb.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* Belongs to the thread and to who asked; the last to let go frees it. */
struct redis_lookup {
    atomic_uint holders;
    int fd; /* eventfd: the thread is done */
    struct event *event;
    void (*found)(void *context, redis_address *addresses, size_t count, const char *reason);
    void *context;
    redis_address addresses[REDIS_ADDRESSES_MAX];
    size_t count;
    const char *reason; /* static */
    char host[];
};

static void let_go(struct redis_lookup *lookup)
{
    if (atomic_fetch_sub(&lookup->holders, 1) > 1)
        return;
    close(lookup->fd);
    free(lookup);
}

static void *look_up(void *context)
{
    struct redis_lookup *lookup = context;
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_ADDRCONFIG},
                    *list = NULL;
    int code = getaddrinfo(lookup->host, NULL, &hints, &list);
    for (const struct addrinfo *at = list; at && lookup->count < REDIS_ADDRESSES_MAX; at = at->ai_next)
        if (getnameinfo(at->ai_addr, at->ai_addrlen, lookup->addresses[lookup->count], sizeof(redis_address), NULL, 0,
                        NI_NUMERICHOST) == 0)
            lookup->count++;
    if (list)
        freeaddrinfo(list);
    lookup->reason = code ? gai_strerror(code) : "the name has no address";
    const uint64_t one = 1;
    ssize_t written = write(lookup->fd, &one, sizeof one); /* a new eventfd has room */
    (void)written;
    let_go(lookup);
    return NULL;
}

static void on_done(evutil_socket_t fd, short what, void *context)
{
    (void)what;
    struct redis_lookup *lookup = context;
    uint64_t count;
    if (read(fd, &count, sizeof count) < 0)
        return;
    event_free(lookup->event);
    lookup->found(lookup->context, lookup->addresses, lookup->count, lookup->reason);
    let_go(lookup);
}

static bool start_thread(struct redis_lookup *lookup)
{
    sigset_t all, before;
    pthread_t thread;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int code = pthread_create(&thread, NULL, look_up, lookup);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (code)
        return false;
    pthread_detach(thread);
    return true;
}

struct redis_lookup *redis_lookup_start(struct event_base *base, const char *host,
                                        void (*found)(void *context, redis_address *addresses, size_t count,
                                                      const char *reason),
                                        void *context)
{
    struct redis_lookup *lookup = calloc(1, sizeof *lookup + strlen(host) + 1);
    if (!lookup)
        return NULL;
    lookup->fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    lookup->event = event_new(base, lookup->fd, EV_READ | EV_PERSIST, on_done, lookup);
    lookup->found = found;
    lookup->context = context;
    memcpy(lookup->host, host, strlen(host));
    atomic_init(&lookup->holders, 2);
    if (lookup->fd >= 0 && lookup->event && event_add(lookup->event, NULL) == 0 && start_thread(lookup))
        return lookup;
    if (lookup->event)
        event_free(lookup->event);
    if (lookup->fd >= 0)
        close(lookup->fd);
    free(lookup);
    return NULL;
}

void redis_lookup_free(struct redis_lookup *lookup)
{
    if (!lookup)
        return;
    event_free(lookup->event);
    let_go(lookup);
}
