#include "lua/commands/stopping.h"

#include <errno.h>
#include <event2/event.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum { PATIENCE_S = 30, PATIENCE_AGAIN_S = 5, AT_ONCE = 3 };

static const int numbers[] = {SIGINT, SIGTERM};

/* A signal's handler is given nothing else to know its process by. */
static struct {
    volatile sig_atomic_t came;
    volatile sig_atomic_t fd; /* an eventfd, -1: none */
    struct event *event;
    void (*stop)(void *context);
    void *context;
} stopping = {.fd = -1};

static void give_up(int number)
{
    static const char text[] = "moondns: a worker does not answer, and is ended as it stands\n";
    (void)number;
    if (write(STDERR_FILENO, text, sizeof text - 1) < 0)
        _exit(EXIT_FAILURE);
    _exit(EXIT_FAILURE);
}

static void on_signal(int number)
{
    const uint64_t one = 1;
    const int error = errno;
    if (++stopping.came >= AT_ONCE)
        give_up(number);
    alarm(stopping.came == 1 ? PATIENCE_S : PATIENCE_AGAIN_S);
    if (stopping.fd >= 0 && write(stopping.fd, &one, sizeof one) < 0)
        alarm(PATIENCE_AGAIN_S);
    errno = error;
}

static void on_readable(evutil_socket_t fd, short what, void *context)
{
    uint64_t count;
    (void)what;
    (void)context;
    if (read(fd, &count, sizeof count) != sizeof count)
        return;
    while (count-- > 0)
        stopping.stop(stopping.context);
}

static void set_handler(int number, void (*handler)(int))
{
    struct sigaction action = {.sa_handler = handler, .sa_flags = SA_RESTART};
    sigfillset(&action.sa_mask);
    sigaction(number, &action, NULL);
}

enum status stopping_watch(struct event_base *base, void (*stop)(void *context), void *context)
{
    stopping.stop = stop;
    stopping.context = context;
    stopping.fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (stopping.fd < 0)
        return STATUS_IO;
    stopping.event = event_new(base, stopping.fd, EV_READ | EV_PERSIST, on_readable, NULL);
    if (!stopping.event || event_add(stopping.event, NULL))
        return STATUS_NO_MEMORY;
    set_handler(SIGALRM, give_up);
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        set_handler(numbers[i], on_signal);
    return STATUS_OK;
}

void stopping_unwatch(void)
{
    const int fd = stopping.fd;
    stopping.fd = -1;
    if (stopping.event)
        event_free(stopping.event);
    stopping.event = NULL;
    if (fd >= 0)
        close(fd);
}

void stopping_done(void)
{
    alarm(0);
}
