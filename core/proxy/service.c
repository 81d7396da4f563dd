#include "proxy/service.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { FIRST_PASSED = 3, STATE_MAX = 2048 };

/* A whole number; false where the variable is missing or no such. */
static bool number_of(const char *name, int64_t *out)
{
    const char *text = getenv(name);
    char *end;
    if (!text || text[0] < '0' || text[0] > '9')
        return false;
    errno = 0;
    long long number = strtoll(text, &end, 10);
    if (*end || errno)
        return false;
    *out = number;
    return true;
}

/* Whether the variable names this process. */
static bool is_ours(const char *name)
{
    int64_t pid;
    return number_of(name, &pid) && pid == getpid();
}

/* --- what it is told --- */

/* A path, or a name of the abstract space with '@' in place of its NUL. */
static void open_manager(struct service *service)
{
    const char *path = getenv("NOTIFY_SOCKET");
    size_t length = path ? strlen(path) : 0;
    if (length < 2 || length >= sizeof service->manager.sun_path || (path[0] != '/' && path[0] != '@'))
        return;
    service->manager.sun_family = AF_UNIX;
    memcpy(service->manager.sun_path, path, length);
    if (path[0] == '@')
        service->manager.sun_path[0] = '\0';
    service->manager_length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length);
    service->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
}

void service_tell(const struct service *service, const char *format, ...)
{
    char state[STATE_MAX];
    va_list arguments;
    if (service->fd < 0)
        return;
    va_start(arguments, format);
    int length = vsnprintf(state, sizeof state, format, arguments);
    va_end(arguments);
    if (length < 0)
        return;
    size_t sent = (size_t)length < sizeof state ? (size_t)length : sizeof state - 1;
    (void)sendto(service->fd, state, sent, MSG_NOSIGNAL | MSG_DONTWAIT, (const struct sockaddr *)&service->manager,
                 service->manager_length);
}

/* --- what it passes --- */

static int int_option(int fd, int option)
{
    int value;
    socklen_t length = sizeof value;
    return getsockopt(fd, SOL_SOCKET, option, &value, &length) ? -1 : value;
}

/* A UDP socket that is bound, or a TCP one that listens. */
static bool is_usable(int fd)
{
    struct sockaddr_storage name = {0};
    socklen_t length = sizeof name;
    int type = int_option(fd, SO_TYPE);
    bool takes = type == SOCK_DGRAM || (type == SOCK_STREAM && int_option(fd, SO_ACCEPTCONN) == 1);
    if (!takes || getsockname(fd, (struct sockaddr *)&name, &length))
        return false;
    return (name.ss_family == AF_INET && ((struct sockaddr_in *)&name)->sin_port) ||
           (name.ss_family == AF_INET6 && ((struct sockaddr_in6 *)&name)->sin6_port);
}

/* The name of the socket in a list "a:b:c"; "" where it has none. */
static void name_of(size_t index, char *out, size_t size)
{
    const char *names = getenv("LISTEN_FDNAMES");
    for (size_t i = 0; names && i < index; i++) {
        names = strchr(names, ':');
        names = names ? names + 1 : NULL;
    }
    snprintf(out, size, "%.*s", names ? (int)strcspn(names, ":") : 0, names ? names : "");
}

static enum status take_sockets(struct service *service, struct reason *reason)
{
    int64_t count;
    if (!is_ours("LISTEN_PID") || !number_of("LISTEN_FDS", &count))
        return STATUS_OK;
    if (count > SERVICE_SOCKETS_MAX) {
        reason_set(reason, "the service manager passed %lld sockets; %d at the most are taken", (long long)count,
                   SERVICE_SOCKETS_MAX);
        return STATUS_INVALID;
    }
    for (int i = 0; i < count; i++) {
        int fd = FIRST_PASSED + i;
        if (!is_usable(fd)) {
            char name[NAME_MAX];
            name_of((size_t)i, name, sizeof name);
            reason_set(reason,
                       "socket %d of the service manager%s%s is neither of UDP nor of TCP and listening: let "
                       "its unit have ListenDatagram= and ListenStream= with addresses and ports",
                       fd, name[0] ? ", " : "", name);
            return STATUS_INVALID;
        }
        int flags = fcntl(fd, F_GETFL);
        if (flags < 0 || fcntl(fd, F_SETFD, FD_CLOEXEC) || fcntl(fd, F_SETFL, flags | O_NONBLOCK)) {
            reason_set(reason, "socket %d of the service manager: %s", fd, strerror(errno));
            return STATUS_INVALID;
        }
        service->sockets[service->socket_count++] = fd;
    }
    return STATUS_OK;
}

/* --- life --- */

enum status service_open(struct service *out, struct reason *reason)
{
    static const char *const names[] = {"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID",
                                        "LISTEN_FDS",    "LISTEN_PID",    "LISTEN_FDNAMES"};
    struct service service = {.fd = -1};
    enum status status = take_sockets(&service, reason);
    if (status)
        return status;
    open_manager(&service);
    if (!getenv("WATCHDOG_PID") || is_ours("WATCHDOG_PID"))
        (void)number_of("WATCHDOG_USEC", &service.watchdog_us);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        unsetenv(names[i]);
    *out = service;
    return STATUS_OK;
}

void service_close(struct service *service)
{
    if (service->fd >= 0)
        close(service->fd);
    for (size_t i = 0; i < service->socket_count; i++)
        close(service->sockets[i]);
    *service = (struct service){.fd = -1};
}
